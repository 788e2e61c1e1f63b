//! One report with everything in it, in every form.

use portcullis_engine::Owasp;
use serde_json::Value;
use time::macros::datetime;

use super::baseline::Baseline;
use super::ignore::glob;
use super::output::{Form, Output};
use super::*;
use crate::exit::Exit;

const NOW: OffsetDateTime = datetime!(2026-05-01 10:00 UTC);

fn output() -> Output {
    Output {
        format: Form::Terminal,
        files: Vec::new(),
        details: false,
        baseline: None,
        write_baseline: None,
        ignore: None,
        fail_on: Severity::Low,
        strict: false,
    }
}

fn item(code: &str, severity: Severity, confidence: Confidence) -> Item {
    Item {
        code: code.into(),
        title: format!("a title of {code} with | and <b>"),
        detail: "What is wrong.".into(),
        owasp: Owasp::Api1,
        cwe: 639,
        severity,
        confidence,
        places: vec![Place::operation("GET /orders/{id}")],
        evidence: Evidence::default(),
        fix: "Compare the owner.".into(),
        patch: None,
        points: None,
        fingerprint: Item::fingerprint_of(code, "GET /orders/{id}"),
        state: State::New,
    }
}

fn full() -> Report {
    let mut report = Report::new("scan", "http://127.0.0.1:3000", NOW);
    report.seconds = 2.5;
    report.fact("requests", 12);
    report.notes.push("one object could not be removed: s3cr3t-of-alice".into());
    report.secrets.push(Secret { variable: "ALICE_TOKEN".into(), value: "s3cr3t-of-alice".into() });
    report.secrets.push(Secret { variable: "ODD".into(), value: "a\"b c".into() });
    report.rules.push(Rule {
        code: "bola-read".into(),
        title: "objects of others can be read".into(),
        page: "# bola-read\n\nReads an object as somebody else.".into(),
        owasp: Owasp::Api1,
        cwe: 639,
        severity: Severity::High,
    });
    report.rules.push(Rule { code: "quiet".into(), ..report.rules[0].clone() });
    let mut found = item("bola-read", Severity::High, Confidence::Confirmed);
    found.evidence = Evidence {
        proof: "The marker is alice's alone.".into(),
        excerpt: None,
        exchanges: vec![Exchange {
            label: "bob reads it".into(),
            identity: "bob".into(),
            request: Request {
                method: "POST".into(),
                url: "http://127.0.0.1:3000/orders/1?q=it%27s&token=s3cr3t%2Dof%2Dalice".into(),
                headers: vec![
                    Header::new("Authorization", "Bearer s3cr3t-of-alice"),
                    Header::new("Content-Type", "application/json"),
                ],
                body: Body::of(br#"{"name":"it's","odd":"a\"b c"}"#),
            },
            response: Some(Response {
                status: 200,
                headers: vec![Header::new("Content-Type", "text/html")],
                body: Body::of(b"<script>alert(1)</script>\x1b[2J ]]> s3cr3t-of-alice"),
            }),
            expected: "403 or 404".into(),
            sent: 1_777_629_600_000,
            millis: 3.2,
            times: 1,
        }],
        ..Evidence::default()
    };
    found.patch = Some(Patch { text: "Binds it.".into(), yaml: Some("policies: []".into()) });
    report.items.push(item("low-one", Severity::Low, Confidence::Confirmed));
    report.items.push(item("maybe", Severity::High, Confidence::Suspected));
    report.items.push(found);
    report
}

fn ready() -> Report {
    let mut report = full();
    output().apply(&mut report, NOW).unwrap();
    report
}

#[test]
fn no_secret_is_in_any_form() {
    let report = ready();
    for text in [
        json::write(&report),
        sarif::write(&report),
        junit::write(&report),
        html::write(&report),
        markdown::write(&report),
        har::write(&report),
        terminal::write(&report, true),
        format!("{report:?}"),
    ] {
        assert!(!text.contains("s3cr3t-of-alice") && !text.contains("s3cr3t%2Dof"), "{text}");
        assert!(!text.contains("a\\\"b c") && !text.contains("a\"b c"), "{text}");
    }
}

#[test]
fn curl_survives_a_shell_and_names_variables() {
    let report = ready();
    let request = &report.items[0].evidence.exchanges[0].request;
    let command = request.curl().replace("curl ", "printf '%s\\n' ");
    let shell = std::process::Command::new("sh")
        .args(["-c", &command])
        .env("ALICE_TOKEN", "t o'k")
        .env("ODD", "x")
        .output()
        .unwrap();
    let words = String::from_utf8(shell.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    assert!(words.contains(&"Authorization: Bearer t o'k"), "{words:?}");
    assert!(words.contains(&r#"{"name":"it's","odd":"x"}"#), "{words:?}");
    assert!(words.contains(&"http://127.0.0.1:3000/orders/1?q=it%27s&token=t o'k"), "{words:?}");
    assert_eq!(redact::variables(&report), ["ALICE_TOKEN", "ODD"]);
}

#[test]
fn marks_are_told_from_text() {
    assert_eq!(redact::pieces("a«B_1»c"), [("a", false), ("B_1", true), ("c", false)]);
    for plain in ["«b»", "«»", "«A", "«A b»", "$(id)", "««"] {
        assert_eq!(redact::pieces(plain), [(plain, false)], "{plain}");
    }
}

/// The parts of the SARIF 2.1.0 schema that this writer uses: required members, their types, and indices that
/// point at something.
#[test]
fn sarif_has_the_shape_that_its_schema_demands() {
    let mut report = ready();
    report.incomplete = Some("the target went away".into());
    report.items[1].state = State::Ignored { reason: "accepted by all".into(), until: "2026-06-01".into() };
    report.items[2].state = State::Known;
    report.items[2].places.push(Place {
        file: Some("my api.yaml".into()),
        line: 3,
        column: 7,
        part: Some("/info".into()),
        operation: None,
    });
    let log: Value = serde_json::from_str(&sarif::write(&report)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(!rule[text]["text"].as_str().unwrap().is_empty(), "{rule}");
        }
        let severity: f64 = rule["properties"]["security-severity"].as_str().unwrap().parse().unwrap();
        assert!((0.0..=10.0).contains(&severity));
        let target = &rule["relationships"][0]["target"];
        let taxa = run["taxonomies"][0]["taxa"].as_array().unwrap();
        assert!(taxa.iter().any(|taxon| taxon["id"] == target["id"]));
        assert_eq!(target["toolComponent"]["index"], 0);
    }
    let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], ids[index]);
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(["new", "unchanged"].contains(&result["baselineState"].as_str().unwrap()));
        assert!(result["partialFingerprints"]["portcullis/v1"].is_string());
        let all = result["locations"].as_array().unwrap().iter();
        for location in all.chain(result["relatedLocations"].as_array().unwrap()) {
            let physical = &location["physicalLocation"];
            let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
            assert!(!uri.contains(' '), "{uri}");
            if let Some(region) = physical.get("region") {
                assert!(region["startLine"].as_u64().unwrap() > 0);
            }
        }
    }
    assert_eq!(results[0]["webRequest"]["headers"]["Authorization"], "Bearer «ALICE_TOKEN»");
    assert_eq!(results[0]["webResponse"]["statusCode"], 200);
    assert_eq!(results[1]["suppressions"][0]["kind"], "external");
    assert_eq!(results[2]["baselineState"], "unchanged");
}

/// A small reader of XML: tags nest, attributes are quoted, no markup character stands bare.
fn well_formed(text: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut tags = 0;
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "bare > in {}", &rest[..start]);
        let end = rest[start..].find('>').unwrap() + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        }
        tags += 1;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in {text}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    tags
}

#[test]
fn junit_is_well_formed_and_counts_right() {
    let mut report = ready();
    report.items[1].state = State::Known;
    let text = junit::write(&report);
    assert!(well_formed(&text) > 6);
    assert!(text.contains("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\""), "{text}");
    assert!(!text.contains('\u{1b}'));
    assert_eq!(text.matches("<testcase ").count(), 4);
}

#[test]
fn the_page_runs_nothing_and_fetches_nothing() {
    let text = html::write(&ready());
    assert!(!text.contains("<script"));
    assert!(!text.contains("src="));
    assert!(text.contains("&lt;script&gt;alert(1)"));
    assert!(text.contains("default-src 'none'"));
    assert!(!text.contains("@import") && !text.contains("url("));
    assert!(text.contains("Set <code>ALICE_TOKEN</code>, <code>ODD</code> first."));
}

#[test]
fn markdown_keeps_foreign_markup_out() {
    let text = markdown::write(&ready());
    assert!(text.contains(r"a title of bola-read with \| and \<b\>"), "{text}");
    assert!(text.contains("```sh\n# bob reads it\ncurl"), "{text}");
    let mut report = ready();
    report.items[0].evidence.excerpt = Some("````\nout".into());
    assert!(markdown::write(&report).contains("`````\n````\nout\n`````"));
}

#[test]
fn har_has_what_replay_reads() {
    let text = har::write(&ready());
    let recording =
        portcullis_watch::Recording::from_har(text.as_bytes(), &portcullis_watch::HarLimits::default())
            .unwrap();
    assert_eq!(recording.exchanges().len(), 1);
    assert!(recording.skipped().is_empty());
}

#[test]
fn json_comes_back_and_orders_by_weight() {
    let report = ready();
    let again: Report = serde_json::from_str(&json::write(&report)).unwrap();
    assert_eq!(json::write(&again), json::write(&report));
    let codes: Vec<&str> = again.items.iter().map(|item| item.code.as_str()).collect();
    assert_eq!(codes, ["bola-read", "low-one", "maybe"]);
    assert_eq!(again.counts().words(), "1 high, 1 low, 1 suspected");
}

#[test]
fn exit_codes_follow_what_is_new() {
    let (mut report, mut options) = (ready(), output());
    assert_eq!(options.exit(&report), Exit::Failed);
    options.fail_on = Severity::Critical;
    assert_eq!(options.exit(&report), Exit::Ok);
    report.incomplete = Some("cut".into());
    assert_eq!(options.exit(&report), Exit::Incomplete);
    options.fail_on = Severity::High;
    report.items[0].state = State::Known;
    report.incomplete = None;
    assert_eq!(options.exit(&report), Exit::Ok, "suspected alone does not fail");
    options.strict = true;
    assert_eq!(options.exit(&report), Exit::Failed);
}

#[test]
fn baselines_know_and_tell_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline.json");
    let mut report = ready();
    let mut known = Report { items: vec![report.items[1].clone()], ..report.clone() };
    known.items.push(item("gone", Severity::High, Confidence::Confirmed));
    std::fs::write(&path, Baseline::of(&known).text()).unwrap();
    let options = Output { baseline: Some(path.clone()), ..output() };
    options.check(NOW).unwrap();
    options.apply(&mut report, NOW).unwrap();
    assert_eq!(report.counts().words(), "1 high, 1 suspected, 1 known");
    assert!(report.notes.iter().any(|note| note.starts_with("1 findings of the baseline are gone")));
    // A report is a baseline, too.
    std::fs::write(&path, json::write(&report)).unwrap();
    let mut again = ready();
    options.apply(&mut again, NOW).unwrap();
    assert_eq!(options.exit(&again), Exit::Ok);
    std::fs::write(&path, "[]").unwrap();
    assert!(options.check(NOW).unwrap_err().to_string().contains("is not one"));
}

#[test]
fn exceptions_need_a_reason_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ignore.yaml");
    let options = Output { ignore: Some(path.clone()), ..output() };
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut report = full();
        options.apply(&mut report, NOW).map(|()| report)
    };
    let report = with(
        "ignore:\n  - code: bola-*\n    where: GET /orders/*\n    reason: public by design, says legal\n    until: 2026-05-01\n",
    )
    .unwrap();
    assert_eq!(report.counts().ignored, 1);
    assert!(matches!(&report.items[2].state, State::Ignored { until, .. } if until == "2026-05-01"));

    let report = with(
        "ignore:\n  - code: bola-read\n    reason: public by design, says legal\n    until: 2026-04-30\n  - code: never\n    reason: public by design, says legal\n    until: 2026-05-30\n",
    )
    .unwrap();
    assert_eq!(report.counts().ignored, 0);
    assert!(
        report.notes.iter().any(|note| note.contains("ignore.yaml:2: the exception expired")),
        "{:?}",
        report.notes
    );
    assert!(report.notes.iter().any(|note| note.contains("ignore.yaml:5: nothing found is like this")));

    for (text, why) in [
        ("ignore:\n  - code: x\n    until: 2026-05-30\n", "reason"),
        ("ignore:\n  - code: x\n    reason: because\n    until: 2026-05-30\n", "says too little"),
        ("ignore:\n  - code: x\n    reason: long enough it is\n", "until"),
        ("ignore:\n  - code: x\n    reason: long enough it is\n    until: soon\n", "is no day"),
        ("ignore:\n  - code: x\n    reason: long enough it is\n    until: 2031-01-01\n", "more than a year"),
        ("ignore:\n  - reason: long enough it is\n    until: 2026-05-30\n", "which finding"),
        ("ignore:\n  - code: x\n    why: long enough it is\n    until: 2026-05-30\n", "why"),
        ("- code: x\n", "expected `ignore:`"),
        ("ignore: [", "ignore.yaml"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.contains("ignore.yaml:"), "{error}");
    }
    assert!(with("").is_ok());
}

#[test]
fn globs_match_whole_texts() {
    for (pattern, text, fits) in [
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("*b*", "abc", true),
        ("ab", "ab", true),
        ("a*b*c", "a-c-b", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn bodies_are_cut_at_a_character_and_bytes_are_base64() {
    assert_eq!(Body::of(b""), None);
    assert_eq!(Body::of(&[0xff, 0, 1]).unwrap().text, "/wAB");
    assert_eq!(Body::of(&[0xff]).unwrap().text, "/w==");
    let long = "ä".repeat(Body::KEPT);
    let body = Body::of(long.as_bytes()).unwrap();
    assert!(!body.base64 && body.is_cut() && body.shown().ends_with("bytes, cut]"));
    let odd = format!("x{long}");
    assert!(!Body::of(odd.as_bytes()).unwrap().base64);
}
