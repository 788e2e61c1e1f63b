//! HAR 1.2 and Burp's XML export.

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
            ..Seen::default()
        });
    }
    model("recorded traffic", seen)
}

/// Burp's export of items: `<item>` with a `<request>`, in base64 or not.
pub(super) fn burp(text: &str) -> Result<Api, String> {
    let item =
        Regex::new(r#"(?s)<request( base64="(true|false)")?>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</request>"#)
            .map_err(|error| error.to_string())?;
    let mut seen = Vec::new();
    for found in item.captures_iter(text) {
        let encoded = found.get(2).is_some_and(|flag| flag.as_str() == "true");
        let content = found.get(3).map(|content| content.as_str().trim()).unwrap_or_default();
        let bytes = if encoded {
            let plain: String = content.chars().filter(|c| !c.is_whitespace()).collect();
            BASE64.decode(plain.as_bytes()).map_err(|_| "a `<request>` is not base64 although it says so")?
        } else {
            content.as_bytes().to_vec()
        };
        seen.extend(message(&String::from_utf8_lossy(&bytes)));
    }
    model("recorded traffic", seen)
}

/// A request as it stood on the wire.
fn message(text: &str) -> Option<Seen> {
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
    }
}
