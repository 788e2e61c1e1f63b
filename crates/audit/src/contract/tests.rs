use std::collections::BTreeSet;

use portcullis_openapi::{Alone, Fetch, FetchError};

use super::rules::RULES;
use super::*;

fn options() -> Options {
    Options { today: Some((2026, 5, 1)), edits: true, limits: Limits::default() }
}

fn run(name: &str, text: &str) -> Audit {
    audit(name, text.as_bytes(), &Alone, &options()).unwrap()
}

fn codes(audit: &Audit) -> BTreeSet<&'static str> {
    audit.findings.iter().map(|finding| finding.rule.code).collect()
}

fn cases() -> Vec<(&'static str, &'static str, &'static str)> {
    let text = include_str!("cases/weak.txt");
    let parts = text.split("\n=== ").skip(1);
    parts
        .map(|part| {
            let (head, document) = part.split_once('\n').unwrap();
            let (name, codes) = head.split_once(": ").unwrap();
            (name, codes, document)
        })
        .collect()
}

#[test]
fn what_is_well_described_is_left_alone() {
    let audit = run("clean.yaml", include_str!("cases/clean.yaml"));
    let found: Vec<String> =
        audit.findings.iter().map(|one| format!("{} {:?}", one.rule.code, one.hits)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!((audit.score - 100.0).abs() < 1e-9);
    assert_eq!(audit.operations.len(), 4);
}

#[test]
fn every_case_has_what_it_says_and_every_rule_has_a_case() {
    let mut seen = BTreeSet::new();
    for (name, wanted, document) in cases() {
        let found = codes(&run("case.yaml", document));
        for code in wanted.split_whitespace() {
            match code.strip_prefix('!') {
                Some(code) => assert!(!found.contains(code), "{name}: {code} is found"),
                None => {
                    assert!(found.contains(code), "{name}: {code} is not found, only {found:?}");
                    seen.insert(code);
                }
            }
        }
    }
    let missing: Vec<&str> = RULES.iter().map(|rule| rule.code).filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn rules_have_a_page_and_a_name_of_their_own() {
    let mut known = BTreeSet::new();
    for rule in RULES {
        assert!(known.insert(rule.code), "{} twice", rule.code);
        let page = rule.page();
        assert!(page.contains("**What it finds.**"), "{}: {page}", rule.code);
        assert!(!page.contains("//!"), "{page}");
        assert!(rule.cwe > 0 && !rule.fix.is_empty());
    }
}

#[test]
fn fixes_keep_the_text_and_raise_the_score() {
    for (name, _, document) in cases() {
        for json in [false, true] {
            let text = if json { as_json(document) } else { document.to_owned() };
            let file = if json { "case.json" } else { "case.yaml" };
            let before = run(file, &text);
            let edits: Vec<&Edit> = before.findings.iter().flat_map(|finding| &finding.edits).collect();
            let fixed = apply(&text, &edits);
            let after = run(file, &fixed);
            assert_eq!(before.operations.len(), after.operations.len(), "{name}\n{fixed}");
            if edits.is_empty() {
                assert_eq!(fixed, text);
            } else {
                let weighs =
                    |finding: &&Finding| !finding.edits.is_empty() && finding.rule.severity > Severity::Info;
                let better = before.findings.iter().any(|finding| weighs(&finding));
                let more = after.score - before.score;
                assert!(if better { more > 0.0 } else { more > -1e-9 }, "{name}: {more}\n{fixed}");
            }
            // Whatever was there is still there, in the same order.
            let mut rest = fixed.as_str();
            for word in text.split_whitespace().filter(|word| !word.contains("http")) {
                let at = rest
                    .find(word.trim_matches(['{', '}', ',']))
                    .unwrap_or_else(|| panic!("{name}: {word} is gone\n{fixed}"));
                rest = &rest[at..];
            }
        }
    }
}

fn as_json(yaml: &str) -> String {
    let document = portcullis_openapi::source::Document::parse("t", yaml.as_bytes()).unwrap();
    serde_json::to_string_pretty(&document.root().to_json()).unwrap()
}

#[test]
fn comments_and_layout_survive_a_fix() {
    let text = "openapi: 3.0.3\n# who\ninfo: {title: t, version: '1'}\nsecurity: [{k: []}]\npaths:\n  /a:\n    get:\n      responses:\n        # the good one\n        '200': {description: ok}   # fine\n        '503':\n          description: later\ncomponents: {securitySchemes: {k: {type: apiKey, in: header, name: k}}}\n";
    let before = run("a.yaml", text);
    let edits: Vec<&Edit> =
        before.findings.iter().flat_map(|finding| &finding.edits).filter(|edit| edit.safe).collect();
    let fixed = apply(text, &edits);
    assert!(fixed.contains("        # the good one\n        '200': {description: ok}   # fine\n        '401':\n          description: No valid credentials\n        '429':\n"), "{fixed}");
    assert!(fixed.contains("'503':\n          description: later\n"), "{fixed}");
    let crlf = text.replace('\n', "\r\n");
    let before = run("a.yaml", &crlf);
    let edits: Vec<&Edit> = before.findings.iter().flat_map(|finding| &finding.edits).collect();
    assert!(!apply(&crlf, &edits).replace("\r\n", "").contains('\n'));
    // One line of JSON stays one line.
    let line =
        serde_json::to_string(&serde_json::from_str::<serde_json::Value>(&as_json(text)).unwrap()).unwrap();
    let before = run("a.json", &line);
    let edits: Vec<&Edit> = before.findings.iter().flat_map(|finding| &finding.edits).collect();
    let fixed = apply(&line, &edits);
    assert!(fixed.contains(r#""429":{"description":"#) && !fixed.contains('\n'), "{fixed}");
}

#[derive(Debug)]
struct Files(&'static [(&'static str, &'static str)]);

impl Fetch for Files {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let found = self.0.iter().find(|(name, _)| *name == uri);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(FetchError { what: format!("no `{uri}`") })
    }
}

#[test]
fn other_files_are_read_and_named() {
    let files = Files(&[(
        "parts/user.yaml",
        "User:\n  type: object\n  additionalProperties: false\n  properties:\n    name:\n      type: string\n",
    )]);
    let text = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /a:\n    post:\n      requestBody: {content: {application/json: {schema: {$ref: 'parts/user.yaml#/User'}}}}\n      responses: {default: {description: ok}}\n    put:\n      requestBody: {content: {application/json: {schema: {$ref: 'parts/user.yaml#/User'}}}}\n      responses: {default: {description: ok}}\n";
    let audit = audit("a.yaml", text.as_bytes(), &files, &options()).unwrap();
    let finding = audit.findings.iter().find(|finding| finding.rule.code == "string-unbounded").unwrap();
    assert_eq!(finding.subject, "schema `User`");
    assert_eq!(finding.operations, ["POST /a", "PUT /a"]);
    let hit = &finding.hits[0];
    assert_eq!((hit.source.as_str(), hit.line, hit.column), ("parts/user.yaml", 5, 5));
    assert_eq!(hit.pointer, "/User/properties/name");
    assert_eq!(finding.edits[0].source, "parts/user.yaml");
    assert!(audit.unread.is_empty());
}

#[test]
fn points_add_up_to_what_is_lost() {
    for (name, _, document) in cases() {
        let audit = run("case.yaml", document);
        assert!((0.0..=100.0).contains(&audit.score), "{name}");
        for finding in &audit.findings {
            assert!(finding.points >= -1e-9 && finding.points <= 100.0, "{name} {finding:?}");
            assert!(!finding.hits.is_empty() && finding.hits[0].line > 0);
            let weighs = finding.rule.severity > Severity::Info
                && (finding.operation_count > 0 || finding.operations.is_empty());
            assert!(!weighs || finding.points > 0.0, "{name}: {} is worth nothing", finding.rule.code);
        }
    }
}

#[test]
fn hostile_documents_end_in_an_error_or_an_audit() {
    let alone = |text: &str| audit("h.yaml", text.as_bytes(), &Alone, &options());
    for text in ["", "null", "[]", "openapi: 4.0.0", "{", "a: &a [*a]", "swagger: '1.2'", "\u{0}"] {
        assert!(alone(text).is_err(), "{text}");
    }
    for text in [
        "openapi: 3.0.0",
        "openapi: 3.0.0\npaths: []",
        "openapi: 3.0.0\npaths: {/a: {get: 3, post: {responses: 4, parameters: 5, security: 6, requestBody: 7}}}",
        "openapi: 3.0.0\npaths: {/a: {$ref: '#/paths/~1a'}}",
        "openapi: 3.0.0\nsecurity: [1]\nservers: [2]\ncomponents: {securitySchemes: {a: 1}}\npaths: {/a: {get: {parameters: [1, {name: 3}]}}}",
        "openapi: 3.0.0\npaths: {/a: {post: {requestBody: {content: {a/json: {schema: {allOf: 1, properties: 2, items: 3, type: [4]}}}}}}}",
    ] {
        alone(text).unwrap();
    }
    let deep = format!(
        "{{\"openapi\":\"3.0.0\",\"paths\":{{\"/a\":{{\"post\":{{\"requestBody\":{{\"content\":{{\"a/json\":{{\"schema\":{}{}}}}}}}}}}}}}}}",
        "{\"items\":".repeat(150),
        "}".repeat(150)
    );
    alone(&deep).unwrap();
    let mut bomb = String::from("openapi: 3.0.0\na: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("b{level}: &a{level} [{alias}]\n"));
    }
    assert!(alone(&bomb).is_err());
}
