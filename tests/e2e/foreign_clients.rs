//! Client and server libraries that others wrote, talking to each other through the gateway: gRPC, WebSockets, and
//! HTTP with bodies that fit into no buffer. What they do is in `tests/clients`.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use portcullis_dev::cache;

use crate::harness::data;
use crate::harness::gateway::{Gateway, Options};
use crate::harness::peers::{Peer, free_address};

/// Most that the gateway may grow by while hundreds of mebibytes pass: its buffers, and none of the bodies.
const GROWTH: u64 = 48 << 20;

fn python(test: &str, package: &str) -> Option<PathBuf> {
    let python = cache::venv().join("bin/python3");
    let there = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("SKIPPED {test}: the Python package `{package}` is not installed; run `cargo dev setup`");
    None
}

fn serve(python: &PathBuf, script: &str) -> Peer {
    let address = free_address();
    let mut command = Command::new(python);
    command.arg(data("clients").join(script)).arg("server").arg(address.port().to_string());
    Peer::start(command, tempfile::tempdir().unwrap(), address)
}

fn call(python: &PathBuf, script: &str, gateway: &Gateway) {
    let output = Command::new(python)
        .arg(data("clients").join(script))
        .arg("client")
        .arg(gateway.address.port().to_string())
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("went well"), "{said}");
}

/// Before a server that is known by its address only, with everyone let in.
fn before(server: &Peer, upstream: &str) -> Gateway {
    let address = server.address;
    Options::config(format!(
        "upstream: {{ origins: 'http://{address}'{upstream} }}\nlimit: {{ baseline: off }}\n\
         bounds: {{ request_body: 1GiB, response_body: 1GiB }}\n\
         policies: [{{ match: {{ unmatched: true }}, public: true, websocket: true }}]\n"
    ))
    .start()
}

#[test]
fn grpc() {
    let Some(python) = python("grpc", "grpc") else { return };
    let server = serve(&python, "grpc_calls.py");
    call(&python, "grpc_calls.py", &before(&server, ", protocol: http2"));
}

#[test]
fn websockets() {
    let Some(python) = python("websockets", "websockets") else { return };
    let server = serve(&python, "websocket_calls.py");
    call(&python, "websocket_calls.py", &before(&server, ""));
}

#[test]
fn bodies_of_any_size_and_a_thousand_calls_at_once() {
    let test = "bodies_of_any_size_and_a_thousand_calls_at_once";
    let (Some(python), Some(_)) = (python(test, "aiohttp"), python(test, "httpx")) else { return };
    let server = serve(&python, "http_calls.py");
    let gateway = before(&server, "");
    let before = gateway.resident();
    let most = thread::scope(|scope| {
        let calls = scope.spawn(|| call(&python, "http_calls.py", &gateway));
        let mut most = 0;
        while !calls.is_finished() {
            most = most.max(gateway.resident());
            thread::sleep(Duration::from_millis(20));
        }
        calls.join().unwrap();
        most
    });
    let grown = most.saturating_sub(before);
    assert!(grown < GROWTH, "the gateway grew by {} KiB while bodies passed", grown >> 10);
}
