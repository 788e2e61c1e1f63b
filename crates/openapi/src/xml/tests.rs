use serde_json::json;

use crate::build::tests::load;
use crate::{BodyLimits, Checks, Contract, ViolationKind};

/// An operation that takes an order in JSON and XML.
fn orders(version: &str, schema: &str) -> Contract {
    let contract = load(&format!(
        "openapi: {version}\npaths: {{/x: {{post: {{requestBody: {{content: {{application/json: {{schema: &s {schema}}}, \
         application/xml: {{schema: *s}}}}}}, responses: {{}}}}}}}}\n\
         components: {{schemas: {{Tag: {{type: object, required: [id], properties: {{id: {{type: integer}}}}, xml: {{name: label}}}}, \
         Node: {{type: object, required: [v], properties: {{v: {{type: integer}}, next: {{$ref: '#/components/schemas/Node'}}}}}}}}}}"
    ));
    assert!(contract.problems().is_empty(), "{:?}", contract.problems());
    contract
}

fn found(contract: &Contract, body: &str) -> Vec<(ViolationKind, String)> {
    let found = contract.check_request_body(0, Some("application/xml"), body.as_bytes(), Checks::default());
    found.into_iter().map(|violation| (violation.kind, violation.pointer.into())).collect()
}

fn places(contract: &Contract, body: &str) -> Vec<String> {
    found(contract, body).into_iter().map(|(_, pointer)| pointer).collect()
}

const ORDER: &str = "{type: object, required: [id, items], additionalProperties: false, properties: {
    id: {type: integer, xml: {attribute: true}}, total: {type: number, xml: {name: Sum, prefix: o, namespace: 'urn:o'}},
    paid: {type: boolean}, note: {type: string, maxLength: 5, nullable: true},
    items: {type: array, minItems: 1, items: {type: string, xml: {name: item}}},
    tags: {type: array, xml: {wrapped: true, name: labels}, items: {$ref: '#/components/schemas/Tag'}},
    sizes: {type: array, xml: {wrapped: true}, items: {type: integer}}, node: {$ref: '#/components/schemas/Node'}}}";

#[test]
fn members_by_what_the_schema_calls_them() {
    let contract = orders("3.0.3", ORDER);
    for (body, wrong) in [
        ("<order id='1'><item>a</item></order>", &[][..]),
        (
            "<?xml version='1.0' encoding='UTF-8'?>\n<!-- a -->\n<o:order xmlns:o='urn:o' id='1'>\n <item>a</item>\n <item/>\n</o:order>\n",
            &[],
        ),
        ("<order id='1'><o:Sum> 2.5 </o:Sum><paid>true</paid><item>a</item></order>", &[]),
        (
            "<order id='1'><item>a</item><labels><label><id>1</id></label><label><id>2</id></label></labels></order>",
            &[],
        ),
        ("<order id='1'><item>a</item><sizes><sizes>1</sizes><sizes>2</sizes></sizes></order>", &[]),
        ("<order id='1'><item>a</item><labels/></order>", &[]),
        ("<order id='1'><item>a&amp;b&#x21;<![CDATA[<c>]]></item><note>&lt;a&gt;</note></order>", &[]),
        ("<order id='1'><item>a</item><note xsi:nil='true'/></order>", &[]),
        ("<order id='1'><item>a</item><node><v>1</v><next><v>2</v></next></node></order>", &[]),
        // What is missing, of another type, too long.
        ("<order><item>a</item></order>", &[""]),
        ("<order id='1'/>", &[""]),
        ("<order id='x'><item>a</item></order>", &["/id"]),
        ("<order id='1'><Sum>x</Sum><item>a</item></order>", &["/total"]),
        ("<order id='1'><item>a</item><note>abcdef</note></order>", &["/note"]),
        ("<order id='1'><item>a</item><labels><label/></labels></order>", &["/tags/0"]),
        ("<order id='1'><item>a</item><labels><label><id>x</id></label></labels></order>", &["/tags/0/id"]),
        ("<order id='1'><item>a</item><node><v>1</v><next><v>x</v></next></node></order>", &["/node/next/v"]),
        ("<order id='1'><item><b>1</b></item></order>", &["/items/0"]),
        // By another name, in another place, twice, and text where there is none.
        ("<order><id>1</id><item>a</item></order>", &["", "/<id>"]),
        ("<order id='1'><total>1</total><item>a</item></order>", &["/<total>"]),
        ("<order id='1' paid='true'><item>a</item></order>", &["/@paid"]),
        ("<order id='1'><items>a</items></order>", &["", "/<items>"]),
        ("<order id='1'><item>a</item><odd/></order>", &["/odd"]),
        ("<order id='1'><item>a</item><paid>true</paid><paid>false</paid></order>", &["/paid"]),
        ("<order id='1'><item>a</item><labels/><labels/></order>", &["/tags"]),
        ("<order id='1'><item>a</item><labels><tag><id>1</id></tag></labels></order>", &["/tags"]),
        ("<order id='1'>x<item>a</item></order>", &[""]),
        ("<order id='1'><item>a</item><labels>x</labels></order>", &["/tags"]),
    ] {
        let mut places = places(&contract, body);
        places.sort();
        places.dedup();
        assert_eq!(places, wrong, "{body}");
    }
}

#[test]
fn what_is_not_described_is_seen() {
    let contract = orders("3.1.0", "{type: object, properties: {a: {type: integer}}}");
    for body in ["<x><a>1</a><b>2</b></x>", "<x b='2'><a>1</a></x>"] {
        assert_eq!(found(&contract, body)[0].0, ViolationKind::UnknownProperty, "{body}");
    }
    let open = orders("3.1.0", "{type: object, additionalProperties: {type: integer}}");
    assert!(places(&open, "<x><a>1</a><b>2</b></x>").is_empty());
    assert_eq!(places(&open, "<x><a>1</a><b>c</b></x>"), ["/b"]);
    // Alternatives, and what is put together.
    let choice = orders(
        "3.1.0",
        "{oneOf: [{type: object, required: [a], properties: {a: {type: integer}}},
        {type: object, required: [b], properties: {b: {type: array, items: {type: boolean}}}}]}",
    );
    assert!(places(&choice, "<x><b>true</b><b>false</b></x>").is_empty());
    assert!(places(&choice, "<x><a>1</a></x>").is_empty());
    assert!(!places(&choice, "<x><a>b</a></x>").is_empty());
    let all = orders(
        "3.0.3",
        "{allOf: [{$ref: '#/components/schemas/Tag'}, {type: object, properties: {n: {type: integer, xml: {name: N}}}}]}",
    );
    assert!(places(&all, "<x><id>1</id><N>2</N></x>").is_empty());
    assert_eq!(places(&all, "<x><id>1</id><N>b</N></x>"), ["/n"]);
    let list = orders("3.0.3", "{type: array, maxItems: 2, items: {type: integer}}");
    assert!(places(&list, "<x><a>1</a><a>2</a></x>").is_empty());
    assert!(!places(&list, "<x><a>1</a><a>2</a><a>3</a></x>").is_empty());
}

#[test]
fn kinds_of_nodes_of_openapi_3_2() {
    let contract = orders("3.2.0", "{type: object, required: [id, text], additionalProperties: false, properties: {
        id: {type: integer, xml: {nodeType: attribute}}, text: {type: string, minLength: 2, xml: {nodeType: text}}}}");
    assert!(places(&contract, "<x id='1'>ab</x>").is_empty());
    assert_eq!(places(&contract, "<x id='1'>a</x>"), ["/text"]);
    assert_eq!(places(&contract, "<x id='a'>ab</x>"), ["/id"]);
    let wrapped = orders(
        "3.2.0",
        "{type: object, properties: {a: {type: array, items: {type: integer}, xml: {nodeType: element}}}}",
    );
    assert!(places(&wrapped, "<x><a><a>1</a><a>2</a></a></x>").is_empty());
    assert!(!places(&wrapped, "<x><a>1</a><a>2</a></x>").is_empty());
}

#[test]
fn what_is_no_plain_xml_is_refused() {
    let contract = orders("3.0.3", "{type: object}");
    for body in [
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a b='1' b='2'/>",
        "<a b=1/>",
        "<a b='<'/>",
        "<a>&e;</a>",
        "<a b='&e;'/>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>\u{1}</a>",
        "<1/>",
        "<a:/>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<!DOCTYPE a SYSTEM 'http://x/y.dtd'><a/>",
        "<?xml-stylesheet href='x'?><a/>",
        "<a/><?xml version='1.0'?>",
        "<?xml version='1.0' encoding='UTF-7'?><a/>",
        "<a><![CDATA[x</a>",
        "<a><!-- -- --></a>",
    ] {
        let kinds: Vec<_> = found(&contract, body).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [ViolationKind::MalformedBody], "{body}");
    }
    let two = found(&contract, "<a x:b='1' y:b='2'/>");
    assert_eq!(two[0].0, ViolationKind::DuplicateKey);
    let not_utf8 = contract.check_request_body(0, Some("application/xml"), b"<a>\xff</a>", Checks::default());
    assert_eq!(not_utf8[0].kind, ViolationKind::MalformedBody);
}

#[test]
fn xml_is_bounded() {
    let contract = orders("3.0.3", "{$ref: '#/components/schemas/Node'}");
    let deep = format!("<a>{}{}</a>", "<next>".repeat(100_000), "</next>".repeat(100_000));
    assert_eq!(found(&contract, &deep)[0].0, ViolationKind::TooComplexBody);
    let limits = BodyLimits { values: 5, ..BodyLimits::default() };
    let checks = Checks { limits, ..Checks::default() };
    let wide = format!("<a>{}</a>", "<b/>".repeat(6));
    let wide = contract.check_request_body(0, Some("application/xml"), wide.as_bytes(), checks);
    assert_eq!(wide[0].kind, ViolationKind::TooComplexBody);
    // A text is bytes: whatever is in it, nobody looks.
    let text = json!({"openapi": "3.0.3", "paths": {"/x": {"post": {"requestBody": {"content": {"image/svg+xml": {
        "schema": {"type": "string", "format": "binary"}}}}, "responses": {}}}}});
    let text = load(&text.to_string());
    assert!(text.check_request_body(0, Some("image/svg+xml"), b"<", Checks::default()).is_empty());
    assert!(!text.operations()[0].reads_request_body());
}
