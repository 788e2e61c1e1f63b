//! Any bytes as an uploaded file, and as a multipart body with files: what they are, and what is in archives. They never
//! panic, no archive unpacks to more than its bounds, and the answer is the same twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_inspect::{leaves, upload};

fuzz_target!(|data: &[u8]| {
    let limits = upload::Limits { unpacked: 1 << 20, ..upload::Limits::default() };
    let part = leaves::Part {
        name: b"f",
        filename: Some(b"a.bin"),
        extended: false,
        content_type: None,
        encoding: None,
        content: data,
    };
    let wrong = upload::judge(&part, &limits);
    assert_eq!(wrong, upload::judge(&part, &limits), "the same twice");
    if let Ok(parts) = leaves::parts(data, "b") {
        for part in &parts {
            let _ = upload::judge(part, &limits);
        }
    }
});
