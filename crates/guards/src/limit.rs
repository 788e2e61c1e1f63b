//! How often, how much and how many at once: rates, quotas and concurrency.
//!
//! **What it does.** Counts calls by client address, consumer, key, claim, operation, header or all together, and refuses
//! with 429 and `Retry-After` what goes beyond. A `rate` is even, with room for a `burst` (GCRA); a `quota` is a
//! number for each whole minute, hour or day (UTC); `concurrent` is how many calls may be under way at once.
//! Responses say what is left in `RateLimit-Policy` and `RateLimit` (the IETF's draft-ietf-httpapi-ratelimit-headers).
//!
//! A client is an IPv4 address or an IPv6 /64. Rules by `client`, `operation`, `global` and `header` count before
//! the credential is looked at, so that guessing is limited too; rules by `consumer`, `key` and `claim` count once it
//! is proved, and by client where no credential is asked for. `claim:NAME` is a claim of the token (`claim:sub`,
//! `claim:tenant`), or one within another by its JSON pointer (`claim:/org/id`); a token without it counts by consumer.
//!
//! **Without configuration** each client may send 100 calls a second, 200 at once (`baseline`), and of calls that the
//! contract does not have (404 and 405) 5 a second, 100 at once (`unmatched`): enough for every client that follows
//! the documentation, too few to search for what it does not say. Clients behind one address share both: name the
//! proxies in front under `trusted_hops`, or raise them. Where such calls are let through
//! (`validate.unknown_path: monitor`), only `baseline` counts them.
//!
//! **The attack.** Guessing passwords and keys, scraping, running up costs, starving everybody else.
//! OWASP API4:2023 (and API6:2023); CWE-770, CWE-307, CWE-799.
//!
//! ```yaml
//! limit:
//!   baseline: { rate: 200/s, burst: 400, per: client }   # or: off
//!   unmatched: { rate: 30/min, per: client }             # or: off
//!   rules:
//!     - { quota: 10000/day, per: consumer }
//!     - { concurrent: 20, per: consumer }
//!     - { rate: 50/s, per: claim:sub }
//! policies:
//!   - match: { tag: login }
//!     limit: { rate: 5/min, per: client }                # one rule needs no list
//!   - match: { operation: search }
//!     limit: { rules: [{ rate: 10/s, per: [client, operation] }, { rate: 100/s, per: "header:X-Tenant" }] }
//! ```
//!
//! A list of `rules` in a policy takes the place of the list that holds for all; a single rule is beside it.
//! Counters belong to the rule where it is written: two policies never share one, unless their rules have one `name`.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use portcullis_engine::state::{Key, Rate, Taken};
use portcullis_engine::{Code, Cx, Denial, Guard, GuardError, Hooks, Stage, Verdict};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use smallvec::SmallVec;

use crate::codes::codes;
use crate::config::escape;
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::text::Field;

codes! {
    RATE_EXCEEDED = "rate-exceeded" 429 Api4 770 Medium
        "too many calls in too short a time"
        attack "Floods, guessing and scraping live from calls that cost their sender nothing."
        client "Slow down; retry after the seconds that `Retry-After` names."
        operator "Raise the rule's `rate` or `burst` under `limit`.";
    QUOTA_EXCEEDED = "quota-exceeded" 429 Api4 770 Low
        "the quota is used up"
        attack "One consumer uses what was meant for all, or runs up the bill."
        client "Wait for the next period, which begins after `Retry-After` seconds, or ask for a larger quota."
        operator "Raise the rule's `quota` under `limit`.";
    CONCURRENCY_EXCEEDED = "concurrency-exceeded" 429 Api4 770 Medium
        "too many calls at once"
        attack "Slow calls, many at a time, hold workers and connections until none is left."
        client "Wait for earlier calls to end before sending more."
        operator "Raise the rule's `concurrent` under `limit`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Limit;

/// Rates, quotas and concurrency.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "LimitGuard")]
pub(crate) struct Config {
    /// What holds for everyone: a rule, or `off`. Default 100 calls a second, 200 at once, for each client.
    baseline: Standing,
    /// What holds beside it for calls that are refused since the contract does not have them: a rule, or `off`.
    /// Default 5 calls a second, 100 at once, for each client.
    unmatched: Standing,
    /// One rule: so many calls in so long, such as `100/s`, `5/min` or `20/10s`.
    rate: Option<Amount>,
    /// Calls of `rate` that may come at once. Default: as many as `rate` allows in its period.
    burst: Option<u32>,
    /// One rule: so many calls in each whole period, such as `10000/day`.
    quota: Option<Amount>,
    /// One rule: so many calls under way at once.
    concurrent: Option<u32>,
    /// Whose calls are counted together: `client`, `consumer`, `key`, `claim:NAME`, `operation`, `global`,
    /// `header:NAME`, or a list of these. Default `client`.
    per: Per,
    /// The rule's name in the `RateLimit` fields.
    name: Option<String>,
    /// Several rules.
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Rule {
    /// So many calls in so long, such as `100/s`, `5/min` or `20/10s`.
    rate: Option<Amount>,
    /// Calls of `rate` that may come at once. Default: as many as `rate` allows in its period.
    burst: Option<u32>,
    /// So many calls in each whole period, such as `10000/day`.
    quota: Option<Amount>,
    /// So many calls under way at once.
    concurrent: Option<u32>,
    /// Whose calls are counted together. Default `client`.
    per: Per,
    /// Its name in the `RateLimit` fields. Rules with one name share their counters.
    name: Option<String>,
}

/// A rule that holds unless another is written, or `off`.
#[derive(Debug, Clone, Default)]
enum Standing {
    /// Nothing was written.
    #[default]
    Usual,
    Off,
    Rule(Rule),
}

impl JsonSchema for Standing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Standing".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<Rule>();
        json_schema!({ "anyOf": [rule, { "enum": ["off", true, false] }] })
    }
}

impl Standing {
    /// The rule, where `calls` a second and `burst` at once are usual.
    fn rule(&self, calls: u64, burst: u32) -> Option<Cow<'_, Rule>> {
        let rate = Amount { calls, period_ns: SECOND };
        match self {
            Standing::Usual => {
                Some(Cow::Owned(Rule { rate: Some(rate), burst: Some(burst), ..Rule::default() }))
            }
            Standing::Off => None,
            Standing::Rule(rule) => Some(Cow::Borrowed(rule)),
        }
    }
}

impl<'de> Deserialize<'de> for Standing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
        struct RuleOrOff;
        impl<'de> Visitor<'de> for RuleOrOff {
            type Value = Standing;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a rule, or `off`")
            }
            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Standing, E> {
                Ok(if on { Standing::Usual } else { Standing::Off })
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Standing, E> {
                match word {
                    "off" => Ok(Standing::Off),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Standing, A::Error> {
                Rule::deserialize(MapAccessDeserializer::new(map)).map(Standing::Rule)
            }
        }
        deserializer.deserialize_any(RuleOrOff)
    }
}

const SECOND: u64 = 1_000_000_000;

/// So many calls in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
struct Amount {
    calls: u64,
    period_ns: u64,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Amount::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is no rate: expected a number and a period of at most 366 days, such as `100/s`, `5/min`, \
                 `20/10s`, `1000/hour` or `10000/day`"
            ))
        })
    }
}

impl Amount {
    fn parse(text: &str) -> Option<Amount> {
        let (calls, period) = text.split_once('/')?;
        let calls: u64 = calls.trim().replace('_', "").parse().ok().filter(|&calls| calls > 0)?;
        let period = period.trim();
        let unit = period.trim_start_matches(|c: char| c.is_ascii_digit());
        let count: u64 = match period.len() - unit.len() {
            0 => 1,
            digits => period.get(..digits)?.parse().ok().filter(|&count| count > 0)?,
        };
        let seconds: u64 = match unit.trim() {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86400,
            _ => return None,
        };
        let seconds = count.checked_mul(seconds).filter(|&seconds| seconds <= 366 * 86400)?;
        Some(Amount { calls, period_ns: seconds * SECOND })
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(with = "OneOrMany")]
struct Per(SmallVec<[Subject; 2]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Client,
    Consumer,
    Key,
    Operation,
    Global,
    Header(HeaderName),
    Claim {
        /// As it was written.
        word: Box<str>,
        /// Where it is in the token (RFC 6901).
        pointer: Box<str>,
    },
}

impl<'de> Deserialize<'de> for Per {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let subject = |word: &String| match word.as_str() {
            "client" => Ok(Subject::Client),
            "consumer" => Ok(Subject::Consumer),
            "key" => Ok(Subject::Key),
            "operation" => Ok(Subject::Operation),
            "global" => Ok(Subject::Global),
            _ => Subject::named(word).ok_or_else(|| {
                let known = ["client", "consumer", "key", "operation", "global", "header:NAME", "claim:NAME"];
                serde::de::Error::custom(crate::config::unknown("value", word, known))
            }),
        };
        OneOrMany::deserialize(deserializer)?.each().iter().map(subject).collect::<Result<_, _>>().map(Per)
    }
}

impl Subject {
    /// A header or a claim by its name.
    fn named(word: &str) -> Option<Subject> {
        if let Some(name) = word.strip_prefix("header:") {
            return HeaderName::try_from(name.trim()).ok().map(Subject::Header);
        }
        let name = word.strip_prefix("claim:")?.trim();
        // Many issuers name claims by URLs: only what begins with a slash is a pointer.
        let pointer = if name.starts_with('/') { name.into() } else { format!("/{}", escape(name)) };
        (!name.is_empty()).then(|| Subject::Claim { word: word.into(), pointer: pointer.into() })
    }

    /// Whether it is known only once the credential is proved.
    fn is_proved(&self) -> bool {
        matches!(self, Subject::Consumer | Subject::Key | Subject::Claim { .. })
    }

    fn word(&self) -> &str {
        match self {
            Subject::Client => "client",
            Subject::Consumer => "consumer",
            Subject::Key => "key",
            Subject::Operation => "operation",
            Subject::Global => "global",
            Subject::Header(name) => name.as_str(),
            Subject::Claim { word, .. } => word,
        }
    }
}

impl Protection for Limit {
    const NAME: &'static str = "limit";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut add = |rule: &Rule, place: String, key: &str| -> Result<(), Fault> {
            let meters = meters(rule, &place, cx.scope(key))?;
            if rule.per.0.iter().any(Subject::is_proved) {
                after.extend(meters);
            } else {
                before.extend(meters);
            }
            Ok(())
        };
        if let Some(rule) = config.baseline.rule(100, 200) {
            add(&rule, "/baseline".into(), "baseline")?;
        }
        if cx.operation.is_none()
            && cx.refuses_unmatched()
            && let Some(rule) = config.unmatched.rule(5, 100)
        {
            // Its counters are its own: the same words under `baseline` name others.
            let name = rule.name.clone().unwrap_or_else(|| "unmatched".into());
            add(&Rule { name: Some(name), ..rule.into_owned() }, "/unmatched".into(), "unmatched")?;
        }
        for (index, rule) in config.rules.iter().enumerate() {
            add(rule, format!("/rules/{index}"), "rules")?;
        }
        let single = Rule {
            rate: config.rate,
            burst: config.burst,
            quota: config.quota,
            concurrent: config.concurrent,
            per: config.per.clone(),
            name: config.name.clone(),
        };
        if single.rate.is_some() || single.quota.is_some() || single.concurrent.is_some() {
            let key = ["rate", "quota", "concurrent"].into_iter().find(|key| !cx.scope(key).is_empty());
            add(&single, String::new(), key.unwrap_or("rate"))?;
        } else if single.burst.is_some() || !single.per.0.is_empty() || single.name.is_some() {
            return Err(Fault::new("", "a rule needs a `rate`, a `quota` or a number of `concurrent` calls"));
        }
        let mut parts = Vec::new();
        let mut policy = None;
        for (stage, meters) in [(Stage::Limit, before), (Stage::Quota, after)] {
            if !meters.is_empty() {
                let meters = Meters::new(meters, policy.take())?;
                policy.clone_from(&meters.policy);
                parts.push(Part::new(stage, meters));
            }
        }
        Ok(parts)
    }
}

/// What one rule counts: a rate, a quota and concurrency are counted apart.
fn meters(rule: &Rule, place: &str, scope: &str) -> Result<Vec<Meter>, Fault> {
    let mut meters = Vec::new();
    let per: SmallVec<[Subject; 2]> = match rule.per.0.is_empty() {
        true => [Subject::Client].into_iter().collect(),
        false => rule.per.0.clone(),
    };
    let words = per.iter().map(Subject::word).collect::<Vec<_>>().join("-");
    let mut add = |what: What, kind: &str| {
        let id = match &rule.name {
            Some(name) => format!("{name} {kind}"),
            None => format!("{scope} {kind} {words} {what:?}"),
        };
        let name = match (&rule.name, kind) {
            (Some(name), _) => name.clone(),
            (None, "rate") => words.clone(),
            (None, _) => format!("{words}-{kind}"),
        };
        meters.push(Meter { what, per: per.clone(), id: fnv(&id), name });
    };
    if let Some(Amount { calls, period_ns }) = rule.rate {
        let narrow = |number: u64| u32::try_from(number).ok().filter(|n| u64::from(*n) <= period_ns);
        let calls = narrow(calls)
            .ok_or_else(|| Fault::new(format!("{place}/rate"), "expected at most 4294967295 calls"))?;
        let burst = rule.burst.unwrap_or(calls);
        if burst == 0 {
            return Err(Fault::new(format!("{place}/burst"), "expected at least 1"));
        }
        add(What::Rate(Rate { calls, period_ns, burst }), "rate");
    } else if rule.burst.is_some() {
        return Err(Fault::new(format!("{place}/burst"), "a `burst` belongs to a `rate`, which is missing"));
    }
    if let Some(Amount { calls, period_ns }) = rule.quota {
        add(What::Quota { calls, period_ns }, "quota");
    }
    if let Some(most) = rule.concurrent {
        if most == 0 {
            return Err(Fault::new(format!("{place}/concurrent"), "expected at least 1"));
        }
        add(What::Concurrent(most), "concurrent");
    }
    if meters.is_empty() {
        let message = "a rule needs a `rate`, a `quota` or a number of `concurrent` calls";
        return Err(Fault::new(place, message));
    }
    Ok(meters)
}

#[derive(Debug, Clone, Copy)]
enum What {
    Rate(Rate),
    Quota { calls: u64, period_ns: u64 },
    Concurrent(u32),
}

#[derive(Debug)]
struct Meter {
    what: What,
    per: SmallVec<[Subject; 2]>,
    id: u64,
    name: String,
}

/// The rules of one stage.
#[derive(Debug)]
struct Meters {
    meters: Box<[Meter]>,
    /// What is told of these rules and those of the stage before.
    policy: Option<HeaderValue>,
}

impl Meters {
    fn new(mut meters: Vec<Meter>, earlier: Option<HeaderValue>) -> Result<Meters, Fault> {
        let mut items: Vec<String> =
            earlier.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        let mut taken: Vec<String> = Vec::new();
        for meter in &mut meters {
            meter.name.retain(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
            meter.name.truncate(40);
            if taken.contains(&meter.name) {
                meter.name = format!("{}-{}", meter.name, taken.len());
            }
            taken.push(meter.name.clone());
            let (calls, period_ns) = match meter.what {
                What::Rate(rate) => (u64::from(rate.calls), rate.period_ns),
                What::Quota { calls, period_ns } => (calls, period_ns),
                What::Concurrent(_) => continue,
            };
            items.push(format!("\"{}\";q={calls};w={}", meter.name, period_ns / SECOND));
        }
        let policy = (!items.is_empty()).then(|| HeaderValue::from_str(&items.join(", ")));
        let policy =
            policy.transpose().map_err(|_| Fault::new("/name", "expected visible ASCII characters"))?;
        Ok(Meters { meters: meters.into(), policy })
    }
}

impl Guard for Meters {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let mut tightest: Option<(&Meter, Taken)> = None;
        let mut refused = None;
        for meter in &self.meters {
            let key = meter.key(cx);
            let taken = match &meter.what {
                What::Rate(rate) => cx.state.take(key, rate, cx.now),
                What::Quota { calls, period_ns } => cx.state.take_window(key, *calls, *period_ns, cx.now),
                What::Concurrent(most) => match cx.state.acquire(key, *most) {
                    Some(slot) => {
                        cx.hold(slot);
                        continue;
                    }
                    None => {
                        refused = Some((meter, 1));
                        break;
                    }
                },
            };
            if !taken.allowed || tightest.is_none_or(|(_, least)| taken.remaining < least.remaining) {
                tightest = Some((meter, taken));
            }
            if !taken.allowed {
                refused = Some((meter, taken.retry_ns.div_ceil(SECOND).max(1)));
                break;
            }
        }
        if cx.enforcing
            && let (Some(policy), Some((meter, taken))) = (&self.policy, tightest)
        {
            cx.set_response_header(RATELIMIT_POLICY, policy.clone());
            let mut field = Field::<256>::new();
            if let Some(earlier) = cx.added_response_header(&RATELIMIT) {
                field.bytes(earlier.as_bytes()).text(", ");
            }
            field.text("\"").text(&meter.name).text("\";r=").number(u64::from(taken.remaining));
            field.text(";t=").number(taken.reset_ns.div_ceil(SECOND));
            if let Some(value) = field.value() {
                cx.set_response_header(RATELIMIT, value);
            }
        }
        let Some((meter, seconds)) = refused else { return Ok(Verdict::Pass) };
        let code = match meter.what {
            What::Rate(_) => &RATE_EXCEEDED,
            What::Quota { .. } => &QUOTA_EXCEEDED,
            What::Concurrent(_) => &CONCURRENCY_EXCEEDED,
        };
        let reason = format!("the limit `{}` is reached", meter.name);
        Ok(Denial::new(code, reason).header(header::RETRY_AFTER, HeaderValue::from(seconds)).into())
    }
}

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Meter {
    fn key(&self, cx: &Cx<'_>) -> Key {
        cx.state.key("", Whose { id: self.id, per: &self.per, cx })
    }
}

/// Who is counted, as it is hashed: nothing is copied.
struct Whose<'a> {
    id: u64,
    per: &'a [Subject],
    cx: &'a Cx<'a>,
}

impl Hash for Whose<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.id);
        let cx = self.cx;
        for subject in self.per {
            let principal = cx.facts.principal.as_ref();
            match subject {
                Subject::Client => address(cx.facts.client, state),
                Subject::Consumer => match principal {
                    Some(principal) => principal.consumer.hash(state),
                    None => address(cx.facts.client, state),
                },
                Subject::Key => match principal {
                    // A token is called what its issuer calls it.
                    Some(principal) => (&principal.consumer, &principal.credential).hash(state),
                    None => address(cx.facts.client, state),
                },
                Subject::Claim { pointer, .. } => {
                    let claims = principal.and_then(|principal| principal.claims.as_ref());
                    match (
                        claims.and_then(|claims| Some((claims.issuer(), claims.claim(pointer)?))),
                        principal,
                    ) {
                        // What one issuer says is not what another says.
                        (Some((issuer, value)), _) => (1u8, issuer, value).hash(state),
                        (None, Some(principal)) => (2u8, &principal.consumer).hash(state),
                        (None, None) => address(cx.facts.client, state),
                    }
                }
                Subject::Operation => cx.operation.map(|operation| &operation.id).hash(state),
                Subject::Global => {}
                // Absent is a value too: who leaves it out shares one counter with all who do.
                Subject::Header(name) => cx.request.headers.get(name).map(HeaderValue::as_bytes).hash(state),
            }
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address: whoever has one of its addresses has them all.
fn address<H: Hasher>(address: IpAddr, state: &mut H) {
    match address {
        IpAddr::V4(address) => state.write_u64(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            // A tag keeps the two apart.
            state.write_u8(6);
            state.write_u64((u128::from(address) >> 64) as u64);
        }
    }
}

/// FNV-1a: stable over reloads, which keeps counters.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
