use std::io::Write;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_engine::{Period, Size};
use portcullis_proxy::ProxyConfig;

use crate::harness::{Client, Running, config, echo, start, upstream};

fn quick(config: &mut ProxyConfig) {
    let second = Period(Duration::from_millis(600));
    let timeouts = &mut config.timeouts;
    (timeouts.head, timeouts.keep_alive, timeouts.body, timeouts.write) = (second, second, second, second);
    (timeouts.response, timeouts.tunnel) = (second, second);
}

fn took(began: Instant) -> bool {
    (Duration::from_millis(500)..Duration::from_secs(4)).contains(&began.elapsed())
}

#[test]
fn silent_and_slow_clients_are_closed_by_the_deadline() {
    let upstream = echo();
    let mut config = config(&[upstream.address]);
    quick(&mut config);
    let proxy = start(config);
    let mut good = proxy.client();
    let began = Instant::now();
    let mut silent = proxy.client();
    let mut headless = proxy.client();
    headless.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let mut undecided = proxy.client();
    undecided.send("PRI * HT");
    let mut half_http2 = proxy.client();
    half_http2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let mut bodyless = proxy.client();
    bodyless.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    let mut idle = proxy.client();
    assert_eq!(idle.get("/").status, 200);
    // Trickles: each byte comes in time, and together they never end.
    let mut trickle_head = proxy.client();
    trickle_head.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let mut trickle_body = proxy.client();
    trickle_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    let mut writers =
        [&trickle_head, &trickle_body].map(|c: &Client| c.reader.get_ref().try_clone().unwrap());
    let trickler = thread::spawn(move || {
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            if !writers.iter_mut().any(|w| w.write_all(b"x").is_ok()) {
                return;
            }
        }
        panic!("trickles are taken for five seconds");
    });
    for _ in 0..5 {
        assert_eq!(good.get("/").status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(silent.is_closed() && took(began));
    assert_eq!(headless.response().status, 408);
    assert!(undecided.is_closed());
    assert_eq!(bodyless.response().status, 408);
    assert!(idle.is_closed() && took(began));
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut half_http2.reader, &mut rest);
    assert_eq!(trickle_head.response().status, 408);
    assert_eq!(trickle_body.response().status, 408);
    trickler.join().unwrap();
    assert!(took(began), "{:?}", began.elapsed());
}

#[test]
fn a_slow_reader_is_cut_off() {
    let upstream = upstream(|peer| {
        peer.head()?;
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20))?;
        let piece = "x".repeat(1 << 20);
        (0..64).try_for_each(|_| peer.send(&piece))
    });
    let mut config = config(&[upstream.address]);
    quick(&mut config);
    config.timeouts.response = Period::seconds(10);
    config.limits.min_rate = 100_000;
    let proxy = start(config);
    let began = Instant::now();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let record = proxy.records(1)[0].clone();
    assert_eq!(record.end, portcullis_engine::End::ClientGone);
    assert!(took(began));
    assert_eq!(proxy.counter("slow_readers_total"), 1);
}

#[test]
fn an_upstream_that_does_not_answer_is_given_up() {
    let upstream = upstream(|peer| {
        peer.head()?;
        thread::sleep(Duration::from_secs(5));
        Ok(())
    });
    let mut config = config(&[upstream.address]);
    quick(&mut config);
    let proxy = start(config);
    let began = Instant::now();
    assert_eq!(proxy.client().get("/").status, 504);
    assert!(took(began));
}

#[test]
fn heads_are_bounded() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let status = |wire: String| {
        let mut client = proxy.client();
        client.send(&wire);
        client.response().status
    };
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000))), 414);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(101))), 431);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(33_000))), 431);
    assert_eq!(status(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(99))), 200);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn exchanges_over_the_cap_are_shed_and_the_rest_unharmed() {
    let upstream = upstream(|peer| {
        loop {
            peer.head()?;
            thread::sleep(Duration::from_millis(400));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let mut config = config(&[upstream.address]);
    config.limits.in_flight = 3;
    let proxy = start(config);
    let mut clients: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let responses: Vec<_> = clients.iter_mut().map(Client::response).collect();
    assert_eq!(responses.iter().filter(|r| r.status == 200).count(), 3);
    let shed: Vec<_> = responses.iter().filter(|r| r.status == 503).collect();
    assert_eq!(shed.len(), 5);
    assert!(shed.iter().all(|r| r.field("retry-after").is_some()));
    assert_eq!(proxy.counter("shed_total"), 5);
    let over = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(10));
        proxy.handle.in_flight() == 0
    });
    assert!(over);
    assert_eq!(clients[7].get("/").status, 200);
}

#[test]
fn connections_are_bounded_by_client() {
    let upstream = echo();
    let mut config = config(&[upstream.address]);
    config.limits.connections_per_client = 2;
    config.limits.buffered_bytes = Size::kib(1);
    let proxy = start(config);
    let (mut a, mut b) = (proxy.client(), proxy.client());
    assert_eq!((a.get("/").status, b.get("/").status), (200, 200));
    assert!(proxy.client().is_closed());
    drop(a);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(proxy.client().get("/").status, 200);
}

#[test]
fn the_whole_exchange_may_be_bounded() {
    let upstream = upstream(|peer| {
        peer.head()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..200 {
            peer.send("1\r\nx\r\n")?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    });
    let mut config = config(&[upstream.address]);
    config.timeouts.total = Some(Period(Duration::from_millis(600)));
    let proxy = start(config);
    let began = Instant::now();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut all = String::new();
    let _ = std::io::Read::read_to_string(&mut client.reader, &mut all);
    assert!(took(began) && all.contains("1\r\nx\r\n") && !all.ends_with("0\r\n\r\n"), "{all}");
    assert_eq!(proxy.records(1)[0].end, portcullis_engine::End::Cut);
}

#[test]
fn when_the_time_is_up_the_client_hears_who_kept_it_waiting() {
    let silent = upstream(|peer| {
        peer.request()?;
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let mut config = config(&[silent.address]);
    config.timeouts.total = Some(Period(Duration::from_millis(500)));
    let proxy = start(config);
    let began = Instant::now();
    let mut client = proxy.client();
    let response = client.get("/");
    assert_eq!(response.status, 504);
    assert!(took(began) && client.is_closed());
    // A client that never ends its request.
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhi");
    assert_eq!(client.response().status, 504, "it was forwarded as it came");
    let seen = proxy.records(2);
    assert!(
        seen.iter().all(|s| s.end == portcullis_engine::End::Complete && s.code == Some("upstream-timeout")),
        "{seen:?}"
    );
}
