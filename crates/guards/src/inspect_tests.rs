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
fn what_passes_hides_nothing_of_another_kind() {
    let both = call("POST", "/posts").json(r#"{"html":"1' or '1'='1 <script>alert(1)</script>"}"#);
    for policies in [
        json!({ "inspect": { "classes": { "xss": "off" } } }),
        json!({ "inspect": { "classes": { "xss": "monitor" } } }),
        json!({ "inspect": { "except": [{ "field": "/html", "classes": ["xss"], "reason": "editors write HTML" }] } }),
    ] {
        assert_eq!(went(policies, &both), "inspect-sql");
    }
}

#[test]
fn what_is_costly_to_judge_is_refused() {
    let costly = "window['{{O:1:\\u0041..etc/passwd+ADw-~window['+%2525".repeat(200);
    let post = || call("POST", "/posts").json(&json!({ "text": costly, "id": "x' or 'a'='a" }).to_string());
    let code = went(json!({}), &post());
    assert_ne!(code, "permitted");
    // In a body of many small values, too: they share what one body may cost.
    let many: Vec<String> = (0..400).map(|n| format!("[[{{%{n}%25;ls")).collect();
    let body = json!({ "many": many, "last": "x' or 'a'='a" }).to_string();
    assert_ne!(went(json!({}), &call("POST", "/posts").json(&body)), "permitted");
    // Whoever lets it pass has the rest judged all the same.
    let watched =
        json!({ "inspect": { "classes": { "excess": "monitor", "template": "off", "command": "off" } } });
    assert_ne!(went(watched, &post()), "permitted");
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

const ORDERS: &str = r#"
openapi: 3.1.0
info: { title: Orders, version: '1' }
paths:
  /orders:
    get:
      operationId: listOrders
      security: []
      parameters:
        - { name: id, in: query, schema: { type: string, format: uuid } }
        - { name: sort, in: query, schema: { enum: ["name' or 1=1 --", date] } }
        - { name: mail, in: query, schema: { type: string, format: email } }
        - { name: q, in: query, schema: { type: string } }
      responses: { '200': { description: ok } }
    post:
      operationId: addOrder
      security: []
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                kind: { enum: ["<script>alert(1)</script>"] }
                note: { type: string }
                lines: { type: array, items: { type: object, properties: { sku: { type: string, pattern: '^[A-Z]+$' } } } }
      responses: { '200': { description: ok } }
"#;

#[test]
fn the_contract_makes_it_unnecessary_or_stricter() {
    let went = |policies: serde_json::Value, call: &crate::testing::Call| {
        send(&build(ORDERS, &policies, false).unwrap().engine, call).code()
    };
    let get = |query: &str| call("GET", &format!("/orders?{query}"));
    // What the contract itself names is no attack, as long as the contract is held.
    let listed = get("sort=name%27%20or%201%3D1%20--");
    assert_eq!(went(json!({}), &listed), "permitted");
    assert_eq!(went(json!({ "validate": { "parameters": "monitor" } }), &listed), "inspect-sql");
    assert_eq!(went(json!({ "validate": { "mode": "monitor" } }), &listed), "inspect-sql");
    assert_eq!(went(json!({ "validate": { "on_error": "open" } }), &listed), "inspect-sql");
    let kind = call("POST", "/orders").json(r#"{"kind":"<script>alert(1)</script>"}"#);
    assert_eq!(went(json!({}), &kind), "permitted");
    assert_eq!(went(json!({ "validate": { "body": "monitor" } }), &kind), "inspect-xss");
    // The same name elsewhere, another spelling, and a second value are no way past.
    for body in [
        r#"{"note":"<script>alert(1)</script>"}"#,
        r#"{"other":{"kind":"<script>alert(1)</script>"}}"#,
        r#"{"Kind":"<script>alert(1)</script>"}"#,
        r#"{"lines":[{"sku":"A","x":"<script>alert(1)</script>"}]}"#,
    ] {
        assert_eq!(went(json!({}), &call("POST", "/orders").json(body)), "inspect-xss", "{body}");
    }
    for query in [
        "q=name%27%20or%201%3D1%20--",
        "%73ort=x%27%20or%201%3D1%20--",
        "sort=date&sort=x%27%20or%201%3D1%20--",
    ] {
        assert_ne!(went(json!({}), &get(query)), "permitted", "{query}");
    }
    // Worth a look in free text, and an attack where an address should stand.
    let odd = "mail=%22%3Cstyle%3E%22@x.example";
    assert_eq!(
        went(json!({ "validate": { "mode": "monitor" } }), &get(&odd.replace("mail", "q"))),
        "permitted"
    );
    assert_eq!(went(json!({ "validate": { "mode": "monitor" } }), &get(odd)), "inspect-xss");
}

#[test]
fn archives_are_looked_into() {
    let upload = |policies: serde_json::Value, content: &[u8]| {
        let mut call = call("POST", "/posts").with("content-type", "multipart/form-data; boundary=b");
        // Every byte as the character of its number would be another byte: only ASCII may be in it.
        let content = std::str::from_utf8(content).unwrap();
        call.body = Some(format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n\r\n{content}\r\n--b--\r\n"
        ));
        went(policies, &call)
    };
    // An empty archive, one that breaks off, one of a kind that is not looked into.
    assert_eq!(upload(json!({}), b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "permitted");
    assert_eq!(upload(json!({}), b"PK\x03\x04\0\0\0\0"), "inspect-upload");
    assert_eq!(upload(json!({}), b"BZh91AY"), "inspect-upload");
    assert_eq!(upload(json!({ "inspect": { "archives": { "opaque": "off" } } }), b"BZh91AY"), "permitted");
    assert_eq!(upload(json!({ "inspect": { "uploads": "monitor" } }), b"PK\x03\x04\0\0\0\0"), "permitted");
}

#[test]
fn whole_files_are_read_where_that_is_wanted() {
    let program = || {
        let mut call = call("POST", "/posts").with("content-type", "application/octet-stream");
        call.body = Some("MZ program".into());
        call
    };
    let lenient = json!({ "validate": "off" });
    assert_eq!(went(lenient, &program()), "permitted");
    let whole = json!({ "validate": "off", "inspect": { "whole_files": true } });
    assert_eq!(went(whole, &program()), "inspect-upload");
}

#[test]
fn a_scanner_is_asked_about_files() {
    let policies = || json!({ "inspect": { "icap": { "url": "icap://127.0.0.1:1344/scan" } } });
    let upload = |files: usize, answers: &str| {
        let mut call = call("POST", "/posts").with("content-type", "multipart/form-data; boundary=b");
        let part = |n: usize| {
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"f{n}\"; filename=\"a.txt\"\r\n\r\nhello\r\n"
            )
        };
        call.body = Some((0..files).map(part).collect::<String>() + "--b--\r\n");
        call.outside = vec![(200, answers.to_owned())];
        let went = send(&build(FORUM, &policies(), false).unwrap().engine, &call);
        (went.code(), went.asked)
    };
    const CLEAN: &str = "ICAP/1.0 204 No Content\r\n\r\n";
    let (code, asked) = upload(2, &CLEAN.repeat(2));
    assert_eq!((code, &*asked[0].0), ("permitted", "127.0.0.1:1344"));
    assert_eq!(asked[0].2.matches("hello").count(), 2);
    assert_eq!(upload(1, "ICAP/1.0 200 OK\r\nX-Infection-Found: Threat=Test\r\n\r\n").0, "inspect-upload");
    // One answer for two files, an answer that is none: nobody has looked.
    assert_eq!(upload(2, CLEAN).0, "lookup-failed");
    assert_eq!(upload(1, "").0, "lookup-failed");
    let found = errors(
        SHOP,
        json!({ "inspect": { "icap": { "url": "http://a/b" } }, "authenticate": { "schemes": { "user": "upstream" } } }),
    );
    assert!(found.iter().any(|error| error.contains("icap://127.0.0.1:1344")), "{found:?}");
}
