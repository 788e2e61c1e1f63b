use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use portcullis_engine::Period;
use portcullis_proxy::{HealthCheck, OriginConfig};

use crate::harness::{Upstream, config, echo, start, upstream};

/// An address where nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn named(name: &'static str) -> Upstream {
    upstream(move |peer| {
        loop {
            peer.head()?;
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))?;
        }
    })
}

#[test]
fn calls_go_where_someone_answers() {
    let upstream = echo();
    let proxy = start(config(&[dead(), upstream.address]));
    let mut client = proxy.client();
    for _ in 0..40 {
        assert_eq!(client.get("/").status, 200);
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status, 200, "what was never sent may be sent elsewhere");
}

#[test]
fn an_open_circuit_answers_at_once_and_closes_again() {
    let address = dead();
    let mut config = config(&[address]);
    config.upstream.circuit.open = Period(Duration::from_millis(300));
    let proxy = start(config);
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..8).map(|_| client.get("/").status).collect();
    assert_eq!(statuses[0], 502);
    assert_eq!(statuses[7], 503, "{statuses:?}");
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0u8; 4096];
                while std::io::Read::read(&mut stream, &mut buffer).is_ok_and(|n| n > 0) {
                    std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                        .unwrap();
                }
            });
        }
    });
    let closed = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        client.get("/").status == 200
    });
    assert!(closed);
}

#[test]
fn the_load_follows_the_weights() {
    let (one, three) = (named("one"), named("three"));
    let mut config = config(&[one.address]);
    config.upstream.origins.push(OriginConfig { url: format!("http://{}", three.address), weight: 3 });
    let proxy = start(config);
    let mut client = proxy.client();
    let ones = (0..400).filter(|_| client.get("/").body == "one").count();
    assert!((20..200).contains(&ones), "{ones} of 400 went to the instance of a quarter");
}

#[test]
fn an_unhealthy_instance_gets_no_calls_until_it_recovers() {
    let well = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&well);
    let flaky = upstream(move |peer| {
        loop {
            let head = peer.head()?;
            let status = if seen.load(Ordering::SeqCst) || !head.contains("/health") { 200 } else { 500 };
            peer.send(&format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nflaky"))?;
        }
    });
    let steady = named("steady");
    let mut config = config(&[flaky.address, steady.address]);
    config.upstream.health = Some(HealthCheck {
        path: "/health".into(),
        interval: Period(Duration::from_millis(100)),
        timeout: Period::seconds(1),
        unhealthy: 2,
        healthy: 2,
    });
    let proxy = start(config);
    let mut client = proxy.client();
    let mut flaky_answers = || (0..40).filter(|_| client.get("/").body == "flaky").count();
    assert!(flaky_answers() > 0);
    well.store(false, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(900));
    assert_eq!(flaky_answers(), 0);
    well.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(900));
    assert!(flaky_answers() > 0);
}

#[test]
fn calls_wait_for_a_connection_in_a_bounded_queue() {
    let upstream = upstream(|peer| {
        loop {
            peer.head()?;
            thread::sleep(Duration::from_millis(100));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let mut config = config(&[upstream.address]);
    config.upstream.connections = 2;
    config.upstream.queue = 3;
    let proxy = start(config);
    let mut clients: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        thread::sleep(Duration::from_millis(5));
    }
    let statuses: Vec<u16> = clients.iter_mut().map(|c| c.response().status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 503).count(), 3, "{statuses:?}");
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_reload_changes_the_upstream_and_a_bad_one_changes_nothing() {
    let (old, new) = (named("old"), named("new"));
    let proxy = start(config(&[old.address]));
    let mut client = proxy.client();
    assert_eq!(client.get("/").body, "old");
    assert!(proxy.handle.reload(&config(&[])).is_err());
    assert_eq!(client.get("/").body, "old");
    proxy.handle.reload(&config(&[new.address])).unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(client.get("/").body, "new");
}
