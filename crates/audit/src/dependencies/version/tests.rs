use super::*;

/// Reads `a < b = c` into its versions, each with its place in the order.
fn chain(text: &str) -> Vec<(usize, &str)> {
    let mut place = 0;
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        match word {
            "<" => place += 1,
            "=" => {}
            version => out.push((place, version)),
        }
    }
    out
}

#[test]
fn every_chain_is_in_order() {
    let (mut pairs, mut wrong) = (0, Vec::new());
    for line in include_str!("order.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (ecosystem, versions) = line.split_once(": ").unwrap();
        let ecosystem: Ecosystem = ecosystem.parse().unwrap();
        let versions = chain(versions);
        for (at, a) in &versions {
            for (other, b) in &versions {
                let got = compare(ecosystem, a, b);
                if got != Ok(at.cmp(other)) {
                    wrong.push(format!("{ecosystem}: `{a}` and `{b}`: {got:?}"));
                }
                pairs += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pairs > 800, "{pairs} pairs");
}

#[test]
fn what_is_no_version_is_said_so() {
    for (ecosystem, text) in [
        (Ecosystem::CratesIo, "latest"),
        (Ecosystem::Npm, "1.x"),
        (Ecosystem::Npm, "git+https://example.com/a.git"),
        (Ecosystem::Go, "master"),
        (Ecosystem::PyPi, "1.0-hello world"),
        (Ecosystem::RubyGems, "one"),
        (Ecosystem::NuGet, "[1.0,2.0)"),
        (Ecosystem::Debian, "a:1"),
        (Ecosystem::Npm, ""),
        (Ecosystem::Npm, "1.0.0-"),
    ] {
        assert!(compare(ecosystem, text, "1.0.0").is_err(), "{ecosystem}: `{text}`");
        assert!(compare(ecosystem, "1.0.0", text).is_err(), "{ecosystem}: `{text}`");
    }
    assert!(compare(Ecosystem::Maven, &"1.".repeat(200), "1").is_err(), "longer than any version");
}

#[test]
fn names_are_looked_up_in_one_spelling() {
    assert_eq!(Ecosystem::PyPi.canonical_name("Zope.Interface__x"), "zope-interface-x");
    assert_eq!(Ecosystem::NuGet.canonical_name("Newtonsoft.Json"), "newtonsoft.json");
    assert_eq!(Ecosystem::Npm.canonical_name("@Scope/Name"), "@Scope/Name");
    assert_eq!("Debian:12".parse(), Ok(Ecosystem::Debian));
    for ecosystem in Ecosystem::all() {
        assert_eq!(ecosystem.name().parse(), Ok(ecosystem));
        assert_eq!(Ecosystem::from_purl_type(ecosystem.purl_type()), Some(ecosystem));
    }
}
