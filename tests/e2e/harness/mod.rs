//! What the areas share: starting the gateway and its peers, clients that send exact bytes, and the vectors.

pub(crate) mod client;
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
