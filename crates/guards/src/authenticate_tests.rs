use portcullis_engine::Recorded;
use serde_json::json;

use crate::compile::Access;
use crate::testing::*;

#[test]
fn keys_open_what_the_contract_says() {
    let engine = shop(json!({})).engine;
    let get = |target: &str| call("GET", target);
    for (call, expected) in [
        (get("/status"), "permitted"),
        (get("/orders/1"), "credential-missing"),
        (get("/orders/1").with("x-api-key", ""), "credential-missing"),
        (get("/orders/1").with("x-api-key", "alice-key"), "permitted"),
        (get("/orders/1").with("x-api-key", "alice-keY"), "credential-invalid"),
        (get("/orders/1").with("x-api-key", "pck_mistyped"), "credential-invalid"),
        (get("/orders/1").with("x-api-key", "old-key"), "credential-expired"),
        (get("/orders/1").with("x-api-key", "gone-key"), "credential-invalid"),
        (get("/orders/1").with("x-api-key", "inside-key"), "credential-invalid"),
        (get("/orders/1").with("x-api-key", "inside-key").from("10.1.2.3"), "permitted"),
        (get("/orders/1").with("x-api-key", "app-secret-1"), "credential-invalid"),
        (get("/orders/1").with("x-api-key", "alice-key").with("x-api-key", "alice-key"), "header-ambiguous"),
        (get("/orders/1").with("x_api_key", "alice-key"), "header-ambiguous"),
        (get("/by-query?api_key=alice-key"), "permitted"),
        (get("/by-query?api%5Fkey=alice%2dkey"), "permitted"),
        (get("/by-query?api_key=alice-key&api_key=alice-key"), "credential-ambiguous"),
        (get("/by-query?api_key=alice-key&api%5fkey=bob-key"), "credential-ambiguous"),
        (get("/by-query").with("x-api-key", "alice-key"), "credential-missing"),
        (get("/by-cookie").with("cookie", "a=b; sid=alice-key"), "permitted"),
        (get("/by-cookie").with("cookie", "sid=alice-key; sid=bob-key"), "credential-ambiguous"),
        (
            get("/by-cookie").with("cookie", "sid=alice-key").with("cookie", "sid=bob-key"),
            "credential-ambiguous",
        ),
        (get("/by-cookie").with("cookie", "SID=alice-key"), "credential-missing"),
        (get("/by-app").with("x-app-id", "app-1").with("x-app-key", "app-secret-1"), "permitted"),
        (get("/by-app").with("x-app-id", "app-1").with("x-app-key", "app-secret-2"), "permitted"),
        (get("/by-app").with("x-app-id", "app-2").with("x-app-key", "app-secret-2"), "credential-invalid"),
        (get("/by-app").with("x-app-id", "app-1").with("x-app-key", "wrong"), "credential-invalid"),
        (get("/by-app").with("x-app-id", "app-1"), "credential-missing"),
        (get("/by-app").with("x-app-key", "app-secret-1"), "credential-missing"),
        (get("/by-user"), "credential-missing"),
        (get("/by-user").with("authorization", "Basic abc"), "credential-missing"),
        (get("/by-user").with("authorization", "Bearer "), "credential-missing"),
        (get("/by-user").with("authorization", "bearer abc"), "permitted"),
        (get("/either").with("x-api-key", "alice-key"), "permitted"),
        (get("/either").with("x-app-id", "app-1").with("x-app-key", "app-secret-1"), "permitted"),
        // One that is right does not excuse one that is wrong, and two must agree.
        (
            get("/either")
                .with("x-api-key", "wrong")
                .with("x-app-id", "app-1")
                .with("x-app-key", "app-secret-1"),
            "credential-invalid",
        ),
        (
            get("/either")
                .with("x-api-key", "alice-key")
                .with("x-app-id", "app-1")
                .with("x-app-key", "app-secret-1"),
            "credential-ambiguous",
        ),
        (get("/maybe"), "permitted"),
        (get("/maybe").with("x-api-key", "alice-key"), "permitted"),
        (get("/maybe").with("x-api-key", "wrong"), "credential-invalid"),
    ] {
        let went = send(&engine, &call);
        assert_eq!(went.code(), expected, "{call:?}");
        assert_eq!(went.upstream.is_some(), expected == "permitted", "{call:?}");
        if went.status == 401 {
            assert!(went.header("www-authenticate").is_some_and(|v| v.contains("realm=\"api\"")), "{call:?}");
        }
    }
}

#[test]
fn credentials_end_here_and_the_api_learns_who_calls() {
    let engine = shop(json!({})).engine;
    let went =
        send(&engine, &call("GET", "/orders/1").with("x-api-key", "alice-key").with("x-consumer-id", "root"));
    let (_, headers) = went.upstream.as_ref().unwrap();
    assert!(!headers.contains_key("x-api-key"));
    assert_eq!(headers["x-consumer-id"], "alice");
    assert_eq!(went.record.principal.as_ref().unwrap().credential.as_ref(), "k-alice");

    let went = send(&engine, &call("GET", "/by-query?api_key=alice-key"));
    assert_eq!(went.upstream.as_ref().unwrap().0, "/by-query");
    let went = send(&engine, &call("GET", "/by-cookie").with("cookie", "a=b; sid=alice-key;c=d"));
    assert_eq!(went.upstream.as_ref().unwrap().1["cookie"], "a=b; c=d");
    // What the API verifies itself passes as it is.
    let went = send(
        &engine,
        &call("GET", "/by-user").with("authorization", "Bearer t").with("x-consumer-id", "root"),
    );
    let (_, headers) = went.upstream.as_ref().unwrap();
    assert!(headers["authorization"] == "Bearer t" && !headers.contains_key("x-consumer-id"));
    // Open operations too.
    let went = send(&engine, &call("GET", "/status").with("x-consumer-id", "root").with("x-api-key", "k"));
    let (_, headers) = went.upstream.as_ref().unwrap();
    assert!(!headers.contains_key("x-consumer-id") && !headers.contains_key("x-api-key"));

    let engine =
        shop(json!({ "authenticate": { "forward_credentials": true, "consumer_header": "X-Who" } })).engine;
    let went = send(&engine, &call("GET", "/orders/1").with("x-api-key", "alice-key"));
    let (_, headers) = went.upstream.as_ref().unwrap();
    assert!(headers["x-api-key"] == "alice-key" && headers["x-who"] == "alice");
}

#[test]
fn monitor_mode_lets_pass_but_never_a_claimed_identity() {
    let engine = shop(json!({ "authenticate": { "mode": "monitor" } })).engine;
    let went =
        send(&engine, &call("GET", "/orders/1").with("x-api-key", "wrong").with("x-consumer-id", "root"));
    assert_eq!((went.code(), went.found().as_slice()), ("permitted", &["credential-invalid"][..]));
    let (_, headers) = went.upstream.as_ref().unwrap();
    assert!(headers["x-api-key"] == "wrong" && !headers.contains_key("x-consumer-id"));
}

#[test]
fn configured_credentials_are_asked_for_beside_the_contract() {
    let engine = shop(json!({ "authenticate": { "app_id": "X-App-Id", "app_key": "X-App-Key" } })).engine;
    let app = |c: Call| c.with("x-app-id", "app-1").with("x-app-key", "app-secret-1");
    assert_eq!(send(&engine, &app(call("GET", "/by-app"))).code(), "permitted");
    assert_eq!(
        send(&engine, &call("GET", "/by-user").with("authorization", "Bearer t")).code(),
        "credential-missing"
    );
    assert_eq!(
        send(&engine, &app(call("GET", "/by-user")).with("authorization", "Bearer t")).code(),
        "permitted"
    );
    assert_eq!(send(&engine, &call("GET", "/status")).code(), "permitted");
}

#[test]
fn bearer_tokens_can_be_keys_of_the_gateway() {
    let engine = shop(json!({ "authenticate": { "schemes": { "user": "api_key" } } })).engine;
    let went = send(&engine, &call("GET", "/by-user").with("authorization", "Bearer alice-key"));
    assert_eq!(went.code(), "permitted");
    assert!(!went.upstream.unwrap().1.contains_key("authorization"));
    let went = send(&engine, &call("GET", "/by-user").with("authorization", "Bearer nobody"));
    assert_eq!(went.code(), "credential-invalid");
}

#[test]
fn replay_goes_by_the_credential_that_was_proved() {
    let engine = shop(json!({})).engine;
    let recorded = |id: &str| Some(Recorded { credential: Some(id.into()), bodies: false });
    let replay = |target: &str, id: &str| {
        let mut call = call("GET", target);
        call.recorded = recorded(id);
        send(&engine, &call).code()
    };
    assert_eq!(replay("/orders/1", "k-alice"), "permitted");
    assert_eq!(replay("/orders/1", "k-gone"), "credential-invalid");
    assert_eq!(replay("/orders/1", "k-nobody"), "credential-invalid");
    assert_eq!(replay("/orders/1", "a-1"), "credential-missing");
    assert_eq!(replay("/by-app", "a-1"), "permitted");
    let mut nothing = call("GET", "/orders/1");
    nothing.recorded = Some(Recorded { credential: None, bodies: false });
    assert_eq!(send(&engine, &nothing).code(), "credential-missing");
    // The log does not keep fields: what only had to be present cannot be missed.
    nothing.target = "/by-user".into();
    assert_eq!(send(&engine, &nothing).code(), "permitted");
}

const SILENT: &str = "{openapi: 3.0.0, info: {title: t, version: '1'}, paths: {/a: {get: {responses: {'200': {description: ok}}}}}}";

#[test]
fn nothing_is_open_by_silence() {
    let error = errors(SILENT, json!({}));
    assert_eq!(error.len(), 1);
    assert!(error[0].starts_with("/authenticate: nothing says who may call `GET /a`"), "{error:?}");
    assert!(errors(SILENT, json!({ "policies": [{ "public": true }] })).is_empty());
    assert!(errors(SILENT, json!({ "authenticate": { "api_key": "X-API-Key" } })).is_empty());
    // Not even in monitor mode.
    assert_eq!(errors(SILENT, json!({ "mode": "monitor" })).len(), 1);
    // Without a file it starts, and is listed.
    let compiled = build(SILENT, &json!({}), true).unwrap();
    assert_eq!(compiled.report.operations[0].access, Access::OpenBySilence);
    assert_eq!(send(&compiled.engine, &call("GET", "/a")).code(), "permitted");
    let compiled = build(SILENT, &json!({ "authenticate": { "api_key": "X-API-Key" } }), false).unwrap();
    assert_eq!(send(&compiled.engine, &call("GET", "/a")).code(), "credential-missing");
    // Without a contract neither.
    assert!(errors("", json!({}))[0].contains("nothing says who may call"));
    assert!(errors("", json!({ "policies": [{ "public": true }] })).is_empty());
}

#[test]
fn what_cannot_be_verified_is_named() {
    let error = errors(SHOP, json!({}));
    assert!(error[0].starts_with("/authenticate: the contract asks for `user` (http bearer)"), "{error:?}");
    let zero = build(SHOP, &json!({}), true).unwrap();
    assert!(
        zero.report.warnings.iter().any(|warning| warning.contains("`user`")),
        "{:?}",
        zero.report.warnings
    );
    let error = errors(SHOP, json!({ "authenticate": { "schemes": { "usr": "upstream" } } }));
    assert_eq!(error[0], "/authenticate/schemes/usr: unknown security scheme `usr`; did you mean `user`?");
    let error = errors(SHOP, json!({ "authenticate": { "app_id": "X-App-Id" } }));
    assert!(
        error.iter().any(|e| e.starts_with("/authenticate/app_id: an App ID needs its key")),
        "{error:?}"
    );
}

#[test]
fn without_a_configuration_swagger_tokens_are_the_apis_own() {
    let document = "{swagger: '2.0', info: {title: t, version: '1'}, securityDefinitions: {token: {type: apiKey, in: header, name: Authorization}, key: {type: apiKey, in: header, name: X-Api-Key}, basic: {type: basic}}, security: [{token: []}, {key: []}, {basic: []}], paths: {/a: {get: {responses: {'200': {description: ok}}}}}}";
    let zero = build(document, &json!({}), true).unwrap();
    let said = |part: &str| zero.report.warnings.iter().any(|warning| warning.contains(part));
    assert!(said("`token` (an api key in a header, `Authorization`) is left to the API"));
    assert!(said("`key` (an api key in a header) takes the keys that `portcullis keys` makes"));
    for value in ["Bearer ey.J.x", "token abc", "Basic dTpw"] {
        let went = send(&zero.engine, &call("GET", "/a").with("authorization", value));
        assert_eq!(went.code(), "permitted", "{value}");
        assert_eq!(went.upstream.unwrap().1["authorization"], value);
    }
    assert_eq!(send(&zero.engine, &call("GET", "/a")).code(), "credential-missing");
    // A key of the gateway is still verified, and ends here.
    let went =
        send(&zero.engine, &call("GET", "/a").with("x-api-key", "wrong").with("authorization", "Bearer x"));
    assert_eq!(went.code(), "credential-invalid");
    let went = send(&zero.engine, &call("GET", "/a").with("x-api-key", "alice-key"));
    assert!(!went.upstream.unwrap().1.contains_key("x-api-key"));
    // A configuration says what it is.
    let own = json!({ "authenticate": { "schemes": { "token": "api_key", "basic": "upstream" } } });
    let own = build(document, &own, false).unwrap().engine;
    assert_eq!(send(&own, &call("GET", "/a").with("authorization", "Bearer x")).code(), "credential-invalid");
    assert_eq!(send(&own, &call("GET", "/a").with("authorization", "alice-key")).code(), "permitted");
}

#[test]
fn access_is_reported() {
    let report =
        shop(json!({ "policies": [{ "match": { "operation": "getOrder" }, "public": true }] })).report;
    let of = |id: &str| report.operations.iter().find(|o| &*o.id == id).unwrap().access.clone();
    assert_eq!(of("status"), Access::OpenByContract);
    assert_eq!(of("maybe"), Access::OpenByContract);
    assert_eq!(of("getOrder"), Access::OpenByPolicy);
    assert_eq!(of("putOrder"), Access::Credentials(vec!["key".into()]));
    assert_eq!(of("either"), Access::Credentials(vec!["key".into(), "appId and appKey".into()]));
    let off = shop(json!({ "authenticate": "off" })).report;
    assert!(off.operations.iter().all(|o| o.access == Access::OpenByPolicy));
}

#[test]
fn schemes_that_can_never_be_met_are_closed() {
    let document = "{openapi: 3.0.0, info: {title: t, version: '1'}, security: [{ghost: []}], paths: {/a: {get: {responses: {'200': {description: ok}}}}}}";
    let compiled = build(document, &json!({}), true).unwrap();
    assert_eq!(send(&compiled.engine, &call("GET", "/a")).code(), "security-unsatisfiable");
    assert!(!compiled.report.warnings.is_empty());
}

const TOKENS: &str = "{openapi: 3.0.0, info: {title: t, version: '1'}, components: {securitySchemes: {login: {type: openIdConnect, openIdConnectUrl: 'https://login.example/.well-known/openid-configuration'}, key: {type: apiKey, in: header, name: X-API-Key}, tls: {type: mutualTLS}}}, paths: {/a: {get: {security: [{login: [read]}], responses: {'200': {description: ok}}}}, /b: {get: {security: [{login: []}, {key: []}], responses: {'200': {description: ok}}}, post: {security: [{login: []}, {key: []}], requestBody: {content: {application/x-www-form-urlencoded: {}}}, responses: {'200': {description: ok}}}}, /c: {get: {security: [{tls: []}], responses: {'200': {description: ok}}}}}}";

fn issuers() -> serde_json::Value {
    json!({
        "issuers": { "main": { "issuer": "https://login.example", "audiences": ["orders"] } },
        "authenticate": { "schemes": { "tls": "upstream" } },
    })
}

#[test]
fn tokens_that_cannot_be_judged_are_refused() {
    let engine = build(TOKENS, &issuers(), false).unwrap().engine;
    let send = |target: &str, fields: &[(&'static str, &str)]| {
        let call = fields.iter().fold(call("GET", target), |call, (name, value)| call.with(name, value));
        send(&engine, &call)
    };
    // {"alg":"ES256"} and {"iss":"https://login.example"}: its keys were never fetched, and the host cannot ask.
    let token = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUifQ.AAAA";
    let went = send("/a", &[("authorization", token)]);
    assert_eq!((went.status, went.header("retry-after").is_some()), (503, true), "{}", went.body);
    for (fields, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer x.y.z")], 401),
        (&[("authorization", "Bearer opaque")], 401),
        (&[("authorization", "DPoP opaque"), ("dpop", "x")], 401),
        (&[("authorization", "Basic dTpw")], 401),
        (&[("authorization", "Bearer opaque"), ("authorization", "Bearer opaque")], 400),
        (&[("authorization", "DPoP opaque"), ("dpop", "x"), ("dpop", "y")], 400),
    ] {
        let went = send("/a", fields);
        assert_eq!(went.status, status, "{fields:?}: {}", went.body);
        assert!(went.upstream.is_none());
        if status == 401 {
            let challenge = went.header("www-authenticate").unwrap();
            let wrong = fields.iter().any(|(_, value)| value.contains('.') || value.contains("opaque"));
            assert_eq!(challenge.contains("error=\"invalid_token\""), wrong, "{challenge}");
        }
    }
    assert_eq!(send("/a?access_token=x", &[]).code(), "credential-ambiguous");
    assert_eq!(send("/a?access%5Ftoken=x", &[("authorization", token)]).code(), "credential-ambiguous");
    let form = |body: &str| {
        let mut call = call("POST", "/b").with("x-api-key", "alice-key");
        call.body = Some(body.into());
        let call = call.with("content-type", "application/x-www-form-urlencoded");
        crate::testing::send(&engine, &call).code()
    };
    assert_eq!((form("a=1"), form("a=1&access%5ftoken=x")), ("permitted", "credential-ambiguous"));
    // Where a key would do, a wrong token is still wrong.
    assert_eq!(send("/b", &[("x-api-key", "alice-key")]).code(), "permitted");
    let both = [("x-api-key", "alice-key"), ("authorization", "Bearer x.y.z")];
    assert_eq!(send("/b", &both).code(), "token-invalid");
}

#[test]
fn issuers_are_checked_at_load() {
    let error = |issuer: serde_json::Value| {
        let mut policies = issuers();
        policies["issuers"]["main"] = issuer;
        errors(TOKENS, policies).join("\n")
    };
    let issuer = "https://login.example";
    for (issuer, said) in [
        (json!({ "issuer": issuer }), "name it, as in `audiences: [orders]`"),
        (json!({ "issuer": "http://login.example", "audiences": ["a"] }), "https"),
        (
            json!({ "issuer": issuer, "audiences": ["a"], "algorithms": ["HS256"] }),
            "unknown algorithm `HS256`",
        ),
        (json!({ "issuer": issuer, "audiences": ["a"], "leeway": "1h" }), "at most `5m`"),
        (json!({ "issuer": issuer, "audiences": ["a"], "schemes": ["logn"] }), "did you mean `login`?"),
        (
            json!({ "issuer": issuer, "audiences": ["a"], "introspection": {} }),
            "`client_id` and `client_secret`",
        ),
        (json!({ "issuer": issuer, "audiances": ["a"] }), "did you mean `audiences`?"),
    ] {
        let got = error(issuer.clone());
        assert!(got.contains(said), "{issuer}: {got}");
    }
    let mut policies = issuers();
    policies["authenticate"] = json!({});
    assert!(errors(TOKENS, policies).join("\n").contains("authenticate.certificates"));
    // An issuer that is not for a scheme leaves it unverifiable.
    let mut policies = issuers();
    policies["issuers"]["main"]["schemes"] = json!(["key"]);
    assert!(errors(TOKENS, policies).join("\n").contains("`login`"));
    // Without a file the contract's own address is discovered, and the audience is said to be unknown.
    let zero = build(TOKENS, &json!({}), true).unwrap();
    assert_eq!(zero.tokens.issuers().all().len(), 1);
    assert!(zero.report.warnings.iter().any(|warning| warning.contains("audience")));
}

#[test]
fn issuers_are_kept_over_a_reload_that_does_not_change_them() {
    let policies = crate::Policies::from_value(&issuers()).unwrap();
    let contract = || {
        let options = portcullis_openapi::Options::default();
        std::sync::Arc::new(
            portcullis_openapi::Contract::parse("t.yaml", TOKENS.as_bytes(), &options).unwrap(),
        )
    };
    let compile = |policies: &crate::Policies, before| {
        let credentials = crate::Credentials { tokens: before, ..crate::Credentials::from(keys()) };
        let state = std::sync::Arc::new(portcullis_engine::State::default());
        crate::compile(Some(contract()), policies, portcullis_engine::Settings::default(), credentials, state)
            .unwrap()
            .tokens
    };
    let first = compile(&policies, None);
    assert!(std::sync::Arc::ptr_eq(&first, &compile(&policies, Some(first.clone()))));
    let mut other = issuers();
    other["issuers"]["main"]["audiences"] = json!(["billing"]);
    let other = crate::Policies::from_value(&other).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &compile(&other, Some(first.clone()))));
}

#[test]
fn the_api_gets_a_signed_word() {
    let key = data_encoding::BASE64.encode(&portcullis_identity::AssertionSigner::generate_pkcs8().unwrap());
    let section = json!({ "assertion": { "key": key, "audience": "orders-api" } });
    let engine = shop(json!({ "authenticate": section })).engine;
    let call =
        call("GET", "/orders/1").with("x-api-key", "alice-key").with("x-portcullis-assertion", "forged");
    let went = send(&engine, &call);
    let (_, headers) = went.upstream.as_ref().unwrap();
    let assertion = headers["x-portcullis-assertion"].to_str().unwrap();
    let payload = assertion.split('.').nth(1).unwrap();
    let claims: serde_json::Value =
        serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        (&claims["aud"], &claims["path"], &claims["sub"]),
        (&json!("orders-api"), &json!("/orders/1"), &json!("alice"))
    );
    let wrong = json!({ "authenticate": { "schemes": { "user": "upstream" }, "assertion": { "key": "x", "audience": "a" } } });
    assert!(errors(SHOP, wrong)[0].starts_with("/authenticate/assertion/key: expected a private key in PEM"));
}
