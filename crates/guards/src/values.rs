//! Bounds on single values, where the contract leaves them open.
//!
//! **What it does.** Holds parameters and members of bodies against bounds of their own, beside what the contract says
//! of them: `minimum` and `maximum` of numbers, `minLength`, `maxLength` and `pattern` of texts, `enum`, `type`. A
//! value that is missing is not judged, unless it is `required`: then one must be there, and `null` is none. The names are
//! those of JSON Schema. It closes a hole until the contract says the same; then `validate` does it.
//!
//! **The attack.** An amount below zero, a page of a million entries, a text of a megabyte, a password of one letter, an
//! operator in the place of a value. OWASP API4:2023, API6:2023, API8:2023; CWE-20, CWE-1284, CWE-770.
//!
//! ```yaml
//! policies:
//!   - match: { operation: transfer }
//!     values: { body./amount: { type: number, minimum: 0.01 } }
//!   - match: { operation: listOrders }
//!     values: { query.limit: { maximum: 100 } }
//! ```
//!
//! Places are those of other guards: `path.NAME`, `query.NAME`, `header.NAME`, `cookie.NAME`, and `body.` with a JSON
//! pointer in which `*` stands for every element. In a form, the name stands behind the slash. Whatever a server could read
//! as the name counts: `UserID` and `filter[user_id]` for `userId`. A body that cannot be read as JSON or as a form is
//! refused where a place in it has bounds.

use std::collections::BTreeMap;

use portcullis_engine::{
    Body, BodyLength, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict,
};
use portcullis_openapi::{BodyLimits, Edit, Found};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::codes::codes;
use crate::config::escape;
use crate::place::{Place, Spot, Stood};
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    VALUE_REFUSED = "value-refused" 400 Api8 1284 Medium
        "a value is out of its bounds"
        attack "Values that no honest client sends: below zero, without end, of another type."
        client "The reason names the place; send a value within its bounds."
        operator "If ordinary clients send such values, widen the bounds under `values`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Values;

/// By place: its bounds.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "ValuesGuard")]
pub(crate) struct Config(BTreeMap<String, Bound>);

/// What a value must be. The names are those of JSON Schema.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schemars(rename = "ValueBounds")]
struct Bound {
    /// Its type; in a query, a path or a form, what can be read as such.
    #[serde(rename = "type")]
    kind: Option<Type>,
    /// A number's lower bound.
    minimum: Option<f64>,
    /// A number's upper bound.
    maximum: Option<f64>,
    /// Characters of a text at least.
    min_length: Option<usize>,
    /// Characters of a text at most.
    max_length: Option<usize>,
    /// What a text must match, as a whole.
    pattern: Option<String>,
    /// The values that there are.
    #[serde(rename = "enum")]
    among: Option<Vec<Value>>,
    /// Whether there must be a value. Default false.
    required: bool,
}

/// A type of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ValueType")]
enum Type {
    String,
    Number,
    Integer,
    Boolean,
}

impl Protection for Values {
    const NAME: &'static str = "values";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let mut bounded = Vec::new();
        for (text, bound) in &config.0 {
            let at = format!("/{}", escape(text));
            let place: Place = text.parse().map_err(|message: String| Fault::new(&at, message))?;
            let spot = Spot::of(place, cx, &at)?;
            let pattern =
                bound.pattern.as_deref().map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose();
            let pattern = pattern.map_err(|error| Fault::new(format!("{at}/pattern"), error.to_string()))?;
            bounded.push(Bounded { spot, bound: bound.clone(), pattern });
        }
        match bounded.is_empty() {
            true => Ok(Vec::new()),
            false => {
                let limits = BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values };
                Ok(vec![Part::new(Stage::Validate, Within { bounded, limits })])
            }
        }
    }
}

#[derive(Debug)]
struct Bounded {
    spot: Spot,
    bound: Bound,
    pattern: Option<Regex>,
}

impl Bounded {
    /// What is wrong with a value of a JSON document, as it is written.
    fn json(&self, token: &str) -> Option<String> {
        let bound = &self.bound;
        if self.is_scalar() && token.starts_with(['{', '[']) {
            return Some("expected a single value".into());
        }
        let Ok(value) = &serde_json::from_str::<Value>(token) else {
            return Some("expected a value that can be read".into());
        };
        let right = match (bound.kind, value) {
            (None, _) => true,
            (Some(Type::String), value) => value.is_string(),
            (Some(Type::Number), value) => value.is_number(),
            (Some(Type::Integer), value) => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            (Some(Type::Boolean), value) => value.is_boolean(),
        };
        if !right {
            return Some(format!("expected the type `{}`", type_name(bound.kind)));
        }
        if let Some(among) = &bound.among
            && !among.contains(value)
        {
            return Some("it is none of the values that there are".into());
        }
        match value {
            Value::Number(number) => self.number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => {
                // Some servers read a text of digits as a number.
                let number: Option<f64> = text.trim().parse().ok();
                let number = number.filter(|_| bound.minimum.or(bound.maximum).is_some());
                self.text(text).or_else(|| number.and_then(|number| self.number(number)))
            }
            _ => None,
        }
    }

    /// What is wrong with a value that came as a text.
    fn plain(&self, bytes: &[u8]) -> Option<String> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Some("expected UTF-8".into()) };
        let bound = &self.bound;
        let number: Option<f64> = text.trim().parse().ok();
        let right = match bound.kind {
            None | Some(Type::String) => true,
            Some(Type::Number) => number.is_some(),
            Some(Type::Integer) => number.is_some_and(|number| number.fract() == 0.0),
            Some(Type::Boolean) => matches!(text, "true" | "false"),
        };
        if !right {
            return Some(format!("expected the type `{}`", type_name(bound.kind)));
        }
        if let Some(among) = &bound.among {
            let is = |value: &Value| match value {
                Value::String(known) => known == text,
                other => *other.to_string() == *text,
            };
            if !among.iter().any(is) {
                return Some("it is none of the values that there are".into());
            }
        }
        let numeric = bound.minimum.or(bound.maximum).is_some();
        match (numeric, number) {
            (true, Some(number)) => self.number(number),
            (true, None) if !text.is_empty() => Some("expected a number".into()),
            _ => self.text(text),
        }
    }

    fn number(&self, number: f64) -> Option<String> {
        let Bound { minimum, maximum, .. } = self.bound;
        if minimum.or(maximum).is_some() && !number.is_finite() {
            return Some("expected a finite number".into());
        }
        match (minimum, maximum) {
            (Some(least), _) if number < least => Some(format!("expected at least {least}")),
            (_, Some(most)) if number > most => Some(format!("expected at most {most}")),
            _ => None,
        }
    }

    fn text(&self, text: &str) -> Option<String> {
        let Bound { min_length, max_length, .. } = self.bound;
        // Bytes first: a text has at most as many characters.
        if let Some(most) = max_length.filter(|most| text.len() > *most && text.chars().nth(*most).is_some())
        {
            return Some(format!("expected at most {most} characters"));
        }
        if let Some(least) = min_length.filter(|least| text.chars().count() < *least) {
            return Some(format!("expected at least {least} characters"));
        }
        let fits = self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        (!fits).then(|| "it does not match the pattern".into())
    }

    /// Whether the bounds are those of a single value.
    fn is_scalar(&self) -> bool {
        let Bound { minimum, maximum, min_length, max_length, .. } = self.bound;
        minimum.or(maximum).is_some() || min_length.or(max_length).is_some() || self.pattern.is_some()
    }

    fn refuse(&self, reason: &str) -> Verdict {
        Denial::new(&VALUE_REFUSED, format!("{}: {reason}", self.spot)).into()
    }
}

fn type_name(kind: Option<Type>) -> &'static str {
    match kind {
        Some(Type::Number) => "number",
        Some(Type::Integer) => "integer",
        Some(Type::Boolean) => "boolean",
        Some(Type::String) | None => "string",
    }
}

const MISSING: &str = "expected a value";

#[derive(Debug)]
struct Within {
    bounded: Vec<Bounded>,
    limits: BodyLimits,
}

impl Within {
    fn in_body(&self) -> impl Iterator<Item = &Bounded> {
        self.bounded.iter().filter(|bounded| bounded.spot.is_in_body())
    }
}

impl Guard for Within {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: self.in_body().next().is_some(), ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        // An empty body is not shown to anybody.
        let no_body = matches!(cx.request_body(), BodyLength::None | BodyLength::Exact(0));
        for bounded in &self.bounded {
            let (mut wrong, mut missing) = (None, true);
            bounded.spot.in_head(cx.request, &mut |value| {
                missing = false;
                if wrong.is_none() {
                    wrong = bounded.plain(value);
                }
            });
            missing &= bounded.bound.required && (no_body || !bounded.spot.is_in_body());
            match wrong {
                Some(reason) => return Ok(bounded.refuse(&reason)),
                None if missing => return Ok(bounded.refuse(MISSING)),
                None => {}
            }
        }
        Ok(Verdict::Pass)
    }

    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }

    fn request_body(&self, _: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        for bounded in self.in_body() {
            let (mut wrong, mut missing) = (None, bounded.bound.required);
            let read = bounded.spot.in_body(body, self.limits, &mut |stood| {
                let null = matches!(stood, Stood::Json(Found { token: "null", .. }));
                missing &= null;
                if wrong.is_none() {
                    wrong = match stood {
                        Stood::Json(_) if null => None,
                        Stood::Json(found) => bounded.json(found.token),
                        Stood::Text(bytes) => bounded.plain(bytes),
                    };
                }
                Edit::Keep
            });
            match (wrong, read) {
                (Some(reason), _) => return Ok(bounded.refuse(&reason)),
                (None, Ok(())) if missing => return Ok(bounded.refuse(MISSING)),
                (None, Ok(())) => {}
                (None, Err(_)) => return Ok(bounded.refuse("expected JSON or a form that can be read")),
            }
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
