//! Spikes of 401 and 403: guessing of credentials, and probing for what one may do.

use std::collections::{HashMap, VecDeque};

use portcullis_engine::one_client;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Incident, Seen, Subject};

const MINUTE: u64 = 60_000_000_000;

/// Parts of a minute that are counted apart, so that the minute slides.
const PARTS: u64 = 12;

/// When refusals are a spike.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Spike")]
pub struct SpikeConfig {
    /// Refusals within a minute that make a spike at least. Default 20.
    pub at_least: u64,
    /// How many times what is usual there makes a spike. Default 5.
    pub factor: f64,
}

impl Default for SpikeConfig {
    fn default() -> Self {
        SpikeConfig { at_least: 20, factor: 5.0 }
    }
}

/// Subjects that are watched at a time; those of whom nothing was heard for longest make room.
const MOST: usize = 50_000;

/// Minutes over which what is usual is learned: it moves by 1/60 of the difference with each.
const MEMORY: f64 = 60.0;

/// The detector.
#[derive(Debug)]
pub struct Spikes {
    config: SpikeConfig,
    watched: HashMap<Subject, Watched>,
    most: usize,
}

/// What is known of one subject.
#[derive(Debug, Default)]
struct Watched {
    /// Refusals of the last minute: which part of a minute since the epoch, how many, and how many of them 401.
    parts: VecDeque<(u64, u64, u64)>,
    /// The minute up to which `usual` was learned, and refusals of it so far.
    minute: u64,
    count: u64,
    usual: f64,
    last: u64,
    open: Option<Incident>,
}

impl Spikes {
    /// A detector that knows nothing yet.
    pub fn new(config: SpikeConfig) -> Spikes {
        Spikes { config, watched: HashMap::new(), most: MOST }
    }

    /// Takes note of an exchange. Answers the incidents that begin with it.
    pub fn observe(&mut self, seen: Seen<'_>) -> Vec<Incident> {
        if !matches!(seen.status, 401 | 403) {
            return Vec::new();
        }
        let consumer = seen.consumer.map(|name| Subject::Consumer(name.to_owned()));
        let operation = seen.operation.map(|name| Subject::Operation(name.to_owned()));
        let subjects = [Some(Subject::Client(one_client(seen.client))), consumer, operation];
        let mut begun = Vec::new();
        for subject in subjects.into_iter().flatten() {
            if !self.make_room(&subject) {
                continue;
            }
            let config = self.config;
            let watched = self.watched.entry(subject.clone()).or_default();
            begun.extend(watched.count(&config, &subject, &seen));
        }
        begun
    }

    /// Ends what is over at `now`. Answers the incidents that ended, whole.
    pub fn settle(&mut self, now: u64) -> Vec<Incident> {
        let mut over = Vec::new();
        for watched in self.watched.values_mut() {
            if watched.last + MINUTE <= now
                && let Some(mut incident) = watched.open.take()
            {
                incident.over = true;
                over.push(incident);
                // What was counted of its last minute belongs to the spike, and teaches nothing.
                watched.count = 0;
            }
        }
        // Who is quiet for longer than is learned is as good as new.
        self.watched.retain(|_, watched| watched.last + 6 * 60 * MINUTE > now);
        over.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
        over
    }

    /// The incidents that go on.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.watched.values().filter_map(|watched| watched.open.as_ref())
    }

    /// Whether there is room for `subject`. Where all the room is taken by incidents that go on, there is none: who floods
    /// from that many addresses is seen by what they call.
    fn make_room(&mut self, subject: &Subject) -> bool {
        if self.watched.len() < self.most || self.watched.contains_key(subject) {
            return true;
        }
        // A tenth at once: a flood of addresses must not buy a search for each.
        let mut heard: Vec<u64> = self.watched.values().map(|watched| watched.last).collect();
        let at = heard.len() / 10;
        let (_, limit, _) = heard.select_nth_unstable(at);
        let limit = *limit;
        self.watched.retain(|_, watched| watched.last > limit || watched.open.is_some());
        if self.watched.len() >= self.most {
            self.watched.retain(|_, watched| watched.open.is_some());
        }
        self.watched.len() < self.most
    }
}

impl Watched {
    fn count(&mut self, config: &SpikeConfig, subject: &Subject, seen: &Seen<'_>) -> Option<Incident> {
        // Exchanges end in another order than they began; what is late counts as now.
        let at = seen.at.max(self.last);
        self.learn(at / MINUTE);
        self.count += 1;
        self.last = at;
        let part = at / (MINUTE / PARTS);
        let unauthorized = u64::from(seen.status == 401);
        match self.parts.back_mut() {
            Some((last, count, of_them)) if *last == part => {
                *count += 1;
                *of_them += unauthorized;
            }
            _ => self.parts.push_back((part, 1, unauthorized)),
        }
        while self.parts.front().is_some_and(|(first, ..)| first + PARTS <= part) {
            self.parts.pop_front();
        }
        let lately: u64 = self.parts.iter().map(|(_, count, _)| count).sum();
        if let Some(incident) = &mut self.open {
            incident.last = at;
            incident.refusals += 1;
            incident.unauthorized += unauthorized;
            incident.peak = incident.peak.max(lately);
            incident.summary = summary(incident);
            return None;
        }
        // Beyond what is usual by a factor, and by more than chance makes of it (three standard deviations).
        let chance = self.usual + 3.0 * self.usual.sqrt();
        let limit = (config.at_least as f64).max(self.usual * config.factor).max(chance);
        if (lately as f64) < limit {
            return None;
        }
        let began = self.parts.front().map_or(at, |(first, ..)| first * (MINUTE / PARTS));
        let mut incident = Incident {
            id: id(subject, began),
            detector: "refusal-spike".into(),
            subject: subject.clone(),
            began,
            last: at,
            over: false,
            refusals: lately,
            unauthorized: self.parts.iter().map(|(.., count)| count).sum(),
            peak: lately,
            usual: (self.usual * 10.0).round() / 10.0,
            summary: String::new(),
        };
        incident.summary = summary(&incident);
        self.open = Some(incident.clone());
        Some(incident)
    }

    /// Learns from whole minutes, those without refusals included; never from a spike, or who attacks slowly enough
    /// would teach it.
    fn learn(&mut self, minute: u64) {
        if self.minute == 0 {
            self.minute = minute;
        }
        if minute <= self.minute {
            return;
        }
        let quiet = (minute - self.minute - 1).min(100_000) as f64;
        if self.open.is_none() {
            self.usual += (self.count as f64 - self.usual) / MEMORY;
            self.usual *= (1.0 - 1.0 / MEMORY).powf(quiet);
        }
        (self.minute, self.count) = (minute, 0);
    }
}

fn summary(incident: &Incident) -> String {
    format!(
        "{}: {} refusals (401 and 403), up to {} a minute, where {} are usual",
        incident.subject, incident.refusals, incident.peak, incident.usual
    )
}

/// FNV-1a over what it is about and when it began.
fn id(subject: &Subject, began: u64) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("refusal-spike {subject} {began}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_800_000_000 * SECOND;

    fn seen(second: u64, client: &str, status: u16) -> Seen<'_> {
        Seen {
            at: START + second * SECOND,
            client: client.parse().unwrap(),
            consumer: None,
            operation: Some("login"),
            status,
        }
    }

    fn spikes() -> Spikes {
        Spikes::new(SpikeConfig::default())
    }

    #[test]
    fn a_spike_begins_once_and_ends() {
        let mut spikes = spikes();
        let mut begun = Vec::new();
        for at in 0..50 {
            begun.extend(spikes.observe(seen(at / 2, "192.0.2.7", 401)));
        }
        let subjects: Vec<String> = begun.iter().map(|incident| incident.subject.to_string()).collect();
        assert_eq!(subjects, ["client 192.0.2.7", "operation login"]);
        assert_eq!(begun[0].refusals, 20);
        assert!(spikes.settle(START + 60 * SECOND).is_empty(), "it may go on");
        let over = spikes.settle(START + 90 * SECOND);
        assert_eq!(over.iter().map(|one| one.refusals).collect::<Vec<_>>(), [50, 50]);
        assert!(over.iter().all(|one| one.over
            && one.peak == 50
            && one.unauthorized == 50
            && one.summary.contains("50 refusals")));
        assert_eq!(spikes.open().count(), 0);
        assert!(spikes.settle(START + 200 * SECOND).is_empty(), "once");
    }

    #[test]
    fn what_is_usual_is_no_spike() {
        let mut spikes = spikes();
        // A busy office: 12 a minute, for hours.
        for minute in 0..300 {
            for one in 0..12 {
                assert!(spikes.observe(seen(minute * 60 + one * 5, "192.0.2.7", 403)).is_empty(), "{minute}");
            }
        }
        // Twice that is still none, ten times is.
        for one in 0..24 {
            assert!(spikes.observe(seen(300 * 60 + one, "192.0.2.7", 403)).is_empty(), "{one}");
        }
        let begun: Vec<Incident> =
            (0..200).flat_map(|one| spikes.observe(seen(302 * 60 + one / 10, "192.0.2.7", 403))).collect();
        assert_eq!(begun.len(), 2);
        assert!((11.0..13.0).contains(&begun[0].usual), "{}", begun[0].usual);
        // Somebody new in the same minute is judged by themselves.
        let other: Vec<Incident> =
            (0..19).flat_map(|one| spikes.observe(seen(303 * 60 + one, "198.51.100.1", 401))).collect();
        assert!(other.is_empty());
    }

    #[test]
    fn a_slow_attacker_does_not_teach_it() {
        let mut spikes = spikes();
        let mut begun = 0;
        for minute in 0..120 {
            for one in 0..40 {
                begun += spikes.observe(seen(minute * 60 + one, "192.0.2.7", 401)).len();
            }
        }
        assert_eq!(begun, 2, "one incident a subject, as long as it lasts");
        let usual = spikes.open().map(|incident| incident.usual).fold(0.0, f64::max);
        assert!(usual < 1.0, "{usual}");
    }

    #[test]
    fn a_spike_that_is_over_taught_nothing() {
        let mut spikes = spikes();
        for at in 0..5000 {
            spikes.observe(seen(at / 100, "192.0.2.7", 401));
        }
        assert_eq!(spikes.settle(START + 120 * SECOND).len(), 2);
        let begun: Vec<Incident> =
            (0..40).flat_map(|at| spikes.observe(seen(180 + at, "192.0.2.7", 401))).collect();
        assert_eq!(begun.len(), 2, "the next one is seen as the first was");
        assert!(begun.iter().all(|incident| incident.usual < 1.0), "{begun:?}");
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_more_room_than_there_is() {
        let mut spikes = spikes();
        spikes.most = 50;
        for round in 0..25 {
            for client in 0..200u64 {
                spikes.observe(seen(round, &format!("10.0.0.{client}"), 401));
                spikes.observe(seen(round, &format!("10.0.1.{client}"), 401));
                assert!(spikes.watched.len() <= 50, "{}", spikes.watched.len());
            }
        }
        let operation = Subject::Operation("login".into());
        assert!(spikes.open().any(|incident| incident.subject == operation));
    }

    #[test]
    fn other_answers_are_none_and_addresses_of_one_network_are_one() {
        let mut spikes = spikes();
        for at in 0..100 {
            assert!(spikes.observe(seen(at / 10, "192.0.2.7", 404)).is_empty());
            assert!(spikes.observe(seen(at / 10, "192.0.2.7", 200)).is_empty());
        }
        let begun: Vec<Incident> = (0..20)
            .flat_map(|at| {
                spikes.observe(seen(at, if at % 2 == 0 { "2001:db8::1" } else { "2001:db8::2" }, 401))
            })
            .collect();
        assert!(begun.iter().any(|one| one.subject == Subject::Client("2001:db8::".parse().unwrap())));
    }

    #[test]
    fn the_same_exchanges_give_the_same_incidents_and_memory_is_bounded() {
        let run = || {
            let mut spikes = spikes();
            spikes.most = 100;
            let mut all = Vec::new();
            for at in 0..5000u64 {
                let client = format!("10.{}.{}.1", at % 7 / 3, at % 251);
                all.extend(spikes.observe(seen(at / 40, &client, 401)));
                assert!(spikes.watched.len() <= 101);
            }
            all.extend(spikes.settle(START + 10_000 * SECOND));
            all
        };
        assert_eq!(run(), run());
        assert!(!run().is_empty());
    }
}
