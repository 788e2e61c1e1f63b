#![expect(clippy::indexing_slicing, reason = "a test")]
//! Bodies by chance over the answers of the demo's contract, judged here and by the `jsonschema` crate. The example
//! `differential` does the same over documents that no one here wrote.

#[path = "../examples/differential/bodies.rs"]
mod bodies;
#[path = "../examples/differential/oracle.rs"]
mod oracle;
#[path = "../examples/differential/run.rs"]
mod run;

#[test]
fn bodies_by_chance_are_judged_alike() {
    let text = include_str!("../../../demo/openapi.yaml");
    let document = portcullis_openapi::source::Document::parse("demo", text.as_bytes()).unwrap();
    let json = document.root().to_json().to_string();
    let subject = run::Subject::of("demo", json.as_bytes()).unwrap();
    let mut tally = run::Tally::default();
    (1..=4).for_each(|seed| tally.add(&run::judge(&subject, 1_000, seed)));
    assert!(tally.disagreements.is_empty(), "{:#?}", tally.disagreements);
    assert!(tally.valid > 400 && tally.invalid > 400 && tally.malformed > 200, "{tally}");
}
