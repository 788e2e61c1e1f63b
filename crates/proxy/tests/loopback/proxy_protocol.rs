//! Load balancers that say whose connections they pass on.

use std::io::Write;

use portcullis_engine::TrustedHops;

use crate::harness::{config, start, upstream};

#[test]
fn the_client_is_who_the_load_balancer_says() {
    let upstream = upstream(|peer| {
        while let Ok((head, _)) = peer.request() {
            let from =
                head.lines().find_map(|line| line.strip_prefix("x-forwarded-for: ")).unwrap_or("nobody");
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{from}", from.len()))?;
        }
        Ok(())
    });
    let mut config = config(&[upstream.address]);
    config.listen[0].proxy_protocol = true;
    config.limits.connections_per_client = 2;
    config.trusted_hops = TrustedHops::new(vec!["127.0.0.1/32".parse().unwrap()]);
    let proxy = start(config);
    let mut client = proxy.client();
    client.send("PROXY TCP4 192.0.2.7 127.0.0.1 12345 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, "192.0.2.7");
    // The connection is one client's for its whole life, and a header comes once.
    assert_eq!(client.get("/").body, "192.0.2.7");

    // In pieces, version 2, and a health check of the load balancer's own.
    let mut second = proxy.client();
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\0\x01\0\x50";
    for piece in header.chunks(7) {
        second.reader.get_mut().write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    assert_eq!(second.get("/").body, "192.0.2.7");
    let mut own = proxy.client();
    own.send("PROXY UNKNOWN\r\n");
    assert_eq!(own.get("/").body, "127.0.0.1");

    // The third connection of one client, those without a header, and those with half of one.
    let before = proxy.counter("connections_refused_total");
    for start in
        ["PROXY TCP4 192.0.2.7 127.0.0.1 12346 80\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 x"]
    {
        let mut refused = proxy.client();
        refused.send(start);
        let _ = refused.reader.get_ref().shutdown(std::net::Shutdown::Write);
        assert!(refused.is_closed(), "{start}");
    }
    assert_eq!(proxy.counter("connections_refused_total"), before + 3);
    let mut other = proxy.client();
    other.send("PROXY TCP4 192.0.2.8 127.0.0.1 12345 80\r\n");
    assert_eq!(other.get("/").body, "192.0.2.8");
}

#[test]
fn nobody_else_may_say_who_it_is() {
    let upstream = upstream(|_| Ok(()));
    let mut config = config(&[upstream.address]);
    config.listen[0].proxy_protocol = true;
    config.trusted_hops = TrustedHops::new(vec!["192.0.2.0/24".parse().unwrap()]);
    let proxy = start(config);
    let mut client = proxy.client();
    assert!(client.is_closed(), "127.0.0.1 is not trusted");
    assert_eq!(proxy.counter("connections_refused_total"), 1);
}
