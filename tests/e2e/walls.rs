//! The walls between the crates stand.

#[test]
fn no_crate_knows_one_that_it_may_not() {
    let breaches = portcullis_dev::walls::breaches().unwrap();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
