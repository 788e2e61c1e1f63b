//! One event as bytes: a fixed part of 100 bytes, then strings, each a two-byte length and its bytes.
//!
//! Every field is bounded, so a payload never exceeds [`MAX_PAYLOAD`]; what is longer is cut at a character and
//! the event says so. Decoding trusts nothing: what does not fit exactly is no event.

use std::net::{IpAddr, Ipv6Addr};

use http::Version;
use portcullis_engine::{CredentialKind, Decision, End, ExchangeId, Record};

use super::event::{Event, EventDecision, EventEnd, EventFinding, EventMasked};

/// No payload is longer, in bytes.
pub(super) const MAX_PAYLOAD: usize = 64 << 10;

const FIXED: usize = 100;
const ABSENT: u16 = u16::MAX;
const MAX_FINDINGS: usize = 16;

// The most bytes of each field; together with 16 findings they stay below `MAX_PAYLOAD`.
pub(super) const TARGET: usize = 8 << 10;
const TEXT: usize = 1 << 10;
const NAME: usize = 256;

const IPV4: u8 = 1;
const CUT: u8 = 2;

/// Appends the payload of `record` to `out`.
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    let mut fixed = [0u8; FIXED];
    let mut put = Fixed { out: &mut fixed, at: 0 };
    put.bytes(&record.id.0.to_le_bytes());
    put.bytes(&record.trace_id.to_le_bytes());
    put.bytes(&record.began.unix_ns.to_le_bytes());
    put.bytes(&record.duration_ns.to_le_bytes());
    put.bytes(&record.bytes_in.to_le_bytes());
    put.bytes(&record.bytes_out.to_le_bytes());
    put.bytes(&record.upstream_ns.unwrap_or(u64::MAX).to_le_bytes());
    let (address, mut flags) = match record.client {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), IPV4),
        IpAddr::V6(v6) => (v6, 0),
    };
    put.bytes(&address.octets());
    put.bytes(&record.status.as_u16().to_le_bytes());
    put.bytes(&record.masked.as_ref().map_or(0, |masked| masked.status.as_u16()).to_le_bytes());
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
    put.bytes(&[decision, end, version, kind, 0, u8::try_from(findings).unwrap_or(0), 0, 0]);
    out.extend_from_slice(&fixed);

    let mut text = Text { out: &mut *out, cut: &mut cut };
    let principal = record.principal.as_deref();
    let (code, guard, reason) = match (&record.decision, record.decision.refusal()) {
        (_, Some((code, guard, reason))) => (Some(code.name), Some(guard), Some(reason)),
        (Decision::Answered { guard }, None) => (None, Some(*guard), None),
        (_, None) => (None, None, None),
    };
    text.some(record.method.as_str(), NAME);
    text.some(record.path(), TARGET);
    text.maybe(record.query(), TARGET);
    text.some(record.authority.as_bytes(), NAME);
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
    if cut {
        flags |= CUT;
    }
    if let Some(byte) = out.get_mut(start + FLAGS_AT) {
        *byte = flags;
    }
}

const FLAGS_AT: usize = 96;

struct Fixed<'a> {
    out: &'a mut [u8; FIXED],
    at: usize,
}

impl Fixed<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) {
        if let Some(to) = self.out.get_mut(self.at..self.at + N) {
            to.copy_from_slice(bytes);
        }
        self.at += N;
    }
}

struct Text<'a> {
    out: &'a mut Vec<u8>,
    cut: &'a mut bool,
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
        let length = u16::try_from(bytes.len()).unwrap_or(0);
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(bytes);
    }

    fn maybe(&mut self, text: Option<impl AsRef<[u8]>>, most: usize) {
        match text {
            Some(text) => self.some(text, most),
            None => self.out.extend_from_slice(&ABSENT.to_le_bytes()),
        }
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
        let trace = u128::from_le_bytes(take.array()?);
        let began = u64::from_le_bytes(take.array()?);
        let duration = u64::from_le_bytes(take.array()?);
        let bytes_in = u64::from_le_bytes(take.array()?);
        let bytes_out = u64::from_le_bytes(take.array()?);
        let upstream_ns = Some(u64::from_le_bytes(take.array()?)).filter(|&ns| ns != u64::MAX);
        let address = Ipv6Addr::from(take.array::<16>()?);
        let status = u16::from_le_bytes(take.array()?);
        let masked_status = u16::from_le_bytes(take.array()?);
        let [decision, end, version, kind, flags, findings, 0, 0] = take.array::<8>()? else { return None };
        let view = View {
            id,
            trace,
            began,
            duration,
            bytes_in,
            bytes_out,
            upstream_ns,
            client: if flags & IPV4 != 0 { IpAddr::V4(address.to_ipv4_mapped()?) } else { address.into() },
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
            method: take.text()??,
            path: take.text()??,
            query: take.text()?,
            authority: take.text()??,
            content_type: take.text()?,
            user_agent: take.text()?,
            operation: take.text()?,
            consumer: take.text()?,
            credential: take.text()?,
            code: take.text()?,
            guard: take.text()?,
            reason: take.text()?,
            upstream: take.text()?,
            masked: take.text()?.map(|excerpt| (masked_status, excerpt)),
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

    /// A string that may be absent; the outer `None` where the payload ends too early.
    fn text(&mut self) -> Option<Option<&'a [u8]>> {
        let length = u16::from_le_bytes(self.array()?);
        if length == ABSENT {
            return Some(None);
        }
        let (head, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(Some(head))
    }

    fn finding(&mut self) -> Option<FindingView<'a>> {
        let (code, guard, reason) = (self.text()??, self.text()??, self.text()??);
        let [enforced] = self.array()?;
        Some(FindingView { code, guard, reason, enforced: enforced != 0 })
    }
}
