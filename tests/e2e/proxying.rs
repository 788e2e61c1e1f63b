//! What passes through the gateway: bodies of every size, streams, upgrades, TLS, upstreams that fail.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::client::Client;
use crate::harness::gateway::{Options, open_config};
use crate::harness::peers::Certificate;
use crate::harness::recorder::Recorder;
use crate::harness::{PATIENCE, needs, peers};

/// An upstream that reads one request head a connection and then does as `serve` says.
fn upstream(serve: impl Fn(TcpStream, String) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                serve(stream, String::from_utf8_lossy(&head).into_owned());
            });
        }
    });
    address
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let recorder = Recorder::start();
    let gateway = Options::open(recorder.address, "").start();
    let body: Vec<u8> = (0..512 * 1024_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let response = Client::connect(gateway.address)
        .call("POST", "/up", &[("Content-Type", "application/octet-stream")], &body)
        .unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(recorder.take().remove(0).body, body);

    let Some(nginx) = needs("large_bodies_pass_in_both_directions", "nginx") else { return };
    let peer = peers::nginx(&nginx, "root html;");
    std::fs::create_dir(peer.folder().join("html")).unwrap();
    let large: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|n| u8::try_from(n % 241).unwrap()).collect();
    std::fs::write(peer.folder().join("html/large.bin"), &large).unwrap();
    let gateway = Options::open(peer.address, "").start();
    let response = Client::connect(gateway.address).get("/large.bin").unwrap();
    assert_eq!(response.status, 200);
    assert!(response.body == large, "{} bytes came, or others", response.body.len());
    let part = Client::connect(gateway.address)
        .call("GET", "/large.bin", &[("Range", "bytes=100-199")], b"")
        .unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &large[100..200]));
}

#[test]
fn events_arrive_as_they_are_sent() {
    let address = upstream(|mut stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        for number in 0..3 {
            let event = format!("data: {number}\n\n");
            let _ = stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
            thread::sleep(Duration::from_millis(400));
        }
        let _ = stream.write_all(b"0\r\n\r\n");
    });
    let gateway = Options::open(address, "").start();
    let mut client = Client::connect(gateway.address);
    let start = Instant::now();
    client.send(b"GET /events HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\r\n");
    let mut seen = String::new();
    let mut chunk = [0; 4096];
    while !seen.contains("data: 0\n\n") {
        let n = client.stream().read(&mut chunk).unwrap();
        assert!(n > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
    }
    assert!(start.elapsed() < Duration::from_millis(700), "the first event took {:?}", start.elapsed());
    while !seen.contains("data: 2\n\n") {
        let n = client.stream().read(&mut chunk).unwrap();
        assert!(n > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
    }
}

#[test]
fn websockets_become_tunnels() {
    let address = upstream(|mut stream, head| {
        assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        let mut chunk = [0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            let echoed: Vec<u8> = chunk[..n].iter().rev().copied().collect();
            let _ = stream.write_all(&echoed);
        }
    });
    let gateway = Options::open(address, "").start();
    let mut client = Client::connect(gateway.address);
    client.send(
        b"GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let response = client.read_response(false).unwrap().unwrap();
    assert_eq!(response.status, 101);
    client.send(b"\x81\x85masked");
    let mut echoed = [0; 8];
    client.stream().read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"deksam\x85\x81");
}

#[test]
fn a_dead_upstream_is_a_clean_problem() {
    let nobody = peers::free_address();
    let gateway = Options::open(nobody, "").start();
    let response = Client::connect(gateway.address).get("/x").unwrap();
    assert!([502, 503].contains(&response.status), "{}", response.status);
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    assert!(
        !response.text().contains(&nobody.port().to_string()),
        "it names the upstream: {}",
        response.text()
    );
}

#[test]
fn a_broken_answer_is_a_clean_problem() {
    for broken in [
        "junk\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
        "",
    ] {
        let address = upstream(move |mut stream, _| {
            let _ = stream.write_all(broken.as_bytes());
        });
        let gateway = Options::open(address, "").start();
        let response = Client::connect(gateway.address).call("POST", "/x", &[], b"hello").unwrap();
        assert!([502, 503].contains(&response.status), "{broken:?} gave {}", response.status);
    }
}

#[test]
fn hop_by_hop_fields_of_answers_end_here() {
    let address = upstream(|mut stream, _| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: gone\r\nKeep-Alive: timeout=5\r\n\
              Server: secret/1.2.3\r\nX-Stays: yes\r\nContent-Length: 2\r\n\r\nok",
        );
    });
    let gateway = Options::open(address, "").start();
    let mut client = Client::connect(gateway.address);
    for _ in 0..2 {
        let response = client.get("/x").unwrap();
        assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
        assert_eq!(response.field("x-stays"), Some("yes"));
        for gone in ["x-hop", "keep-alive", "connection"] {
            assert_eq!(response.field(gone), None, "{gone}");
        }
    }
}

#[test]
fn calls_go_round_an_instance_that_is_down() {
    let (one, two) = (Recorder::start(), Recorder::start());
    let dead = peers::free_address();
    let upstream = format!("[http://{}, http://{dead}, http://{}]", one.address, two.address);
    let gateway = Options::config(open_config(&upstream, "")).start();
    let mut client = Client::connect(gateway.address);
    for number in 0..60 {
        let target = format!("/{number}");
        let response = client.get(&target).unwrap();
        assert_eq!((response.status, response.text()), (200, format!("GET {target}")));
    }
    let (first, second) = (one.take().len(), two.take().len());
    assert!(first >= 10 && second >= 10, "{first} and {second} of 60 calls");
}

#[test]
fn a_connection_that_went_stale_costs_no_call() {
    // An upstream that closes a connection, without having said so, once it was idle for 20 ms.
    let address = upstream(|mut stream, _| {
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut chunk = [0; 4096];
        loop {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // A call is sent in one piece.
            if !matches!(stream.read(&mut chunk), Ok(1..)) {
                return;
            }
        }
    });
    let gateway = Options::open(address, "").start();
    let mut client = Client::connect(gateway.address);
    for number in 0..30 {
        let response = client.get("/x").unwrap();
        assert_eq!(response.status, 200, "call {number}");
        // Every third call comes just when the upstream closes: too late to see it beforehand.
        thread::sleep(Duration::from_millis(if number % 3 == 2 { 20 } else { 1 }));
    }
}

#[test]
fn a_drain_finishes_what_was_begun() {
    let address = upstream(|mut stream, _| {
        thread::sleep(Duration::from_millis(1500));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut gateway = Options::open(address, "").start();
    let mut idle = Client::connect(gateway.address);
    let target = gateway.address;
    let slow = thread::spawn(move || Client::connect(target).get("/slow"));
    thread::sleep(Duration::from_millis(500));
    gateway.signal(Signal::TERM);
    let response = slow.join().unwrap().expect("a call that was begun is finished");
    assert_eq!(response.status, 200);
    assert!(gateway.wait(PATIENCE).success(), "{}", gateway.log());
    assert_eq!(idle.is_closed(), Ok(true));
    assert!(TcpStream::connect(target).is_err(), "it still takes connections");
}

#[test]
fn a_drain_under_load_breaks_no_call() {
    let address = upstream(|mut stream, _| {
        thread::sleep(Duration::from_millis(3));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut gateway = Options::open(address, "").start();
    let target = gateway.address;
    let load: Vec<_> = (0..16)
        .map(|_| {
            thread::spawn(move || {
                let mut calls = 0;
                while let Ok(mut client) = Client::try_connect(target) {
                    for nth in 0.. {
                        match client.get("/x") {
                            Ok(response) => {
                                assert_eq!(response.status, 200);
                                calls += 1;
                                if response.field("connection") == Some("close") {
                                    break;
                                }
                            }
                            // The listener closed while this connection was on its way.
                            Err(_) if nth == 0 => break,
                            Err(error) => return Err(format!("after {calls} calls: {error}")),
                        }
                    }
                }
                Ok::<_, String>(calls)
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(700));
    gateway.signal(Signal::TERM);
    for one in load {
        let calls = one.join().unwrap().expect("a call was broken");
        assert!(calls > 5, "{calls}");
    }
    assert!(gateway.wait(PATIENCE).success(), "{}", gateway.log());
}

#[test]
fn a_load_balancer_names_the_client_with_the_proxy_protocol() {
    let test = "a_load_balancer_names_the_client_with_the_proxy_protocol";
    let (Some(haproxy), Some(curl)) = (needs(test, "haproxy"), needs(test, "curl")) else { return };
    let recorder = Recorder::start();
    let listener = "trusted_hops: [127.0.0.1/32]\nlisten: { address: 127.0.0.1:0, proxy_protocol: true }\n";
    let gateway = Options::open(recorder.address, listener).start_as_written();
    for version in ["send-proxy", "send-proxy-v2"] {
        let balancer = peers::haproxy_tcp(&haproxy, gateway.address, version);
        let output = Command::new(&curl)
            .args(["--silent", "--show-error", "--max-time", "10", "--interface", "127.0.0.9"])
            .arg(format!("http://{}/{version}", balancer.address))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("GET /{version}"), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(recorder.take().remove(0).field("x-forwarded-for"), Some("127.0.0.9"));
    }
}

#[test]
fn tls_speaks_both_protocols() {
    let (Some(_), Some(curl)) =
        (needs("tls_speaks_both_protocols", "openssl"), needs("tls_speaks_both_protocols", "curl"))
    else {
        return;
    };
    let certificate = Certificate::make();
    let recorder = Recorder::start();
    let gateway = Options::open(recorder.address, &certificate.listener()).start_as_written();
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = Command::new(&curl)
            .args(["--silent", "--show-error", "--max-time", "10", flag, "--cacert"])
            .arg(certificate.path())
            .args([
                "--write-out",
                " %{http_version}",
                "--resolve",
                &format!("localhost:{}:127.0.0.1", gateway.address.port()),
            ])
            .arg(format!("https://localhost:{}/tls", gateway.address.port()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("GET /tls {version}"), "{}", String::from_utf8_lossy(&output.stderr));
        let seen = recorder.take().remove(0);
        assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    }
    // Cleartext on the TLS port is no way in.
    let plain = Client::connect(gateway.address).get("/plain");
    assert!(plain.is_err(), "{plain:?}");
    assert!(recorder.take().is_empty());
}
