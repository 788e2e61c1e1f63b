use crate::{Change, Contract, Options};

fn load(text: &str) -> Contract {
    Contract::parse("t.yaml", text.as_bytes(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A document with one operation, `POST /a/{id}`, and what stands under it.
fn document(operation: &str, rest: &str) -> String {
    format!("openapi: 3.1.0\npaths:\n  /a/{{id}}:\n    post: {operation}\n{rest}")
}

/// `B` breaking, `W` weaker, `-` neither, and where.
fn told(old: &str, new: &str) -> Vec<String> {
    let changes = load(old).changes(&load(new));
    changes.iter().map(line).collect()
}

fn line(change: &Change) -> String {
    let marks = match (change.breaking, change.weaker) {
        (true, true) => "BW",
        (true, false) => "B",
        (false, true) => "W",
        (false, false) => "-",
    };
    format!("{marks} {}: {}", change.part, change.what)
}

fn body(schema: &str) -> String {
    document(&format!("{{ requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }} }}"), "")
}

fn answer(schema: &str) -> String {
    document(
        &format!(
            "{{ responses: {{ '200': {{ description: ok, content: {{ application/json: {{ schema: {schema} }} }} }} }} }}"
        ),
        "",
    )
}

#[test]
fn the_same_is_the_same() {
    let one = body("{ type: object, properties: { a: { $ref: '#/components/schemas/A' } } }")
        + "components: { schemas: { A: { type: object, properties: { a: { $ref: '#/components/schemas/A' } } } } }\n";
    assert!(told(&one, &one).is_empty());
    // The name of a path's parameter says nothing, nor does the version a document is written in.
    let old = "swagger: '2.0'\npaths:\n  /a/{id}:\n    get: { parameters: [{ name: id, in: path, required: true, type: integer }], responses: { '200': { description: ok } } }\n";
    let new = "openapi: 3.0.0\npaths:\n  /a/{key}:\n    get: { parameters: [{ name: key, in: path, required: true, schema: { type: integer } }], responses: { '200': { description: ok } } }\n";
    assert!(told(old, new).is_empty(), "{:?}", told(old, new));
}

#[test]
fn requests_that_are_stricter_break_and_looser_are_weaker() {
    for (old, new, expected) in [
        ("{ type: string }", "{ type: string, maxLength: 5 }", "B"),
        ("{ type: string, maxLength: 5 }", "{ type: string, maxLength: 9 }", "W"),
        ("{ type: string, minLength: 1, maxLength: 5 }", "{ type: string, maxLength: 4 }", "BW"),
        ("{ type: string, pattern: '^a' }", "{ type: string }", "W"),
        ("{ type: string, pattern: '^a' }", "{ type: string, pattern: '^b' }", "BW"),
        ("{ type: string }", "{ type: string, format: uuid }", "B"),
        ("{ type: integer }", "{ type: number }", "W"),
        ("{ type: number }", "{ type: integer }", "B"),
        ("{ type: integer }", "{ type: string }", "BW"),
        ("{ type: integer, minimum: 1 }", "{ type: integer, minimum: 0 }", "W"),
        ("{ type: integer, minimum: 1 }", "{ type: integer, exclusiveMinimum: 1 }", "B"),
        ("{ type: integer, maximum: 10 }", "{ type: integer }", "W"),
        ("{ type: integer, maximum: 10 }", "{ type: integer, maximum: 9 }", "B"),
        ("{ type: integer }", "{ type: integer, maximum: 9 }", "B"),
        ("{ enum: [a, b] }", "{ enum: [a] }", "B"),
        ("{ enum: [a] }", "{ enum: [a, b] }", "W"),
        ("{ type: [string] }", "{ type: [string, 'null'] }", "W"),
        (
            "{ type: array, items: { type: string } }",
            "{ type: array, items: { type: string, maxLength: 1 } }",
            "B",
        ),
        ("{ type: array, maxItems: 5 }", "{ type: array }", "W"),
        ("{ type: object, additionalProperties: false }", "{ type: object }", "W"),
        ("{ type: object }", "{ type: object, additionalProperties: false }", "B"),
        (
            "{ type: object, properties: { a: { type: string } } }",
            "{ type: object, required: [a], properties: { a: { type: string } } }",
            "B",
        ),
        (
            "{ type: object, required: [a], properties: { a: { type: string } } }",
            "{ type: object, properties: { a: { type: string } } }",
            "W",
        ),
        (
            "{ type: object, properties: { a: { type: string, readOnly: true } } }",
            "{ type: object, properties: { a: { type: string } } }",
            "W",
        ),
        ("{ type: object, properties: { a: { type: string } } }", "{ type: object }", "W"),
        ("{ allOf: [{ type: string }, { maxLength: 3 }] }", "{ type: string, maxLength: 3 }", ""),
        (
            "{ oneOf: [{ type: string }, { type: integer }] }",
            "{ oneOf: [{ type: integer }, { type: string }] }",
            "",
        ),
        (
            "{ oneOf: [{ type: string }, { type: integer }] }",
            "{ oneOf: [{ type: string }, { type: integer }, { type: boolean }] }",
            "W",
        ),
    ] {
        let changes = load(&body(old)).changes(&load(&body(new)));
        let marks: String = [
            ("B", changes.iter().any(|change| change.breaking)),
            ("W", changes.iter().any(|change| change.weaker)),
        ]
        .iter()
        .filter(|(_, is)| *is)
        .map(|(mark, _)| *mark)
        .collect();
        assert_eq!(marks, expected, "{old} -> {new}: {:?}", changes.iter().map(line).collect::<Vec<_>>());
        let told = changes.iter().all(|change| change.part.starts_with("request application/json"));
        assert!(told, "{changes:?}");
    }
}

#[test]
fn answers_that_are_looser_break_and_what_shows_is_weaker() {
    for (old, new, expected) in [
        ("{ enum: [a] }", "{ enum: [a, b] }", "B response 200 application/json: \"b\" as well now"),
        (
            "{ type: string }",
            "{ type: string, maxLength: 5 }",
            "- response 200 application/json: at most 5 characters, was any number of characters",
        ),
        (
            "{ type: object, additionalProperties: false }",
            "{ type: object }",
            "W response 200 application/json: members that are not described are allowed now",
        ),
        (
            "{ type: object, properties: { a: { type: string, writeOnly: true } } }",
            "{ type: object, properties: { a: { type: string } } }",
            "W response 200 application/json /a: it is shown now, and was not before",
        ),
        (
            "{ type: object, properties: { a: { type: string } } }",
            "{ type: object }",
            "B response 200 application/json /a: it is not described any more",
        ),
        (
            "{ type: object, required: [a], properties: { a: { type: string } } }",
            "{ type: object, properties: { a: { type: string } } }",
            "B response 200 application/json /a: it need not be there any more",
        ),
    ] {
        assert_eq!(told(&answer(old), &answer(new)), [expected], "{old} -> {new}");
    }
}

#[test]
fn who_may_call() {
    let schemes = "components: { securitySchemes: { key: { type: apiKey, in: header, name: X-Key }, oauth: { type: oauth2, flows: {} }, cert: { type: mutualTLS } } }\n";
    let with = |security: &str| document(&format!("{{ security: {security} }}"), schemes);
    for (old, new, expected) in [
        ("[{ key: [] }]", "[]", "W security: anyone may call; before: `key`"),
        ("[]", "[{ key: [] }]", "B security: `key` is needed; before: nothing"),
        (
            "[{ oauth: [read, write] }]",
            "[{ oauth: [read] }]",
            "W security: `oauth` (read) is enough; before: `oauth` (read, write)",
        ),
        (
            "[{ oauth: [read] }]",
            "[{ oauth: [read, write] }]",
            "B security: `oauth` (read) is not enough any more; now: `oauth` (read, write)",
        ),
        (
            "[{ oauth: [], cert: [] }]",
            "[{ oauth: [] }]",
            "W security: `oauth` is enough; before: `oauth` and `cert`",
        ),
        ("[{ oauth: [] }]", "[{ oauth: [] }, { key: [] }]", "W security: `key` is enough; before: `oauth`"),
        ("[{ oauth: [] }]", "[{ oauth: [] }, {}]", "W security: anyone may call; before: `oauth`"),
    ] {
        assert_eq!(told(&with(old), &with(new)), [expected], "{old} -> {new}");
    }
    let scheme = |kind: &str| {
        document(
            "{ security: [{ a: [] }] }",
            &format!("components: {{ securitySchemes: {{ a: {kind} }} }}\n"),
        )
    };
    assert_eq!(
        told(
            &scheme("{ type: apiKey, in: header, name: k }"),
            &scheme("{ type: apiKey, in: query, name: k }")
        ),
        ["BW security scheme a: it is a key in the query `k`, was a key in the header `k`"]
    );
}

#[test]
fn operations_servers_and_parameters() {
    let old = "openapi: 3.0.0\nservers: [{ url: 'https://a' }]\npaths:\n  /a: { get: { security: [], parameters: [{ name: q, in: query, schema: { type: string } }, { name: l, in: query, schema: { type: integer } }] } }\n  /b: { get: { security: [] } }\n";
    let new = "openapi: 3.0.0\nservers: [{ url: 'https://a' }, { url: 'http://a' }, { url: 'http://localhost:1' }]\npaths:\n  /a: { get: { security: [], deprecated: true, parameters: [{ name: q, in: query, required: true, schema: { type: string } }, { name: n, in: query, required: true, schema: {} }] } }\n  /c: { get: {} }\n";
    let told = told(old, new);
    for expected in [
        "W servers: `http://a` is not encrypted",
        "B query q: it must be there now",
        "B query l: the parameter is gone: who sends it is refused",
        "B query n: a new parameter that must be there",
        "- operation: it is deprecated now",
        "B : the operation is gone",
        "W : a new operation that anyone may call",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}: {told:#?}");
    }
    assert_eq!(told.len(), 7, "{told:#?}");
}

#[test]
fn the_same_change_is_told_once() {
    let text = |max: u32| {
        format!(
            "openapi: 3.0.0\npaths:\n  /a: {{ post: {{ requestBody: &b {{ content: {{ application/json: {{ schema: {{ type: string, maxLength: {max} }} }} }} }} }} }}\n  /b: {{ post: {{ requestBody: *b }} }}\n"
        )
    };
    let changes = load(&text(9)).changes(&load(&text(5)));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].operations, ["POST /a", "POST /b"]);
    assert_eq!((changes[0].place.line, &*changes[0].place.source), (3, "t.yaml"));
}
