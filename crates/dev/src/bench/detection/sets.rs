//! The public sets, as their authors lay them out.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_inspect::{Place, form_text};
use portcullis_openapi::source::{Document, Node};
use serde_json::{Value, json};

use super::{Input, Sample, Whole};
use crate::{Failure, Outcome};

/// Loads every set that `folder` has.
pub(super) fn load(folder: &Path, out: &mut Vec<Sample>) -> Outcome {
    let file = folder.join("http-params/payload_full.csv");
    if file.is_file() {
        http_params(&read(&file)?, out);
    }
    let tests = folder.join("gotestwaf/testcases");
    for path in files(&tests) {
        gotestwaf(&path, out)?;
    }
    for path in files(&folder.join("libinjection")) {
        libinjection(&path, &read(&path)?, out);
    }
    for path in files(&folder.join("blazehttp")) {
        blazehttp(&path, &read(&path)?, out);
    }
    for path in
        files(&folder.join("atrdf")).iter().filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        atrdf(&read(path)?, out)?;
    }
    for path in files(&folder.join("attacks")) {
        let class =
            path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        lines(&read(&path)?, "lists", &class, out);
    }
    for path in files(&folder.join("benign")) {
        let set = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for value in read(&path)?.split(|&b| b == 0).filter(|value| !value.is_empty()) {
            out.push(Sample {
                set: format!("text-{set}"),
                class: String::new(),
                input: Input::Value(Place::Body, value.to_vec()),
            });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))
}

/// All files under `folder`, sorted; none where there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn lines(text: &[u8], set: &str, class: &str, out: &mut Vec<Sample>) {
    for line in text.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.trim_ascii().is_empty() && !line.starts_with(b"# ") {
            out.push(Sample {
                set: set.to_owned(),
                class: class.to_owned(),
                input: Input::Value(Place::Query, line.to_vec()),
            });
        }
    }
}

/// `"payload","length","attack_type","label"`.
fn http_params(text: &[u8], out: &mut Vec<Sample>) {
    let mut fields: Vec<Vec<u8>> = vec![Vec::new()];
    let (mut quoted, mut first) = (false, true);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                if let Some(field) = fields.last_mut() {
                    field.push(b'"');
                }
            }
            b'"' => quoted = !quoted,
            b',' if !quoted => fields.push(Vec::new()),
            b'\n' if !quoted => {
                let row = std::mem::replace(&mut fields, vec![Vec::new()]);
                if let [payload, _, kind, _] = row.as_slice()
                    && !std::mem::take(&mut first)
                {
                    let kind = String::from_utf8_lossy(kind).trim().to_owned();
                    let class = if kind == "norm" { String::new() } else { kind };
                    out.push(Sample {
                        set: "http-params".into(),
                        class,
                        input: Input::Value(Place::Query, payload.clone()),
                    });
                }
            }
            b'\r' if !quoted => {}
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
}

/// Payloads, encoders and placeholders, multiplied.
fn gotestwaf(path: &Path, out: &mut Vec<Sample>) -> Outcome {
    let name = path.display().to_string();
    let text = read(path)?;
    // The reader that the set was written for takes `\'` in double quotes, which YAML does not have.
    let document = Document::parse(&name, &text)
        .or_else(|_| Document::parse(&name, String::from_utf8_lossy(&text).replace("\\'", "'").as_bytes()))
        .map_err(|e| Failure::new(format!("{name}: {e}")))?;
    let list = |key: &str| -> Vec<Node> {
        document.root().get(key).and_then(Node::as_array).unwrap_or_default().to_vec()
    };
    let benign = name.contains("false-pos");
    let class = if benign {
        String::new()
    } else {
        path.file_stem().unwrap_or_default().to_string_lossy().trim_start_matches("community-").to_owned()
    };
    for payload in list("payload") {
        let payload = payload.as_str().map_or_else(|| payload.to_json().to_string(), str::to_owned);
        for encoder in list("encoder") {
            let encoder = encoder.as_str().unwrap_or_default().to_owned();
            for placeholder in list("placeholder") {
                let whole = place(&payload, &encoder, &placeholder);
                out.push(Sample {
                    set: "gotestwaf".into(),
                    class: class.clone(),
                    input: Input::Request(whole),
                });
            }
        }
    }
    Ok(())
}

/// A request with `payload` where `placeholder` says.
fn place(payload: &str, encoder: &str, placeholder: &Node) -> Whole {
    let kind = placeholder
        .as_str()
        .map(str::to_owned)
        .or_else(|| {
            placeholder.as_object().and_then(|members| members.first()).map(|member| member.key.to_string())
        })
        .unwrap_or_default();
    let text = match encoder {
        "Base64Flat" => base64(payload.as_bytes()),
        _ => payload.to_owned(),
    };
    let escaped = if encoder == "Plain" && kind == "URLPath" { text.clone() } else { percent(&text) };
    let mut whole = Whole { target: b"/".to_vec(), ..Whole::default() };
    let mut typed = |kind: &str, body: String| {
        whole.headers.push(("Content-Type".into(), kind.as_bytes().to_vec()));
        whole.body = body.into_bytes();
    };
    match kind.as_str() {
        "URLPath" => whole.target = format!("/{escaped}").into_bytes(),
        "URLParam" => whole.target = format!("/?a1b2c3={escaped}").into_bytes(),
        "HTMLForm" => typed("application/x-www-form-urlencoded", format!("a1b2c3={escaped}")),
        "HTMLMultipartForm" => typed(
            "multipart/form-data; boundary=x7f",
            format!("--x7f\r\nContent-Disposition: form-data; name=\"a1b2c3\"\r\n\r\n{text}\r\n--x7f--\r\n"),
        ),
        "JSONRequest" | "JSONBody" => {
            typed("application/json", json!({ "test": true, "a1b2c3": text }).to_string());
        }
        "XMLBody" => typed("application/xml", text),
        "SOAPBody" => {
            let body = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            typed(
                "text/xml",
                format!(
                    "<?xml version=\"1.0\"?><soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope/\"><soap:Header></soap:Header><soap:Body><a1b2c3>{body}</a1b2c3></soap:Body></soap:Envelope>"
                ),
            );
        }
        "GraphQL" => {
            let post = placeholder.get("GraphQL").and_then(|node| node.get("method")).and_then(Node::as_str)
                == Some("POST");
            if post {
                typed("application/json", text);
            } else {
                whole.target = format!("/?query={escaped}").into_bytes();
            }
        }
        "UserAgent" => whole.headers.push(("User-Agent".into(), text.into_bytes())),
        "RawRequest" => {
            let raw = placeholder.get("RawRequest");
            let field = |name: &str| {
                raw.and_then(|raw| raw.get(name))
                    .and_then(Node::as_str)
                    .unwrap_or_default()
                    .replace("{{payload}}", &text)
            };
            whole.target = field("path").into_bytes();
            let body = field("body");
            let multipart =
                raw.and_then(|raw| raw.get("headers")).and_then(Node::as_object).unwrap_or_default();
            for member in multipart {
                whole.headers.push((
                    member.key.to_string(),
                    member.value.as_str().unwrap_or_default().replace("{{payload}}", &text).into_bytes(),
                ));
            }
            let lines = whole.headers.iter().any(|(_, value)| value.starts_with(b"multipart"));
            whole.body = if lines { body.replace('\n', "\r\n").into_bytes() } else { body.into_bytes() };
        }
        "gRPC" => typed("application/json", json!({ "value": text }).to_string()),
        _ => whole.headers.push(("X-A1b2c3".into(), text.into_bytes())),
    }
    whole
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// Base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let letter = LETTERS.get((word >> (18 - 6 * index) & 63) as usize).copied().unwrap_or(b'A');
            out.push(letter as char);
        }
    }
    out
}

/// One value a line, percent-encoded; the file's name says what it is.
fn libinjection(path: &Path, text: &[u8], out: &mut Vec<Sample>) {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let class = match name.split('-').next() {
        Some("sqli") => "sqli",
        Some("xss") => "xss",
        Some("false_positives") => "",
        _ => return,
    };
    for line in text.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let set = if class == "xss" { "libinjection-xss" } else { "libinjection" };
        out.push(Sample {
            set: set.into(),
            class: class.into(),
            input: Input::Value(Place::Query, form_text(line).into_owned()),
        });
    }
}

/// Requests as they stood on the wire.
fn blazehttp(path: &Path, text: &[u8], out: &mut Vec<Sample>) {
    let class = match path.extension().and_then(|e| e.to_str()) {
        Some("black") => "attack",
        Some("white") => "",
        _ => return,
    };
    let Some(whole) = request(text) else { return };
    let json = whole.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value.windows(4).any(|four| four == b"json")
    });
    if json && class.is_empty() && !whole.body.is_empty() {
        let copy =
            Whole { target: whole.target.clone(), headers: whole.headers.clone(), body: whole.body.clone() };
        out.push(Sample { set: "blazehttp-json".into(), class: String::new(), input: Input::Request(copy) });
    }
    out.push(Sample { set: "blazehttp".into(), class: class.into(), input: Input::Request(whole) });
}

fn request(text: &[u8]) -> Option<Whole> {
    let end = text
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|end| (end, end + 4))
        .or_else(|| text.windows(2).position(|two| two == b"\n\n").map(|end| (end, end + 2)));
    let (head_end, body) = end.unwrap_or((text.len(), text.len()));
    let mut lines =
        text.get(..head_end)?.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    let start = first.iter().position(|&b| b == b' ')? + 1;
    let stop = first.iter().rposition(|&b| b == b' ').filter(|&stop| stop > start).unwrap_or(first.len());
    let headers = lines
        .filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            Some((
                String::from_utf8_lossy(line.get(..colon)?).into_owned(),
                line.get(colon + 1..)?.trim_ascii().to_vec(),
            ))
        })
        .collect();
    Some(Whole { target: first.get(start..stop)?.to_vec(), headers, body: text.get(body..)?.to_vec() })
}

/// The training half of the first data set; `Attack_Tag` says what a request is.
fn atrdf(text: &[u8], out: &mut Vec<Sample>) -> Outcome {
    let all: Vec<Value> = serde_json::from_slice(text).map_err(|e| Failure::new(format!("atrdf: {e}")))?;
    if !all.iter().any(|entry| entry.pointer("/request/Attack_Tag").is_some()) {
        // Without its labels the other half says nothing.
        return Ok(());
    }
    for entry in all {
        let Some(request) = entry.get("request") else { continue };
        let field = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let url = field("url");
        let target = url
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').and_then(|slash| rest.get(slash..)))
            .unwrap_or("/");
        let headers = request
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().as_bytes().to_vec()))
            .collect();
        let whole =
            Whole { target: target.as_bytes().to_vec(), headers, body: field("body").as_bytes().to_vec() };
        out.push(Sample {
            set: "atrdf".into(),
            class: field("Attack_Tag").to_owned(),
            input: Input::Request(whole),
        });
    }
    Ok(())
}
