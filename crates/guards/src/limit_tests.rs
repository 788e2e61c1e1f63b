use serde_json::json;

use super::{Amount, Meters, Rule, meters};
use crate::testing::*;

fn open(limit: serde_json::Value) -> std::sync::Arc<portcullis_engine::Engine> {
    build(SHOP, &json!({ "limit": limit, "authenticate": { "schemes": { "user": "upstream" } } }), false)
        .unwrap()
        .engine
}

fn status() -> Call {
    call("GET", "/status")
}

#[test]
fn amounts_are_read() {
    let read = |text: &str| Amount::parse(text).map(|a| (a.calls, a.period_ns / SECOND));
    for (text, expected) in [
        ("100/s", Some((100, 1))),
        ("5/min", Some((5, 60))),
        ("20/10s", Some((20, 10))),
        ("1_000 / hour", Some((1000, 3600))),
        ("10000/day", Some((10000, 86400))),
        ("1/366d", Some((1, 366 * 86400))),
        ("0/s", None),
        ("1/0s", None),
        ("1/367d", None),
        ("-1/s", None),
        ("1/fortnight", None),
        ("100", None),
        ("/s", None),
        ("1/99999999999999999999s", None),
        ("", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn rates_are_per_client_and_come_back() {
    let engine = open(json!({ "baseline": "off", "rate": "2/s" }));
    let from = |client, ms| send(&engine, &status().from(client).at(ms));
    let first = from("192.0.2.1", 0);
    assert_eq!(first.header("ratelimit-policy"), Some("\"client\";q=2;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"client\";r=1;t=1"));
    assert_eq!(from("192.0.2.1", 0).code(), "permitted");
    let refused = from("192.0.2.1", 1);
    assert_eq!((refused.code(), refused.status), ("rate-exceeded", 429));
    assert_eq!(
        (refused.header("retry-after"), refused.header("ratelimit")),
        (Some("1"), Some("\"client\";r=0;t=1"))
    );
    assert_eq!(from("192.0.2.2", 1).code(), "permitted");
    assert_eq!(from("192.0.2.1", 600).code(), "permitted");
    // All addresses of a /64 are one client, those of another are not.
    assert_eq!(from("2001:db8:1:1::1", 0).code(), "permitted");
    assert_eq!(from("2001:db8:1:1::2", 0).code(), "permitted");
    assert_eq!(from("2001:db8:1:1:ffff::3", 0).code(), "rate-exceeded");
    assert_eq!(from("2001:db8:1:2::1", 0).code(), "permitted");
}

#[test]
fn the_baseline_holds_unless_it_is_off() {
    let send_many =
        |engine: &std::sync::Arc<_>, n| (0..n).filter(|_| send(engine, &status()).status == 429).count();
    assert_eq!(send_many(&open(json!({})), 250), 50);
    assert_eq!(send_many(&open(json!({ "rate": "1000/s" })), 250), 50);
    assert_eq!(send_many(&open(json!({ "baseline": { "rate": "10/s" } })), 25), 15);
    assert_eq!(send_many(&open(json!({ "baseline": "off" })), 250), 0);
    assert_eq!(send_many(&open(json!("off")), 250), 0);
}

#[test]
fn calls_that_the_contract_does_not_have_are_limited_beside_the_others() {
    let send_many = |engine: &std::sync::Arc<_>, call: &Call, n| -> (usize, usize) {
        let codes: Vec<_> = (0..n).map(|_| send(engine, call).code().to_owned()).collect();
        let count = |code: &str| codes.iter().filter(|c| *c == code).count();
        (count("rate-exceeded"), n - count("rate-exceeded"))
    };
    let engine = open(json!({}));
    assert_eq!(send_many(&engine, &call("GET", "/admin.php"), 130), (30, 100));
    assert_eq!(send(&engine, &call("DELETE", "/status")).code(), "rate-exceeded", "404 and 405 alike");
    assert_eq!(send(&engine, &call("GET", "/admin.php").from("192.0.2.77")).code(), "path-unknown");
    assert_eq!(send(&engine, &status()).code(), "permitted", "what the contract has is not");
    let engine = open(json!({ "unmatched": { "rate": "2/min" } }));
    assert_eq!(send_many(&engine, &call("GET", "/.env"), 10), (8, 2));
    let engine = open(json!({ "unmatched": "off" }));
    assert_eq!(send_many(&engine, &call("GET", "/.env"), 150), (0, 150));
    // Where such calls pass, they are like any other.
    let learning = json!({ "validate": { "unknown_path": "monitor", "unknown_method": "monitor" },
        "authenticate": { "schemes": { "user": "upstream" } } });
    let engine = build(SHOP, &learning, false).unwrap().engine;
    assert_eq!(send_many(&engine, &call("GET", "/new"), 150), (0, 150));
}

/// Proves whoever `X-Who` says, with the claim `tenant` of `X-Tenant`, where there is one.
#[derive(Debug)]
struct Believe;

#[derive(Debug)]
struct Said(serde_json::Value);

impl portcullis_engine::Claims for Said {
    fn issuer(&self) -> &str {
        "https://login.example.com"
    }
    fn subject(&self) -> Option<&str> {
        None
    }
    fn roles(&self) -> &[Box<str>] {
        &[]
    }
    fn groups(&self) -> &[Box<str>] {
        &[]
    }
    fn claim(&self, pointer: &str) -> Option<&serde_json::Value> {
        self.0.pointer(pointer)
    }
}

impl portcullis_engine::Guard for Believe {
    fn hooks(&self) -> portcullis_engine::Hooks {
        portcullis_engine::Hooks { request_head: true, ..Default::default() }
    }
    fn request_head(
        &self,
        cx: &mut portcullis_engine::Cx<'_>,
    ) -> Result<portcullis_engine::Verdict, portcullis_engine::GuardError> {
        use portcullis_engine::{Claims, CredentialKind, Principal, Verdict};
        let field =
            |name: &str| cx.request.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let Some(who) = field("x-who") else { return Ok(Verdict::Pass) };
        let mut principal =
            Principal::new(who.as_str().into(), "t".into(), CredentialKind::AccessToken, [].into());
        let tenant =
            field("x-tenant").map(|tenant| json!({ "org": { "id": tenant }, "https://e.g/t": tenant }));
        principal.claims =
            Some(std::sync::Arc::new(Said(tenant.unwrap_or(json!({})))) as std::sync::Arc<dyn Claims>);
        cx.facts.principal = Some(std::sync::Arc::new(principal));
        Ok(Verdict::Pass)
    }
}

#[test]
fn claims_count_once_they_are_proved() {
    use portcullis_engine::{Bounds, Engine, FailMode, Mode, Plan, Planned, Stage, State};
    for per in ["claim:/org/id", "claim:https://e.g/t"] {
        let rule: Rule = serde_json::from_value(json!({ "rate": "2/min", "per": per })).unwrap();
        assert!(rule.per.0[0].is_proved());
        let meters = Meters::new(meters(&rule, "", "").unwrap(), None).unwrap();
        let planned = |stage, guard| Planned {
            name: "t",
            stage,
            mode: Mode::Enforce,
            on_error: FailMode::Closed,
            guard,
        };
        let guards = vec![
            planned(Stage::Authenticate, Box::new(Believe) as _),
            planned(Stage::Quota, Box::new(meters) as _),
        ];
        let state = std::sync::Arc::new(State::new(64));
        let engine = Engine::builder(state).unmatched(Plan::new(None, Bounds::default(), guards)).build();
        let sent = |who: &str, tenant: &str| {
            let mut call = status();
            if !who.is_empty() {
                call = call.with("x-who", who);
            }
            if !tenant.is_empty() {
                call = call.with("x-tenant", tenant);
            }
            send(&engine, &call).status == 200
        };
        assert_eq!(
            [sent("a", "t1"), sent("b", "t1"), sent("c", "t1")],
            [true, true, false],
            "one tenant, {per}"
        );
        assert!(sent("a", "t2"), "another tenant");
        assert_eq!(
            [sent("a", ""), sent("a", ""), sent("a", "")],
            [true, true, false],
            "without it: by consumer"
        );
        assert!(sent("b", ""));
        assert_eq!(
            [sent("", "t1"), sent("", "t1"), sent("", "t1")],
            [true, true, false],
            "nobody: by client"
        );
    }
}

#[test]
fn quotas_and_principals() {
    let engine = open(json!({ "rules": [{ "quota": "2/min", "per": "consumer" }] }));
    let get = |key: &str, ms| send(&engine, &call("GET", "/orders/1").with("x-api-key", key).at(ms));
    assert_eq!(get("alice-key", 0).code(), "permitted");
    let second = get("alice-key", 0);
    assert_eq!(
        (second.header("ratelimit-policy"), second.header("ratelimit")),
        (
            Some("\"client\";q=100;w=1, \"consumer-quota\";q=2;w=60"),
            Some("\"client\";r=198;t=1, \"consumer-quota\";r=0;t=60")
        )
    );
    assert_eq!(get("alice-key", 0).code(), "quota-exceeded");
    assert_eq!(get("bob-key", 0).code(), "permitted");
    assert_eq!(get("alice-key", 60_000).code(), "permitted");
    // Guessing costs the client, not the consumer.
    assert_eq!(get("wrong", 60_000).code(), "credential-invalid");
}

#[test]
fn headers_operations_and_all_together_are_subjects() {
    let engine = open(
        json!({ "baseline": "off", "rules": [{ "rate": "1/s", "per": ["header:X-Tenant", "operation"] }] }),
    );
    let get =
        |target: &str, tenant: &str| send(&engine, &call("GET", target).with("x-tenant", tenant)).code();
    assert_eq!((get("/status", "a"), get("/status", "a")), ("permitted", "rate-exceeded"));
    assert_eq!((get("/status", "b"), get("/old", "a")), ("permitted", "permitted"));
    let engine = open(json!({ "baseline": "off", "rate": "1/s", "per": "global" }));
    assert_eq!(send(&engine, &status().from("192.0.2.1")).code(), "permitted");
    assert_eq!(send(&engine, &call("GET", "/old").from("192.0.2.2")).code(), "rate-exceeded");
}

#[test]
fn slots_are_given_back_when_the_exchange_ends() {
    let engine = open(json!({ "baseline": "off", "concurrent": 1 }));
    for _ in 0..3 {
        assert_eq!(send(&engine, &status()).code(), "permitted");
    }
}

#[test]
fn rules_count_where_they_are_written() {
    let rule = json!({ "rate": "1/min", "per": "client" });
    let policies = json!({
        "authenticate": { "schemes": { "user": "upstream" } },
        "policies": [
            { "match": { "operation": "status" }, "limit": rule },
            { "match": { "operation": "old" }, "limit": rule },
        ],
    });
    let engine = build(SHOP, &policies, false).unwrap().engine;
    assert_eq!(send(&engine, &status()).code(), "permitted");
    assert_eq!(send(&engine, &status()).code(), "rate-exceeded");
    assert_eq!(send(&engine, &call("GET", "/old")).code(), "permitted");
    assert_eq!(send(&engine, &call("GET", "/maybe")).code(), "permitted");
}

#[test]
fn monitor_mode_counts_and_says_nothing() {
    let engine = open(json!({ "mode": "monitor", "baseline": { "rate": "1/s" } }));
    let went = [send(&engine, &status()), send(&engine, &status())];
    assert!(went.iter().all(|went| went.code() == "permitted" && went.header("ratelimit").is_none()));
    assert_eq!(went[1].found(), ["rate-exceeded"]);
}

#[test]
fn slips_are_named() {
    for (limit, expected) in [
        (json!({ "rate": "fast" }), "/limit/rate: `fast` is no rate"),
        (json!({ "rules": [{ "per": "client" }] }), "/limit/rules/0: a rule needs"),
        (
            json!({ "rules": [{ "rate": "1/s", "per": "clint" }] }),
            "/limit/rules/0/per: unknown value `clint`; did you mean `client`?",
        ),
        (json!({ "rate": "1/s", "per": "claim:" }), "/limit/per: unknown value `claim:`"),
        (json!({ "burst": 3 }), "/limit"),
        (json!({ "concurrent": 0 }), "/limit/concurrent: expected at least 1"),
        (json!({ "rate": "1/s", "burst": 0 }), "/limit/burst: expected at least 1"),
        (json!({ "baseline": "of" }), "/limit/baseline"),
        (json!({ "unmatched": { "burst": 1 } }), "/limit/unmatched/burst: a `burst` belongs to a `rate`"),
        (json!({ "rtae": null }), "/limit/rtae: unknown key `rtae`; did you mean `rate`?"),
        (
            json!({ "rules": [{ "rate": "1/s", "pre": null }] }),
            "/limit/rules/0/pre: unknown key `pre`; did you mean `per`?",
        ),
        (json!({ "rtae": "1/s" }), "/limit/rtae: unknown key `rtae`; did you mean `rate`?"),
        (json!({ "mode": "monitr" }), "/limit/mode: unknown value `monitr`; did you mean `monitor`?"),
        (json!(3), "/limit: expected a mapping"),
    ] {
        let errors =
            errors(SHOP, json!({ "limit": limit, "authenticate": { "schemes": { "user": "upstream" } } }));
        assert!(errors.first().is_some_and(|error| error.starts_with(expected)), "{limit}: {errors:?}");
    }
}
