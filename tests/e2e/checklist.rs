//! The checklist before servers that others wrote, each in a bad and in a good configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::gateway::{Options, binary};
use crate::harness::needs;
use crate::harness::peers::{Certificate, Peer, free_address, nginx};
use crate::transport::audit;

/// An API that breaks loudly: a stack trace for what it cannot read.
fn loud() -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let script = "
import json, sys, traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Api(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def handle_one(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        try:
            if body: json.loads(body)
            if self.path.split('?')[0] != '/orders': raise KeyError(self.path)
            self.answer(200, 'application/json', '[]')
        except Exception:
            self.answer(500, 'text/plain', traceback.format_exc())
    do_GET = do_POST = do_PROPFIND = handle_one
    def log_message(self, *_): pass
ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Api).serve_forever()
";
    fs::write(folder.path().join("api.py"), script).unwrap();
    let mut command = Command::new("python3");
    command.arg("api.py").arg(address.port().to_string());
    Peer::start(command, folder, address)
}

/// The answers by question: transport, tokens, input, errors, headers, alerts, dependencies.
fn ask(url: &str, ca: Option<&Path>) -> Vec<String> {
    let mut command = Command::new(binary());
    command.args(["check", url, "--path", "/orders", "--format", "json"]);
    if let Some(ca) = ca {
        command.arg("--ca").arg(ca);
    }
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let tables = report["tables"].as_array().unwrap();
    let rows = tables.iter().find(|table| table["title"] == "Checklist").unwrap()["rows"].as_array().unwrap();
    rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

const SECURITY: [(&str, &str); 4] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Cache-Control", "no-store"),
];

#[test]
fn nginx_in_a_bad_and_a_good_configuration() {
    let Some(program) = needs("nginx_in_a_bad_and_a_good_configuration", "nginx") else { return };
    let api = loud();
    let bad = nginx(&program, &format!("location / {{ proxy_pass http://{}; }}", api.address));
    let answers = ask(&format!("http://{}", bad.address), None);
    let expected = ["no", "could not tell", "could not tell", "no", "no", "could not tell", "could not tell"];
    assert_eq!(answers, expected);

    let certificate = Certificate::make();
    let folder = certificate.path().parent().unwrap().display().to_string();
    let tls = free_address();
    let fields: String =
        SECURITY.iter().map(|(name, value)| format!("add_header {name} \"{value}\" always; ")).collect();
    let good = nginx(
        &program,
        &format!(
            "listen {tls} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; \
             ssl_protocols TLSv1.2 TLSv1.3; server_tokens off; {fields} \
             error_page 400 404 405 500 502 = @clean; \
             location / {{ proxy_pass http://{}; proxy_intercept_errors on; }} \
             location @clean {{ default_type application/json; return 400 '{{\"error\":\"bad request\"}}'; }}",
            api.address
        ),
    );
    let answers = ask(&format!("https://localhost:{}", tls.port()), Some(&certificate.path()));
    assert_eq!(
        (answers[0].as_str(), answers[3].as_str(), answers[4].as_str()),
        ("yes", "yes", "yes"),
        "{answers:?}"
    );
    drop(good);
}

#[test]
fn caddy_in_a_bad_and_a_good_configuration() {
    let Some(program) = needs("caddy_in_a_bad_and_a_good_configuration", "caddy") else { return };
    let api = loud();
    let certificate = Certificate::make();
    let pem = certificate.path().display().to_string();
    let key = certificate.path().with_file_name("key.pem").display().to_string();
    let start = |site: &str, address: std::net::SocketAddr| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Caddyfile"), format!("{{\n admin off\n auto_https off\n}}\n{site}"))
            .unwrap();
        let mut command = Command::new(&program);
        command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]).env("HOME", folder.path());
        Peer::start(command, folder, address)
    };
    let address = free_address();
    let bad = start(
        &format!(
            "http://127.0.0.1:{} {{\n bind 127.0.0.1\n reverse_proxy {}\n}}\n",
            address.port(),
            api.address
        ),
        address,
    );
    let answers = ask(&format!("http://{}", bad.address), None);
    assert_eq!(
        (answers[0].as_str(), answers[3].as_str(), answers[4].as_str()),
        ("no", "no", "no"),
        "{answers:?}"
    );

    let address = free_address();
    let redirecting = start(
        &format!(
            "http://127.0.0.1:{} {{\n bind 127.0.0.1\n redir https://localhost{{uri}} permanent\n}}\n",
            address.port()
        ),
        address,
    );
    assert_eq!(ask(&format!("http://{}", redirecting.address), None)[0], "could not tell");

    let masked =
        " {\n  @failed status 4xx 5xx\n  handle_response @failed {\n   respond \"bad request\" 400\n  }\n }";
    let bare = "  -Server\n  -Via\n";
    let with = |change: Option<(&str, &str)>| -> String {
        let value = |name: &str, value: &'static str| match change {
            Some((changed, other)) if changed == name => other.to_owned(),
            _ => value.to_owned(),
        };
        let fields = SECURITY.iter().map(|(name, usual)| (name, value(name, usual)));
        fields
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("  {name} \"{value}\"\n"))
            .collect()
    };
    let hsts = "Strict-Transport-Security";
    // What differs from the good configuration, and the answers on transport, errors and headers.
    let cases = [
        ("as it should be", with(None), bare, masked, ["yes", "yes", "yes"]),
        ("no HSTS", with(Some((hsts, ""))), bare, masked, ["yes", "yes", "no"]),
        ("HSTS that ends at once", with(Some((hsts, "max-age=0"))), bare, masked, ["yes", "yes", "no"]),
        (
            "types may be guessed",
            with(Some(("X-Content-Type-Options", ""))),
            bare,
            masked,
            ["yes", "yes", "no"],
        ),
        ("a version", with(None), "  Server \"Caddy/2.8.4\"\n  -Via\n", masked, ["yes", "yes", "no"]),
        ("stack traces", with(None), bare, "", ["yes", "no", "yes"]),
    ];
    for (name, fields, removed, masked, expected) in cases {
        let address = free_address();
        let site = format!(
            "https://localhost:{} {{\n bind 127.0.0.1\n tls {pem} {key}\n header {{\n{fields}{removed}  defer\n }}\n \
             reverse_proxy {}{masked}\n}}\n",
            address.port(),
            api.address
        );
        let _server = start(&site, address);
        let answers = ask(&format!("https://localhost:{}", address.port()), Some(&certificate.path()));
        assert_eq!([&*answers[0], &*answers[3], &*answers[4]], expected, "{name}: {answers:?}");
        if expected == ["yes"; 3] {
            assert!(audit(address.port(), &certificate.path()).is_empty(), "a transport as it should be");
        }
    }
}

/// What Envoy's TLS has: certificate, key, and which versions and suites it speaks.
struct Tls<'a> {
    pem: &'a str,
    key: &'a str,
    params: &'a str,
}

/// Envoy before `api`: over TLS, and with further filters and settings.
fn envoy(program: &Path, api: SocketAddr, tls: Option<&Tls<'_>>, filters: &str, more: &str) -> Peer {
    let address = free_address();
    let socket = tls.map_or_else(String::new, |Tls { pem, key, params }| {
        format!(
            "transport_socket: {{ name: tls, typed_config: {{ '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, \
             common_tls_context: {{ tls_params: {{ {params} }}, \
             tls_certificates: [{{ certificate_chain: {{ filename: '{pem}' }}, private_key: {{ filename: '{key}' }} }}] }} }} }}, "
        )
    });
    let endpoint = |address: SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
    };
    let http = "type.googleapis.com/envoy.extensions.filters";
    let config = format!(
        "static_resources:\n  listeners:\n  - {{ address: {}, filter_chains: [{{ {socket}filters: [{{ name: http, typed_config: {{ \
         '@type': {http}.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: in, {more} \
         route_config: {{ virtual_hosts: [{{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: api }} }}] }}] }}, \
         http_filters: [{filters} {{ name: router, typed_config: {{ '@type': {http}.http.router.v3.Router, suppress_envoy_headers: true }} }}] }} }}] }}] }}\n  \
         clusters:\n  - {{ name: api, load_assignment: {{ cluster_name: api, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {} }} }}] }}] }} }}\n",
        endpoint(address),
        endpoint(api)
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("envoy.yaml"), config).unwrap();
    let mut command = Command::new(program);
    command.args(["--concurrency", "1", "--log-level", "warn", "--disable-hot-restart", "-c", "envoy.yaml"]);
    Peer::start(command, folder, address)
}

#[test]
fn envoy_in_a_bad_and_a_good_configuration() {
    let Some(program) = portcullis_dev::cache::envoy() else {
        println!(
            "SKIPPED envoy_in_a_bad_and_a_good_configuration: `envoy` is not installed; run `cargo dev setup`"
        );
        return;
    };
    let api = loud();
    let bad = envoy(&program, api.address, None, "", "");
    let answers = ask(&format!("http://{}", bad.address), None);
    let expected = ["no", "could not tell", "could not tell", "no", "no", "could not tell", "could not tell"];
    assert_eq!(answers, expected);

    let certificate = Certificate::make();
    let pem = certificate.path().display().to_string();
    let key = certificate.path().with_file_name("key.pem").display().to_string();
    let fields = |without: &str| -> String {
        let kept = SECURITY.iter().filter(|(name, _)| *name != without);
        kept.map(|(name, value)| format!("h:headers():replace('{}', \"{value}\") ", name.to_lowercase()))
            .collect()
    };
    let mask = "if tonumber(h:headers():get(':status')) >= 400 then h:body(true):setBytes('bad request') \
                h:headers():replace(':status', '400') h:headers():replace('content-type', 'text/plain') end";
    let quiet = "h:headers():remove('server')";
    let modern = "tls_minimum_protocol_version: TLSv1_2";
    let old = "tls_minimum_protocol_version: TLSv1_0, tls_maximum_protocol_version: TLSv1_2, \
               cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-SHA, \
               ECDHE-ECDSA-AES128-SHA, AES128-SHA]";
    // What differs from the good configuration, and the answers on transport, errors and headers.
    let cases = [
        ("as it should be", modern, fields(""), quiet, mask, ["yes", "yes", "yes"]),
        ("TLS 1.0", old, fields(""), quiet, mask, ["no", "yes", "yes"]),
        ("no HSTS", modern, fields("Strict-Transport-Security"), quiet, mask, ["yes", "yes", "no"]),
        ("framing", modern, fields("Content-Security-Policy"), quiet, mask, ["yes", "yes", "no"]),
        (
            "a version",
            modern,
            fields(""),
            "h:headers():replace('server', 'envoy/1.40.0')",
            mask,
            ["yes", "yes", "no"],
        ),
        ("stack traces", modern, fields(""), quiet, "", ["yes", "no", "yes"]),
    ];
    for (name, params, fields, server, mask, expected) in cases {
        let script = format!("function envoy_on_response(h) {fields} {server} {mask} end");
        let lua = format!(
            "{{ name: lua, typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, \
             default_source_code: {{ inline_string: {} }} }} }},",
            serde_json::Value::String(script)
        );
        let tls = Tls { pem: &pem, key: &key, params };
        let more = "server_header_transformation: PASS_THROUGH,";
        let server = envoy(&program, api.address, Some(&tls), &lua, more);
        let answers = ask(&format!("https://localhost:{}", server.address.port()), Some(&certificate.path()));
        assert_eq!([&*answers[0], &*answers[3], &*answers[4]], expected, "{name}: {answers:?}");
        if expected == ["yes"; 3] {
            let found = audit(server.address.port(), &certificate.path());
            assert!(found.is_empty(), "a transport as it should be: {found:?}");
        }
    }
}

#[test]
fn behind_portcullis_what_can_be_seen_is_right() {
    let api = loud();
    let certificate = Certificate::make();
    let config = format!(
        "upstream: http://{}\npolicies: [{{ public: true }}]\nlimit: {{ unmatched: off }}\n{}\n",
        api.address,
        certificate.listener()
    );
    let gateway = Options::config(config).start_as_written();
    let url = format!("https://localhost:{}", gateway.address.port());
    let answers = ask(&url, Some(&certificate.path()));
    assert_eq!(
        (answers[0].as_str(), answers[3].as_str(), answers[4].as_str()),
        ("yes", "yes", "yes"),
        "{answers:?}"
    );
    assert!(audit(gateway.address.port(), &certificate.path()).is_empty(), "a transport as it should be");
}
