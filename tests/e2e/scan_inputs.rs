//! `portcullis scan` of one API from every kind of document: the same is found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_dev::cache;
use serde_json::{Value, json};

use crate::harness::{gateway, needs, peers};
use crate::scan::{PEOPLE, contract, curl, keys, scan};

/// What only a description can say: bounds that are not kept.
const BOUNDS: [&str; 3] = ["unlimited-body", "unlimited-items", "unlimited-page-size"];

/// Makes a Postman collection of the contract, as the vendor's own converter does it.
const CONVERT: &str = "
const [, modules, from, to] = process.argv;
const fs = require('node:fs');
const converter = require(`${modules}/openapi-to-postmanv2`);
const options = { parametersResolution: 'Example', folderStrategy: 'Tags' };
converter.convertV2({ type: 'string', data: fs.readFileSync(from, 'utf8') }, options, (error, result) => {
  if (error || !result.result) throw error ?? new Error(result.reason);
  fs.writeFileSync(to, JSON.stringify(result.output[0].data));
});";

fn postman(folder: &Path) -> Option<PathBuf> {
    let node = needs("scan_inputs", "node")?;
    let modules = cache::node().join("node_modules");
    if !modules.join("openapi-to-postmanv2").is_dir() {
        println!("SKIPPED scan_inputs: `openapi-to-postmanv2` is not installed; run `cargo dev setup`");
        return None;
    }
    let file = folder.join("collection.json");
    let output =
        Command::new(node).args(["-e", CONVERT]).arg(modules).arg(contract()).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(file)
}

fn recording() -> PathBuf {
    cache::workspace().join("demo/traffic/ordinary.har")
}

/// The recording as Burp exports what went through it.
fn burp(folder: &Path) -> PathBuf {
    let har: Value = serde_json::from_slice(&fs::read(recording()).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let head = |message: &Value| -> String {
        let fields = message["headers"].as_array().unwrap();
        fields
            .iter()
            .map(|field| format!("{}: {}\r\n", text(&field["name"]), text(&field["value"])))
            .collect()
    };
    let mut out = String::from("<?xml version=\"1.0\"?>\n<items burpVersion=\"2025.1\">\n");
    for entry in har["log"]["entries"].as_array().unwrap() {
        let (request, response) = (&entry["request"], &entry["response"]);
        let url = text(&request["url"]);
        let target = url.splitn(4, '/').nth(3).unwrap_or_default();
        let sent = format!(
            "{} /{target} HTTP/1.1\r\n{}\r\n{}",
            text(&request["method"]),
            head(request),
            text(&request["postData"]["text"])
        );
        let got = format!(
            "HTTP/1.1 {} -\r\n{}\r\n{}",
            response["status"],
            head(response),
            text(&response["content"]["text"])
        );
        out.push_str(&format!(
            "<item><url><![CDATA[{url}]]></url><request base64=\"false\"><![CDATA[{sent}]]></request>\
             <response base64=\"false\"><![CDATA[{got}]]></response></item>\n"
        ));
    }
    let file = folder.join("burp.xml");
    fs::write(&file, out + "</items>\n").unwrap();
    file
}

/// The confirmed findings by code and operation; what a parameter is called differs from one kind of document to the other.
fn found(document: &Path) -> BTreeSet<String> {
    let shop = peers::shop(false);
    let (_, report) = scan(document, shop.address, &PEOPLE, &["--destructive"]);
    let all = keys(&report).into_iter().map(|key| {
        let mut words = key.splitn(4, ' ');
        let code = words.next().unwrap_or_default().to_owned();
        let [method, path] = [words.next(), words.next()].map(Option::unwrap_or_default);
        // A header that changes the method is reported once, wherever it is seen first.
        if BOUNDS.contains(&code.as_str()) {
            return String::new();
        } else if code == "method-override" {
            return code;
        }
        let path: Vec<&str> =
            path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
        format!("{code} {method} {}", path.join("/"))
    });
    all.filter(|key| !key.is_empty()).collect()
}

#[test]
fn every_kind_of_document_leads_to_the_same_findings() {
    let folder = tempfile::tempdir().unwrap();
    let Some(collection) = postman(folder.path()) else { return };
    let documents = [contract(), collection, recording(), burp(folder.path())];
    let sets: Vec<BTreeSet<String>> = std::thread::scope(|scope| {
        let scans: Vec<_> = documents.iter().map(|document| scope.spawn(|| found(document))).collect();
        scans.into_iter().map(|scan| scan.join().unwrap()).collect()
    });
    let [described, others @ ..] = sets.as_slice() else { unreachable!() };
    assert!(described.len() > 60, "{described:#?}");
    for (document, other) in documents.iter().skip(1).zip(others) {
        let differ: Vec<&String> = described.symmetric_difference(other).collect();
        assert!(differ.len() <= 1, "{}: {differ:#?}", document.display());
    }
}

#[test]
fn what_the_gateway_saw_adds_to_the_description() {
    let shop = peers::shop(false);
    let gateway = gateway::Options::open(shop.address, "").start();
    let (name, password) = PEOPLE[2];
    let body = json!({ "username": name, "password": password }).to_string();
    let log_in = format!("{}/v2/login", gateway.url());
    let (_, answer) = curl(&["-H", "content-type: application/json", "-d", &body, &log_in]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = format!("authorization: Bearer {}", answer["token"].as_str().unwrap());
    // One that the contract has, one that it has not, and one that is not there.
    for path in ["/v2/orders", "/v2/orders/export", "/v2/nothing"] {
        curl(&["-H", &token, &format!("{}{path}", gateway.url())]);
    }
    let log = Command::new(gateway::binary())
        .current_dir(gateway.folder())
        .args(["log", "--json", "--data", "data"])
        .output()
        .unwrap();
    let events = gateway.folder().join("events.jsonl");
    fs::write(&events, log.stdout).unwrap();
    let more = ["--spec", events.to_str().unwrap(), "--check", "exposure"];
    let (_, report) = scan(&contract(), shop.address, &PEOPLE, &more);
    let reached =
        report["facts"].as_array().unwrap().iter().find(|fact| fact["name"] == "operations reached");
    assert!(reached.unwrap()["value"].as_str().unwrap().ends_with(" of 34"), "{reached:?}");
}
