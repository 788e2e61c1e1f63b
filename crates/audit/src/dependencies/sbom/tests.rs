use super::*;
use crate::dependencies::inventory::Inventory;

fn package(ecosystem: Ecosystem, name: &str, version: &str) -> Package {
    Package { ecosystem, name: name.into(), version: version.into() }
}

#[test]
fn package_urls_both_ways() {
    for (given, url) in [
        (package(Ecosystem::Npm, "@scope/name", "1.0.0"), "pkg:npm/%40scope/name@1.0.0"),
        (package(Ecosystem::Maven, "org.example:core", "2.0"), "pkg:maven/org.example/core@2.0"),
        (
            package(Ecosystem::Go, "example.com/a/b", "v1.2.3+incompatible"),
            "pkg:golang/example.com/a/b@v1.2.3%2Bincompatible",
        ),
        (package(Ecosystem::CratesIo, "serde", "1.0.0"), "pkg:cargo/serde@1.0.0"),
    ] {
        assert_eq!(purl(&given), url);
        assert_eq!(from_purl(url), Some(given));
    }
    assert_eq!(from_purl("pkg:npm/@scope/name@1.0.0"), Some(package(Ecosystem::Npm, "@scope/name", "1.0.0")));
    assert_eq!(
        from_purl("pkg:deb/debian/zlib1g@1:1.2?arch=amd64"),
        Some(package(Ecosystem::Debian, "zlib1g", "1:1.2"))
    );
    for bad in
        ["", "pkg:", "pkg:npm/name", "pkg:npm/@scope", "pkg:unheard/of@1", "npm/name@1", "pkg:npm/name@"]
    {
        assert_eq!(from_purl(bad), None, "`{bad}`");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let mut inventory = Inventory::default();
    let a = inventory.add(package(Ecosystem::Npm, "@scope/a", "1.0.0"), false);
    let b = inventory.add(package(Ecosystem::PyPi, "b", "2.0"), false);
    inventory.direct(a);
    inventory.needs(a, b);
    let serial = "00000000-0000-4000-8000-000000000000";
    let documents = [
        (
            cyclonedx::write(&inventory, "shop", serial, "2026-01-01T00:00:00Z"),
            cyclonedx::read as fn(&[u8]) -> _,
        ),
        (spdx::write(&inventory, "shop", serial, "2026-01-01T00:00:00Z"), spdx::read),
    ];
    for (document, read) in documents {
        let again: Inventory = read(document.to_string().as_bytes()).unwrap();
        assert!(again.notes().is_empty(), "{:?}", again.notes());
        assert_eq!(
            again.iter().map(|(_, p)| p).collect::<Vec<_>>(),
            inventory.iter().map(|(_, p)| p).collect::<Vec<_>>()
        );
        assert_eq!(again.paths(), inventory.paths());
    }
}

#[test]
fn other_documents_are_named() {
    assert!(cyclonedx::read(b"{}").unwrap_err().0.contains("CycloneDX"));
    assert!(spdx::read(br#"{"spdxVersion": "SPDX-3.0"}"#).unwrap_err().0.contains("SPDX-2"));
    assert!(spdx::read(b"<xml/>").unwrap_err().0.contains("not JSON"));
}
