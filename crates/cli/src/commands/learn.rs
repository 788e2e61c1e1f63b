//! `portcullis learn`: in which fields people write what the inspection takes for attacks, and the exceptions that would
//! let them.
//!
//! Two kinds of recordings teach: a HAR file of ordinary use, whose values are judged here, and the event log of a gateway
//! that watched (`inspect: monitor`), whose findings are counted. From a log one client alone teaches nothing: what an
//! attacker sends often is still an attack.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use portcullis_engine::one_client;
use portcullis_inspect::leaves::Leaf;
use portcullis_inspect::{Class, Request, Verdict, each_leaf, inspect};
use portcullis_openapi::{Contract, Route};
use portcullis_store::events::{Query, Reader};
use portcullis_watch::{RecordedBody, RecordedExchange};
use time::{Duration, OffsetDateTime};

use super::replay;
use crate::config::{self, Overrides};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::build;
use crate::term;

/// Learn from ordinary traffic in which fields people write code, markup or SQL, and propose exceptions.
#[derive(Debug, clap::Args)]
#[command(after_help = "portcullis learn traffic.har --spec openapi.yaml\n\
                        portcullis learn .portcullis/events --days 90 >> proposed.yaml\n\
                        Nothing is changed: read what is proposed, and take over what you agree with.")]
pub(crate) struct Args {
    /// A HAR file of ordinary use, or the folder of an event log
    recording: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// A field needs so many values that were taken for an attack
    #[arg(long, value_name = "N", default_value_t = 3)]
    least: usize,
    /// In an event log, they must come from so many clients
    #[arg(long, value_name = "N", default_value_t = 3)]
    clients: usize,
    /// In a HAR file, of all values of the field at least so many percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    share: u8,
    /// Days for which the proposed exceptions hold
    #[arg(long, value_name = "DAYS", default_value_t = 180, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

pub(crate) fn run(args: &Args) -> Result {
    let proposals = if args.recording.is_dir() {
        from_events(args)?
    } else {
        let overrides = Overrides { upstream_optional: true, ..args.overrides.clone() };
        let config = config::load(&overrides).map_err(Failure::usage)?;
        let contract = match &config.gateway.contract {
            Some(source) => {
                Some(build::load_contract(&config, source, "/contract").map_err(Failure::usage)?.0)
            }
            None => None,
        };
        let recording = replay::read(&args.recording)?;
        from_exchanges(recording.exchanges(), contract.as_ref(), args)
    };
    if proposals.is_empty() {
        term::note(
            "nothing to propose: no field has enough values that would be taken for attacks".to_owned(),
        );
        return Ok(Exit::Ok);
    }
    let until = (OffsetDateTime::now_utc() + Duration::days(args.days.into())).date();
    term::say(yaml(&proposals, &until.to_string()));
    Ok(Exit::Ok)
}

/// An operation's name in the contract, where it has one, and a field in it.
type Field = (Option<String>, String);

/// What one field holds.
#[derive(Debug, Default)]
struct Seen {
    /// Values there were; unknown from an event log.
    values: usize,
    /// By class: how often, and from whom.
    classes: BTreeMap<Class, Taught>,
}

#[derive(Debug, Default)]
struct Taught {
    count: usize,
    clients: BTreeSet<IpAddr>,
}

/// What is proposed for one field.
#[derive(Debug, PartialEq, Eq)]
struct Proposal {
    operation: Option<String>,
    field: String,
    classes: Vec<Class>,
    reason: String,
}

/// Judges the values of a recording.
fn from_exchanges(exchanges: &[RecordedExchange], contract: Option<&Contract>, args: &Args) -> Vec<Proposal> {
    let mut fields: BTreeMap<Field, Seen> = BTreeMap::new();
    for exchange in exchanges {
        // What the API itself refused is no ordinary use.
        if exchange.response.as_ref().is_some_and(|response| response.status.as_u16() >= 400) {
            continue;
        }
        let target = String::from_utf8_lossy(&exchange.head.target);
        let operation =
            contract.and_then(|contract| operation(contract, exchange.head.method.as_str(), &target));
        let headers: Vec<(&str, &[u8])> =
            exchange.head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let body = match &exchange.body {
            RecordedBody::Whole(body) => &body[..],
            RecordedBody::None | RecordedBody::Missing => b"",
        };
        let mut visit = |leaf: Leaf<'_>| {
            let seen = fields.entry((operation.clone(), leaf.name.to_string())).or_default();
            seen.values += 1;
            if let Some(verdict) = inspect(&leaf.bytes, leaf.place).filter(Verdict::is_attack) {
                seen.classes.entry(verdict.class).or_default().count += 1;
            }
            ControlFlow::Continue(())
        };
        let request = Request { target: target.as_bytes(), headers: &headers, body };
        // What of a broken body could be read was visited.
        let _ = each_leaf(&request, &mut visit);
    }
    propose(fields, |seen, taught| {
        taught.count >= args.least && taught.count * 100 >= usize::from(args.share) * seen.values
    })
}

/// Counts the findings of an event log.
fn from_events(args: &Args) -> Result<Vec<Proposal>> {
    let inner = crate::gateway::events_folder(&args.recording);
    let folder: &Path = if inner.is_dir() { &inner } else { &args.recording };
    let reader = Reader::open(folder).map_err(Failure::incomplete)?;
    let query = Query { guard: Some("inspect".into()), ..Query::default() };
    let mut fields: BTreeMap<Field, Seen> = BTreeMap::new();
    for event in reader.query(&query).map_err(Failure::incomplete)? {
        let event = event.map_err(Failure::incomplete)?;
        let findings = event.findings.iter().filter(|finding| finding.guard == "inspect");
        for finding in findings {
            let class = Class::ALL
                .into_iter()
                .find(|class| finding.code.strip_prefix("inspect-") == Some(class.name()));
            // `name`: what was seen.
            let field = finding.reason.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
            if let (Some(class), Some((field, _))) = (class, field) {
                let seen = fields.entry((event.operation.clone(), field.to_owned())).or_default();
                let taught = seen.classes.entry(class).or_default();
                taught.count += 1;
                taught.clients.insert(one_client(event.client));
            }
        }
    }
    Ok(propose(fields, |_, taught| taught.count >= args.least && taught.clients.len() >= args.clients))
}

fn operation(contract: &Contract, method: &str, target: &str) -> Option<String> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Route::Found { operation, .. } = contract.route(method, path, query) else { return None };
    contract.operations().get(operation)?.id.as_deref().map(str::to_owned)
}

fn propose(fields: BTreeMap<Field, Seen>, taught_enough: impl Fn(&Seen, &Taught) -> bool) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for ((operation, field), seen) in fields {
        let learnt: Vec<(Class, &Taught)> = seen
            .classes
            .iter()
            .filter(|(_, taught)| taught_enough(&seen, taught))
            .map(|(class, taught)| (*class, taught))
            .collect();
        if learnt.is_empty() {
            continue;
        }
        let kinds: Vec<&str> = learnt.iter().map(|(class, _)| written(*class)).collect();
        let most = learnt.iter().map(|(_, taught)| taught.count).max().unwrap_or(0);
        let clients = learnt.iter().map(|(_, taught)| taught.clients.len()).max().unwrap_or(0);
        let basis = match (seen.values, clients) {
            (0, clients) => format!("{most} values of {clients} clients"),
            (values, _) => format!("{most} of {values} recorded values"),
        };
        let reason = format!("people write {} here: {basis}", kinds.join(" and "));
        let classes = learnt.into_iter().map(|(class, _)| class).collect();
        proposals.push(Proposal { operation, field, classes, reason });
    }
    proposals
}

/// What people write that is taken for an attack of this kind.
fn written(class: Class) -> &'static str {
    match class {
        Class::Sql => "SQL",
        Class::Xss | Class::Ssi => "markup",
        Class::Command => "commands",
        Class::Path => "paths",
        Class::NoSql => "queries",
        Class::Template => "templates",
        Class::Code | Class::Prototype => "code",
        Class::Ldap | Class::XPath => "filters",
        Class::Xml => "XML",
        Class::Crlf => "several lines",
        Class::Jndi => "lookups",
        Class::Deserialization => "serialised objects",
        Class::Ssrf => "internal addresses",
        Class::Excess => "long repetitions",
    }
}

/// The proposals as a part of a configuration file.
fn yaml(proposals: &[Proposal], until: &str) -> String {
    let mut out =
        String::from("# Proposed by `portcullis learn`. Take over what you agree with.\npolicies:\n");
    for group in proposals.chunk_by(|a, b| a.operation == b.operation) {
        let Some(first) = group.first() else { continue };
        let matches = match &first.operation {
            Some(operation) => format!("operation: {}", quoted(operation)),
            None => "path: /**".to_owned(),
        };
        let _ = write!(out, "  - match: {{ {matches} }}\n    inspect:\n      except:\n");
        for proposal in group {
            let classes: Vec<&str> = proposal.classes.iter().map(|class| class.name()).collect();
            let _ = writeln!(
                out,
                "        - {{ field: {}, classes: [{}], reason: {}, until: {until} }}",
                quoted(&proposal.field),
                classes.join(", "),
                quoted(&proposal.reason)
            );
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// `text` as a scalar of YAML in double quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: usize, classes: &[(Class, usize, &[&str])]) -> Seen {
        let classes = classes.iter().map(|(class, count, clients)| {
            let clients = clients.iter().map(|address| one_client(address.parse().unwrap())).collect();
            (*class, Taught { count: *count, clients })
        });
        Seen { values, classes: classes.collect() }
    }

    #[test]
    fn what_is_proposed_is_a_configuration() {
        let fields = BTreeMap::from([
            (
                (Some("addPost".into()), "/html".into()),
                seen(10, &[(Class::Xss, 6, &[]), (Class::Sql, 1, &[])]),
            ),
            ((Some("addPost".into()), "/title\"".into()), seen(10, &[(Class::Sql, 4, &[])])),
            ((None, "q".into()), seen(100, &[(Class::Sql, 2, &[])])),
        ]);
        let proposals = propose(fields, |seen, taught| taught.count >= 3 && taught.count * 10 >= seen.values);
        assert_eq!(proposals.len(), 2);
        let text = yaml(&proposals, "2027-06-30");
        let document = portcullis_openapi::source::Document::parse("a.yaml", text.as_bytes()).unwrap();
        let read = document.root().to_json();
        let except = read.pointer("/policies/0/inspect/except").unwrap().as_array().unwrap();
        assert_eq!(except[0]["field"], "/html");
        assert_eq!(except[0]["classes"], serde_json::json!(["xss"]));
        assert_eq!(except[0]["reason"], "people write markup here: 6 of 10 recorded values");
        assert_eq!(except[1]["field"], "/title\"");
    }

    #[test]
    fn one_client_alone_teaches_nothing() {
        let from = |clients: &[&str]| {
            let fields = BTreeMap::from([((None, "q".to_owned()), seen(0, &[(Class::Sql, 50, clients)]))]);
            propose(fields, |_, taught| taught.count >= 3 && taught.clients.len() >= 3).len()
        };
        assert_eq!(from(&["192.0.2.1"]), 0);
        assert_eq!(from(&["192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3", "::ffff:192.0.2.1"]), 0);
        assert_eq!(from(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]), 1);
    }
}
