//! The report as JSON: the model as it is, which `portcullis fix` and baselines read back.

use super::Report;

/// The report as JSON.
pub(super) fn write(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
