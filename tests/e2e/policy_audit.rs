//! The audit of the gateway's own policy: each weakness is found on the operations that have it, and on no other.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::gateway::binary;

const CONTRACT: &str = "
openapi: 3.0.3
info: { title: Bank, version: 1.0.0 }
components:
  securitySchemes:
    token: { type: http, scheme: bearer, bearerFormat: JWT }
  schemas:
    Account: { type: object, properties: { id: { type: string }, owner: { type: string } } }
security: [ { token: [] } ]
paths:
  /accounts/{accountId}:
    parameters: [ { name: accountId, in: path, required: true, schema: { type: string } } ]
    get:
      operationId: getAccount
      responses: { '200': { description: ok, content: { application/json: { schema: { $ref: '#/components/schemas/Account' } } } } }
    delete:
      operationId: closeAccount
      responses: { '204': { description: gone } }
  /accounts:
    post:
      operationId: openAccount
      requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/Account' } } } }
      responses: { '201': { description: made } }
  /rates:
    get:
      operationId: rates
      security: []
      responses: { '200': { description: ok } }
";

/// Runs the audit over a configuration that says this besides the contract and the issuer.
fn run(policy: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("openapi.yaml"), CONTRACT).unwrap();
    let config = format!(
        "upstream: http://127.0.0.1:3000\ncontract: openapi.yaml\n\
         issuers: {{ main: {{ issuer: https://login.example.com, audiences: [bank] }} }}\n{policy}"
    );
    fs::write(folder.path().join("portcullis.yaml"), config).unwrap();
    let mut command = Command::new(binary());
    let output = command
        .args(["audit", "portcullis.yaml", "--format", "json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output, report)
}

/// The findings by code, each with its operations.
fn found(policy: &str) -> BTreeMap<String, Vec<String>> {
    let (_, report) = run(policy);
    let operations = |item: &Value| {
        let places = item["places"].as_array().unwrap();
        places.iter().filter_map(|place| place["operation"].as_str().map(str::to_owned)).collect()
    };
    let items = report["items"].as_array().unwrap();
    items.iter().map(|item| (item["code"].as_str().unwrap().to_owned(), operations(item))).collect()
}

const GET: &str = "GET /accounts/{accountId}";
const DELETE: &str = "DELETE /accounts/{accountId}";
const POST: &str = "POST /accounts";
const RATES: &str = "GET /rates";

/// Compares a configuration's findings with what it should have, besides the one operation that the contract opens.
#[track_caller]
fn expect(policy: &str, expected: &[(&str, &[&str])]) {
    let mut found = found(policy);
    assert_eq!(found.remove("policy-public").unwrap_or_default(), [RATES], "{policy}");
    let expected: BTreeMap<String, Vec<String>> = expected
        .iter()
        .map(|(code, operations)| {
            ((*code).to_owned(), operations.iter().map(|operation| (*operation).to_owned()).collect())
        })
        .collect();
    assert_eq!(found, expected, "{policy}");
}

/// Everything on one object asks whose it is.
const OWNED: &str =
    "{ match: { path: '/accounts/{accountId}' }, authorize: { owner: { response: /owner, is: token.sub } } }";

#[test]
fn objects_that_nobody_asks_about_are_found_however_they_could_be_guarded() {
    expect("", &[("policy-object-unbound", &[GET, DELETE])]);
    expect(&format!("policies: [{OWNED}]"), &[]);
    // Knowing the caller's role says nothing of the object.
    expect(
        "policies: [{ match: { path: '/accounts/{accountId}' }, authorize: { roles: [teller], scopes: [accounts] } }]",
        &[("policy-object-unbound", &[GET, DELETE])],
    );
    for one in [
        "{ match: { operation: getAccount }, authorize: { bind: { path.accountId: token.account } } }",
        "{ match: { operation: getAccount }, decide: { relation: viewer, object: 'account:{path.accountId}' } }",
        "{ match: { operation: getAccount }, provenance: { needs: { account: path.accountId } } }",
        "{ match: { operation: getAccount }, seal: { ids: { account: accountId } } }",
    ] {
        // What shows an object, and learns, watches by nature: that is no guard in monitor mode.
        let shows = "{ match: { operation: openAccount }, provenance: { shows: { account: /id } }, seal: { ids: { account: /id } } }";
        let decide = "decide: { url: 'http://127.0.0.1:9', protocol: authzen }";
        let policy = format!("{decide}\npolicies: [{shows}, {one}]");
        expect(&policy, &[("policy-object-unbound", &[DELETE])]);
    }
    expect(
        &format!(
            "policies: [{OWNED}, {{ match: {{ operation: getAccount }}, authorize: {{ mode: monitor }} }}]"
        ),
        &[("policy-monitor", &[GET]), ("policy-object-unbound", &[GET])],
    );
}

#[test]
fn what_is_switched_off_is_found_where_it_is() {
    let with = |policy: &str| format!("policies: [{OWNED}, {policy}]");
    expect(&with("{ match: { operation: openAccount }, limit: off }"), &[("policy-unlimited", &[POST])]);
    expect(
        &with("{ match: { operation: openAccount }, validate: monitor }"),
        &[("policy-monitor", &[POST]), ("policy-unvalidated", &[POST])],
    );
    expect(&with("{ match: { operation: openAccount }, validate: off }"), &[("policy-unvalidated", &[POST])]);
    expect(
        &with("{ match: { operation: rates }, limit: { on_error: open } }"),
        &[("policy-fails-open", &[RATES])],
    );
    let mut watched = found(&format!("mode: monitor\npolicies: [{OWNED}]"));
    assert_eq!(watched.remove("policy-monitor").unwrap().len(), 4);
    assert_eq!(watched.remove("policy-unlimited").unwrap().len(), 4);
    assert_eq!(watched.remove("policy-unvalidated").unwrap().len(), 4);
    assert_eq!(watched.remove("policy-object-unbound").unwrap(), [GET, DELETE]);
    assert_eq!(watched.remove("policy-security-overruled").unwrap().len(), 3);
}

#[test]
fn a_policy_that_opens_what_the_contract_protects_is_found() {
    let mut open =
        found(&format!("policies: [{OWNED}, {{ match: {{ operation: openAccount }}, public: true }}]"));
    assert_eq!(open.remove("policy-public-write").unwrap(), [POST]);
    assert_eq!(open.remove("policy-security-overruled").unwrap(), [POST]);
    assert_eq!(open.remove("policy-public").unwrap(), [RATES]);
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_patch_whose_day_is_over_is_found_at_its_line() {
    let patch = |until: &str| {
        format!(
            "policies:\n  - {OWNED}\n  - match: {{ operation: openAccount }}\n    \
             patch: {{ closes: ['mass-assignment POST /accounts'], until: {until} }}\n    limit: {{ rate: 5/min, per: client }}\n"
        )
    };
    expect(&patch("2199-12-31"), &[]);
    let (output, report) = run(&patch("2024-01-31"));
    let item = report["items"].as_array().unwrap().iter().find(|item| item["code"] == "policy-patch-overdue");
    let item = item.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(
        (item["places"][0]["file"].as_str(), item["places"][0]["line"].as_u64()),
        (Some("portcullis.yaml"), Some(7))
    );
    assert!(item["detail"].as_str().unwrap().contains("mass-assignment POST /accounts"), "{item:#}");
    assert_eq!(output.status.code(), Some(1), "a finding is told by the exit code");
}
