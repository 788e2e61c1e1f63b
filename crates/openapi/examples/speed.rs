#![expect(clippy::print_stdout, reason = "it is a command")]
//! Times what happens on each call, with allocations counted: `cargo run --release --example speed`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portcullis_openapi::{Checks, Contract, Options, Route};
use serde_json::{Value, json};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one only counts and hands on")]
// SAFETY: both functions hand their arguments on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let item = json!({"type": "object", "required": ["sku", "quantity"], "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "quantity": {"type": "integer", "minimum": 1},
        "price": {"type": "number", "minimum": 0}, "note": {"type": "string", "maxLength": 200}}});
    let order = json!({"type": "object", "required": ["id", "items"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "created": {"type": "string", "format": "date-time"},
        "customer": {"type": "object", "properties": {"name": {"type": "string"}, "email": {"type": "string", "format": "email"}}},
        "state": {"type": "string", "enum": ["new", "paid", "sent"]}, "items": {"type": "array", "items": item, "maxItems": 100}}});
    let mut paths = serde_json::Map::new();
    for index in 0..800 {
        paths.insert(format!("/v1/resource{index}/{{id}}/sub"), json!({"get": {"responses": {}}}));
    }
    paths.insert(
        "/orders/{id}".into(),
        json!({"post": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}},
            {"name": "page", "in": "query", "schema": {"type": "integer", "maximum": 1000}},
            {"name": "sort", "in": "query", "schema": {"type": "string", "enum": ["asc", "desc"]}},
            {"name": "X-Trace", "in": "header", "schema": {"type": "string", "format": "uuid"}}],
        "requestBody": {"content": {"application/json": {"schema": order}}}, "responses": {}}}),
    );
    let document = json!({"openapi": "3.1.0", "paths": paths}).to_string();
    let contract = match Contract::parse("speed.json", document.as_bytes(), &Options::default()) {
        Ok(contract) => contract,
        Err(error) => return println!("{error}"),
    };
    let Route::Found { operation, captures } = contract.route("POST", "/orders/42", None) else { return };
    let headers =
        [("host", b"a".as_slice()), ("x-trace", b"123e4567-e89b-12d3-a456-426614174000"), ("accept", b"*/*")];
    let one = json!({"sku": "AB-1234", "quantity": 2, "price": 9.5, "note": "leave it at the door"});
    let value = json!({"id": "123e4567-e89b-12d3-a456-426614174000", "created": "2024-02-29T12:00:00Z", "state": "new",
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"}, "items": vec![one; 10]});
    let bytes = value.to_string();
    println!("a body of {} bytes", bytes.len());
    time("route among 801 templates", || {
        black_box(contract.route("GET", black_box("/v1/resource567/123456/sub"), None));
    });
    time("route, then the head: 4 parameters", || {
        black_box(contract.route("POST", black_box("/orders/42"), None));
        let found = contract.check_request_head(
            operation,
            &captures,
            Some(black_box("page=3&sort=asc")),
            headers.into_iter(),
            Checks::default(),
        );
        assert!(found.is_empty(), "{found:?}");
    });
    let body = |checks: Checks| {
        let found =
            contract.check_request_body(operation, Some("application/json"), bytes.as_bytes(), checks);
        assert!(found.is_empty(), "{found:?}");
    };
    let plain = Checks { unknown_properties: false, access: false, ..Checks::default() };
    time("body", || body(plain));
    time("body, with undescribed properties", || body(Checks::default()));
    time("serde_json::from_slice of it alone", || {
        black_box(serde_json::from_slice::<Value>(black_box(bytes.as_bytes())).is_ok());
    });
}

fn time(what: &str, mut run: impl FnMut()) {
    (0..1_000).for_each(|_| run());
    let mut best = f64::INFINITY;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..500 {
        let clock = Instant::now();
        (0..200).for_each(|_| run());
        best = best.min(clock.elapsed().as_secs_f64() / 200.0);
    }
    let allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) / 100_000;
    println!("{:>8.3} µs {allocations:>5} allocations  {what}", best * 1e6);
}
