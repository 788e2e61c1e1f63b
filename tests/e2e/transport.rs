//! The audit of a transport, against servers that others wrote: each weakness is found where it is, and nowhere else.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::gateway::binary;
use crate::harness::needs;
use crate::harness::peers::{Certificate, Peer, free_address, nginx};

/// Every suite that the library has, those that it leaves out by default included.
const EVERY: &str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";

/// The codes of what is wrong with the transport at a port of localhost, in the order of the alphabet.
pub(crate) fn audit(port: u16, ca: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.args(["audit", "--tls", &format!("localhost:{port}"), "--format", "json", "--ca"]).arg(ca);
    let output = command.current_dir(folder.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["incomplete"], Value::Null, "{report:#}");
    let items = report["items"].as_array().unwrap();
    let mut codes: Vec<String> = items.iter().map(|item| item["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    codes
}

/// OpenSSL's own server, that answers with a page of its own.
fn s_server(openssl: &Path, certificate: &Path, arguments: &[&str]) -> Peer {
    let address = free_address();
    let mut command = Command::new(openssl);
    command.args(["s_server", "-www", "-quiet", "-accept", &address.to_string(), "-cert"]).arg(certificate);
    command.arg("-key").arg(certificate.with_file_name("key.pem")).args(arguments);
    Peer::start(command, tempfile::tempdir().unwrap(), address)
}

/// A certificate for a name, that holds from one moment to another (`YYMMDDHHMMSSZ`).
fn dated(openssl: &Path, name: &str, from: &str, to: &str) -> Certificate {
    let certificate = Certificate::make();
    let folder = certificate.path().parent().unwrap().to_owned();
    let config = format!(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=any\n\
         x509_extensions=leaf\n[any]\ncommonName=supplied\n[leaf]\nsubjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n"
    );
    fs::write(folder.join("ca.cnf"), config).unwrap();
    fs::write(folder.join("index"), "").unwrap();
    fs::write(folder.join("serial"), "01\n").unwrap();
    for line in [
        format!("req -new -key key.pem -subj /CN={name} -out own.csr"),
        format!(
            "ca -config ca.cnf -batch -notext -selfsign -keyfile key.pem -in own.csr -startdate {from} -enddate {to} -out cert.pem"
        ),
    ] {
        let made = Command::new(openssl).args(line.split(' ')).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&made.stderr));
    }
    certificate
}

#[test]
fn openssl_with_each_weakness() {
    let Some(openssl) = needs("openssl_with_each_weakness", "openssl") else { return };
    let certificate = Certificate::make();
    let ca = certificate.path();
    for (arguments, expected) in [
        (&["-tls1_3"][..], &["hsts-missing"][..]),
        (&["-cipher", "ECDHE+AESGCM", "-no_tls1_3"], &["hsts-missing", "tls-no-modern-version"]),
        (&["-cipher", EVERY, "-tls1_2"], &["hsts-missing", "tls-no-modern-version", "tls-weak-suite"]),
        (&["-cipher", EVERY], &["hsts-missing", "tls-old-version", "tls-weak-suite"]),
        // What no client of today agrees with: nothing is said of what it would answer.
        (&["-cipher", EVERY, "-tls1_1"], &["tls-no-modern-version", "tls-old-version"]),
        (&["-cipher", "NULL:@SECLEVEL=0", "-tls1_2"], &["tls-no-modern-version", "tls-weak-suite"]),
    ] {
        let server = s_server(&openssl, &ca, arguments);
        assert_eq!(audit(server.address.port(), &ca), expected, "{arguments:?}");
    }
    for (name, from, to, expected) in [
        ("localhost", "200101000000Z", "200201000000Z", "tls-untrusted"),
        ("localhost", "400101000000Z", "490201000000Z", "tls-untrusted"),
        ("other.example", "200101000000Z", "490201000000Z", "tls-untrusted"),
    ] {
        let certificate = dated(&openssl, name, from, to);
        let server = s_server(&openssl, &certificate.path(), &[]);
        let codes = audit(server.address.port(), &certificate.path());
        assert!(codes.iter().any(|code| code == expected), "{name} {from} {to}: {codes:?}");
    }
}

#[test]
fn nginx_in_an_old_and_a_modern_configuration() {
    let Some(program) = needs("nginx_in_an_old_and_a_modern_configuration", "nginx") else { return };
    let certificate = Certificate::make();
    let folder = certificate.path().parent().unwrap().display().to_string();
    let serve = |more: &str| {
        let tls = free_address();
        let server = nginx(
            &program,
            &format!(
                "listen {tls} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; {more} \
                 location / {{ return 200 'ok'; }}"
            ),
        );
        (audit(tls.port(), &certificate.path()), server).0
    };
    let old = serve(&format!("ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers {EVERY};"));
    assert_eq!(old, ["hsts-missing", "tls-no-modern-version", "tls-old-version", "tls-weak-suite"]);
    let short = serve(
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM; add_header Strict-Transport-Security max-age=60;",
    );
    assert_eq!(short, ["hsts-missing"], "a minute is too short");
    let modern = serve(
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM; add_header Strict-Transport-Security max-age=31536000;",
    );
    assert!(modern.is_empty(), "{modern:?}");
}
