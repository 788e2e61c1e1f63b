//! Advisories from a mirror, and what they say of a lock file, without any network but loopback.

use std::fs;
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::gateway::binary;
use crate::harness::needs;
use crate::harness::peers::{Peer, free_address};

/// A mirror of the OSV service as any web server makes one: an archive for each ecosystem.
fn mirror(python: &std::path::Path) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let advisory = json!({
        "schema_version": "1.6.0", "id": "GHSA-test-0001", "modified": "2026-01-01T00:00:00Z",
        "summary": "prototype pollution", "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
        "affected": [{ "package": { "ecosystem": "npm", "name": "left-pad" },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "1.3.0" }] }] }],
    });
    let npm = folder.path().join("npm");
    fs::create_dir(&npm).unwrap();
    fs::write(npm.join("GHSA-test-0001.json"), advisory.to_string()).unwrap();
    let zip = Command::new(python)
        .current_dir(&npm)
        .args(["-m", "zipfile", "-c", "all.zip", "GHSA-test-0001.json"])
        .status()
        .unwrap();
    assert!(zip.success());
    fs::create_dir(folder.path().join("PyPI")).unwrap();
    fs::write(folder.path().join("PyPI/all.zip"), "<html>a portal's page</html>").unwrap();
    let address = free_address();
    let mut command = Command::new(python);
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &address.port().to_string()]);
    Peer::start(command, folder, address)
}

#[test]
fn a_mirror_is_kept_and_a_lock_file_judged_by_it() {
    let Some(python) = needs("a_mirror_is_kept_and_a_lock_file_judged_by_it", "python3") else { return };
    let mirror = mirror(&python);
    let folder = tempfile::tempdir().unwrap();
    let from = format!("http://{}", mirror.address);
    let portcullis = |arguments: &[&str]| -> Output {
        let mut command = Command::new(binary());
        command.current_dir(folder.path()).env("PORTCULLIS_ADVISORIES", folder.path().join("kept"));
        command.args(arguments).output().unwrap()
    };
    let said = |output: &Output| {
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let synced = portcullis(&["advisories", "sync", "npm", "--from", &from]);
    assert!(synced.status.success() && said(&synced).contains("npm: 1 advisories"), "{}", said(&synced));
    let lock = json!({ "name": "app", "lockfileVersion": 3, "packages": {
        "": { "name": "app", "dependencies": { "left-pad": "^1.0.0" } },
        "node_modules/left-pad": { "version": "1.2.0" } } });
    fs::write(folder.path().join("package-lock.json"), lock.to_string()).unwrap();
    let audited = portcullis(&["audit", "package-lock.json", "--format", "json"]);
    assert_eq!(audited.status.code(), Some(1), "{}", said(&audited));
    assert!(
        said(&audited).contains("GHSA-test-0001") && said(&audited).contains("1.3.0"),
        "{}",
        said(&audited)
    );

    // What is no archive takes nothing's place; what is not there says so; a wrong name is answered with the right ones.
    let broken = portcullis(&["advisories", "sync", "PyPI", "--from", &from]);
    assert_eq!(broken.status.code(), Some(3), "{}", said(&broken));
    let missing = portcullis(&["advisories", "sync", "Go", "--from", &from]);
    assert!(missing.status.code() == Some(3) && said(&missing).contains("404"), "{}", said(&missing));
    let wrong = portcullis(&["advisories", "sync", "nmp", "--from", &from]);
    assert!(wrong.status.code() == Some(2) && said(&wrong).contains("npm"), "{}", said(&wrong));
    assert_eq!(
        portcullis(&["audit", "package-lock.json"]).status.code(),
        Some(1),
        "what was kept is still there"
    );
    let listed = portcullis(&["advisories", "list"]);
    assert!(said(&listed).contains("npm.zip: 1 advisories"), "{}", said(&listed));
    drop(mirror);
    let gone = portcullis(&["advisories", "sync", "npm", "--from", &from]);
    assert_eq!(gone.status.code(), Some(3), "{}", said(&gone));
}
