use super::*;
use portcullis_engine::Fields;

const CHROME: &[u8] = include_bytes!("../samples/chrome.har");
const FIREFOX: &[u8] = include_bytes!("../samples/firefox.har");
const PROXY: &[u8] = include_bytes!("../samples/proxy.har");

fn read(har: &[u8]) -> Recording {
    Recording::from_har(har, &HarLimits::default()).unwrap()
}

fn whole(body: &RecordedBody) -> &[u8] {
    match body {
        RecordedBody::Whole(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn field<'a>(headers: &'a Fields, name: &str) -> Vec<&'a str> {
    headers.get_all(name).map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn chrome() {
    let recording = read(CHROME);
    let names: Vec<_> = recording.exchanges().iter().map(|exchange| exchange.name).collect();
    assert_eq!(names, [Name::Entry(1), Name::Entry(0), Name::Entry(2), Name::Entry(4)], "by time");
    assert_eq!(recording.skipped().len(), 1);
    assert_eq!(recording.skipped()[0].name, Name::Entry(3));

    let order = &recording.exchanges()[1];
    assert_eq!(order.began, 1_772_439_331_250_000_000);
    assert_eq!(order.duration, 41_870_999);
    assert_eq!((order.head.method.as_str(), order.head.target.as_ref()), ("POST", &b"/api/orders?dry=1"[..]));
    assert_eq!((order.head.version, order.scheme), (Version::HTTP_2, Scheme::Https));
    assert_eq!(order.head.authority.as_deref(), Some(&b"shop.example"[..]));
    assert!(!order.head.headers.contains_key("host"));
    assert_eq!(order.head.headers.len(), 3);
    assert_eq!(whole(&order.body), br#"{"item":"tea"}"#);
    assert_eq!(order.head.body, BodyLength::Exact(14));
    let response = order.response.as_ref().unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(field(&response.headers, "set-cookie"), ["a=1; Path=/", "b=2; Path=/; Secure"]);
    assert!(
        !response.headers.contains_key("content-encoding")
            && !response.headers.contains_key("content-length")
    );
    assert_eq!(whole(&response.body), br#"{"id": 42}"#);

    let image = &recording.exchanges()[0];
    assert_eq!(image.head.version, Version::HTTP_3);
    assert_eq!(image.body, RecordedBody::None);
    assert_eq!(whole(&image.response.as_ref().unwrap().body), b"\x89PNG\r\n\x1a\n");
    let socket = &recording.exchanges()[2];
    assert_eq!((socket.scheme, socket.head.version), (Scheme::Https, Version::HTTP_11));
    assert_eq!(field(&socket.head.headers, "upgrade"), ["websocket"]);
    let blocked = &recording.exchanges()[3];
    assert!(blocked.response.is_none() && blocked.past.is_none());
    assert_eq!(field(&blocked.head.headers, "host"), ["shop.example"]);

    assert_eq!(recording.authorities()["shop.example"], 3);
    let mut own = recording;
    own.retain_authorities(&["SHOP.example"]);
    assert_eq!(own.exchanges().len(), 3);
}

#[test]
fn firefox() {
    let recording = read(FIREFOX);
    let [login, avatar] = recording.exchanges() else { panic!("two") };
    assert_eq!(login.began, 1_772_439_330_101_000_000);
    assert_eq!(login.authority(), "shop.example:8080");
    assert_eq!(whole(&login.body), b"user=ann&password=x%20y%26z&go=");
    assert_eq!(field(&login.head.headers, "cookie"), ["sid=abc"]);
    assert_eq!(whole(&login.response.as_ref().unwrap().body), b"");
    // A body that the recorder cut is none to decide by.
    assert_eq!(avatar.body, RecordedBody::Missing);
    assert_eq!(avatar.head.body, BodyLength::Exact(90_000));
}

#[test]
fn an_intercepting_proxy() {
    let recording = read(PROXY);
    let [upload, form, refused] = recording.exchanges() else { panic!("three") };
    assert_eq!((upload.began, upload.duration), (1_772_439_330_000_000_000, 17_000_000));
    assert_eq!(whole(&upload.body), [0, 1, 2, 0xff]);
    assert_eq!(whole(&upload.response.as_ref().unwrap().body), b"OK");
    assert_eq!(upload.head.authority.as_deref(), Some(&b"api.example"[..]));
    assert_eq!(form.began, 1_772_439_331_500_000_000);
    assert_eq!(whole(&form.body), b"q=a+b%26c&n=%41");
    assert_eq!(field(&form.head.headers, "cookie"), ["a=1; b=2"]);
    assert_eq!(field(&form.head.headers, "content-type"), ["application/x-www-form-urlencoded"]);
    assert!(form.response.is_none());
    assert_eq!(refused.began, form.began, "without a time of its own: after the one before");
    let past = refused.past.as_ref().unwrap();
    assert_eq!(
        (past.decision, past.code.as_deref(), past.status),
        (DecisionWord::Refused, Some("rate-limited"), 429)
    );
    assert!(refused.response.is_none(), "a gateway's refusal is no upstream's answer");
    let reasons: Vec<_> = recording.skipped().iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it has no `request`",
            "it has no `request`",
            "a CONNECT only opens a tunnel",
            "its `method` is no method",
            "its `url` has no host"
        ]
    );
}

#[test]
fn masked_errors_had_gone_through() {
    let har = br#"{"log": {"entries": [{"request": {"method": "GET", "url": "http://a/b", "headers": []},
        "response": {"status": 500, "headers": [{"name": "content-type", "value": "application/problem+json"}],
        "content": {"text": "{\"type\": \"urn:portcullis:error-masked\", \"code\": \"error-masked\"}"}}}]}}"#;
    let recording = read(har);
    let exchange = &recording.exchanges()[0];
    let past = exchange.past.as_ref().unwrap();
    assert_eq!((past.decision, past.code.as_deref(), past.status), (DecisionWord::Permitted, None, 500));
    assert!(exchange.response.is_none());
}

#[test]
fn what_is_no_har() {
    let error = |text: &str| Recording::from_har(text.as_bytes(), &HarLimits::default()).unwrap_err();
    for text in
        ["{}", r#"{"log": {}}"#, r#"{"log": {"entries": {}}}"#, "[]", r#"{"log": []}"#, r#"{"entries": []}"#]
    {
        assert_eq!(error(text), HarError::NoEntries, "{text}");
    }
    for text in [
        "",
        "{",
        "hello",
        "null",
        r#"{"log": 3}"#,
        r#"{"log": {"entries": null}}"#,
        r#"{"log": {"entries": []}} x"#,
    ] {
        assert!(matches!(error(text), HarError::Json { .. }), "{text}");
    }
    let cut = String::from_utf8_lossy(&CHROME[..CHROME.len() / 2]).into_owned();
    let message = error(&cut).to_string();
    assert!(message.contains("line ") && message.contains("cut off"), "{message}");
    assert!(Recording::from_har(&[0xff, 0xfe, b'{', 0], &HarLimits::default()).is_err());
    assert_eq!(read(b"\xef\xbb\xbf{\"log\":{\"entries\":[]}}").exchanges().len(), 0);
}

#[test]
fn limits_hold() {
    let small = HarLimits { bytes: 10, entries: 10 };
    assert!(matches!(Recording::from_har(CHROME, &small), Err(HarError::TooLong { .. })));
    let many = format!(r#"{{"log": {{"entries": [{}1]}}}}"#, "1,".repeat(100));
    let few = HarLimits { entries: 10, ..HarLimits::default() };
    assert_eq!(Recording::from_har(many.as_bytes(), &few).unwrap_err(), HarError::TooMany(10));
    let recording = read(many.as_bytes());
    assert_eq!(recording.skipped().len(), 101);
    // Nested deeper than any stack.
    let deep = format!(r#"{{"log": {{"entries": [{}], "x": {}}}}}"#, "[".repeat(500) + &"]".repeat(500), "1");
    assert_eq!(read(deep.as_bytes()).skipped().len(), 1);
    let deeper = "[".repeat(1_000_000);
    assert!(Recording::from_har(deeper.as_bytes(), &HarLimits::default()).is_err());
    // More lines in a value than a header map takes.
    let lines = "x\\n".repeat(50_000);
    let har = format!(
        r#"{{"log": {{"entries": [{{"request": {{"method": "GET", "url": "http://a/", "headers": [{{"name": "x", "value": "{lines}"}}]}}}}]}}}}"#
    );
    assert_eq!(read(har.as_bytes()).exchanges()[0].head.headers.len(), 10_001);
}

#[test]
fn no_byte_flip_panics() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % sides as u64) as usize
    };
    for sample in [CHROME, FIREFOX, PROXY] {
        for _ in 0..2_000 {
            let mut bytes = sample.to_vec();
            for _ in 0..=roll(4) {
                let at = roll(bytes.len());
                match roll(3) {
                    0 => bytes[at] = b"0\"{}[],:n-9"[roll(11)],
                    1 => bytes[at] = roll(256) as u8,
                    _ => {
                        let until = (at + roll(30)).min(bytes.len());
                        bytes.drain(at..until);
                    }
                }
            }
            let _ = Recording::from_har(&bytes, &HarLimits::default());
        }
    }
}

#[test]
fn moments() {
    let second = 1_772_439_330_000_000_000;
    for text in [
        "2026-03-02T08:15:30Z",
        "2026-03-02T08:15:30.000Z",
        "2026-03-02T09:15:30+01:00",
        "2026-03-02T09:15:30+0100",
        "2026-03-02T03:15:30.0-05:00",
        "2026-03-02T03:15:30.000-0500",
        "2026-03-02 08:15:30",
        "2026-03-02t08:15:30z",
        " 2026-03-02T08:15:30.000 ",
    ] {
        assert_eq!(moment(text), Some(second), "{text}");
    }
    for bad in [
        "",
        "x",
        "yesterday",
        "2026-13-02T08:15:30Z",
        "1969-01-01T00:00:00Z",
        "2026-03-02",
        "1772439330",
        "\u{fc}\u{fc}\u{fc}",
    ] {
        assert_eq!(moment(bad), None, "{bad}");
    }
}

#[test]
fn urls_keep_what_is_odd() {
    let target = |url: &str| Url::parse(url).map(|url| (url.authority.unwrap_or_default(), url.target));
    let ok = |authority: &str, target: &str| Ok((authority.to_owned(), target.to_owned()));
    assert_eq!(target("http://a"), ok("a", "/"));
    assert_eq!(target("HTTPS://A:8443?x"), ok("A:8443", "/?x"));
    assert_eq!(target("http://u:p@a/%2e%2e//b?c=/d#e"), ok("a", "/%2e%2e//b?c=/d"));
    assert_eq!(target("http://[::1]:80/x"), ok("[::1]:80", "/x"));
    assert_eq!(target("/only/path"), ok("", "/only/path"));
    for bad in ["", "a/b", "blob:https://a/x", "chrome-extension://x/y", "file:///etc", "http:///x"] {
        assert!(target(bad).is_err(), "{bad}");
    }
}
