//! The loop: holes are found, closed at the gateway, and proved to be, with nobody looking on.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::gateway::{binary, built};
use crate::harness::peers::free_address;

/// The gateway before the demonstration as somebody writes it who knows nothing of its holes.
const CONFIG: &str = "# The shop, on the internet by Friday.
upstream: http://UPSTREAM   # the shop itself
contract: openapi.yaml
data: data
# Keys of applications are the shop's business.
authenticate: { schemes: { apiKey: upstream, appId: upstream, appKey: upstream } }

policies:
  # Nobody needs a key to see whether it is up.
  - match: { operation: health }
    public: true   # said twice is no harm

limit: { baseline: { rate: 2000/s, burst: 4000, per: client } }
";

/// The shop as its users run it: a script puts it back into its first state, weak or fixed.
struct Shop {
    folder: PathBuf,
}

impl Shop {
    fn new(folder: &Path, address: SocketAddr) -> Shop {
        let script = format!(
            "[ -f pid ] && kill $(cat pid) && while kill -0 $(cat pid) 2>/dev/null; do sleep 0.05; done\n\
             '{}' --listen {address} $(cat mode) >/dev/null 2>&1 &\necho $! > pid\n\
             for i in $(seq 600); do curl -s -o /dev/null http://{address}/health && exit 0; sleep 0.05; done\nexit 1\n",
            built("portcullis-demo").display()
        );
        fs::write(folder.join("restart.sh"), script).unwrap();
        let shop = Shop { folder: folder.to_owned() };
        shop.is_fixed(false);
        shop
    }

    fn is_fixed(&self, fixed: bool) {
        fs::write(self.folder.join("mode"), if fixed { "--fixed" } else { "" }).unwrap();
        let status = Command::new("sh").arg("restart.sh").current_dir(&self.folder).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", "kill $(cat pid)"]).current_dir(&self.folder).status();
    }
}

fn fix(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder).arg("fix");
    command.args([
        "--identity",
        "alice=login:alice:alder-Lane-12",
        "--identity",
        "bob=login:bob:birch-Road-7",
    ]);
    command.args(["--identity", "root:admin=login:root:keeper-Of-The-Harbour"]);
    command
        .args([
            "--header",
            "X-Api-Key: sample-storefront-key",
            "--rate",
            "1000",
            "--before",
            "sh restart.sh",
            "-o",
            "certificate.json",
        ])
        .args(arguments);
    command.output().unwrap()
}

fn certificate(folder: &Path, output: &Output) -> Value {
    let said =
        || String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let text = fs::read_to_string(folder.join("certificate.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    serde_json::from_str(&text).unwrap()
}

fn fact(report: &Value, name: &str) -> String {
    let facts = report["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {facts:?}"))["value"].as_str().unwrap().to_owned()
}

fn table<'r>(report: &'r Value, title: &str) -> &'r Vec<Value> {
    let tables = report["tables"].as_array().unwrap();
    tables.iter().find(|table| table["title"] == title).unwrap()["rows"].as_array().unwrap()
}

#[test]
fn the_demonstration_is_found_wanting_closed_and_proved_to_be() {
    let address = free_address();
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::new(folder.path(), address);
    let root = portcullis_dev::cache::workspace().join("demo");
    fs::copy(root.join("openapi.yaml"), folder.path().join("openapi.yaml")).unwrap();
    let config = CONFIG.replace("UPSTREAM", &address.to_string());
    let file = folder.path().join("portcullis.yaml");
    fs::write(&file, &config).unwrap();
    let har = root.join("traffic/ordinary.har");
    let output =
        fix(folder.path(), &["--traffic", har.to_str().unwrap(), "--prove", "--apply", "--rounds", "2"]);
    let report = certificate(folder.path(), &output);
    let number = |name: &str| fact(&report, name).trim_end_matches(" %").parse::<u64>().unwrap();
    assert!(number("findings") >= 25, "{report:#}");
    let rows = table(&report, "Findings and what closes them");
    let open: Vec<&Value> = rows.iter().filter(|row| row[2] == "open").collect();
    let confirmed = fact(&report, "confirmed findings closed");
    let (closed, of) = confirmed.split_once(" of ").unwrap();
    let (closed, of): (u64, u64) = (closed.parse().unwrap(), of.parse().unwrap());
    assert!(closed * 100 >= of * 90 && of >= 50, "{confirmed}, open: {open:#?}");
    assert!(number("closed at the gateway") >= 90, "{report:#}");
    for row in table(&report, "Ordinary calls") {
        assert!(row[1].as_str().unwrap().parse::<u64>().unwrap() >= 90, "{row}");
        assert_eq!(row[2], "0", "{row}: {}", report["notes"]);
    }
    // What was written stands behind what was there, and says what it closes.
    let patched = fs::read_to_string(&file).unwrap();
    for line in config.lines() {
        assert!(patched.contains(line), "{line} is gone:\n{patched}");
    }
    assert!(patched.contains("patch: { closes: [") && patched.contains("# Closes "), "{patched}");
    assert!(
        !serde_json::to_string(&report).unwrap().contains("alder-Lane-12"),
        "a password is in the report"
    );

    // As long as the shop is weak every patch is needed; once it is mended, all can go.
    let review = |folder: &Path| {
        let output = fix(folder, &["--review", "--apply"]);
        let report = certificate(folder, &output);
        let number = |name: &str| fact(&report, name).parse::<u64>().unwrap();
        (number("patches"), number("can go"), report)
    };
    let (patches, gone, report) = review(folder.path());
    assert!(patches > 10, "{report:#}");
    assert_eq!(gone, 0, "{report:#}");
    assert_eq!(fs::read_to_string(&file).unwrap(), patched);
    shop.is_fixed(true);
    let (again, gone, report) = review(folder.path());
    assert_eq!((again, gone), (patches, patches), "{report:#}");
    let mended = fs::read_to_string(&file).unwrap();
    assert!(
        !mended.contains("patch:") && mended.contains("# The shop, on the internet by Friday."),
        "{mended}"
    );
}

#[test]
fn what_is_no_report_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("portcullis.yaml"),
        "upstream: http://127.0.0.1:1\ncontract: openapi.yaml\n",
    )
    .unwrap();
    let document = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths:\n  /a: { get: { security: [], responses: { '200': { description: ok } } } }\n";
    fs::write(folder.path().join("openapi.yaml"), document).unwrap();
    for (name, text, said) in [
        ("a.json", "{}", "is no report"),
        ("b.json", "[1, 2", "is no report"),
        ("c.json", "\0\0", "is no report"),
        ("missing.json", "", "cannot be read"),
    ] {
        if name != "missing.json" {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let output = Command::new(binary()).current_dir(folder.path()).args(["fix", name]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && error.contains(said) && error.contains(name),
            "{name}: {error}"
        );
    }
}
