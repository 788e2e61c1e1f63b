use super::*;

#[derive(Debug, serde::Deserialize)]
struct Case {
    name: String,
    text: String,
    #[serde(default)]
    shows: Option<Kind>,
}

fn cases(text: &str) -> Vec<Case> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_tells_too_much_is_seen() {
    let cases = cases(include_str!("../../tests/data/mask/positive.json"));
    assert!(cases.len() >= 60);
    let mut missed = Vec::new();
    for case in &cases {
        let shows = case.shows.expect("a positive case names its kind");
        if leak(case.text.as_bytes(), &[shows]).is_none() {
            missed.push(&case.name);
        }
        // The same inside JSON, and inside HTML.
        let json = serde_json::json!({ "error": case.text }).to_string();
        assert!(leak(json.as_bytes(), &Kind::ALL).is_some(), "in JSON: {}", case.name);
        let html = case.text.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;");
        assert!(leak(html.as_bytes(), &Kind::ALL).is_some(), "in HTML: {}", case.name);
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn ordinary_errors_are_let_be() {
    let cases = cases(include_str!("../../tests/data/mask/negative.json"));
    assert!(cases.len() >= 40);
    let seen = |case: &Case| {
        let found = SET.0.matches(&plain(case.text.as_bytes()));
        let patterns: Vec<_> = found.iter().map(|index| SET.0.patterns()[index].clone()).collect();
        (!patterns.is_empty()).then(|| (case.name.clone(), patterns))
    };
    let wrong: Vec<_> = cases.iter().filter_map(seen).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn kinds_can_be_left_out() {
    let text = b"ORA-00933: SQL command not properly ended";
    assert_eq!(leak(text, &Kind::ALL), Some(Kind::Sql));
    assert_eq!(leak(text, &[Kind::Path]), None);
    assert_eq!(leak(b"", &Kind::ALL), None);
}

#[test]
fn hostile_texts_end() {
    let mut texts = vec![
        vec![b'\\'; 1 << 20],
        b"&quot;".repeat(100_000),
        b"SELECT ".repeat(100_000),
        vec![0xff; 1 << 20],
    ];
    texts.push(b"/usr/local/".repeat(50_000));
    texts.push(b"at a.b(".repeat(50_000));
    for text in texts {
        let _ = leak(&text, &Kind::ALL);
    }
}

#[test]
fn escapes_are_undone_once() {
    assert_eq!(plain(br#"a\nb\"c\\d\q&quot;&lt;&x;&"#), b"a\nb\"c\\d\\q\"<&x;&");
    assert_eq!(plain(b"\\"), b"\\");
}
