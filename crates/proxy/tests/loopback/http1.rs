use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_engine::End;

use crate::harness::{Client, Running, config, echo, field, start, upstream};

#[test]
fn an_ordinary_call_passes_and_is_recorded() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("POST /a/b?c=d HTTP/1.1\r\nHost: A.example\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.body.starts_with("POST /a/b?c=d HTTP/1.1\r\nhost: a.example\r\n"), "{}", response.body);
    assert!(response.body.contains("x-one: 1\r\n") && response.body.ends_with("\r\n\r\nhello"));
    assert!(response.field("date").is_some());
    let record = &proxy.records(1)[0];
    assert_eq!((record.status, record.end, record.bytes_in), (200, End::Complete, 5));
    assert_eq!(record.bytes_out, response.body.len() as u64);
}

#[test]
fn connections_are_kept_and_reused_on_both_sides() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    for n in 0..20 {
        assert!(client.get(&format!("/{n}")).body.starts_with(&format!("GET /{n} ")));
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
    assert_eq!(proxy.counter("upstream_reuses_total"), 19);
    assert_eq!(proxy.counter("connections_total"), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    let mut wire = String::new();
    for n in 0..50 {
        wire += &format!(
            "POST /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
    }
    client.send(&wire);
    for n in 0..50 {
        let body = client.response().body;
        assert!(body.starts_with(&format!("POST /{n} ")) && body.ends_with("abc"), "{body}");
    }
}

#[test]
fn requests_may_come_in_single_bytes() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    for b in b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x\r\nabcd\r\n0\r\nA: b\r\n\r\n" {
        client.reader.get_mut().write_all(&[*b]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let response = client.response();
    assert!(response.body.ends_with("\r\n\r\nabcd"), "{}", response.body);
}

#[test]
fn large_bodies_stream_both_ways() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let body: String = (0..9_000_000u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let mut client = proxy.client();
    let mut writer = client.reader.get_ref().try_clone().unwrap();
    let sent = body.clone();
    let sender = thread::spawn(move || {
        write!(writer, "PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len()).unwrap();
        writer.write_all(sent.as_bytes()).unwrap();
    });
    let response = client.response();
    sender.join().unwrap();
    assert!(response.body.ends_with(&body));
    assert_eq!(client.get("/next").status, 200);
}

#[test]
fn a_body_over_the_engines_bound_is_refused() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection").as_deref()), (413, Some("close")));
    assert!(client.is_closed());
    assert_eq!(proxy.records(1)[0].code, Some("body-too-large"));
    // Announced by no length, it is cut off on the way.
    let mut client = proxy.client();
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let mut writer = client.reader.get_ref().try_clone().unwrap();
    thread::spawn(move || while writer.write_all(chunk.as_bytes()).is_ok() {});
    assert_eq!(client.response().status, 413);
}

#[test]
fn continue_is_sent_once_the_body_is_wanted() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().0, 100);
    client.send("hello");
    let response = client.response();
    assert!(response.body.ends_with("hello") && !response.body.contains("expect"), "{}", response.body);
    // A refusal comes instead of the invitation, and the connection does not stay for a body that may come.
    client.send("POST /a%00b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
}

#[test]
fn bodiless_answers_do_not_disturb_what_follows() {
    let upstream = upstream(|peer| {
        loop {
            let head = peer.head()?;
            peer.send(if head.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
            } else if head.contains("/204") {
                "HTTP/1.1 204 No Content\r\n\r\n"
            } else if head.contains("/304") {
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            })?;
        }
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, field(&head, "content-length").as_deref()), (200, Some("1234")));
    client.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, field(&head, "content-length")), (204, None));
    client.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, field(&head, "content-length")), (304, None));
    let response = client.get("/");
    assert_eq!((response.status, response.field("content-length").as_deref()), (200, Some("0")));
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn answers_that_end_with_the_connection_are_chunked_for_newer_clients() {
    let upstream = upstream(|peer| {
        peer.head()?;
        peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst ")?;
        thread::sleep(Duration::from_millis(50));
        peer.send("second")
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    let response = client.get("/");
    assert_eq!(response.body, "first second");
    assert_eq!(response.field("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(client.get("/").body, "first second");
    let mut old = proxy.client();
    old.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = old.response();
    assert_eq!((response.body.as_str(), response.field("transfer-encoding")), ("first second", None));
    assert_eq!(response.field("connection").as_deref(), Some("close"));
}

#[test]
fn events_are_flushed_at_once() {
    let (tell, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = upstream(move |peer| {
        peer.head()?;
        peer.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        for _ in 0..3 {
            peer.send("9\r\ndata: x\n\n\r\n")?;
            wait.lock().unwrap().recv().unwrap();
        }
        peer.send("0\r\n\r\n")
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().0, 200);
    for _ in 0..3 {
        let mut event = [0u8; 14];
        client.reader.read_exact(&mut event).unwrap();
        assert_eq!(&event, b"9\r\ndata: x\n\n\r\n");
        tell.send(()).unwrap();
    }
    let mut end = [0u8; 5];
    client.reader.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[test]
fn an_answer_may_come_before_the_request_has_ended() {
    let upstream = upstream(|peer| {
        peer.head()?;
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status, response.body.as_str()), (413, "big"));
    assert!(client.is_closed());
}

#[test]
fn interim_answers_are_passed_on_or_dropped() {
    let upstream = upstream(|peer| {
        loop {
            peer.head()?;
            peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nServer: x\r\n\r\n")?;
            thread::sleep(Duration::from_millis(30));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (status, head) = client.head();
    assert_eq!((status, field(&head, "link").as_deref()), (103, Some("</a>; rel=preload")));
    assert_eq!(field(&head, "server"), None);
    assert_eq!(client.response().body, "ok");
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn what_an_upstream_may_not_say_becomes_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "garbage\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 20",
        "",
    ] {
        let upstream = upstream(move |peer| {
            peer.head()?;
            peer.send(answer)
        });
        let proxy = Running::before(&upstream);
        let mut client = proxy.client();
        let response = client.get("/");
        assert_eq!(response.status, 502, "{answer:?}");
        assert!(response.body.contains("\"code\":\"upstream-"), "{}", response.body);
        assert_eq!(proxy.records(1)[0].status, 502);
    }
}

#[test]
fn a_broken_answer_is_not_made_to_look_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let upstream = upstream(move |peer| {
            peer.head()?;
            peer.send(answer)
        });
        let proxy = Running::before(&upstream);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut all = String::new();
        client.reader.read_to_string(&mut all).unwrap();
        assert!(all.contains("half") && !all.ends_with("0\r\n\r\n"), "{all}");
        assert_eq!(proxy.records(1)[0].end, End::UpstreamBroke);
    }
}

#[test]
fn trailers_pass_except_those_that_may_not() {
    let upstream = upstream(|peer| {
        let head = peer.head()?;
        assert!(head.contains("te: trailers\r\n"), "{head}");
        let (mut body, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            std::io::BufRead::read_line(&mut peer.reader, &mut line)?;
            body.push_str(&line);
        }
        assert_eq!(
            body, "2\r\nhi\r\n0\r\ndigest: d\r\n\r\n",
            "what the engine took out of the head stays out"
        );
        let fields = "Grpc-Status: 0\r\nSet-Cookie: a=b\r\nX-Trailing: t\r\n";
        peer.send(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{fields}\r\n"
        ))
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("2\r\nhi\r\n0\r\nDigest: d\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: Basic eA==\r\n\r\n");
    let mut all = String::new();
    client.reader.read_to_string(&mut all).unwrap();
    assert!(all.ends_with("0\r\ngrpc-status: 0\r\nx-trailing: t\r\n\r\n"), "{all}");
}

#[test]
fn a_client_that_leaves_is_noticed_while_the_upstream_thinks() {
    let (tell, wait) = mpsc::channel::<bool>();
    let upstream = upstream(move |peer| {
        peer.head()?;
        let closed = matches!(peer.reader.read(&mut [0u8; 1]), Ok(0) | Err(_));
        tell.send(closed).unwrap();
        Ok(())
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    drop(client);
    assert!(wait.recv_timeout(Duration::from_secs(5)).unwrap());
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(proxy.records(1)[0].end, End::ClientGone);
}

#[test]
fn a_client_that_has_nothing_more_to_say_is_answered() {
    let upstream = upstream(|peer| {
        loop {
            peer.request()?;
            thread::sleep(Duration::from_millis(400));
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nans")?;
            thread::sleep(Duration::from_millis(700));
            peer.send("wer")?;
        }
    });
    let proxy = Running::before(&upstream);
    for (method, body) in [("GET", ""), ("POST", "hi")] {
        let mut client = proxy.client();
        client
            .send(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        client.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.response().body, "answer");
        assert!(client.is_closed());
    }
    let mut client = proxy.client();
    client.send(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    client.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    for nth in 0..3 {
        assert_eq!(client.response().body, "answer", "{nth}");
    }
    assert!(client.is_closed());
    assert!(proxy.records(5).iter().all(|seen| seen.end == End::Complete));
}

#[test]
fn a_websocket_becomes_a_tunnel() {
    let upstream = upstream(|peer| {
        let head = peer.head()?;
        assert!(
            head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhi")?;
        let mut buffer = [0u8; 64];
        loop {
            let n = peer.reader.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            peer.reader.get_mut().write_all(&buffer[..n])?;
        }
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly");
    let (status, head) = client.head();
    assert_eq!((status, field(&head, "sec-websocket-accept").as_deref()), (101, Some("x")));
    let mut start = [0u8; 7];
    client.reader.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"hiearly");
    for _ in 0..10 {
        client.send("ping");
        let mut pong = [0u8; 4];
        client.reader.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"ping");
    }
    client.reader.get_ref().shutdown(Shutdown::Write).unwrap();
    assert!(client.is_closed());
    let record = &proxy.records(1)[0];
    assert_eq!((record.status, record.bytes_in, record.bytes_out), (101, 45, 47));
}

#[test]
fn what_has_two_readings_is_refused_and_the_connection_closed() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    for (wire, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /a/../b HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
        ("\x16\x03\x01\x02\x00\x01", 400),
        ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ] {
        let mut client = proxy.client();
        client.send(wire);
        client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, status, "{wire:?}");
        assert!(response.body.contains("\"code\":"), "{}", response.body);
        assert_eq!(response.field("connection").as_deref(), Some("close"), "{wire:?}");
        assert!(client.is_closed(), "{wire:?}");
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn who_speaks_no_http_gets_no_answer() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    let ask = |bytes: &str| {
        let mut client = proxy.client();
        client.send(bytes);
        let mut all = String::new();
        let _ = client.reader.read_to_string(&mut all);
        all
    };
    for other in [
        "INVALID CONNECTION PREFACE\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n",
        "EHLO mail.example\r\n\r\n",
        "PRI * XTTP/2.0\r\n\r\n",
    ] {
        assert_eq!(ask(other), "", "{other:?}");
    }
    for tries in [
        "GET / HTTQ/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        assert!(ask(tries).starts_with("HTTP/1.1 "), "{tries:?}");
    }
    assert!(proxy.records(7).iter().all(|seen| seen.code.is_some()), "each is on record");
}

#[test]
fn a_stale_connection_is_replaced_without_the_client_noticing() {
    // Each connection serves one call and is closed without a word.
    let upstream = upstream(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    for n in 0..30 {
        if n % 3 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn stale_connections_do_not_use_up_the_retry_budget() {
    // Each connection serves one call; the next call on it finds it closed, after it was sent.
    let upstream = upstream(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        peer.request()?;
        Ok(())
    });
    let mut config = config(&[upstream.address]);
    (config.upstream.retries, config.upstream.retry_budget) = (1, 0);
    let proxy = start(config);
    let mut client = proxy.client();
    for n in 0..40 {
        assert_eq!(client.get("/").status, 200, "call {n}");
    }
    assert!(proxy.counter("upstream_retries_total") >= 15);
}

#[test]
fn a_call_that_may_have_been_acted_upon_is_not_repeated() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&calls);
    let upstream = upstream(move |peer| {
        let (head, _) = peer.request()?;
        if head.starts_with("GET") {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            peer.request()?;
        }
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let proxy = Running::before(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status, 502);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn drain_lets_calls_end_and_closes_the_rest() {
    let upstream = upstream(|peer| {
        peer.head()?;
        thread::sleep(Duration::from_millis(600));
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let proxy = start(config(&[upstream.address]));
    let (mut busy, mut idle) = (proxy.client(), proxy.client());
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.get("/").status, 200);
    busy.response();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    proxy.handle.drain(Duration::from_secs(10));
    assert!(idle.is_closed());
    let response = busy.response();
    assert_eq!(response.status, 200);
    assert!(busy.is_closed());
    thread::sleep(Duration::from_millis(500));
    assert!(std::net::TcpStream::connect(proxy.address).is_err());
    let _: Option<Client> = None;
}
