use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    Checks, Contract, Fetch, FetchError, In, Options, Requirement, Route, SchemeKind, SchemeUse, Security,
    Severity, Status, Style, Version, ViolationKind,
};

pub(crate) fn load(text: &str) -> Contract {
    Contract::parse("t.yaml", text.as_bytes(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn load_json(document: &Value) -> Contract {
    load(&document.to_string())
}

/// A document whose one operation is `POST /x` with this request body and these responses.
pub(super) fn posting(version: &str, content: &Value, responses: &Value) -> Contract {
    load_json(&json!({"openapi": version, "info": {"title": "t", "version": "1"}, "paths": {"/x": {"post": {
        "requestBody": {"required": true, "content": content}, "responses": responses}}}}))
}

pub(super) fn body(contract: &Contract, content_type: &str, bytes: &str) -> Vec<(ViolationKind, String)> {
    let found = contract.check_request_body(0, Some(content_type), bytes.as_bytes(), Checks::default());
    found.into_iter().map(|violation| (violation.kind, violation.pointer.into())).collect()
}

fn kinds(found: &[(ViolationKind, String)]) -> Vec<(ViolationKind, &str)> {
    found.iter().map(|(kind, pointer)| (*kind, pointer.as_str())).collect()
}

struct Map(HashMap<&'static str, &'static str>);

impl Fetch for Map {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let text = self.0.get(uri).ok_or_else(|| FetchError { what: format!("`{uri}` is not here") })?;
        Ok(text.as_bytes().to_vec())
    }
}

#[test]
fn what_is_no_contract_is_refused() {
    for text in ["", "[]", "openapi: 4.0.0", "swagger: '1.2'", "a: b", "{", "openapi: {}"] {
        assert!(Contract::parse("t", text.as_bytes(), &Options::default()).is_err(), "{text}");
    }
    for text in
        ["openapi: 3.0.0", "openapi: 3.1.0\npaths: 5", "swagger: 2.0\npaths: {/a: 3, x: {}, /b: {get: []}}"]
    {
        assert_eq!(load(text).operations().len(), 0, "{text}");
    }
}

#[test]
fn versions_and_info() {
    let contract = load(
        "openapi: 3.1.0\ninfo: {title: T, version: 1.10}\nservers: [{url: 'https://a/{v}', variables: {v: {default: v2, enum: [v1, v2]}}}]\npaths: {/x: {get: {responses: {}}}}",
    );
    assert_eq!(contract.info().version, Version::OpenApi31);
    assert_eq!(&*contract.info().api_version, "1.10");
    assert!(matches!(contract.route("GET", "/v1/x", None), Route::Found { .. }));
    assert!(matches!(contract.route("GET", "/v2/x", None), Route::Found { .. }));
    assert!(matches!(contract.route("GET", "/x", None), Route::NotFound));
    let options = Options { base_paths: Some(vec!["/{tenant}/api".into()]), ..Options::default() };
    let text = "swagger: '2.0'\nbasePath: /b/\npaths: {'/x/{id}': {get: {parameters: [{name: id, in: path, required: true, type: integer}], responses: {}}}}";
    let contract = Contract::parse("t", text.as_bytes(), &options).unwrap();
    let Route::Found { operation, captures } = contract.route("GET", "/acme/api/x/7", None) else { panic!() };
    assert_eq!(captures.as_slice(), ["acme", "7"]);
    let none = std::iter::empty::<(&str, &[u8])>();
    assert!(
        contract.check_request_head(operation, &captures, None, none.clone(), Checks::default()).is_empty()
    );
    let Route::Found { captures, .. } = contract.route("GET", "/7/api/x/seven", None) else { panic!() };
    assert_eq!(contract.check_request_head(operation, &captures, None, none, Checks::default()).len(), 1);
}

#[test]
fn parameters_are_merged_and_read() {
    let contract = load(
        r"
openapi: 3.0.3
paths:
  /a/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: integer } }
      - { name: page, in: query, schema: { type: integer } }
      - { name: Authorization, in: header, schema: { type: string } }
    get:
      parameters:
        - { name: page, in: query, required: true, schema: { type: string } }
        - { name: gone, in: path, required: true, schema: {} }
        - $ref: '#/components/parameters/Filter'
        - $ref: '#/components/parameters/Missing'
      responses: { '200': {description: ok} }
components:
  parameters:
    Filter: { name: filter, in: query, style: deepObject, explode: true, schema: { type: object } }
",
    );
    let operation = &contract.operations()[0];
    let names: Vec<_> = operation.parameters.iter().map(|p| (&*p.name, p.location, p.required)).collect();
    assert_eq!(names, [("page", In::Query, true), ("filter", In::Query, false), ("id", In::Path, true)]);
    assert_eq!(operation.parameters[1].style, Style::DeepObject);
    assert_eq!(operation.unenforced.len(), 1);
    assert!(operation.unenforced[0].to_string().contains("`#/components/parameters/Missing` leads nowhere"));
    assert_eq!(
        (operation.unenforced[0].line, &*operation.unenforced[0].pointer),
        (14, "/paths/~1a~1{id}/get/parameters/3")
    );
    assert!(contract.problems().iter().any(|p| p.severity == Severity::Warning && p.what.contains("`gone`")));
}

#[test]
fn security_is_and_within_or() {
    let contract = load(
        r"
openapi: 3.0.3
security: [{ key: [] }, { oauth: [read, write], cert: [] }, {}]
paths:
  /a: { get: { responses: {} } }
  /b: { get: { security: [], responses: {} } }
  /c: { get: { security: [{ nobody: [] }], responses: {} } }
  /d: { get: { security: wrong, responses: {} } }
components:
  securitySchemes:
    key: { type: apiKey, in: header, name: X-Key }
    oauth: { type: oauth2, flows: { clientCredentials: { tokenUrl: 'https://t', scopes: { read: r, write: w } } } }
    cert: { type: mutualTLS }
    jwt: { type: http, scheme: Bearer, bearerFormat: JWT }
    oidc: { type: openIdConnect, openIdConnectUrl: 'https://o' }
    odd: { type: magic }
",
    );
    let schemes = contract.security_schemes();
    assert_eq!(schemes[0].kind, SchemeKind::ApiKey { location: In::Header, name: "X-Key".into() });
    assert_eq!(schemes[3].kind, SchemeKind::Bearer { format: Some("JWT".into()) });
    assert_eq!(schemes[5].kind, SchemeKind::Unknown);
    let used = |scheme: &str, index, scopes: &[&str]| SchemeUse {
        scheme: scheme.into(),
        index,
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
    };
    let all = |all_of| Requirement { all_of };
    let of = |index: usize| contract.operations()[index].security.clone();
    assert_eq!(
        of(0),
        Security::AnyOf(vec![
            all(vec![used("key", Some(0), &[])]),
            all(vec![used("oauth", Some(1), &["read", "write"]), used("cert", Some(2), &[])]),
            all(vec![]),
        ])
    );
    assert_eq!(of(1), Security::AnyOf(vec![]));
    assert_eq!(of(2), Security::AnyOf(vec![all(vec![used("nobody", None, &[])])]));
    assert!(matches!(of(3), Security::AnyOf(list) if list.len() == 1 && list[0].all_of[0].index.is_none()));
    assert_eq!(
        load("openapi: 3.0.0\npaths: {/a: {get: {responses: {}}}}").operations()[0].security,
        Security::Absent
    );
    assert!(contract.problems().iter().any(|problem| problem.what.contains("`magic`")));
}

#[test]
fn files_refer_to_each_other() {
    let files = Map(HashMap::from([
        (
            "api/openapi.yaml",
            "openapi: 3.0.3\npaths:\n  /a:\n    $ref: 'paths/a.yaml'\n  /b:\n    $ref: 'paths/a.yaml#/~1other'\n",
        ),
        (
            "api/paths/a.yaml",
            "post:\n  requestBody: { content: { application/json: { schema: { $ref: '../../shared/my%20types.json#/Node' } } } }\n  responses: {}\n/other: { post: { requestBody: { content: { application/json: { schema: { $ref: missing.yaml } } } }, responses: {} } }\n",
        ),
        (
            "shared/my types.json",
            r##"{"Node": {"type": "object", "properties": {"next": {"$ref": "#/Node"}, "n": {"$ref": "#/Node/properties/m"}, "m": {"type": "integer"}}}}"##,
        ),
    ]));
    let contract = Contract::load("api/openapi.yaml", &files, &Options::default()).unwrap();
    assert_eq!(contract.operations().len(), 2);
    assert!(contract.operations()[0].unenforced.is_empty(), "{:?}", contract.problems());
    assert_eq!(
        kinds(&body(&contract, "application/json", r#"{"next":{"next":{"n":"x"}}}"#)),
        [(ViolationKind::InvalidBody, "/next/next/n")]
    );
    let problem = &contract.operations()[1].unenforced[0];
    assert_eq!(
        (&*problem.source, &*problem.expected),
        ("api/paths/a.yaml", "`api/paths/missing.yaml` is not here")
    );
}

#[test]
fn cycles_end() {
    let contract = posting(
        "3.0.3",
        &json!({"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}),
        &json!({}),
    );
    assert_eq!(contract.operations()[0].unenforced.len(), 1);
    let contract = load(
        "openapi: 3.0.3\npaths: {/x: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}, responses: {}}}}\ncomponents: {schemas: {A: {$ref: '#/components/schemas/B'}, B: {$ref: '#/components/schemas/A'}}}",
    );
    assert_eq!(contract.operations()[0].unenforced.len(), 1);
    // A choice between itself and something else says nothing; with a discriminator it does.
    let choice = |schemas: &Value| {
        let schema = json!({"$ref": "#/components/schemas/A"});
        let operation =
            json!({"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}});
        load_json(
            &json!({"openapi": "3.0.3", "paths": {"/x": {"post": operation}}, "components": {"schemas": schemas}}),
        )
    };
    let itself = json!({"$ref": "#/components/schemas/A"});
    let contract = choice(&json!({"A": {"anyOf": [itself, {"type": "integer"}]}}));
    assert_eq!(contract.operations()[0].unenforced.len(), 1);
    let child = json!({"allOf": [itself, {"properties": {"k": {}, "n": {"type": "integer"}}}]});
    let parent = json!({"type": "object", "oneOf": [{"$ref": "#/components/schemas/B"}], "discriminator": {"propertyName": "k"}});
    let contract = choice(&json!({"A": parent, "B": child}));
    assert!(contract.operations()[0].unenforced.is_empty());
    assert!(body(&contract, "application/json", r#"{"k":"B","n":1}"#).is_empty());
    assert_eq!(body(&contract, "application/json", r#"{"k":"B","n":"x"}"#)[0].0, ViolationKind::InvalidBody);
    // A schema that applies itself to the same value.
    let contract = load(
        "openapi: 3.0.3\npaths: {/x: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}, responses: {}}}}\ncomponents: {schemas: {A: {type: object, properties: {n: {type: integer}}, allOf: [{$ref: '#/components/schemas/A'}]}}}",
    );
    assert!(body(&contract, "application/json", r#"{"n":1}"#).is_empty());
    assert_eq!(body(&contract, "application/json", r#"{"n":"x"}"#)[0].0, ViolationKind::InvalidBody);
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let contract = posting(
        "3.1.0",
        &json!({"application/json": {"schema": {"$id": "s", "items": {"$ref": "#/paths/~1x/post/requestBody/content/application~1json/schema"}}}}),
        &json!({}),
    );
    assert!(body(&contract, "application/json", &deep).is_empty());
}

#[test]
fn dialects_become_one() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "number", "minimum": 1, "exclusiveMinimum": true},
        "b": {"type": "string", "nullable": true, "enum": ["x"]},
        "c": {"$ref": "#/components/schemas/C", "maxLength": 0},
        "d": {"type": ["string", "null"], "maxLength": 2},
        "e": {"type": "array", "items": {"type": "integer", "format": "int32"}}}});
    let document = |version: &str| {
        load_json(&json!({"openapi": version, "paths": {"/x": {"post": {
            "requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}}},
            "components": {"schemas": {"C": {"type": "string"}}}}))
    };
    let old = document("3.0.3");
    let new = document("3.1.0");
    for good in [r#"{"a":1.1}"#, r#"{"b":null}"#, r#"{"b":"x"}"#, r#"{"d":null}"#, r#"{"e":[2147483647]}"#] {
        assert!(body(&old, "application/json", good).is_empty(), "{good}");
    }
    for (bad, place) in [
        (r#"{"a":1}"#, "/a"),
        (r#"{"b":"y"}"#, "/b"),
        (r#"{"d":"abc"}"#, "/d"),
        (r#"{"e":[2147483648]}"#, "/e/0"),
    ] {
        assert_eq!(
            kinds(&body(&old, "application/json", bad)),
            [(ViolationKind::InvalidBody, place)],
            "{bad}"
        );
    }
    assert!(body(&old, "application/json", r#"{"c":"any"}"#).is_empty());
    assert_eq!(
        kinds(&body(&new, "application/json", r#"{"c":"any"}"#)),
        [(ViolationKind::InvalidBody, "/c")]
    );
}

#[test]
fn what_cannot_be_enforced_is_marked() {
    for schema in [
        json!({"type": "strang"}),
        json!({"pattern": "("}),
        json!({"properties": {"a": {"items": {"$ref": "#/nowhere"}}}}),
        json!({"minLength": "many"}),
        json!({"allOf": 5}),
        json!({"$dynamicRef": "#x"}),
        json!({"enum": "a"}),
        json!({"multipleOf": 0}),
        json!(7),
    ] {
        let contract = posting("3.1.0", &json!({"application/json": {"schema": schema}}), &json!({}));
        assert_eq!(contract.operations()[0].unenforced.len(), 1, "{schema}");
        assert!(!contract.problems().is_empty());
    }
    let contract = load(
        "openapi: 3.0.3\npaths:\n  /x:\n    post: {responses: {}, tags: [a], tags: [b]}\n  '/{a}{b}': {get: {responses: {}}}\n  /y: {get: {responses: {}}}",
    );
    let marked: Vec<bool> =
        contract.operations().iter().map(|operation| !operation.unenforced.is_empty()).collect();
    assert_eq!(marked, [true, true, false]);
    let contract =
        load("openapi: 3.0.3\npaths: {'/{a}': {get: {responses: {}}}, '/{b}': {get: {responses: {}}}}");
    assert!(contract.operations().iter().all(|operation| !operation.unenforced.is_empty()));
}

#[test]
fn bodies_by_media_type() {
    let contract = posting(
        "3.0.3",
        &json!({
            "application/json": {"schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}},
            "application/*+json": {"schema": {"type": "array"}},
            "text/plain": {"schema": {"type": "integer"}},
            "application/xml": {"schema": {"type": "object"}},
            "application/protobuf": {"schema": {"type": "object"}},
            "text/csv": {"schema": {"type": "array"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "application/x-any": {}}),
        &json!({}),
    );
    use ViolationKind::{InvalidBody, MalformedBody, UnsupportedMediaType};
    for (content_type, text, expected) in [
        ("application/json", r#"{"a":1}"#, vec![]),
        ("Application/JSON; charset=UTF-8", r#"{"a":1}"#, vec![]),
        ("application/json", "{}", vec![(InvalidBody, "")]),
        ("application/json", "{", vec![(MalformedBody, "")]),
        ("application/json", r#"{"a":1} x"#, vec![(MalformedBody, "")]),
        ("application/vnd.x+json", "[]", vec![]),
        ("application/vnd.x+json", "{}", vec![(InvalidBody, "")]),
        ("text/plain; charset=utf-8", "12", vec![]),
        ("text/plain", "x", vec![(InvalidBody, "")]),
        ("application/xml", "<a/>", vec![]),
        ("application/xml", "<a", vec![(MalformedBody, "")]),
        ("application/protobuf", "a", vec![(ViolationKind::Unenforceable, "")]),
        ("text/csv", "a,b", vec![(ViolationKind::Unenforceable, "")]),
        ("application/pdf", "%PDF", vec![]),
        ("application/x-any", "?", vec![]),
        ("image/png", "x", vec![(UnsupportedMediaType, "")]),
        ("json", "{}", vec![(UnsupportedMediaType, "")]),
    ] {
        assert_eq!(kinds(&body(&contract, content_type, text)), expected, "{content_type} {text}");
    }
    let check =
        |content_type, bytes: &[u8]| contract.check_request_body(0, content_type, bytes, Checks::default());
    assert_eq!(check(None, b"{}")[0].kind, UnsupportedMediaType);
    assert_eq!(check(None, b"")[0].kind, ViolationKind::MissingBody);
    assert_eq!(check(Some("application/json"), b"")[0].kind, ViolationKind::MissingBody);
    let bare = load("openapi: 3.0.3\npaths: {/x: {get: {responses: {}}}}");
    assert_eq!(
        bare.check_request_body(0, None, b"x", Checks::default())[0].kind,
        ViolationKind::UnexpectedBody
    );
    assert!(bare.check_request_body(0, None, b"", Checks::default()).is_empty());
    assert_eq!(
        bare.check_request_body(9, None, b"", Checks::default())[0].kind,
        ViolationKind::Unenforceable
    );
}

#[test]
fn forms_and_parts() {
    let schema = json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"type": "string", "maxLength": 5}, "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        "card": {"type": "object", "properties": {"exp": {"type": "integer"}}, "additionalProperties": false},
        "csv": {"type": "array", "items": {"type": "integer"}},
        "file": {"type": "string", "format": "binary"}}});
    let encoding =
        json!({"card": {"style": "deepObject", "explode": true}, "csv": {"style": "form", "explode": false}});
    let parts =
        json!({"file": {"contentType": "image/png, image/*"}, "card": {"contentType": "application/json"}});
    let contract = posting(
        "3.0.3",
        &json!({"application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding},
                "multipart/form-data": {"schema": schema, "encoding": parts}}),
        &json!({}),
    );
    use ViolationKind::{InvalidBody, MalformedBody};
    for (text, expected) in [
        ("name=a+b&age=3&tags=a&tags=b&card[exp]=1&csv=1,2", vec![]),
        ("name=%C3%A4", vec![]),
        ("age=3", vec![(InvalidBody, "")]),
        ("name=a&age=x", vec![(InvalidBody, "/age")]),
        ("name=a&x=1", vec![(InvalidBody, "/x")]),
        ("name=a&name=b", vec![(MalformedBody, "/name")]),
        ("name=a&tags=c", vec![(InvalidBody, "/tags/0")]),
        ("name=a&card[exp]=x", vec![(InvalidBody, "/card/exp")]),
        ("name=a&card[no]=1", vec![(InvalidBody, "/card/no")]),
        ("name=%zz", vec![(MalformedBody, "/name")]),
        ("name=toolong", vec![(InvalidBody, "/name")]),
    ] {
        assert_eq!(kinds(&body(&contract, "application/x-www-form-urlencoded", text)), expected, "{text}");
    }
    let part = |name: &str, extra: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{extra}\r\n\r\n{text}\r\n")
    };
    let png = "; filename=\"x.png\"\r\nContent-Type: image/png";
    let json_type = "\r\nContent-Type: application/json";
    for (text, expected) in [
        (part("name", "", "a") + &part("file", png, "\u{1}binary") + "--b--\r\n", vec![]),
        (
            part("name", "", "a")
                + &part("card", json_type, "{\"exp\":1}")
                + &part("tags", "", "a")
                + &part("tags", "", "b")
                + "--b--",
            vec![],
        ),
        (
            part("name", "", "a") + &part("card", json_type, "{\"exp\":\"1\"}") + "--b--",
            vec![(InvalidBody, "/card/exp")],
        ),
        (part("name", "", "a") + &part("card", "", "{}") + "--b--", vec![(MalformedBody, "/card")]),
        (part("name", "", "a") + &part("file", "", "x") + "--b--", vec![(MalformedBody, "/file")]),
        (part("age", "", "1") + "--b--", vec![(InvalidBody, "")]),
        (part("name", "", "a") + &part("other", "", "1") + "--b--", vec![(InvalidBody, "/other")]),
        (part("name", "", "a") + &part("name", "", "b") + "--b--", vec![(MalformedBody, "/name")]),
        (part("name", "", "a"), vec![(MalformedBody, "")]),
        (part("name", "", "a") + "--c--", vec![(MalformedBody, "")]),
        ("--b\r\nX: y\r\n\r\nz\r\n--b--".into(), vec![(MalformedBody, "")]),
        (
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"name\"\r\nX: {}\r\n\r\na\r\n--b--",
                "y".repeat(9000)
            ),
            vec![(MalformedBody, "")],
        ),
        (part("name", "", "a").repeat(1001) + "--b--", vec![(MalformedBody, "")]),
        (String::from("nothing"), vec![(MalformedBody, "")]),
    ] {
        let found = body(&contract, "multipart/form-data; boundary=b", &text);
        assert_eq!(kinds(&found), expected, "{}", &text[..text.len().min(300)]);
    }
    assert_eq!(kinds(&body(&contract, "multipart/form-data", "x")), [(MalformedBody, "")]);
}

#[test]
fn swagger_bodies() {
    let contract = load(
        r"
swagger: '2.0'
basePath: /v1
consumes: [application/json]
produces: [application/json]
paths:
  /a:
    post:
      parameters:
        - { name: b, in: body, required: true, schema: { $ref: '#/definitions/B' } }
      responses: { 200: { description: ok, schema: { type: array, items: { type: string } }, headers: { X-N: { type: integer } } } }
  /f:
    post:
      consumes: [multipart/form-data]
      parameters:
        - { name: id, in: formData, type: integer, required: true }
        - { name: f, in: formData, type: file }
        - { name: l, in: formData, type: array, items: { type: integer }, collectionFormat: multi }
      responses: { default: { description: ok } }
definitions:
  B: { type: object, discriminator: kind, required: [kind], properties: { kind: { type: string }, n: { type: integer } } }
",
    );
    assert!(contract.problems().is_empty(), "{:?}", contract.problems());
    assert!(body(&contract, "application/json", r#"{"kind":"x","n":1}"#).is_empty());
    assert_eq!(kinds(&body(&contract, "application/json", r#"{"n":1}"#)), [(ViolationKind::InvalidBody, "")]);
    let form = |text: &str| {
        contract.check_request_body(
            1,
            Some("multipart/form-data; boundary=b"),
            text.as_bytes(),
            Checks::default(),
        )
    };
    assert!(form("--b\r\nContent-Disposition: form-data; name=id\r\n\r\n5\r\n--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n\0\r\n--b--").is_empty());
    assert_eq!(form("--b\r\nContent-Disposition: form-data; name=id\r\n\r\nx\r\n--b--").len(), 1);
    let none = std::iter::empty::<(&str, &[u8])>();
    assert!(contract.check_response_head(0, 200, Some("application/json"), none.clone()).is_empty());
    assert_eq!(
        contract.check_response_head(0, 404, None, none.clone())[0].kind,
        ViolationKind::UndocumentedStatus
    );
    assert!(contract.check_response_head(1, 404, None, none).is_empty());
    assert_eq!(
        contract.check_response_body(0, 200, Some("application/json"), b"[1]", Checks::default())[0].kind,
        ViolationKind::InvalidResponseBody
    );
}

#[test]
fn responses_by_status() {
    let ok = json!({"description": "ok", "headers": {"X-Left": {"required": true, "schema": {"type": "integer"}}},
        "content": {"application/json": {"schema": {"type": "object", "properties": {
            "id": {"type": "integer", "readOnly": true}, "secret": {"type": "string", "writeOnly": true}}}}}});
    let contract = posting("3.0.3", &json!({}), &json!({"200": ok, "4XX": {"description": "no"}}));
    let statuses: Vec<Status> =
        contract.operations()[0].responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [Status::Exact(200), Status::Class(4)]);
    let head = |status, content_type, headers: &[(&'static str, &'static [u8])]| {
        let found = contract.check_response_head(0, status, content_type, headers.iter().copied());
        found.into_iter().map(|violation| violation.kind).collect::<Vec<_>>()
    };
    let left: &[(&str, &[u8])] = &[("x-left", b"3")];
    assert!(head(200, Some("application/json"), left).is_empty());
    assert_eq!(head(200, Some("text/html"), left), [ViolationKind::UndocumentedMediaType]);
    assert_eq!(head(200, None, &[]), [ViolationKind::InvalidResponseHeader]);
    assert_eq!(head(200, None, &[("X-LEFT", b"x")]), [ViolationKind::InvalidResponseHeader]);
    assert!(head(404, Some("text/html"), &[]).is_empty());
    assert_eq!(head(500, None, &[]), [ViolationKind::UndocumentedStatus]);
    let check = |text: &str| {
        let found = contract.check_response_body(
            0,
            200,
            Some("application/json"),
            text.as_bytes(),
            Checks::default(),
        );
        found.into_iter().map(|violation| violation.kind).collect::<Vec<_>>()
    };
    assert!(check(r#"{"id":1}"#).is_empty());
    assert_eq!(check(r#"{"secret":"x"}"#), [ViolationKind::WriteOnlyProperty]);
    assert_eq!(check(r#"{"extra":1}"#), [ViolationKind::UnknownProperty]);
    assert_eq!(check(r#"{"id":"x"}"#), [ViolationKind::InvalidResponseBody]);
    assert_eq!(check("<html>"), [ViolationKind::InvalidResponseBody]);
    assert!(contract.reads_response_body(0, 200, Some("application/json")));
    assert!(!contract.reads_response_body(0, 404, Some("application/json")));
}

#[test]
fn path_keys_with_a_query() {
    let contract = load(
        "openapi: 3.0.3\npaths:\n  /a?x=1: {get: {operationId: one, responses: {}}}\n  /a?x=2: {get: {operationId: two, responses: {}}}\n  '/#Action=A': {get: {responses: {}}, post: {responses: {}}}\n  '/#Action=B': {get: {responses: {}}, post: {responses: {}}}\n",
    );
    let id = |path: &str, query| match contract.route("GET", path, Some(query)) {
        Route::Found { operation, .. } => contract.operations()[operation].path.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(id("/a", "x=1"), "/a?x=1");
    assert_eq!(id("/a", "y=3&x=2"), "/a?x=2");
    assert!(id("/a", "x=3").starts_with("MethodNotAllowed"));
    assert_eq!(id("/", "Action=B"), "/#Action=B");
    let marked: Vec<bool> =
        contract.operations().iter().map(|operation| !operation.unenforced.is_empty()).collect();
    assert_eq!(marked, [false, false, false, true, false, true]);
    let none = std::iter::empty::<(&str, &[u8])>();
    assert!(contract.check_request_head(0, &[], Some("x=1"), none, Checks::default()).is_empty());
}

#[test]
fn path_keys_with_a_header() {
    let operation = |name: &str| {
        json!({"post": {"operationId": name, "responses": {}, "parameters": [
            {"name": "X-Target", "in": "header", "required": true, "schema": {"enum": [name]}}]}})
    };
    let contract = load_json(&json!({"openapi": "3.0.0", "paths": {
        "/#X-Target=A": operation("A"), "/#X-Target=B": operation("B")}}));
    assert!(contract.operations().iter().all(|operation| operation.unenforced.is_empty()));
    let with = |value: Option<&'static str>| {
        contract.route_with("POST", "/", None, |name| value.filter(|_| name.eq_ignore_ascii_case("x-target")))
    };
    assert!(matches!(with(Some("B")), Route::Found { operation: 1, .. }));
    assert!(matches!(with(Some("C")), Route::MethodNotAllowed { .. }));
    assert!(matches!(contract.route("POST", "/", None), Route::MethodNotAllowed { .. }));
}

#[test]
fn hostile_documents_end_soon() {
    let started = std::time::Instant::now();
    // Alternatives that apply themselves, ten times over.
    let twice: Vec<Value> = (0..10).map(|_| json!({"$ref": "#/components/schemas/A"})).collect();
    let contract = load_json(
        &json!({"openapi": "3.0.0", "components": {"schemas": {"A": {"anyOf": twice, "allOf": twice}}},
        "paths": {"/x": {"post": {"parameters": [{"name": "p", "in": "query", "schema": {"$ref": "#/components/schemas/A"}}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}, "responses": {}}}}}),
    );
    body(&contract, "application/json", "{}");
    let none = std::iter::empty::<(&str, &[u8])>();
    contract.check_request_head(0, &[], Some("p=1&p=2"), none, Checks::default());
    // As many problems as nodes.
    let wrong: serde_json::Map<String, Value> =
        (0..6_000).map(|n| (format!("p{n}"), json!({"type": n}))).collect();
    let contract =
        posting("3.1.0", &json!({"application/json": {"schema": {"properties": wrong}}}), &json!({}));
    assert!(contract.operations()[0].unenforced.len() <= 20);
    assert!(contract.problems().len() <= 10_000);
    // One key over and over.
    let keys = "\"k\": 1,".repeat(20_000);
    assert!(
        Contract::parse("t", format!("{{{keys} \"openapi\": \"3.0.0\"}}").as_bytes(), &Options::default())
            .is_err()
    );
    // A chain of references.
    let chain: serde_json::Map<String, Value> = (0..20_000)
        .map(|n| (format!("S{n}"), json!({"items": {"$ref": format!("#/components/schemas/S{}", n + 1)}})))
        .collect();
    load_json(&json!({"openapi": "3.0.0", "components": {"schemas": chain}, "paths": {"/x": {"post": {
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}, "responses": {}}}}}));
    let long = format!("openapi: 3.0.0\npaths: {{'{}': {{get: {{responses: {{}}}}}}}}", "/a".repeat(5_000));
    assert!(load(&long).operations().is_empty());
    assert!(started.elapsed().as_secs() < 60);
}
