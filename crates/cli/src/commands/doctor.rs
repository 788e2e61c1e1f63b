//! `portcullis doctor`: what would keep the gateway from doing its work, and what to do about it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engine::{Engine, EngineHandle, State};
use portcullis_openapi::Severity;
use portcullis_proxy::{Listen, Proxy};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::config::{self, Config, Overrides};
use crate::control;
use crate::exit::{Exit, Result};
use crate::gateway::build;
use crate::gateway::keys::Keys;
use crate::term::{self, Style, out};

/// Check everything that the gateway depends on, and say what to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    overrides: Overrides,
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Fine(String),
    /// It works, but not as it should.
    Warning(String, &'static str),
    /// It does not work, and what to do.
    Wrong(String, &'static str),
}

use Outcome::{Fine, Warning, Wrong};

pub(crate) fn run(args: &Args) -> Result {
    let mut failed = 0;
    let mut show = |what: &str, outcome: Outcome| {
        let (mark, text, hint) = match outcome {
            Fine(text) => (out(Style::Green, "ok     "), text, None),
            Warning(text, hint) => (out(Style::Yellow, "warning"), text, Some(hint)),
            Wrong(text, hint) => {
                failed += 1;
                (out(Style::Red, "wrong  "), text, Some(hint))
            }
        };
        term::say(format_args!("{mark}  {what:14} {}", text.replace('\n', "\n         ")));
        if let Some(hint) = hint {
            term::say(format_args!("{:24} {}", "", out(Style::Dim, hint)));
        }
    };
    match config::load(&args.overrides) {
        Err(errors) => {
            show("configuration", Wrong(errors.to_string(), "correct it; the other checks need it"));
        }
        Ok(config) => {
            show("configuration", Fine(config.file().unwrap_or("the command line").to_owned()));
            show("contract", contract(&config));
            show("policies", policies(&config));
            show("data folder", data(&config.gateway.data));
            let running = matches!(control::ask(&config.gateway.data, control::Ask::Keys), Ok(Some(_)));
            for listen in &config.gateway.proxy.listen {
                show("port", port(listen.address, running));
            }
            if let Some(admin) = &config.gateway.admin {
                show("admin port", port(admin.address, running));
            }
            if let Some(tls) = &config.gateway.proxy.tls {
                show("certificate", certificate(&config));
                show("private key", private_key(&tls.key));
            }
            for origin in &config.gateway.proxy.upstream.origins {
                show("upstream", upstream(&origin.url));
            }
            show("open files", open_files(config.gateway.proxy.limits.connections));
        }
    }
    show("clock", clock());
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}

fn contract(config: &Config) -> Outcome {
    let Some(source) = &config.gateway.contract else {
        let hint = "give --spec, or `contract:` in the file";
        return Warning("none: paths, parameters and bodies are not checked".into(), hint);
    };
    match build::load_contract(config, source, "/contract") {
        Err(errors) => Wrong(errors.to_string(), "correct the document, or name another"),
        Ok((contract, _)) => {
            let operations = contract.operations();
            let errors =
                contract.problems().iter().filter(|problem| problem.severity == Severity::Error).count();
            let closed = operations.iter().filter(|operation| !operation.unenforced.is_empty()).count();
            let text = format!("{}: {} operations", source.file.display(), operations.len());
            if operations.is_empty() {
                return Wrong(text, "a contract without operations refuses every call");
            }
            match (errors, closed) {
                (0, 0) => Fine(text),
                (_, 0) => {
                    Warning(format!("{text}, {errors} problems"), "the parts with problems are not enforced")
                }
                _ => Warning(
                    format!("{text}, {errors} problems, {closed} operations refused for them"),
                    "`portcullis config show` names them",
                ),
            }
        }
    }
}

fn policies(config: &Config) -> Outcome {
    match build::compile(config, Keys::none().ring().clone(), Arc::new(State::new(64))) {
        Err(errors) => Wrong(errors.to_string(), "correct the configuration"),
        Ok(compiled) => {
            let open = compiled.report.open().count();
            let text =
                format!("{open} of {} operations are open to anyone", compiled.report.operations.len());
            match compiled.report.warnings.first() {
                None => Fine(text),
                Some(first) => {
                    Warning(format!("{text}; {first}"), "`portcullis config check` lists all warnings")
                }
            }
        }
    }
}

fn data(folder: &Path) -> Outcome {
    let name = folder.display();
    if !folder.exists() {
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        return match parent.is_dir() && writable(parent) {
            true => Fine(format!("{name} will be made")),
            false => Wrong(format!("{name} cannot be made"), "make it, or choose another with --data"),
        };
    }
    if !folder.is_dir() || !writable(folder) {
        let hint = "give it to the gateway's user, or choose another with --data";
        return Wrong(format!("{name} cannot be written to"), hint);
    }
    let mode = std::fs::metadata(folder).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    match mode & 0o077 {
        0 => Fine(name.to_string()),
        _ => {
            Warning(format!("{name} can be read by other users"), "chmod 700 on it: it holds keys and events")
        }
    }
}

/// Whether a file can be made there; the file is gone again.
fn writable(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_ok()
}

fn port(address: SocketAddr, running: bool) -> Outcome {
    match TcpListener::bind(address) {
        Ok(_) => Fine(address.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
            Fine(format!("{address}, in use by the gateway that runs"))
        }
        Err(error) => {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE: see deploy/portcullis.service"
                }
                std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
                _ => "choose another address",
            };
            Wrong(format!("{address}: {error}"), hint)
        }
    }
}

/// Certificate, key and upstream settings, as the proxy itself reads them; on a port of its own.
fn certificate(config: &Config) -> Outcome {
    let mut proxy = config.gateway.proxy.clone();
    proxy.listen = vec![Listen { address: ([127, 0, 0, 1], 0).into(), tls: true, proxy_protocol: false }];
    proxy.workers = 1;
    proxy.upstream.health = None;
    let engine = EngineHandle::new(Engine::builder(Arc::new(State::new(64))).build());
    match Proxy::bind(proxy, engine, Arc::new(())) {
        Ok(_) => Fine("certificate and key are a pair".into()),
        Err(error) => Wrong(error.to_string(), "name a PEM chain, leaf first, and its key"),
    }
}

fn private_key(key: &Path) -> Outcome {
    match std::fs::metadata(key) {
        Err(error) => {
            Wrong(format!("{}: {error}", key.display()), "name a file that the gateway's user can read")
        }
        Ok(metadata) if metadata.permissions().mode() & 0o007 != 0 => {
            Warning(format!("{} can be read by every user", key.display()), "chmod 600 on it")
        }
        Ok(_) => Fine(key.display().to_string()),
    }
}

const PATIENCE: Duration = Duration::from_secs(3);

fn upstream(url: &str) -> Outcome {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return Wrong(format!("{url} is no URL"), "correct it");
    };
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Wrong(format!("{url}: {error}"), "correct the host's name, or the resolver"),
    };
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return answered(url, (!secure).then(|| skew(stream, host)).flatten()),
            Err(error) => last = Some(error),
        }
    }
    let error = last.map_or("no address".into(), |error| error.to_string());
    Wrong(format!("{url}: {error}"), "start the API, or correct `upstream`; until then calls get 502")
}

fn answered(url: &str, skew: Option<i64>) -> Outcome {
    match skew {
        Some(seconds) if seconds.abs() > 30 => Warning(
            format!("{url} answers; its clock differs by {seconds} s"),
            "set both clocks by NTP: expiry dates and logs depend on them",
        ),
        _ => Fine(format!("{url} answers")),
    }
}

/// By how many seconds the API's clock is ahead of this machine's, where it says.
fn skew(mut stream: TcpStream, host: &str) -> Option<i64> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut head = Vec::new();
    stream.take(16 << 10).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().replace("GMT", "+0000"))
    })?;
    let theirs = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
    Some((theirs - OffsetDateTime::now_utc()).whole_seconds())
}

fn open_files(connections: usize) -> Outcome {
    let wanted = connections as u64 * 2 + 1024;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < wanted => Warning(
            format!("at most {most}, while {connections} connections may need {wanted}"),
            "raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower `limits.connections`",
        ),
        Some(most) => Fine(format!("up to {most}")),
        None => Fine("without limit".into()),
    }
}

fn clock() -> Outcome {
    let now = OffsetDateTime::now_utc();
    match now.year() {
        2025..2100 => Fine(format!("{} UTC", now.date())),
        year => Wrong(
            format!("this machine believes it is {year}"),
            "set the clock: keys and certificates expire by it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_from_health() {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = busy.local_addr().unwrap();
        assert!(matches!(port(address, false), Wrong(..)));
        assert!(matches!(port(address, true), Fine(_)));
        assert!(matches!(upstream(&format!("http://{address}")), Fine(_)));
        drop(busy);
        assert!(matches!(upstream(&format!("http://{address}")), Wrong(..)));
        assert!(matches!(open_files(usize::MAX / 4), Warning(..) | Fine(_)));

        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("data");
        assert!(matches!(data(&inner), Fine(_)));
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(data(&inner), Warning(..)));
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(data(&inner), Fine(_)));
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(data(&folder.path().join("file")), Wrong(..)));
    }

    #[test]
    fn clocks_are_compared() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2015 00:00:00 GMT\r\n\r\n").unwrap();
        });
        let outcome = upstream(&format!("http://{address}"));
        server.join().unwrap();
        assert!(matches!(outcome, Warning(..)), "{outcome:?}");
    }
}
