//! Any bytes as a body of every form, as a path, a query, a header: the parsers of requests. They never panic, what they
//! hold together is not much more than what they were given, and it takes its time and no more.
#![no_main]

mod oracle;

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use portcullis_inspect::leaves::{self, Format, Leaf};

const FORMATS: [Format; 6] =
    [Format::Json, Format::Form, Format::Multipart, Format::Xml, Format::GraphQl, Format::Text];

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let format = FORMATS.get(usize::from(choice) % 7).copied().unwrap_or_else(|| Format::guess(body));
    let mut total = 0;
    let mut visit = |leaf: Leaf<'_>| {
        total += leaf.bytes.len();
        ControlFlow::Continue(())
    };
    let _ = leaves::body(body, format, "multipart/form-data; boundary=b", &mut visit);
    // Names that stand twice are joined once.
    assert!(total <= 8 * body.len() + 8192, "{total} bytes of leaves for {} bytes", body.len());
    oracle::in_time(body.len(), || {
        let mut visit = |_: Leaf<'_>| ControlFlow::Continue(());
        let _ = leaves::body(body, format, "multipart/form-data; boundary=b", &mut visit);
    });
    oracle::in_time(body.len() * 4, || {
        let mut visit = |_: Leaf<'_>| ControlFlow::Continue(());
        leaves::path(body, &mut visit);
        leaves::query(body, &mut visit);
        leaves::header("referer", body, &mut visit);
        leaves::cookies(body, &mut visit);
    });
});
