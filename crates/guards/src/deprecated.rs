//! Operations on their way out.
//!
//! **What it does.** A call of an operation that the contract marks as `deprecated`, or that has a `sunset` (here or as
//! `x-sunset` in the contract), is found. The response says so in `Deprecation` (RFC 9745, where `since` is known) and
//! `Sunset` (RFC 8594). After its sunset an operation can be refused with 410.
//!
//! **The attack.** Old versions of an API live on without the checks of the new one (zombie endpoints).
//! OWASP API9:2023; CWE-1059, CWE-477.
//!
//! ```yaml
//! deprecated:
//!   after_sunset: refuse          # default: find
//! policies:
//!   - match: { path: /v1/** }
//!     deprecated: { since: 2025-01-01, sunset: 2026-01-01, link: https://example.com/migrate }
//! ```
//!
//! Dates are days (`2026-01-01`, its beginning in UTC) or moments (`2026-01-01T12:00:00Z`).

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::{Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    OPERATION_DEPRECATED = "operation-deprecated" 410 Api9 477 Info
        "the operation is deprecated"
        attack "Deprecated operations get fewer checks and less attention than those that replace them."
        client "Move to the operation that replaces it; `Sunset` says until when."
        operator "Watch who still calls it, and tell them.";
    OPERATION_SUNSET = "operation-sunset" 410 Api9 1059 Medium
        "the operation is gone"
        attack "An old version that still answers is the way around the new version's checks."
        client "Move to the operation that replaces it."
        operator "Take it out of the API; or set `deprecated.after_sunset` to `find` while the last callers move.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Deprecated;

/// Operations on their way out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DeprecatedGuard")]
pub(crate) struct Config {
    /// Since when it is deprecated.
    since: Option<String>,
    /// From when on it is gone.
    sunset: Option<String>,
    /// Where people read what to do.
    link: Option<String>,
    /// What happens to calls after the sunset.
    after_sunset: After,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum After {
    /// They pass, and are found.
    #[default]
    Find,
    /// They are refused.
    Refuse,
}

impl Protection for Deprecated {
    const NAME: &'static str = "deprecated";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let Some((_, operation)) = cx.operation else { return Ok(Vec::new()) };
        let expected = "expected a date, such as `2026-01-01` or `2026-01-01T12:00:00Z`";
        let read = |text: &Option<String>, key: &str| {
            text.as_deref()
                .map(|text| moment(text).ok_or_else(|| Fault::new(format!("/{key}"), expected)))
                .transpose()
        };
        let since = read(&config.since, "since")?;
        let mut sunset = read(&config.sunset, "sunset")?;
        if let (None, Some(written)) = (sunset, &operation.sunset) {
            sunset = moment(written);
            if sunset.is_none() {
                cx.warn(format!("`x-sunset` in the contract is no date: {expected}"));
            }
        }
        if !operation.deprecated && since.is_none() && sunset.is_none() {
            return Ok(Vec::new());
        }
        let mut fields = Vec::new();
        let mut field = |name: HeaderName, text: String, key: &str| {
            let value = HeaderValue::from_str(&text)
                .map_err(|_| Fault::new(format!("/{key}"), "expected visible ASCII characters"))?;
            fields.push((name, value));
            Ok(())
        };
        if let Some(since) = since {
            field(HeaderName::from_static("deprecation"), format!("@{}", since.unix_timestamp()), "since")?;
        }
        if let Some(sunset) = sunset {
            let format = format_description!(
                "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
            );
            let text = sunset.to_offset(time::UtcOffset::UTC).format(format);
            field(
                HeaderName::from_static("sunset"),
                text.map_err(|_| Fault::new("/sunset", expected))?,
                "sunset",
            )?;
        }
        if let Some(link) = &config.link {
            field(header::LINK, format!("<{link}>; rel=\"deprecation\""), "link")?;
        }
        let sunset = sunset.map(|moment| u64::try_from(moment.unix_timestamp()).unwrap_or(0));
        let guard = Fade { fields: fields.into(), sunset, after: config.after_sunset };
        Ok(vec![Part::new(Stage::Authorize, guard)])
    }
}

/// A day or a moment.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    day()
        .map(|day| day.midnight().assume_utc())
        .or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok())
        .or_else(|| OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok())
}

#[derive(Debug)]
struct Fade {
    fields: Box<[(HeaderName, HeaderValue)]>,
    /// Seconds since the Unix epoch.
    sunset: Option<u64>,
    after: After,
}

impl Guard for Fade {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        cx.facts.deprecated = true;
        if cx.enforcing {
            for (name, value) in &self.fields {
                cx.add_response_header(name.clone(), value.clone());
            }
        }
        let gone = self.sunset.is_some_and(|sunset| cx.now.unix_ns / 1_000_000_000 >= sunset);
        match (gone, self.after) {
            (true, After::Refuse) => {
                return Ok(Denial::new(&OPERATION_SUNSET, "called after its sunset").into());
            }
            (true, After::Find) => cx.find(&OPERATION_SUNSET, "called after its sunset"),
            (false, _) => cx.find(&OPERATION_DEPRECATED, "called although deprecated"),
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "deprecated_tests.rs"]
mod tests;
