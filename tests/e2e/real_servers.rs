//! Servers that no one here wrote, with their own documents and, where they have one, their own client: ordinary
//! use passes untouched, and what the document does not allow does not reach them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use portcullis_dev::{cache, setup};

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, Options};
use crate::harness::peers::{Peer, free_address};
use crate::harness::{data, needs};

/// An ordinary call: method, target, JSON body, the status that the server gives, and a piece of its answer.
type Use = (&'static str, &'static str, &'static str, u16, &'static str);

fn call(address: SocketAddr, (method, target, body, ..): Use) -> Result<Response, String> {
    let fields: &[(&str, &str)] = if body.is_empty() {
        &[("Accept", "*/*")]
    } else {
        &[("Accept", "*/*"), ("Content-Type", "application/json")]
    };
    Client::connect(address).call(method, target, fields, body.as_bytes())
}

/// Makes every call through the gateway; all that do not go as they would without it are named.
fn use_it(gateway: &Gateway, uses: &[Use]) {
    let mut failures = Vec::new();
    for wanted in uses {
        let (method, target, _, status, piece) = *wanted;
        match call(gateway.address, *wanted) {
            Ok(response) if response.status == status && response.text().contains(piece) => {}
            Ok(response) => failures.push(format!(
                "{method} {target}: {} instead of {status}: {}",
                response.status,
                response.text().chars().take(300).collect::<String>()
            )),
            Err(error) => failures.push(format!("{method} {target}: {error}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} calls failed:\n  {}",
        failures.len(),
        uses.len(),
        failures.join("\n  ")
    );
}

/// Reads through the gateway and directly: the same status, type and bytes.
fn compare(gateway: &Gateway, server: SocketAddr, targets: &[&'static str]) {
    for target in targets {
        let through =
            call(gateway.address, ("GET", target, "", 0, "")).unwrap_or_else(|e| panic!("{target}: {e}"));
        let direct =
            call(server, ("GET", target, "", 0, "")).unwrap_or_else(|e| panic!("{target}, directly: {e}"));
        assert_eq!(through.status, direct.status, "{target}: {}", through.text());
        assert_eq!(through.field("content-type"), direct.field("content-type"), "{target}");
        assert!(through.body == direct.body, "{target}: {:?} instead of {:?}", through.text(), direct.text());
    }
}

fn refuses(gateway: &Gateway, uses: &[Use]) {
    for refused in uses {
        let response = call(gateway.address, *refused).unwrap();
        let (method, target, _, status, piece) = *refused;
        assert_eq!(response.status, status, "{method} {target}: {}", response.text());
        assert_eq!(response.field("content-type"), Some("application/problem+json"), "{method} {target}");
        assert!(response.text().contains(piece), "{method} {target}: {}", response.text());
    }
}

/// A Python program from the environment that `cargo dev setup` makes.
fn python(test: &str, program: &str) -> Option<PathBuf> {
    let path = cache::venv().join("bin").join(program);
    if path.is_file() {
        return Some(path);
    }
    println!("SKIPPED {test}: `{program}` is not installed; run `cargo dev setup`");
    None
}

/// The gateway before `server`, with its document in YAML.
fn before(server: &Peer, document: String) -> Gateway {
    Options::upstream(server.address)
        .file("api.yaml", document)
        .argument("--spec")
        .argument("api.yaml")
        .start()
}

#[test]
fn httpbin() {
    let Some(gunicorn) = python("httpbin", "gunicorn") else { return };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut command = Command::new(gunicorn);
    command.args(["--bind", &address.to_string(), "--workers", "1", "--threads", "4", "httpbin:app"]);
    command.env("HOME", folder.path());
    let server = Peer::start(command, folder, address);
    // Its own description: Swagger 2.0.
    let document = Client::connect(server.address).get("/spec.json").unwrap().text();
    let gateway = Options::upstream(server.address).spec(document).start();
    use_it(
        &gateway,
        &[
            ("GET", "/get", "", 200, "\"url\""),
            ("GET", "/headers", "", 200, "\"headers\""),
            ("GET", "/user-agent", "", 200, "user-agent"),
            ("POST", "/post", "", 200, "\"url\""),
            ("PUT", "/put", "", 200, "\"url\""),
            ("PATCH", "/patch", "", 200, "\"url\""),
            ("DELETE", "/delete", "", 200, "\"url\""),
            ("GET", "/status/200", "", 200, ""),
            ("GET", "/status/404", "", 404, ""),
            ("GET", "/anything/thing", "", 200, "/anything/thing"),
            ("GET", "/response-headers", "", 200, ""),
            ("GET", "/uuid", "", 200, "uuid"),
            ("GET", "/cache", "", 200, ""),
            ("GET", "/bearer", "", 401, ""),
            ("GET", "/basic-auth/u/p", "", 401, ""),
            ("GET", "/cookies", "", 200, "cookies"),
            ("GET", "/drip?numbytes=10&duration=1&delay=0&code=200", "", 200, "*"),
            ("GET", "/stream/3", "", 200, "\"id\": 2"),
            ("GET", "/range/100", "", 200, "abcdef"),
            ("GET", "/etag/abc", "", 200, ""),
            ("GET", "/delay/1", "", 200, "\"url\""),
        ],
    );
    compare(
        &gateway,
        server.address,
        &[
            "/json",
            "/xml",
            "/html",
            "/robots.txt",
            "/deny",
            "/encoding/utf8",
            "/base64/aGVsbG8=",
            "/image/png",
            "/image/svg",
            "/links/5/0",
        ],
    );
    let head = call(gateway.address, ("HEAD", "/get", "", 0, "")).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    refuses(&gateway, &[("POST", "/get", "", 405, "method"), ("TRACE", "/anything", "", 405, "method")]);
}

#[test]
fn json_server() {
    let (Some(program), Some(_)) = (needs("json_server", "json-server"), needs("json_server", "node")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let posts: Vec<_> = (1..=20)
        .map(|id| serde_json::json!({ "id": id, "title": format!("post {id}"), "author": if id % 2 == 0 { "even" } else { "odd" } }))
        .collect();
    let database =
        serde_json::json!({ "posts": posts, "comments": [{ "id": 1, "body": "first", "postId": 1 }] });
    fs::write(folder.path().join("db.json"), database.to_string()).unwrap();
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--quiet", "db.json"]);
    let server = Peer::start(command, folder, address);
    let document = fs::read_to_string(data("documents/json-server.yaml")).unwrap();
    let gateway = before(&server, document);
    compare(
        &gateway,
        server.address,
        &[
            "/posts",
            "/posts/1",
            "/posts?_page=2&_limit=5",
            "/posts?author=even&_sort=title&_order=desc",
            "/posts?q=post%201",
            "/posts/1/comments",
        ],
    );
    use_it(
        &gateway,
        &[
            ("POST", "/posts", r#"{"title":"new","author":"me"}"#, 201, "\"id\": 21"),
            ("GET", "/posts/21", "", 200, "new"),
            ("PUT", "/posts/21", r#"{"title":"newer"}"#, 200, "newer"),
            ("PATCH", "/posts/21", r#"{"title":"newest"}"#, 200, "newest"),
            ("DELETE", "/posts/21", "", 200, "{}"),
            ("GET", "/posts/21", "", 404, ""),
        ],
    );
    refuses(
        &gateway,
        &[
            ("POST", "/posts", r#"{"author":"me"}"#, 400, "title"),
            ("POST", "/posts", r#"{"title":7}"#, 400, "title"),
            ("POST", "/posts", r#"{"title":"x","#, 400, ""),
            ("GET", "/posts?_limit=many", "", 400, "_limit"),
            ("GET", "/posts/one", "", 400, "id"),
            ("PUT", "/posts", r#"{"title":"x"}"#, 405, ""),
        ],
    );
    let untouched = call(server.address, ("GET", "/posts", "", 0, "")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&untouched.body).unwrap().len(), 20);
}

#[test]
fn alertmanager_and_its_own_client() {
    let test = "alertmanager_and_its_own_client";
    let (Some(program), Some(amtool)) = (needs(test, "prometheus-alertmanager"), needs(test, "amtool"))
    else {
        return;
    };
    let document = setup::go_sources().join("github.com/prometheus/alertmanager@v0.25.0/api/v2/openapi.yaml");
    let Ok(document) = fs::read_to_string(document) else {
        println!("SKIPPED {test}: its document is not there; run `cargo dev setup`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    fs::write(folder.path().join("a.yml"), "route: { receiver: none }\nreceivers: [{ name: none }]\n")
        .unwrap();
    let mut command = Command::new(program);
    command.args(["--config.file=a.yml", "--storage.path=data", "--cluster.listen-address="]);
    command.arg(format!("--web.listen-address={address}"));
    let server = Peer::start(command, folder, address);
    let gateway = before(&server, document);
    use_it(
        &gateway,
        &[
            ("GET", "/api/v2/status", "", 200, "\"versionInfo\""),
            ("GET", "/api/v2/receivers", "", 200, "none"),
            (
                "POST",
                "/api/v2/alerts",
                r#"[{"labels":{"alertname":"Disk","host":"a"},"annotations":{"summary":"full"}}]"#,
                200,
                "",
            ),
            ("GET", "/api/v2/alerts?active=true&filter=alertname%3D%22Disk%22", "", 200, "full"),
            ("GET", "/api/v2/alerts/groups", "", 200, "Disk"),
            ("GET", "/api/v2/silences", "", 200, "[]"),
        ],
    );
    let client = |arguments: &[&str]| {
        let output = Command::new(&amtool)
            .args(arguments)
            .arg(format!("--alertmanager.url={}", gateway.url()))
            .env("HOME", gateway.folder())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "amtool {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    client(&["alert", "add", "alertname=Cpu", "host=b", "--annotation=summary=hot"]);
    assert!(client(&["alert", "query", "alertname=Cpu"]).contains("hot"));
    let silence =
        client(&["silence", "add", "alertname=Cpu", "--comment=known", "--author=me", "--duration=1h"]);
    let silence = silence.trim();
    assert!(client(&["silence", "query"]).contains("known"));
    assert!(client(&["alert", "query", "--silenced", "alertname=Cpu"]).contains("hot"));
    client(&["silence", "expire", silence]);
    assert!(client(&["config", "show"]).contains("receivers"));
    refuses(
        &gateway,
        &[
            ("POST", "/api/v2/alerts", r#"[{"annotations":{}}]"#, 400, "labels"),
            ("POST", "/api/v2/alerts", r#"{"labels":{}}"#, 400, ""),
            ("GET", "/api/v2/alerts?active=perhaps", "", 400, "active"),
            ("DELETE", "/api/v2/status", "", 405, ""),
        ],
    );
}

#[test]
fn jupyter_server() {
    let Some(program) = python("jupyter_server", "jupyter-server") else { return };
    let found = fs::read_dir(cache::venv().join("lib")).into_iter().flatten().flatten().find_map(|python| {
        fs::read_to_string(python.path().join("site-packages/jupyter_server/services/api/api.yaml")).ok()
    });
    let Some(document) = found else {
        println!("SKIPPED jupyter_server: its document is not there; run `cargo dev setup`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let root = folder.path().join("work");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("hello.txt"), "hello").unwrap();
    let mut command = Command::new(program);
    command
        .args(["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="])
        .args(["--ServerApp.disable_check_xsrf=True", "--ServerApp.allow_remote_access=True"])
        .arg(format!("--ServerApp.port={}", address.port()))
        .arg(format!("--ServerApp.root_dir={}", root.display()))
        .env("HOME", folder.path())
        .env("JUPYTER_RUNTIME_DIR", folder.path().join("runtime"));
    let server = Peer::start(command, folder, address);
    let gateway = before(&server, document);
    use_it(
        &gateway,
        &[
            ("GET", "/api/", "", 302, ""),
            ("GET", "/api/status", "", 200, "started"),
            ("GET", "/api/kernelspecs", "", 200, "kernelspecs"),
            ("GET", "/api/kernels", "", 200, "[]"),
            ("GET", "/api/sessions", "", 200, "[]"),
            ("GET", "/api/contents/hello.txt", "", 200, "hello"),
            ("GET", "/api/contents/hello.txt?content=0", "", 200, "hello.txt"),
            (
                "PUT",
                "/api/contents/new.txt",
                r#"{"type":"file","format":"text","content":"made","name":"new.txt","path":"new.txt"}"#,
                201,
                "new.txt",
            ),
            ("GET", "/api/contents/new.txt?type=file&format=text", "", 200, "made"),
            ("PATCH", "/api/contents/new.txt", r#"{"path":"moved.txt"}"#, 200, "moved.txt"),
            ("DELETE", "/api/contents/moved.txt", "", 204, ""),
            ("GET", "/api/contents/nowhere.txt", "", 404, ""),
            ("GET", "/api/me", "", 200, "identity"),
            ("GET", "/api/config/notebook", "", 200, "{}"),
        ],
    );
    refuses(
        &gateway,
        &[
            ("GET", "/api/kernels/not-a-uuid", "", 400, "kernel_id"),
            ("DELETE", "/api/status", "", 405, ""),
            ("GET", "/api/contents/..%2f..%2fetc%2fpasswd", "", 400, ""),
        ],
    );
}
