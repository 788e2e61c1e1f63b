//! Clients that hold connections open by being slow lose them by the deadline, and nobody else notices
//! (slowhttptest's four modes, and a silent connection).

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, Options};
use crate::harness::needs;
use crate::harness::peers::{self, Peer};
use crate::harness::recorder::Recorder;

/// Short deadlines, so that the test is short.
const TIMEOUTS: &str =
    "timeouts: { head: 2s, body: 2s, write: 2s, keep_alive: 2s }\nlimits: { min_rate: 5000 }\n";

#[test]
fn slow_headers_are_cut_off() {
    run("slow_headers_are_cut_off", &["-H", "-i", "1", "-x", "10"]);
}

#[test]
fn slow_bodies_are_cut_off() {
    run("slow_bodies_are_cut_off", &["-B", "-i", "1", "-x", "10", "-s", "8192"]);
}

#[test]
fn slow_readers_are_cut_off() {
    run("slow_readers_are_cut_off", &["-X", "-n", "1", "-w", "10", "-y", "20", "-z", "10"]);
}

#[test]
fn range_attacks_do_no_harm() {
    run("range_attacks_do_no_harm", &["-R", "-a", "5", "-b", "2000"]);
}

fn run(test: &str, mode: &[&str]) {
    let (Some(slowhttptest), Some(nginx)) = (needs(test, "slowhttptest"), needs(test, "nginx")) else {
        return;
    };
    let upstream = large_file(&nginx);
    let gateway = Options::config(format!(
        "upstream: http://{}\n{TIMEOUTS}policies:\n  - match: {{ path: /** }}\n    public: true\n",
        upstream.address
    ))
    .start();
    let good = GoodClient::start(gateway.address);
    let statistics = attack(&slowhttptest, &gateway, mode);
    let (calls, slowest) = good.stop().unwrap_or_else(|error| panic!("a good client's call failed: {error}"));
    assert!(calls > 20, "only {calls} good calls in the whole time");
    assert!(slowest < Duration::from_secs(2), "a good client waited {slowest:?}");
    let last = statistics.last().expect("slowhttptest kept statistics");
    assert!(last.pending + last.connected == 0, "still open at the end: {statistics:?}");
    assert!(last.closed > 50, "hardly any connection was made: {statistics:?}");
}

fn large_file(nginx: &Path) -> Peer {
    let peer =
        peers::nginx(nginx, "root html; location / { try_files /large =404; default_type text/plain; }");
    std::fs::create_dir(peer.folder().join("html")).unwrap();
    std::fs::write(peer.folder().join("html/large"), vec![b'x'; 4 * 1024 * 1024]).unwrap();
    peer
}

#[derive(Debug)]
struct Second {
    closed: u32,
    pending: u32,
    connected: u32,
}

/// 150 slow connections for as long as they last, at most ten seconds.
fn attack(program: &Path, gateway: &Gateway, mode: &[&str]) -> Vec<Second> {
    let prefix = gateway.folder().join("slow");
    let output = Command::new(program)
        .args(mode)
        .args(["-c", "150", "-r", "150", "-l", "10", "-p", "3", "-g", "-o"])
        .arg(&prefix)
        .args(["-u", &format!("{}/large", gateway.url())])
        .output()
        .unwrap();
    let csv = std::fs::read_to_string(prefix.with_extension("csv")).unwrap_or_else(|e| {
        panic!("slowhttptest left no statistics ({e}): {}", String::from_utf8_lossy(&output.stdout))
    });
    csv.lines()
        .skip(1)
        .filter_map(|line| {
            let numbers: Vec<u32> = line.split(',').map_while(|cell| cell.trim().parse().ok()).collect();
            let [_, closed, pending, connected, ..] = numbers[..] else { return None };
            Some(Second { closed, pending, connected })
        })
        .collect()
}

/// Calls once in a while, each time on a new connection, and remembers the worst.
struct GoodClient {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<(u32, Duration), String>>,
}

impl GoodClient {
    fn start(gateway: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut calls, mut slowest) = (0, Duration::ZERO);
            while !told.load(Ordering::Relaxed) {
                let start = Instant::now();
                let response =
                    Client::connect(gateway).call("HEAD", "/good", &[("Connection", "close")], b"")?;
                if response.status != 200 {
                    return Err(format!("answered {}", response.status));
                }
                slowest = slowest.max(start.elapsed());
                calls += 1;
                thread::sleep(Duration::from_millis(50));
            }
            Ok((calls, slowest))
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<(u32, Duration), String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn silent_connections_are_closed() {
    let recorder = Recorder::start();
    let gateway = Options::config(format!(
        "upstream: http://{}\n{TIMEOUTS}policies:\n  - match: {{ path: /** }}\n    public: true\n",
        recorder.address
    ))
    .start();
    let h2_preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let silent: [(&str, &[u8]); 5] = [
        ("nothing", b""),
        ("one byte", b"G"),
        ("half an HTTP/2 preface", &h2_preface[..10]),
        ("an HTTP/2 preface and settings", h2_preface),
        ("after a call", b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ];
    let start = Instant::now();
    let mut clients: Vec<(&str, Client)> = silent
        .iter()
        .map(|(name, bytes)| {
            let mut client = Client::connect(gateway.address);
            client.send(bytes);
            (*name, client)
        })
        .collect();
    for (name, client) in &mut clients {
        // Whatever is said in farewell, the end comes.
        let mut everything = Vec::new();
        let ended = std::io::Read::read_to_end(client.stream(), &mut everything);
        assert!(ended.is_ok(), "{name}: still open after {:?}: {ended:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(6), "{name}: closed after {:?}", start.elapsed());
    }
}
