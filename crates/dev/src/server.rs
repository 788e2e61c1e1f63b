//! Programs that listen: given a free port, started, waited for, and stopped when dropped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, Outcome, process};

/// How long a program may take until it listens.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end when it is asked politely.
const STOP: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// A running program; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it takes connections.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command`, with what it says kept in the file `log`, and waits until `address` takes connections.
    ///
    /// # Errors
    /// If it cannot be started, ends, or does not listen within a minute; with what it said.
    pub fn start(mut command: Command, log: &Path, address: SocketAddr) -> Outcome<Self> {
        let name = command.get_program().display().to_string();
        let file = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().map_err(|e| Failure::new(format!("cannot start {name}: {e}")))?;
        let mut server = Self { child, address };
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(Failure::new(format!("{name} does not listen on {address}; it said:\n{said}")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(server)
    }

    /// The root of its process tree.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Servers with worker processes take those along only when they are asked politely.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on loopback that is free now, for programs that cannot choose one themselves.
///
/// # Errors
/// If the system gives none.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Makes a certificate for localhost that nobody signed but itself: `cert.pem` and `key.pem` in `folder`.
///
/// # Errors
/// If `openssl` is not there or fails.
pub fn certificate(folder: &Path) -> Outcome {
    process::run_quietly(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "90", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            // A server's own certificate, trusted as it is; strict clients take no authority's for one.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder),
    )
    .map(|_| ())
}
