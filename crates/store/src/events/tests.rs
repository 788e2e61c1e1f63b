use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::{Observer, code};

use super::fixtures::{Wanted, record};
use super::*;

fn config(folder: &Path) -> LogConfig {
    LogConfig { writers: 2, sync_every: Duration::from_millis(20), ..LogConfig::new(folder) }
}

fn read(folder: &Path, query: &Query) -> Vec<Event> {
    Reader::open(folder).unwrap().query(query).unwrap().collect::<Result<_, _>>().unwrap()
}

fn ids(folder: &Path, query: &Query) -> Vec<u128> {
    read(folder, query).iter().map(|event| event.reference.0).collect()
}

fn append(log: &EventLog, ids: impl IntoIterator<Item = u128>) {
    for id in ids {
        log.observe(&record(&Wanted { id, began: 1_000 * id as u64, ..Wanted::default() }));
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "events"));
    paths.sort();
    paths
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er");
    let log = EventLog::open(config(&path)).unwrap();
    let denied = Wanted {
        id: 0xabc,
        began: 1_767_225_600_000_000_000,
        target: "/a%20b?x=1&api_key=hunter2",
        client: "2001:db8::7",
        refused: Some((&code::BODY_TOO_LARGE, "12 bytes announced".into())),
        status: 413,
    };
    log.observe(&record(&denied));
    let [event] = &read(&path, &Query::default())[..] else { panic!("one event") };
    assert_eq!(event.reference.0, 0xabc);
    assert_eq!((event.path.as_str(), event.query.as_deref()), ("/a%20b", Some("x=1&api_key=***")));
    assert_eq!(event.client.to_string(), "2001:db8::7");
    assert_eq!((event.method.as_str(), event.version.as_str(), event.status), ("POST", "HTTP/1.1", 413));
    assert_eq!(
        (event.authority.as_str(), event.user_agent.as_deref()),
        ("api.example.com", Some("probe/1.0"))
    );
    assert_eq!(event.content_type.as_deref(), Some("application/json"));
    assert_eq!((event.decision, event.end), (EventDecision::Refused, EventEnd::Complete));
    assert_eq!((event.code.as_deref(), event.guard.as_deref()), (Some("body-too-large"), Some("protocol")));
    assert_eq!(event.reason.as_deref(), Some("12 bytes announced"));
    assert_eq!((event.bytes_in, event.bytes_out, event.duration_ns), (12, 34, 500));
    assert_eq!((event.upstream.as_deref(), event.upstream_ns), (Some("127.0.0.1:3000"), Some(250)));
    assert_eq!(event.findings.len(), 1);
    assert!(event.findings[0].enforced && !event.cut);

    let json = serde_json::to_value(event).unwrap();
    assert_eq!(json["time"], "2026-01-01T00:00:00Z");
    assert_eq!(json["reference"], "00000000000000000000000000000abc");
    assert_eq!(json["decision"], "refused");
    assert_eq!(&serde_json::from_value::<Event>(json).unwrap(), event);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for segment in segments(&path) {
        assert_eq!(fs::metadata(segment).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn every_field_is_bounded_and_cut_at_a_character() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(config(folder.path())).unwrap();
    let long = format!("/{}?{}", "a".repeat(100_000), "b".repeat(100_000));
    let reason = format!("x{}", "\u{20ac}".repeat(100_000));
    log.observe(&record(&Wanted {
        target: &long,
        refused: Some((&code::BODY_MALFORMED, reason)),
        ..Wanted::default()
    }));
    let [event] = &read(folder.path(), &Query::default())[..] else { panic!("one event") };
    assert!(event.cut);
    assert_eq!((event.path.len(), event.query.as_ref().unwrap().len()), (8192, 8192));
    let reason = event.reason.as_ref().unwrap();
    assert!(reason.len() <= 1024 && reason.len() > 1020 && !reason.contains('\u{fffd}'));
}

#[test]
fn queries() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(config(folder.path())).unwrap();
    let odd = Wanted {
        id: 500,
        began: 500_000,
        target: "/admin/users",
        client: "203.0.113.9",
        refused: Some((&code::BODY_MALFORMED, "x".into())),
        status: 400,
    };
    append(&log, 1..=9);
    log.observe(&record(&odd));
    let all = |query: Query| ids(folder.path(), &query);
    let base = Query::default;
    assert_eq!(all(Query { limit: Some(3), ..base() }), [1, 2, 3]);
    assert_eq!(all(Query { limit: Some(2), order: Order::NewestFirst, ..base() }), [500, 9]);
    assert_eq!(all(Query { limit: Some(0), ..base() }), [0u128; 0]);
    assert_eq!(all(Query { since: Some(3_000), until: Some(5_000), ..base() }), [3, 4]);
    assert_eq!(all(Query { status: Some("4xx".parse().unwrap()), ..base() }), [500]);
    assert_eq!(all(Query { status: Some("400-499".parse().unwrap()), ..base() }), [500]);
    assert_eq!(all(Query { status: Some("200".parse().unwrap()), ..base() }).len(), 9);
    assert_eq!(all(Query { decision: Some("refused".parse().unwrap()), ..base() }), [500]);
    assert_eq!(all(Query { code: Some("body-malformed".into()), ..base() }), [500]);
    assert_eq!(all(Query { guard: Some("protocol".into()), ..base() }), [500]);
    assert_eq!(all(Query { client: Some("203.0.113.0/24".parse().unwrap()), ..base() }), [500]);
    assert_eq!(all(Query { path: Some("/admin".into()), ..base() }), [500]);
    assert_eq!(all(Query { reference: Some(portcullis_engine::ExchangeId(4)), ..base() }), [4]);
    assert_eq!(all(Query { method: Some("GET".into()), ..base() }), [0u128; 0]);
    assert_eq!(all(Query { consumer: Some("nobody".into()), ..base() }), [0u128; 0]);
    for bad in ["", "x", "40", "4x", "99", "500-400", "4xxx", "404-", "+04", "0xx"] {
        assert!(bad.parse::<StatusRange>().is_err(), "{bad}");
    }
    assert!("Refused!".parse::<EventDecision>().is_err());
}

/// Small segments: many of them.
fn small(folder: &Path) -> LogConfig {
    LogConfig { segment_bytes: 1, total_bytes: 1 << 30, ..config(folder) }
}

#[test]
fn segments_rotate_and_merge_over_threads() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(small(folder.path())).unwrap();
    std::thread::scope(|scope| {
        for part in 0..4u128 {
            let log = &log;
            scope.spawn(move || append(log, (0..2_000).map(|i| 1 + part + 4 * i)));
        }
    });
    let stats = log.stats();
    assert_eq!((stats.appended, stats.lost, stats.healthy), (8_000, 0, true));
    let whole: BTreeSet<u128> = (1..=8_000).collect();
    assert_eq!(ids(folder.path(), &Query::default()).into_iter().collect::<BTreeSet<_>>(), whole);
    drop(log);
    assert!(segments(folder.path()).len() > 4);
    let forwards = ids(folder.path(), &Query::default());
    assert_eq!(forwards.len(), 8_000);
    assert_eq!(forwards.iter().copied().collect::<BTreeSet<_>>(), whole);
    let mut backwards = ids(folder.path(), &Query { order: Order::NewestFirst, ..Query::default() });
    backwards.sort_unstable();
    assert!(backwards.iter().copied().eq(1..=8_000));
    // Sealed segments are cut to what they hold.
    for segment in segments(folder.path()) {
        let file = fs::File::open(&segment).unwrap();
        let summary = segment::Header::read(&file).unwrap().unwrap().summary.unwrap();
        assert_eq!(file.metadata().unwrap().len(), summary.used);
    }
}

#[test]
fn one_thread_is_read_in_order_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(small(folder.path())).unwrap();
    append(&log, 1..=5_000);
    drop(log);
    let log = EventLog::open(small(folder.path())).unwrap();
    append(&log, 5_001..=6_000);
    assert!(ids(folder.path(), &Query::default()).into_iter().eq(1..=6_000));
    let newest = Query { order: Order::NewestFirst, ..Query::default() };
    assert!(ids(folder.path(), &newest).into_iter().eq((1..=6_000).rev()));
    let window = Query { since: Some(3_000_000), until: Some(3_010_000), ..Query::default() };
    assert!(ids(folder.path(), &window).into_iter().eq(3_000..3_010));
}

#[test]
fn retention_by_bytes_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let total = 4 << 20;
    let bounded = LogConfig { total_bytes: total, ..small(folder.path()) };
    let log = EventLog::open(bounded).unwrap();
    fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    for round in 0..40u128 {
        append(&log, round * 1_000 + 1..=round * 1_000 + 1_000);
        let on_disk: u64 =
            segments(folder.path()).iter().filter_map(|p| fs::metadata(p).ok()).map(|m| m.len()).sum();
        assert!(on_disk <= total, "{on_disk} bytes");
        // Retention is the housekeeper's; a burst waits for it here as a disk would make it wait.
        wait_for("housekeeping", || log.stats().bytes <= total);
    }
    assert!(log.stats().deleted > 0);
    drop(log);
    let kept = ids(folder.path(), &Query::default());
    assert_eq!(kept.last(), Some(&40_000), "the newest stay");
    assert!(kept.len() < 40_000 && !kept.contains(&1));
    assert!(folder.path().join("notes.txt").exists());
    std::thread::sleep(Duration::from_millis(20));
    let log = EventLog::open(LogConfig { keep: Duration::from_millis(10), ..small(folder.path()) }).unwrap();
    assert_eq!(ids(folder.path(), &Query::default()), [0u128; 0]);
    drop(log);
    assert!(folder.path().join("notes.txt").exists());
}

#[test]
fn old_segments_are_done_even_without_calls() {
    let folder = tempfile::tempdir().unwrap();
    let aged = LogConfig { segment_age: Duration::from_millis(1), ..config(folder.path()) };
    let log = EventLog::open(aged).unwrap();
    append(&log, [1]);
    wait_for("sealing", || {
        segments(folder.path()).iter().any(|p| {
            let header = segment::Header::read(&fs::File::open(p).unwrap()).unwrap();
            header.is_ok_and(|header| header.summary.is_some())
        })
    });
    append(&log, [2]);
    assert_eq!(ids(folder.path(), &Query::default()), [1, 2]);
}

#[test]
fn following_goes_on_over_rotation_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(small(folder.path())).unwrap();
    append(&log, 1..=10);
    let reader = Reader::open(folder.path()).unwrap();
    let mut follower = reader.follow(&Query::default(), Start::End).unwrap();
    let mut whole = reader.follow(&Query::default(), Start::Beginning).unwrap();
    assert!(follower.poll().unwrap().is_empty());
    let mut seen = Vec::new();
    let take = |follower: &mut Follower, seen: &mut Vec<u128>| {
        seen.extend(follower.poll().unwrap().iter().map(|event| event.reference.0));
    };
    for round in 0..30u128 {
        append(&log, 11 + round * 100..11 + (round + 1) * 100);
        take(&mut follower, &mut seen);
    }
    drop(log);
    take(&mut follower, &mut seen);
    let log = EventLog::open(small(folder.path())).unwrap();
    append(&log, 3_011..=3_020);
    take(&mut follower, &mut seen);
    assert!(follower.poll().unwrap().is_empty());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(11..=3_020), "each once");
    assert_eq!(whole.poll().unwrap().len(), 3_020);
    let only = Query { path: Some("/nowhere".into()), ..Query::default() };
    assert!(reader.follow(&only, Start::Beginning).unwrap().poll().unwrap().is_empty());
}

#[test]
fn a_follower_reads_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(small(folder.path())).unwrap();
    let mut follower = Reader::open(folder.path()).unwrap().follow(&Query::default(), Start::End).unwrap();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        for part in 0..2u128 {
            let log = &log;
            scope.spawn(move || append(log, (0..5_000).map(|i| part + 2 * i)));
        }
        wait_for("all events", || {
            seen.extend(follower.poll().unwrap().iter().map(|event| event.reference.0));
            seen.len() >= 10_000
        });
    });
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..10_000));
}

#[test]
fn foreign_files_and_unknown_versions_are_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(config(folder.path())).unwrap();
    append(&log, [1]);
    drop(log);
    let own = segments(folder.path()).remove(0);
    let mut newer = fs::read(&own).unwrap();
    newer[8] = 9;
    let mut broken = fs::read(&own).unwrap();
    broken[20] ^= 1;
    fs::write(folder.path().join("a.events"), "hello").unwrap();
    fs::write(folder.path().join("b.events"), newer).unwrap();
    fs::write(folder.path().join("c.events"), broken).unwrap();
    fs::write(folder.path().join("empty.events"), "").unwrap();
    fs::create_dir(folder.path().join("folder.events")).unwrap();
    let log = EventLog::open(config(folder.path())).unwrap();
    append(&log, [2]);
    let mut events = Reader::open(folder.path()).unwrap().query(&Query::default()).unwrap();
    assert_eq!(events.by_ref().map(|e| e.unwrap().reference.0).collect::<Vec<_>>(), [1, 2]);
    let damage: Vec<_> = events.damage().iter().map(|d| d.what.as_str()).collect();
    assert_eq!(damage.len(), 4, "{damage:?}");
    assert!(
        damage.iter().any(|what| what.contains("version 9")) && damage.contains(&"the header is damaged")
    );
    let mut follower =
        Reader::open(folder.path()).unwrap().follow(&Query::default(), Start::Beginning).unwrap();
    assert_eq!(follower.poll().unwrap().len(), 2);
    for name in ["a.events", "b.events", "c.events", "empty.events"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_an_error_at_opening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = EventLog::open(config(&file.join("log"))).unwrap_err();
    assert!(error.to_string().contains("cannot be written"));
    assert!(Reader::open(folder.path().join("missing")).is_err());
}

#[test]
fn without_room_events_are_counted_and_it_heals() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::open(LogConfig { writers: 1, ..small(folder.path()) }).unwrap();
    append(&log, 1..=10);
    // The folder goes away: no segment can be made any more, as on a full disk.
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    let started = Instant::now();
    append(&log, 11..=5_000);
    assert!(started.elapsed() < Duration::from_secs(20));
    let stats = log.stats();
    assert!(!log.healthy() && stats.lost > 0, "{stats:?}");
    assert_eq!(stats.appended + stats.lost, 5_000);
    fs::rename(&away, folder.path()).unwrap();
    wait_for("healing without a call", || log.healthy());
    append(&log, [6_000]);
    assert!(log.healthy());
    let appended = log.stats().appended;
    drop(log);
    let kept = ids(folder.path(), &Query::default());
    assert_eq!((kept.len() as u64, kept.last()), (appended, Some(&6_000)));
}

/// A sealed segment with 40 events, as bytes, and the offsets of its frames.
fn sample(folder: &Path) -> (PathBuf, Vec<u8>) {
    let log = EventLog::open(LogConfig { writers: 1, ..config(folder) }).unwrap();
    append(&log, 1..=40);
    drop(log);
    let path = segments(folder).remove(0);
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn a_flipped_bit_costs_its_event_only_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = sample(folder.path());
    let mut bytes = good.clone();
    let middle = good.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let query = Query { order, ..Query::default() };
        let mut events = Reader::open(folder.path()).unwrap().query(&query).unwrap();
        assert_eq!(events.by_ref().count(), 39);
        assert_eq!(events.damage().len(), 1);
    }
    // Cut off: what is whole stays readable.
    fs::write(&path, &good[..middle]).unwrap();
    let mut events = Reader::open(folder.path()).unwrap().query(&Query::default()).unwrap();
    let left = events.by_ref().count();
    assert!((15..25).contains(&left));
    assert_eq!(events.damage().len(), 1);
}

/// A small generator: the same corruptions in every run.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn random_corruption_never_panics_nor_invents() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = sample(folder.path());
    let originals = read(folder.path(), &Query::default());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=dice.roll(6) {
            let at = dice.roll(bytes.len());
            match dice.roll(5) {
                0 => bytes[at] ^= 1 << dice.roll(8),
                1 => bytes[at] = dice.roll(256) as u8,
                2 => bytes.truncate(at + 1),
                3 => bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
                _ => {
                    let until = (at + dice.roll(100)).min(bytes.len());
                    let copy = bytes[at..until].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let query = Query { order, ..Query::default() };
            let events = Reader::open(folder.path()).unwrap().query(&query).unwrap();
            for event in events {
                assert!(originals.contains(&event.unwrap()), "round {round}: an event that nobody wrote");
            }
        }
        let mut follower =
            Reader::open(folder.path()).unwrap().follow(&Query::default(), Start::Beginning).unwrap();
        for event in follower.poll().unwrap() {
            assert!(originals.contains(&event));
        }
        if round % 50 == 0 {
            // Whoever opens the log next copes too.
            drop(EventLog::open(LogConfig { writers: 1, ..config(folder.path()) }).unwrap());
            for other in segments(folder.path()) {
                if other != path {
                    fs::remove_file(other).unwrap();
                }
            }
        }
    }
}

#[test]
fn payloads_are_decoded_exactly_or_not_at_all() {
    let mut payload = Vec::new();
    let refused = Some((&code::BODY_MALFORMED, "why".to_owned()));
    frame::encode(&record(&Wanted { refused, ..Wanted::default() }), &mut payload);
    assert!(frame::View::decode(&payload).is_some());
    for length in 0..payload.len() {
        assert!(frame::View::decode(&payload[..length]).is_none(), "{length} bytes");
    }
    payload.push(0);
    assert!(frame::View::decode(&payload).is_none());
}

const CHILD: &str = "PORTCULLIS_TEST_EVENT_LOG";

/// Not a test of its own: what the killed process does. Prints the number of each event once it was acknowledged.
#[test]
#[ignore = "run by `killed_processes_lose_nothing_they_acknowledged`"]
fn child_that_writes_until_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let log = EventLog::open(LogConfig { writers: 2, ..small(Path::new(&folder)) }).unwrap();
    let first = u128::from(std::process::id()) << 64;
    let print = Arc::new(parking_lot::Mutex::new(std::io::stdout()));
    std::thread::scope(|scope| {
        for part in 0..2u128 {
            let (log, print) = (&log, Arc::clone(&print));
            scope.spawn(move || {
                for i in 0u64.. {
                    let id = first | part << 32 | u128::from(i);
                    log.observe(&record(&Wanted { id, began: i, ..Wanted::default() }));
                    writeln!(print.lock(), "acknowledged {id}").unwrap();
                }
            });
        }
    });
}

#[test]
fn killed_processes_lose_nothing_they_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeSet<u128> = BTreeSet::new();
    for round in 0..4usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "events::tests::child_that_writes_until_killed", "--ignored", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = 500 + 1_733 * round;
        let mut count = 0;
        let mut note = |line: std::io::Result<String>| {
            if let Some(id) = line.unwrap().strip_prefix("acknowledged ") {
                acknowledged.insert(id.parse().unwrap());
                count += 1;
            }
            count
        };
        for line in lines.by_ref() {
            if note(line) >= until {
                break;
            }
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        // What was in the pipe already had been acknowledged too; the last line may be torn.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        rest.into_iter().take(whole).for_each(|line| _ = note(Ok(line)));
        let found: BTreeSet<u128> = ids(folder.path(), &Query::default()).into_iter().collect();
        assert!(
            acknowledged.is_subset(&found),
            "round {round}: {} lost",
            acknowledged.difference(&found).count()
        );
    }
    // The next opening seals what the dead left, and gives back the room.
    let log = EventLog::open(config(folder.path())).unwrap();
    let found: BTreeSet<u128> = ids(folder.path(), &Query::default()).into_iter().collect();
    assert!(acknowledged.is_subset(&found));
    drop(log);
    for segment in segments(folder.path()) {
        let header = segment::Header::read(&fs::File::open(&segment).unwrap()).unwrap().unwrap();
        assert!(header.summary.is_some(), "{} is not sealed", segment.display());
    }
}

#[test]
fn what_follows_a_dead_writers_last_event_is_kept_as_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = sample(folder.path());
    // As if it had died before sealing, with something torn behind the last frame.
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 56], 48).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"\xff\xff\0\0torn", good.len() as u64).unwrap();
    file.flush().unwrap();
    drop(file);
    drop(EventLog::open(config(folder.path())).unwrap());
    assert_eq!(ids(folder.path(), &Query::default()).len(), 40);
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
}
