use super::tests::load;
use crate::{Checks, Contract, Method, Options, Route, SchemeKind, ViolationKind};

fn head(contract: &Contract, method: &str, target: &str, cookie: &str) -> Vec<(ViolationKind, String)> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Route::Found { operation, captures } = contract.route(method, path, query) else {
        panic!("{method} {target}")
    };
    let headers = [("cookie", cookie.as_bytes())];
    let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
    let found = contract.check_request_head(operation, &captures, query, headers, Checks::default());
    found.into_iter().map(|violation| (violation.kind, violation.name.into())).collect()
}

#[test]
fn keys_that_are_there_twice_refuse_what_they_lead_to() {
    let refused = |text: &str| {
        let contract = load(text);
        let refused = contract.operations().iter().filter(|operation| !operation.unenforced.is_empty());
        refused.map(crate::Operation::label).collect::<Vec<_>>()
    };
    let one = "openapi: 3.0.0\npaths:\n  /a:\n    get: {responses: {}}\n    get: {responses: {}, security: []}\n    put: {responses: {}}\n  /b: {get: {responses: {}}}\n";
    assert_eq!(refused(one), ["GET /a"]);
    let path = "openapi: 3.0.0\npaths:\n  /a: {get: {responses: {}}}\n  /a: {put: {responses: {}}}\n  /b: {get: {responses: {}}}\n";
    assert_eq!(refused(path), ["GET /a"]);
    let shared = "openapi: 3.0.0\npaths:\n  /a: {parameters: [], parameters: [], get: {responses: {}}, put: {responses: {}}}\n  /b: {get: {responses: {}}}\n";
    assert_eq!(refused(shared), ["GET /a", "PUT /a"]);
    let all = "openapi: 3.0.0\nsecurity: [{a: []}]\nsecurity: []\npaths:\n  /a: {get: {responses: {}}}\n  /b: {get: {responses: {}}}\n";
    assert_eq!(refused(all), ["GET /a", "GET /b"]);
    let elsewhere = "openapi: 3.0.0\ninfo: {title: a, title: b}\npaths:\n  /a: {get: {responses: {}}}\n";
    assert!(refused(elsewhere).is_empty());
    let schemes = "openapi: 3.0.0\ncomponents:\n  securitySchemes:\n    a: {type: http, scheme: basic}\n    a: {type: http, scheme: bearer}\npaths: {}\n";
    assert_eq!(load(schemes).security_schemes()[0].kind, SchemeKind::Unknown);
}

#[test]
fn a_list_of_lists_is_refused() {
    let text = "swagger: '2.0'\npaths:\n  /a: {get: {parameters: [{name: p, in: query, type: array, items: {type: array, items: {type: integer}}}], responses: {}}}\n";
    assert_eq!(load(text).operations()[0].unenforced.len(), 1);
}

#[test]
fn slashes_by_document_and_policy() {
    let text = "openapi: 3.0.0\npaths:\n  /s/{scope}/x:\n    get: {parameters: [{name: scope, in: path, required: true, x-ms-skip-url-encoding: true, schema: {type: string, maxLength: 5}}], responses: {}}\n  /f/{path}:\n    get: {parameters: [{name: path, in: path, required: true, schema: {type: string}}], responses: {}}\n";
    let contract = load(text);
    assert!(head(&contract, "GET", "/s/a/b/x", "").is_empty());
    assert_eq!(head(&contract, "GET", "/s/abc/def/x", "").len(), 1);
    assert!(matches!(contract.route("GET", "/f/a/b", None), Route::NotFound));
    let options = Options { multi_segment: vec!["/f/{path*}".into()], ..Options::default() };
    let contract = Contract::parse("t", text.as_bytes(), &options).unwrap();
    assert!(head(&contract, "GET", "/f/a/b", "").is_empty());
}

#[test]
fn what_openapi_3_2_adds() {
    let contract = load(
        r#"
openapi: 3.2.0
$self: https://example.com/api/openapi.yaml
paths:
  /a:
    query:
      requestBody: { content: { application/json: { schema: { type: object } } } }
      responses: {}
    additionalOperations:
      COPY: { responses: {} }
    get:
      parameters:
        - { name: whole, in: querystring, required: true, content: { application/x-www-form-urlencoded: { schema: { type: object, required: [a], additionalProperties: false, properties: { a: { type: integer }, b: { type: array, items: { type: integer } } } } } } }
      responses: {}
    put:
      parameters:
        - { name: whole, in: querystring, content: { application/json: { schema: { type: array, items: { type: integer } } } } }
        - { name: ids, in: cookie, style: cookie, schema: { type: array, items: { type: integer } } }
        - { name: o, in: cookie, style: cookie, schema: { type: object, required: [greeting], properties: { greeting: { type: string, pattern: '^[A-Za-z%20!]+$' }, code: { type: integer } } } }
      responses: {}
    post:
      requestBody: { content: { application/json: { $ref: '#/components/mediaTypes/order' } } }
      responses: {}
    delete:
      parameters:
        - { name: whole, in: querystring, content: { text/plain: {} } }
        - { name: x, in: query, schema: {} }
      responses: {}
components:
  mediaTypes:
    order: { schema: { $ref: 'https://example.com/api/openapi.yaml#/components/schemas/Order' } }
  schemas:
    Order: { type: object, required: [id] }
"#,
    );
    let methods: Vec<&Method> = contract.operations().iter().map(|operation| &operation.method).collect();
    assert!(methods.contains(&&Method::Query) && methods.contains(&&Method::Other("COPY".into())));
    let refused: Vec<String> = contract
        .operations()
        .iter()
        .filter(|operation| !operation.unenforced.is_empty())
        .map(crate::Operation::label)
        .collect();
    assert_eq!(refused, ["DELETE /a"]);
    for (query, wrong) in [("a=1", 0), ("a=1&b=2&b=3", 0), ("a=x", 1), ("b=1", 1), ("a=1&c=2", 1), ("", 1)] {
        assert_eq!(head(&contract, "GET", &format!("/a?{query}"), "").len(), wrong, "{query}");
    }
    for (query, wrong) in [("%5B1,2%5D", 0), ("[1]", 0), ("[", 1), ("[%22x%22]", 1), ("", 0)] {
        assert_eq!(head(&contract, "PUT", &format!("/a?{query}"), "").len(), wrong, "{query}");
    }
    for (cookie, wrong) in [
        ("ids=1; ids=2", 0),
        ("ids=1; ids=x", 1),
        ("ids=1,2", 1),
        ("greeting=Hello%20you!; code=42", 0),
        ("greeting=Hello; code=x", 1),
        ("code=42", 1),
        ("greeting=a; greeting=b", 1),
        ("other=1", 0),
    ] {
        assert_eq!(head(&contract, "PUT", "/a", cookie).len(), wrong, "{cookie}");
    }
    let order = contract.operations().iter().position(|operation| operation.method == Method::Post).unwrap();
    let schema = contract.operations()[order].body.as_ref().unwrap().content[0].schema;
    assert!(schema.is_some_and(|schema| schema != crate::schema::SchemaId::ANY), "the reference by $self");
}

#[test]
fn references_that_lead_to_one_place_only_are_ordinary() {
    let contract = load(
        r##"
openapi: 3.1.0
paths:
  /a: { post: { requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/Tree' } } } }, responses: {} } }
  /b: { post: { requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/List' } } } }, responses: {} } }
  /c: { post: { requestBody: { content: { application/json: { schema: { $dynamicRef: '#two' } } } }, responses: {} } }
components:
  schemas:
    Tree: { $recursiveAnchor: true, type: object, properties: { children: { type: array, items: { $recursiveRef: '#' } } } }
    List: { $dynamicAnchor: one, type: object, properties: { next: { $dynamicRef: '#one' } } }
    Two: { $dynamicAnchor: two }
    Other: { $dynamicAnchor: two }
"##,
    );
    let refused: Vec<bool> =
        contract.operations().iter().map(|operation| !operation.unenforced.is_empty()).collect();
    assert_eq!(refused, [false, false, true]);
}
