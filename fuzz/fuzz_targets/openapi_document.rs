//! Any bytes as a document: no panic, no hang, and what loads can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_openapi::source::Limits;
use portcullis_openapi::{Checks, Contract, Direction, Options, Route};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bytes: 1 << 20, nodes: 100_000, aliased_nodes: 20_000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let Ok(contract) = Contract::parse("fuzz.yaml", bytes, &options) else { return };
    contract.changes(&contract);
    for (index, operation) in contract.operations().iter().enumerate().take(16) {
        let content = operation.body.iter().flat_map(|body| &body.content);
        for schema in content.filter_map(|media| media.schema) {
            contract.outline(schema, Direction::Request, 8);
        }
        let path = operation.path.replace(['{', '}'], "");
        if let Route::Found { operation, captures } = contract.route(operation.method.as_str(), &path, None) {
            let headers = [("x-a", b"1".as_slice()), ("cookie", b"a=b; c=d".as_slice())];
            let query = Some("a=1&b[c]=2&d=3,4");
            contract.check_request_head(operation, &captures, query, headers.into_iter(), Checks::default());
        }
        let body = br#"{"a": 1, "b": ["x", null, 1.5], "c": {"d": true}}"#;
        contract.check_request_body(index, Some("application/json"), body, Checks::default());
        contract.check_response_body(index, 200, Some("application/json"), body, Checks::default());
    }
});
