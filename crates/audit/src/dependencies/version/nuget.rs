//! NuGet: Semantic Versioning with an optional fourth number, and labels without regard to case.

use std::cmp::Ordering;

use super::BadVersion;
use super::semver;

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, BadVersion> {
    semver::compare(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}
