use super::*;
use crate::support::{SigningKey, jwks};

const ISSUER: &str = "https://issuer.example";
const URL: &str = "https://issuer.example/keys";

fn now(s: u64) -> Now {
    Now { unix_ns: (1_800_000_000 + s) * SECOND, mono_ns: s * SECOND }
}

fn keys(from: KeysFrom) -> IssuerKeys {
    IssuerKeys::fetched(ISSUER, from, Algorithm::ASYMMETRIC, KeyTimes::default())
}

fn by_url() -> IssuerKeys {
    keys(KeysFrom::KeySet(URL.into()))
}

fn answer(body: &str) -> Fetched<'_> {
    Fetched::Answer { status: 200, body: body.as_bytes(), max_age_s: None }
}

fn begin(keys: &IssuerKeys, at: Now) -> Fetch {
    match keys.begin(at) {
        Begin::Fetch(fetch) => fetch,
        other => panic!("no leave to fetch: {other:?}"),
    }
}

fn fetch(keys: &IssuerKeys, set: &str, at: Now) -> Finish {
    let fetch = begin(keys, at);
    keys.finish(&fetch, answer(set), at)
}

#[derive(Debug, PartialEq)]
enum Seen {
    Found,
    Need,
    Unknown,
    Unavailable(u64),
}

fn look(keys: &IssuerKeys, kid: &str, at: Now) -> Seen {
    match keys.lookup(Some(kid), Algorithm::Es256, at) {
        KeyLookup::Found(_) => Seen::Found,
        KeyLookup::Need => Seen::Need,
        KeyLookup::Unknown => Seen::Unknown,
        KeyLookup::Unavailable { retry_after_s } => Seen::Unavailable(retry_after_s),
    }
}

#[test]
fn ten_thousand_unknown_kids_cost_one_fetch_in_thirty_seconds() {
    let keys = by_url();
    let set = jwks([&SigningKey::new("ES256", "a")]);
    assert_eq!(fetch(&keys, &set, now(0)), Finish::Done { usable: 1, skipped: 0 });
    let mut fetches = 0;
    for n in 0..10_000u64 {
        // Over 100 seconds.
        let at = now(1 + n / 100);
        match look(&keys, &format!("unknown-{n}"), at) {
            Seen::Need => {
                fetches += 1;
                assert_eq!(fetch(&keys, &set, at), Finish::Done { usable: 1, skipped: 0 });
            }
            seen => assert_eq!(seen, Seen::Unknown),
        }
        assert_eq!(look(&keys, "a", at), Seen::Found);
    }
    assert_eq!(fetches, 3, "at 30, 60 and 90 seconds");
}

#[test]
fn of_many_one_fetches_and_the_others_wait() {
    let keys = by_url();
    assert_eq!(look(&keys, "a", now(0)), Seen::Need);
    let fetch = begin(&keys, now(0));
    assert_eq!((&*fetch.url, fetch.max_bytes), (URL, crate::jose::MAX_KEY_SET_BYTES));
    for at in [0, 1, 29] {
        assert_eq!(look(&keys, "a", now(at)), Seen::Need, "somebody fetches: wait for it");
        assert_eq!(keys.begin(now(at)), Begin::UnderWay);
        assert!(!keys.due(now(at)));
    }
    let set = jwks([&SigningKey::new("ES256", "a")]);
    assert_eq!(keys.finish(&fetch, answer(&set), now(29)), Finish::Done { usable: 1, skipped: 0 });
    assert_eq!(look(&keys, "a", now(29)), Seen::Found);
    assert_eq!(keys.begin(now(29)), Begin::NotNow);
    assert_eq!(keys.finish(&fetch, answer(&set), now(29)), Finish::Late, "once");
}

#[test]
fn a_fetch_that_never_comes_back_is_given_up() {
    let keys = by_url();
    let lost = begin(&keys, now(0));
    let second = begin(&keys, now(30));
    let [old, new] = ["old", "new"].map(|kid| jwks([&SigningKey::new("ES256", kid)]));
    assert_eq!(keys.finish(&lost, answer(&old), now(31)), Finish::Late);
    assert_eq!(look(&keys, "old", now(31)), Seen::Need);
    assert_eq!(keys.finish(&second, answer(&new), now(32)), Finish::Done { usable: 1, skipped: 0 });
    assert_eq!(look(&keys, "new", now(32)), Seen::Found);
}

#[test]
fn a_rotation_refuses_nobody() {
    let keys = by_url();
    let [a, b, c] = ["a", "b", "c"].map(|kid| SigningKey::new("ES256", kid));
    fetch(&keys, &jwks([&a]), now(0));
    // With overlap: the new key is published before it signs, and found in the background.
    assert!(!keys.due(now(299)) && keys.due(now(300)));
    fetch(&keys, &jwks([&a, &b]), now(300));
    assert_eq!((look(&keys, "a", now(301)), look(&keys, "b", now(301))), (Seen::Found, Seen::Found));
    // Without: the first token of the new key has it fetched.
    assert_eq!(look(&keys, "c", now(400)), Seen::Need);
    fetch(&keys, &jwks([&b, &c]), now(400));
    assert_eq!((look(&keys, "c", now(400)), look(&keys, "a", now(400))), (Seen::Found, Seen::Unknown));
}

#[test]
fn keys_that_stay_are_the_same_and_those_that_go_are_stood_by_no_longer() {
    let keys = by_url();
    let [a, b] = ["a", "b"].map(|kid| SigningKey::new("ES256", kid));
    fetch(&keys, &jwks([&a, &b]), now(0));
    let [old_a, old_b] = [0, 1].map(|at| Arc::clone(&keys.key_set().keys()[at]));
    assert!(old_a.is_trusted(now(86_399).mono_ns) && !old_a.is_trusted(now(86_400).mono_ns));
    fetch(&keys, &jwks([&b]), now(100));
    assert!(!old_a.is_trusted(now(100).mono_ns));
    assert!(Arc::ptr_eq(&old_b, &keys.key_set().keys()[0]));
    assert!(old_b.is_trusted(now(86_499).mono_ns) && !old_b.is_trusted(now(86_500).mono_ns));
    // The same name on another key is another key.
    let usurper = SigningKey::new("ES256", "b");
    fetch(&keys, &jwks([&usurper]), now(200));
    assert!(!old_b.is_trusted(now(200).mono_ns));
}

#[test]
fn while_the_issuer_is_gone_known_keys_verify_and_unknown_ones_are_unavailable() {
    let keys = by_url();
    fetch(&keys, &jwks([&SigningKey::new("ES256", "a")]), now(0));
    for minute in 1..10 {
        let at = now(60 * minute);
        assert_eq!(look(&keys, "x", at), Seen::Need);
        let fetch = begin(&keys, at);
        let failed = [
            Fetched::Failed,
            Fetched::Answer { status: 500, body: b"", max_age_s: None },
            Fetched::Answer { status: 404, body: b"{}", max_age_s: None },
            answer("<html>"),
            answer("{\"keys\":[]}"),
        ][minute as usize % 5];
        assert!(matches!(keys.finish(&fetch, failed, at), Finish::Failed(_)));
        assert_eq!(look(&keys, "a", at), Seen::Found);
        assert_eq!(look(&keys, "x", at), Seen::Unavailable(30));
        assert_eq!(look(&keys, "x", now(60 * minute + 29)), Seen::Unavailable(1));
    }
    assert_eq!(look(&keys, "a", now(86_399)), Seen::Found);
    assert_eq!(look(&keys, "a", now(86_400)), Seen::Need, "not for ever");
    let fetch = begin(&keys, now(86_400));
    keys.finish(&fetch, Fetched::Failed, now(86_400));
    assert_eq!(look(&keys, "a", now(86_401)), Seen::Unavailable(29));
}

#[test]
fn failures_are_tried_again_ever_more_slowly() {
    let keys = by_url();
    let mut at = 0;
    for wait in [30, 60, 120, 240, 240, 240] {
        assert!(keys.due(now(at)));
        let fetch = begin(&keys, now(at));
        keys.finish(&fetch, Fetched::Failed, now(at));
        assert!(!keys.due(now(at + wait - 1)), "{wait}");
        at += wait;
    }
    fetch(&keys, &jwks([&SigningKey::new("ES256", "a")]), now(at));
    let fetch = begin(&keys, now(at + 300));
    keys.finish(&fetch, Fetched::Failed, now(at + 300));
    assert!(keys.due(now(at + 330)), "a success makes it as at the beginning");
}

#[test]
fn how_long_keys_are_fresh_follows_the_issuer_within_bounds() {
    for (max_age_s, due_s) in [(None, 300), (Some(0), 60), (Some(90), 90), (Some(1_000_000), 300)] {
        let keys = by_url();
        let set = jwks([&SigningKey::new("ES256", "a")]);
        let fetch = begin(&keys, now(0));
        keys.finish(&fetch, Fetched::Answer { status: 200, body: set.as_bytes(), max_age_s }, now(0));
        assert!(!keys.due(now(due_s - 1)) && keys.due(now(due_s)), "{max_age_s:?}");
    }
}

fn metadata(issuer: &str) -> String {
    format!(
        r#"{{"issuer":"{issuer}","jwks_uri":"{URL}","introspection_endpoint":"https://issuer.example/ask"}}"#
    )
}

#[test]
fn discovery_asks_for_metadata_once_a_day_and_at_each_of_its_addresses() {
    let keys = keys(KeysFrom::Discovery);
    let first = begin(&keys, now(0));
    assert_eq!(&*first.url, "https://issuer.example/.well-known/openid-configuration");
    assert_eq!(first.max_bytes, crate::oauth::discovery::MAX_METADATA_BYTES);
    let gone = Fetched::Answer { status: 404, body: b"", max_age_s: None };
    let Finish::Next(second) = keys.finish(&first, gone, now(0)) else { panic!() };
    assert_eq!(&*second.url, "https://issuer.example/.well-known/oauth-authorization-server");
    let Finish::Next(third) = keys.finish(&second, answer(&metadata(ISSUER)), now(0)) else { panic!() };
    assert_eq!((&*third.url, third.max_bytes), (URL, crate::jose::MAX_KEY_SET_BYTES));
    let set = jwks([&SigningKey::new("ES256", "a")]);
    assert_eq!(keys.finish(&third, answer(&set), now(1)), Finish::Done { usable: 1, skipped: 0 });
    assert_eq!(keys.introspection_endpoint().as_deref(), Some("https://issuer.example/ask"));
    assert_eq!(&*begin(&keys, now(300)).url, URL, "the metadata are known");
    assert_eq!(&*begin(&keys, now(86_399)).url, URL);
    assert_eq!(&*begin(&keys, now(86_400 + 60)).url, &*first.url, "for a day");
}

#[test]
fn each_address_of_the_metadata_is_asked_once() {
    let keys = IssuerKeys::fetched(
        "https://issuer.example/realms/x",
        KeysFrom::Discovery,
        Algorithm::ASYMMETRIC,
        KeyTimes::default(),
    );
    let gone = || Fetched::Answer { status: 404, body: b"", max_age_s: None };
    let mut asked = vec![begin(&keys, now(0))];
    let end = loop {
        match keys.finish(asked.last().unwrap(), gone(), now(0)) {
            Finish::Next(next) if asked.len() < 10 => asked.push(next),
            end => break end,
        }
    };
    assert!(matches!(end, Finish::Failed(_)), "{end:?}");
    let urls: Vec<&str> = asked.iter().map(|fetch| &*fetch.url).collect();
    assert_eq!(urls, crate::oauth::metadata_addresses("https://issuer.example/realms/x"));
}

#[test]
fn metadata_that_are_wrong_are_not_followed() {
    for bad in [
        answer("{}"),
        answer("<html>"),
        Fetched::Failed,
        Fetched::Answer { status: 500, body: b"", max_age_s: None },
        Fetched::Answer { status: 301, body: b"", max_age_s: None },
        answer(r#"{"issuer":"https://evil.example","jwks_uri":"https://issuer.example/keys"}"#),
        answer(r#"{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/keys"}"#),
    ] {
        let keys = keys(KeysFrom::Discovery);
        let fetch = begin(&keys, now(0));
        assert!(matches!(keys.finish(&fetch, bad, now(0)), Finish::Failed(_)), "{bad:?}");
        assert_eq!(look(&keys, "a", now(0)), Seen::Unavailable(30));
    }
    // All addresses say that it is not there.
    let keys = keys(KeysFrom::Metadata("https://issuer.example/metadata".into()));
    let fetch = begin(&keys, now(0));
    assert_eq!(&*fetch.url, "https://issuer.example/metadata");
    let gone = Fetched::Answer { status: 410, body: b"", max_age_s: None };
    assert_eq!(keys.finish(&fetch, gone, now(0)), Finish::Failed("the metadata was answered 410".to_owned()));
}

#[test]
fn keys_that_moved_are_found_again() {
    let keys = keys(KeysFrom::Discovery);
    let first = begin(&keys, now(0));
    let Finish::Next(next) = keys.finish(&first, answer(&metadata(ISSUER)), now(0)) else { panic!() };
    keys.finish(&next, Fetched::Answer { status: 404, body: b"", max_age_s: None }, now(0));
    assert_eq!(&*begin(&keys, now(30)).url, &*first.url, "the metadata are asked for anew");
}

#[test]
fn where_only_an_address_is_known_the_metadata_say_the_name() {
    let address = "https://issuer.example/.well-known/openid-configuration";
    for (stated, good) in [(ISSUER, true), ("https://issuer.example/", true), ("https://evil.example", false)]
    {
        let keys = keys(KeysFrom::WellKnown(address.into()));
        let first = begin(&keys, now(0));
        assert_eq!(&*first.url, address);
        let text = metadata(stated);
        let Finish::Next(next) = keys.finish(&first, answer(&text), now(0)) else {
            assert!(!good, "{stated}");
            continue;
        };
        assert!(good, "{stated}");
        keys.finish(&next, answer(&jwks([&SigningKey::new("ES256", "a")])), now(0));
        let KeyLookup::Found(found) = keys.lookup(Some("a"), Algorithm::Es256, now(0)) else { panic!() };
        assert_eq!(&**found.issuer(), stated);
    }
}

#[test]
fn keys_that_were_given_are_never_fetched() {
    let set = KeySet::parse(jwks([&SigningKey::new("ES256", "a")]).as_bytes(), &JwkRules::default()).unwrap();
    let keys = IssuerKeys::fixed(ISSUER, set);
    assert_eq!(look(&keys, "a", now(u64::from(u32::MAX))), Seen::Found);
    assert_eq!(look(&keys, "b", now(0)), Seen::Unknown);
    assert!(!keys.due(now(1_000_000)));
    assert_eq!(keys.begin(now(1_000_000)), Begin::NotNow);
    assert_eq!(&**keys.issuer(), ISSUER);
    assert_eq!(keys.introspection_endpoint(), None);
}

#[test]
fn shared_secrets_are_not_fetched() {
    let all = Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC);
    let keys = IssuerKeys::fetched(ISSUER, KeysFrom::KeySet(URL.into()), all, KeyTimes::default());
    let set = jwks([&SigningKey::new("HS256", "s")]);
    assert_eq!(fetch(&keys, &set, now(0)), Finish::Failed("no key of the set can be used".to_owned()));
}
