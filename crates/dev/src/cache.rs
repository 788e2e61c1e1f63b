//! Where the chores keep what they install and build: a folder of the user's, outside the clone.

use std::env;
use std::path::{Path, PathBuf};

/// The cache folder: `$XDG_CACHE_HOME/portcullis`, or `~/.cache/portcullis`.
#[must_use]
pub fn folder() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache"),
        PathBuf::from,
    );
    base.join("portcullis")
}

/// The Python environment that `cargo dev setup` makes.
#[must_use]
pub fn venv() -> PathBuf {
    folder().join("python")
}

/// The folder whose `node_modules` holds the npm packages that `cargo dev setup` installs.
#[must_use]
pub fn node() -> PathBuf {
    folder().join("node")
}

/// The folder of programs built from Go modules.
#[must_use]
pub fn go_bin() -> PathBuf {
    folder().join("go/bin")
}

/// The root of programs built with `cargo install`.
#[must_use]
pub fn cargo_root() -> PathBuf {
    folder().join("cargo")
}

/// The project's root folder: the one that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Envoy. The Python package's own launcher stays in between; this is the program beside it.
#[must_use]
pub fn envoy() -> Option<PathBuf> {
    let packages = std::fs::read_dir(venv().join("lib")).into_iter().flatten().flatten();
    packages
        .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.is_file())
        .or_else(|| program("envoy"))
}

/// Looks a program up: first among those in the cache folder, then in `PATH`, then in the folders for
/// administrators (`/usr/sbin`, where nginx and HAProxy live and which a user's `PATH` often lacks).
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let own = [go_bin(), venv().join("bin"), node().join("node_modules/.bin"), cargo_root().join("bin")];
    let path = env::var_os("PATH").unwrap_or_default();
    own.into_iter()
        .chain(env::split_paths(&path))
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
