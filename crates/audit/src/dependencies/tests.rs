use std::fs;

use serde_json::json;

use super::version::Ecosystem;
use super::*;

fn advisory(value: serde_json::Value) -> Advisory {
    serde_json::from_value(value).unwrap()
}

fn package(ecosystem: Ecosystem, name: &str, version: &str) -> Package {
    Package { ecosystem, name: name.into(), version: version.into() }
}

fn fixed(advisory: &Advisory, ecosystem: Ecosystem, version: &str) -> Answer {
    advisory.affects(&package(ecosystem, "thing", version))
}

fn ranged(ecosystem: &str, events: serde_json::Value) -> Advisory {
    advisory(json!({ "id": "T-1", "affected": [{
        "package": { "ecosystem": ecosystem, "name": "thing" },
        "ranges": [{ "type": "ECOSYSTEM", "events": events }] }] }))
}

#[test]
fn ranges_begin_and_end_where_they_say() {
    let two = ranged(
        "npm",
        json!([
            { "introduced": "0" }, { "fixed": "1.2.3" }, { "introduced": "2.0.0" }, { "fixed": "2.1.0" }
        ]),
    );
    let yes = |fixed: &str| Answer::Yes { fixed: Some(fixed.into()) };
    assert_eq!(fixed(&two, Ecosystem::Npm, "0.0.0-alpha"), yes("1.2.3"));
    assert_eq!(fixed(&two, Ecosystem::Npm, "1.2.3-rc.1"), yes("1.2.3"));
    assert_eq!(fixed(&two, Ecosystem::Npm, "1.2.3"), Answer::No);
    assert_eq!(fixed(&two, Ecosystem::Npm, "1.9.0"), Answer::No);
    assert_eq!(fixed(&two, Ecosystem::Npm, "2.0.0"), yes("2.1.0"));
    assert_eq!(fixed(&two, Ecosystem::Npm, "2.1.0"), Answer::No);

    // The order of the events in the file means nothing.
    let shuffled = ranged(
        "npm",
        json!([
            { "fixed": "2.1.0" }, { "introduced": "2.0.0" }, { "fixed": "1.2.3" }, { "introduced": "0" }
        ]),
    );
    for version in ["1.0.0", "1.2.3", "2.0.5", "2.1.0", "3.0.0"] {
        assert_eq!(
            fixed(&two, Ecosystem::Npm, version),
            fixed(&shuffled, Ecosystem::Npm, version),
            "{version}"
        );
    }

    // At one version they come as they stand: two ranges that touch are one, one that ends where it begins is empty.
    let touching = ranged(
        "npm",
        json!([
            { "introduced": "0" }, { "fixed": "1.0.3" }, { "introduced": "1.0.3" }, { "fixed": "2.0.0" }
        ]),
    );
    assert_eq!(fixed(&touching, Ecosystem::Npm, "1.0.3"), yes("2.0.0"));
    assert_eq!(fixed(&touching, Ecosystem::Npm, "1.1.1"), yes("2.0.0"));
    let empty = ranged("npm", json!([{ "introduced": "1.0.0" }, { "fixed": "1.0.0" }]));
    assert_eq!(fixed(&empty, Ecosystem::Npm, "1.0.0"), Answer::No);
    assert_eq!(fixed(&empty, Ecosystem::Npm, "1.2.0"), Answer::No);

    let last = ranged("PyPI", json!([{ "introduced": "1.0" }, { "last_affected": "1.5" }]));
    assert_eq!(fixed(&last, Ecosystem::PyPi, "1.5.0"), Answer::Yes { fixed: None });
    assert_eq!(fixed(&last, Ecosystem::PyPi, "1.5.post1"), Answer::No);
    assert_eq!(fixed(&last, Ecosystem::PyPi, "0.9"), Answer::No);

    let open = ranged("Go", json!([{ "introduced": "0" }]));
    assert_eq!(fixed(&open, Ecosystem::Go, "v99.0.0"), Answer::Yes { fixed: None });
    let limited = ranged("Go", json!([{ "introduced": "0" }, { "limit": "2.0.0" }]));
    assert_eq!(fixed(&limited, Ecosystem::Go, "v1.9.0"), Answer::Yes { fixed: None });
    assert_eq!(fixed(&limited, Ecosystem::Go, "v2.0.0"), Answer::No);
}

#[test]
fn every_range_holds_what_it_says() {
    let (mut asked, mut wrong) = (0, Vec::new());
    let lines = include_str!("version/ranges.txt").lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [range, inside, outside] = parts[..] else { panic!("{line}") };
        let (ecosystem, intervals) = range.split_once(' ').unwrap();
        let mut events = Vec::new();
        for interval in intervals.split('[').skip(1).map(str::trim) {
            let (from, to) = interval.split_once(' ').unwrap_or((interval, ""));
            events.push(json!({ "introduced": from }));
            match to.strip_suffix(')') {
                Some(fixed) => events.push(json!({ "fixed": fixed })),
                None if to.is_empty() => {}
                None => events.push(json!({ "last_affected": to.strip_suffix(']').unwrap() })),
            }
        }
        for events in [events.clone(), events.into_iter().rev().collect()] {
            let advisory = ranged(ecosystem, events.into());
            let ecosystem: Ecosystem = ecosystem.parse().unwrap();
            let versions =
                |text: &'static str, held: bool| text.split(' ').map(move |version| (version, held));
            for (version, held) in versions(inside, true).chain(versions(outside, false)) {
                let answer = fixed(&advisory, ecosystem, version);
                asked += 1;
                if matches!(answer, Answer::Yes { .. }) != held || matches!(answer, Answer::Unknown(_)) {
                    wrong.push(format!("{range}: {version}: {answer:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 800, "{asked}");
}

#[test]
fn lists_withdrawals_and_other_packages() {
    let listed = advisory(json!({ "id": "T-2", "affected": [{
        "package": { "ecosystem": "PyPI", "name": "Thing" }, "versions": ["1.0", "1.1"] }] }));
    assert_eq!(fixed(&listed, Ecosystem::PyPi, "1.1"), Answer::Yes { fixed: None });
    for same in ["1.0.0", "1.1+build.2", "v1.0"] {
        assert_eq!(fixed(&listed, Ecosystem::PyPi, same), Answer::Yes { fixed: None }, "{same} (PEP 440)");
    }
    for other in ["1.2", "1.1.post1", "1.10", "not a version"] {
        assert_eq!(fixed(&listed, Ecosystem::PyPi, other), Answer::No, "{other}");
    }
    assert_eq!(fixed(&listed, Ecosystem::Npm, "1.1"), Answer::No, "another ecosystem");

    let withdrawn = advisory(json!({ "id": "T-3", "withdrawn": "2026-01-01T00:00:00Z", "affected": [{
        "package": { "ecosystem": "npm", "name": "thing" } }] }));
    assert_eq!(fixed(&withdrawn, Ecosystem::Npm, "1.0.0"), Answer::No);

    let malicious = advisory(json!({ "id": "MAL-1", "affected": [{
        "package": { "ecosystem": "npm", "name": "thing" } }] }));
    assert_eq!(fixed(&malicious, Ecosystem::Npm, "0.0.1"), Answer::Yes { fixed: None });

    let only_commits = advisory(json!({ "id": "T-4", "affected": [{
        "package": { "ecosystem": "npm", "name": "thing" },
        "ranges": [{ "type": "GIT", "events": [{ "introduced": "0" }] }] }] }));
    assert_eq!(fixed(&only_commits, Ecosystem::Npm, "1.0.0"), Answer::No);

    let unreadable = ranged("npm", json!([{ "introduced": "1.0.0" }]));
    assert!(matches!(fixed(&unreadable, Ecosystem::Npm, "file:../thing"), Answer::Unknown(_)));
}

#[test]
fn a_fix_is_free_of_every_range() {
    let overlapping = advisory(json!({ "id": "T-5", "affected": [{
        "package": { "ecosystem": "npm", "name": "thing" },
        "ranges": [
            { "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "1.1.0" }] },
            { "type": "SEMVER", "events": [{ "introduced": "1.1.0" }, { "fixed": "1.3.0" }] } ] }] }));
    assert_eq!(fixed(&overlapping, Ecosystem::Npm, "1.0.0"), Answer::Yes { fixed: Some("1.3.0".into()) });
}

#[test]
fn scores_come_from_vectors_and_words() {
    let with = |kind: &str, vector: &str| {
        advisory(json!({ "id": "T-6", "severity": [{ "type": kind, "score": vector }], "affected": [] }))
    };
    let thing = package(Ecosystem::Npm, "thing", "1.0.0");
    let score = |kind: &str, vector: &str| with(kind, vector).cvss(&thing).map(|(score, _)| score);
    assert_eq!(score("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"), Some(9.8));
    assert_eq!(score("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), Some(6.1));
    assert_eq!(
        score("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),
        Some(9.3)
    );
    assert_eq!(score("CVSS_V3", "high"), None);
    assert_eq!(Band::of_word("MODERATE"), Band::Medium);
}

#[test]
fn a_folder_a_zip_and_the_catalogue_of_exploited_flaws() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    let entry = |id: &str, alias: &str, fix: &str| {
        json!({ "id": id, "aliases": [alias], "summary": "a flaw", "affected": [{
            "package": { "ecosystem": "npm", "name": "deep" },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": fix }] }] }] })
    };
    write("one.json", entry("GHSA-aaaa", "CVE-2026-0001", "1.1.0").to_string());
    write(
        "two.json",
        json!([entry("OTHER-1", "CVE-2026-0001", "1.1.0"), entry("GHSA-bbbb", "CVE-2026-0002", "2.0.0")])
            .to_string(),
    );
    write("kev.json", json!({ "vulnerabilities": [{ "cveID": "CVE-2026-0002" }] }).to_string());
    write("broken.json", "{".into());
    fs::create_dir(folder.path().join("npm")).unwrap();
    let archive = fs::File::create(folder.path().join("npm/all.zip")).unwrap();
    let mut archive = zip::ZipWriter::new(archive);
    archive.start_file("GHSA-cccc.json", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(
        &mut archive,
        entry("GHSA-cccc", "CVE-2026-0003", "0.5.0").to_string().as_bytes(),
    )
    .unwrap();
    archive.finish().unwrap();

    let lock = json!({ "lockfileVersion": 3, "packages": {
        "": { "dependencies": { "top": "1" } },
        "node_modules/top": { "version": "1.0.0", "dependencies": { "deep": "1" } },
        "node_modules/deep": { "version": "1.0.0" } } });
    let inventory = lock::read("package-lock.json", lock.to_string().as_bytes()).unwrap();
    let mut advisories = Advisories::for_packages([&inventory]);
    advisories.read(folder.path()).unwrap();
    assert_eq!((advisories.seen(), advisories.broken().len()), (4, 1));

    let audit = audit(&inventory, &advisories);
    let found: Vec<_> = audit
        .vulnerable
        .iter()
        .map(|flaw| (flaw.names.join(" "), flaw.exploited, flaw.fixed.clone().unwrap()))
        .collect();
    assert_eq!(found.len(), 2, "two advisories about one flaw are one: {found:?}");
    assert!(found[0].0.contains("CVE-2026-0002") && found[0].1, "{found:?}");
    assert!(found[1].0.contains("GHSA-aaaa") && found[1].0.contains("OTHER-1"), "{found:?}");
    let path: Vec<&str> = audit.vulnerable[0].path.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(path, ["top", "deep"]);
    assert!(advisories.read(&folder.path().join("absent")).is_err());
}

#[test]
fn listed_versions_are_found_in_the_spelling_of_lock_files() {
    for (ecosystem, listed, version) in [
        ("Go", "1.2.3", "v1.2.3"),
        ("Go", "2.0.0+incompatible", "v2.0.0+incompatible"),
        ("Packagist", "v1.7.0", "1.7.0"),
        ("PyPI", "1.0.0a1", "1.0.0-alpha.1"),
        ("npm", "1.2.3", "1.2.3"),
    ] {
        let known = advisory(json!({ "id": "T-2", "affected": [{
            "package": { "ecosystem": ecosystem, "name": "thing" }, "versions": [listed] }] }));
        let ecosystem: Ecosystem = ecosystem.parse().unwrap();
        assert_eq!(fixed(&known, ecosystem, version), Answer::Yes { fixed: None }, "{ecosystem} {version}");
        assert_eq!(fixed(&known, ecosystem, "9.9.9"), Answer::No, "{ecosystem}");
    }
}

#[test]
fn a_broken_score_does_not_hide_the_flaw() {
    let long = format!("CVSS:4.0/{}", "AV:N/".repeat(50_000));
    for score in [
        json!(null),
        json!(9.8),
        json!(["9.8"]),
        json!("CVSS:3.1/AV:Z"),
        json!("NaN"),
        json!(""),
        json!(long),
    ] {
        let known = advisory(json!({ "id": "T-3", "severity": [{ "type": "CVSS_V3", "score": score }],
            "affected": [{ "package": { "ecosystem": "npm", "name": "thing" } }] }));
        assert_eq!(fixed(&known, Ecosystem::Npm, "1.0.0"), Answer::Yes { fixed: None });
        assert_eq!(known.cvss(&package(Ecosystem::Npm, "thing", "1.0.0")), None);
    }
}

#[test]
fn that_nobody_looks_after_a_package_is_low() {
    for (informational, band) in
        [(json!("unmaintained"), Band::Low), (json!(null), Band::Unknown), (json!("unsound"), Band::Unknown)]
    {
        let folder = tempfile::tempdir().unwrap();
        let known = json!({ "id": "RUSTSEC-1", "affected": [{ "package": { "ecosystem": "crates.io", "name": "thing" },
            "database_specific": { "informational": informational } }] });
        fs::write(folder.path().join("one.json"), known.to_string()).unwrap();
        let mut inventory = Inventory::default();
        inventory.add(package(Ecosystem::CratesIo, "thing", "1.0.0"), false);
        let mut advisories = Advisories::for_packages([&inventory]);
        advisories.read(folder.path()).unwrap();
        assert_eq!(audit(&inventory, &advisories).vulnerable.first().map(|flaw| flaw.band), Some(band));
    }
}
