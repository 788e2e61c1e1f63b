//! One event as bytes: what every event has, then what the flags say is there. Numbers that are mostly small are
//! varints (LEB128), strings are a varint length and their bytes: an event is written on every call, and each byte less
//! is memory that no call has to touch.
//!
//! Every field is bounded, so a payload never exceeds [`MAX_PAYLOAD`]; what is longer is cut at a character and
//! the event says so. Decoding trusts nothing: what does not fit exactly is no event.

use std::net::IpAddr;

use http::Version;
use portcullis_engine::{CredentialKind, Decision, End, ExchangeId, Record};

use super::event::{Event, EventDecision, EventEnd, EventFinding, EventMasked};

/// No payload is longer, in bytes.
pub(super) const MAX_PAYLOAD: usize = 64 << 10;

const MAX_FINDINGS: usize = 16;

// The most bytes of each field; together with 16 findings they stay below `MAX_PAYLOAD`.
pub(super) const TARGET: usize = 8 << 10;
const TEXT: usize = 1 << 10;
const NAME: usize = 256;

/// The client's address has four bytes, not sixteen.
const IPV4: u8 = 1;
/// Something was too long.
const CUT: u8 = 2;
/// The trace has an identifier of its own; else it is the exchange's.
const TRACE: u8 = 4;
/// The upstream answered: its time is there.
const UPSTREAM: u8 = 8;

/// The texts that may be absent, in the order in which they are written: a bit each.
const TEXTS: u16 = 11;

/// Appends the payload of `record` to `out`.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    let (v4, v6);
    let (address, mut flags) = match record.client {
        IpAddr::V4(address) => {
            v4 = address.octets();
            (&v4[..], IPV4)
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            (&v6[..], 0)
        }
    };
    let own_trace = record.trace_id != record.id.0;
    flags |= if own_trace { TRACE } else { 0 };
    flags |= if record.upstream_ns.is_some() { UPSTREAM } else { 0 };
    let decision = match &record.decision {
        Decision::Permitted => 0,
        Decision::Refused { .. } => 1,
        Decision::Withheld { .. } => 2,
        Decision::Answered { .. } => 3,
    };
    let end = match record.end {
        End::Complete => 0,
        End::ClientGone => 1,
        End::UpstreamBroke => 2,
        End::Cut => 3,
    };
    let version = match record.version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    };
    let kind = match record.principal.as_ref().map(|principal| principal.kind) {
        None => 0,
        Some(CredentialKind::ApiKey) => 1,
        Some(CredentialKind::AppKey) => 2,
        Some(CredentialKind::AccessToken) => 3,
        Some(CredentialKind::Certificate) => 4,
        Some(CredentialKind::Session) => 5,
    };
    let findings = record.findings.len().min(MAX_FINDINGS);
    let mut cut = record.findings.len() > MAX_FINDINGS;
    let [low, high] = record.status.as_u16().to_le_bytes();
    let findings_count = u8::try_from(findings).unwrap_or(0);
    out.extend_from_slice(&record.id.0.to_le_bytes());
    out.extend_from_slice(&record.began.unix_ns.to_le_bytes());
    // The last two are told once the texts are written.
    out.extend_from_slice(&[
        flags,
        decision | end << 2 | kind << 4,
        version,
        low,
        high,
        findings_count,
        0,
        0,
    ]);
    out.extend_from_slice(address);
    if own_trace {
        out.extend_from_slice(&record.trace_id.to_le_bytes());
    }
    for number in [record.duration_ns, record.bytes_in, record.bytes_out] {
        varint(number, out);
    }
    if let Some(upstream_ns) = record.upstream_ns {
        varint(upstream_ns, out);
    }
    if let Some(masked) = &record.masked {
        varint(masked.status.as_u16().into(), out);
    }

    let mut text = Text { out: &mut *out, cut: &mut cut, present: 0, seen: 0 };
    let principal = record.principal.as_deref();
    let (code, guard, reason) = match (&record.decision, record.decision.refusal()) {
        (_, Some((code, guard, reason))) => (Some(code.name), Some(guard), Some(reason)),
        (Decision::Answered { guard }, None) => (None, Some(*guard), None),
        (_, None) => (None, None, None),
    };
    text.some(record.method.as_str(), NAME);
    text.some(record.path(), TARGET);
    text.some(record.authority.as_bytes(), NAME);
    text.maybe(record.query(), TARGET);
    text.maybe(record.content_type().map(|value| value.as_bytes()), NAME);
    text.maybe(record.user_agent().map(|value| value.as_bytes()), NAME);
    text.maybe(record.operation().map(|operation| operation.id.as_bytes()), NAME);
    text.maybe(principal.map(|principal| principal.consumer.as_bytes()), NAME);
    text.maybe(principal.map(|principal| principal.credential.as_bytes()), NAME);
    text.maybe(code, NAME);
    text.maybe(guard, NAME);
    text.maybe(reason, TEXT);
    text.maybe(record.upstream.as_deref(), NAME);
    text.maybe(record.masked.as_ref().map(|masked| masked.excerpt.as_bytes()), TEXT * 2);
    for finding in record.findings.iter().take(findings) {
        text.some(finding.code.name, NAME);
        text.some(finding.guard, NAME);
        text.some(finding.reason.as_bytes(), TEXT);
        text.out.push(u8::from(finding.enforced));
    }
    let present = text.present.to_le_bytes();
    if cut && let Some(byte) = out.get_mut(start + FLAGS_AT) {
        *byte |= CUT;
    }
    if let Some(bytes) = out.get_mut(start + PRESENT_AT..start + PRESENT_AT + 2) {
        bytes.copy_from_slice(&present);
    }
}

/// Behind the identifier and the time.
const FLAGS_AT: usize = 24;
const PRESENT_AT: usize = FLAGS_AT + 6;

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Text<'a> {
    out: &'a mut Vec<u8>,
    cut: &'a mut bool,
    /// Which of the texts that may be absent are there.
    present: u16,
    /// How many of them were told of.
    seen: u16,
}

impl Text<'_> {
    fn some(&mut self, text: impl AsRef<[u8]>, most: usize) {
        let mut bytes = text.as_ref();
        if bytes.len() > most {
            *self.cut = true;
            let mut end = most;
            // Back to the first byte of a character (RFC 3629: continuation bytes are 10xxxxxx).
            while end > most - 4 && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
                end -= 1;
            }
            bytes = bytes.get(..end).unwrap_or_default();
        }
        varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
    }

    fn maybe(&mut self, text: Option<impl AsRef<[u8]>>, most: usize) {
        if let Some(text) = text {
            self.present |= 1 << self.seen;
            self.some(text, most);
        }
        self.seen += 1;
    }
}

/// A payload, taken apart but not copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) id: ExchangeId,
    pub(super) trace: u128,
    pub(super) began: u64,
    pub(super) duration: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) upstream_ns: Option<u64>,
    pub(super) client: IpAddr,
    pub(super) status: u16,
    pub(super) decision: EventDecision,
    pub(super) end: EventEnd,
    pub(super) version: &'static str,
    pub(super) kind: Option<CredentialKind>,
    pub(super) cut: bool,
    pub(super) method: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
    pub(super) authority: &'a [u8],
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
    pub(super) operation: Option<&'a [u8]>,
    pub(super) consumer: Option<&'a [u8]>,
    pub(super) credential: Option<&'a [u8]>,
    pub(super) code: Option<&'a [u8]>,
    pub(super) guard: Option<&'a [u8]>,
    pub(super) reason: Option<&'a [u8]>,
    pub(super) upstream: Option<&'a [u8]>,
    pub(super) masked: Option<(u16, &'a [u8])>,
    findings: &'a [u8],
}

/// A finding within a [`View`].
#[derive(Debug, Clone, Copy)]
pub(super) struct FindingView<'a> {
    pub(super) code: &'a [u8],
    pub(super) guard: &'a [u8],
    pub(super) reason: &'a [u8],
    pub(super) enforced: bool,
}

impl<'a> View<'a> {
    /// Takes a payload apart; `None` where it is not exactly one event.
    pub(super) fn decode(payload: &'a [u8]) -> Option<View<'a>> {
        let mut take = Take(payload);
        let id = ExchangeId(u128::from_le_bytes(take.array()?));
        let began = u64::from_le_bytes(take.array()?);
        let [flags, kinds, version, low, high, findings] = take.array()?;
        let mut present = Present(u16::from_le_bytes(take.array()?));
        if flags & !(IPV4 | CUT | TRACE | UPSTREAM) != 0 || present.0 >> TEXTS != 0 {
            return None;
        }
        let client = match flags & IPV4 != 0 {
            true => IpAddr::from(take.array::<4>()?),
            false => IpAddr::from(take.array::<16>()?),
        };
        let trace = if flags & TRACE != 0 { u128::from_le_bytes(take.array()?) } else { id.0 };
        let (duration, bytes_in, bytes_out) = (take.varint()?, take.varint()?, take.varint()?);
        let upstream_ns = if flags & UPSTREAM != 0 { Some(take.varint()?) } else { None };
        let masked_status = match present.has(TEXTS - 1) {
            true => Some(u16::try_from(take.varint()?).ok()?),
            false => None,
        };
        let status = u16::from_le_bytes([low, high]);
        let (decision, end, kind) = (kinds & 3, kinds >> 2 & 3, kinds >> 4);
        let view = View {
            id,
            trace,
            began,
            duration,
            bytes_in,
            bytes_out,
            upstream_ns,
            client,
            status,
            decision: match decision {
                0 => EventDecision::Permitted,
                1 => EventDecision::Refused,
                2 => EventDecision::Withheld,
                3 => EventDecision::Answered,
                _ => return None,
            },
            end: match end {
                0 => EventEnd::Complete,
                1 => EventEnd::ClientGone,
                2 => EventEnd::UpstreamBroke,
                3 => EventEnd::Cut,
                _ => return None,
            },
            version: match version {
                9 => "HTTP/0.9",
                10 => "HTTP/1.0",
                11 => "HTTP/1.1",
                20 => "HTTP/2",
                30 => "HTTP/3",
                _ => return None,
            },
            kind: match kind {
                0 => None,
                1 => Some(CredentialKind::ApiKey),
                2 => Some(CredentialKind::AppKey),
                3 => Some(CredentialKind::AccessToken),
                4 => Some(CredentialKind::Certificate),
                5 => Some(CredentialKind::Session),
                _ => return None,
            },
            cut: flags & CUT != 0,
            method: take.text()?,
            path: take.text()?,
            authority: take.text()?,
            query: take.maybe(&mut present)?,
            content_type: take.maybe(&mut present)?,
            user_agent: take.maybe(&mut present)?,
            operation: take.maybe(&mut present)?,
            consumer: take.maybe(&mut present)?,
            credential: take.maybe(&mut present)?,
            code: take.maybe(&mut present)?,
            guard: take.maybe(&mut present)?,
            reason: take.maybe(&mut present)?,
            upstream: take.maybe(&mut present)?,
            masked: take.maybe(&mut present)?.and_then(|excerpt| Some((masked_status?, excerpt))),
            findings: take.0,
        };
        for _ in 0..findings {
            take.finding()?;
        }
        take.0.is_empty().then_some(view)
    }

    /// What guards saw.
    pub(super) fn findings(&self) -> impl Iterator<Item = FindingView<'a>> {
        let mut take = Take(self.findings);
        std::iter::from_fn(move || if take.0.is_empty() { None } else { take.finding() })
    }

    /// When the exchange ended.
    pub(super) fn ended(&self) -> u64 {
        self.began.saturating_add(self.duration)
    }

    /// An event of its own.
    pub(super) fn to_event(self) -> Event {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Event {
            time: self.began,
            reference: self.id,
            client: self.client,
            method: text(self.method),
            path: text(self.path),
            query: self.query.map(text),
            authority: text(self.authority),
            version: self.version.to_owned(),
            operation: self.operation.map(text),
            consumer: self.consumer.map(text),
            credential: self.credential.map(text),
            credential_kind: self.kind,
            decision: self.decision,
            code: self.code.map(text),
            guard: self.guard.map(text),
            reason: self.reason.map(text),
            status: self.status,
            end: self.end,
            duration_ns: self.duration,
            upstream_ns: self.upstream_ns,
            upstream: self.upstream.map(text),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            content_type: self.content_type.map(text),
            user_agent: self.user_agent.map(text),
            trace: self.trace,
            masked: self.masked.map(|(status, excerpt)| EventMasked { status, excerpt: text(excerpt) }),
            findings: self
                .findings()
                .map(|finding| EventFinding {
                    code: text(finding.code),
                    guard: text(finding.guard),
                    reason: text(finding.reason),
                    enforced: finding.enforced,
                })
                .collect(),
            cut: self.cut,
        }
    }
}

struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// The next text that may be absent; the outer `None` where the payload ends too early.
    fn maybe(&mut self, present: &mut Present) -> Option<Option<&'a [u8]>> {
        let there = present.has(0);
        present.0 >>= 1;
        if there { self.text().map(Some) } else { Some(None) }
    }

    fn finding(&mut self) -> Option<FindingView<'a>> {
        let (code, guard, reason) = (self.text()?, self.text()?, self.text()?);
        let [enforced] = self.array()?;
        Some(FindingView { code, guard, reason, enforced: enforced != 0 })
    }
}

/// Which of the texts that may be absent are there, the next one first.
struct Present(u16);

impl Present {
    fn has(&self, bit: u16) -> bool {
        self.0 >> bit & 1 != 0
    }
}
