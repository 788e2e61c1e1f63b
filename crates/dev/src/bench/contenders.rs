//! The proxies that are compared, and how each is started from its file in `benches/proxy`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Failure, Outcome, cache, process};

/// A proxy to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// nginx, what all others are compared with.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
    /// Caddy.
    Caddy,
    /// Portcullis without a contract.
    Plain,
    /// Portcullis with API keys, a contract, limits, security headers and the event log.
    Guarded,
}

impl Kind {
    /// All of them; nginx first.
    pub const ALL: [Kind; 6] =
        [Kind::Nginx, Kind::Haproxy, Kind::Envoy, Kind::Caddy, Kind::Plain, Kind::Guarded];

    fn template(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx.conf",
            Kind::Haproxy => "haproxy.cfg",
            Kind::Envoy => "envoy.yaml",
            Kind::Caddy => "caddy.json",
            Kind::Plain => "portcullis-plain.yaml",
            Kind::Guarded => "portcullis-guarded.yaml",
        }
    }

    fn command(self, config: &Path, threads: u32, portcullis: &Path) -> Outcome<Command> {
        let find = |name: &str| {
            cache::program(name)
                .ok_or_else(|| Failure::new(format!("`{name}` is not installed; run `cargo dev setup`")))
        };
        let mut command = match self {
            Kind::Nginx => Command::new(find("nginx")?),
            Kind::Haproxy => Command::new(find("haproxy")?),
            Kind::Envoy => Command::new(envoy()?),
            Kind::Caddy => Command::new(find("caddy")?),
            Kind::Plain | Kind::Guarded => Command::new(portcullis),
        };
        match self {
            Kind::Nginx => command.args(["-e", "stderr", "-c"]).arg(config),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(config),
            Kind::Envoy => command
                .args([
                    "--concurrency",
                    &threads.to_string(),
                    "--log-level",
                    "error",
                    "--disable-hot-restart",
                    "-c",
                ])
                .arg(config),
            Kind::Caddy => {
                command.env("GOMAXPROCS", threads.to_string()).args(["run", "--config"]).arg(config)
            }
            Kind::Plain | Kind::Guarded => command.args(["run", "--config"]).arg(config),
        };
        Ok(command)
    }
}

/// The Python package's own launcher stays in between; the program beside it is what is measured.
fn envoy() -> Outcome<PathBuf> {
    let libraries = cache::venv().join("lib");
    fs::read_dir(&libraries)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.is_file())
        .or_else(|| cache::program("envoy"))
        .ok_or_else(|| Failure::new("`envoy` is not installed; run `cargo dev setup`"))
}

/// A running program; stopped when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it takes cleartext calls.
    pub address: SocketAddr,
    /// Where it takes calls over TLS.
    pub tls: SocketAddr,
}

impl Running {
    /// The root of its process tree.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end with their master only when it is asked politely.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a contender before `upstream` with so many worker threads; its files go to `folder`.
pub fn start(
    kind: Kind,
    threads: u32,
    upstream: SocketAddr,
    portcullis: &Path,
    folder: &Path,
) -> Outcome<Running> {
    let (address, tls) = (free()?, free()?);
    let config = folder.join(format!("{threads}-{}", kind.template()));
    fs::write(&config, fill(kind.template(), address, tls, upstream, threads, folder)?)?;
    let command = kind.command(&config, threads, portcullis)?;
    launch(command, address, tls, &folder.join(format!("{threads}-{}.log", kind.template())))
}

/// Starts the upstream that all contenders stand before; every answer's body is `body`.
pub fn upstream(body: &str, folder: &Path) -> Outcome<Running> {
    let address = free()?;
    let config = folder.join("upstream.conf");
    let text = fill("upstream.conf", address, address, address, 1, folder)?.replace("{{body}}", body);
    fs::write(&config, text)?;
    let command = Kind::Nginx.command(&config, 1, Path::new(""))?;
    launch(command, address, address, &folder.join("upstream.log"))
}

fn fill(
    template: &str,
    address: SocketAddr,
    tls: SocketAddr,
    upstream: SocketAddr,
    threads: u32,
    folder: &Path,
) -> Outcome<String> {
    let path = cache::workspace().join("benches/proxy").join(template);
    let text = fs::read_to_string(&path)
        .map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
    Ok(text
        .replace("{{listen}}", &address.to_string())
        .replace("{{listen_port}}", &address.port().to_string())
        .replace("{{tls}}", &tls.to_string())
        .replace("{{tls_port}}", &tls.port().to_string())
        .replace("{{upstream}}", &upstream.to_string())
        .replace("{{upstream_port}}", &upstream.port().to_string())
        .replace("{{threads}}", &threads.to_string())
        .replace("{{folder}}", &folder.display().to_string()))
}

fn launch(mut command: Command, address: SocketAddr, tls: SocketAddr, log: &Path) -> Outcome<Running> {
    let file = fs::File::create(log)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .map_err(|e| Failure::new(format!("cannot start {}: {e}", command.get_program().display())))?;
    let mut running = Running { child, address, tls };
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if TcpStream::connect(address).is_ok() {
            return Ok(running);
        }
        if running.child.try_wait()?.is_some() || Instant::now() > deadline {
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(Failure::new(format!(
                "{} does not take calls:\n{said}",
                command.get_program().display()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Makes the certificate that all contenders use.
pub fn certificate(folder: &Path) -> Outcome {
    process::run_quietly(
        Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder),
    )?;
    let both = [fs::read(folder.join("cert.pem"))?, fs::read(folder.join("key.pem"))?].concat();
    fs::write(folder.join("both.pem"), both)?;
    Ok(())
}
