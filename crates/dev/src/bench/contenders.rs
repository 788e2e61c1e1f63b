//! The proxies that are compared, and how each is started from its file in `benches/proxy`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::server::{self, Server, free_address};
use crate::{Failure, Outcome, cache};

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
    /// Portcullis without a contract, writing nothing down, as the others do.
    Plain,
    /// The same with its event log.
    Recorded,
    /// Portcullis with API keys, a contract, limits, security headers and the event log.
    Guarded,
    /// nginx with ModSecurity and the OWASP Core Rule Set.
    ModSecurity,
    /// Portcullis with its inspection alone.
    Inspecting,
}

impl Kind {
    /// Those that `cargo dev bench proxy` compares; nginx first.
    pub const ALL: [Kind; 7] =
        [Kind::Nginx, Kind::Haproxy, Kind::Envoy, Kind::Caddy, Kind::Plain, Kind::Recorded, Kind::Guarded];

    fn template(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx.conf",
            Kind::Haproxy => "haproxy.cfg",
            Kind::Envoy => "envoy.yaml",
            Kind::Caddy => "caddy.json",
            Kind::Plain => "portcullis-plain.yaml",
            Kind::Recorded => "portcullis-recorded.yaml",
            Kind::Guarded => "portcullis-guarded.yaml",
            Kind::ModSecurity => "modsecurity.conf",
            Kind::Inspecting => "portcullis-inspect.yaml",
        }
    }

    fn command(self, config: &Path, threads: u32, portcullis: &Path) -> Outcome<Command> {
        let find = |name: &str| {
            cache::program(name)
                .ok_or_else(|| Failure::new(format!("`{name}` is not installed; run `cargo dev setup`")))
        };
        let mut command = match self {
            Kind::Nginx | Kind::ModSecurity => Command::new(find("nginx")?),
            Kind::Haproxy => Command::new(find("haproxy")?),
            Kind::Envoy => Command::new(
                cache::envoy()
                    .ok_or_else(|| Failure::new("`envoy` is not installed; run `cargo dev setup`"))?,
            ),
            Kind::Caddy => Command::new(find("caddy")?),
            Kind::Plain | Kind::Recorded | Kind::Guarded | Kind::Inspecting => Command::new(portcullis),
        };
        match self {
            Kind::Nginx | Kind::ModSecurity => command.args(["-e", "stderr", "-c"]).arg(config),
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
            Kind::Plain | Kind::Recorded | Kind::Guarded | Kind::Inspecting => {
                command.args(["run", "--config"]).arg(config)
            }
        };
        Ok(command)
    }
}

/// A running contender; stopped when dropped.
#[derive(Debug)]
pub struct Running {
    server: Server,
    /// Where it takes cleartext calls.
    pub address: SocketAddr,
    /// Where it takes calls over TLS.
    pub tls: SocketAddr,
}

impl Running {
    /// The root of its process tree.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
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
    let (address, tls) = (free_address()?, free_address()?);
    let config = folder.join(format!("{threads}-{}", kind.template()));
    fs::write(&config, fill(kind.template(), address, tls, upstream, threads, folder)?)?;
    let command = kind.command(&config, threads, portcullis)?;
    launch(command, address, tls, &folder.join(format!("{threads}-{}.log", kind.template())))
}

/// Starts the upstream that all contenders stand before; every answer's body is `body`.
pub fn upstream(body: &str, folder: &Path) -> Outcome<Running> {
    let address = free_address()?;
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

fn launch(command: Command, address: SocketAddr, tls: SocketAddr, log: &Path) -> Outcome<Running> {
    Ok(Running { server: Server::start(command, log, address)?, address, tls })
}

/// Makes the certificate that all contenders use; HAProxy wants it in one file with its key.
pub fn certificate(folder: &Path) -> Outcome {
    server::certificate(folder)?;
    let both = [fs::read(folder.join("cert.pem"))?, fs::read(folder.join("key.pem"))?].concat();
    fs::write(folder.join("both.pem"), both)?;
    Ok(())
}
