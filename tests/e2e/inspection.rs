//! Inspection through the built gateway: files and a real ICAP server, crawlers and scanners, and what it learns.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{self, Gateway, Options};
use crate::harness::needs;
use crate::harness::peers::{free_address, icap};
use crate::harness::recorder::Recorder;

/// The code of a refusal; empty where there was none.
fn code(response: &Response) -> String {
    let problem: Option<Value> = serde_json::from_slice(&response.body).ok();
    problem.and_then(|problem| problem["code"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn upload(gateway: &Gateway, name: &str, content: &[u8]) -> Response {
    let mut body = format!("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n")
        .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let fields = [("Content-Type", "multipart/form-data; boundary=b")];
    Client::connect(gateway.address).call("POST", "/files", &fields, &body).unwrap()
}

/// Archives as a tool of everyday makes them: one that is fine, one that leaves its folder, a bomb, an encrypted one.
fn archives(folder: &std::path::Path) -> Option<[Vec<u8>; 3]> {
    let python = needs("inspection::files_are_looked_into", "python3")?;
    let script = "import zipfile\n\
        z = zipfile.ZipFile('fine.zip', 'w', zipfile.ZIP_DEFLATED); z.writestr('a/b.txt', 'hello'); z.close()\n\
        z = zipfile.ZipFile('leaves.zip', 'w'); z.writestr('../../etc/cron.d/x', 'hello'); z.close()\n\
        z = zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED); z.writestr('zeros', bytes(1 << 25)); z.close()\n";
    let made = Command::new(python).args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(made.success());
    Some(["fine", "leaves", "bomb"].map(|name| fs::read(folder.join(format!("{name}.zip"))).unwrap()))
}

#[test]
fn files_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let Some([fine, leaves, bomb]) = archives(folder.path()) else { return };
    let upstream = Recorder::start();
    let gateway = Options::open(upstream.address, "").start();
    assert_eq!(upload(&gateway, "fine.zip", &fine).status, 200);
    for (name, content) in [("leaves.zip", &leaves), ("bomb.zip", &bomb)] {
        assert_eq!(code(&upload(&gateway, name, content)), "inspect-upload", "{name}");
    }
    assert_eq!(upstream.take().len(), 1, "nothing of the others came through");
}

#[test]
fn a_scanner_is_asked_and_must_answer() {
    let Some(program) = needs("inspection::a_scanner_is_asked_and_must_answer", "c-icap") else { return };
    let Some(scanner) = icap(&program) else {
        println!(
            "SKIPPED inspection::a_scanner_is_asked_and_must_answer: c-icap's content filter is not installed; run `cargo dev setup`"
        );
        return;
    };
    let upstream = Recorder::start();
    let asking = |address: SocketAddr| {
        let more = format!("inspect: {{ icap: {{ url: \"icap://{address}/scan\", timeout: 5s }} }}\n");
        Options::open(upstream.address, &more).start()
    };
    let gateway = asking(scanner.address);
    assert_eq!(upload(&gateway, "a.txt", b"an ordinary file").status, 200);
    let large = vec![b'x'; 300_000];
    assert_eq!(upload(&gateway, "large.txt", &large).status, 200);
    let found = upload(&gateway, "b.txt", b"a file with the EVIL-MARKER in it");
    assert_eq!((found.status, &*code(&found)), (403, "inspect-upload"));
    assert_eq!(upstream.take().len(), 2);
    drop(gateway);
    // Nobody there: nobody has looked.
    let gateway = asking(free_address());
    let unasked = upload(&gateway, "a.txt", b"an ordinary file");
    assert_eq!((unasked.status, &*code(&unasked)), (503, "lookup-failed"));
    assert!(upstream.take().is_empty());
}

#[test]
fn crawlers_are_told_from_impostors() {
    let upstream = Recorder::start();
    // The one address whose name any machine knows without asking outside.
    let more = "bots: { crawlers: enforce, also: { AcmeBot: [localhost] } }\n";
    let gateway = Options::open(upstream.address, more).start();
    let call = |agent: &str| {
        Client::connect(gateway.address).call("GET", "/", &[("User-Agent", agent)], b"").unwrap()
    };
    assert_eq!(call("Mozilla/5.0").status, 200);
    assert_eq!(call("AcmeBot/1.0").status, 200);
    let google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    assert_eq!(code(&call(google)), "bot-impostor");
}

#[test]
fn scanners_are_shut_out() {
    let upstream = Recorder::start();
    let more = "bots: { scanners: { refusals: 10, within: 1m, block: 10m } }\n";
    let gateway = Options::open(upstream.address, more).start();
    let call = |path: &str| Client::connect(gateway.address).get(path).unwrap();
    for round in 0..40 {
        assert_eq!(code(&call("/search?q=1%27%20or%20%271%27%3D%271")), "inspect-sql", "{round}");
    }
    assert_eq!(call("/").status, 200);
    for number in 0..10 {
        assert_eq!(code(&call(&format!("/{number}?q=%3Cscript%3Ealert(1)%3C/script%3E"))), "inspect-xss");
    }
    let shut = call("/");
    assert_eq!((shut.status, &*code(&shut)), (429, "bot-scanner"));
}

const FORUM: &str = r#"{"openapi": "3.1.0", "info": {"title": "Forum", "version": "1"}, "paths": {"/posts": {"post": {
    "operationId": "addPost", "security": [], "responses": {"200": {"description": "ok"}},
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}}}}"#;

fn learn(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = Command::new(gateway::binary())
        .arg("learn")
        .args(arguments)
        .current_dir(gateway.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_learnt_can_be_taken_over() {
    let upstream = Recorder::start();
    let config =
        |more: &str| format!("upstream: http://{}\nlimit: {{ baseline: off }}\n{more}", upstream.address);
    let gateway = Options::config(config("inspect: monitor\n")).spec(FORUM).start();
    let post = |gateway: &Gateway, html: &str| {
        let body = json!({ "title": "A title", "html": html }).to_string();
        let fields = [("Content-Type", "application/json")];
        Client::connect(gateway.address).call("POST", "/posts", &fields, body.as_bytes()).unwrap()
    };
    let markup = "<p>Hi</p><script>greet()</script>";
    for _ in 0..4 {
        assert_eq!(post(&gateway, markup).status, 200);
    }
    // From the event log: one client is too few by itself.
    assert_eq!(learn(&gateway, &["data/events"]), "");
    let proposed = learn(&gateway, &["data/events", "--clients", "1"]);
    assert!(
        proposed.contains("operation: \"addPost\"") && proposed.contains("field: \"/html\""),
        "{proposed}"
    );
    // From a HAR file: by what the values are.
    let entry = |html: &str| {
        json!({ "startedDateTime": "2026-01-01T00:00:00.000Z", "time": 1, "cache": {}, "timings": { "send": 0, "wait": 1, "receive": 0 },
            "request": { "method": "POST", "url": "http://forum.example/posts", "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": [{ "name": "Host", "value": "forum.example" }, { "name": "Content-Type", "value": "application/json" }],
                "queryString": [], "headersSize": -1, "bodySize": -1,
                "postData": { "mimeType": "application/json", "text": json!({ "html": html, "title": "Select a plan" }).to_string() } },
            "response": { "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
                "content": { "size": 0, "mimeType": "" }, "redirectURL": "", "headersSize": -1, "bodySize": 0 } })
    };
    let entries: Vec<Value> = [markup, markup, "plain", markup].map(entry).into();
    let har = json!({ "log": { "version": "1.2", "creator": { "name": "t", "version": "1" }, "entries": entries } });
    fs::write(gateway.folder().join("forum.har"), har.to_string()).unwrap();
    let proposed = learn(&gateway, &["forum.har", "--spec", "openapi.json"]);
    assert!(proposed.contains("3 of 4 recorded values") && proposed.contains("classes: [xss]"), "{proposed}");
    assert!(!proposed.contains("title"), "{proposed}");
    drop(gateway);
    // A person takes it over.
    let strict = Options::config(config("")).spec(FORUM).start();
    assert_eq!(code(&post(&strict, markup)), "inspect-xss");
    drop(strict);
    let lenient = Options::config(config(&proposed)).spec(FORUM).start();
    assert_eq!(post(&lenient, markup).status, 200);
    assert_eq!(code(&post(&lenient, "x' or 1=1 --")), "inspect-sql");
}
