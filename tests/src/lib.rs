//! End-to-end tests over real components: see `e2e/main.rs`. This library is empty; the package exists for its
//! test binary, the one place that may know every crate.
