//! `portcullis scan` from the section `scan` of a configuration file, with clients of a real authorization server whose
//! tokens run out while it scans.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::gateway::{self, Options};
use crate::harness::provider::Provider;
use crate::harness::recorder::Recorder;

const CONTRACT: &str = r#"{
  "openapi": "3.1.0", "info": {"title": "Orders", "version": "1"},
  "components": {"securitySchemes": {"login": {"type": "oauth2", "flows": {"clientCredentials": {
    "tokenUrl": "https://login.example/token", "scopes": {"orders:read": "", "orders:write": ""}}}}}},
  "paths": {
    "/orders": {
      "get": {"security": [{"login": ["orders:read"]}], "responses": {"200": {"description": "ok"}}}
    },
    "/orders/{order}": {
      "parameters": [{"name": "order", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {"security": [{"login": ["orders:read"]}], "responses": {"200": {"description": "ok"}}}
    }
  }
}"#;

fn scan(folder: &std::path::Path, more: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(gateway::binary());
    command.current_dir(folder).arg("scan").args(more).envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn tokens_that_run_out_are_asked_for_anew() {
    let Some(provider) = Provider::start("tokens_that_run_out_are_asked_for_anew") else { return };
    let upstream = Recorder::start();
    let config = format!(
        "upstream: http://{}\nlimit: {{ baseline: off }}\n{}",
        upstream.address,
        provider.section(", leeway: 0s")
    );
    let gateway = Options::config(config).spec(CONTRACT).start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("orders.json"), CONTRACT).unwrap();
    let client = |name: &str| {
        format!(
            "{name}: {{ client: {{ url: \"{}/token\", id: {name}, secret: \"${{{}_SECRET}}\", resource: urn:short, \
             scope: orders:read orders:write }} }}",
            provider.issuer(),
            name.to_uppercase()
        )
    };
    let text = format!(
        "scan:\n  target: {}\n  spec: orders.json\n  rate: 40\n  max_requests: 200\n  seed: 7\n  identities:\n    {}\n    {}\n",
        gateway.url(),
        client("alice"),
        client("bob")
    );
    fs::write(folder.path().join("portcullis.yaml"), text).unwrap();
    let secrets = [("ALICE_SECRET", "secret-of-alice"), ("BOB_SECRET", "secret-of-bob")];
    let output = scan(folder.path(), &["-o", "report.json"], &secrets);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = fs::read_to_string(folder.path().join("report.json")).unwrap_or_else(|_| panic!("{said}"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert!(!text.contains("secret-of-"), "a secret stands in the report");
    assert!(!text.contains("could not log in"), "{text}");
    let fact = |name: &str| {
        report["facts"].as_array().unwrap().iter().find(|fact| fact["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!((fact("operations reached"), fact("seed")), ("2 of 2".into(), "7".into()));
    // Each token lives for two seconds, and the scan takes longer than that.
    let asked = provider.count("/token");
    assert!(asked >= 5, "tokens were asked for {asked} times");
}

#[test]
fn the_section_is_checked_and_the_command_line_goes_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("portcullis.yaml"), text).unwrap();
    let said = |more: &[&str]| {
        let output = scan(folder.path(), more, &[]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    write("scan: { targett: http://127.0.0.1:1 }");
    let (code, text) = said(&[]);
    assert!(code == Some(2) && text.contains("targett") && text.contains("`target`"), "{text}");
    write("scan: { target: http://127.0.0.1:1, spec: a.json, identities: { eve: { password: x } } }");
    let (code, text) = said(&[]);
    assert!(code == Some(2) && text.contains("`eve` has no `username`"), "{text}");
    // A token endpoint elsewhere takes a second word, as a target does.
    write(
        "scan: { target: http://127.0.0.1:1, spec: a.json, identities: { eve: { client: { url: \"http://192.0.2.7/t\", \
         id: a, secret: b } } } }",
    );
    let (code, text) = said(&[]);
    assert!(code == Some(2) && text.contains("--allow-host 192.0.2.7"), "{text}");
    // A password that only the scan needs does not keep the gateway from starting.
    write(
        "upstream: http://127.0.0.1:1\npolicies: [{ public: true }]\nscan: { identities: { eve: { username: e, password: \"${NOT_SET}\" } } }",
    );
    let mut check = Command::new(gateway::binary());
    let output = check.current_dir(folder.path()).args(["config", "check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (code, text) = said(&[]);
    assert!(code == Some(2) && text.contains("NOT_SET"), "{text}");
    let (code, text) = said(&["--spec", "nowhere.json", "--target", "http://127.0.0.1:1"]);
    assert!(code == Some(2) && text.contains("nowhere.json"), "{text}");
}
