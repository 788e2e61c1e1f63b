#![expect(clippy::print_stdout, reason = "it is a command")]
//! What `benches/contract/peers.mjs` times of others, here: loading documents, and a whole call with its body; and
//! finding the operation of a path among 800 templates.
//!
//! `peers ORDERS BODY DOCUMENT...` writes one JSON object: milliseconds for each document, microseconds for a call.
//! Times are the best of several rounds. `cargo dev bench contract` runs it.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use portcullis_openapi::{Checks, Contract, Options, Route};
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [orders, body, documents @ ..] = arguments.as_slice() else {
        return Err("expected a document of orders, a body, and documents to load".into());
    };
    let read = |file: &String| {
        let bytes = std::fs::read(file)?;
        Contract::parse(file, &bytes, &Options::default())
            .map_err(|error| Box::<dyn Error>::from(error.to_string()))
    };
    let mut load = Map::new();
    for document in documents {
        let mut least = f64::INFINITY;
        for _ in 0..5 {
            let clock = Instant::now();
            black_box(read(document)?);
            least = least.min(clock.elapsed().as_secs_f64() * 1e3);
        }
        load.insert(document.clone(), json!(least));
    }
    let contract = read(orders)?;
    let body = std::fs::read(body)?;
    let call = |body: &[u8]| {
        let path = black_box("/orders/42");
        let Route::Found { operation, captures } = contract.route("POST", path, None) else {
            return usize::MAX;
        };
        let headers = [("content-type", b"application/json".as_slice())];
        let query = Some(black_box("page=3&sort=asc"));
        let head =
            contract.check_request_head(operation, &captures, query, headers.into_iter(), Checks::default());
        let kind = Some("application/json");
        head.len() + contract.check_request_body(operation, kind, black_box(body), Checks::default()).len()
    };
    if call(&body) != 0 || call(b"{") == 0 {
        return Err("the call is not judged as it should be".into());
    }
    let validate = least(|| {
        black_box(call(&body));
    });
    let templates = templates()?;
    let route = least(|| {
        black_box(templates.route("GET", black_box("/v1/resource567/123456/sub"), None));
    });
    println!("{}", json!({"load": Value::Object(load), "validate": validate, "route": route}));
    Ok(())
}

fn templates() -> Result<Contract, Box<dyn Error>> {
    let template = |index| (format!("/v1/resource{index}/{{id}}/sub"), json!({"get": {"responses": {}}}));
    let paths: Map<String, Value> = (0..800).map(template).collect();
    let document = json!({"openapi": "3.1.0", "paths": paths}).to_string();
    Ok(Contract::parse("templates.json", document.as_bytes(), &Options::default())?)
}

/// Microseconds of a run, in the best of many rounds.
fn least(mut run: impl FnMut()) -> f64 {
    const CALLS: u32 = 2_000;
    let mut least = f64::INFINITY;
    for _ in 0..50 {
        let clock = Instant::now();
        (0..CALLS).for_each(|_| run());
        least = least.min(clock.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    least
}
