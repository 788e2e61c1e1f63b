//! The body parser: never panics, keeps its bounds, and agrees with a plain JSON parser on what it accepts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis_engine::Bounds;
use portcullis_engine::body::{decode, parse_json};

fuzz_target!(|data: &[u8]| {
    let bounds = Bounds { request_body: 1 << 20, json_depth: 16, json_values: 1000, ..Bounds::default() };
    if let Ok(value) = parse_json(data, &bounds) {
        let plain: serde_json::Value = serde_json::from_slice(data).expect("what is accepted is JSON");
        assert_eq!(value, plain);
    }
    let Some((coding, rest)) = data.split_first() else { return };
    let coding = match coding % 4 {
        0 => "gzip",
        1 => "deflate",
        2 => "br",
        _ => "identity",
    };
    if let Ok(decoded) = decode(&Bytes::copy_from_slice(rest), Some(coding), 1 << 20, &bounds) {
        assert!(decoded.len() <= 1 << 20);
    }
});
