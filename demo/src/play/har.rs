//! Ordinary traffic as a HAR 1.2 file. Times are invented, a second apart, so that the same play makes the same file.

use super::{Answer, Credentials, Player, Scenario, Sent};
use crate::exchange::put;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;

/// The address that the file names, whichever one was played against.
const ADDRESS: &str = "127.0.0.1:4000";

/// Plays the scenario against `base` and gives the traffic as pretty-printed HAR.
///
/// # Errors
/// When a step cannot be sent.
pub async fn record(scenario: &Scenario, base: SocketAddr, credentials: &Credentials) -> io::Result<String> {
    let mut player = Player::new(base, credentials);
    let mut entries = Vec::new();
    for step in &scenario.steps {
        let (sent, answers) = player.step(step).await.map_err(io::Error::other)?;
        for answer in &answers {
            entries.push(entry(entries.len(), &sent, answer, step.operation.as_deref()));
        }
    }
    let creator = json!({ "name": "portcullis-demo", "version": env!("CARGO_PKG_VERSION") });
    let har = json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } });
    Ok(serde_json::to_string_pretty(&har)? + "\n")
}

fn entry(number: usize, sent: &Sent, answer: &Answer, operation: Option<&str>) -> Value {
    let mut request_headers = vec![json!({ "name": "host", "value": ADDRESS })];
    request_headers.extend(sent.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    let query = sent.target.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = crate::router::query(query)
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut request = json!({
        "method": sent.method,
        "url": format!("http://{ADDRESS}{}", sent.target),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": request_headers,
        "queryString": query,
        "headersSize": -1,
        "bodySize": sent.body.len(),
    });
    if !sent.body.is_empty() {
        let kind = sent.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let mut post = json!({ "mimeType": kind.map_or("", |(_, kind)| kind.as_str()), "params": [] });
        merge(&mut post, &text(&sent.body));
        put(&mut request, "postData", post);
    }
    let response_headers: Vec<Value> = answer
        .headers
        .iter()
        .filter(|(name, _)| name != "date")
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut content = json!({
        "size": answer.body.len(),
        "mimeType": answer.header("content-type").unwrap_or_default(),
    });
    if !answer.body.is_empty() {
        merge(&mut content, &text(&answer.body));
    }
    let reason = http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    json!({
        "startedDateTime": format!("2026-01-15T09:{:02}:{:02}.000Z", number / 60 % 60, number % 60),
        "time": 1,
        "request": request,
        "response": {
            "status": answer.status,
            "statusText": reason.unwrap_or_default(),
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": response_headers,
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": answer.body.len(),
        },
        "cache": {},
        "timings": { "send": 0, "wait": 1, "receive": 0 },
        "comment": operation.unwrap_or_default(),
    })
}

/// A body as HAR keeps it: text as it is, other bytes in base64.
fn text(body: &[u8]) -> Value {
    match std::str::from_utf8(body) {
        Ok(text) => json!({ "text": text }),
        Err(_) => {
            let plain = crate::secrets::base64url(body).replace('-', "+").replace('_', "/");
            let padding = "=".repeat(plain.len().wrapping_neg() % 4);
            json!({ "text": plain + &padding, "encoding": "base64" })
        }
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}
