//! Whose object is it: two users before the demo shop, whose own checks are gone, and every way of telling them apart.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use portcullis_dev::cache;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::fga::Fga;
use crate::harness::gateway::{self, Gateway, Options, keys};
use crate::harness::peers::{Peer, shop};
use crate::harness::point::{Mood, Point};
use crate::harness::recorder::Recorder;
use crate::harness::tap::Tap;
use crate::harness::{PATIENCE, data, needs};

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
    /// `point`: where the decision point is, as members of the guard's settings.
    fn start(mechanism: &'static str, point: &str) -> Scene {
        let read = |name: &str| fs::read_to_string(data("vectors/objects").join(name)).unwrap();
        let shop = shop(false);
        let tap = Tap::start(shop.address);
        let policy = read(&format!("{mechanism}.yaml")).replace("${POINT}", point);
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
fn matrix(mechanism: &'static str, point: &str) {
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
                // The reference is random, and its digits may be anything.
                let text = response.text();
                let text = text.split(r#""reference":"#).next().unwrap();
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
    matrix("bind", "");
}

#[test]
fn owners_in_answers_keep_two_users_apart() {
    matrix("owner", "");
}

#[test]
fn ids_that_were_shown_keep_two_users_apart() {
    matrix("provenance", "");
}

#[test]
fn sealed_ids_keep_two_users_apart() {
    matrix("seal", "");
}

/// Who owns what in the demo shop.
const OWNERS: [&str; 6] = [
    "user:1 owner user:1",
    "user:1 owner order:1001",
    "user:1 owner order:1004",
    "user:1 owner payment:5001",
    "user:2 owner user:2",
    "user:2 owner order:1002",
];

#[test]
fn a_decision_point_keeps_two_users_apart() {
    let point = Point::start();
    point.allow(&OWNERS);
    matrix("decide", &format!("url: 'http://{}'", point.address));
    assert!(point.take().iter().all(|(path, _)| path == "/access/v1/evaluation"));
}

/// The settings that name a store of OpenFGA.
fn at(fga: &Fga) -> String {
    format!("url: 'http://{}', protocol: openfga, store: {}", fga.peer.address, fga.store)
}

/// A type of OpenFGA's model with `relations`, each with the types that may stand in it.
fn typed(name: &str, relations: &Value) -> Value {
    let relations = relations.as_object().unwrap();
    let own: Value = relations.keys().map(|name| (name.clone(), json!({ "this": {} }))).collect();
    let may: Value = relations
        .iter()
        .map(|(name, types)| (name.clone(), json!({ "directly_related_user_types": types })))
        .collect();
    json!({ "type": name, "relations": own, "metadata": { "relations": may } })
}

#[test]
fn openfga_keeps_two_users_apart() {
    let Some(program) = needs("openfga_keeps_two_users_apart", "openfga") else { return };
    let owner = json!({ "owner": [{ "type": "user" }] });
    let types: Vec<Value> = ["user", "order", "payment"].iter().map(|name| typed(name, &owner)).collect();
    let fga = Fga::start(&program, &json!({ "schema_version": "1.1", "type_definitions": types }));
    fga.allow(&OWNERS);
    matrix("decide", &at(&fga));
}

#[test]
fn openfga_decides_by_groups_and_conditions_about_several_objects_at_once() {
    let Some(program) =
        needs("openfga_decides_by_groups_and_conditions_about_several_objects_at_once", "openfga")
    else {
        return;
    };
    let doc = json!({
        "editor": [{ "type": "user" }],
        "viewer": [{ "type": "group", "relation": "member" }, { "type": "user", "condition": "at_desk" }]
    });
    let desk = json!({ "desk": { "type_name": "TYPE_NAME_STRING" } });
    let fga = Fga::start(
        &program,
        &json!({
            "schema_version": "1.1",
            "type_definitions": [
                { "type": "user" },
                typed("group", &json!({ "member": [{ "type": "user" }] })),
                typed("doc", &doc)
            ],
            "conditions": {
                "at_desk": { "name": "at_desk", "expression": "desk == \"north\"", "parameters": desk }
            }
        }),
    );
    fga.allow(&[
        "user:ann member group:staff",
        "group:staff#member viewer doc:1",
        "user:ann viewer doc:2 at_desk",
        "user:ann editor doc:1",
        "user:ann editor doc:2",
        "user:ann editor doc:3",
    ]);
    let upstream = Recorder::start();
    let desk = "context: { desk: '{header.x-desk}' }";
    let (gateway, key) = documents(&upstream, &format!("{}, model: {}, {desk}", at(&fga), fga.model));
    let get = |id: &str, desk: &str| {
        let fields = [("X-Api-Key", key.as_str()), ("X-Desk", desk)];
        Client::connect(gateway.address)
            .call("GET", &format!("/documents/{id}"), &fields, b"")
            .unwrap()
            .status
    };
    assert_eq!((get("1", "south"), get("3", "north")), (200, 404));
    assert_eq!((get("2", "north"), get("2", "south")), (200, 404));
    // What would be a set of users or a pattern to it is nobody's id.
    for id in ["*", "1%23member", "%20"] {
        assert!(matches!(get(id, "north"), 400..=404), "{id}");
    }
    upstream.take();
    let merge = |body: &str| {
        let fields = [("X-Api-Key", key.as_str()), ("X-Desk", "north"), ("Content-Type", "application/json")];
        Client::connect(gateway.address)
            .call("POST", "/documents/1", &fields, body.as_bytes())
            .unwrap()
            .status
    };
    assert_eq!(merge(r#"{"from":["2","3"]}"#), 200);
    assert_eq!(upstream.take().len(), 1);
    assert_eq!(merge(r#"{"from":["2","4"]}"#), 404);
    assert!(upstream.take().is_empty());
    // A right that was withdrawn ends with the cache; so does every right that is not known when OpenFGA is gone.
    fga.withdraw(&["user:ann member group:staff"]);
    until("a withdrawn right ends", || get("1", "north") == 404);
    drop(fga);
    until("no answer is a refusal", || get("1", "north") == 503);
    upstream.take();
    assert_eq!((get("1", "north"), merge(r#"{"from":["2","3"]}"#)), (503, 503));
    assert!(upstream.take().is_empty());
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

/// A gateway that asks the decision point at `point`, and a key of ann's.
fn documents(upstream: &Recorder, point: &str) -> (Gateway, String) {
    let config = format!(
        "upstream: http://{}\nlimit: {{ baseline: off }}\n\
         decide: {{ {point}, timeout: 500ms, cache: 1s }}\n\
         policies:\n  - match: {{ operation: read }}\n    decide: {{ relation: viewer, object: 'doc:{{path.id}}' }}\n  \
         - match: {{ operation: merge }}\n    decide: {{ relation: editor, object: ['doc:{{path.id}}', 'doc:{{body./from/*}}'] }}\n",
        upstream.address
    );
    let gateway = Options::config(config).spec(DOCUMENTS).start();
    let key = keys(&gateway, &["create", "ann"])["secret"].as_str().unwrap().to_owned();
    (gateway, key)
}

/// Asks again until it holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// The settings that name a decision point of the harness, asked in OpenFGA's way.
fn table(point: &Point) -> String {
    format!("url: 'http://{}', protocol: openfga, store: 01STORE", point.address)
}

#[test]
fn a_decision_point_that_fails_lets_nobody_in() {
    let (upstream, point) = (Recorder::start(), Point::start());
    point.allow(&["user:ann viewer doc:1"]);
    let (gateway, key) = documents(&upstream, &table(&point));
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
    until("answers count again", || get("1") == 200);
    assert_eq!(get("2"), 404);
    // A right that was withdrawn ends with the cache.
    point.withdraw("user:ann viewer doc:1");
    until("a withdrawn right ends", || get("1") == 404);
}

#[test]
fn several_objects_are_one_question() {
    let (upstream, point) = (Recorder::start(), Point::start());
    point.allow(&["user:ann editor doc:1", "user:ann editor doc:2", "user:ann editor doc:3"]);
    let (gateway, key) = documents(&upstream, &table(&point));
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
