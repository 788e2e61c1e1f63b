//! The PROXY protocol (haproxy.org, `proxy-protocol.txt`), versions 1 and 2: a load balancer in front that passes
//! connections on says with their first bytes whose they are.
//!
//! It is read only on listeners that say so and only from trusted hops, and there it must come: a connection that
//! may or may not begin with it lets its client choose an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its line end included.
const V1_MOST: usize = 107;
/// Addresses and extensions of version 2; more than any sender is known to add.
const V2_MOST: usize = 4096;
/// A header comes in one piece; one that does not is looked at again after this time.
const AGAIN: Duration = Duration::from_millis(10);

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Header {
    /// Its bytes.
    length: usize,
    /// Whose connection it is; `None` for one of the load balancer's own (a health check).
    source: Option<SocketAddr>,
}

/// These bytes are no header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct NoHeader;

/// Takes the header off the stream. `peer` where the load balancer speaks for itself; an error where there is no
/// header.
pub(super) async fn source(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut bytes = vec![0; SIGNATURE.len() + 4 + V2_MOST];
    loop {
        // What follows belongs to TLS or HTTP: only the header's own bytes are taken.
        let seen = stream.peek(&mut bytes).await?;
        match parse(bytes.get(..seen).unwrap_or_default()) {
            Ok(Some(Header { length, source })) => {
                stream.read_exact(bytes.get_mut(..length).unwrap_or_default()).await?;
                return Ok(source.unwrap_or(peer));
            }
            Ok(None) if seen > 0 => tokio::time::sleep(AGAIN).await,
            Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(NoHeader) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Reads a header; `None` while there is more to come.
fn parse(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    if bytes.starts_with(SIGNATURE) {
        return parse_v2(bytes);
    }
    if SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes) {
        return Ok(None);
    }
    let Some(line) = bytes.strip_prefix(b"PROXY ") else { return Err(NoHeader) };
    match memchr::memmem::find(bytes.get(..bytes.len().min(V1_MOST)).unwrap_or_default(), b"\r\n") {
        Some(end) => {
            let line = line.get(..end - b"PROXY ".len()).ok_or(NoHeader)?;
            Ok(Some(Header { length: end + 2, source: parse_v1(line)? }))
        }
        None if bytes.len() >= V1_MOST => Err(NoHeader),
        None => Ok(None),
    }
}

/// What stands between `PROXY ` and the line end: `TCP4 SOURCE DESTINATION PORT PORT`, likewise `TCP6`, or `UNKNOWN`.
fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    let line = std::str::from_utf8(line).map_err(|_| NoHeader)?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(NoHeader);
    let family = word()?;
    let mut address = || -> Result<IpAddr, NoHeader> {
        let text = word()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| NoHeader),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| NoHeader),
            _ => Err(NoHeader),
        }
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || -> Result<u16, NoHeader> {
        let text = word()?;
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(NoHeader)
    };
    let (source_port, _) = (port()?, port()?);
    match words.next() {
        None => Ok(Some(SocketAddr::new(source, source_port))),
        Some(_) => Err(NoHeader),
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let rest = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    let Some((&[version, family, high, low], rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let size = usize::from(u16::from_be_bytes([high, low]));
    if version >> 4 != 2 || size > V2_MOST {
        return Err(NoHeader);
    }
    let Some(body) = rest.get(..size) else { return Ok(None) };
    let source = match (version & 0xf, family) {
        // LOCAL: whatever it says of addresses is to be passed over.
        (0, _) => None,
        // PROXY over TCP and IPv4: two addresses, two ports; then extensions, which nothing here needs.
        (1, 0x11) => Some(ipv4(body).ok_or(NoHeader)?),
        (1, 0x21) => Some(ipv6(body).ok_or(NoHeader)?),
        // Unspecified, or a local socket: there is no address to speak of.
        (1, 0x00 | 0x31) => None,
        _ => return Err(NoHeader),
    };
    Ok(Some(Header { length: SIGNATURE.len() + 4 + size, source }))
}

fn ipv4(body: &[u8]) -> Option<SocketAddr> {
    let (&[a, b, c, d, _, _, _, _, high, low, _, _], _) = body.split_first_chunk::<12>()?;
    Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
}

fn ipv6(body: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = body.split_first_chunk::<16>()?;
    let (_destination, rest) = rest.split_first_chunk::<16>()?;
    let (&[high, low, _, _], _) = rest.split_first_chunk::<4>()?;
    Some(SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn headers_say_whose_the_connection_is() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let mut six = Vec::new();
        six.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        six.extend([0; 16]);
        six.extend([0x30, 0x39, 0, 80]);
        let extended = [&four[..], &[0x04, 0, 2, 0, 0]].concat();
        for (bytes, source) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(), Some("192.0.2.7:12345")),
            (b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n".to_vec(), Some("[2001:db8::7]:12345")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, &four), Some("192.0.2.7:12345")),
            (v2(1, 0x11, &extended), Some("192.0.2.7:12345")),
            (v2(1, 0x21, &six), Some("[2001:db8::7]:12345")),
            (v2(0, 0x11, &four), None),
            (v2(0, 0, &[]), None),
            (v2(1, 0, &[]), None),
        ] {
            let expected = Header { length: bytes.len(), source: source.map(|s| s.parse().unwrap()) };
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
            assert_eq!(parse(&bytes), Ok(Some(expected)));
            let more = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(parse(&more), Ok(Some(expected)), "what follows is not its own");
        }
    }

    #[test]
    fn anything_else_is_no_header() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(120));
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80 9\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 80\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 80\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"proxy UNKNOWN\r\n",
            long.as_bytes(),
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(1, 0x21, &[0; 12]),
            &v2(1, 0x12, &[0; 12]),
            &v2(2, 0x11, &[0; 12]),
            &v2(1, 0x11, &vec![0; V2_MOST + 1]),
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c............",
        ] {
            assert_eq!(parse(bytes), Err(NoHeader), "{}", bytes.escape_ascii());
        }
    }
}
