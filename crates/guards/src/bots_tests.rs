use serde_json::json;

use crate::testing::{build, call, send};

const SITE: &str = r#"
openapi: 3.1.0
info: { title: Site, version: '1' }
paths:
  /pages/{id}:
    get:
      operationId: getPage
      security: []
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses: { '200': { description: ok } }
"#;

#[test]
fn crawlers_are_held_to_their_word() {
    let engine = build(
        SITE,
        &json!({ "bots": { "crawlers": "enforce", "also": { "AcmeBot": ["bots.acme.example"] } } }),
        false,
    )
    .unwrap()
    .engine;
    let crawl = |agent: &str, answers: &[&str]| {
        let mut call = call("GET", "/pages/1").with("user-agent", agent);
        call.outside = answers.iter().map(|body| (200, (*body).to_owned())).collect();
        let went = send(&engine, &call);
        (went.code(), went.asked.len())
    };
    let google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let client = "192.0.2.7";
    assert_eq!(crawl("curl/8", &[]), ("permitted", 0));
    assert_eq!(crawl(google, &["crawl-192-0-2-7.googlebot.com.", client]), ("permitted", 2));
    assert_eq!(crawl("acmebot", &["a.bots.acme.example", client]), ("permitted", 2));
    // Another name, one that only ends alike, one that leads elsewhere, none.
    assert_eq!(crawl(google, &["host.example.net"]), ("bot-impostor", 1));
    assert_eq!(crawl(google, &["evilgooglebot.com"]), ("bot-impostor", 1));
    assert_eq!(crawl(google, &["googlebot.com.evil.example"]), ("bot-impostor", 1));
    assert_eq!(crawl(google, &["a.googlebot.com", "203.0.113.9"]), ("bot-impostor", 2));
    assert_eq!(crawl(google, &[""]), ("bot-impostor", 1));
    // Nobody answered.
    assert_eq!(crawl(google, &[]).0, "lookup-failed");
}

#[test]
fn scanners_are_known_by_what_they_meet() {
    let policies = json!({ "bots": { "scanners": { "refusals": 5, "within": "1m", "block": "10m" } }, "limit": { "unmatched": "off" } });
    let engine = build(SITE, &policies, false).unwrap().engine;
    let get = |target: &str, at_ms: u64| {
        let mut call = call("GET", target);
        call.at_ms = at_ms;
        send(&engine, &call).code()
    };
    // The same refusal, however often, is a broken program.
    for at in 0..50 {
        assert_eq!(get("/pages/x", at), "parameter-invalid");
    }
    assert_eq!(get("/pages/1", 60), "permitted");
    for (at, path) in ["/admin", "/.env", "/backup", "/login.php", "/old"].into_iter().enumerate() {
        assert_eq!(get(path, 100 + at as u64), "path-unknown", "{path}");
    }
    assert_eq!(get("/pages/1", 200), "bot-scanner");
    assert_eq!(get("/pages/1", 9 * 60_000), "bot-scanner");
    let mut late = call("GET", "/pages/1");
    late.at_ms = 9 * 60_000 + 30_000;
    // It was shut out 104 ms after the start, for ten minutes.
    assert_eq!(send(&engine, &late).header("retry-after"), Some("31"));
    assert_eq!(get("/pages/1", 11 * 60_000), "permitted");
}
