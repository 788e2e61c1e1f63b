//! `cargo dev bench proxy`: CPU time for each call, beside other proxies, in rounds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::contenders::{self, Kind, Running};
use super::load::{self, Call, Done};
use super::report::{self, Row};
use super::{idle, measure};
use crate::release::{self, Built};
use crate::setup::{self, Purpose};
use crate::{Failure, Outcome, cache, process};

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rounds; every contender has one turn in each.
    pub rounds: u32,
    /// Seconds of load in each turn.
    pub seconds: u32,
    /// Only lines whose names contain this.
    pub only: Option<String>,
    /// Whether to write `docs/benchmarks.md`.
    pub write: bool,
}

/// One line of the table: a contender and what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// nginx.
    Nginx,
    /// nginx, the POST that Portcullis validates.
    NginxPost,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
    /// Caddy.
    Caddy,
    /// Portcullis, nothing configured but the upstream.
    Plain,
    /// The same with its event log.
    Recorded,
    /// Portcullis, a GET with everything on.
    GuardedGet,
    /// Portcullis, the same GET of an operation whose answer has a schema, too.
    GuardedAnswer,
    /// Portcullis, a POST whose body is not described, with everything on.
    OpenPost,
    /// Portcullis, a POST whose body is validated, with everything on.
    GuardedPost,
}

impl Line {
    const ALL: [Line; 11] = [
        Line::Nginx,
        Line::NginxPost,
        Line::Haproxy,
        Line::Envoy,
        Line::Caddy,
        Line::Plain,
        Line::Recorded,
        Line::GuardedGet,
        Line::GuardedAnswer,
        Line::OpenPost,
        Line::GuardedPost,
    ];

    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Line::Nginx => "nginx",
            Line::NginxPost => "nginx, POST 1 KiB",
            Line::Haproxy => "HAProxy",
            Line::Envoy => "Envoy",
            Line::Caddy => "Caddy",
            Line::Plain => "Portcullis, plain proxy",
            Line::Recorded => "Portcullis, plain proxy with its event log",
            Line::GuardedGet => "Portcullis, GET with key, contract, limits, headers, event log",
            Line::GuardedAnswer => "Portcullis, the same GET, its 1 KiB answer validated",
            Line::OpenPost => "Portcullis, POST 1 KiB not described, everything on",
            Line::GuardedPost => "Portcullis, POST 1 KiB validated, everything on",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Line::Nginx | Line::NginxPost => Kind::Nginx,
            Line::Haproxy => Kind::Haproxy,
            Line::Envoy => Kind::Envoy,
            Line::Caddy => Kind::Caddy,
            Line::Plain => Kind::Plain,
            Line::Recorded => Kind::Recorded,
            Line::GuardedGet | Line::GuardedAnswer | Line::OpenPost | Line::GuardedPost => Kind::Guarded,
        }
    }

    /// Whether it takes TLS in the comparison.
    fn has_tls(self) -> bool {
        !matches!(self.kind(), Kind::Guarded | Kind::Recorded) && self != Line::NginxPost
    }
}

/// Which load a measurement is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// Cleartext HTTP/1.1.
    Http1,
    /// TLS 1.3, HTTP/1.1.
    Tls,
    /// TLS 1.3, HTTP/2.
    Http2,
}

/// Runs the whole comparison.
pub fn run(options: &Options) -> Outcome {
    let missing = setup::ensure(&[Purpose::Test, Purpose::Bench], None)?;
    if !missing.is_empty() {
        eprintln!("missing: {}", missing.join("\nmissing: "));
    }
    let wanted: Vec<Line> = Line::ALL
        .into_iter()
        .filter(|line| {
            let name = line.name().to_lowercase();
            *line == Line::Nginx
                || options.only.as_ref().is_none_or(|only| name.contains(&only.to_lowercase()))
        })
        .collect();
    let ours = wanted.iter().any(|line| line.name().starts_with("Portcullis"));
    let built = if ours { release::to_measure()? } else { Built::default() };
    let portcullis = built.program;
    let scratch = Scratch::new()?;
    let folder = scratch.0.as_path();
    contenders::certificate(folder)?;
    let body = body().to_string();
    let upstream = contenders::upstream(&body, folder)?;
    fs::write(folder.join("contract.json"), contract(20).to_string())?;
    let key = if ours { api_key(&portcullis, &folder.join("data"))? } else { String::new() };

    let mut rows: Vec<Row> = Vec::new();
    for threads in [1, 2] {
        for kind_of_load in [Load::Http1, Load::Tls, Load::Http2] {
            if threads == 2 && kind_of_load != Load::Http1 {
                continue;
            }
            let lines: Vec<Line> =
                wanted.iter().copied().filter(|line| kind_of_load == Load::Http1 || line.has_tls()).collect();
            let setting = Setting {
                threads,
                load: kind_of_load,
                key: &key,
                body: &body,
                portcullis: &portcullis,
                folder,
            };
            rows.extend(compare(&lines, &setting, &upstream, options)?);
        }
    }
    let idle = if ours { Some(idle::measure(&portcullis, &upstream, folder)?) } else { None };
    let text = report::markdown(&rows, idle.as_ref(), built.guided, options);
    println!("{text}");
    if options.write && options.only.is_none() {
        let path = cache::workspace().join("docs/benchmarks.md");
        fs::write(&path, &text)?;
        eprintln!("written to {}", path.display());
    }
    Ok(())
}

struct Setting<'a> {
    threads: u32,
    load: Load,
    key: &'a str,
    body: &'a str,
    portcullis: &'a Path,
    folder: &'a Path,
}

impl Setting<'_> {
    fn send(&self, line: Line, running: &Running, seconds: u32) -> Outcome<Done> {
        let mut call = Call { path: "/items/7?expand=owner".into(), ..Call::default() };
        match line {
            Line::GuardedGet => call.fields.push(("X-API-Key".into(), self.key.into())),
            Line::GuardedAnswer => {
                call.path = "/checked/7?expand=owner".into();
                call.fields.push(("X-API-Key".into(), self.key.into()));
            }
            Line::GuardedPost | Line::OpenPost => {
                call.path = if line == Line::OpenPost { "/open" } else { "/items" }.into();
                call.fields.push(("X-API-Key".into(), self.key.into()));
                call.body = Some(self.body.to_owned());
            }
            Line::NginxPost => {
                call.path = "/items".into();
                call.body = Some(self.body.to_owned());
            }
            _ => {}
        }
        match self.load {
            Load::Http1 => load::wrk(&running.address.to_string(), &call, seconds, self.folder),
            Load::Tls => load::h2load(&running.tls.to_string(), &call.path, false, seconds),
            Load::Http2 => load::h2load(&running.tls.to_string(), &call.path, true, seconds),
        }
    }
}

/// All lines under one load, in turns.
fn compare(
    lines: &[Line],
    setting: &Setting<'_>,
    upstream: &Running,
    options: &Options,
) -> Outcome<Vec<Row>> {
    let mut running: BTreeMap<Kind, Running> = BTreeMap::new();
    for line in lines {
        if let std::collections::btree_map::Entry::Vacant(place) = running.entry(line.kind()) {
            let Setting { threads, portcullis, folder, .. } = *setting;
            place.insert(contenders::start(line.kind(), threads, upstream.address, portcullis, folder)?);
        }
        if let Some(contender) = running.get(&line.kind()) {
            setting.send(*line, contender, 1)?;
        }
    }
    let mut rows: BTreeMap<Line, Row> = lines
        .iter()
        .map(|line| {
            (*line, Row { line: *line, threads: setting.threads, load: setting.load, ..Row::new(*line) })
        })
        .collect();
    for round in 1..=options.rounds {
        let mut base = None;
        for line in lines {
            let Some(contender) = running.get(&line.kind()) else { continue };
            let before = measure::tree(contender.pid());
            let done = setting.send(*line, contender, options.seconds)?;
            let after = measure::tree(contender.pid());
            let micros = (after.cpu - before.cpu) * 1e6 / done.calls;
            let base = *base.get_or_insert(micros);
            eprintln!(
                "{:?} {} thread(s), round {round}: {}: {micros:.1} µs a call, {:.2} × nginx, {:.0} calls/s",
                setting.load,
                setting.threads,
                line.name(),
                micros / base,
                done.rate
            );
            if let Some(row) = rows.get_mut(line) {
                row.micros.push(micros);
                row.ratios.push(micros / base);
                row.rates.push(done.rate);
                row.resident = row.resident.max(after.resident);
            }
        }
    }
    Ok(rows.into_values().collect())
}

/// A new API key, as the gateway's own command makes it.
pub fn api_key(portcullis: &Path, data: &Path) -> Outcome<String> {
    let output = process::run_quietly(
        Command::new(portcullis).args(["keys", "create", "bench", "--json", "--data"]).arg(data),
    )?;
    let value: Value = serde_json::from_str(&output)
        .map_err(|e| Failure::new(format!("`portcullis keys create` said no JSON: {e}")))?;
    ["secret", "key", "api_key"]
        .iter()
        .find_map(|name| value.get(name).and_then(Value::as_str))
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::new(format!("`portcullis keys create` gave no key: {}", output.replace('"', "")))
        })
}

/// An answer, and a body to send, of 1 KiB.
pub(crate) fn body() -> Value {
    let lines: Vec<Value> = (0..9)
        .map(|n| {
            json!({
                "sku": format!("SKU-{n:04}-BLUE"), "quantity": n + 1, "price": 19.95,
                "note": "ships in two days", "gift": n % 2 == 0,
            })
        })
        .collect();
    json!({ "id": 7, "owner": "c1a7", "status": "open", "email": "jo@shop.example", "total": 179.55, "lines": lines,
        "comment": "Please leave the parcel with the neighbour if nobody answers the door; ring twice." })
}

/// A contract of that many operations, among them those that are called.
pub fn contract(operations: usize) -> Value {
    let line = json!({
        "type": "object", "additionalProperties": false, "required": ["sku", "quantity", "price"],
        "properties": {
            "sku": { "type": "string", "pattern": "^[A-Z0-9-]{3,40}$" },
            "quantity": { "type": "integer", "minimum": 1, "maximum": 1000 },
            "price": { "type": "number", "minimum": 0 },
            "note": { "type": "string", "maxLength": 200 },
            "gift": { "type": "boolean" },
        },
    });
    let item = json!({
        "type": "object", "additionalProperties": false, "required": ["id", "status", "lines"],
        "properties": {
            "id": { "type": "integer" },
            "owner": { "type": "string", "maxLength": 40 },
            "status": { "type": "string", "enum": ["open", "paid", "sent"] },
            "email": { "type": "string", "format": "email", "maxLength": 100 },
            "total": { "type": "number" },
            "comment": { "type": "string", "maxLength": 500 },
            "lines": { "type": "array", "maxItems": 100, "items": { "$ref": "#/components/schemas/Line" } },
        },
    });
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Item" } } });
    let answer = json!({ "200": { "description": "the item" } });
    let checked = json!({ "200": { "description": "the item", "content": content } });
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0 } });
    let expand = json!({ "name": "expand", "in": "query", "schema": { "type": "string", "maxLength": 20 } });
    let mut paths = serde_json::Map::new();
    paths.insert(
        "/items".into(),
        json!({ "post": { "operationId": "createItem", "requestBody": { "required": true, "content": content }, "responses": answer } }),
    );
    let open = json!({ "application/json": {} });
    paths.insert(
        "/open".into(),
        json!({ "post": { "operationId": "createOpen", "requestBody": { "required": true, "content": open }, "responses": answer } }),
    );
    paths.insert(
        "/items/{id}".into(),
        json!({ "get": { "operationId": "getItem", "parameters": [id, expand], "responses": answer } }),
    );
    paths.insert(
        "/checked/{id}".into(),
        json!({ "get": { "operationId": "getChecked", "parameters": [id, expand], "responses": checked } }),
    );
    for number in 4..operations {
        paths.insert(
            format!("/things{number}/{{id}}/parts"),
            json!({ "post": { "operationId": format!("op{number}"), "parameters": [id],
                "requestBody": { "required": true, "content": content }, "responses": checked } }),
        );
    }
    json!({
        "openapi": "3.0.3", "info": { "title": "Bench", "version": "1" }, "paths": paths,
        "security": [{ "key": [] }],
        "components": {
            "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" } },
            "schemas": { "Item": item, "Line": line },
        },
    })
}

/// A temporary folder that every contender's user may enter; removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("portcullis-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_one_kibibyte_and_the_contract_has_its_operations() {
        let size = body().to_string().len();
        assert!((900..=1150).contains(&size), "{size}");
        assert_eq!(contract(1000)["paths"].as_object().unwrap().len(), 1000);
    }
}
