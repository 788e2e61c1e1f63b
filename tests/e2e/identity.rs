//! Who calls, and what they may touch: access tokens of a real provider, well and badly behaved.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, Options};
use crate::harness::peers::{Certificate, Peer, free_address};
use crate::harness::provider::Provider;
use crate::harness::recorder::Recorder;
use crate::harness::{base64url, needs};

const CONTRACT: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Orders", "version": "1"},
  "components": {"securitySchemes": {"login": {"type": "oauth2", "flows": {"clientCredentials": {
    "tokenUrl": "https://login.example/token", "scopes": {"orders:read": "", "orders:write": ""}}}}}},
  "paths": {
    "/orders": {
      "get": {"security": [{"login": ["orders:read"]}], "responses": {"200": {"description": "ok"}}},
      "post": {"security": [{"login": ["orders:write"]}], "responses": {"200": {"description": "ok"}}}
    },
    "/users/{user}/orders": {
      "parameters": [{"name": "user", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {"operationId": "mine", "security": [{"login": []}], "responses": {"200": {"description": "ok"}}}
    }
  }
}"#;

fn options(provider: &Provider, upstream: SocketAddr, issuer: &str, more: &str) -> Options {
    let issuers = provider.section(issuer);
    let config = format!("upstream: http://{upstream}\nlimit: {{ baseline: off }}\n{issuers}{more}");
    Options::config(config).spec(CONTRACT)
}

fn gateway(provider: &Provider, upstream: &Recorder, issuer: &str) -> Gateway {
    options(provider, upstream.address, issuer, "").start()
}

fn call(gateway: &Gateway, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
    let host = gateway.address.to_string();
    let fields = [&[("Host", host.as_str())], fields].concat();
    Client::connect(gateway.address).call(method, target, &fields, b"").unwrap()
}

fn with_token(gateway: &Gateway, method: &str, target: &str, token: &str) -> Response {
    call(gateway, method, target, &[("Authorization", &format!("Bearer {token}"))])
}

/// The refusal's code.
fn code(response: &Response) -> String {
    let problem: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn access_tokens_open_what_their_scopes_say() {
    let Some(provider) = Provider::start("access_tokens_open_what_their_scopes_say") else { return };
    let upstream = Recorder::start();
    let policy =
        "policies:\n  - match: { operation: mine }\n    authorize: { bind: { path.user: token.sub } }\n";
    let gateway = options(&provider, upstream.address, "", policy).start();
    let alice = provider.token("alice", &[]);

    let claims = [
        ("Authorization", &*format!("Bearer {alice}")),
        ("X-Forwarded-User", "admin"),
        ("X-Consumer-Username", "admin"),
        ("X_Auth_Request_User", "admin"),
    ];
    assert_eq!(call(&gateway, "GET", "/orders", &claims).status, 200);
    let sent = upstream.take().pop().unwrap();
    assert_eq!(
        (sent.field("x-consumer-id"), sent.field("x-forwarded-user")),
        (Some("main/alice"), Some("alice"))
    );
    for gone in ["authorization", "x-consumer-username", "x_auth_request_user"] {
        assert_eq!(sent.field(gone), None, "{gone}");
    }

    let missing = call(&gateway, "GET", "/orders", &[]);
    let challenge = missing.field("www-authenticate").unwrap_or_default();
    assert!(missing.status == 401 && challenge.starts_with("Bearer realm="), "{challenge}");
    assert!(!challenge.contains("error="), "{challenge}");

    let reader = provider.token("alice", &[("scope", "orders:read")]);
    assert_eq!(with_token(&gateway, "GET", "/orders", &reader).status, 200);
    let refused = with_token(&gateway, "POST", "/orders", &reader);
    let challenge = refused.field("www-authenticate").unwrap_or_default();
    assert_eq!((refused.status, &*code(&refused)), (403, "insufficient-scope"));
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"orders:write\""), "{challenge}");

    // What is bound to a claim is the caller's own.
    upstream.take();
    assert_eq!(with_token(&gateway, "GET", "/users/alice/orders", &alice).status, 200);
    assert_eq!(upstream.take().len(), 1);
    let bob = provider.token("bob", &[]);
    assert_eq!(code(&with_token(&gateway, "GET", "/users/alice/orders", &bob)), "parameter-not-own");
    assert!(upstream.take().is_empty());
}

#[test]
fn what_is_no_access_token_for_this_api_is_refused() {
    let Some(provider) = Provider::start("what_is_no_access_token_for_this_api_is_refused") else { return };
    let upstream = Recorder::start();
    let gateway = gateway(&provider, &upstream, "");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signed = |claims: Value, header: Value| provider.signed(&claims, &header, &[]);
    let good = signed(json!({}), json!({}));
    assert_eq!(with_token(&gateway, "GET", "/orders", &scoped(&provider, json!({}))).status, 200);
    upstream.take();
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let none = "eyJhbGciOiJub25lIn0";
    for (what, token) in [
        ("another audience", scoped(&provider, json!({ "aud": "billing" }))),
        ("no audience", scoped(&provider, json!({ "aud": null }))),
        ("expired", scoped(&provider, json!({ "exp": now - 60 }))),
        ("without an end", scoped(&provider, json!({ "exp": null }))),
        ("not yet", scoped(&provider, json!({ "nbf": now + 600 }))),
        ("another issuer", scoped(&provider, json!({ "iss": "https://evil.example" }))),
        (
            "an ID token",
            signed(json!({ "scope": "orders:read", "nonce": "n", "at_hash": "x" }), json!({ "typ": "JWT" })),
        ),
        ("a logout token", signed(json!({ "scope": "orders:read" }), json!({ "typ": "logout+jwt" }))),
        (
            "a stranger's signature",
            provider.signed(&json!({ "scope": "orders:read" }), &json!({}), &[("stranger", "1")]),
        ),
        ("an unknown key", signed(json!({ "scope": "orders:read" }), json!({ "kid": "../../etc/passwd" }))),
        ("no signature", format!("{head}.{payload}.")),
        ("no algorithm", format!("{none}.{payload}.")),
        ("no algorithm, signed", format!("{none}.{payload}.{signature}")),
        ("opaque", "not-a-token".to_owned()),
        ("bytes", "a.b.c".to_owned()),
        ("empty parts", "..".to_owned()),
    ] {
        let refused = with_token(&gateway, "GET", "/orders", &token);
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
        let challenge = refused.field("www-authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
    }
    let token = scoped(&provider, json!({}));
    let bearer = format!("Bearer {token}");
    for (what, target, fields) in [
        ("in the query", format!("/orders?access_token={token}"), vec![]),
        ("in two places", format!("/orders?access_token={token}"), vec![("Authorization", bearer.as_str())]),
        (
            "twice",
            "/orders".to_owned(),
            vec![("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())],
        ),
    ] {
        let refused = call(&gateway, "GET", &target, &fields);
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
    }
    assert!(upstream.take().is_empty(), "something that was refused reached the API");
    assert!(!gateway.log().contains(&token), "a token stands in the log");
}

/// A token for this API with the scope to read, and these claims over the usual ones.
fn scoped(provider: &Provider, mut claims: Value) -> String {
    claims["scope"] = "orders:read".into();
    provider.signed(&claims, &json!({}), &[])
}

#[test]
fn opaque_tokens_are_asked_about_and_revoked_ones_end_soon() {
    let Some(provider) = Provider::start("opaque_tokens_are_asked_about") else { return };
    let upstream = Recorder::start();
    let introspection = ", introspection: { client_id: gateway, client_secret: secret-of-gateway, cache: 2s, negative_cache: 1s }";
    let gateway = gateway(&provider, &upstream, introspection);
    let token = provider.token("alice", &[("format", "opaque")]);
    for _ in 0..20 {
        assert_eq!(with_token(&gateway, "GET", "/orders", &token).status, 200);
    }
    assert_eq!(provider.count("/token/introspection"), 1, "an answer holds for a while");
    assert_eq!(upstream.take().len(), 20);
    provider.hook("revoke", &[("token", &token)]);
    thread::sleep(Duration::from_millis(2100));
    let refused = with_token(&gateway, "GET", "/orders", &token);
    assert_eq!((refused.status, &*code(&refused)), (401, "token-invalid"));
    assert_eq!(with_token(&gateway, "GET", "/orders", "guessed").status, 401);
    provider.hook("fault", &[("is", "500")]);
    let unknown = with_token(&gateway, "GET", "/orders", "guessed-again");
    assert_eq!((unknown.status, unknown.field("retry-after").is_some()), (503, true));
    assert!(upstream.take().is_empty());
}

#[test]
fn a_token_that_is_bound_to_a_key_needs_its_proof() {
    let Some(provider) = Provider::start("a_token_that_is_bound_to_a_key_needs_its_proof") else { return };
    let upstream = Recorder::start();
    let gateway = gateway(&provider, &upstream, "");
    let token = provider.token("alice", &[("dpop", "1")]);
    let dpop = format!("DPoP {token}");
    let url = format!("{}/orders", gateway.url());
    let proof = |more: &[(&str, &str)]| {
        let usual = [("token", token.as_str()), ("url", url.as_str())];
        let more: Vec<_> = usual
            .iter()
            .filter(|(key, _)| !more.iter().any(|(k, _)| k == key))
            .chain(more)
            .copied()
            .collect();
        provider.hook("proof", &more)
    };
    let send = |fields: &[(&str, &str)]| call(&gateway, "GET", "/orders", fields);
    let good = proof(&[]);
    assert_eq!(send(&[("Authorization", &dpop), ("DPoP", &good)]).status, 200);
    let sent = upstream.take().pop().unwrap();
    assert_eq!((sent.field("authorization"), sent.field("dpop")), (None, None));

    let bearer = with_token(&gateway, "GET", "/orders", &token);
    let challenge = bearer.field("www-authenticate").unwrap_or_default();
    assert_eq!(bearer.status, 401, "a bound token as plain Bearer");
    assert!(challenge.contains("DPoP realm=\"api\", error=\"invalid_token\", algs="), "{challenge}");
    let (other, unbound) = (provider.token("bob", &[("dpop", "1")]), provider.token("alice", &[]));
    for (what, authorization, field) in [
        ("no proof", dpop.clone(), None),
        ("the same proof again", dpop.clone(), Some(good)),
        ("another method", dpop.clone(), Some(proof(&[("method", "POST")]))),
        ("another path", dpop.clone(), Some(proof(&[("url", &format!("{}/other", gateway.url()))]))),
        ("another host", dpop.clone(), Some(proof(&[("url", "http://other.example/orders")]))),
        ("another token", dpop.clone(), Some(proof(&[("token", &other)]))),
        ("too old", dpop.clone(), Some(proof(&[("iat", "1000000000")]))),
        ("an unbound token", format!("DPoP {unbound}"), Some(proof(&[("token", &unbound)]))),
        ("no proof at all", dpop.clone(), Some("x.y.z".to_owned())),
    ] {
        let mut fields = vec![("Authorization", authorization.as_str())];
        fields.extend(field.as_deref().map(|proof| ("DPoP", proof)));
        let refused = send(&fields);
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
    }
    assert!(upstream.take().is_empty());
}

#[test]
fn without_its_provider_the_gateway_knows_what_it_knew() {
    let Some(provider) = Provider::start("without_its_provider_the_gateway_knows_what_it_knew") else {
        return;
    };
    let upstream = Recorder::start();
    let knowing = gateway(&provider, &upstream, "");
    let token = provider.token("alice", &[]);
    assert_eq!(with_token(&knowing, "GET", "/orders", &token).status, 200);
    upstream.take();
    for fault in ["gone", "500", "wrong"] {
        provider.hook("fault", &[("is", fault)]);
        assert_eq!(with_token(&knowing, "GET", "/orders", &token).status, 200, "{fault}");
        upstream.take();
        // One that never saw the keys cannot tell, and lets nothing through.
        let ignorant = gateway(&provider, &upstream, "");
        let refused = with_token(&ignorant, "GET", "/orders", &token);
        assert_eq!((refused.status, refused.field("retry-after").is_some()), (503, true), "{fault}");
        assert!(upstream.take().is_empty(), "{fault}");
    }
}

/// For as many seconds as `PORTCULLIS_TEST_OUTAGE` says, or three.
#[test]
fn an_outage_of_the_provider_opens_nothing_and_closes_nothing() {
    let Some(provider) = Provider::start("an_outage_of_the_provider_opens_nothing") else { return };
    let seconds =
        std::env::var("PORTCULLIS_TEST_OUTAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let upstream = Recorder::start();
    let gateway = gateway(&provider, &upstream, "");
    let known = scoped(&provider, json!({ "exp": 4_000_000_000_u64 }));
    let unknown = provider.signed(
        &json!({ "scope": "orders:read", "exp": 4_000_000_000_u64 }),
        &json!({ "kid": "of-tomorrow" }),
        &[],
    );
    assert_eq!(with_token(&gateway, "GET", "/orders", &known).status, 200);
    provider.hook("fault", &[("is", "gone")]);
    upstream.take();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        assert_eq!(with_token(&gateway, "GET", "/orders", &known).status, 200, "{:?}", began.elapsed());
        assert_eq!(upstream.take().len(), 1);
        let refused = with_token(&gateway, "GET", "/orders", &unknown);
        // What the provider said a short while ago holds; from then on nobody knows.
        let told = refused.status == 401 && began.elapsed() < Duration::from_secs(31);
        let untold = refused.status == 503 && refused.field("retry-after").is_some();
        assert!(told || untold, "{:?}: {}", began.elapsed(), refused.text());
        assert!(upstream.take().is_empty());
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn unknown_keys_cost_the_provider_one_fetch() {
    let Some(provider) = Provider::start("unknown_keys_cost_the_provider_one_fetch") else { return };
    let upstream = Recorder::start();
    let gateway = gateway(&provider, &upstream, "");
    let token = provider.token("alice", &[]);
    assert_eq!(with_token(&gateway, "GET", "/orders", &token).status, 200);
    let began = Instant::now();
    let before = provider.count("/jwks");
    let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (address, payload, signature) = (gateway.address, payload.to_owned(), signature.to_owned());
            thread::spawn(move || {
                let mut client = Client::connect(address);
                for number in 0..2500 {
                    let header =
                        json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("k-{thread}-{number}") });
                    let token = format!("{}.{payload}.{signature}", base64url(header.to_string().as_bytes()));
                    let fields = [("Authorization", format!("Bearer {token}"))];
                    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
                    assert_eq!(client.call("GET", "/orders", &fields, b"").unwrap().status, 401);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let fetches = provider.count("/jwks") - before;
    let most = began.elapsed().as_secs() / 30 + 1;
    assert!(fetches <= most, "{fetches} fetches for 10,000 unknown keys within {:?}", began.elapsed());
    assert_eq!(with_token(&gateway, "GET", "/orders", &token).status, 200);
}

#[test]
fn keys_change_without_a_refused_call() {
    let Some(provider) = Provider::start("keys_change_without_a_refused_call") else { return };
    let upstream = Recorder::start();
    let (prompt, lazy) = (gateway(&provider, &upstream, ", refresh: 30s"), gateway(&provider, &upstream, ""));
    let passes = |gateway: &Gateway, token: &str| with_token(gateway, "GET", "/orders", token).status == 200;
    let old = provider.token("alice", &[]);
    assert!(passes(&prompt, &old) && passes(&lazy, &old));
    assert_eq!(provider.count("/jwks"), 2);
    // The new key is published. One gateway sees it in time; the other meets it in a token.
    provider.hook("rotate", &[("publish", "1")]);
    provider.wait_for("/jwks", 3, Duration::from_secs(60));
    thread::sleep(Duration::from_secs(1));
    assert!(passes(&prompt, &old) && passes(&lazy, &old));
    provider.hook("rotate", &[]);
    let new = provider.token("alice", &[]);
    assert!(passes(&prompt, &new) && passes(&lazy, &new));
    assert_eq!(provider.count("/jwks"), 4, "one fetch for the one that did not know");
    // The old key is no longer the provider's.
    assert!(!passes(&lazy, &old));
}

#[test]
fn a_token_that_is_bound_to_a_certificate_needs_it() {
    const NAME: &str = "a_token_that_is_bound_to_a_certificate_needs_it";
    let (Some(openssl), Some(curl)) = (needs(NAME, "openssl"), needs(NAME, "curl")) else { return };
    let Some(provider) = Provider::start(NAME) else { return };
    let upstream = Recorder::start();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::make(&openssl, folder.path());
    for name in ["mine", "other", "revoked"] {
        authority.sign(name);
    }
    authority.revoke("revoked");
    let server = Certificate::make();
    let listener = server.listener().replace(
        ", key:",
        &format!(", client_ca: {0}/ca.pem, crl: [{0}/crl.pem], key:", folder.path().display()),
    );
    let gateway = options(&provider, upstream.address, "", &format!("{listener}\n")).start_as_written();
    let token = provider.token("bound", &[("certificate", &authority.der("mine"))]);
    let status = |certificate: Option<&str>, token: &str| {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert"]);
        command
            .arg(server.path())
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", gateway.address.port())]);
        if let Some(name) = certificate {
            command.arg("--cert").arg(folder.path().join(format!("{name}.pem")));
            command.arg("--key").arg(folder.path().join(format!("{name}.key")));
        }
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        command.arg(format!("https://localhost:{}/orders", gateway.address.port()));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(status(Some("mine"), &token), "200");
    assert_eq!(upstream.take().len(), 1);
    assert_eq!(status(Some("other"), &token), "401");
    assert_eq!(status(None, &token), "401");
    // A certificate that was revoked ends in the handshake, whatever the token.
    assert_eq!(status(Some("revoked"), &provider.token("alice", &[])), "000");
    assert!(upstream.take().is_empty());
}

const OBJECTS: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Objects", "version": "1"},
  "components": {"securitySchemes": {"login": {"type": "http", "scheme": "bearer"}}},
  "security": [{"login": []}],
  "paths": {
    "/orders/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {"responses": {"200": {"description": "ok"}}},
      "put": {"requestBody": {"content": {"application/json": {}}}, "responses": {"200": {"description": "ok"}}},
      "patch": {"requestBody": {"content": {"application/json": {}}}, "responses": {"200": {"description": "ok"}}},
      "delete": {"responses": {"200": {"description": "ok"}}}
    },
    "/orders": {
      "get": {"operationId": "list", "parameters": [{"name": "owner", "in": "query", "schema": {"type": "string"}}],
              "responses": {"200": {"description": "ok"}}},
      "post": {"operationId": "add", "requestBody": {"content": {"application/json": {}}},
               "responses": {"201": {"description": "ok"}}}
    }
  }
}"#;

#[test]
fn two_users_cannot_touch_each_others_objects() {
    const NAME: &str = "two_users_cannot_touch_each_others_objects";
    let Some(program) = needs(NAME, "json-server") else { return };
    let Some(provider) = Provider::start(NAME) else { return };
    let folder = tempfile::tempdir().unwrap();
    let order =
        |id: &str, owner: &str| json!({ "id": id, "owner": owner, "secret": format!("canary-{owner}-{id}") });
    let orders: Vec<_> = [("a1", "alice"), ("a2", "alice"), ("b1", "bob"), ("b2", "bob")]
        .map(|(id, owner)| order(id, owner))
        .into();
    fs::write(folder.path().join("db.json"), json!({ "orders": orders }).to_string()).unwrap();
    let address = free_address();
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--quiet", "db.json"]);
    let api = Peer::start(command, folder, address);
    let policies = "policies:\n\
        - match: { path: \"/orders/{id}\" }\n  authorize: { owner: { response: /owner, is: token.sub } }\n\
        - match: { operation: list }\n  authorize: { bind: { query.owner: token.sub }, owner: { response: /*/owner, is: token.sub } }\n\
        - match: { operation: add }\n  authorize: { bind: { body.owner: token.sub } }\n";
    let config = format!(
        "upstream: http://{}\nlimit: {{ baseline: off }}\n{}{policies}",
        api.address,
        provider.section("")
    );
    let gateway = Options::config(config).spec(OBJECTS).start();
    let stored = |id: &str| Client::connect(api.address).get(&format!("/orders/{id}")).unwrap().text();
    let tokens = [("alice", provider.token("alice", &[])), ("bob", provider.token("bob", &[]))];
    let send = |token: &str, method: &str, target: &str, body: Option<&Value>| {
        let authorization = format!("Bearer {token}");
        let mut fields = vec![("Authorization", authorization.as_str())];
        fields.extend(body.map(|_| ("Content-Type", "application/json")));
        let body = body.map(Value::to_string).unwrap_or_default();
        Client::connect(gateway.address).call(method, target, &fields, body.as_bytes()).unwrap()
    };
    for (user, token) in &tokens {
        for (id, owner) in [("a1", "alice"), ("b1", "bob")] {
            let target = format!("/orders/{id}");
            let own = *user == owner;
            let before = stored(id);
            let read = send(token, "GET", &target, None);
            assert_eq!((read.status == 200, read.text().contains("canary")), (own, own), "{user} reads {id}");
            let ranged = Client::connect(gateway.address)
                .call(
                    "GET",
                    &target,
                    &[("Authorization", &format!("Bearer {token}")), ("Range", "bytes=0-200")],
                    b"",
                )
                .unwrap();
            assert_eq!(ranged.text().contains("canary"), own, "{user} reads a part of {id}");
            let patched = send(token, "PATCH", &target, Some(&json!({ "note": format!("{user} was here") })));
            assert_eq!((patched.status == 200, stored(id) != before), (own, own), "{user} patches {id}");
            let before = stored(id);
            let taken = json!({ "owner": user, "secret": "mine now" });
            if !own {
                let put = send(token, "PUT", &target, Some(&taken));
                let deleted = send(token, "DELETE", &target, None);
                assert_eq!((put.status, deleted.status), (404, 404), "{user} takes {id}");
                assert!(!put.text().contains("canary") && !deleted.text().contains("canary"));
                assert_eq!(stored(id), before, "{user} takes {id}");
            }
        }
        let own = send(token, "GET", &format!("/orders?owner={user}"), None);
        assert!(own.status == 200 && own.text().contains(&format!("canary-{user}")), "{}", own.text());
        for target in
            ["/orders", "/orders?owner=alice&owner=bob", "/orders?owner_like=.", "/orders?owner=nobody"]
        {
            let refused = send(token, "GET", target, None);
            assert!(refused.status == 403 && !refused.text().contains("canary"), "{user} lists {target}");
        }
        assert_eq!(send(token, "POST", "/orders", Some(&json!({ "owner": user }))).status, 201);
        for body in [json!({ "owner": "eve" }), json!({}), json!({ "owner": user, "Owner": "eve" })] {
            assert_eq!(send(token, "POST", "/orders", Some(&body)).status, 403, "{user} adds {body}");
        }
    }
    // What is one's own can go.
    for ((_, token), id) in tokens.iter().zip(["a2", "b2"]) {
        assert_eq!(send(token, "PUT", &format!("/orders/{id}"), Some(&json!({ "owner": "x" }))).status, 200);
        assert_eq!(send(token, "DELETE", &format!("/orders/{id}"), None).status, 404, "given away");
    }
    assert_eq!(send(&tokens[0].1, "DELETE", "/orders/a1", None).status, 200);
    assert!(!stored("a1").contains("canary"));
}

/// A certificate authority in a folder.
struct Authority<'a> {
    openssl: &'a Path,
    folder: &'a Path,
}

impl<'a> Authority<'a> {
    fn make(openssl: &'a Path, folder: &'a Path) -> Self {
        let this = Authority { openssl, folder };
        let config = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\n\
            default_md = sha256\ndefault_days = 2\ndefault_crl_days = 2\npolicy = any\ncertificate = ca.pem\n\
            private_key = ca.key\ncrlnumber = crlnumber\nx509_extensions = leaf\n[any]\ncommonName = supplied\n[leaf]\n\
            basicConstraints = CA:FALSE\n[req]\ndistinguished_name = name\nx509_extensions = root\n[name]\n[root]\n\
            basicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign, cRLSign\n";
        for (name, text) in [("ca.cnf", config), ("index.txt", ""), ("serial", "01\n"), ("crlnumber", "01\n")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        this.run("req -x509 -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca");
        this.run("ca -config ca.cnf -gencrl -out crl.pem");
        this
    }

    fn run(&self, arguments: &str) -> Vec<u8> {
        let output =
            Command::new(self.openssl).args(arguments.split(' ')).current_dir(self.folder).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn sign(&self, name: &str) {
        self.run(&format!("req -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        self.run(&format!("ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -notext"));
    }

    fn revoke(&self, name: &str) {
        self.run(&format!("ca -config ca.cnf -revoke {name}.pem"));
        self.run("ca -config ca.cnf -gencrl -out crl.pem");
    }

    /// The certificate's DER in base64.
    fn der(&self, name: &str) -> String {
        let pem = fs::read_to_string(self.folder.join(format!("{name}.pem"))).unwrap();
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }
}
