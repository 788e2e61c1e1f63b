//! The commands in the guide are run, page by page; see `harness::page` for what a page may say.

use crate::harness::page;
use portcullis_dev::cache;

macro_rules! pages {
    ($($name:ident: $file:literal,)*) => {
        const PAGES: &[&str] = &[$($file),*];
        $(#[test]
        fn $name() {
            if let Some(commands) = page::run($file) {
                println!("{}: {commands} commands", $file);
            }
        })*
    };
}

pages! {
    audit: "audit",
    contract: "contract",
    egress: "egress",
    encryption: "encryption",
    errors: "errors-and-explain",
    first_api: "first-api",
    fix: "fix",
    inspection: "inspection",
    keys: "keys",
    limits: "limits",
    objects: "objects",
    oidc: "oidc",
    operate: "operate",
    policy: "policy",
    scan: "scan",
}

#[test]
fn every_page_is_run() {
    let mut files: Vec<_> = std::fs::read_dir(cache::workspace().join("docs/guide"))
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, PAGES, "a page of the guide is not in the list above");
}
