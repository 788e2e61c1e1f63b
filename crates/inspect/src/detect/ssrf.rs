//! URLs that lead inside, or hide where they lead: every notation of an address that clients read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, find, from, is_space, is_word, skip_while, slice, starts, trim};
use crate::verdict::Hits;

/// Schemes that no web address has.
const SCHEMES: [(&[u8], u8); 15] = [
    (b"gopher://", 92),
    (b"dict://", 88),
    (b"ldap://", 74),
    (b"ldaps://", 74),
    (b"rmi://", 84),
    (b"tftp://", 82),
    (b"sftp://", 40),
    (b"netdoc:", 88),
    (b"jar:http", 84),
    (b"file://", 74),
    (b"ogg://", 60),
    (b"ssh2.", 60),
    (b"local_file:", 84),
    (b"unix:/", 80),
    (b"http+unix:", 86),
];

/// Names that answer with an address inside.
static NAMES: Finder = Finder::new(&[
    b"metadata.google.internal",
    b"metadata.goog",
    b"instance-data",
    b".nip.io",
    b".xip.io",
    b".sslip.io",
    b"localtest.me",
    b"lvh.me",
    b"vcap.me",
    b"burpcollaborator",
    b".oastify.com",
    b"interact.sh",
    b"kubernetes.default",
    b".svc.cluster.local",
    b".service.consul",
]);

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    if view.place == Place::Header || view.document {
        return;
    }
    let bytes = trim(view.bytes);
    if !hits.spend(bytes.len() + 60) {
        return;
    }
    for (scheme, worth) in SCHEMES {
        if starts(bytes, scheme) {
            hits.add(Class::Ssrf, worth, "a URL of a scheme that reaches inside", 0, bytes.len().min(80));
        }
    }
    // `//127.0.0.1/x`: the page's own scheme.
    if let Some(rest) = bytes.strip_prefix(b"//") {
        let authority = slice(
            rest,
            0,
            skip_while(rest, 0, |b| is_word(b) || matches!(b, b'.' | b':' | b'-' | b'[' | b']')),
        );
        if !bytes.iter().any(|&b| is_space(b))
            && authority.contains(&b'.')
            && let Some((score, why)) = judge(authority, authority)
        {
            hits.add(Class::Ssrf, score, why, 0, bytes.len().min(80));
        }
    }
    let spaced = bytes.iter().take(2048).any(|&b| is_space(b));
    let mut index = 0;
    let mut seen = 0;
    // How many blanks there are before `counted`.
    let (mut blanks, mut counted) = (0, 0);
    while let Some(found) = find(from(bytes, index), b"://") {
        let start = index + found + 3;
        index = start;
        seen += 1;
        let scheme = slice(bytes, start.saturating_sub(8), start - 3);
        let http = scheme.eq_ignore_ascii_case(b"https")
            || from(scheme, scheme.len().saturating_sub(4)).eq_ignore_ascii_case(b"http");
        let end = skip_while(bytes, start, |b| {
            !matches!(b, b'/' | b'?' | b'#' | b'\\' | b'"' | b'\'' | b'<' | b'>' | 0) && !is_space(b)
        })
        .min(start + 300);
        // `http://inside\@outside`, `http://outside#@inside`: two readers, two hosts.
        let split = matches!(at(bytes, end), b'\\' | b'#' | 0) && at(bytes, end + 1) == b'@' && http;
        let behind =
            slice(bytes, end + 2, skip_while(bytes, end + 2, |b| is_word(b) || matches!(b, b'.' | b'-')));
        let authority = slice(bytes, start, end);
        if !hits.spend(authority.len() * 4 + 80) {
            return;
        }
        let host = authority.iter().rposition(|&b| b == b'@').map_or(authority, |at| from(authority, at + 1));
        let whole = seen == 1 && start < 12 && !spaced;
        if split && (judge(host, authority).is_some() || judge(behind, behind).is_some()) {
            hits.add(Class::Ssrf, 84, "two hosts, one of them inside", start, end);
        }
        // In a sentence it is told about, not gone to.
        blanks += slice(bytes, counted, start).iter().filter(|&&b| b == b' ').count();
        counted = start;
        let told = !whole && blanks > 3;
        if let Some((score, why)) = judge(host, authority) {
            let score = match (whole, told) {
                (true, _) => score,
                (false, false) => score.saturating_sub(12),
                (false, true) => score.saturating_sub(25),
            };
            hits.add(Class::Ssrf, if http { score } else { score.max(60) }, why, start, end);
        }
        if NAMES.any(authority) {
            hits.add(Class::Ssrf, if whole { 84 } else { 66 }, "a name that leads inside", start, end);
        }
    }
}

/// How telling an address of this machine or a private network is, written as anybody writes it: no attack by itself, since
/// native applications are sent back there (RFC 8252 section 7.3) and people name their printers. Where a value is fetched,
/// the guard `ssrf` refuses it.
const INSIDE: u8 = 60;

/// What is wrong with where `host` leads.
fn judge(host: &[u8], authority: &[u8]) -> Option<(u8, &'static str)> {
    let lower = plain(host);
    let name = match lower.first() {
        Some(b'[') => slice(&lower, 1, lower.iter().position(|&b| b == b']').unwrap_or(lower.len())),
        _ => slice(&lower, 0, lower.iter().position(|&b| b == b':').unwrap_or(lower.len())),
    };
    let hidden = host.len() < authority.len() || !host.is_ascii();
    if name == b"metadata" {
        return Some((80, "a name that leads inside"));
    }
    let (address, odd) = address(name)?;
    let address = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().or_else(|| embedded(v6)).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    let mapped = at(&lower, 0) == b'[' && address.is_ipv4();
    let odd = odd || mapped;
    match address {
        IpAddr::V4(v4)
            if v4.octets() == [169, 254, 169, 254]
                || v4.octets() == [100, 100, 100, 200]
                || v4.octets() == [192, 0, 0, 192] =>
        {
            Some((92, "the address of a cloud's metadata"))
        }
        IpAddr::V6(v6) if v6.segments().starts_with(&[0xfd00, 0xec2]) => {
            Some((92, "the address of a cloud's metadata"))
        }
        IpAddr::V4(v4)
            if odd && (v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()) =>
        {
            Some((86, "an address inside, written to look like none"))
        }
        IpAddr::V4(v4) if v4.is_link_local() || v4.is_unspecified() => Some((80, "an address inside")),
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_private() => {
            Some((if hidden { 76 } else { INSIDE }, "an address inside"))
        }
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Some((76, "an address inside")),
        IpAddr::V6(v6)
            if v6
                .segments()
                .first()
                .is_some_and(|first| first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80) =>
        {
            Some((70, "an address inside"))
        }
        _ if odd => Some((60, "an address that is written to look like none")),
        _ => None,
    }
}

/// `host` in lower case, with the dots and digits of other alphabets as resolvers read them (UTS #46).
fn plain(host: &[u8]) -> Vec<u8> {
    if host.is_ascii() {
        return host.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(host.len());
    for character in String::from_utf8_lossy(host).chars() {
        match character {
            '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => out.push(b'.'),
            '\u{2460}'..='\u{2468}' => out.push(b'1' + (character as u32 - 0x2460) as u8),
            '\u{24ea}' => out.push(b'0'),
            '\u{ff10}'..='\u{ff19}' => out.push(b'0' + (character as u32 - 0xff10) as u8),
            '\u{24d0}'..='\u{24e9}' => out.push(b'a' + (character as u32 - 0x24d0) as u8),
            _ => out.extend_from_slice(character.to_lowercase().to_string().as_bytes()),
        }
    }
    out
}

/// NAT64, 6to4 and IPv4-compatible addresses.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, _, _, _, g, h] = v6.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c) {
        (0x64, 0xff9b, _) => Some(join(g, h)),
        (0x2002, high, low) => Some(join(high, low)),
        (0, 0, 0) if v6.segments().iter().take(6).all(|&s| s == 0) && (g, h) > (0, 1) => Some(join(g, h)),
        _ => None,
    }
}

/// The address that `name` is for those who read it as `inet_aton` does, and whether its notation is unusual.
fn address(name: &[u8]) -> Option<(IpAddr, bool)> {
    let text = std::str::from_utf8(name).ok()?;
    if let Ok(v6) = text.split('%').next().unwrap_or(text).parse::<Ipv6Addr>() {
        return Some((IpAddr::V6(v6), false));
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if text == "localhost" || text.ends_with(".localhost") {
        return Some((IpAddr::V4(Ipv4Addr::LOCALHOST), false));
    }
    let mut odd = false;
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        let (digits, radix) = match part.as_bytes() {
            [b'0', b'x' | b'X', ..] => (part.get(2..)?, 16),
            [b'0', _, ..] => (part, 8),
            _ => (part, 10),
        };
        odd |= radix != 10;
        let number =
            if digits.is_empty() && radix == 16 { 0 } else { u64::from_str_radix(digits, radix).ok()? };
        *parts.get_mut(count)? = number;
        count += 1;
    }
    odd |= count != 4;
    let last = *parts.get(count.checked_sub(1)?)?;
    let mut value = 0_u64;
    for index in 0..count - 1 {
        value |= (parts.get(index)? & 0xff) << (24 - 8 * index as u32);
        odd |= *parts.get(index)? > 255;
    }
    let value = value | last & (0xffff_ffff_u64 >> (8 * (count as u32 - 1)));
    Some((IpAddr::V4(Ipv4Addr::from(value as u32)), odd))
}
