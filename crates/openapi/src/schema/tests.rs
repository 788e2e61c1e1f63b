use serde_json::{Value, json};

use crate::{Checks, Contract, Options, ViolationKind};

fn contract(schema: &Value) -> Contract {
    let content = json!({"application/json": {"schema": schema}});
    let document = json!({"openapi": "3.1.0", "components": {"schemas": {
        "Cat": {"type": "object", "required": ["kind"], "properties": {"kind": {}, "lives": {"type": "integer"}}},
        "Dog": {"type": "object", "required": ["kind"], "properties": {"kind": {}, "bark": {"type": "boolean"}}}}},
        "paths": {"/x": {"post": {"requestBody": {"content": content},
        "responses": {"200": {"description": "ok", "content": content}}}}}});
    Contract::parse("t", document.to_string().as_bytes(), &Options::default()).unwrap()
}

fn request(contract: &Contract, value: &Value) -> Vec<(ViolationKind, String, String)> {
    let found = contract.check_request_body(
        0,
        Some("application/json"),
        value.to_string().as_bytes(),
        Checks::default(),
    );
    found.into_iter().map(|v| (v.kind, v.pointer.into(), v.expected.into_owned())).collect()
}

fn pointers(contract: &Contract, value: &Value, kind: ViolationKind) -> Vec<String> {
    request(contract, value).into_iter().filter(|found| found.0 == kind).map(|found| found.1).collect()
}

#[test]
fn undescribed_members_through_every_applicator() {
    use ViolationKind::UnknownProperty;
    let object = |name: &str| json!({"type": "object", "properties": {name: {"type": "integer"}}});
    for (schema, value, expected) in [
        (object("a"), json!({"a": 1, "x": 1}), vec!["/x"]),
        (json!({"type": "object"}), json!({"x": 1}), vec![]),
        (json!({"properties": {"a": {}}, "additionalProperties": true}), json!({"x": 1}), vec![]),
        (
            json!({"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}),
            json!({"x": 1}),
            vec![],
        ),
        (
            json!({"properties": {"a": {}}, "patternProperties": {"^x": {}}}),
            json!({"x1": 1, "y": 1}),
            vec!["/y"],
        ),
        (json!({"allOf": [object("a"), object("b")]}), json!({"a": 1, "b": 1, "c": 1}), vec!["/c"]),
        (
            json!({"allOf": [object("a")], "properties": {"b": {}}}),
            json!({"a": 1, "b": 1, "c": 1}),
            vec!["/c"],
        ),
        (
            json!({"anyOf": [object("a"), {"type": "object", "required": ["b"], "properties": {"b": {}}}]}),
            json!({"a": 1, "b": 1}),
            vec![],
        ),
        (
            json!({"oneOf": [{"required": ["a"], "properties": {"a": {}}}, {"required": ["b"], "properties": {"b": {}}}]}),
            json!({"a": 1, "x": 1}),
            vec!["/x"],
        ),
        (
            json!({"properties": {"a": {"type": "array", "items": object("b")}}}),
            json!({"a": [{"b": 1}, {"c": 1}]}),
            vec!["/a/1/c"],
        ),
        (json!({"additionalProperties": object("b")}), json!({"k": {"b": 1, "c": 1}}), vec!["/k/c"]),
        (
            json!({"properties": {"a": {}}, "if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"t": {}}}, "else": {"properties": {"e": {}}}}),
            json!({"a": 1, "t": 1, "e": 1}),
            vec!["/e"],
        ),
        (
            json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}], "discriminator": {"propertyName": "kind"}}),
            json!({"kind": "Cat", "lives": 9, "bark": true}),
            vec!["/bark"],
        ),
    ] {
        assert_eq!(pointers(&contract(&schema), &value, UnknownProperty), expected, "{schema} {value}");
    }
}

#[test]
fn discriminators_dispatch() {
    let of = json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"feline": "#/components/schemas/Cat", "canine": "Dog"}}});
    let contract = contract(&of);
    assert!(contract.operations()[0].unenforced.is_empty());
    for kind in ["Cat", "feline"] {
        assert!(request(&contract, &json!({"kind": kind, "lives": 9})).is_empty());
    }
    assert_eq!(request(&contract, &json!({"kind": "feline", "lives": "x"}))[0].1, "/lives");
    assert_eq!(request(&contract, &json!({"kind": "canine", "bark": 1}))[0].1, "/bark");
    let found = request(&contract, &json!({"kind": "fish"}));
    assert_eq!(
        (found[0].1.as_str(), found[0].2.as_str()),
        ("/kind", "one of `Cat`, `Dog`, `canine`, `feline`")
    );
}

#[test]
fn read_only_members_do_not_go_to_the_server() {
    let schema = json!({"type": "object", "required": ["id", "name", "secret"], "properties": {
        "id": {"type": "integer", "readOnly": true}, "name": {"type": "string"},
        "secret": {"allOf": [{"type": "string", "writeOnly": true}]},
        "inner": {"type": "array", "items": {"properties": {"id": {"readOnly": true}}}}}});
    let contract = contract(&schema);
    assert!(contract.operations()[0].unenforced.is_empty());
    assert!(request(&contract, &json!({"name": "n", "secret": "s"})).is_empty());
    let found = request(&contract, &json!({"id": 1, "name": "n", "secret": "s", "inner": [{"id": 2}]}));
    let found: Vec<_> = found.iter().map(|found| (found.0, found.1.as_str())).collect();
    assert_eq!(
        found,
        [(ViolationKind::ReadOnlyProperty, "/id"), (ViolationKind::ReadOnlyProperty, "/inner/0/id")]
    );
    let response = |value: Value| {
        let bytes = value.to_string();
        let found = contract.check_response_body(
            0,
            200,
            Some("application/json"),
            bytes.as_bytes(),
            Checks::default(),
        );
        found.into_iter().map(|v| (v.kind, v.pointer.to_string())).collect::<Vec<_>>()
    };
    assert!(response(json!({"id": 1, "name": "n"})).is_empty());
    assert_eq!(response(json!({"name": "n"}))[0].0, ViolationKind::InvalidResponseBody);
    assert_eq!(
        response(json!({"id": 1, "name": "n", "secret": "s"})),
        [(ViolationKind::WriteOnlyProperty, "/secret".to_owned())]
    );
}

#[test]
fn violations_are_few_short_and_say_what_was_expected() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "integer"}, "properties": {
        "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"}, "e": {"enum": ["a", 1, null]},
        "n": {"minimum": 1, "exclusiveMaximum": 5, "multipleOf": 2}, "l": {"type": "array", "uniqueItems": true, "maxItems": 1}},
        "required": ["must"]});
    let contract = contract(&schema);
    let said = |value: Value| {
        request(&contract, &value)
            .into_iter()
            .map(|found| format!("{}: {}", found.1, found.2))
            .collect::<Vec<_>>()
    };
    assert_eq!(said(json!({"must": 1, "s": "b"})), ["/s: at least 2 character(s)"]);
    assert_eq!(said(json!({"must": 1, "s": "bb"})), ["/s: text that matches `^a`"]);
    assert_eq!(said(json!({"must": 1, "e": 2})), ["/e: one of `a`, `1`, `null`"]);
    assert_eq!(said(json!({"must": 1, "n": 5})), ["/n: less than 5", "/n: a multiple of 2"]);
    assert_eq!(said(json!({"must": 1, "l": [1, 1.0]})), ["/l: at most 1 item(s)", "/l: no two items alike"]);
    assert_eq!(said(json!({})), [": the member `must`"]);
    assert_eq!(said(json!([])), [": an object"]);
    let many: serde_json::Map<String, Value> =
        (0..100).map(|index| (format!("k{index}"), json!("x"))).collect();
    assert_eq!(said(Value::Object(many)).len(), 11 - 1);
    let long = format!("{}\u{202e}\n", "k".repeat(10_000));
    let found = said(json!({"must": 1, long: "x"}));
    assert!(found[0].len() < 120 && !found[0].contains('\u{202e}'), "{found:?}");
}

#[test]
fn hostile_values_are_judged_within_bounds() {
    // Alternatives of alternatives: exponential without a budget.
    let schema = json!({"$defs": {}, "anyOf": [
        {"type": "array", "items": {"$ref": "#/paths/~1x/post/requestBody/content/application~1json/schema"}},
        {"type": "array", "items": {"$ref": "#/paths/~1x/post/requestBody/content/application~1json/schema"}, "minItems": 1},
        {"type": "integer"}]});
    let contract = contract(&schema);
    let mut value = json!("no");
    for _ in 0..60 {
        value = json!([value]);
    }
    let started = std::time::Instant::now();
    assert!(!request(&contract, &value).is_empty());
    assert!(started.elapsed().as_secs() < 20);
    let mut deep = json!(1);
    for _ in 0..400 {
        deep = json!([deep]);
    }
    assert!(!request(&contract, &deep).is_empty());
    // Dropping it must not overflow either.
    std::mem::forget(deep);
    let unique = super::value::all_unique(&(0..20_000).map(Value::from).collect::<Vec<_>>());
    assert!(unique);
}

fn stripped(schema: &Value, body: &str) -> Option<String> {
    let found =
        contract(schema).strip_request_body(0, Some("application/json"), body.as_bytes(), Checks::default());
    found.unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn members_are_cut_out_of_the_text() {
    let item = json!({"properties": {"a": {}, "id": {"readOnly": true}}});
    let list = json!({"properties": {"l": {"type": "array", "items": item}}});
    let choice = json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": {"propertyName": "kind"}});
    let closed = json!({"properties": {"a": {"type": "integer"}}, "additionalProperties": false});
    let joined = json!({"allOf": [item, {"patternProperties": {"^x": {}}, "additionalProperties": true}]});
    for (schema, body, expected) in [
        (&item, r#"{"a":1}"#, None),
        (&item, r#"{"a":1,"x":2}"#, Some(r#"{"a":1}"#)),
        (&item, r#"{ "x" : {"y":[1]} , "a":1.0e0, "id":2 }"#, Some(r#"{ "a":1.0e0 }"#)),
        (&item, r#"{"\u0069d":2,"b":"}"}"#, Some("{}")),
        (&list, r#"{"l":[{"id":1,"a":2},{"z":1},3],"m":0}"#, Some(r#"{"l":[{"a":2},{},3]}"#)),
        (&choice, r#"{"kind":"Cat","bark":true,"lives":9}"#, Some(r#"{"kind":"Cat","lives":9}"#)),
        // Nothing is in force that would describe anything.
        (&choice, r#"{"kind":"Fish","bark":true}"#, None),
        // What does not fit stays; what is forbidden goes.
        (&closed, r#"{"a":"no","b":2}"#, Some(r#"{"a":"no"}"#)),
        (&joined, r#"{"a":1,"b":2,"id":3}"#, Some(r#"{"a":1,"b":2}"#)),
        (&json!({"type": "object"}), r#"{"x":1}"#, None),
    ] {
        assert_eq!(stripped(schema, body).as_deref(), expected, "{schema} {body}");
    }
    let strip = |kind, body: &[u8]| contract(&item).strip_request_body(0, kind, body, Checks::default());
    assert!(strip(Some("application/json"), b"{\"a\":1").is_err());
    assert!(strip(Some("application/json"), b"{\"x\":1,\"x\":2}").is_err());
    assert_eq!(strip(Some("text/plain"), b"x"), Ok(None));
}

#[test]
fn faults_are_told_apart_and_come_before_what_does_not_fit() {
    use ViolationKind::{DuplicateKey, InvalidBody, MalformedBody, TooComplexBody};
    let contract = contract(&json!({"type": "object", "properties": {"a": {"type": "integer"}, "f": {}}}));
    let limits = crate::BodyLimits { depth: 3, values: 6 };
    let checks = Checks { limits, ..Checks::default() };
    for (body, kind, place) in [
        (r#"{"a":"x"}"#, InvalidBody, ""),
        (r#"{"a":"x""#, MalformedBody, "JSON at line 1 column 9"),
        ("{\"a\":1,\n \"a\":2}", DuplicateKey, "each member once at line 2 column 2"),
        (r#"{"a":"x","a":2}"#, DuplicateKey, "each member once at line 1 column 10"),
        (r#"{"f":{"x":1,"y":2,"\u0078":3}}"#, DuplicateKey, "each member once at line 1 column 19"),
        (r#"{"f":[[[]]]}"#, TooComplexBody, ""),
        (r#"{"f":[1,2,3,4,5]}"#, TooComplexBody, ""),
        (r#"{"a":1e999}"#, MalformedBody, ""),
        (r#"{"a":"x"} ."#, MalformedBody, ""),
        ("\u{feff}{}", MalformedBody, ""),
        (r#"{"f":"\ud800"}"#, MalformedBody, ""),
        ("[1,]", MalformedBody, ""),
    ] {
        let found = contract.check_request_body(0, Some("application/json"), body.as_bytes(), checks);
        assert_eq!(found[0].kind, kind, "{body} {found:?}");
        assert!(place.is_empty() || found[0].expected == place, "{body} {found:?}");
    }
    let found = contract.check_request_body(0, Some("application/json"), b"{\"f\":\"\xc0\xaf\"}", checks);
    assert_eq!((found[0].kind, &*found[0].expected), (MalformedBody, "JSON at line 1 column 7"));
}
