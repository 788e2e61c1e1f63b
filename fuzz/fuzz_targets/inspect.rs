//! Any bytes as a value in every place, and as a body of every form: every decoder and tokenizer of the inspection.
//! They never panic, their work stays within so many steps a byte, and what they answer is the same twice.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use portcullis_inspect::leaves::{self, Format, Leaf};
use portcullis_inspect::{Place, inspect, steps, upload};

/// Steps a byte, and for a value at all; see `work_is_bounded` in the crate's tests.
const STEPS: u64 = 200;
const FIXED: u64 = 60_000;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let place = match choice % 7 {
        0 => Place::Query,
        1 => Place::Path,
        2 => Place::Header,
        3 => Place::Cookie,
        4 => Place::Form,
        5 => Place::Body,
        _ => Place::Name,
    };
    let verdict = inspect(rest, place);
    assert_eq!(verdict, inspect(rest, place));
    assert!(verdict.is_none_or(|verdict| verdict.score <= 100 && verdict.evidence.len() <= 400));
    let steps = steps(rest, place);
    assert!(steps <= FIXED + STEPS * rest.len() as u64, "{steps} steps for {} bytes", rest.len());
    let format = match choice / 7 % 7 {
        0 => Format::Json,
        1 => Format::Form,
        2 => Format::Multipart,
        3 => Format::Xml,
        4 => Format::GraphQl,
        5 => Format::Text,
        _ => Format::guess(rest),
    };
    // What the leaves hold together is not much more than the body: names that stand twice are joined once.
    let mut total = 0;
    let mut visit = |leaf: Leaf<'_>| {
        total += leaf.bytes.len();
        ControlFlow::Continue(())
    };
    let _ = leaves::body(rest, format, "multipart/form-data; boundary=b", &mut visit);
    assert!(total <= 8 * rest.len() + 8192, "{total} bytes of leaves for {} bytes", rest.len());
    if let Ok(parts) = leaves::parts(rest, "b") {
        parts.iter().for_each(|part| drop(upload::judge(part, &upload::Limits::default())));
    }
    leaves::path(rest, &mut |_| ControlFlow::Continue(()));
    leaves::header("referer", rest, &mut |_| ControlFlow::Continue(()));
    leaves::cookies(rest, &mut |_| ControlFlow::Continue(()));
});
