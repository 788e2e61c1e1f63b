//! What an event costs: `cargo run --profile bench --example append -p portcullis-store [EVENTS [WRITERS]]`.
//!
//! Appends records like those of an ordinary call (API key, contract, JSON) and prints CPU and wall time for
//! each, page faults and write-back included, then reads them back.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement, not a library"
)]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use portcullis_engine::{
    BodyLength, Connection, End, Engine, ExchangeId, Fields, Now, Observer, Outcome, Record, RequestHead,
    Scheme, State,
};
use portcullis_store::events::{EventLog, LogConfig, Query, Reader};

fn record(began: u64) -> Record {
    let engine = Engine::builder(Arc::new(State::new(64))).build();
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static("host"), HeaderValue::from_static("api.example.com"));
    headers.insert(
        HeaderName::from_static("user-agent"),
        HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"),
    );
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
    let head = RequestHead {
        method: Method::GET,
        target: Bytes::from_static(b"/v1/customers/4711/orders?page=2&size=50"),
        authority: None,
        version: Version::HTTP_11,
        headers,
        body: BodyLength::None,
    };
    let connection = Connection {
        peer: "192.0.2.7:4711".parse().unwrap(),
        local: "192.0.2.1:80".parse().unwrap(),
        scheme: Scheme::Http,
        sni: None,
        certificate: None,
    };
    let inspection =
        engine.begin(head, &connection, ExchangeId(u128::from(began) << 64 | 7), Now::recorded(began));
    inspection.finish(Outcome {
        status: StatusCode::OK,
        end: End::Complete,
        bytes_in: 0,
        bytes_out: 1024,
        upstream: Some("127.0.0.1:3000".into()),
        upstream_ns: Some(250_000),
        now: Now::recorded(began + 500_000),
    })
}

/// User and system time of this process, in nanoseconds.
fn cpu_ns() -> u64 {
    let ticks = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = ticks.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10_000_000
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(2_000_000, |n| n.parse().unwrap());
    let threads: u64 = arguments.next().map_or(1, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config =
        LogConfig { total_bytes: 4 << 30, writers: threads as usize, ..LogConfig::new(folder.path()) };
    let log = EventLog::open(config).unwrap();

    let (cpu, wall) = (cpu_ns(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let log = &log;
            scope.spawn(move || {
                let records: Vec<Record> =
                    (0..64).map(|i| record(1_800_000_000_000_000_000 + thread + i)).collect();
                for record in records.iter().cycle().take((events / threads) as usize) {
                    log.observe(record);
                }
            });
        }
    });
    let (cpu, wall) = (cpu_ns() - cpu, wall.elapsed());
    let stats = log.stats();
    println!("{} kept, {} lost", stats.appended, stats.lost);
    println!("cpu  {:>6} ns an event", cpu / events);
    println!("wall {:>6} ns an event", wall.as_nanos() as u64 / events);
    println!("resident {} KiB", resident_kib());
    drop(log);

    let wall = Instant::now();
    let read = Reader::open(folder.path()).unwrap().query(&Query::default()).unwrap().count() as u64;
    println!("read back {read}: {} ns an event", wall.elapsed().as_nanos() as u64 / read.max(1));
}
