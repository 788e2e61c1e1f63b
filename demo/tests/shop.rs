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
