//! The guards as a caller meets them: who may call, what, how often, and what comes back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::harness::client::{Client, Response};
use crate::harness::data;
use crate::harness::gateway::{Gateway, Options, keys};
use crate::harness::recorder::Recorder;

fn notes(upstream: SocketAddr, more: &str) -> Gateway {
    let contract = fs::read_to_string(data("documents/notes.yaml")).unwrap();
    Options::config(format!("upstream: http://{upstream}\ncontract: notes.yaml\n{more}"))
        .file("notes.yaml", contract)
        .start()
}

fn call(gateway: &Gateway, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Response {
    Client::connect(gateway.address).call(method, target, fields, body.as_bytes()).unwrap()
}

/// Asserts a refusal as RFC 9457 has it, and answers its code.
fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
    problem["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_key_opens_what_the_contract_closes() {
    let recorder = Recorder::start();
    let gateway = notes(recorder.address, "");
    assert_eq!(call(&gateway, "GET", "/status", &[], "").status, 200);
    refused(&call(&gateway, "GET", "/notes/1", &[], ""), 401);
    refused(&call(&gateway, "GET", "/notes/1", &[("X-API-Key", "guess")], ""), 401);
    assert_eq!(recorder.take().len(), 1, "a refused call reached the API");

    let made = keys(&gateway, &["create", "mobile"]);
    let (id, secret) = (made["credential"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let with_key = [("X-API-Key", secret)];
    assert_eq!(call(&gateway, "GET", "/notes/1", &with_key, "").status, 200);
    let seen = recorder.take().remove(0);
    assert_eq!(seen.field("x-consumer-id"), Some("mobile"));
    assert_eq!(seen.field("x-api-key"), None, "the secret was passed on");
    // Nobody names a consumer for himself.
    let spoofed = [("X-API-Key", secret), ("X-Consumer-Id", "admin")];
    let response = call(&gateway, "GET", "/notes/1", &spoofed, "");
    if response.status == 200 {
        assert_eq!(recorder.take().remove(0).field("x-consumer-id"), Some("mobile"));
    }

    // At rest there is no secret, and none in what was written down.
    let mut files = 0;
    for path in walk(&gateway.folder().join("data")) {
        let bytes = fs::read(&path).unwrap();
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "{} has it",
            path.display()
        );
        files += 1;
    }
    assert!(files > 0 && !gateway.log().contains(secret));

    keys(&gateway, &["revoke", id]);
    refused(&call(&gateway, "GET", "/notes/1", &with_key, ""), 401);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[test]
fn an_app_needs_its_id_and_its_key() {
    let recorder = Recorder::start();
    let gateway = notes(recorder.address, "");
    let made = keys(&gateway, &["create", "partner", "--app"]);
    let (id, key) = (made["app_id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let other = keys(&gateway, &["create", "rival", "--app"]);
    let other = other["app_id"].as_str().unwrap();
    assert_eq!(call(&gateway, "GET", "/partners/1", &[("X-App-Id", id), ("X-App-Key", key)], "").status, 200);
    for fields in
        [vec![("X-App-Id", id)], vec![("X-App-Key", key)], vec![("X-App-Id", other), ("X-App-Key", key)]]
    {
        refused(&call(&gateway, "GET", "/partners/1", &fields, ""), 401);
    }
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn only_what_the_contract_describes_gets_through() {
    let recorder = Recorder::start();
    let gateway = notes(recorder.address, "");
    let made = keys(&gateway, &["create", "mobile"]);
    let secret = made["secret"].as_str().unwrap();
    let post = |body: &str, kind: &str| {
        call(&gateway, "POST", "/notes", &[("X-API-Key", secret), ("Content-Type", kind)], body)
    };
    let json = "application/json";
    assert_eq!(post(r#"{"title":"a","tags":["b"]}"#, json).status, 200);
    assert_eq!(recorder.take().remove(0).body, br#"{"title":"a","tags":["b"]}"#);
    let nested = format!("{{\"title\":\"a\",\"tags\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let bad = [
        r#"{"title":""}"#,
        r#"{"title":7}"#,
        r#"{"tags":[]}"#,
        r#"{"title":"a","tags":["b","c","d","e"]}"#,
        r#"{"title":"a","admin":true}"#,
        r#"{"title":"a","id":5}"#,
        r#"{"title":"a","title":"b"}"#,
        r#"{"title":"a""#,
        r#"{"title":"a"}x"#,
        r#"[{"title":"a"}]"#,
        "null",
        "{\"title\":\"\\ud800\"}",
    ];
    for body in bad {
        let response = post(body, json);
        refused(&response, 400);
        assert!(!response.text().contains("ud800"), "it echoes what was sent");
    }
    refused(&post(&nested, json), 413);
    refused(&post("<title/>", "application/xml"), 415);
    let key = [("X-API-Key", secret)];
    refused(&call(&gateway, "GET", "/notes/0", &key, ""), 400);
    refused(&call(&gateway, "GET", "/notes/1?debug=true", &key, ""), 400);
    refused(&call(&gateway, "GET", "/hidden", &key, ""), 404);
    let method = call(&gateway, "DELETE", "/notes/1", &key, "");
    refused(&method, 405);
    assert!(method.field("allow").is_some_and(|allow| allow.contains("GET")));
    refused(&call(&gateway, "TRACE", "/notes/1", &key, ""), 405);
    assert!(recorder.take().is_empty(), "something refused reached the API");
}

#[test]
fn monitoring_lets_pass_and_counts() {
    let recorder = Recorder::start();
    let gateway = notes(recorder.address, "validate: { parameters: monitor, unknown_query: monitor }\n");
    let made = keys(&gateway, &["create", "mobile"]);
    let key = [("X-API-Key", made["secret"].as_str().unwrap())];
    assert_eq!(call(&gateway, "GET", "/notes/0?debug=true", &key, "").status, 200);
    assert_eq!(recorder.take().remove(0).target, "/notes/0?debug=true");
}

#[test]
fn a_limit_holds_and_says_when_to_come_back() {
    let recorder = Recorder::start();
    let gateway = notes(
        recorder.address,
        "policies:\n  - match: { operation: getStatus }\n    limit: { rate: 5/min, per: client }\n",
    );
    let mut client = Client::connect(gateway.address);
    let responses: Vec<Response> = (0..8).map(|_| client.get("/status").unwrap()).collect();
    let passed = responses.iter().filter(|response| response.status == 200).count();
    assert_eq!(passed, 5, "{:?}", responses.iter().map(|response| response.status).collect::<Vec<_>>());
    let last = responses.last().unwrap();
    refused(last, 429);
    let wait: u64 = last.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(recorder.take().len(), 5);
}

#[test]
fn errors_tell_strangers_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/app/db.py\", line 7, in q\n\
        psycopg2.errors.SyntaxError: syntax error at or near \"'\"\nLINE 1: SELECT * FROM users WHERE id = '1''\n";
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 500 Internal Server Error\r\nServer: gunicorn/19.9.0\r\nX-Powered-By: Flask\r\n\
                     Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{TRACE}",
                    TRACE.len()
                );
            });
        }
    });
    let gateway = notes(address, "");
    let response = call(&gateway, "GET", "/status", &[], "");
    assert_eq!(response.status, 500);
    let shown = format!("{:?} {}", response.fields, response.text());
    for secret in ["Traceback", "psycopg2", "/srv/app", "SELECT", "gunicorn", "Flask"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
}

#[test]
fn a_large_body_is_refused_and_not_skipped() {
    let recorder = Recorder::start();
    let gateway = notes(recorder.address, "bounds: { request_body: 10240 }\n");
    let made = keys(&gateway, &["create", "mobile"]);
    let fields = [("X-API-Key", made["secret"].as_str().unwrap()), ("Content-Type", "application/json")];
    let large = format!("{{\"title\":\"{}\"}}", "a".repeat(20_000));
    refused(&call(&gateway, "POST", "/notes", &fields, &large), 413);
    // Without a length, as well; refused while it comes.
    let mut client = Client::connect(gateway.address);
    let mut head = String::from("POST /notes HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(format!("{head}\r\n").as_bytes());
    let start = Instant::now();
    for _ in 0..40 {
        client.send(format!("400\r\n{}\r\n", "a".repeat(1024)).as_bytes());
    }
    refused(&client.read_response(false).unwrap().unwrap(), 413);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(recorder.take().is_empty());
}
