//! The load: wrk for HTTP/1.1, h2load for TLS and HTTP/2.

use std::path::Path;
use std::process::Command;

use crate::{Failure, Outcome, cache, process};

/// What a load did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Calls that were answered with 2xx.
    pub calls: f64,
    /// Calls per second.
    pub rate: f64,
}

/// What each call is.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The path.
    pub path: String,
    /// Further fields.
    pub fields: Vec<(String, String)>,
    /// A JSON body to POST; a GET when there is none.
    pub body: Option<String>,
    /// Connections that are kept open; [`CONNECTIONS`] where nothing is said.
    pub connections: Option<u32>,
}

impl Call {
    fn lua(&self) -> String {
        let mut script = String::new();
        for (name, value) in &self.fields {
            script.push_str(&format!("wrk.headers[{name:?}] = {value:?}\n"));
        }
        if let Some(body) = &self.body {
            script.push_str(&format!("wrk.method = \"POST\"\nwrk.body = [==[{body}]==]\n"));
            script.push_str("wrk.headers[\"Content-Type\"] = \"application/json\"\n");
        }
        script
    }
}

/// Connections that each load keeps open.
pub const CONNECTIONS: u32 = 50;

/// Sends calls as fast as they are answered, over [`CONNECTIONS`] connections, for that many seconds.
pub fn wrk(address: &str, call: &Call, seconds: u32, folder: &Path) -> Outcome<Done> {
    let connections = call.connections.unwrap_or(CONNECTIONS);
    let script = folder.join("call.lua");
    std::fs::write(&script, call.lua())?;
    let program = cache::program("wrk").ok_or_else(|| missing("wrk"))?;
    let output = process::run_quietly(
        Command::new(program)
            .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
            .arg(&script)
            .arg(format!("http://{address}{}", call.path)),
    )?;
    let done =
        read_wrk(&output).ok_or_else(|| Failure::new(format!("cannot read what wrk said:\n{output}")))?;
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        return Err(Failure::new(format!(
            "{address}{}: not every call was answered with 2xx:\n{output}",
            call.path
        )));
    }
    Ok(done)
}

fn read_wrk(output: &str) -> Option<Done> {
    let line = |what: &str| output.lines().find(|line| line.contains(what));
    let calls = line(" requests in ")?.split_whitespace().next()?.parse().ok()?;
    let rate = line("Requests/sec:")?.rsplit(' ').next()?.trim().parse().ok()?;
    Some(Done { calls, rate })
}

/// The same over TLS 1.3, in HTTP/1.1 or in HTTP/2 (one stream a connection at a time).
pub fn h2load(address: &str, path: &str, http2: bool, seconds: u32) -> Outcome<Done> {
    let program = cache::program("h2load").ok_or_else(|| missing("h2load"))?;
    let mut command = Command::new(program);
    command.args(["-t1", "-m1", &format!("-c{CONNECTIONS}"), &format!("-D{seconds}")]);
    if !http2 {
        command.arg("--h1");
    }
    let output = process::run_quietly(command.arg(format!("https://{address}{path}")))?;
    read_h2load(&output)
        .ok_or_else(|| Failure::new(format!("{address}: cannot read what h2load said:\n{output}")))
}

fn read_h2load(output: &str) -> Option<Done> {
    let line = |what: &str| output.lines().find(|line| line.starts_with(what));
    let rate = line("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()?;
    let succeeded =
        line("status codes: ")?.strip_prefix("status codes: ")?.split(' ').next()?.parse::<f64>().ok()?;
    let others: f64 = line("status codes: ")?
        .split(", ")
        .skip(1)
        .filter_map(|part| part.split(' ').next()?.parse::<f64>().ok())
        .sum();
    (succeeded > 0.0 && others == 0.0).then_some(Done { calls: succeeded, rate })
}

fn missing(program: &str) -> Failure {
    Failure::new(format!("`{program}` is not installed; run `cargo dev setup`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_programs() {
        let wrk = "Running 5s test @ http://x\n  1 threads and 50 connections\n  103423 requests in 5.10s, 20MB read\nRequests/sec:  20279.02\nTransfer/sec:      4MB\n";
        let done = read_wrk(wrk).unwrap();
        assert_eq!((done.calls, done.rate), (103_423.0, 20_279.02));
        let h2load = "finished in 5.00s, 9123.40 req/s, 1.5MB/s\nrequests: 45617 total, 45617 started, 45617 done, 45617 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 45617 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        let done = read_h2load(h2load).unwrap();
        assert_eq!((done.calls, done.rate), (45_617.0, 9_123.4));
        assert!(read_h2load(&h2load.replace("0 5xx", "7 5xx")).is_none());
    }
}
