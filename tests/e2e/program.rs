//! The program as a person meets it: the demonstration, the reference pages, the errors.

use std::fs;
use std::process::Command;

use crate::harness::gateway;

fn portcullis(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(gateway::binary()).args(arguments).current_dir(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_demonstration_stops_the_attacks_and_spares_the_users() {
    let (code, stdout, stderr) = portcullis(&["demo", "--once"]);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert!(stdout.len() > 500, "it shows next to nothing: {stdout}");
}

#[test]
fn the_reference_pages_are_fresh() {
    let folder = portcullis_dev::cache::workspace().join("docs/reference");
    let (code, stdout, stderr) = portcullis(&["docs", "--check", folder.to_str().unwrap()]);
    assert_eq!(code, Some(0), "run `cargo dev docs`: {stdout}{stderr}");
}

#[test]
fn an_error_in_a_file_names_its_place_and_the_nearest_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    fs::write(&path, "upstream: http://127.0.0.1:3000\ntimeoutz: { head: 2s }\n").unwrap();
    let (code, stdout, stderr) = portcullis(&["config", "check", "--config", path.to_str().unwrap()]);
    assert_ne!(code, Some(0));
    let said = format!("{stdout}{stderr}");
    assert!(said.contains("portcullis.yaml:2:1") && said.contains("timeouts"), "{said}");
}
