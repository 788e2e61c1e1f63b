//! Recorded exchanges through the engine, each at its own moment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_engine::{
    BodyLength, Code, Connection, Decision, Denial, End, Engine, Fields, ForwardBody, Inspection, LocalReply,
    Now, Outcome, Record, Recorded, ResponseHead, ResponseStep, Step, code,
};
use serde::Deserialize;

use crate::recording::{
    DecisionWord, Name, PastDecision, RecordedBody, RecordedExchange, RecordedResponse, Recording,
};
use crate::report::{
    Change, Changes, CodeReport, ExchangeReport, FindingReport, NowDecision, OperationReport, Report, Tally,
};

/// How to replay.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The client of exchanges whose recording names none. Default 192.0.2.1, an address of nobody (RFC 5737).
    pub client: IpAddr,
    /// The credential of exchanges whose recording names none: browsers leave secrets out of their recordings.
    pub credential: Option<Arc<str>>,
    /// Which exchanges are reported one by one.
    pub details: Details,
    /// At most so many. Default 10,000.
    pub most_details: usize,
}

/// Which exchanges are reported one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Details {
    /// None.
    None,
    /// Those that are not simply permitted, or change, or have findings.
    #[default]
    Notable,
    /// All.
    All,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        ReplayOptions {
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            credential: None,
            details: Details::default(),
            most_details: 10_000,
        }
    }
}

/// Replays `recording` through `engine`, in the order of its moments: an exchange that was still under way when
/// the next one began still is, so that limits on rates and on concurrency count as they did. Give the engine
/// counters of its own ([`portcullis_engine::State`]): what is counted here must not touch live traffic.
///
/// What a guard cannot see since the recording does not hold it leaves the exchange undecided; it is never taken
/// for permitted.
pub fn replay(engine: &Arc<Engine>, recording: Recording, options: &ReplayOptions) -> Report {
    let span = recording.exchanges.first().zip(recording.exchanges.last());
    let mut replay = Replay {
        engine,
        options,
        under_way: BinaryHeap::new(),
        report: Report {
            source: recording.source,
            exchanges: 0,
            span: span.map(|(first, last)| (first.began, last.began)),
            now: Tally::default(),
            then: Tally::default(),
            changes: Changes::default(),
            operations: Vec::new(),
            codes: Vec::new(),
            details: Vec::new(),
            details_cut: false,
            skipped: recording.skipped,
        },
        details: BTreeMap::new(),
        operations: BTreeMap::new(),
        codes: BTreeMap::new(),
    };
    for (index, exchange) in recording.exchanges.into_iter().enumerate() {
        replay.end_until(exchange.began);
        replay.begin(index, exchange);
    }
    replay.end_until(u64::MAX);
    replay.finish()
}

struct Replay<'a> {
    engine: &'a Arc<Engine>,
    options: &'a ReplayOptions,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    report: Report,
    details: BTreeMap<usize, ExchangeReport>,
    operations: BTreeMap<Option<String>, Operation>,
    codes: BTreeMap<&'static str, CodeReport>,
}

#[derive(Default)]
struct Operation {
    now: Tally,
    changes: Changes,
    codes: BTreeMap<&'static str, u64>,
}

/// An exchange that was permitted and waits for its answer.
struct UnderWay {
    ends: u64,
    index: usize,
    inspection: Box<Inspection>,
    response: Option<RecordedResponse>,
    about: About,
}

/// What the report needs of an exchange.
struct About {
    name: Name,
    began: u64,
    fields: bool,
    redacted: bool,
    body_missing: bool,
    /// Perhaps a preflight; its fields would tell.
    options: bool,
    past: Option<PastDecision>,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        (self.ends, self.index) == (other.ends, other.index)
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.ends, self.index).cmp(&(other.ends, other.index))
    }
}

/// What came of judging a request.
enum Judged {
    Permitted,
    Stopped(LocalReply),
    Missing(&'static str),
}

const REQUEST_BODY: &str = "the request's body";
const RESPONSE: &str = "the answer";
const RESPONSE_BODY: &str = "the answer's body";
const FIELDS: &str = "the request's fields";
const QUERY: &str = "values of the query, left out as secrets";
const OUTSIDE: &str = "what was asked outside";
const WIRE: &str = "what stood on the wire";

impl Replay<'_> {
    fn begin(&mut self, index: usize, exchange: RecordedExchange) {
        let now = Now::recorded(exchange.began);
        let client = exchange.client.unwrap_or(self.options.client);
        let connection = Connection {
            peer: SocketAddr::new(client, 0),
            local: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            scheme: exchange.scheme,
            sni: None,
            certificate: None,
        };
        let credential = exchange.credential.clone().or_else(|| self.options.credential.clone());
        let recorded = Recorded { credential, bodies: exchange.fields };
        let about = About {
            name: exchange.name,
            began: exchange.began,
            fields: exchange.fields,
            redacted: exchange.redacted,
            body_missing: exchange.body == RecordedBody::Missing,
            options: exchange.head.method == Method::OPTIONS,
            past: exchange.past,
        };
        let engine = Arc::clone(self.engine);
        let mut inspection = engine.begin_recorded(exchange.head, &connection, exchange.id, now, recorded);
        match judge_request(&mut inspection, exchange.body) {
            Judged::Permitted => {
                let ends = exchange.began.saturating_add(exchange.duration);
                let (inspection, response) = (Box::new(inspection), exchange.response);
                self.under_way.push(Reverse(UnderWay { ends, index, inspection, response, about }));
            }
            Judged::Stopped(reply) => {
                let missing = unfounded(&about, inspection.decision(), &reply);
                let status = Some(reply.status);
                self.note(index, &about, inspection.finish(outcome(now, reply.status)), status, missing);
            }
            Judged::Missing(what) => {
                let record = inspection.finish(outcome(now, StatusCode::OK));
                self.note(index, &about, record, None, Some(what));
            }
        }
    }

    /// Ends what ended by then, in order.
    fn end_until(&mut self, moment: u64) {
        while let Some(Reverse(first)) = self.under_way.peek()
            && first.ends <= moment
        {
            let Some(Reverse(ending)) = self.under_way.pop() else { return };
            let UnderWay { ends, index, mut inspection, response, about } = ending;
            let now = Now::recorded(ends);
            let (status, missing) = match response {
                Some(response) => judge_response(&mut inspection, response, now),
                None => (None, None),
            };
            let record = inspection.finish(outcome(now, status.unwrap_or(StatusCode::OK)));
            self.note(index, &about, record, status, missing);
        }
    }

    fn note(
        &mut self,
        index: usize,
        about: &About,
        record: Record,
        status: Option<StatusCode>,
        missing: Option<&'static str>,
    ) {
        let mut decision = DecisionWord::from(&record.decision);
        // What is missing of an answer leaves the request permitted; whatever else is missing leaves it open.
        if missing.is_some_and(|what| what != RESPONSE_BODY) {
            decision = DecisionWord::Undecided;
        }
        let (code, guard, reason) = match (decision, &record.decision) {
            (DecisionWord::Undecided, _) => (None, None, None),
            (_, Decision::Answered { guard }) => (None, Some(*guard), None),
            (_, other) => match other.refusal() {
                Some((code, guard, reason)) => (Some(code), Some(guard), Some(reason.to_owned())),
                None => (None, None, None),
            },
        };
        let now = NowDecision {
            decision,
            code: code.map(|code| code.name),
            guard,
            reason,
            status: status.map(|s| s.as_u16()),
        };
        let (change, reason_unsaid) = compare(about, &now);
        let missing = missing.or(reason_unsaid);
        let undecided = decision == DecisionWord::Undecided;

        self.report.exchanges += 1;
        self.report.now.count(decision);
        if let Some(past) = &about.past {
            self.report.then.count(past.decision);
        }
        self.report.changes.count(change);
        let operation = record.operation().map(|operation| operation.id.to_string());
        let tally = self.operations.entry(operation.clone()).or_default();
        tally.now.count(decision);
        tally.changes.count(change);
        if !undecided {
            let mut seen: Vec<(&'static Code, bool, &str)> = Vec::new();
            for finding in &record.findings {
                // An exchange counts once for a code, however often it was found in it.
                match seen.iter_mut().find(|(code, ..)| *code == finding.code) {
                    Some((_, enforced, _)) => *enforced |= finding.enforced,
                    None => seen.push((finding.code, finding.enforced, &finding.reason)),
                }
            }
            for (code, enforced, reason) in seen {
                *tally.codes.entry(code.name).or_default() += 1;
                let entry = self.codes.entry(code.name).or_insert_with(|| CodeReport {
                    code: code.name.to_owned(),
                    title: code.title.to_owned(),
                    owasp: code.owasp,
                    severity: code.severity,
                    enforced: 0,
                    monitored: 0,
                    reason: reason.to_owned(),
                    example: about.name,
                });
                *(if enforced { &mut entry.enforced } else { &mut entry.monitored }) += 1;
            }
        }
        let notable =
            decision != DecisionWord::Permitted || change != Change::Same || !record.findings.is_empty();
        let wanted = match self.options.details {
            Details::None => false,
            Details::Notable => notable,
            Details::All => true,
        };
        if wanted {
            if self.details.len() >= self.options.most_details {
                self.report.details_cut = true;
                return;
            }
            let detail = detail(about, &record, operation, now, change, missing);
            self.details.insert(index, detail);
        }
    }

    fn finish(self) -> Report {
        let mut report = self.report;
        report.details = self.details.into_values().collect();
        report.operations = self
            .operations
            .into_iter()
            .map(|(operation, Operation { now, changes, codes })| {
                let mut codes: Vec<_> =
                    codes.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
                codes.sort_by_key(|(_, count)| Reverse(*count));
                OperationReport { operation, now, changes, codes }
            })
            .collect();
        // Stable: ties stay in the order of their names.
        report.operations.sort_by_key(|o| Reverse((o.changes.newly_stopped, o.now.refused + o.now.withheld)));
        report.codes = self.codes.into_values().collect();
        report.codes.sort_by_key(|code| Reverse((code.enforced, code.monitored)));
        report
    }
}

fn outcome(now: Now, status: StatusCode) -> Outcome {
    Outcome { status, end: End::Complete, bytes_in: 0, bytes_out: 0, upstream: None, upstream_ns: None, now }
}

fn judge_request(inspection: &mut Inspection, body: RecordedBody) -> Judged {
    let mut whole = match body {
        RecordedBody::Whole(bytes) => Some(bytes),
        RecordedBody::None => Some(Bytes::new()),
        RecordedBody::Missing => None,
    };
    let too_large = |inspection: &mut Inspection, limit: u64| {
        let denial = Denial::new(&code::BODY_TOO_LARGE, format!("more than {limit} bytes"));
        Judged::Stopped(inspection.refuse(&denial))
    };
    let mut step = inspection.request_head();
    loop {
        match step {
            Step::Reply(reply) => return Judged::Stopped(reply),
            Step::Lookup(_) => return Judged::Missing(OUTSIDE),
            Step::NeedBody { limit } => match whole.take() {
                None => return Judged::Missing(REQUEST_BODY),
                Some(bytes) if bytes.len() as u64 > limit => return too_large(inspection, limit),
                Some(bytes) => step = inspection.request_body(bytes),
            },
            Step::Forward(permit) => {
                return match (permit.body(), &whole) {
                    (ForwardBody::Streamed { max }, Some(bytes)) if bytes.len() as u64 > *max => {
                        too_large(inspection, *max)
                    }
                    _ => Judged::Permitted,
                };
            }
        }
    }
}

fn judge_response(
    inspection: &mut Inspection,
    response: RecordedResponse,
    now: Now,
) -> (Option<StatusCode>, Option<&'static str>) {
    let RecordedResponse { status, headers, body } = response;
    let length = match &body {
        RecordedBody::None => BodyLength::None,
        RecordedBody::Missing => BodyLength::Unknown,
        RecordedBody::Whole(bytes) => BodyLength::Exact(bytes.len() as u64),
    };
    let mut step = inspection
        .response_head(ResponseHead { status, headers: with_length(headers, length), body: length }, now);
    let mut whole = match body {
        RecordedBody::Whole(bytes) => Some(bytes),
        RecordedBody::None => Some(Bytes::new()),
        RecordedBody::Missing => None,
    };
    loop {
        match step {
            ResponseStep::Deliver(head) | ResponseStep::DeliverWhole(head, _) => {
                return (Some(head.status), None);
            }
            ResponseStep::Reply(reply) => return (Some(reply.status), None),
            ResponseStep::Lookup(_) => return (Some(status), Some(OUTSIDE)),
            ResponseStep::NeedBody { limit } => match whole.take() {
                None => return (Some(status), Some(RESPONSE_BODY)),
                Some(bytes) if bytes.len() as u64 > limit => step = inspection.response_body_overflow(),
                Some(bytes) => step = inspection.response_body(bytes, now),
            },
        }
    }
}

/// The length field as an upstream would have sent it with the decoded body.
fn with_length(mut headers: Fields, length: BodyLength) -> Fields {
    if let BodyLength::Exact(length) = length {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    headers
}

/// Whether a refusal rests on something that the recording does not hold.
fn unfounded(about: &About, decision: &Decision, reply: &LocalReply) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        errors: Vec<Place>,
    }
    #[derive(Deserialize)]
    struct Place {
        r#in: String,
    }
    if about.fields || decision.refusal().is_none() {
        return None;
    }
    let stopped_then = about.past.as_ref().is_some_and(|past| is_stop(past.decision));
    if about.options && !stopped_then {
        return Some(FIELDS);
    }
    let problem: Problem = serde_json::from_slice(&reply.body).ok()?;
    let mut missing = None;
    for error in &problem.errors {
        missing = match error.r#in.as_str() {
            "header" | "cookie" => Some(FIELDS),
            "body" if about.body_missing => Some(REQUEST_BODY),
            "query" if about.redacted => Some(QUERY),
            // One good reason is enough.
            _ => return None,
        };
    }
    missing
}

fn is_stop(decision: DecisionWord) -> bool {
    matches!(decision, DecisionWord::Refused | DecisionWord::Withheld)
}

/// What changed, and what would have to be known to say so.
fn compare(about: &About, now: &NowDecision) -> (Change, Option<&'static str>) {
    if now.decision == DecisionWord::Undecided {
        return (Change::Undecided, None);
    }
    let Some(past) = &about.past else {
        // An upstream's answer was recorded: the call went through.
        return (if is_stop(now.decision) { Change::NewlyStopped } else { Change::Same }, None);
    };
    let same_guard = past.guard.as_deref().zip(now.guard).is_none_or(|(then, now)| then == now);
    let same_code = past.guard.is_some() || past.code.as_deref() == now.code;
    if past.decision == now.decision && same_guard && same_code {
        return (Change::Same, None);
    }
    let unsaid = match past.decision {
        // Of these an event log keeps the outcome only.
        _ if about.fields => None,
        DecisionWord::Withheld if !is_stop(now.decision) => Some(RESPONSE),
        DecisionWord::Answered if now.guard != past.guard.as_deref() => Some(FIELDS),
        _ if past.guard.as_deref() == Some("protocol") => Some(WIRE),
        _ => None,
    };
    if unsaid.is_some() {
        return (Change::Undecided, unsaid);
    }
    let change = match (is_stop(past.decision), is_stop(now.decision)) {
        (false, true) => Change::NewlyStopped,
        (true, false) => Change::NewlyPassed,
        (true, true) => Change::Otherwise,
        (false, false) => Change::Same,
    };
    (change, None)
}

fn detail(
    about: &About,
    record: &Record,
    operation: Option<String>,
    now: NowDecision,
    change: Change,
    missing: Option<&'static str>,
) -> ExchangeReport {
    ExchangeReport {
        name: about.name,
        time: about.began,
        client: record.client,
        method: record.method.to_string(),
        path: record.path().to_owned(),
        query: record.query().map(str::to_owned),
        operation,
        consumer: record.principal.as_ref().map(|principal| principal.consumer.to_string()),
        now,
        then: about.past.clone(),
        change,
        missing,
        findings: record
            .findings
            .iter()
            .map(|finding| FindingReport {
                code: finding.code.name,
                guard: finding.guard,
                reason: finding.reason.to_string(),
                enforced: finding.enforced,
            })
            .collect(),
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
