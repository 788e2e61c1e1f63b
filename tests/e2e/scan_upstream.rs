//! `portcullis scan --stub`: the shop believes what its shipping partner says, and the fixed twin does not; and the transport of a
//! target over TLS.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::json;

use crate::harness::peers::{Certificate, Peer, free_address, nginx};
use crate::harness::{gateway, needs};
use crate::scan::{PEOPLE, contract, keys, repeated, scan};

/// A shop whose shipping partner is where it is told.
fn shop(fixed: bool, partner: SocketAddr) -> Peer {
    let address = free_address();
    let mut command = Command::new(gateway::built("portcullis-demo"));
    command.args(["--listen", &address.to_string(), "--partner", &partner.to_string()]);
    Peer::start(
        {
            command.args(fixed.then_some("--fixed"));
            command
        },
        tempfile::tempdir().unwrap(),
        address,
    )
}

const QUOTE: &str = "GET /v2/orders/{orderId}/shipping-quote";

#[test]
fn an_upstream_that_is_believed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let quote = folder.path().join("quote.json");
    fs::write(&quote, json!({ "carrier": "Swift Parcel", "priceCents": 490, "days": 2 }).to_string())
        .unwrap();
    let found = |fixed: bool| {
        let partner = free_address();
        let shop = shop(fixed, partner);
        let stub = format!("{partner}={}", quote.display());
        let journal = folder.path().join(format!("{fixed}.jsonl")).display().to_string();
        let more =
            ["--check", "unsafe-consumption", "--check", "ssrf", "--stub", &stub, "--journal", &journal];
        let (_, report) = scan(&contract(), shop.address, &PEOPLE[..2], &more);
        (shop, report, more.map(str::to_owned))
    };
    let (weak, fixed) = std::thread::scope(|scope| {
        let weak = scope.spawn(|| found(false));
        let fixed = found(true);
        (weak.join().unwrap(), fixed)
    });
    let wanted = [
        format!("upstream-injection {QUOTE} upstream /carrier"),
        format!("upstream-value-believed {QUOTE} upstream /priceCents"),
        format!("upstream-value-believed {QUOTE} upstream /days"),
        format!("upstream-redirect-followed {QUOTE} "),
        format!("upstream-answer-unbounded {QUOTE} "),
        format!("upstream-without-timeout {QUOTE} "),
    ];
    let (shop, mut report, more) = weak;
    let found = keys(&report);
    let mut of_upstream = found.clone();
    of_upstream.retain(|key| key.starts_with("upstream-"));
    assert_eq!(of_upstream, BTreeSet::from(wanted));
    assert!(found.iter().any(|key| key.starts_with("ssrf ")), "{found:?}");
    assert_eq!(keys(&fixed.1), BTreeSet::new());

    // One after the other, since all stand in at one address. The one that waits for a minute is left out here.
    let items = report["items"].as_array_mut().unwrap();
    items.retain(|item| item["code"] != "upstream-without-timeout" && item["code"] != "ssrf");
    let all = items.clone();
    let mut expected = keys(&report);
    for item in all {
        let one = json!({ "items": [item] });
        let there = repeated(&one, shop.address, &PEOPLE[..2]);
        assert_eq!(there, keys(&one), "{}", item["evidence"]["script"].as_str().unwrap());
        expected.retain(|key| !there.contains(key));
    }
    assert!(expected.is_empty());

    // A scan that was stopped at its very end goes on there: nothing is asked again, and neither the call-backs nor what the
    // API asked of its upstream are lost.
    let address = shop.address;
    drop(shop);
    let (_, again) = scan(&contract(), address, &PEOPLE[..2], &more.each_ref().map(|word| &**word));
    assert_eq!(keys(&again), found);
}

#[test]
fn the_transport_of_a_target_is_looked_at() {
    let Some(program) = needs("the_transport_of_a_target_is_looked_at", "nginx") else { return };
    let certificate = Certificate::make();
    let folder = certificate.path().parent().unwrap().display().to_string();
    let address = free_address();
    let server = nginx(
        &program,
        &format!(
            "listen {address} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; \
             ssl_protocols TLSv1.2; location / {{ default_type application/json; return 200 '{{\"a\":1}}'; }}"
        ),
    );
    let spec = server.folder().join("spec.json");
    let document = json!({ "openapi": "3.1.0", "info": { "title": "A", "version": "1" },
        "paths": { "/a": { "get": { "responses": { "200": { "description": "ok" } } } } } });
    fs::write(&spec, document.to_string()).unwrap();
    let scan = |more: &[&str]| {
        let report = server.folder().join("report.json");
        let mut command = Command::new(gateway::binary());
        command
            .current_dir(server.folder())
            .args(["scan", "--check", "misconfiguration", "--spec"])
            .arg(&spec);
        command.args(["--target", &format!("https://localhost:{}", address.port()), "-o"]).arg(&report);
        let output = command.args(more).output().unwrap();
        let text = fs::read_to_string(&report).ok();
        let _ = fs::remove_file(&report);
        let codes: BTreeSet<String> = text.map_or_else(BTreeSet::new, |text| {
            let report: serde_json::Value = serde_json::from_str(&text).unwrap();
            keys(&report).iter().filter_map(|key| key.split(' ').next().map(str::to_owned)).collect()
        });
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), codes)
    };
    // A certificate of nobody: said, and scanned only where that is asked for.
    let (code, said, _) = scan(&[]);
    assert!(code == Some(3) && said.contains("--ca") && said.contains("--insecure"), "{code:?} {said}");
    let (_, said, codes) = scan(&["--insecure"]);
    for wanted in ["tls-untrusted", "tls-no-modern-version", "hsts-missing", "missing-nosniff"] {
        assert!(codes.contains(wanted), "{wanted}: {codes:?} {said}");
    }
    let (_, said, codes) = scan(&["--ca", &certificate.path().display().to_string()]);
    assert!(!codes.contains("tls-untrusted") && codes.contains("hsts-missing"), "{codes:?} {said}");
}
