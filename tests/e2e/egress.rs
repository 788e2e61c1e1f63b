//! The API's own calls: foreign HTTP clients through `portcullis egress`, to a partner that behaves and one that does not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_dev::cache;

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, Options};
use crate::harness::needs;
use crate::harness::peers::{Peer, nginx};
use crate::harness::recorder::Recorder;

const PARTNER: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Shipping", "version": "1"},
  "paths": { "/quote": { "get": { "responses": { "200": { "description": "ok", "content": { "application/json": {
    "schema": { "type": "object", "required": ["price"], "properties": { "price": { "type": "integer", "minimum": 0 } } }
  } } } } } } }
}"#;

/// An authority, and the certificate for `localhost` that it signed; one that signs itself proves no server.
struct Chain {
    folder: tempfile::TempDir,
}

impl Chain {
    fn make() -> Self {
        let chain = Self { folder: tempfile::tempdir().unwrap() };
        let extension = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
        fs::write(chain.folder.path().join("leaf.cnf"), extension).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for line in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"),
            format!("req {key} -keyout key.pem -out leaf.csr -subj /CN=localhost"),
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.cnf -out cert.pem"
                .to_owned(),
        ] {
            let made = Command::new("openssl").args(line.split(' ')).current_dir(chain.folder.path()).output();
            assert!(made.unwrap().status.success(), "openssl {line}");
        }
        chain
    }

    /// The file that a client trusts.
    fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

/// What the partner says under `/quote`, `/huge` and wherever else.
fn partner(program: &Path, certificate: &Chain) -> (Peer, u16) {
    let port = crate::harness::peers::free_address().port();
    let server = format!(
        "listen 127.0.0.1:{port} ssl; ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem; default_type application/json;\n\
         location = /quote {{ return 200 '{{\"price\": 5, \"note\": \"<script>\"}}'; }}\n\
         location = /v2/quote {{ return 200 '{{\"price\": -1}}'; }}\n\
         location = /redirect {{ return 302 http://127.0.0.1:1/latest/meta-data/; }}\n\
         location / {{ return 200 '{{\"at\": \"$request_uri\"}}'; }}",
        certificate.folder.path().display(),
    );
    (nginx(program, &server), port)
}

fn options(partner: SocketAddr, tls: u16, certificate: &Chain, more: &str) -> Options {
    let ca = certificate.path();
    let port = partner.port();
    Options::config(format!(
        "egress:\n  ca: {}\n  names: {{ partner.example: [127.0.0.1], shipping.example: [127.0.0.1], localhost: [127.0.0.1], x.localhost: [127.0.0.1] }}\n  destinations:\n\
         \x20   partner: {{ hosts: [partner.example, localhost], ports: [{port}, {tls}], networks: [127.0.0.0/8] }}\n\
         \x20   inside: {{ hosts: [rebound.example, \"127.0.0.1\", \"*.localhost\"], ports: [{port}] }}\n{more}",
        ca.display()
    ))
}

/// Sends a call as HTTP clients send it to a proxy.
fn through(gateway: &Gateway, method: &str, target: &str) -> Response {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let host = rest.split('/').next().filter(|host| !host.is_empty()).unwrap_or("partner.example");
    Client::connect(gateway.address).call(method, target, &[("Host", host)], b"").unwrap()
}

fn code(response: &Response) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn calls_go_where_they_may_and_nowhere_else() {
    const NAME: &str = "calls_go_where_they_may_and_nowhere_else";
    let Some(program) = needs(NAME, "nginx") else { return };
    let certificate = Chain::make();
    let (partner, tls) = partner(&program, &certificate);
    let victim = Recorder::start();
    let gateway = options(partner.address, tls, &certificate, "").start_egress();
    let port = partner.address.port();
    let seen = through(&gateway, "GET", &format!("http://partner.example:{port}/a?b=c"));
    assert_eq!((seen.status, seen.text()), (200, "{\"at\": \"/a?b=c\"}".to_owned()));
    // A redirect is the client's to follow, and then is a call of its own.
    let redirect = through(&gateway, "GET", &format!("http://partner.example:{port}/redirect"));
    assert_eq!(redirect.status, 302);
    let inside = victim.address;
    for (target, refusal) in [
        ("http://127.0.0.1:1/latest/meta-data/".to_owned(), "destination-refused"),
        (format!("http://{inside}/"), "destination-refused"),
        (format!("http://127.0.0.1:{port}/"), "destination-inside"),
        (format!("http://2130706433:{port}/"), "destination-refused"),
        (format!("http://x.localhost:{port}/"), "destination-inside"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "destination-refused"),
        ("http://other.example/".to_owned(), "destination-refused"),
        ("http://partner.example:22/".to_owned(), "destination-refused"),
        ("/origin-form".to_owned(), "request-malformed"),
    ] {
        let refused = through(&gateway, "GET", &target);
        let host = target.split("://").nth(1).and_then(|rest| rest.split('/').next());
        assert_eq!(code(&refused), refusal, "{target}");
        if let Some(host) = host.filter(|host| host.contains(':')) {
            let refused = through(&gateway, "CONNECT", host);
            assert_eq!(code(&refused), refusal, "CONNECT {host}");
        }
    }
    assert!(victim.take().is_empty(), "something inside was called");
    let log = Command::new(crate::harness::gateway::binary())
        .args(["log", "--data", "data", "--json"])
        .current_dir(gateway.folder())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    for evidence in ["destination-refused", "destination-inside", "partner.example"] {
        assert!(log.contains(evidence), "{evidence}: {log}");
    }
}

#[test]
fn a_partner_is_held_to_its_contract() {
    const NAME: &str = "a_partner_is_held_to_its_contract";
    let Some(program) = needs(NAME, "nginx") else { return };
    let certificate = Chain::make();
    let (partner, tls) = partner(&program, &certificate);
    // The name that the certificate is for.
    let more = format!(
        "    shipping: {{ hosts: [shipping.example], ports: [{tls}], tls: true, contract: partner.json, networks: [127.0.0.0/8] }}\n\
         \x20   proved: {{ hosts: [localhost], ports: [{tls}], tls: true, contract: partner.json, networks: [127.0.0.0/8] }}\n"
    );
    let text = options(partner.address, tls, &certificate, &more);
    let gateway = text
        .file("partner.json", PARTNER)
        .replace_config("hosts: [partner.example, localhost]", "hosts: [partner.example]")
        .start_egress();
    let ask = |host: &str, path: &str| through(&gateway, "GET", &format!("http://{host}:{tls}{path}"));
    let quote = ask("localhost", "/quote");
    assert_eq!(
        (quote.status, quote.text()),
        (200, "{\"price\": 5}".to_owned()),
        "what is not described is left out"
    );
    assert_eq!(code(&ask("localhost", "/v2/quote")), "path-unknown");
    // Who cannot prove the name is not called.
    assert_eq!(ask("shipping.example", "/quote").status, 502);
    let tunnel = through(&gateway, "CONNECT", &format!("localhost:{tls}"));
    assert_eq!(code(&tunnel), "destination-refused", "a tunnel would be the way around the contract");
}

#[test]
fn an_answer_is_bounded() {
    const NAME: &str = "an_answer_is_bounded";
    let Some(program) = needs(NAME, "nginx") else { return };
    let certificate = Chain::make();
    let (partner, tls) = partner(&program, &certificate);
    let more = format!(
        "    small: {{ hosts: [shipping.example], ports: [{}], response_body: 8, networks: [127.0.0.0/8] }}\n",
        partner.address.port()
    );
    let gateway = options(partner.address, tls, &certificate, &more).start_egress();
    let large = through(&gateway, "GET", &format!("http://shipping.example:{}/abc", partner.address.port()));
    assert_eq!(code(&large), "response-too-large");
}

/// Runs a foreign client with the proxy in its environment; whether it got what it asked for, and what it said.
fn foreign(mut command: Command, gateway: &Gateway) -> (bool, String) {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env(name, gateway.url());
    }
    for name in ["NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn foreign_clients_leave_through_it() {
    const NAME: &str = "foreign_clients_leave_through_it";
    let Some(program) = needs(NAME, "nginx") else { return };
    let certificate = Chain::make();
    let (partner, tls) = partner(&program, &certificate);
    let gateway = options(partner.address, tls, &certificate, "").start_egress();
    let ca = certificate.path();
    let plain = format!("http://partner.example:{}/plain", partner.address.port());
    let secure = format!("https://localhost:{tls}/secure");
    let refused = ["http://169.254.169.254/latest/", "https://evil.example/"];
    type Make = Box<dyn Fn(&str) -> Command>;
    let mut clients: Vec<(&str, Make)> = Vec::new();
    if let Some(curl) = needs(NAME, "curl") {
        let ca = ca.clone();
        clients.push((
            "curl",
            Box::new(move |url| {
                let mut command = Command::new(&curl);
                command.args(["-sS", "--fail", "--noproxy", "", "--cacert"]).arg(&ca).arg(url);
                command
            }),
        ));
    }
    let python = cache::venv().join("bin/python");
    for library in ["requests", "httpx"] {
        let there = Command::new(&python).args(["-c", &format!("import {library}")]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED {NAME}: Python's `{library}` is not installed; run `cargo dev setup`");
            continue;
        }
        let (python, ca) = (python.clone(), ca.clone());
        let script = match library {
            "requests" => {
                "import sys, requests; r = requests.get(sys.argv[1], verify=sys.argv[2]); print(r.text); r.raise_for_status()"
            }
            _ => {
                "import sys, ssl, httpx; r = httpx.get(sys.argv[1], verify=ssl.create_default_context(cafile=sys.argv[2])); print(r.text); r.raise_for_status()"
            }
        };
        clients.push((
            library,
            Box::new(move |url| {
                let mut command = Command::new(&python);
                command.args(["-c", script, url]).arg(&ca);
                command
            }),
        ));
    }
    if let Some(node) = needs(NAME, "node") {
        let ca = ca.clone();
        let script: PathBuf = crate::harness::data("clients/through_proxy.mjs");
        clients.push((
            "node",
            Box::new(move |url| {
                let mut command = Command::new(&node);
                command.arg(&script).arg(url).env("NODE_EXTRA_CA_CERTS", &ca);
                command
            }),
        ));
    }
    for (name, client) in &clients {
        let (fine, said) = foreign(client(&plain), &gateway);
        assert!(fine && said.contains("/plain"), "{name}: {said}");
        let (fine, said) = foreign(client(&secure), &gateway);
        assert!(fine && said.contains("/secure"), "{name}: {said}");
        for url in refused {
            let (fine, said) = foreign(client(url), &gateway);
            assert!(!fine, "{name} {url}: {said}");
        }
    }
    // What Debian and CI install: at least one of them must have run.
    assert!(!clients.is_empty());
    let page = fs::read_to_string(gateway.folder().join("gateway.log")).unwrap_or_default();
    assert!(!page.contains("panicked"), "{page}");
}
