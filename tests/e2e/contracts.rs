//! The contract at the gateway: bodies that are not JSON are read by what the document says of them, too.

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, Options};
use crate::harness::recorder::Recorder;

const CONTRACT: &str = r##"
openapi: 3.1.0
info: { title: orders, version: "1" }
security: []
paths:
  /orders:
    post:
      requestBody:
        required: true
        content:
          application/xml: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-ndjson: { schema: { $ref: "#/components/schemas/Line" } }
      responses: { default: { description: any } }
components:
  schemas:
    # Neither says that it is an object: many documents do not.
    Order:
      xml: { name: order }
      additionalProperties: false
      required: [number, lines]
      properties:
        number: { type: integer, minimum: 1, xml: { attribute: true } }
        note: { type: string, maxLength: 20 }
        lines:
          type: array
          maxItems: 3
          xml: { wrapped: true, name: lines }
          items: { allOf: [{ $ref: "#/components/schemas/Line" }], xml: { name: line } }
    Line:
      additionalProperties: false
      required: [sku, quantity]
      properties:
        sku: { type: string, pattern: "^[A-Z]{2}-[0-9]+$" }
        quantity: { type: integer, maximum: 10 }
"##;

fn gateway(recorder: &Recorder) -> Gateway {
    let more = "contract: orders.yaml\nvalidate: { unknown_property: enforce }\ninspect: off\n";
    Options::config(format!("upstream: http://{}\n{more}", recorder.address))
        .file("orders.yaml", CONTRACT)
        .start()
}

fn post(gateway: &Gateway, kind: &str, body: &[u8]) -> Response {
    Client::connect(gateway.address).call("POST", "/orders", &[("Content-Type", kind)], body).unwrap()
}

const ORDER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<order number="7"><note>tea &amp; cake</note><lines>
  <line><sku>AB-1</sku><quantity>2</quantity></line><line><sku>CD-22</sku><quantity>10</quantity></line>
</lines></order>"#;

#[test]
fn xml_is_held_to_the_contract() {
    let recorder = Recorder::start();
    let gateway = gateway(&recorder);
    let response = post(&gateway, "application/xml", ORDER.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(recorder.take().remove(0).body, ORDER.as_bytes(), "what was good went on unchanged");

    for (from, to, pointer) in [
        (r#" number="7""#, "", ""),
        (r#"number="7""#, r#"number="0""#, "/number"),
        (r#"number="7""#, r#"number="seven""#, "/number"),
        ("tea &amp; cake", "tea and cake and more tea", "/note"),
        ("AB-1", "AB-1' OR '1'='1", "/lines/0/sku"),
        ("<quantity>10<", "<quantity>11<", "/lines/1/quantity"),
        ("<note>", "<discount>100</discount><note>", "/discount"),
        ("</lines>", &"<line><sku>AB-1</sku><quantity>1</quantity></line>".repeat(2), ""),
        ("<order ", "<!DOCTYPE order [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><order ", ""),
        ("tea &amp; cake", "&e;", ""),
        ("</order>", "", ""),
        ("</order>", "</order><order/>", ""),
    ] {
        let wrong = ORDER.replace(from, to);
        assert_ne!(wrong, ORDER, "nothing was changed");
        let response = post(&gateway, "application/xml; charset=utf-8", wrong.as_bytes());
        assert!([400, 422].contains(&response.status), "{wrong}\n{}", response.text());
        let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        if !pointer.is_empty() {
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{wrong}\n{problem}");
        }
        assert!(!response.text().contains("passwd"), "the caller's own bytes came back");
    }
    assert!(recorder.take().is_empty(), "what was refused reached the API");
}

#[test]
fn values_that_come_line_by_line_are_each_held_to_the_contract() {
    let recorder = Recorder::start();
    let gateway = gateway(&recorder);
    let good = "{\"sku\":\"AB-1\",\"quantity\":1}\n{\"sku\":\"CD-2\",\"quantity\":2}\n";
    assert_eq!(post(&gateway, "application/x-ndjson", good.as_bytes()).status, 200);
    assert_eq!(recorder.take().remove(0).body, good.as_bytes());
    for wrong in [
        "{\"sku\":\"AB-1\",\"quantity\":1}\n{\"sku\":\"CD-2\",\"quantity\":20}\n",
        "{\"sku\":\"AB-1\",\"quantity\":1}\n{\"sku\":\"CD-2\"}\n",
        "{\"sku\":\"AB-1\",\"quantity\":1}\n{\"sku\":\"CD-2\",\"quantity\":1,\"free\":true}\n",
        "{\"sku\":\"AB-1\",\"quantity\":1}\n{\"sku\":",
        "{\"sku\":\"AB-1\",\"quantity\":1},{\"sku\":\"CD-2\",\"quantity\":2}\n",
    ] {
        let response = post(&gateway, "application/x-ndjson", wrong.as_bytes());
        assert!([400, 422].contains(&response.status), "{wrong}\n{}", response.text());
    }
    // What the operation does not take is refused, also in the dress of what it does.
    assert_eq!(post(&gateway, "application/json", good.as_bytes()).status, 415);
    assert_eq!(post(&gateway, "text/xml", ORDER.as_bytes()).status, 415);
    assert!(recorder.take().is_empty());
}
