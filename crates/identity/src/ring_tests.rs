use super::*;

const NOW: u64 = 1_800_000_000;

fn pepper() -> Pepper {
    Pepper::new([3; 32])
}

fn client() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn api(secret: &str, id: &str) -> KeyEntry {
    KeyEntry::new(pepper().digest(secret), CredentialKind::ApiKey, "shop", id)
}

fn app(app_id: &str, secret: &str, id: &str) -> KeyEntry {
    KeyEntry::new(pepper().digest(secret), CredentialKind::AppKey, app_id, id)
}

fn ring(entries: impl IntoIterator<Item = KeyEntry>) -> KeyRing {
    KeyRing::new(pepper(), entries).unwrap()
}

fn found(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Found(principal) => Some(&principal.credential),
        _ => None,
    }
}

#[test]
fn api_keys_hold_within_their_limits() {
    let keys = ring([
        api("good", "1"),
        KeyEntry { expires: Some(NOW), ..api("old", "2") },
        KeyEntry { not_before: Some(NOW + 1), ..api("early", "3") },
        KeyEntry { revoked: true, ..api("revoked", "4") },
        KeyEntry { networks: vec!["10.0.0.0/8".parse().unwrap()], ..api("inside", "5") },
        KeyEntry { expires: Some(NOW + 1), not_before: Some(NOW), ..api("edge", "6") },
    ]);
    let ask = |secret: &str| keys.api_key(secret.as_bytes(), NOW, client());
    assert_eq!(found(&ask("good")), Some("1"));
    assert_eq!(ask("old"), Verdict::Expired);
    assert_eq!(ask("early"), Verdict::NotYetValid);
    assert_eq!(ask("revoked"), Verdict::Revoked);
    assert_eq!(ask("inside"), Verdict::NetworkRefused);
    assert_eq!(found(&ask("edge")), Some("6"));
    for wrong in ["", "goo", "good ", "GOOD", "4"] {
        assert_eq!(ask(wrong), Verdict::Unknown, "{wrong}");
    }
    let inside = keys.api_key(b"inside", NOW, "::ffff:10.1.2.3".parse().unwrap());
    assert_eq!(found(&inside), Some("5"), "a mapped address is the address it maps");
    assert_eq!(found(&keys.by_id("1", NOW, client())), Some("1"));
    assert_eq!(keys.by_id("4", NOW, client()), Verdict::Revoked);
    assert_eq!(keys.by_id("good", NOW, client()), Verdict::Unknown);
}

#[test]
fn app_keys_belong_to_their_app_and_overlap() {
    let five = (0..5).map(|i| app("app-a", &format!("a{i}"), &format!("ka{i}")));
    let keys = ring(five.chain([
        app("app-b", "b0", "kb0"),
        KeyEntry { revoked: true, ..app("app-a", "gone", "ka9") },
        api("plain", "k1"),
    ]));
    let ask = |id: &str, secret: &str| keys.app_key(id.as_bytes(), secret.as_bytes(), NOW, client());
    for i in 0..5 {
        assert_eq!(found(&ask("app-a", &format!("a{i}"))), Some(format!("ka{i}").as_str()));
    }
    assert_eq!(ask("app-b", "a0"), Verdict::Unknown, "another app's key");
    assert_eq!(ask("app-c", "a0"), Verdict::Unknown, "no such app");
    assert_eq!(ask("app-a", "plain"), Verdict::Unknown, "an api key is no app key");
    assert_eq!(keys.api_key(b"a0", NOW, client()), Verdict::Unknown, "an app key is no api key");
    assert_eq!(ask("app-a", "gone"), Verdict::Revoked);
    assert_eq!(ask("", ""), Verdict::Unknown);
    assert_eq!(keys.app_key(b"\xff", b"a0", NOW, client()), Verdict::Unknown);
}

#[test]
fn rings_that_contradict_themselves_are_refused() {
    let error = |entries: Vec<KeyEntry>| KeyRing::new(pepper(), entries).unwrap_err();
    assert_eq!(error(vec![api("s", "1"), api("s", "2")]), RingError::SameSecret("1".into(), "2".into()));
    assert_eq!(error(vec![api("s", "1"), api("t", "1")]), RingError::SameId("1".into()));
    assert_eq!(
        error(vec![app("a", "s", "1"), app("a", "s", "2")]),
        RingError::SameSecret("1".into(), "2".into())
    );
}

#[test]
fn any_number_of_rotations_leaves_the_newest_key_working() {
    let expired = (0..20)
        .map(|i| KeyEntry { expires: Some(NOW - 1 - i), ..app("a", &format!("o{i}"), &format!("o{i}")) });
    let revoked = (0..20).map(|i| KeyEntry { revoked: true, ..app("a", &format!("r{i}"), &format!("r{i}")) });
    let current = (0..7).map(|i| app("a", &format!("c{i}"), &format!("c{i}")));
    let keys = ring(expired.chain(revoked).chain(current));
    for i in 0..7 {
        assert_eq!(
            found(&keys.app_key(b"a", format!("c{i}").as_bytes(), NOW, client())),
            Some(format!("c{i}").as_str())
        );
    }
    assert_eq!(keys.app_key(b"a", b"o19", NOW, client()), Verdict::Expired);
    assert_eq!(keys.app_key(b"a", b"r19", NOW, client()), Verdict::Revoked);
    assert_eq!(keys.app_key(b"a", b"o20", NOW, client()), Verdict::Unknown);
    assert_eq!((keys.app_keys("a", NOW), keys.app_keys("a", NOW - 3), keys.app_keys("b", NOW)), (7, 9, 0));
}

#[test]
fn a_swap_counts_from_the_next_look_up() {
    let handle = KeyRingHandle::new(ring([api("s", "1")]));
    let guards_copy = handle.clone();
    assert!(found(&guards_copy.load().api_key(b"s", NOW, client())).is_some());
    handle.swap(ring([KeyEntry { revoked: true, ..api("s", "1") }]));
    assert_eq!(guards_copy.load().api_key(b"s", NOW, client()), Verdict::Revoked);
    assert_eq!(format!("{:?}", *handle.load()), "KeyRing { keys: 1, .. }");
}

#[test]
fn a_ring_says_how_many_keys_it_has() {
    let empty = ring([]);
    assert_eq!((empty.is_empty(), empty.len()), (true, 0));
    let two = ring([api("secret-1", "1"), api("secret-2", "2")]);
    assert!(!two.is_empty() && two.len() == 2);
}
