//! Clients that hold connections open by being slow lose them by the deadline, and nobody else notices
//! (slowhttptest's four modes, and a silent connection).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::gateway::Options;
use crate::harness::needs;
use crate::harness::peers::{self, Peer};
use crate::harness::recorder::Recorder;

/// Short deadlines, so that the test is short.
const TIMEOUTS: &str =
    "timeouts: { head: 2s, body: 2s, write: 2s, keep_alive: 2s }\nlimits: { min_rate: 5000 }\n";

#[test]
fn slow_headers_are_cut_off() {
    run("slow_headers_are_cut_off", Upstream::Recorder, &["-H", "-i", "1", "-x", "10"]);
}

#[test]
fn slow_bodies_are_cut_off() {
    run("slow_bodies_are_cut_off", Upstream::Recorder, &["-B", "-i", "1", "-x", "10", "-s", "8192"]);
}

#[test]
fn slow_readers_are_cut_off() {
    run(
        "slow_readers_are_cut_off",
        Upstream::LargeFile,
        &["-X", "-n", "1", "-w", "10", "-y", "20", "-z", "10"],
    );
}

#[test]
fn range_attacks_do_no_harm() {
    run("range_attacks_do_no_harm", Upstream::LargeFile, &["-R", "-a", "5", "-b", "2000"]);
}

/// What the attacked gateway stands before.
#[derive(Clone, Copy, Debug)]
enum Upstream {
    /// Answers only complete requests.
    Recorder,
    /// nginx with a file too large for socket buffers.
    LargeFile,
}

fn run(test: &str, upstream: Upstream, mode: &[&str]) {
    let (Some(slowhttptest), Some(nginx)) = (needs(test, "slowhttptest"), needs(test, "nginx")) else {
        return;
    };
    let peer = large_file(&nginx);
    let address = match upstream {
        Upstream::Recorder => Recorder::start().address,
        Upstream::LargeFile => peer.address,
    };
    let gateway = Options::open(address, TIMEOUTS).start();
    let good = GoodClient::start(gateway.address);
    let most = attack(&slowhttptest, gateway.address, mode);
    let (calls, slowest) = good.stop().unwrap_or_else(|error| panic!("a good client's call failed: {error}"));
    assert!(most > 50 || mode.contains(&"-R"), "the attack never had more than {most} connections");
    assert!(calls > 10, "only {calls} good calls in the whole time");
    assert!(slowest < Duration::from_secs(5), "a good client waited {slowest:?}");
}

fn large_file(nginx: &Path) -> Peer {
    let peer =
        peers::nginx(nginx, "root html; location / { try_files /large =404; default_type text/plain; }");
    std::fs::create_dir(peer.folder().join("html")).unwrap();
    std::fs::write(peer.folder().join("html/large"), vec![b'x'; 4 * 1024 * 1024]).unwrap();
    peer
}

/// Opens 150 slow connections, and waits until the kernel holds none of them for the gateway any more; answers
/// how many there were at most. (slowhttptest's own count does not see that a connection was reset.)
fn attack(program: &Path, gateway: SocketAddr, mode: &[&str]) -> usize {
    let start = Instant::now();
    let mut attacker = Command::new(program)
        .args(mode)
        .args(["-c", "150", "-r", "150", "-l", "60", "-p", "5", "-u", &format!("http://{gateway}/large")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut most, mut left) = (0, usize::MAX);
    while start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(100));
        left = held(gateway);
        most = most.max(left);
        // A good client's call may be under way.
        if left <= 3 && start.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    let _ = attacker.kill();
    let _ = attacker.wait();
    assert!(left <= 3, "{left} connections are still there after {:?}, deadlines of 2 s", start.elapsed());
    most
}

/// How many sockets the kernel holds at this end of a connection, listening and timed-wait ones aside: also
/// those that the program has closed and whose data nobody fetches.
fn held(gateway: SocketAddr) -> usize {
    let local = format!("0100007F:{:04X}", gateway.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table
        .lines()
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let (address, _, state) = (columns.next(), columns.next(), columns.next());
            address == Some(&local) && !matches!(state, Some("0A" | "06"))
        })
        .count()
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
    let gateway = Options::open(recorder.address, TIMEOUTS).start();
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
