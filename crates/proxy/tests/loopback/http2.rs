use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use portcullis_engine::End;
use portcullis_proxy::Protocol;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Running, config, echo, start, upstream};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time") })
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn receive(response: h2::client::ResponseFuture) -> Result<Got, h2::Error> {
    let (parts, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?;
    Ok(Got { status: parts.status, headers: parts.headers, body, trailers })
}

async fn send_all(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        while stream.capacity() == 0 {
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        }
        let piece = body.split_to(stream.capacity().min(body.len()));
        let last = body.is_empty();
        stream.send_data(piece, last).unwrap();
    }
}

/// An HTTP/2 upstream that sends content and trailers back.
fn echo_h2() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let Ok(mut server) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, mut respond))) = server.accept().await {
                        tokio::spawn(async move {
                            let (parts, mut body) = request.into_parts();
                            let mut response = http::Response::new(());
                            let about =
                                format!("{} {} {:?}", parts.method, parts.uri, parts.headers.get("te"));
                            response.headers_mut().insert("x-about", about.parse().unwrap());
                            let mut stream = respond.send_response(response, false).unwrap();
                            while let Some(Ok(data)) = body.data().await {
                                body.flow_control().release_capacity(data.len()).unwrap();
                                let mut data = data;
                                while !data.is_empty() {
                                    stream.reserve_capacity(data.len());
                                    while stream.capacity() == 0 {
                                        let _ = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                                    }
                                    let piece = data.split_to(stream.capacity().min(data.len()));
                                    stream.send_data(piece, false).unwrap();
                                }
                            }
                            let mut trailers = body.trailers().await.ok().flatten().unwrap_or_default();
                            trailers.insert("grpc-status", "0".parse().unwrap());
                            stream.send_trailers(trailers).unwrap();
                        });
                    }
                });
            }
        });
    });
    address
}

fn before_h2() -> Running {
    let mut config = config(&[echo_h2()]);
    config.upstream.protocol = Protocol::Http2;
    start(config)
}

#[test]
fn many_streams_share_a_connection() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    block_on(async {
        let send = connect(proxy.address).await;
        let mut calls = Vec::new();
        for n in 0..60 {
            let request = Request::post(format!("http://a.example/{n}"))
                .header("cookie", "a=1")
                .header("cookie", "b=2");
            let (response, mut stream) =
                send.clone().ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
            stream.send_data(Bytes::from(format!("body {n}")), true).unwrap();
            calls.push((n, response));
        }
        for (n, response) in calls {
            let got = receive(response).await.unwrap();
            let body = String::from_utf8(got.body).unwrap();
            assert_eq!(got.status, 200);
            assert!(body.starts_with(&format!("POST /{n} HTTP/1.1\r\nhost: a.example\r\n")), "{body}");
            assert!(body.contains("cookie: a=1; b=2\r\n") && body.contains(&format!("body {n}")), "{body}");
            assert!(!got.headers.contains_key("connection"));
        }
    });
    assert_eq!(proxy.counter("connections_total"), 1);
    assert_eq!(proxy.records(60).iter().filter(|r| r.end == End::Complete && r.bytes_in > 0).count(), 60);
}

#[test]
fn grpc_passes_with_its_trailers() {
    let proxy = before_h2();
    block_on(async {
        let mut send = connect(proxy.address).await;
        let request = Request::post("http://a.example/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(b"\0\0\0\0\x01x"), false).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.send_data(Bytes::from_static(b"\0\0\0\0\x01y"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-x", "1".parse().unwrap());
        trailers.insert("authorization", "forged".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
        let got = receive(response).await.unwrap();
        assert_eq!(got.body, b"\0\0\0\0\x01x\0\0\0\0\x01y");
        let trailers = got.trailers.unwrap();
        assert_eq!(
            (trailers["grpc-status"].as_bytes(), trailers["grpc-x"].as_bytes()),
            (&b"0"[..], &b"1"[..])
        );
        assert!(!trailers.contains_key("authorization"));
        let about = got.headers["x-about"].to_str().unwrap();
        assert!(about.contains("POST http://a.example/pkg.Service/Method Some(\"trailers\")"), "{about}");
    });
}

#[test]
fn an_http1_client_reaches_an_http2_upstream() {
    let proxy = before_h2();
    let mut client = proxy.client();
    for n in 0..5 {
        client.send(&format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
        let response = client.response();
        assert_eq!((response.status, response.body.as_str()), (200, "hello"));
        assert!(response.field("x-about").unwrap().starts_with(&format!("POST http://a/{n} ")));
    }
    assert_eq!(proxy.counter("upstream_connects_total"), 1);
}

#[test]
fn large_bodies_stream_under_flow_control() {
    for proxy in [before_h2(), Running::before(&echo())] {
        block_on(async {
            let mut send = connect(proxy.address).await;
            let body = Bytes::from((0..5_000_000u32).map(|n| (n % 251) as u8 & 0x7f).collect::<Vec<_>>());
            let (response, mut stream) =
                send.send_request(Request::put("http://a/big").body(()).unwrap(), false).unwrap();
            let sent = body.clone();
            let sender = tokio::spawn(async move { send_all(&mut stream, sent).await });
            let got = receive(response).await.unwrap();
            sender.await.unwrap();
            assert!(got.body.ends_with(&body), "{}", got.body.len());
        });
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    block_on(async {
        let mut send = connect(proxy.address).await;
        let status = async |send: &mut SendRequest<Bytes>, request: http::request::Builder| {
            let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
            receive(response).await.map(|got| got.status.as_u16())
        };
        let get = || Request::get("http://a.example/");
        assert_eq!(status(&mut send, get()).await.unwrap(), 200);
        assert_eq!(status(&mut send, get().header("host", "a.example")).await.unwrap(), 200);
        assert_eq!(status(&mut send, get().header("host", "b.example")).await.unwrap(), 400);
        assert_eq!(status(&mut send, get().header("x_forwarded_for", "1")).await.unwrap(), 400);
        assert_eq!(status(&mut send, Request::get("http://a.example/a%2fb")).await.unwrap(), 400);
        assert_eq!(status(&mut send, Request::get("ftp://a.example/")).await.unwrap(), 400);
    });
}

#[test]
fn tunnels_through_a_stream_are_not_offered() {
    let upstream = echo();
    let proxy = Running::before(&upstream);
    block_on(async {
        let mut send = connect(proxy.address).await;
        // RFC 8441: without SETTINGS_ENABLE_CONNECT_PROTOCOL a client opens its WebSockets over HTTP/1.1.
        assert!(!send.is_extended_connect_protocol_enabled());
        let plain = Request::connect("a.example:443").body(()).unwrap();
        let (response, _) = send.send_request(plain, false).unwrap();
        assert_eq!(receive(response).await.unwrap().status.as_u16(), 405);
        let mut extended = Request::connect("http://a.example/chat").body(()).unwrap();
        extended.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        if let Ok((response, _)) = send.send_request(extended, false) {
            assert!(receive(response).await.is_err(), "the stream is reset");
        }
        let get = Request::get("http://a.example/").body(()).unwrap();
        let (response, _) = send.send_request(get, true).unwrap();
        assert_eq!(receive(response).await.unwrap().status.as_u16(), 200, "the connection goes on");
    });
}

#[test]
fn a_reset_reaches_the_upstream_as_a_closed_call() {
    let (tell, wait) = std::sync::mpsc::channel();
    let upstream = upstream(move |peer| {
        peer.head()?;
        let closed = matches!(std::io::Read::read(&mut peer.reader, &mut [0u8; 1]), Ok(0) | Err(_));
        tell.send(closed).unwrap();
        Ok(())
    });
    let proxy = Running::before(&upstream);
    block_on(async {
        let mut send = connect(proxy.address).await;
        let (response, mut stream) =
            send.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    assert!(wait.recv_timeout(Duration::from_secs(5)).unwrap());
    assert_eq!(proxy.records(1)[0].end, End::ClientGone);
}

#[test]
fn a_flood_of_resets_or_pings_closes_the_connection_only() {
    let upstream = upstream(|peer| {
        peer.head()?;
        thread::sleep(Duration::from_millis(200));
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    });
    let proxy = Arc::new(Running::before(&upstream));
    let mut good = proxy.client();
    block_on(async {
        let send = connect(proxy.address).await;
        let mut refused = false;
        for _ in 0..3_000 {
            let Ok(mut ready) = send.clone().ready().await else {
                refused = true;
                break;
            };
            match ready.send_request(Request::get("http://a/").body(()).unwrap(), true) {
                Ok((_, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
                Err(_) => {
                    refused = true;
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        assert!(refused, "the flood went through");
    });
    // PING frames in raw bytes.
    let mut flood = proxy.client();
    flood.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut writer = flood.reader.get_ref().try_clone().unwrap();
    let sender = thread::spawn(move || {
        let ping = [0u8, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        (0..100_000).any(|_| std::io::Write::write_all(&mut writer, &ping).is_err())
    });
    let mut received = Vec::new();
    let _ = std::io::Read::read_to_end(&mut flood.reader, &mut received);
    assert!(sender.join().unwrap(), "the connection took every ping");
    assert!(proxy.counter("http2_floods_total") >= 1);
    assert_eq!(good.get("/").status, 200);
}

#[test]
fn drain_ends_connections_after_their_streams() {
    let upstream = upstream(|peer| {
        peer.head()?;
        thread::sleep(Duration::from_millis(500));
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let proxy = Running::before(&upstream);
    block_on(async {
        let mut send = connect(proxy.address).await;
        let (response, _) = send.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.handle.drain(Duration::from_secs(10));
        assert_eq!(receive(response).await.unwrap().body, b"ok");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(send.ready().await.is_err());
    });
}
