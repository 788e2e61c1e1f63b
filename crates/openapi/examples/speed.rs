#![expect(clippy::print_stdout, reason = "it is a command")]
//! What a call costs here, and what the same body costs the `jsonschema` crate, its parse included; how often each
//! allocates.
//!
//! `cargo run --release -p portcullis-openapi --example speed`

use std::hint::black_box;
use std::time::Instant;

use portcullis_openapi::{BodyLimits, Checks, Contract, Filtered, Options, PropertyFilter, Route};
use serde_json::{Value, json};

use counting::Counting;

#[path = "../../../benches/counting.rs"]
mod counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let item = json!({"type": "object", "required": ["sku", "quantity"], "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "quantity": {"type": "integer", "minimum": 1},
        "price": {"type": "number", "minimum": 0}, "note": {"type": "string", "maxLength": 200}}});
    let order = json!({"type": "object", "required": ["id", "items"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "created": {"type": "string", "format": "date-time"},
        "customer": {"type": "object", "properties": {"name": {"type": "string"}, "email": {"type": "string", "format": "email"}}},
        "state": {"type": "string", "enum": ["new", "paid", "sent"]}, "items": {"type": "array", "items": item, "maxItems": 1000}}});
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
    let Ok(oracle) = jsonschema::draft202012::options().should_validate_formats(true).build(&order) else {
        return println!("jsonschema does not take the schema");
    };
    let one = json!({"sku": "AB-1234", "quantity": 2, "price": 9.5, "note": "leave it at the door, please"});
    for items in [11, 130] {
        let value = json!({"id": "123e4567-e89b-12d3-a456-426614174000", "created": "2024-02-29T12:00:00Z", "state": "new",
            "customer": {"name": "Ada Lovelace", "email": "ada@example.com"}, "items": vec![&one; items]});
        let bytes = value.to_string();
        println!("a body of {} bytes", bytes.len());
        let here = time("parsed and validated in one pass", || {
            let body = black_box(bytes.as_bytes());
            let found =
                contract.check_request_body(operation, Some("application/json"), body, Checks::default());
            assert!(found.is_empty(), "{found:?}");
        });
        let parse = || serde_json::from_slice::<Value>(black_box(bytes.as_bytes())).unwrap_or_default();
        time("serde_json: parsed to a tree", || drop(black_box(parse())));
        let there =
            time("serde_json and jsonschema: parsed and validated", || assert!(oracle.is_valid(&parse())));
        println!("{:>8.2} of it", here / there);
        let Ok(filter) = PropertyFilter::new(None, &["/customer/email", "/items/*/note"]) else { return };
        time("members left out by path", || {
            let filtered = filter.apply(black_box(bytes.as_bytes()), BodyLimits::default());
            assert!(matches!(black_box(filtered), Ok(Filtered::Cut { .. })));
        });
    }
}

fn time(what: &str, mut run: impl FnMut()) -> f64 {
    const ROUNDS: u64 = 500;
    const CALLS: u64 = 100;
    (0..1_000).for_each(|_| run());
    let mut best = f64::INFINITY;
    let before = ALLOCATOR.count();
    for _ in 0..ROUNDS {
        let clock = Instant::now();
        (0..CALLS).for_each(|_| run());
        best = best.min(clock.elapsed().as_secs_f64() / CALLS as f64);
    }
    let allocations = (ALLOCATOR.count() - before) / (ROUNDS * CALLS);
    println!("{:>8.3} µs {allocations:>5} allocations  {what}", best * 1e6);
    best
}
