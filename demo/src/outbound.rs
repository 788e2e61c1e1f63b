//! The shop's own HTTP client, for pictures and shipping quotes (API7, API10).
//!
//! A fence that stands in both twins: it never dials anything but this machine's loopback. The names that the shop
//! knows, and the link-local address where clouds keep their metadata service, lead to the demo's own backstage
//! server, so that a forged request can be shown without ever leaving the machine.

use crate::exchange::Fault;
use crate::shop::Shop;
use bytes::Bytes;
use http::{StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// The names that lead backstage.
const BACKSTAGE: [&str; 4] =
    ["images.shop.example", "shipping.partner.example", "169.254.169.254", "metadata.internal"];
/// How long a fetch may take in all.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest answer that is read.
const LARGEST: usize = 256 * 1024;

/// What a fetch brought back.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// How far an answer is trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust {
    /// Redirects that are followed, to wherever they lead.
    redirects: u8,
    patience: Duration,
    largest: usize,
}

impl Trust {
    /// Little: a bound for everything.
    pub(crate) fn little(redirects: u8) -> Self {
        Self { redirects, patience: PATIENCE, largest: LARGEST }
    }

    /// As one trusts a friend: whatever comes is read, however long it takes. The bound is there for the machine's sake.
    pub(crate) fn blind() -> Self {
        Self { redirects: 5, patience: Duration::from_secs(600), largest: 128 * 1024 * 1024 }
    }
}

/// Fetches `url`.
pub(crate) async fn get(shop: &Shop, url: &str, trust: Trust) -> Result<Fetched, Fault> {
    let mut redirects = trust.redirects;
    let failed = |why: String| {
        let mut fault =
            Fault::new(StatusCode::BAD_GATEWAY, "fetch_failed", "the address could not be fetched");
        fault.internals = Some(why);
        fault
    };
    let mut url = url.to_owned();
    loop {
        let (fetched, location) = tokio::time::timeout(trust.patience, once(shop, &url, trust.largest))
            .await
            .map_err(|_| failed(format!("no answer from {url}")))?
            .map_err(failed)?;
        match location {
            Some(next) if fetched.status.is_redirection() && redirects > 0 => {
                redirects -= 1;
                url = next;
            }
            _ => return Ok(fetched),
        }
    }
}

async fn once(shop: &Shop, url: &str, largest: usize) -> Result<(Fetched, Option<String>), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(format!("cannot fetch {url}: only http is spoken"));
    };
    let port = uri.port_u16().unwrap_or(80);
    let address = dial(shop, host, port).ok_or_else(|| format!("no route to {host}:{port}"))?;
    let stream =
        TcpStream::connect(address).await.map_err(|error| format!("connect {host}:{port}: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("{host}: {error}"))?;
    tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = http::Request::get(target)
        .header(header::HOST, authority.rsplit('@').next().unwrap_or(host))
        .header(header::USER_AGENT, "shop-fetcher")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| format!("{host}: {error}"))?;
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (location, content_type) = (text(header::LOCATION), text(header::CONTENT_TYPE).unwrap_or_default());
    let status = response.status();
    let body =
        Limited::new(response.into_body(), largest).collect().await.map_err(|error| error.to_string())?;
    Ok((Fetched { status, content_type, body: body.to_bytes() }, location))
}

/// Where a host leads: backstage, to this machine's loopback, or nowhere.
fn dial(shop: &Shop, host: &str, port: u16) -> Option<SocketAddr> {
    if let Some(partner) = shop.partner.get().filter(|_| host == "shipping.partner.example") {
        return Some(*partner);
    }
    if BACKSTAGE.contains(&host) {
        return shop.backstage.get().copied();
    }
    let address = match host.trim_matches(['[', ']']) {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // Some resolvers take an IPv4 address as one decimal number; so does this one.
        host => host.parse::<u32>().map(|bits| IpAddr::V4(bits.into())).or_else(|_| host.parse()).ok()?,
    };
    if address == IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)) {
        return shop.backstage.get().copied();
    }
    address.is_loopback().then(|| SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    #[test]
    fn nothing_but_loopback_is_ever_dialled() {
        let shop = Shop::new(Mode::Weak).unwrap();
        let backstage = SocketAddr::from(([127, 0, 0, 1], 7));
        shop.backstage.set(backstage).unwrap();
        for host in ["images.shop.example", "169.254.169.254", "2852039166", "metadata.internal"] {
            assert_eq!(dial(&shop, host, 80), Some(backstage), "{host}");
        }
        for host in ["127.0.0.1", "localhost", "[::1]", "127.8.8.8", "2130706433"] {
            assert!(dial(&shop, host, 80).is_some_and(|address| address.ip().is_loopback()), "{host}");
        }
        let outside = [
            "192.0.2.1",
            "10.0.0.1",
            "0.0.0.0",
            "[2001:db8::1]",
            "[::ffff:192.0.2.1]",
            "example.com",
            "",
            "4294967296",
        ];
        for host in outside {
            assert_eq!(dial(&shop, host, 80), None, "{host}");
        }
    }
}
