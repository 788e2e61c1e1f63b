//! What the areas share: starting the gateway and its peers, clients that send exact bytes, and the vectors.

pub(crate) mod client;
pub(crate) mod fga;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod page;
pub(crate) mod peers;
pub(crate) mod point;
pub(crate) mod provider;
pub(crate) mod recorder;
pub(crate) mod tap;
pub(crate) mod vectors;

use std::path::PathBuf;
use std::time::Duration;

/// Longer than any honest answer over loopback takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The folder of the test data.
pub(crate) fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The path of an installed program, or `None` after saying that the test is skipped and why.
pub(crate) fn needs(test: &str, program: &str) -> Option<PathBuf> {
    let found = portcullis_dev::cache::program(program);
    if found.is_none() {
        println!("SKIPPED {test}: `{program}` is not installed; run `cargo dev setup`");
    }
    found
}

/// Base64 for URLs, without padding (RFC 4648 section 5).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    out
}
