//! The transport of a host: protocol versions, suites, certificate, HSTS.
//!
//! TLS 1.2 and 1.3 are tried with a real handshake. Older versions and weak suites are tried with a `ClientHello`
//! written here: a server that answers it with a `ServerHello` of that version speaks it. Nothing is sent after.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use portcullis_engine::Owasp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::wire::{self, Endpoint};
use crate::exit::{Failure, Result};
use crate::report::{Confidence, Evidence, Item, Place, Report, Rule, Severity, State};

/// What was learnt of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    /// `TLS 1.2` and the like, for each version that it speaks.
    pub(crate) versions: Vec<&'static str>,
    /// Suites that should be off, of which it takes at least one.
    pub(crate) weak: Vec<&'static str>,
    /// Why its certificate does not hold, where it does not.
    pub(crate) untrusted: Option<String>,
    /// When its certificate ends.
    pub(crate) expires: Option<OffsetDateTime>,
    /// Whether a call over TLS was answered: only then what stands in an answer is known.
    pub(crate) answered: bool,
    /// Seconds of `Strict-Transport-Security`, where it is sent.
    pub(crate) hsts: Option<u64>,
    /// Why nothing could be learnt.
    pub(crate) failed: Option<String>,
}

/// Versions that nobody should speak any more (RFC 8996, RFC 7568), with their number on the wire.
const OLD: &[(&str, u16)] = &[("SSL 3.0", 0x0300), ("TLS 1.0", 0x0301), ("TLS 1.1", 0x0302)];

/// Families of suites that should be off, with some suites of each that servers had.
const WEAK: &[(&str, &[u16])] = &[
    ("NULL (no encryption)", &[0x0001, 0x0002, 0x003b, 0xc006, 0xc010]),
    ("anonymous (no certificate)", &[0x0018, 0x001b, 0x0034, 0x003a, 0x006c, 0x006d, 0x00a6, 0xc016, 0xc018]),
    ("export", &[0x0003, 0x0006, 0x0008, 0x000b, 0x0014]),
    ("RC4", &[0x0004, 0x0005, 0xc007, 0xc011]),
    ("3DES", &[0x000a, 0x0013, 0x0016, 0xc008, 0xc012]),
    ("RSA key exchange (no forward secrecy)", &[0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d]),
];

/// Suites of old versions that a server may have: for asking about the version, not about them.
const COMMON: &[u16] = &[
    0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028, 0x0033, 0x0039, 0x002f, 0x0035, 0x000a,
    0x0005, 0xc012, 0x0016, 0xc02b, 0xc02f,
];

impl Transport {
    /// Asks an endpoint.
    pub(crate) fn probe(endpoint: &Endpoint, roots: &Arc<RootCertStore>) -> Transport {
        let mut found = Transport::default();
        let trust: Arc<Mutex<Trust>> = Arc::default();
        for (name, version) in [("TLS 1.2", &rustls::version::TLS12), ("TLS 1.3", &rustls::version::TLS13)] {
            match handshake(endpoint, roots, &trust, version) {
                Ok(()) => found.versions.push(name),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    found.failed = Some(error.to_string());
                    return found;
                }
                Err(error) => found.failed = Some(error.to_string()),
            }
        }
        // A version that is spoken with suites alone that no handshake here takes is spoken all the same.
        let suites = COMMON.iter().chain(WEAK.iter().flat_map(|(_, suites)| *suites));
        let suites: Vec<u16> = suites.copied().collect();
        let untried = [("TLS 1.2", 0x0303)];
        let untried = untried.iter().filter(|(name, _)| !found.versions.contains(name));
        let other = OLD.iter().chain(untried).filter(|(_, version)| takes(endpoint, *version, &suites));
        let other: Vec<&'static str> = other.map(|(name, _)| *name).collect();
        found.versions.splice(0..0, other);
        if found.versions.is_empty() {
            return found;
        }
        found.failed = None;
        found.weak = WEAK
            .iter()
            .filter(|(_, suites)| takes(endpoint, 0x0303, suites))
            .map(|(name, _)| *name)
            .collect();
        let trust = trust.lock().map(|trust| trust.clone()).unwrap_or_default();
        found.untrusted = trust.fault;
        found.expires = trust.chain.first().and_then(|certificate| not_after(certificate));
        let any = config(roots, &trust_nothing(), rustls::ALL_VERSIONS);
        if let Some(answer) =
            any.ok().and_then(|any| wire::exchange(endpoint, &any, "GET", "/", &[], b"").ok())
        {
            found.answered = true;
            found.hsts = answer.header("strict-transport-security").and_then(max_age);
        }
        found
    }
}

/// A client that accepts any certificate: what it sends is no secret, and what it learns is what is there.
///
/// # Errors
/// If the TLS library has no provider.
pub(crate) fn curious(roots: &Arc<RootCertStore>) -> Result<Arc<ClientConfig>> {
    config(roots, &trust_nothing(), rustls::ALL_VERSIONS).map_err(Failure::incomplete)
}

/// A client that verifies whom it talks to.
///
/// # Errors
/// If the TLS library does not speak what it should.
pub(crate) fn careful(roots: Arc<RootCertStore>) -> std::result::Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Authorities: those of a file, or those of this machine.
///
/// # Errors
/// If the file has none.
pub(crate) fn roots(file: Option<&Path>) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let wrong = |what: String| Failure::Usage(format!("`{}`: {what}", file.display()));
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("expected certificates in PEM".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(Arc::new(roots))
}

fn trust_nothing() -> Arc<Mutex<Trust>> {
    Arc::default()
}

fn config(
    roots: &Arc<RootCertStore>,
    trust: &Arc<Mutex<Trust>>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::result::Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Without any authority there is nothing to verify with: then every certificate is untrusted.
    let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build().ok();
    let verifier = Arc::new(Witness { inner, provider: provider.clone(), trust: trust.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn handshake(
    endpoint: &Endpoint,
    roots: &Arc<RootCertStore>,
    trust: &Arc<Mutex<Trust>>,
    version: &'static rustls::SupportedProtocolVersion,
) -> io::Result<()> {
    let config = config(roots, trust, &[version]).map_err(io::Error::other)?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = endpoint.connect()?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

/// What the verifier saw.
#[derive(Debug, Clone, Default)]
struct Trust {
    chain: Vec<Vec<u8>>,
    fault: Option<String>,
}

/// Verifies, writes down what it found, and goes on either way.
#[derive(Debug)]
struct Witness {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    trust: Arc<Mutex<Trust>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let fault = match &self.inner {
            Some(inner) => {
                inner.verify_server_cert(leaf, chain, name, ocsp, now).err().map(|error| error.to_string())
            }
            None => Some("this machine knows no authority to verify it with".into()),
        };
        if let Ok(mut trust) = self.trust.lock() {
            trust.chain = std::iter::once(leaf).chain(chain).map(|one| one.to_vec()).collect();
            trust.fault = fault;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether an endpoint answers a hello of `version` with these suites by a hello of its own.
fn takes(endpoint: &Endpoint, version: u16, suites: &[u16]) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = endpoint.connect()?;
        stream.write_all(&hello(&endpoint.host, version, suites))?;
        let mut head = [0_u8; 11];
        stream.read_exact(&mut head)?;
        Ok(is_server_hello(&head, version))
    };
    ask().unwrap_or(false)
}

/// A handshake record with a `ServerHello` of this version (RFC 5246, sections 6.2.1 and 7.4.1.3).
fn is_server_hello(head: &[u8; 11], version: u16) -> bool {
    let [kind, _, _, _, _, message, _, _, _, major, minor] = *head;
    kind == 22 && message == 2 && u16::from_be_bytes([major, minor]) == version
}

/// A `ClientHello` up to TLS 1.2 (RFC 5246, section 7.4.1.2), in one record.
fn hello(host: &str, version: u16, suites: &[u16]) -> Vec<u8> {
    let mut extensions = Vec::new();
    // Server names are names, never addresses (RFC 6066, section 3).
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = [&[0][..], &sized(host.as_bytes())].concat();
        extension(&mut extensions, 0, &sized(&name));
    }
    // Groups: x25519, secp256r1, secp384r1, secp521r1; points uncompressed.
    extension(&mut extensions, 10, &sized(&[0, 29, 0, 23, 0, 24, 0, 25]));
    extension(&mut extensions, 11, &[1, 0]);
    if version >= 0x0303 {
        let schemes = [4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 2, 3, 2, 1];
        extension(&mut extensions, 13, &sized(&schemes));
    }
    let mut body = version.to_be_bytes().to_vec();
    // The random needs to be none: nothing is ever encrypted.
    body.extend_from_slice(&[0x5a; 32]);
    body.push(0);
    body.extend(sized(&suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<u8>>()));
    body.extend_from_slice(&[1, 0]);
    if version > 0x0300 {
        body.extend(sized(&extensions));
    }
    let mut message = vec![1, 0];
    message.extend(sized(&body));
    let record = version.min(0x0301).to_be_bytes();
    [&[22][..], &record, &sized(&message)].concat()
}

fn extension(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend(sized(data));
}

/// Bytes behind their length in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

pub(crate) fn max_age(value: &str) -> Option<u64> {
    let directive = value.split(';').map(str::trim).find_map(|one| {
        let (name, age) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then_some(age)
    });
    directive?.trim().trim_matches('"').parse().ok()
}

/// When a certificate ends: `tbsCertificate.validity.notAfter` (RFC 5280, section 4.1).
fn not_after(der: &[u8]) -> Option<OffsetDateTime> {
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, after) = element(rest)?;
    // The version is optional.
    if tag == 0xa0 {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, moment, _) = element(after)?;
    let text = std::str::from_utf8(moment).ok()?;
    let (year, text) = match tag {
        0x17 => {
            let year: i32 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| text.get(at..at + 2).and_then(|digits| digits.parse::<u8>().ok());
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

/// The first element of DER: tag, content, and what stands behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length) = (*der.first()?, *der.get(1)?);
    let (size, start) = match length {
        0..=0x7f => (usize::from(length), 2),
        0x81..=0x84 => {
            let bytes = usize::from(length & 0x7f);
            let digits = der.get(2..2 + bytes)?;
            (digits.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)), 2 + bytes)
        }
        _ => return None,
    };
    let rest = der.get(start..)?;
    Some((tag, rest.get(..size)?, rest.get(size..)?))
}

/// One thing that may be wrong with a transport.
struct Check {
    code: &'static str,
    title: &'static str,
    page: &'static str,
    cwe: u16,
    severity: Severity,
    fix: &'static str,
    /// What was seen, where it is wrong.
    seen: fn(&Transport, OffsetDateTime) -> Option<String>,
}

/// A certificate that ends sooner is worth a word.
const SOON_DAYS: i64 = 21;

/// Half a year: shorter ones protect too few (RFC 6797 names none; browsers' lists ask for a year).
const HSTS_LEAST: u64 = 15_552_000;

const CHECKS: &[Check] = &[
    Check {
        code: "tls-old-version",
        title: "an outdated protocol version is spoken",
        page: "SSL 3.0, TLS 1.0 or TLS 1.1 (RFC 7568, RFC 8996): attackers on the way can decrypt or downgrade.",
        cwe: 327,
        severity: Severity::High,
        fix: "Speak TLS 1.2 and 1.3 only.",
        seen: |found, _| {
            let old: Vec<&str> =
                OLD.iter().map(|(name, _)| *name).filter(|name| found.versions.contains(name)).collect();
            (!old.is_empty()).then(|| format!("it answers a hello of {}", old.join(", ")))
        },
    },
    Check {
        code: "tls-weak-suite",
        title: "weak cipher suites are taken",
        page: "Suites without encryption, without authentication or with broken ciphers; or without forward secrecy, by \
               which a stolen key decrypts what was recorded.",
        cwe: 326,
        severity: Severity::Medium,
        fix: "Offer suites with ECDHE and AES-GCM or ChaCha20 only.",
        seen: |found, _| {
            (!found.weak.is_empty()).then(|| format!("it takes suites with {}", found.weak.join("; ")))
        },
    },
    Check {
        code: "tls-untrusted",
        title: "the certificate does not hold",
        page: "A certificate that clients cannot verify teaches them to verify none.",
        cwe: 295,
        severity: Severity::High,
        fix: "Serve a valid certificate for this name, with the authorities between.",
        seen: |found, _| found.untrusted.clone(),
    },
    Check {
        code: "tls-expiring",
        title: "the certificate ends soon",
        page: "A certificate that ends takes the API off the net, or makes people turn verification off.",
        cwe: 298,
        severity: Severity::Low,
        fix: "Renew it, by a machine.",
        seen: |found, now| {
            let days = (found.expires? - now).whole_days();
            (0..SOON_DAYS).contains(&days).then(|| format!("it ends in {days} days"))
        },
    },
    Check {
        code: "tls-no-modern-version",
        title: "TLS 1.3 is not spoken",
        page: "TLS 1.3 is quicker, and has none of the options that earlier versions were attacked by.",
        cwe: 327,
        severity: Severity::Info,
        fix: "Turn TLS 1.3 on.",
        seen: |found, _| {
            (!found.versions.contains(&"TLS 1.3")).then(|| format!("it speaks {}", found.versions.join(", ")))
        },
    },
    Check {
        code: "hsts-missing",
        title: "clients are not told to stay with TLS",
        page: "Without `Strict-Transport-Security` (RFC 6797) a browser's first call may go over cleartext.",
        cwe: 319,
        severity: Severity::Low,
        fix: "Send `Strict-Transport-Security: max-age=31536000; includeSubDomains`.",
        seen: |found, _| match found.hsts {
            None => found.answered.then(|| "there is no such field".into()),
            Some(age) if age < HSTS_LEAST => Some(format!("it holds for {age} seconds only")),
            Some(_) => None,
        },
    },
];

/// Audits the transport of a host into a report.
///
/// # Errors
/// If the host's name is not one, or the authorities cannot be read.
pub(crate) fn collect(report: &mut Report, host: &str, ca: Option<&Path>, now: OffsetDateTime) -> Result<()> {
    let endpoint = Endpoint::parse(host).map_err(Failure::Usage)?;
    let found = Transport::probe(&endpoint, &roots(ca)?);
    for check in CHECKS {
        if !report.rules.iter().any(|rule| rule.code == check.code) {
            report.rules.push(Rule {
                code: check.code.into(),
                title: check.title.into(),
                page: check.page.into(),
                owasp: Owasp::Api8,
                cwe: check.cwe,
                severity: check.severity,
            });
        }
    }
    if let Some(why) = &found.failed {
        report.incomplete = Some(format!("the transport of {host} could not be looked at: {why}"));
        return Ok(());
    }
    report.fact(&format!("transport of {host}"), found.versions.join(", "));
    report.items.extend(items(&found, host, now));
    Ok(())
}

/// What is wrong with a transport.
pub(crate) fn items(found: &Transport, host: &str, now: OffsetDateTime) -> Vec<Item> {
    let wrong = CHECKS.iter().filter_map(|check| Some((check, (check.seen)(found, now)?)));
    wrong
        .map(|(check, seen)| Item {
            code: check.code.into(),
            title: format!("{}: {host}", check.title),
            detail: check.page.into(),
            owasp: Owasp::Api8,
            cwe: check.cwe,
            severity: check.severity,
            confidence: Confidence::Confirmed,
            places: vec![Place { part: Some(host.to_owned()), ..Place::default() }],
            evidence: Evidence { proof: format!("{host}: {seen}."), ..Evidence::default() },
            fix: check.fix.into(),
            patch: None,
            points: None,
            fingerprint: Item::fingerprint_of(check.code, host),
            state: State::New,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_have_the_lengths_that_they_say() {
        for (host, version) in [("a.example", 0x0301), ("127.0.0.1", 0x0303), ("a.example", 0x0300)] {
            let bytes = hello(host, version, COMMON);
            assert_eq!(bytes[0], 22);
            assert_eq!(usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), bytes.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([bytes[7], bytes[8]])), bytes.len() - 9);
            assert_eq!(u16::from_be_bytes([bytes[9], bytes[10]]), version);
        }
        assert!(is_server_hello(&[22, 3, 1, 0, 60, 2, 0, 0, 56, 3, 1], 0x0301));
        assert!(!is_server_hello(&[22, 3, 3, 0, 60, 2, 0, 0, 56, 3, 3], 0x0301), "another version is no yes");
        assert!(!is_server_hello(&[21, 3, 1, 0, 2, 2, 70, 0, 0, 0, 0], 0x0301));
    }

    #[test]
    fn ages_and_elements_are_read() {
        assert_eq!(max_age("max-age=31536000; includeSubDomains"), Some(31_536_000));
        assert_eq!(max_age("includeSubDomains; Max-Age=\"5\""), Some(5));
        assert_eq!(max_age("includeSubDomains"), None);
        for bad in
            [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80, 0, 0], &[0x30, 5, 1]]
        {
            assert!(element(bad).is_none() && not_after(bad).is_none());
        }
        assert_eq!(element(&[4, 0x81, 2, 7, 8, 9]), Some((4, &[7, 8][..], &[9][..])));
    }
}
