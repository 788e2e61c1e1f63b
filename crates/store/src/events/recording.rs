//! Events as a recording, for replay.

use http::header::{CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{HeaderValue, Method, Version};
use portcullis_engine::{BodyLength, Fields, RequestHead, Scheme};
use portcullis_watch::{
    DecisionWord, Name, PastDecision, RecordedBody, RecordedExchange, Recording, Skipped, Source,
};

use super::event::{Event, EventDecision};
use super::frame::TARGET;
use super::merge::Damage;
use super::query::Query;
use super::reader::{ReadError, Reader};

impl Reader {
    /// The events that `query` asks for, as a recording, and what of the log could not be read. Takes about a
    /// kilobyte of memory for each: set [`Query::limit`].
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn recording(&self, query: &Query) -> Result<(Recording, Vec<Damage>), ReadError> {
        let (mut exchanges, mut skipped) = (Vec::new(), Vec::new());
        let mut events = self.query(query)?;
        for event in events.by_ref() {
            let event = event?;
            let name = Name::Reference(event.reference);
            match RecordedExchange::try_from(event) {
                Ok(exchange) => exchanges.push(exchange),
                Err(reason) => skipped.push(Skipped { name, reason: reason.to_owned() }),
            }
        }
        Ok((Recording::new(Source::EventLog, exchanges, skipped), events.damage().to_vec()))
    }
}

/// What can be had of an event: the target, the authority, three fields, who called, and what was decided. The
/// error says why it cannot be replayed.
impl TryFrom<Event> for RecordedExchange {
    type Error = &'static str;

    fn try_from(event: Event) -> Result<RecordedExchange, &'static str> {
        // The last bytes of a cut field may be missing for the sake of a character.
        let full = |text: &str| text.len() + 4 > TARGET;
        if event.cut && (full(&event.path) || event.query.as_deref().is_some_and(full)) {
            return Err("its target was too long for the log");
        }
        let method = Method::from_bytes(event.method.as_bytes()).map_err(|_| "its method is no method")?;
        let redacted =
            event.query.as_ref().is_some_and(|query| query.split('&').any(|pair| pair.ends_with("=***")));
        let mut target = event.path;
        if let Some(query) = &event.query {
            target.push('?');
            target.push_str(query);
        }
        let version = match event.version.as_str() {
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/2" => Version::HTTP_2,
            "HTTP/3" => Version::HTTP_3,
            _ => Version::HTTP_11,
        };
        let multiplexed = matches!(version, Version::HTTP_2 | Version::HTTP_3);
        let mut headers = Fields::new();
        let mut set = |name: HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        };
        set(HOST, Some(event.authority.as_str()).filter(|authority| !multiplexed && !authority.is_empty()));
        set(CONTENT_TYPE, event.content_type.as_deref());
        set(USER_AGENT, event.user_agent.as_deref());
        let (body, length) = match event.bytes_in {
            // A call that was refused by its head: its body was not waited for, but announced a type.
            0 if event.decision == EventDecision::Refused && event.content_type.is_some() => {
                (RecordedBody::Missing, BodyLength::Unknown)
            }
            0 => (RecordedBody::None, BodyLength::None),
            bytes => (RecordedBody::Missing, BodyLength::Exact(bytes)),
        };
        Ok(RecordedExchange {
            name: Name::Reference(event.reference),
            id: event.reference,
            began: event.time,
            duration: event.duration_ns,
            head: RequestHead {
                method,
                target: target.into(),
                authority: Some(event.authority.into()).filter(|_| multiplexed),
                version,
                headers,
                body: length,
            },
            fields: false,
            redacted,
            // Records do not say; nothing is decided by it.
            scheme: Scheme::Https,
            client: Some(event.client),
            credential: event.credential.map(Into::into),
            body,
            response: None,
            past: Some(PastDecision {
                decision: match event.decision {
                    EventDecision::Permitted => DecisionWord::Permitted,
                    EventDecision::Refused => DecisionWord::Refused,
                    EventDecision::Withheld => DecisionWord::Withheld,
                    EventDecision::Answered => DecisionWord::Answered,
                },
                code: event.code,
                guard: event.guard,
                status: event.status,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_engine::{Engine, Observer, State, code};
    use portcullis_watch::{Change, Details, ReplayOptions, replay};

    use super::*;
    use crate::events::fixtures::{Wanted, record};
    use crate::events::{EventLog, LogConfig};

    #[test]
    fn the_log_replays_through_the_same_engine() {
        let folder = tempfile::tempdir().unwrap();
        let log = EventLog::open(LogConfig::new(folder.path())).unwrap();
        let plain = |id: u128, target| Wanted { id, began: 1_000 * id as u64, target, ..Wanted::default() };
        log.observe(&record(&plain(1, "/orders/7?api_key=hunter2")));
        log.observe(&record(&plain(2, "/orders//7")));
        log.observe(&record(&plain(3, "/a\\b?c")));
        let late = Some((&code::REQUEST_TIMEOUT, "no body in time".to_owned()));
        log.observe(&record(&Wanted { refused: late, ..plain(4, "/orders/7") }));
        let long = format!("/{}", "a".repeat(9_000));
        log.observe(&record(&plain(5, &long)));

        let reader = Reader::open(folder.path()).unwrap();
        let (recording, damage) = reader.recording(&Query::default()).unwrap();
        assert!(damage.is_empty());
        assert_eq!((recording.exchanges().len(), recording.skipped().len()), (4, 1));
        assert_eq!(recording.skipped()[0].name, Name::Reference(portcullis_engine::ExchangeId(5)));
        assert_eq!(recording.exchanges()[3].head.body, BodyLength::Exact(12));
        let mut early = reader.query(&Query::default()).unwrap().nth(3).unwrap().unwrap();
        early.bytes_in = 0;
        let early = RecordedExchange::try_from(early).unwrap();
        assert_eq!((early.body, early.head.body), (RecordedBody::Missing, BodyLength::Unknown));
        let first = &recording.exchanges()[0];
        assert!(first.redacted && first.body == RecordedBody::Missing);
        assert_eq!(first.head.target, "/orders/7?api_key=***");
        assert_eq!(first.head.headers["user-agent"], "probe/1.0");

        let engine = Engine::builder(Arc::new(State::new(64))).build();
        let options = ReplayOptions { details: Details::All, ..ReplayOptions::default() };
        let report = replay(&engine, recording, &options);
        let decided: Vec<_> = report.details.iter().map(|d| (d.now.decision, d.change)).collect();
        use DecisionWord::{Permitted, Refused};
        assert_eq!(
            decided,
            [
                (Permitted, Change::Same),
                // The fixtures' records are written before the engine judged the head.
                (Refused, Change::NewlyStopped),
                (Refused, Change::NewlyStopped),
                (Permitted, Change::Undecided),
            ]
        );
        assert_eq!(report.details[3].missing, Some("what stood on the wire"));
    }
}
