//! Whose object is it: two users before the demo shop, whose own checks are gone, and every way of telling them apart.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use portcullis_dev::cache;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{self, Gateway, Options, keys};
use crate::harness::peers::{Peer, shop};
use crate::harness::point::{Mood, Point};
use crate::harness::recorder::Recorder;
use crate::harness::tap::Tap;
use crate::harness::{PATIENCE, data};

/// The shop's own token for a user.
fn login(shop: SocketAddr, user: &str, password: &str) -> String {
    let body = json!({ "username": user, "password": password }).to_string();
    let fields = [("Content-Type", "application/json")];
    let answer = Client::connect(shop).call("POST", "/v2/login", &fields, body.as_bytes()).unwrap();
    json_of(&answer)["token"].as_str().unwrap().to_owned()
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|_| panic!("{}: {}", response.status, response.text()))
}

#[derive(Deserialize)]
struct Matrix {
    objects: serde_json::Map<String, Value>,
    others: serde_json::Map<String, Value>,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    operation: String,
    object: String,
    method: String,
    path: String,
    body: Option<Value>,
    #[serde(default)]
    picture: bool,
    by: Vec<String>,
}

/// A user: the key of their application, and their token at the shop.
struct User {
    key: String,
    token: String,
}

/// The gateway with one mechanism, the shop behind it, and the two users.
struct Scene {
    matrix: Matrix,
    gateway: Gateway,
    tap: Tap,
    alice: User,
    bob: User,
    _shop: Peer,
}

/// What only alice may see.
const HERS: [&str; 6] = ["Alder", "Not before ten", "alice@", "Mrs Elm", "4111", "PNG"];
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\nalice";

impl Scene {
    fn start(mechanism: &'static str, point: Option<&Point>) -> Scene {
        let read = |name: &str| fs::read_to_string(data("vectors/objects").join(name)).unwrap();
        let shop = shop(false);
        let tap = Tap::start(shop.address);
        let url = point.map_or_else(String::new, |point| format!("http://{}", point.address));
        let policy = read(&format!("{mechanism}.yaml")).replace("${POINT}", &url);
        let config = format!(
            "upstream: http://{}\ncontract: openapi.yaml\nlimit: {{ baseline: off }}\ndeprecated: off\n{policy}",
            tap.address
        );
        let gateway = Options::config(config)
            .file("openapi.yaml", fs::read_to_string(cache::workspace().join("demo/openapi.yaml")).unwrap())
            .start();
        let user = |id: &str, name: &str, password: &str| User {
            key: keys(&gateway, &["create", id])["secret"].as_str().unwrap().to_owned(),
            token: login(shop.address, name, password),
        };
        let (alice, bob) = (user("1", "alice", "alder-Lane-12"), user("2", "bob", "birch-Road-7"));
        let matrix = serde_json::from_str(&read("calls.json")).unwrap();
        Scene { matrix, gateway, tap, alice, bob, _shop: shop }
    }

    fn call(&self, user: &User, method: &str, path: &str, call: Option<&Call>) -> Response {
        let body = match call {
            Some(call) if call.picture => PICTURE.to_vec(),
            Some(Call { body: Some(body), .. }) => body.to_string().into_bytes(),
            _ => Vec::new(),
        };
        let bearer = format!("Bearer {}", user.token);
        let mut fields = vec![("X-Api-Key", user.key.as_str()), ("Authorization", &bearer)];
        match call {
            Some(call) if call.picture => fields.push(("Content-Type", "image/png")),
            Some(Call { body: Some(_), .. }) => fields.push(("Content-Type", "application/json")),
            _ => {}
        }
        Client::connect(self.gateway.address).call(method, path, &fields, &body).unwrap()
    }

    /// A user's objects, as the lists of the gateway write their ids: user, newest order, payment.
    fn listed(&self, user: &User) -> Value {
        let orders = json_of(&self.call(user, "GET", "/v2/orders", None));
        let payments = json_of(&self.call(user, "GET", "/v2/payments", None));
        let last = orders["items"].as_array().and_then(|orders| orders.last()).cloned().unwrap();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!({ "user": text(&last["userId"]), "order": text(&last["id"]), "payment": text(&payments["items"][0]["id"]) })
    }

    /// `call` on an object whose id is written as in `ids`.
    fn path(call: &Call, ids: &Value) -> String {
        call.path.replace(&format!("{{{}}}", call.object), ids[&call.object].as_str().unwrap())
    }
}

/// For every operation and object: bob gets nothing of alice's, what he writes does not arrive, and she goes on.
fn matrix(mechanism: &'static str, point: Option<&Point>) {
    let scene = Scene::start(mechanism, point);
    let plain = Value::Object(scene.matrix.objects.clone());
    let his = Value::Object(scene.matrix.others.clone());
    let (hers, his_listed) = (scene.listed(&scene.alice), scene.listed(&scene.bob));
    if mechanism == "seal" {
        assert!(
            hers.to_string().matches("pci_").count() == 3 && !hers.to_string().contains("1004"),
            "{hers}"
        );
    } else {
        assert_eq!((&hers["order"], &his_listed["order"]), (&plain["order"], &his["order"]));
    }
    let calls: Vec<&Call> =
        scene.matrix.calls.iter().filter(|call| call.by.iter().any(|by| by == mechanism)).collect();
    assert!(calls.len() >= 5, "{mechanism} has {} calls", calls.len());
    // Her picture is there before he looks for it.
    let upload = calls.iter().find(|call| call.picture);
    for call in upload.into_iter().chain(&calls) {
        let what = format!("{mechanism}, {}", call.operation);
        let forms: &[&Value] = if mechanism == "seal" { &[&hers, &plain] } else { &[&hers] };
        for ids in forms {
            let target = Scene::path(call, ids);
            let methods: &[&str] = if call.method == "GET" { &["GET", "HEAD"] } else { &[&call.method] };
            for method in methods {
                scene.tap.take();
                let response = scene.call(&scene.bob, method, &target, Some(*call));
                let text = response.text();
                assert!(HERS.iter().all(|part| !text.contains(part)), "{what}, {method}: {text}");
                let arrived = scene.tap.take();
                let reads = mechanism == "owner"
                    && arrived.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD "));
                assert!(reads || arrived.is_empty(), "{what}, {method}: {arrived:?}");
                if *method == "HEAD" {
                    assert!(response.body.is_empty(), "{what}");
                } else {
                    assert!(
                        matches!(response.status, 403 | 404),
                        "{what}, {method}: {} {text}",
                        response.status
                    );
                    assert_eq!(response.field("content-type"), Some("application/problem+json"), "{what}");
                }
            }
        }
        let target = Scene::path(call, &hers);
        let response = scene.call(&scene.alice, &call.method, &target, Some(*call));
        assert!(
            (200..300).contains(&response.status),
            "{what}, her own: {} {}",
            response.status,
            response.text()
        );
        assert!(!scene.tap.take().is_empty(), "{what}");
    }
    // He has what is his.
    for call in
        calls.iter().filter(|call| call.method == "GET" && matches!(&*call.operation, "getUser" | "getOrder"))
    {
        let response = scene.call(&scene.bob, "GET", &Scene::path(call, &his_listed), None);
        assert_eq!(response.status, 200, "{mechanism}, {}: {}", call.operation, response.text());
    }
}

#[test]
fn bound_parameters_keep_two_users_apart() {
    matrix("bind", None);
}

#[test]
fn owners_in_answers_keep_two_users_apart() {
    matrix("owner", None);
}

#[test]
fn ids_that_were_shown_keep_two_users_apart() {
    matrix("provenance", None);
}

#[test]
fn sealed_ids_keep_two_users_apart() {
    matrix("seal", None);
}

#[test]
fn a_decision_point_keeps_two_users_apart() {
    let point = Point::start();
    for (user, object) in [
        ("1", "user:1"),
        ("1", "order:1001"),
        ("1", "order:1004"),
        ("1", "payment:5001"),
        ("2", "user:2"),
        ("2", "order:1002"),
    ] {
        point.allow(&format!("user:{user}"), "owner", object);
    }
    matrix("decide", Some(&point));
    assert!(point.take().iter().all(|(path, _)| path == "/access/v1/evaluation"));
}

const DOCUMENTS: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Documents", "version": "1"},
  "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
  "security": [{"key": []}],
  "paths": {"/documents/{id}": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
    "get": {"operationId": "read", "responses": {"200": {"description": "ok"}}},
    "post": {"operationId": "merge", "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
      "responses": {"200": {"description": "ok"}}}
  }}
}"#;

/// A gateway that asks `point` in OpenFGA's way, and a key of ann's.
fn documents(upstream: &Recorder, point: &Point) -> (Gateway, String) {
    let config = format!(
        "upstream: http://{}\nlimit: {{ baseline: off }}\n\
         decide: {{ url: 'http://{}', protocol: openfga, store: 01STORE, timeout: 500ms, cache: 1s }}\n\
         policies:\n  - match: {{ operation: read }}\n    decide: {{ relation: viewer, object: 'doc:{{path.id}}' }}\n  \
         - match: {{ operation: merge }}\n    decide: {{ relation: editor, object: ['doc:{{path.id}}', 'doc:{{body./from/*}}'] }}\n",
        upstream.address, point.address
    );
    let gateway = Options::config(config).spec(DOCUMENTS).start();
    let key = keys(&gateway, &["create", "ann"])["secret"].as_str().unwrap().to_owned();
    (gateway, key)
}

#[test]
fn a_decision_point_that_fails_lets_nobody_in() {
    let (upstream, point) = (Recorder::start(), Point::start());
    point.allow("user:ann", "viewer", "doc:1");
    let (gateway, key) = documents(&upstream, &point);
    let get = |id: &str| {
        Client::connect(gateway.address)
            .call("GET", &format!("/documents/{id}"), &[("X-Api-Key", &key)], b"")
            .unwrap()
            .status
    };
    for mood in [Mood::Failing, Mood::Babbling, Mood::Slow(Duration::from_secs(3))] {
        point.be(mood);
        assert_eq!(get("1"), 503, "{mood:?}");
    }
    assert!(upstream.take().is_empty());
    point.be(Mood::Well);
    assert_eq!((get("1"), get("2")), (200, 404));
    // A right that was withdrawn ends with the cache.
    point.withdraw("user:ann", "viewer", "doc:1");
    let deadline = Instant::now() + PATIENCE;
    while get("1") != 404 {
        assert!(Instant::now() < deadline, "a withdrawn right still works");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn several_objects_are_one_question() {
    let (upstream, point) = (Recorder::start(), Point::start());
    for id in ["1", "2", "3"] {
        point.allow("user:ann", "editor", &format!("doc:{id}"));
    }
    let (gateway, key) = documents(&upstream, &point);
    let merge = |body: &str| {
        let fields = [("X-Api-Key", key.as_str()), ("Content-Type", "application/json")];
        Client::connect(gateway.address)
            .call("POST", "/documents/1", &fields, body.as_bytes())
            .unwrap()
            .status
    };
    assert_eq!(merge(r#"{"from":["2","3"]}"#), 200);
    let asked = point.take();
    assert_eq!((asked.len(), asked[0].0.as_str()), (1, "/stores/01STORE/batch-check"));
    assert_eq!(upstream.take().len(), 1);
    assert_eq!(merge(r#"{"from":["2","4"]}"#), 404);
    assert_eq!(merge("{}"), 404);
    assert!(upstream.take().is_empty());
}

const CARDS: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Cards", "version": "1"},
  "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
  "security": [{"key": []}],
  "paths": {"/cards": {
    "get": {"operationId": "find", "parameters": [{"name": "cardNumber", "in": "query", "schema": {"type": "string"}}],
      "responses": {"200": {"description": "ok"}}},
    "post": {"operationId": "add", "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
      "responses": {"200": {"description": "ok"}}}
  }}
}"#;

#[test]
fn keys_for_data_come_from_outside_and_turn() {
    let upstream = Recorder::start();
    let ring = |keys: &str| {
        format!(
            "upstream: http://{}\nlimit: {{ baseline: off }}\ninspect: off\ndata_keys: {{ cards: {{ keys: [{keys}] }} }}\n\
             encrypt: {{ keys: cards, fields: {{ cardNumber: {{ lookup: true }}, pin: {{}} }} }}\n",
            upstream.address
        )
    };
    let hex = |byte: &str| byte.repeat(32);
    let gateway = Options::config(ring("{ file: one.key }")).spec(CARDS).file("one.key", hex("0a")).start();
    let key = keys(&gateway, &["create", "till"])["secret"].as_str().unwrap().to_owned();
    let post = || {
        let fields = [("X-Api-Key", key.as_str()), ("Content-Type", "application/json")];
        let body = br#"{"cardNumber":"4111111111111111","pin":"1234"}"#;
        assert_eq!(
            Client::connect(gateway.address).call("POST", "/cards", &fields, body).unwrap().status,
            200
        );
        let sent = upstream.take().remove(0).body;
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        (sent["cardNumber"].as_str().unwrap().to_owned(), sent["pin"].as_str().unwrap().to_owned())
    };
    let (first, again) = (post(), post());
    assert!(first.0.starts_with("pce_") && first.1.starts_with("pce_"));
    assert_eq!(first.0, again.0);
    assert_ne!(first.1, again.1, "what is not looked for is never alike");
    let find = "/cards?cardNumber=4111111111111111";
    assert_eq!(
        Client::connect(gateway.address).call("GET", find, &[("X-Api-Key", &key)], b"").unwrap().status,
        200
    );
    assert_eq!(upstream.take().remove(0).target, format!("/cards?cardNumber={}", first.0));
    assert!(!gateway.log().contains("4111") && !gateway.log().contains(&hex("0a")));

    // A new key from a command; look-ups stay with the old one. The ring turns without a restart.
    let turned = ring(&format!("{{ command: [echo, '{}'] }}, {{ file: one.key, lookup: true }}", hex("0b")));
    fs::write(gateway.folder().join("portcullis.yaml"), turned).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = post();
        assert_eq!(now.0, first.0, "the look-up key stays");
        // The name of the key stands first in the text.
        if now.1[4..8] != first.1[4..8] {
            break;
        }
        assert!(Instant::now() < deadline, "the ring did not turn");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_key_in_the_configuration_is_an_error_that_does_not_repeat_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "0c".repeat(32);
    let config = folder.path().join("portcullis.yaml");
    for keys in
        [format!("['{secret}']"), format!("[{{ key: '{secret}' }}]"), "[{ env: PORTCULLIS_NO_SUCH }]".into()]
    {
        let text = format!(
            "upstream: http://127.0.0.1:9\ncontract: openapi.json\ndata_keys: {{ cards: {{ keys: {keys} }} }}\n"
        );
        fs::write(&config, text).unwrap();
        fs::write(folder.path().join("openapi.json"), CARDS).unwrap();
        let output = Command::new(gateway::binary())
            .args(["config", "check", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("data_keys") || said.contains("portcullis.yaml:3"), "{said}");
        assert!(said.contains("env") && !said.contains(&secret), "{said}");
    }
}
