//! Bots: crawlers that are who they say, and clients that behave as scanners do.
//!
//! **What it does.** `crawlers` holds callers to their word: who calls itself Googlebot must come from an address whose name
//! (reverse DNS) is Google's, and that name must lead back to the address, as the crawlers' operators say. Who does not is
//! refused; who cannot be looked up just then is, too.
//!
//! `scanners` knows a scanner by what it does, whatever it calls itself: it meets refusals, and other ones each time. A
//! client that meets more than `refusals` different ones (another path, or another status) `within` a time is refused
//! altogether for as long as `block` says. A client with a broken program repeats one refusal, and is not meant; nor are
//! 401 and 429, which credentials and limits are about. A client is an IPv4 address or an IPv6 /64.
//!
//! Both are off unless they are written down: behind one address there may be many clients, and your own scans look like
//! anybody's.
//!
//! **The attack.** Scrapers that borrow the name of a search engine because it is let in; tools that try thousands of paths
//! and payloads until one gets through. OWASP API6:2023, API9:2023; CWE-290, CWE-799.
//!
//! ```yaml
//! bots:
//!   crawlers: enforce
//!   also: { AcmeBot: [bots.acme.example] }
//!   scanners: { refusals: 40, within: 1m, block: 10m }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{self, HeaderValue};
use portcullis_engine::state::Rate;
use portcullis_engine::{
    Code, Cx, Denial, Destination, Guard, GuardError, Hooks, Lookup, LookupResult, Period, Stage, Verdict,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::policies::GuardMode;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::who::Who;

codes! {
    BOT_IMPOSTOR = "bot-impostor" 403 Api6 290 Medium
        "the caller is not the crawler that it says it is"
        attack "Scrapers and scanners borrow the name of a search engine, because search engines are let in."
        client "Send your own name in `User-Agent`."
        operator "Name further crawlers of yours and the domains of their addresses under `bots.also`.";
    BOT_SCANNER = "bot-scanner" 429 Api9 799 Medium
        "the client behaves as a scanner does"
        attack "A tool tries paths and payloads by the thousand until one gets through."
        client "Correct the calls that were refused before; wait as long as `Retry-After` says."
        operator "If many clients share one address, name the proxies in front under `trusted_hops`, or raise `bots.scanners.refusals`.";
}

/// What crawlers call themselves, and the domains of the names of their addresses, as their operators say.
const CRAWLERS: &[(&str, &[&str])] = &[
    ("googlebot", &["googlebot.com", "google.com"]),
    ("google-inspectiontool", &["googlebot.com", "google.com"]),
    ("adsbot-google", &["googlebot.com", "google.com"]),
    ("bingbot", &["search.msn.com"]),
    ("msnbot", &["search.msn.com"]),
    ("applebot", &["applebot.apple.com"]),
    ("yandexbot", &["yandex.ru", "yandex.net", "yandex.com"]),
    ("baiduspider", &["baidu.com", "baidu.jp"]),
    ("yahoo! slurp", &["crawl.yahoo.net"]),
    ("seznambot", &["seznam.cz"]),
    ("petalbot", &["petalsearch.com", "aspiegel.com"]),
    ("ahrefsbot", &["ahrefs.com", "ahrefs.net"]),
    ("linkedinbot", &["linkedin.com"]),
];

/// How long what DNS said of an address counts.
const SHARE: Duration = Duration::from_secs(3600);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Names of one address that are looked up; honest ones have one.
const MOST_NAMES: usize = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Bots;

/// Crawlers and scanners.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "BotsGuard")]
pub(crate) struct Config {
    /// Callers that name a crawler and are none.
    crawlers: GuardMode,
    /// Further crawlers: what they call themselves, and the domains of their addresses.
    also: BTreeMap<String, Vec<String>>,
    /// Clients that meet many different refusals.
    scanners: Option<Scanners>,
}

impl Default for Config {
    fn default() -> Self {
        Config { crawlers: GuardMode::Off, also: BTreeMap::new(), scanners: None }
    }
}

/// When a client behaves as a scanner does.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "BotsScanners")]
struct Scanners {
    /// Different refusals that any client may meet.
    refusals: u32,
    /// Within this time.
    within: Period,
    /// How long who meets more is refused.
    block: Period,
}

impl Default for Scanners {
    fn default() -> Self {
        Scanners { refusals: 40, within: Period::seconds(60), block: Period::seconds(600) }
    }
}

impl Protection for Bots {
    const NAME: &'static str = "bots";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, _cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        if let Some(scanners) = config.scanners {
            if scanners.refusals == 0 {
                return Err(Fault::new("/scanners/refusals", "expected a number above 0"));
            }
            parts.push(Part::new(Stage::Admit, Gate(scanners)));
            parts.push(Part::new(Stage::Shape, Watch(scanners)));
        }
        if config.crawlers != GuardMode::Off {
            let own = CRAWLERS.iter().map(|(name, domains)| {
                ((*name).to_owned(), domains.iter().map(|domain| (*domain).to_owned()).collect())
            });
            let mut crawlers: Vec<Crawler> = own.collect();
            for (name, domains) in &config.also {
                if name.trim().len() < 3 || domains.is_empty() {
                    return Err(Fault::new("/also", "expected names of crawlers, each with its domains"));
                }
                crawlers.push((
                    name.to_ascii_lowercase(),
                    domains.iter().map(|d| d.to_ascii_lowercase()).collect(),
                ));
            }
            let mut part = Part::new(Stage::Admit, Crawlers(crawlers));
            part.monitor = config.crawlers == GuardMode::Monitor;
            parts.push(part);
        }
        Ok(parts)
    }
}

/// Refuses who was found to be a scanner.
#[derive(Debug)]
struct Gate(Scanners);

impl Guard for Gate {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let memory = &cx.state.memory;
        let mark = memory.mark("bots blocked", Who::client(cx.facts.client));
        let Some(age) = memory.age(mark, cx.now) else { return Ok(Verdict::Pass) };
        let left = self.0.block.nanos().saturating_sub(age).div_ceil(1_000_000_000);
        let denial = Denial::new(&BOT_SCANNER, "the client met too many different refusals");
        Ok(denial.header(header::RETRY_AFTER, HeaderValue::from(left.max(1))).into())
    }
}

/// Counts the refusals that a client meets.
#[derive(Debug)]
struct Watch(Scanners);

impl Guard for Watch {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(status) = cx.response.as_ref().map(|response| response.status.as_u16()) else {
            return Ok(Verdict::Pass);
        };
        if !cx.local_reply || !matches!(status, 400 | 403..=405 | 411..=417 | 422 | 501) {
            return Ok(Verdict::Pass);
        }
        let client = Who::client(cx.facts.client);
        let memory = &cx.state.memory;
        let met = memory.mark("bots met", (client, cx.request.path(), status));
        if !memory.claim(met, self.0.within.nanos(), cx.now) {
            return Ok(Verdict::Pass);
        }
        let rate = Rate { calls: self.0.refusals, period_ns: self.0.within.nanos(), burst: self.0.refusals };
        let taken = cx.state.take(cx.state.key("bots", client), &rate, cx.now);
        if !taken.allowed {
            memory.remember(memory.mark("bots blocked", client), self.0.block.nanos(), cx.now);
            cx.find(&BOT_SCANNER, format!("more than {} different refusals", self.0.refusals));
        }
        Ok(Verdict::Pass)
    }
}

/// What a crawler calls itself, and its domains; lower case.
type Crawler = (String, Vec<String>);

/// Holds crawlers to their word.
#[derive(Debug)]
struct Crawlers(Vec<Crawler>);

impl Crawlers {
    /// The crawler that the call says it comes from.
    fn named(&self, cx: &Cx<'_>) -> Option<&Crawler> {
        let agent = cx.request.headers.get(header::USER_AGENT)?.as_bytes().to_ascii_lowercase();
        self.0.iter().find(|(name, _)| agent.windows(name.len()).any(|word| word == name.as_bytes()))
    }
}

impl Guard for Crawlers {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some((name, domains)) = self.named(cx) else { return Ok(Verdict::Pass) };
        let address = cx.facts.client;
        let ask = |key: String, destination| {
            Verdict::from(Lookup {
                purpose: "crawler",
                key: key.into(),
                share: Some(SHARE),
                destination,
                timeout: TIMEOUT,
                max_response: 64 * 1024,
            })
        };
        let key = format!("names:{address}");
        let Some(names) = cx.answer(&key) else {
            return Ok(ask(key, Destination::Names { address }));
        };
        let names = match lines(names) {
            Ok(names) => names,
            Err(denial) => return Ok(denial.into()),
        };
        let own = names.into_iter().filter(|name| domains.iter().any(|domain| is_under(name, domain)));
        for host in own.take(MOST_NAMES) {
            let key = format!("resolve:{host}");
            let Some(addresses) = cx.answer(&key) else {
                return Ok(ask(key, Destination::Resolve { name: host.into() }));
            };
            match lines(addresses) {
                Ok(found) if found.iter().any(|line| line.parse() == Ok(address)) => {
                    return Ok(Verdict::Pass);
                }
                Ok(_) => {}
                Err(denial) => return Ok(denial.into()),
            }
        }
        Ok(Denial::new(&BOT_IMPOSTOR, format!("`{name}` does not come from {address}")).into())
    }
}

/// The lines of an answer.
fn lines(answer: &LookupResult) -> Result<Vec<String>, Denial> {
    let answer = answer.as_ref().map_err(|failure| failure.denial("crawler"))?;
    let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    Ok(text.lines().map(|line| line.trim_end_matches('.').to_owned()).collect())
}

/// Whether `name` is `domain` or stands under it.
fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
#[path = "bots_tests.rs"]
mod tests;
