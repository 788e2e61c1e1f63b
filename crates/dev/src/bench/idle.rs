//! Memory with many idle connections and a large contract.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::contenders::{self, Kind, Running};
use super::{measure, proxy};
use crate::{Failure, Outcome};

/// Idle connections that are held open.
pub const CONNECTIONS: usize = 10_000;
/// Operations of the contract.
pub const OPERATIONS: usize = 1_000;

/// What was measured, in bytes of resident memory.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// After the start, with the contract compiled.
    pub started: u64,
    /// With all connections open, each after one call.
    pub connected: u64,
    /// How many connections were open.
    pub connections: usize,
}

/// Starts the guarded gateway with a large contract and opens the connections.
pub fn measure(portcullis: &Path, upstream: &Running, folder: &Path) -> Outcome<Idle> {
    raise_descriptor_limit()?;
    fs::write(folder.join("contract.json"), proxy::contract(OPERATIONS).to_string())?;
    let gateway = contenders::start(Kind::Guarded, 2, upstream.address, portcullis, folder)?;
    let started = measure::tree(gateway.pid()).resident;
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(gateway.address)
            .map_err(|e| Failure::new(format!("connection {number} of {CONNECTIONS}: {e}")))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        // Refused for want of a key, which is a whole exchange, too.
        stream.write_all(b"GET /items/1 HTTP/1.1\r\nHost: a.example\r\n\r\n")?;
        let mut answer = [0; 4096];
        if stream.read(&mut answer)? == 0 {
            return Err(Failure::new(format!("connection {number} of {CONNECTIONS} was closed")));
        }
        connections.push(stream);
    }
    std::thread::sleep(Duration::from_secs(2));
    let connected = measure::tree(gateway.pid()).resident;
    let open = connections.iter().filter(|stream| is_open(stream)).count();
    Ok(Idle { started, connected, connections: open })
}

fn is_open(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    !matches!(stream.peek(&mut [0; 1]), Ok(0))
}

/// Ours and, inherited, the gateway's.
fn raise_descriptor_limit() -> Outcome {
    let limit = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS as u64 + 1_000;
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(Failure::new(format!(
            "this user may open {:?} files, {wanted} are needed",
            limit.maximum
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|e| Failure::new(format!("cannot raise the number of open files: {e}")))
}
