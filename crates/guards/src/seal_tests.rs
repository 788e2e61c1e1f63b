use serde_json::{Value, json};

use super::*;
use crate::testing::{Call, build, call, errors, send};

const API: &str = r#"
openapi: 3.1.0
info: { title: Orders, version: '1' }
components: { securitySchemes: { key: { type: apiKey, in: header, name: X-API-Key } } }
security: [{ key: [] }]
paths:
  /orders:
    get:
      operationId: listOrders
      parameters: [{ name: filter, in: query, style: deepObject, schema: {} }, { name: order_id, in: query, schema: {} }, { name: page, in: query, schema: {} }]
      responses: { '200': { description: ok, content: { application/json: { schema: {} } } } }
    post:
      operationId: createOrder
      requestBody: { content: { application/json: { schema: {} }, application/x-www-form-urlencoded: { schema: {} }, multipart/form-data: { schema: {} }, application/xml: { schema: {} }, text/plain: { schema: {} }, image/png: {} } }
      responses: { '201': { description: ok } }
  /orders/{orderId}:
    parameters: [{ name: orderId, in: path, required: true, schema: { type: integer } }]
    get: { operationId: getOrder, responses: { '200': { description: ok } } }
    put:
      operationId: putOrder
      requestBody: { content: { application/json: { schema: {} } } }
      responses: { '200': { description: ok } }
  /users/{name}:
    get: { operationId: getUser, parameters: [{ name: name, in: path, required: true, schema: { type: string } }], responses: { '200': { description: ok } } }
  /status: { get: { operationId: status, security: [], responses: { '200': { description: ok } } } }
"#;

fn policies() -> Value {
    json!({
        "validate": { "unknown_query": "off" },
        "inspect": "off",
        "seal": { "ids": { "order": ["orderId", "/id", "/items/*/id", "header.X-Order"], "user": ["path.name"] } },
    })
}

fn engine() -> Arc<portcullis_engine::Engine> {
    build(API, &policies(), false).unwrap().engine
}

fn by(who: &str, method: &str, target: &str) -> Call {
    call(method, target).with("x-api-key", if who == "alice" { "alice-key" } else { "bob-key" })
}

/// What the id `plain` (as JSON writes it) is for `who`.
fn sealed(who: &str, plain: &str) -> String {
    let body = format!("{{\"id\":{plain}}}");
    let went = send(&engine(), &by(who, "GET", "/orders").answered(200, JSON, &body));
    let value: Value = serde_json::from_str(&went.body).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// What the API got: target and body.
fn forwarded(call: &Call) -> Option<(String, Option<String>)> {
    let went = send(&engine(), call);
    match went.upstream {
        Some((target, _)) => Some((target, went.sent)),
        None => {
            assert_eq!((went.status, went.code()), (404, "object-not-sealed"), "{call:?}");
            None
        }
    }
}

#[test]
fn ids_come_back_as_the_api_wrote_them() {
    let (number, text) = (sealed("alice", "17"), sealed("alice", "\"o-17\""));
    assert!(number.starts_with("pci_") && number != text);
    assert_eq!(sealed("alice", "17"), number, "the same every time");
    assert_ne!(sealed("bob", "17"), number);
    for (call, target, body) in [
        (by("alice", "GET", &format!("/orders/{number}")), "/orders/17", None),
        (
            by("alice", "GET", &format!("/orders?order_id={number}&page=2")),
            "/orders?order_id=17&page=2",
            None,
        ),
        (by("alice", "GET", &format!("/orders?orderId={number},{text}")), "/orders?orderId=17%2Co-17", None),
        (
            by("alice", "GET", &format!("/orders?filter%5BOrderID%5D={number}")),
            "/orders?filter%5BOrderID%5D=17",
            None,
        ),
        (
            by("alice", "PUT", &format!("/orders/{number}"))
                .json(&format!(r#"{{"a": 1.0, "order_id":"{number}","b":[{{"orderId":["{text}",null]}}]}}"#)),
            "/orders/17",
            Some(r#"{"a": 1.0, "order_id":17,"b":[{"orderId":["o-17",null]}]}"#),
        ),
        (
            by("alice", "POST", "/orders").json(&format!(r#"[{{"id":"{number}"}}]"#)),
            "/orders",
            Some(r#"[{"id":17}]"#),
        ),
        (
            by("alice", "POST", "/orders").json(&format!(r#"{{"see":"/orders/{number}?x=1#top"}}"#)),
            "/orders",
            Some(r#"{"see":"/orders/17?x=1#top"}"#),
        ),
        (
            by("alice", "POST", "/orders")
                .json(&format!(r#"{{"see":"http://api.example.com/orders/{number}"}}"#)),
            "/orders",
            Some(r#"{"see":"http://api.example.com/orders/17"}"#),
        ),
    ] {
        let expected = (target.to_owned(), body.map(str::to_owned));
        let got = forwarded(&call).unwrap_or_else(|| panic!("{call:?}"));
        assert_eq!(got.0, expected.0);
        if expected.1.is_some() {
            assert_eq!(got.1, expected.1);
        }
    }
}

#[test]
fn forms_are_opened_too() {
    let id = sealed("alice", "17");
    let form = |body: String, kind: &str| {
        let mut call = by("alice", "POST", "/orders").with("content-type", kind);
        call.body = Some(body);
        forwarded(&call).and_then(|(_, body)| body)
    };
    let urlencoded = "application/x-www-form-urlencoded";
    assert_eq!(form(format!("a=b+c&orderId={id}"), urlencoded).unwrap(), "a=b+c&orderId=17");
    assert_eq!(form(format!("item[id]=1&id={id}"), urlencoded), None, "a name in brackets is a name");
    let parts = |name: &str, kind: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{kind}\r\n\r\n{value}\r\n--b--\r\n")
    };
    let multipart = "multipart/form-data; boundary=b";
    assert_eq!(form(parts("orderId", "", &id), multipart).unwrap(), parts("orderId", "", "17"));
    let json = "\r\nContent-Type: application/json";
    assert_eq!(
        form(parts("x", json, &format!(r#"{{"id":"{id}"}}"#)), multipart).unwrap(),
        parts("x", json, r#"{"id":17}"#)
    );
    for (body, kind) in [
        ("orderId=17".to_owned(), urlencoded),
        ("%6frderId=17".to_owned(), urlencoded),
        (parts("orderId", "", "17"), multipart),
        (parts("order_id[]", "", "17"), multipart),
        (parts("x", json, r#"{"id":17}"#), multipart),
        ("--b\r\nno".to_owned(), multipart),
        ("<a><orderId>17</orderId></a>".to_owned(), "application/xml"),
        ("<a orderId=\"17\"/>".to_owned(), "application/xml"),
        (r#"{"orderId":17}"#.to_owned(), "text/plain"),
        (r#" [{"id":17}]"#.to_owned(), "text/plain"),
    ] {
        assert_eq!(form(body.clone(), kind), None, "{kind} {body}");
    }
}

#[test]
fn what_was_not_sealed_for_the_caller_is_not_there() {
    let (own, foreign) = (sealed("bob", "17"), sealed("alice", "17"));
    let user = {
        let went =
            send(&engine(), &by("bob", "GET", "/orders").answered(200, JSON, r#"{"see":"/users/ann"}"#));
        let value: Value = serde_json::from_str(&went.body).unwrap();
        value["see"].as_str().unwrap().strip_prefix("/users/").unwrap().to_owned()
    };
    assert_eq!(forwarded(&by("bob", "GET", &format!("/users/{user}"))).unwrap().0, "/users/ann");
    for target in [
        "/orders/17".to_owned(),
        "/orders/1.7e1".into(),
        "/orders/%31%37".into(),
        "/orders/pci_17".into(),
        "/orders/pci_".into(),
        format!("/orders/{foreign}"),
        format!("/orders/{user}"),
        format!("/orders/{own},17"),
        format!("/orders/{own}%2C17"),
        format!("/orders/{own}="),
        format!("/orders/{}", own.to_uppercase()),
        format!("/orders/{}", &own[..own.len() - 1]),
        format!("/users/{own}"),
        "/orders?orderId=17".into(),
        "/orders?ORDER-ID=17".into(),
        "/orders?order%49d=17".into(),
        "/orders?orderId[]=17".into(),
        "/orders?filter[orderId]=17".into(),
        "/orders?filter[a][order_id]=17".into(),
        format!("/orders?orderId={own}&orderId=17"),
        format!("/orders?orderId={foreign}"),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(forwarded(&by("bob", method, &target)), None, "{method} {target}");
        }
    }
    for body in [
        r#"{"orderId":17}"#.to_owned(),
        r#"{"orderId":"17"}"#.into(),
        r#"{"orderId":1.7e1}"#.into(),
        r#"{"orderId":true}"#.into(),
        r#"{"ORDER_ID":17}"#.into(),
        r#"{"order\u0049d":17}"#.into(),
        r#"{"a":{"b":[[{"orderId":17}]]}}"#.into(),
        r#"{"orderId":{"orderId":17}}"#.into(),
        r#"{"orderId":[[17]]}"#.into(),
        r#"[{"id":17}]"#.into(),
        r#"[[{"id":17}]]"#.into(),
        r#"{"items":{"id":17}}"#.into(),
        r#"{"items":[{"id":17}]}"#.into(),
        r#"{"see":"/orders/17"}"#.into(),
        r#"{"see":"/x/../orders/%317"}"#.into(),
        format!(r#"{{"id":"{foreign}"}}"#),
        format!(r#"{{"id":"{own} "}}"#),
        r#"{"id":17"#.into(),
        r#"{"id":null,"id":17}"#.into(),
    ] {
        assert_eq!(forwarded(&by("bob", "POST", "/orders").json(&body)), None, "{body}");
    }
    assert_eq!(forwarded(&by("bob", "GET", "/orders").with("x-order", "17")), None);
    let with_own = send(&engine(), &by("bob", "GET", "/orders").with("x-order", &own));
    assert_eq!(with_own.upstream.unwrap().1["x-order"], "17");
}

#[test]
fn what_is_no_id_passes() {
    for body in [
        r#"{"orderId":null,"total":17}"#,
        r#"{"orderId":""}"#,
        r#"{"name":"17","see":"https://elsewhere.example/orders/17","path":"/nowhere/17","text":"orders/17"}"#,
    ] {
        assert_eq!(forwarded(&by("bob", "POST", "/orders").json(body)).unwrap().0, "/orders", "{body}");
    }
    for target in ["/orders", "/orders?page=17", "/orders?orderId="] {
        assert_eq!(forwarded(&by("bob", "GET", target)).unwrap().0, target);
    }
    // A picture may pass unread: the contract describes one.
    let mut upload = by("bob", "POST", "/orders").with("content-type", "image/png");
    upload.body = Some("orderId=17".into());
    assert!(forwarded(&upload).is_some());
    upload.target = format!("/orders/{}", sealed("bob", "1"));
    upload.method = http::Method::PUT;
    let put = send(&engine(), &upload);
    assert!(put.upstream.is_none(), "of this one it does not");
}

#[test]
fn answers_and_their_fields_are_sealed() {
    let id = sealed("alice", "17");
    let body = "{ \"id\" : 17, \"total\":1.0e2,\"items\":[{\"id\":\"x\"},{\"id\":null}],\n\"self\":\"/orders/17?order_id=17\", \"n\":\"\\u0041\"}";
    let fields = [
        ("content-type", "application/json"),
        ("location", "http://api.example.com/orders/17"),
        ("content-location", "/orders/17"),
        (
            "link",
            "</orders/17>; rel=\"self\", <https://elsewhere.example/orders/17>; rel=\"x\", </orders?orderId=17&page=2>; rel=next",
        ),
        ("etag", "\"abc\""),
    ];
    let went = send(&engine(), &by("alice", "POST", "/orders").answered(201, &fields, body));
    let text = sealed("alice", "\"x\"");
    let expected = format!(
        "{{ \"id\" : \"{id}\", \"total\":1.0e2,\"items\":[{{\"id\":\"{text}\"}},{{\"id\":null}}],\n\"self\":\"/orders/{id}?order_id="
    );
    assert!(went.body.starts_with(&expected), "{}", went.body);
    assert!(went.body.ends_with("\"n\":\"\\u0041\"}"), "{}", went.body);
    assert_eq!(went.header("location").unwrap(), format!("http://api.example.com/orders/{id}"));
    assert_eq!(went.header("content-location").unwrap(), format!("/orders/{id}"));
    let link = went.header("link").unwrap();
    assert!(
        link.starts_with(&format!("</orders/{id}>; rel=\"self\", <https://elsewhere.example/orders/17>")),
        "{link}"
    );
    assert!(!link.contains("orderId=17&"), "{link}");
    assert_eq!(went.header("etag"), None, "it spoke of other bytes");
    // Errors name ids, too.
    let error = send(&engine(), &by("alice", "GET", "/orders").answered(409, JSON, r#"{"orderId":17}"#));
    assert!(error.body.contains(&id), "{}", error.body);
}

#[test]
fn guards_between_see_the_apis_own_ids() {
    let mut policies = policies();
    policies["policies"] = json!([
        { "match": { "operation": "getUser" }, "authorize": { "bind": { "path.name": "consumer" } } },
        { "match": { "operation": "getOrder" }, "authorize": { "owner": { "response": "/orderId", "is": "consumer" } } },
        { "match": { "operation": "putOrder" }, "authorize": { "owner": { "response": "/owner", "is": "consumer" } } },
    ]);
    let engine = build(API, &policies, false).unwrap().engine;
    let answer = |text: &str| format!(r#"{{"see":"/users/{text}","orderId":"{text}"}}"#);
    let went = send(&engine, &by("alice", "GET", "/orders").answered(200, JSON, &answer("alice")));
    let value: Value = serde_json::from_str(&went.body).unwrap();
    let (user, order) = (value["see"].as_str().unwrap(), sealed("alice", "17"));
    assert_eq!(send(&engine, &by("alice", "GET", user)).upstream.unwrap().0, "/users/alice");
    let own = by("alice", "GET", &format!("/orders/{order}")).answered(200, JSON, &answer("alice"));
    assert_eq!(send(&engine, &own).status, 200);
    let other = by("alice", "GET", &format!("/orders/{order}")).answered(200, JSON, &answer("bob"));
    assert_eq!(send(&engine, &other).code(), "owner-mismatch");
    let write = by("alice", "PUT", &format!("/orders/{order}")).json("{}").reads(200, r#"{"owner":"alice"}"#);
    assert_eq!(send(&engine, &write).read.as_deref(), Some("GET /orders/17"));
}

#[test]
fn sessions_that_only_the_api_knows_are_readers() {
    let mut policies = policies();
    policies["seal"]["by"] = json!("header.Authorization");
    let engine = build(API, &policies, false).unwrap().engine;
    let id = |session: &str| {
        let call =
            by("alice", "GET", "/orders").with("authorization", session).answered(200, JSON, r#"{"id":17}"#);
        serde_json::from_str::<Value>(&send(&engine, &call).body).unwrap()["id"].as_str().map(str::to_owned)
    };
    let own = id("Bearer a").unwrap();
    let get = |session: &str| {
        send(&engine, &by("alice", "GET", &format!("/orders/{own}")).with("authorization", session)).status
    };
    assert_eq!((get("Bearer a"), get("Bearer b"), get("")), (200, 404, 404));
    assert_eq!(send(&engine, &by("alice", "GET", &format!("/orders/{own}"))).status, 404);
}

#[test]
fn monitoring_changes_nothing() {
    let mut policies = policies();
    policies["seal"]["mode"] = json!("monitor");
    let engine = build(API, &policies, false).unwrap().engine;
    let went = send(&engine, &by("bob", "GET", "/orders/17").answered(200, JSON, r#"{"id":17}"#));
    assert_eq!((went.upstream.as_ref().unwrap().0.as_str(), &*went.body), ("/orders/17", r#"{"id":17}"#));
    assert_eq!(went.found(), ["object-not-sealed"]);
}

#[test]
fn mistakes_are_named() {
    let wrong = |seal: Value| errors(API, json!({ "seal": seal }));
    assert_eq!(wrong(json!({ "ids": { "order": "orderId" } })), Vec::<String>::new());
    for (seal, expected) in [
        (json!({ "ids": { "order": "path.orderID" } }), "did you mean `orderId`?"),
        (json!({ "ids": { "order": "cookie.sid" } }), "ids in cookies"),
        (json!({ "ids": { "order": "_" } }), "expected a path"),
        (json!({ "ids": { "order": "orderId" }, "by": "path.x" }), "expected `header.NAME`"),
        (json!({ "ids": { "order": "orderId" }, "keys": "card" }), "did you mean `cards`?"),
    ] {
        let errors = wrong(seal.clone());
        assert!(errors.iter().any(|error| error.contains(expected)), "{seal}: {errors:?}");
    }
    let public = json!({
        "seal": { "ids": { "order": "orderId" } },
        "policies": [{ "match": { "operation": "getOrder" }, "public": true }],
    });
    assert!(errors(API, public).iter().any(|error| error.contains("nobody to seal ids for")));
}
