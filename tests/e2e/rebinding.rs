//! Names that a real DNS server answers otherwise the second time, asked by the system's own resolver.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use portcullis_dev::cache;

use crate::harness::client::{Client, Response};
use crate::harness::data;
use crate::harness::gateway::{Gateway, Options};
use crate::harness::peers::Peer;
use crate::harness::recorder::Recorder;

/// Where the destination's networks are; all of 127.0.0.0/8 is loopback.
const PARTNER: &str = "127.66.1.1";

/// The server, and the file that makes it a process's resolver.
struct Resolver {
    peer: Peer,
    file: PathBuf,
}

impl Resolver {
    /// A resolver is always at port 53, so each run has an address of its own.
    fn start(names: &[&str]) -> Resolver {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address: SocketAddr = format!("127.67.{high}.{}:53", low.max(1)).parse().unwrap();
        let mut command = Command::new(cache::venv().join("bin/python"));
        command.arg(data("e2e/harness/resolver.py")).arg(address.ip().to_string()).args(names);
        let peer = Peer::start(command, tempfile::tempdir().unwrap(), address);
        let file = peer.folder().join("resolv.conf");
        fs::write(&file, format!("nameserver {}\noptions attempts:2 timeout:5\n", address.ip())).unwrap();
        Resolver { peer, file }
    }

    /// How often the IPv4 addresses of a name were asked for.
    fn asked(&self, name: &str) -> usize {
        let log = fs::read_to_string(self.peer.folder().join("peer.log")).unwrap();
        log.lines().filter(|line| line.strip_prefix("A ") == Some(name)).count()
    }
}

fn code(response: &Response) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_name_leads_where_it_was_checked_to_lead() {
    let there = Command::new(cache::venv().join("bin/python")).args(["-c", "import dnslib"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED a_name_leads_where_it_was_checked_to_lead: Python's `dnslib` is not installed; run `cargo dev setup`"
        );
        return;
    }
    // A resolver of its own takes a mount namespace and port 53.
    let mounts = Command::new("unshare").args(["--mount", "true"]).output();
    if !rustix::process::geteuid().is_root() || !mounts.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED a_name_leads_where_it_was_checked_to_lead: only root may give a process a resolver of its own; run it as root"
        );
        return;
    }
    let partner = Recorder::at(&format!("{PARTNER}:0"));
    let port = partner.address.port();
    // The same port, inside.
    let victim = Recorder::at(&format!("127.0.0.1:{port}"));
    let mut names = vec![
        "back.test=127.0.0.1|127.66.1.1".to_owned(),
        "both.test=127.66.1.1,127.0.0.1".to_owned(),
        "metadata.test=169.254.169.254".to_owned(),
        "six.test=::1".to_owned(),
        "mapped.test=::ffff:127.0.0.1".to_owned(),
        "any.test=0.0.0.0".to_owned(),
    ];
    let turning: Vec<String> = (0..8).map(|at| format!("turns{at}.test")).collect();
    names.extend(turning.iter().map(|name| format!("{name}={PARTNER}|127.0.0.1")));
    let resolver = Resolver::start(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let gateway = Options::config(format!(
        "egress:\n  destinations:\n    partner: {{ hosts: [\"*.test\"], ports: [{port}], networks: [127.66.1.0/24] }}\n"
    ))
    .resolver(&resolver.file)
    .start_egress();
    let through = |method: &str, host: &str| {
        let target = match method {
            "CONNECT" => format!("{host}:{port}"),
            _ => format!("http://{host}:{port}/from/{host}"),
        };
        let authority = format!("{host}:{port}");
        Client::connect(gateway.address).call(method, &target, &[("Host", &authority)], b"").unwrap()
    };
    for name in &turning {
        let answer = through("GET", name);
        assert_eq!((answer.status, resolver.asked(name)), (200, 1), "{name}: {}", answer.text());
    }
    assert_eq!(partner.take().len(), turning.len());
    for (name, refusal) in [
        ("back.test", "destination-inside"),
        ("both.test", "destination-inside"),
        ("metadata.test", "destination-inside"),
        ("six.test", "destination-inside"),
        ("mapped.test", "destination-inside"),
        ("any.test", "destination-inside"),
        ("unknown.test", "lookup-failed"),
    ] {
        for method in ["GET", "CONNECT"] {
            assert_eq!(code(&through(method, name)), refusal, "{method} {name}");
        }
    }
    // Once the first answer may no longer be used, the second one counts, and is judged like the first.
    let again = turning.iter().find(|name| {
        let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
        while resolver.asked(name) < 2 && std::time::Instant::now() < deadline {
            through("GET", name);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        resolver.asked(name) >= 2
    });
    let again = again.expect("no name was asked for again");
    assert_eq!(code(&through("GET", again)), "destination-inside");
    assert!(victim.take().is_empty() && victim.take_faults().is_empty(), "something inside was called");
    check(&gateway);
}

fn check(gateway: &Gateway) {
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}
