//! HAR 1.2, Burp's XML export, and the gateway's own events.

use data_encoding::BASE64;
use regex::Regex;
use serde_json::Value;

use super::observed::{Seen, model, split};
use super::string;
use crate::api::Api;

/// A HAR file. Calls to several hosts are taken as one API: only the target is called.
pub(super) fn har(root: &Value) -> Result<Api, String> {
    let entries =
        root.pointer("/log/entries").and_then(Value::as_array).ok_or("the HAR has no `log.entries`")?;
    let mut seen = Vec::new();
    for entry in entries {
        let (Some(request), Some(url)) =
            (entry.get("request"), entry.pointer("/request/url").and_then(Value::as_str))
        else {
            continue;
        };
        let (path, query) = split(url);
        let headers = request.get("headers").and_then(Value::as_array).into_iter().flatten();
        let headers =
            headers.filter_map(|h| Some((string(h, "name")?.to_owned(), string(h, "value")?.to_owned())));
        let status = entry.pointer("/response/status").and_then(Value::as_u64).unwrap_or(0);
        let answer = entry.pointer("/response/content/text").and_then(Value::as_str);
        let answer =
            answer.filter(|_| (200..300).contains(&status)).and_then(|text| serde_json::from_str(text).ok());
        let answered = entry.pointer("/response/headers").and_then(Value::as_array).into_iter().flatten();
        let deprecated = answered.filter_map(|header| string(header, "name")).any(says_farewell);
        // What was not found is no operation.
        if matches!(status, 404 | 405) {
            continue;
        }
        seen.push(Seen {
            method: string(request, "method").unwrap_or("GET").to_ascii_uppercase(),
            path,
            query,
            headers: headers.collect(),
            body: request.pointer("/postData/text").and_then(Value::as_str).unwrap_or_default().to_owned(),
            answer,
            deprecated,
            ..Seen::default()
        });
    }
    model("recorded traffic", seen)
}

/// Whether a field of an answer says that an operation is on its way out (RFC 8594, RFC 9745).
fn says_farewell(name: &str) -> bool {
    name.eq_ignore_ascii_case("sunset") || name.eq_ignore_ascii_case("deprecation")
}

/// Burp's export of items: `<item>` with a `<request>` and a `<response>`, in base64 or not.
pub(super) fn burp(text: &str) -> Result<Api, String> {
    let part = Regex::new(
        r#"(?s)<(request|response)(?: base64="(true|false)")?>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</(?:request|response)>"#,
    )
    .map_err(|error| error.to_string())?;
    let mut seen: Vec<Seen> = Vec::new();
    for item in text.split("<item>").skip(1) {
        let mut call = None;
        for found in part.captures_iter(item) {
            let [kind, encoded, content] =
                [1, 2, 3].map(|group| found.get(group).map_or("", |part| part.as_str().trim()));
            let bytes = if encoded == "true" {
                let plain: String = content.chars().filter(|c| !c.is_whitespace()).collect();
                BASE64
                    .decode(plain.as_bytes())
                    .map_err(|_| format!("a `<{kind}>` is not base64 although it says so"))?
            } else {
                content.as_bytes().to_vec()
            };
            let message = String::from_utf8_lossy(&bytes);
            match kind {
                "request" => call = request(&message),
                _ => call = call.and_then(|call| answered(call, &message)),
            }
        }
        seen.extend(call);
    }
    model("recorded traffic", seen)
}

/// A call with what was answered; `None` for one that was not found: it is no operation.
fn answered(call: Seen, text: &str) -> Option<Seen> {
    let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok()).unwrap_or(0);
    if matches!(status, 404 | 405) {
        return None;
    }
    let deprecated = lines.filter_map(|line| line.split_once(':')).any(|(name, _)| says_farewell(name));
    let answer = (200..300).contains(&status).then(|| serde_json::from_str(body).ok()).flatten();
    Some(Seen { answer, deprecated, ..call })
}

/// The gateway's events, one JSON object a line, as `portcullis log --json` writes them: what was called through it, whether
/// a document has it or not. `None` for a text that is no such lines.
pub(super) fn events(text: &str) -> Option<Result<Api, String>> {
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        ["method", "path", "decision"]
            .iter()
            .all(|name| event.get(name).is_some_and(Value::is_string))
            .then_some(event)
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    event(lines.peek()?)?;
    let mut seen = Vec::new();
    for (index, line) in lines.enumerate() {
        let Some(event) = event(line) else {
            return Some(Err(format!(
                "event {} is none; expected the lines of `portcullis log --json`",
                index + 1
            )));
        };
        let status = event.get("status").and_then(Value::as_u64).unwrap_or(0);
        // What the gateway refused never was at the API, and what was not found is no operation.
        let reached = string(&event, "decision") == Some("permitted");
        if !reached || matches!(status, 0 | 404 | 405) {
            continue;
        }
        let target =
            [string(&event, "path"), string(&event, "query")].map(Option::unwrap_or_default).join("?");
        let (path, query) = split(&format!("http://x{target}"));
        let method = string(&event, "method").unwrap_or("GET").to_ascii_uppercase();
        seen.push(Seen { method, path, query, ..Seen::default() });
    }
    Some(model("the gateway's events", seen))
}

/// A request as it stood on the wire.
fn request(text: &str) -> Option<Seen> {
    let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.to_ascii_uppercase();
    let (path, query) = split(&format!("http://x{}", first.next()?));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()));
    Some(Seen { method, path, query, headers: headers.collect(), body: body.to_owned(), ..Seen::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_gateway() {
        let line = |path: &str, decision: &str, status: u16| {
            serde_json::json!({ "method": "GET", "path": path, "query": "limit=3", "decision": decision, "status": status }).to_string()
        };
        let text = [
            line("/orders/17", "permitted", 200),
            line("/nope", "permitted", 404),
            line("/x", "refused", 401),
        ];
        let api = events(&text.join("\n")).unwrap().unwrap();
        let paths: Vec<&str> = api.operations.iter().map(|operation| operation.path.as_str()).collect();
        assert_eq!((paths.as_slice(), api.operations[0].params.len()), (&["/orders/{order_id}"][..], 2));
        assert!(events("{\"openapi\": \"3.0.0\"}").is_none() && events("").is_none());
        assert!(events(&format!("{}\nx", text[0])).unwrap().is_err());

        let mut whole = har(&serde_json::json!({ "log": { "entries": [
            { "request": { "method": "GET", "url": "http://h/orders/5", "headers": [] }, "response": { "status": 200 } } ] } })).unwrap();
        whole.add(api);
        whole.add(events(&line("/stats", "permitted", 200)).unwrap().unwrap());
        let labels: Vec<String> = whole.operations.iter().map(|operation| operation.label()).collect();
        assert_eq!(labels, ["GET /orders/{order_id}", "GET /stats"]);
        assert!(whole.operations[0].params.iter().any(|param| param.name == "limit" && !param.required));
    }

    #[test]
    fn recordings_of_both_kinds() {
        let root = serde_json::json!({ "log": { "entries": [
            { "request": { "method": "GET", "url": "http://h/orders/5?x=1", "headers": [] }, "response": { "status": 200, "content": { "text": "{}" } } },
            { "request": { "method": "GET", "url": "http://h/nope", "headers": [] }, "response": { "status": 404 } } ] } });
        let api = har(&root).unwrap();
        assert_eq!(api.operations.len(), 1);
        assert_eq!(api.operations[0].path, "/orders/{order_id}");
        let raw = BASE64.encode(b"POST /login HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{\"username\":\"a\",\"password\":\"b\"}");
        let api = burp(&format!(
            "<items><item><request base64=\"true\"><![CDATA[{raw}]]></request></item></items>"
        ))
        .unwrap();
        assert!(api.operations[0].is_login());
        let item = |path: &str, answer: &str| {
            format!("<item><request>GET {path} HTTP/1.1\n\n</request><response>{answer}</response></item>")
        };
        let export =
            [item("/nope", "HTTP/1.1 404 N\n\n"), item("/old", "HTTP/1.1 200 OK\nSunset: now\n\n{\"a\":1}")];
        let api = burp(&export.concat()).unwrap();
        assert_eq!((api.operations.len(), api.operations[0].deprecated), (1, true));
        assert_eq!(api.operations[0].answers[0]["properties"]["a"]["type"], "integer");
    }
}
