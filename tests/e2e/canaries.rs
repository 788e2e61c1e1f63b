//! Secrets do not come out: a canary in every kind of credential, looked for in everything that the gateway writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, Options, binary, keys};
use crate::harness::peers::nginx;
use crate::harness::provider::Provider;
use crate::harness::{base64url, needs};

const CONTRACT: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Orders", "version": "1"},
  "components": {"securitySchemes": {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "inQuery": {"type": "apiKey", "in": "query", "name": "api_key"},
    "app": {"type": "apiKey", "in": "header", "name": "App-Id"},
    "appKey": {"type": "apiKey", "in": "header", "name": "App-Key"},
    "login": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://login.example/token", "scopes": {}}}}}},
  "paths": {
    "/key": {"get": {"security": [{"key": []}], "responses": {"200": {"description": "ok"}}}},
    "/query": {"get": {"security": [{"inQuery": []}], "responses": {"200": {"description": "ok"}}}},
    "/app": {"get": {"security": [{"app": [], "appKey": []}], "responses": {"200": {"description": "ok"}}}},
    "/token": {"get": {"security": [{"login": []}], "responses": {"200": {"description": "ok"}}}},
    "/leak": {"get": {"security": [], "responses": {"200": {"description": "ok"}}}},
    "/login": {"post": {"security": [], "requestBody": {"content": {"application/json": {"schema": {
      "type": "object", "additionalProperties": false, "properties": {"user": {"type": "string", "maxLength": 5}, "password": {"type": "string"}}}}}},
      "responses": {"200": {"description": "ok"}}}}
  }
}"#;

/// What was planted, and the calls that carried it.
struct Planted<'g> {
    gateway: &'g Gateway,
    secrets: Vec<(String, String)>,
    refusals: Vec<String>,
}

impl Planted<'_> {
    fn plant(&mut self, what: &str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{what}: `{secret}` could stand somewhere by chance");
        self.secrets.push((what.to_owned(), secret.clone()));
        secret
    }

    fn call(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> u16 {
        let host = self.gateway.address.to_string();
        let fields = [&[("Host", host.as_str())], fields].concat();
        let answer = Client::connect(self.gateway.address).call(method, target, &fields, body).unwrap();
        // What the API answers is the API's; what the gateway says is looked through.
        if answer.status != 200 {
            let fields = format!("{answer:?}");
            self.refusals.push(fields + &answer.text());
        }
        answer.status
    }

    /// Every secret that stands in `bytes`, in the clear or in a spelling of it.
    fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        // Segments are allocated ahead: what was not written yet is zeros.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(bytes.get(..written).unwrap_or_default());
        let spellings = |secret: &str| {
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            // Base64 of any three ways in which the secret can lie in what was encoded.
            let inner = (0..3).flat_map(|lead| {
                let text = base64url(&[&vec![b' '; lead][..], secret.as_bytes()].concat());
                let text = text.get(4..text.len() - 4).unwrap_or_default().to_owned();
                [text.replace('-', "+").replace('_', "/"), text]
            });
            [secret.to_owned(), hex].into_iter().chain(inner).collect::<Vec<_>>()
        };
        let stands = |secret: &str| {
            spellings(secret).iter().any(|spelling| spelling.len() >= 8 && text.contains(spelling))
        };
        self.secrets.iter().filter(|(_, secret)| stands(secret)).map(|(what, _)| what.as_str()).collect()
    }
}

#[test]
fn no_secret_comes_out() {
    const NAME: &str = "no_secret_comes_out";
    let (Some(program), Some(provider)) = (needs(NAME, "nginx"), Provider::start(NAME)) else { return };
    // An API whose errors repeat what they were sent.
    let api = nginx(
        &program,
        "location = /leak { default_type text/plain; return 500 'Traceback (most recent call last): Authorization=$http_authorization Cookie=$http_cookie key=$http_x_api_key args=$args'; }\n\
         location / { default_type text/plain; return 200 'fine'; }",
    );
    let client_secret = "canary-introspection-4d1f";
    let webhook_secret = format!("whsec_{}", base64url(b"canary-webhook-secret-7c2e90aa31f"));
    let issuers = provider
        .section(&format!(", introspection: {{ client_id: gateway, client_secret: {client_secret} }}"));
    let config = format!(
        "upstream: http://{}\nlimit: {{ baseline: off }}\nlog: {{ access: json }}\n{issuers}\
         alerts: {{ webhook: {{ url: \"http://127.0.0.1:9/hook\", secret: \"{webhook_secret}\" }}, spike: {{ at_least: 5 }} }}\n\
         authenticate: {{ schemes: {{ app: app_id, appKey: app_key }} }}\n",
        api.address
    );
    let gateway = Options::config(config).spec(CONTRACT).start();
    let mut planted = Planted { gateway: &gateway, secrets: Vec::new(), refusals: Vec::new() };
    planted.plant("the client secret of introspection", client_secret);
    planted.plant("the secret of the webhook", webhook_secret);

    // Good credentials, then the same with a character more.
    let made = keys(&gateway, &["create", "shop"]);
    let key = planted.plant("an API key", made["secret"].as_str().unwrap());
    let made = keys(&gateway, &["create", "--app", "tills"]);
    let (app, app_key) = (made["app_id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap());
    let app_key = planted.plant("an App Key", app_key);
    let token = provider.token("alice", &[]);
    let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
    planted.plant("the signature of a token", signature);
    planted.plant("the claims of a token", payload);
    let opaque = provider.token("alice", &[("format", "opaque")]);
    planted.plant("an opaque token", opaque.clone());
    for wrong in ["", "x"] {
        let good = wrong.is_empty();
        let expected = if good { 200 } else { 401 };
        let with = |secret: &str| format!("{secret}{wrong}");
        assert_eq!(planted.call("GET", "/key", &[("X-API-Key", &with(&key))], b""), expected);
        assert_eq!(planted.call("GET", &format!("/query?api_key={}", with(&key)), &[], b""), expected);
        let app_key = with(&app_key);
        assert_eq!(planted.call("GET", "/app", &[("App-Id", &app), ("App-Key", &app_key)], b""), expected);
        let bearer = format!("Bearer {}", with(&token));
        assert_eq!(planted.call("GET", "/token", &[("Authorization", &bearer)], b""), expected);
    }
    let bearer = format!("Bearer {opaque}");
    assert_ne!(planted.call("GET", "/token", &[("Authorization", &bearer)], b""), 200);

    // Secrets that are none of the gateway's, wherever clients put them.
    let password = planted.plant("a password", "canary-password-1b9d");
    let cookie = planted.plant("a session cookie", "canary-cookie-52fa");
    let basic = planted.plant("a basic credential", base64url(b"canary:canary-basic-90cef"));
    let argument = planted.plant("a secret in the query", "canary-argument-77aa");
    let custom = planted.plant("an API's own key", "canary-custom-0d11");
    let basic = format!("Basic {basic}");
    let fields = [
        ("Authorization", basic.as_str()),
        ("Cookie", &format!("sid={cookie}")),
        ("X-API-Key", custom.as_str()),
    ];
    for target in ["/leak", "/nowhere", "/key", "/leak/..;/x"] {
        for name in ["token", "password", "access_token", "client_secret", "API%5FKEY", "x[secret]"] {
            planted.call("GET", &format!("{target}?{name}={argument}"), &fields, b"");
        }
    }
    let kind = ("Content-Type", "application/json");
    for body in [
        json!({ "user": "far too long", "password": password }).to_string(),
        json!({ "password": password, "undescribed": password }).to_string(),
        json!({ "password": [password] }).to_string(),
        format!("{{\"password\": \"{password}\", \"password\": \"{password}\"}}"),
        format!("{{\"password\": \"{password}"),
    ] {
        planted.call("POST", "/login", &[kind], body.as_bytes());
    }
    let host = gateway.address.to_string();
    for raw in [
        format!("GET /key HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\nX-API-Key: {key}\r\n\r\n"),
        format!("GET /key HTTP/1.1\r\nHost: {host}\r\nX-API-Key : {key}\r\n\r\n"),
        format!("GET /query?api_key={key} HTTP/1.1\r\nHost: {host}\r\nContent-Length: x\r\n\r\n"),
        format!("GET /query?api_key={key}#{argument} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        let mut client = Client::connect(gateway.address);
        client.send(raw.as_bytes());
        if let Ok(Some(refused)) = client.read_response(false) {
            planted.refusals.push(refused.text());
        }
    }

    let said = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).current_dir(gateway.folder()).output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    let admin = |path: &str| {
        let host = gateway.admin.to_string();
        Client::connect(gateway.admin).call("GET", path, &[("Host", host.as_str())], b"").unwrap().body
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut outputs: Vec<(String, Vec<u8>)> = vec![
        ("refusals".into(), planted.refusals.join("\n").into_bytes()),
        ("the log".into(), gateway.log().into_bytes()),
        ("portcullis log".into(), said(&["log", "--json", "--data", "data"])),
        ("portcullis log, for people".into(), said(&["log", "--data", "data"])),
        ("portcullis keys list".into(), said(&["keys", "list", "--data", "data"])),
        ("portcullis config show".into(), said(&["config", "show", "--config", "portcullis.yaml"])),
        ("portcullis config check".into(), said(&["config", "check", "--config", "portcullis.yaml"])),
        ("metrics".into(), admin("/metrics")),
        ("incidents".into(), admin("/incidents")),
        ("health".into(), admin("/healthz")),
    ];
    files(&gateway.folder().join("data"), &mut outputs);
    assert!(outputs.iter().any(|(name, bytes)| name.ends_with(".events") && bytes.len() > 4096));
    let leaks: Vec<String> = outputs
        .iter()
        .flat_map(|(name, bytes)| {
            planted.found_in(bytes).into_iter().map(move |what| format!("{what} stands in {name}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// All files under `folder`, with their contents.
fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), into),
            false => {
                into.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap_or_default()));
            }
        }
    }
}
