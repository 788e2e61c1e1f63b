//! The exchanges of all findings as HAR 1.2.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Body, Exchange, Header, Item, Report};

/// The exchanges of all findings, each commented with the finding's code.
pub(super) fn write(report: &Report) -> String {
    log(&report.version, &report.items)
}

/// The exchanges of some findings.
pub(super) fn log(version: &str, items: &[Item]) -> String {
    let entries: Vec<Value> = items
        .iter()
        .flat_map(|item| item.evidence.exchanges.iter().map(move |exchange| entry(item, exchange)))
        .collect();
    let har = json!({ "log": {
        "version": "1.2",
        "creator": { "name": "portcullis", "version": version },
        "entries": entries,
    }});
    serde_json::to_string_pretty(&har).unwrap_or_default() + "\n"
}

fn entry(item: &Item, exchange: &Exchange) -> Value {
    let request = &exchange.request;
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let pairs: Vec<Value> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
            };
            json!({ "name": decoded(name), "value": decoded(value) })
        })
        .collect();
    let mut sent = json!({
        "method": request.method,
        "url": request.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": fields(&request.headers),
        "queryString": pairs,
        "headersSize": -1,
        "bodySize": request.body.as_ref().map_or(0, |body| body.bytes),
    });
    if let (Some(body), Some(sent)) = (&request.body, sent.as_object_mut()) {
        let mut data = json!({ "mimeType": mime(&request.headers), "text": body.text });
        if let (true, Some(data)) = (body.base64, data.as_object_mut()) {
            data.insert("encoding".into(), "base64".into());
        }
        sent.insert("postData".into(), data);
    }
    let response = match &exchange.response {
        Some(response) => json!({
            "status": response.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": fields(&response.headers),
            "content": content(&response.headers, response.body.as_ref()),
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": response.body.as_ref().map_or(0, |body| body.bytes),
        }),
        // HAR tools write status 0 where no answer came.
        None => json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
            "content": { "size": 0, "mimeType": "" }, "redirectURL": "", "headersSize": -1, "bodySize": -1,
        }),
    };
    let began = OffsetDateTime::from_unix_timestamp_nanos(i128::from(exchange.sent) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    json!({
        "startedDateTime": began.format(&Rfc3339).unwrap_or_default(),
        "time": exchange.millis,
        "request": sent,
        "response": response,
        "cache": {},
        "timings": { "send": 0, "wait": exchange.millis, "receive": 0 },
        "comment": format!("{}: {}", item.code, exchange.label),
    })
}

fn fields(headers: &[Header]) -> Vec<Value> {
    headers.iter().map(|header| json!({ "name": header.name, "value": header.value })).collect()
}

fn content(headers: &[Header], body: Option<&Body>) -> Value {
    match body {
        None => json!({ "size": 0, "mimeType": mime(headers) }),
        Some(body) if body.base64 => {
            json!({ "size": body.bytes, "mimeType": mime(headers), "text": body.text, "encoding": "base64" })
        }
        Some(body) => json!({ "size": body.bytes, "mimeType": mime(headers), "text": body.text }),
    }
}

fn mime(headers: &[Header]) -> &str {
    let typed = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    typed.map_or("", |header| header.value.as_str())
}
