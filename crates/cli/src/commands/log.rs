//! `portcullis log`: asks the event log, and follows it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_engine::ExchangeId;
use portcullis_store::events::{Event, EventDecision, Order, Query, Reader, Start, StatusRange};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::config::DataFolder;
use crate::exit::{Exit, Failure, Result};
use crate::gateway::events_folder;
use crate::term::{self, Style, out};

/// Show what was decided of each call, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "The last 50 events, unless a filter of time or --limit says otherwise.\n\
                        portcullis log --refused --since 1h\n\
                        portcullis log --follow --json | jq .code")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// From then on: a span such as 15m, 2h or 7d, or a time such as 2026-01-31T09:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The consumer's name
    #[arg(long)]
    consumer: Option<String>,
    /// The credential's public identifier
    #[arg(long)]
    credential: Option<String>,
    /// The operation's id
    #[arg(long)]
    operation: Option<String>,
    /// The method
    #[arg(long)]
    method: Option<String>,
    /// What the path begins with
    #[arg(long)]
    path: Option<String>,
    /// 404, 4xx or 400-403
    #[arg(long)]
    status: Option<StatusRange>,
    /// permitted, refused, withheld or answered
    #[arg(long)]
    decision: Option<EventDecision>,
    /// The same as --decision refused
    #[arg(long, conflicts_with = "decision")]
    refused: bool,
    /// The code of a refusal or finding
    #[arg(long)]
    code: Option<String>,
    /// The guard that refused or found something
    #[arg(long)]
    guard: Option<String>,
    /// The client's address or network
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    /// The reference in a refusal that somebody reports
    #[arg(long, value_name = "ID")]
    reference: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,
    /// The incidents instead of the calls: spikes of refusals
    #[arg(long, conflicts_with_all = ["follow", "refused", "code"])]
    incidents: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.incidents {
        return incidents(args);
    }
    let mut query = query(args)?;
    let folder = events_folder(&args.data.path().map_err(Failure::usage)?);
    let reader = Reader::open(&folder).map_err(|error| {
        Failure::Incomplete(format!(
            "{error}; name the gateway's data folder with --data (with `events: off` it keeps none)"
        ))
    })?;
    // Set up before the past is read, so that nothing falls between.
    let follower = match args.follow {
        true => Some(reader.follow(&query, Start::End).map_err(Failure::incomplete)?),
        false => None,
    };
    let whole = query.since.is_some() || query.until.is_some() || query.reference.is_some();
    if query.limit.is_none() && !whole {
        query.limit = Some(if args.follow { 10 } else { 50 });
    }
    let damage = show_past(args, &reader, query)?;
    if let Some(mut follower) = follower {
        loop {
            for event in follower.poll().map_err(Failure::incomplete)? {
                show(args, &event);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    Ok(if damage { Exit::Incomplete } else { Exit::Ok })
}

/// The incidents that the gateway wrote down, the oldest first.
fn incidents(args: &Args) -> Result {
    let data = args.data.path().map_err(Failure::usage)?;
    let (kept, broken) = crate::gateway::watch::read(&data).map_err(Failure::incomplete)?;
    let query = query(args)?;
    let since = query.since.unwrap_or(0);
    let wanted: Vec<_> = kept.iter().filter(|kept| kept.incident.last >= since).collect();
    let skip = args.limit.map_or(0, |limit| wanted.len().saturating_sub(limit));
    for kept in wanted.into_iter().skip(skip) {
        if args.json {
            term::say(serde_json::to_string(kept).unwrap_or_default());
            continue;
        }
        let incident = &kept.incident;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(incident.began)).ok();
        let moment = moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default();
        let state = if incident.over { out(Style::Dim, "over") } else { out(Style::Red, "goes on") };
        let told = if kept.alerted { ", alerted" } else { "" };
        term::say(format_args!(
            "{} {} {}  {state}{told}",
            out(Style::Dim, moment),
            incident.id,
            incident.summary
        ));
    }
    if broken > 0 {
        term::note(format_args!("{broken} lines could not be read"));
    }
    Ok(Exit::Ok)
}

/// The events that were asked for, the oldest first. Whether some could not be read.
fn show_past(args: &Args, reader: &Reader, mut query: Query) -> Result<bool> {
    // The last so many: read from the end, and shown in the order in which they happened.
    let last = query.limit.is_some();
    if last {
        query.order = Order::NewestFirst;
    }
    let mut events = reader.query(&query).map_err(Failure::incomplete)?;
    let mut held = Vec::new();
    for event in events.by_ref() {
        let event = event.map_err(Failure::incomplete)?;
        if last { held.push(event) } else { show(args, &event) }
    }
    for event in held.iter().rev() {
        show(args, event);
    }
    for damage in events.damage() {
        term::note(format_args!(
            "{}: `{}` at byte {}: {}",
            term::err(Style::Yellow, "unreadable"),
            damage.segment.display(),
            damage.offset,
            damage.what
        ));
    }
    Ok(!events.damage().is_empty())
}

fn query(args: &Args) -> Result<Query> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = |text: &Option<String>| text.as_deref().map(|text| parse_moment(text, now)).transpose();
    let client = match &args.client {
        Some(text) => {
            Some(text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from)).map_err(
                |_| Failure::Usage(format!("`{text}` is no address and no network such as 10.0.0.0/8")),
            )?)
        }
        None => None,
    };
    let reference = match &args.reference {
        Some(text) => Some(u128::from_str_radix(text.trim(), 16).map(ExchangeId).map_err(|_| {
            Failure::Usage(format!("`{text}` is no reference; it is 32 digits and letters from a to f"))
        })?),
        None => None,
    };
    Ok(Query {
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        consumer: args.consumer.clone(),
        credential: args.credential.clone(),
        operation: args.operation.clone(),
        method: args.method.as_ref().map(|method| method.to_ascii_uppercase()),
        path: args.path.clone(),
        status: args.status,
        decision: if args.refused { Some(EventDecision::Refused) } else { args.decision },
        code: args.code.clone(),
        guard: args.guard.clone(),
        client,
        reference,
        limit: args.limit,
        order: Order::OldestFirst,
    })
}

/// A span before now, or a moment; nanoseconds since the Unix epoch.
pub(crate) fn parse_moment(text: &str, now: Duration) -> Result<u64> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if let Ok(span) = text.parse::<portcullis_engine::Period>() {
        return Ok(nanos(now.saturating_sub(span.0)));
    }
    let date = format!("{text}T00:00:00Z");
    [text, date.as_str()]
        .iter()
        .find_map(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .and_then(|moment| u64::try_from(moment.unix_timestamp_nanos()).ok())
        .ok_or_else(|| {
            let what = "expected a span such as `15m`, or a time such as `2026-01-31T09:00:00Z`";
            Failure::Usage(format!("`{text}` is no moment; {what}"))
        })
}

fn show(args: &Args, event: &Event) {
    if args.json {
        term::say(serde_json::to_string(event).unwrap_or_default());
        return;
    }
    let time = i128::from(event.time / 1_000_000) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(time)
        .ok()
        .and_then(|time| time.to_offset(UtcOffset::UTC).format(&Rfc3339).ok())
        .unwrap_or_default();
    let style = match event.decision {
        EventDecision::Permitted | EventDecision::Answered => Style::Green,
        EventDecision::Refused | EventDecision::Withheld => Style::Red,
    };
    let query = event.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let what = term::fit(&format!("{} {}{query}", event.method, event.path), term::width());
    term::say(format_args!(
        "{} {} {:15} {} {} {what} {}",
        out(Style::Dim, format_args!("{time:24}")),
        out(style, event.status),
        event.client,
        out(style, format_args!("{:9}", event.decision.word())),
        event.consumer.as_deref().unwrap_or("-"),
        out(Style::Dim, format_args!("{:.1}ms", event.duration_ns as f64 / 1e6)),
    ));
    if let (Some(guard), Some(code)) = (&event.guard, &event.code) {
        let reason = term::fit(event.reason.as_deref().unwrap_or_default(), 300);
        term::say(format_args!("    {} {reason}", out(Style::Yellow, format_args!("{guard}/{code}"))));
        term::say(format_args!("    {}", out(Style::Dim, format_args!("reference {}", event.reference))));
    }
    for finding in event.findings.iter().filter(|finding| !finding.enforced) {
        let (guard, code) = (&finding.guard, &finding.code);
        let reason = term::fit(&finding.reason, 300);
        term::say(format_args!(
            "    {} {reason}",
            out(Style::Cyan, format_args!("{guard}/{code} (monitor)"))
        ));
    }
    if let Some(masked) = &event.masked {
        let excerpt = term::fit(&masked.excerpt, 300);
        term::say(format_args!(
            "    {} {excerpt}",
            out(Style::Dim, format_args!("masked {}:", masked.status))
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spans_or_times() {
        let now = Duration::from_secs(1_000_000);
        assert_eq!(parse_moment("15m", now).unwrap(), (1_000_000 - 900) * 1_000_000_000);
        assert_eq!(parse_moment("1970-01-02", now).unwrap(), 86_400 * 1_000_000_000);
        assert_eq!(parse_moment("1970-01-01T01:00:00+01:00", now).unwrap(), 0);
        for bad in ["", "yesterday", "1969-01-01", "15"] {
            assert!(parse_moment(bad, now).is_err(), "{bad}");
        }
    }
}
