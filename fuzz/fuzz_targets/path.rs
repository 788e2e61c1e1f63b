//! The path normaliser: never panics, is idempotent, and what it lets through has one reading.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis_engine::canonical;

fuzz_target!(|data: &[u8]| {
    let raw = Bytes::copy_from_slice(data);
    for encoded_slash in [false, true] {
        let Ok(target) = canonical::target(&raw, encoded_slash) else { continue };
        let text = std::str::from_utf8(&target.bytes).expect("canonical targets are ASCII");
        assert!(text.is_ascii());
        let path = &text[..target.path_len];
        if path == "*" {
            continue;
        }
        assert!(path.starts_with('/'));
        assert!(!path.contains("//") && !path.contains('\\') && !path.contains(['#', '?', ' ']));
        for segment in path.split('/') {
            assert!(segment != "." && segment != "..");
        }
        let again = canonical::target(&target.bytes, encoded_slash).expect("a canonical target is accepted");
        assert_eq!(again.bytes, target.bytes);
        assert_eq!(again.path_len, target.path_len);
    }
});
