//! What guards cost a call: nanoseconds and allocations from head to record, beyond what the engine itself costs.
//!
//! `cargo run --release -p portcullis-guards --example cost`

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use portcullis_engine::*;
use portcullis_guards::{Policies, REGISTRY, compile};
use portcullis_identity::{KeyEntry, KeyRing, KeyRingHandle, Pepper};
use portcullis_openapi::{Contract, Options};
use serde_json::{Value, json};

use counting::Counting;
use portcullis_engine::Fields;

#[path = "../../../benches/counting.rs"]
mod counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: u32 = 2_000;

const CONTRACT: &str = r#"
openapi: 3.0.3
info: { title: Bench, version: '1' }
components:
  securitySchemes: { key: { type: apiKey, in: header, name: X-API-Key } }
  schemas:
    Order:
      type: object
      required: [id, items]
      properties:
        id: { type: string, format: uuid }
        created: { type: string, format: date-time }
        customer: { type: object, properties: { name: { type: string }, email: { type: string, format: email } } }
        state: { type: string, enum: [new, paid, sent] }
        items:
          type: array
          maxItems: 100
          items:
            type: object
            required: [sku, quantity]
            properties:
              sku: { type: string, pattern: '^[A-Z]{2}-[0-9]{4}$' }
              quantity: { type: integer, minimum: 1 }
              price: { type: number, minimum: 0 }
              note: { type: string, maxLength: 200 }
security: [{ key: [] }]
paths:
  /v1/orders/{id}:
    get:
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer, minimum: 1 } }
        - { name: expand, in: query, schema: { type: string, enum: [items, customer] } }
      responses: { '200': { description: ok, content: { application/json: {} } } }
    post:
      parameters: [{ name: id, in: path, required: true, schema: { type: integer, minimum: 1 } }]
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Order' } } }
      responses: { '200': { description: ok, content: { application/json: {} } } }
"#;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may stop at what it did not expect"
)]
fn main() {
    let pepper = Pepper::new([1; 32]);
    let entry = |i: u32| {
        let digest = pepper.digest(format!("key-{i}"));
        KeyEntry::new(digest, CredentialKind::ApiKey, format!("consumer-{i}"), format!("k{i}"))
    };
    let count: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000).max(1000);
    let keys = KeyRingHandle::new(KeyRing::new(pepper.clone(), (0..count).map(entry)).unwrap());
    let secrets: Vec<String> =
        (0..count).step_by((count as usize / 1000).max(1)).map(|i| format!("key-{i}")).collect();
    let client = std::net::IpAddr::from([192, 0, 2, 7]);
    let look_up = measure(|i| {
        let secret = &secrets[i as usize % secrets.len()];
        std::hint::black_box(keys.load().api_key(secret.as_bytes(), 0, client));
    });
    println!("one key among {count}: {:.0} ns, {:.1} allocations", look_up.0, look_up.1);

    let off = |but: &[&str]| -> Value {
        let section = |name: &str| match (but.contains(&name), name) {
            (true, "limit") => json!({ "baseline": { "rate": "1000000000/s" } }),
            (true, _) => json!({}),
            (false, _) => json!("off"),
        };
        REGISTRY.iter().map(|entry| (entry.name.to_owned(), section(entry.name))).collect()
    };
    let contract = Arc::new(Contract::parse("bench.yaml", CONTRACT.as_bytes(), &Options::default()).unwrap());
    let with = |policies: &Value| {
        let policies = Policies::from_value(policies).unwrap();
        let state = Arc::new(State::default());
        compile(Some(Arc::clone(&contract)), &policies, Settings::default(), keys.clone(), state)
            .unwrap()
            .engine
    };
    let none = exchange(&with(&off(&[])), None);
    println!("engine and routing alone: {:.0} ns, {:.1} allocations", none.0, none.1);
    let all: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
    let four = ["authenticate", "validate", "limit", "headers"];
    for name in &all {
        let cost = exchange(&with(&off(&[name])), None);
        println!("  {name}: +{:.0} ns, +{:.1} allocations", cost.0 - none.0, cost.1 - none.1);
    }
    for (label, guards) in [("key, contract, limit, headers", &four[..]), ("all", &all[..])] {
        let cost = exchange(&with(&off(guards)), None);
        println!("{label}: +{:.0} ns, +{:.1} allocations", cost.0 - none.0, cost.1 - none.1);
    }
    let one =
        json!({ "sku": "AB-1234", "quantity": 2, "price": 9.5, "note": "leave it at the door, please" });
    let order = json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "created": "2024-02-29T12:00:00Z", "state": "new",
        "customer": { "name": "Ada Lovelace", "email": "ada@example.com" }, "items": vec![one; 11],
    });
    let body = Bytes::from(order.to_string());
    let streamed = exchange(&with(&off(&[])), Some(&body));
    let validated = exchange(&with(&off(&["validate"])), Some(&body));
    println!(
        "POST of {} bytes, validated: +{:.0} ns, +{:.1} allocations beyond {:.0} ns where it streams past",
        body.len(),
        validated.0 - streamed.0,
        validated.1 - streamed.1,
        streamed.0
    );
}

/// A GET, or a POST of a JSON body.
#[expect(clippy::print_stdout, reason = "a bench says what it did not expect")]
fn exchange(engine: &Arc<Engine>, body: Option<&Bytes>) -> (f64, f64) {
    let connection = Connection {
        peer: std::net::SocketAddr::from(([192, 0, 2, 7], 4711)),
        local: std::net::SocketAddr::from(([192, 0, 2, 1], 80)),
        scheme: Scheme::Http,
        sni: None,
        certificate: None,
    };
    let mut headers = Fields::with_capacity(16);
    for (name, value) in
        [("host", "api.example.com"), ("user-agent", "bench/1"), ("accept", "*/*"), ("x-api-key", "key-0")]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if body.is_some() {
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
    }
    let mut response = Fields::with_capacity(16);
    for (name, value) in
        [("content-type", "application/json"), ("content-length", "1024"), ("server", "bench")]
    {
        response.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let target = match body {
        None => Bytes::from_static(b"/v1/orders/4711?expand=items"),
        Some(_) => Bytes::from_static(b"/v1/orders/4711"),
    };
    measure(|i| {
        let head = RequestHead {
            method: if body.is_some() { Method::POST } else { Method::GET },
            target: target.clone(),
            authority: None,
            version: Version::HTTP_11,
            headers: headers.clone(),
            body: body.map_or(BodyLength::None, |body| BodyLength::Exact(body.len() as u64)),
        };
        let now = Now::recorded(1_800_000_000_000_000_000 + u64::from(i) * 10_000);
        let mut inspection = Arc::clone(engine).begin(head, &connection, ExchangeId(u128::from(i)), now);
        let permit = match (inspection.request_head(), body) {
            (Step::NeedBody { .. }, Some(body)) => inspection.request_body(body.clone()),
            (step, _) => step,
        };
        let Step::Forward(permit) = permit else { return println!("not let through: {permit:?}") };
        std::hint::black_box(&permit);
        let answer =
            ResponseHead { status: StatusCode::OK, headers: response.clone(), body: BodyLength::Exact(1024) };
        std::hint::black_box(inspection.response_head(answer, now));
        std::hint::black_box(inspection.finish(Outcome {
            status: StatusCode::OK,
            end: End::Complete,
            bytes_in: 0,
            bytes_out: 1024,
            upstream: None,
            upstream_ns: None,
            now,
        }));
    })
}

/// What this thread used of a processor, in nanoseconds.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The best of many short rounds: what others on the machine take is not ours.
fn measure(mut call: impl FnMut(u32)) -> (f64, f64) {
    (0..1000).for_each(&mut call);
    let mut best = (f64::MAX, 0.0);
    for _ in 0..200 {
        let before = ALLOCATOR.count();
        let start = cpu_ns();
        (0..CALLS).for_each(&mut call);
        let nanoseconds = (cpu_ns() - start) as f64 / f64::from(CALLS);
        let allocations = (ALLOCATOR.count() - before) as f64 / f64::from(CALLS);
        if nanoseconds < best.0 {
            best = (nanoseconds, allocations);
        }
    }
    best
}
