//! Reloading under load: a good file takes over, a broken one changes nothing, and no call fails either way.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::client::Client;
use crate::harness::gateway::{Options, open_config};
use crate::harness::recorder::Recorder;

fn config(upstream: SocketAddr) -> String {
    open_config(&format!("http://{upstream}"), "")
}

/// Files that must be refused, each in another way.
const BROKEN: [&str; 5] = [
    "",
    "upstream: [http://127.0.0.1:1\n",
    "upstream: not a url\n",
    "upstrem: http://127.0.0.1:1\n",
    "upstream: http://127.0.0.1:1\ncontract: nowhere.yaml\n",
];

#[test]
fn a_hundred_reloads_under_load_lose_no_call() {
    let (one, two) = (Recorder::start(), Recorder::start());
    let mut gateway = Options::config(config(one.address)).start();
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|number| {
            let (stop, address) = (Arc::clone(&stop), gateway.address);
            thread::spawn(move || call_until(&stop, address, number))
        })
        .collect();
    let path = gateway.folder().join("portcullis.yaml");
    for round in 0..100 {
        let text = match round % 4 {
            0 => config(two.address),
            2 => config(one.address),
            _ => BROKEN[round / 2 % BROKEN.len()].to_owned(),
        };
        fs::write(&path, text).unwrap();
        gateway.signal(Signal::HUP);
        thread::sleep(Duration::from_millis(30));
    }
    gateway.assert_alive();

    // The last good file holds in the end.
    fs::write(&path, config(two.address)).unwrap();
    gateway.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        two.take();
        let response = Client::connect(gateway.address).get("/after").unwrap();
        assert_eq!(response.status, 200);
        if two.take().iter().any(|request| request.target == "/after") {
            break;
        }
        assert!(Instant::now() < deadline, "the last good file never took over:\n{}", gateway.log());
        thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for thread in load {
        calls += thread
            .join()
            .unwrap()
            .unwrap_or_else(|error| panic!("a call failed: {error}\n{}", gateway.log()));
    }
    assert!(calls > 500, "only {calls} calls");
    assert_eq!((one.take_faults(), two.take_faults()), (Vec::new(), Vec::new()));
}

fn call_until(stop: &AtomicBool, address: SocketAddr, number: u32) -> Result<u64, String> {
    let mut client = Client::connect(address);
    let mut calls = 0;
    while !stop.load(Ordering::Relaxed) {
        let target = format!("/load/{number}/{calls}");
        let body = if calls % 2 == 0 { &b""[..] } else { &b"{\"a\":1}"[..] };
        let method = if body.is_empty() { "GET" } else { "POST" };
        let response =
            client.call(method, &target, &[], body).map_err(|e| format!("{method} {target}: {e}"))?;
        if response.status != 200 || response.text() != format!("{method} {target}") {
            return Err(format!("{method} {target}: {} {:?}", response.status, response.text()));
        }
        calls += 1;
        if response.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            client = Client::connect(address);
        }
    }
    Ok(calls)
}
