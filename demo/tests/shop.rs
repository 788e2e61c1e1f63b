//! The shop's promises, over real connections: ordinary use works in both twins and is as the contract says, every
//! attack works in the weak one and in the fixed one none does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is missing")]

use portcullis_demo::play::{self, Credentials, Ending, Scenario, Suite, har};
use portcullis_demo::{ATTACKS, CONTRACT, Mode, ORDINARY, serve};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A shop on an ephemeral port, which ends with the value.
struct Running {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            serve(listener, mode, std::future::pending()).await.unwrap();
        });
        Self { address, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn ordinary_use_works_in_both_twins() {
    let scenario = Scenario::parse(ORDINARY).unwrap();
    for mode in [Mode::Weak, Mode::Fixed] {
        let shop = Running::start(mode).await;
        let outcomes = play::play(&scenario.steps, shop.address, &Credentials::sample()).await;
        let wrong: Vec<_> = outcomes.iter().filter(|outcome| outcome.ending != Ending::Succeeded).collect();
        assert!(wrong.is_empty(), "{mode:?}: {wrong:#?}");
        assert_eq!(outcomes.len(), scenario.steps.len());
    }
}

#[tokio::test]
async fn every_attack_works_in_the_weak_twin() {
    let suite = Suite::parse(ATTACKS).unwrap();
    let mut wrong = Vec::new();
    for attack in &suite.attacks {
        let shop = Running::start(Mode::Weak).await;
        let outcome = alone(&suite, attack, shop.address).await;
        if outcome.ending != Ending::Succeeded && !attack.refused_by_server {
            wrong.push(outcome);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_attacks_work_in_the_weak_twin_one_after_the_other_too() {
    let suite = Suite::parse(ATTACKS).unwrap();
    let shop = Running::start(Mode::Weak).await;
    let outcomes = play::attack(&suite, shop.address, &Credentials::sample()).await;
    let wrong: Vec<_> = suite
        .attacks
        .iter()
        .zip(&outcomes)
        .filter(|(attack, outcome)| outcome.ending != Ending::Succeeded && !attack.refused_by_server)
        .map(|(_, outcome)| outcome)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn no_attack_works_in_the_fixed_twin() {
    let suite = Suite::parse(ATTACKS).unwrap();
    let mut wrong = Vec::new();
    for attack in suite.attacks.iter().filter(|attack| !attack.refused_with.is_empty()) {
        let shop = Running::start(Mode::Fixed).await;
        let outcome = alone(&suite, attack, shop.address).await;
        let refused = matches!(&outcome.ending, Ending::Stopped { status: Some(status), code: None }
            if attack.refused_with.contains(status));
        if !refused {
            wrong.push((outcome, &attack.refused_with));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// One attack with a shop to itself, so that no limit that another one ran into can stop it.
async fn alone(suite: &Suite, attack: &play::Attack, address: SocketAddr) -> play::Outcome {
    let suite = Suite { identities: suite.identities.clone(), attacks: vec![attack.clone()] };
    play::attack(&suite, address, &Credentials::sample()).await.remove(0)
}

#[test]
fn the_attacks_cover_everything() {
    let suite = Suite::parse(ATTACKS).unwrap();
    let categories: BTreeSet<String> = suite.attacks.iter().map(|attack| attack.category.clone()).collect();
    let wanted = (1..=10).map(|n| format!("API{n}")).chain(["injection".to_owned(), "protocol".to_owned()]);
    assert_eq!(categories, wanted.collect());
    let ids: BTreeSet<&str> = suite.attacks.iter().map(|attack| attack.id.as_str()).collect();
    assert_eq!(ids.len(), suite.attacks.len(), "every id once");
}

#[test]
fn ordinary_use_covers_the_contract() {
    let scenario = Scenario::parse(ORDINARY).unwrap();
    let documented: BTreeSet<&str> =
        CONTRACT.lines().filter_map(|line| line.trim().strip_prefix("operationId: ")).collect();
    let used: BTreeSet<&str> = scenario.steps.iter().filter_map(|step| step.operation.as_deref()).collect();
    assert_eq!(documented, used);
}

#[tokio::test]
async fn the_recorded_traffic_is_what_the_shop_says_today() {
    let shop = Running::start(Mode::Weak).await;
    let scenario = Scenario::parse(ORDINARY).unwrap();
    let today = har::record(&scenario, shop.address, &Credentials::sample()).await.unwrap();
    let today: Value = serde_json::from_str(&today).unwrap();
    let kept: Value = serde_json::from_str(include_str!("../traffic/ordinary.har")).unwrap();
    let (today, kept) = (entries(&today), entries(&kept));
    for (today, kept) in today.iter().zip(&kept) {
        assert_eq!(
            today, kept,
            "stale: run `cargo run -p portcullis-demo -- record demo/traffic/ordinary.har`"
        );
    }
    assert_eq!(today.len(), kept.len());
}

/// Method, URL, status and body (read as JSON where it is, since the order of fields says nothing) of each entry.
fn entries(har: &Value) -> Vec<[Value; 5]> {
    let body = |text: &Value| match text.as_str().map(serde_json::from_str) {
        Some(Ok(json)) => json,
        _ => text.clone(),
    };
    har["log"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            [
                entry["request"]["method"].clone(),
                entry["request"]["url"].clone(),
                body(&entry["request"]["postData"]["text"]),
                entry["response"]["status"].clone(),
                body(&entry["response"]["content"]["text"]),
            ]
        })
        .collect()
}

#[tokio::test]
async fn hostile_requests_get_an_answer_and_break_nothing() {
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "\"",
        "{\"items\":[1]}",
        "{\"items\":[{\"productId\":9223372036854775807,\"quantity\":-9223372036854775808}]}",
        "{\"items\":[{\"productId\":1,\"quantity\":9223372036854775807},{\"productId\":2,\"quantity\":9223372036854775807}]}",
        "{\"username\":\"\\u0000\",\"password\":\"\\ud800\"}",
        "{\"username\":\"${repeat:é:20000}\",\"password\":\"x\",\"email\":\"'\",\"code\":\"''''\",\"url\":\"http://\"}",
        "{\"url\":\"http://[::1\"}",
        "{\"url\":\"http://127.0.0.1:1/\"}",
        "${repeat:[:50000}",
    ];
    let paths = [
        "/",
        "/v2",
        "/v2/login",
        "/v2/register",
        "/v2/password-reset/confirm",
        "/v2/users/2",
        "/v2/users/2/avatar",
        "/v2/users/-1",
        "/v2/users/99999999999999999999",
        "/v2/orders",
        "/v2/orders?limit=-5&offset=-9223372036854775808",
        "/v2/orders/1002/coupon",
        "/v2/orders/1002/shipping-quote?postcode=%00%ff",
        "/v2/products?limit=9223372036854775807&offset=9223372036854775807&q=%00%25%27&sort=--",
        "/v2/products/%00",
        "/v2/products/1;DROP%20TABLE%20users/reviews",
        "/%2e%2e/%2e%2e/%ff%fe",
    ];
    for mode in [Mode::Weak, Mode::Fixed] {
        let shop = Running::start(mode).await;
        let mut steps = Vec::new();
        steps.push(serde_json::json!({ "id": "in", "method": "POST", "path": "/v2/login", "capture": { "bob": "/token" },
            "json": { "username": "bob", "password": "birch-Road-7" } }));
        for path in paths {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                for body in bodies {
                    steps.push(
                        serde_json::json!({ "id": format!("{method} {path}"), "method": method, "path": path,
                        "as": "bob", "body": body, "headers": { "content-type": "application/json" } }),
                    );
                }
            }
        }
        let scenario: Scenario = serde_json::from_value(serde_json::json!({ "steps": steps })).unwrap();
        let outcomes = play::play(&scenario.steps, shop.address, &Credentials::sample()).await;
        let silent: Vec<_> = outcomes.iter().filter(|outcome| outcome.status.is_none()).collect();
        assert!(silent.is_empty(), "{mode:?}: {silent:#?}");
        if mode == Mode::Fixed {
            let broken: Vec<_> = outcomes.iter().filter(|outcome| outcome.status >= Some(500)).collect();
            assert!(broken.iter().all(|outcome| outcome.status == Some(502)), "{broken:#?}");
        }
    }
}

#[tokio::test]
async fn a_shop_ends_when_it_is_told_to_and_shares_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let shop = tokio::spawn(serve(listener, Mode::Weak, async move {
        let _ = ended.await;
    }));
    let step = |id: &str, path: &str| serde_json::json!({ "id": id, "path": path });
    let change: Scenario = serde_json::from_value(serde_json::json!({ "steps": [
        { "id": "in", "method": "POST", "path": "/v2/login", "capture": { "bob": "/token" },
          "json": { "username": "bob", "password": "birch-Road-7" } },
        { "id": "post", "method": "POST", "path": "/v2/products/7/reviews", "as": "bob",
          "json": { "stars": 2, "text": "only here" } },
        step("read", "/v2/products/7/reviews"),
    ]}))
    .unwrap();
    let outcomes = play::play(&change.steps, address, &Credentials::sample()).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending == Ending::Succeeded), "{outcomes:#?}");
    let other = Running::start(Mode::Weak).await;
    let empty: Suite = serde_json::from_value(serde_json::json!({ "identities": [], "attacks": [{
        "id": "other", "category": "API9", "title": "", "steps": [step("read", "/v2/products/7/reviews")],
        "proof": { "json": { "/total": 0 } } }] }))
    .unwrap();
    let outcomes = play::attack(&empty, other.address, &Credentials::sample()).await;
    assert_eq!(outcomes[0].ending, Ending::Succeeded);
    end.send(()).unwrap();
    shop.await.unwrap().unwrap();
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "the port is free again");
}
