//! The loop itself: an application, ordinary calls of it, and `portcullis fix` between them, with nobody looking on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::scan::apps::App;
use crate::bench::scan::judge::{Loop, Ordinary, Use};
use crate::server::free_address;
use crate::{Failure, Outcome, cache, process};

/// Scans `app`, writes a patch, proves it, and answers where the certificate is.
///
/// # Errors
/// If the application does not start, an ordinary call of it fails, or `fix` writes no certificate.
pub(super) fn prove(
    program: &Path,
    app: &App,
    environment: &BTreeMap<String, String>,
    wanted: &Loop,
    seed: u64,
    folder: &Path,
) -> Outcome<PathBuf> {
    let room = folder.join(format!("{seed}"));
    let _ = fs::remove_dir_all(&room);
    fs::create_dir_all(&room)?;
    let address = free_address()?;
    let mut upstream = Some(app.start_at(address, environment)?);
    let traffic = room.join("ordinary.har");
    match &wanted.ordinary {
        Ordinary::Recorded(file) => {
            fs::copy(cache::workspace().join(file), &traffic)?;
        }
        Ordinary::Calls(calls) => fs::write(&traffic, record(address, calls, &room)?.to_string())?,
    }
    let document = app.document();
    let contract = document.file_name().unwrap_or_default().to_owned();
    fs::copy(&document, room.join(&contract))?;
    let config = format!(
        "upstream: http://{address}\ncontract: {}\ndata: data\n{}\n",
        contract.display(),
        wanted.config.join("\n")
    );
    fs::write(room.join("portcullis.yaml"), config)?;
    let reset = TcpListener::bind("127.0.0.1:0")?;
    let before = format!("curl -fsS http://{}/", reset.local_addr()?);
    let mut command = Command::new(program);
    command.current_dir(&room).args(["fix", "--prove", "--apply", "--traffic", "ordinary.har"]);
    command.args(["--seed", &seed.to_string(), "--before", &before, "-o", "certificate.json"]);
    for identity in app.identities() {
        command.args(["--identity", identity]);
    }
    command.args(&wanted.options);
    let log = fs::File::create(room.join("fix.log"))?;
    let mut child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    reset.set_nonblocking(true)?;
    while child.try_wait()?.is_none() {
        let Ok((mut asked, _)) = reset.accept() else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        drop(upstream.take());
        match app.start_at(address, environment) {
            Ok(fresh) => upstream = Some(fresh),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        }
        // What it asks does not matter; that it is answered only now does.
        asked.set_nonblocking(false)?;
        let _ = asked.read(&mut [0; 4096])?;
        asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    }
    drop(upstream);
    let certificate = room.join("certificate.json");
    if certificate.is_file() {
        return Ok(certificate);
    }
    let said = fs::read_to_string(room.join("fix.log")).unwrap_or_default();
    Err(Failure::new(format!("`portcullis fix` wrote no certificate; it said:\n{said}")))
}

/// Makes the calls and writes down what was said, as HTTP Archive 1.2.
fn record(address: SocketAddr, calls: &[Use], room: &Path) -> Outcome<Value> {
    let mut kept: BTreeMap<&str, Value> = BTreeMap::new();
    let mut entries = Vec::new();
    for call in calls {
        let (answer, entry) = make(address, call, &kept, room)?;
        entries.push(entry);
        for (name, pointer) in &call.keep {
            let value = answer.pointer(pointer).ok_or_else(|| {
                Failure::new(format!("{} {} answers nothing at `{pointer}`", call.method, call.path))
            })?;
            kept.insert(name, value.clone());
        }
    }
    let creator = json!({ "name": "portcullis-dev", "version": env!("CARGO_PKG_VERSION") });
    Ok(json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } }))
}

/// Makes one call; its answer, if that is JSON, and its entry.
fn make(
    address: SocketAddr,
    call: &Use,
    kept: &BTreeMap<&str, Value>,
    room: &Path,
) -> Outcome<(Value, Value)> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // In a body, a text that is nothing but a name becomes the value as it was, a number as a number.
    let fill = |text: &str| {
        kept.iter().fold(text.to_owned(), |text, (name, value)| {
            let name = format!("{{{name}}}");
            text.replace(&format!("\"{name}\""), &value.to_string()).replace(&name, &plain(value))
        })
    };
    let path = fill(&call.path);
    let url = format!("http://{address}{path}");
    let mut fields = vec![("host".to_owned(), address.to_string())];
    if let Some(who) = &call.who {
        let token = kept
            .get(who.as_str())
            .ok_or_else(|| Failure::new(format!("nothing was kept as `{who}` before {path}")))?;
        fields.push(("authorization".to_owned(), format!("Bearer {}", plain(token))));
    }
    let body = call.body.as_ref().map(|body| fill(&body.to_string()));
    if body.is_some() {
        fields.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let file = room.join("answer");
    let started = process::run_quietly(Command::new("date").args(["-u", "+%FT%T.%3NZ"]))?;
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-X", &call.method, "-w", "%{http_code} %{header_json}", "-o"]).arg(&file);
    for (name, value) in fields.iter().skip(1) {
        curl.args(["-H", &format!("{name}: {value}")]);
    }
    if let Some(body) = &body {
        curl.args(["--data-binary", body]);
    }
    let told = process::run_quietly(curl.arg(&url))?;
    let (status, headers) = told.split_once(' ').unwrap_or((&told, "{}"));
    let status: u16 = status.parse().unwrap_or(0);
    let text = fs::read_to_string(&file)?;
    if !(200..400).contains(&status) {
        return Err(Failure::new(format!("{} {path} is no ordinary call: {status} {text}", call.method)));
    }
    let headers: Value = serde_json::from_str(headers).unwrap_or_default();
    let headers = headers.as_object().into_iter().flatten();
    let answered: Vec<Value> = headers
        .flat_map(|(name, values)| {
            let values = values.as_array().into_iter().flatten();
            values.map(move |value| json!({ "name": name, "value": value }))
        })
        .collect();
    let media_type = answered.iter().find(|field| field["name"] == "content-type");
    let media_type = media_type.map_or(Value::from(""), |field| field["value"].clone());
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<Value> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let fields: Vec<Value> =
        fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut request = json!({
        "method": call.method, "url": url, "httpVersion": "HTTP/1.1", "headers": fields, "queryString": query,
        "cookies": [], "headersSize": -1, "bodySize": body.as_ref().map_or(0, String::len),
    });
    if let (Some(body), Some(request)) = (&body, request.as_object_mut()) {
        request.insert("postData".into(), json!({ "mimeType": "application/json", "text": body }));
    }
    let answer = serde_json::from_str(&text).unwrap_or_default();
    let response = json!({
        "status": status, "statusText": "", "httpVersion": "HTTP/1.1", "headers": answered, "cookies": [],
        "redirectURL": "", "headersSize": -1, "bodySize": text.len(),
        "content": { "size": text.len(), "mimeType": media_type, "text": text },
    });
    let entry = json!({
        "startedDateTime": started.trim(), "time": 1, "cache": {}, "timings": { "send": 0, "wait": 1, "receive": 0 },
        "request": request, "response": response,
    });
    Ok((answer, entry))
}
