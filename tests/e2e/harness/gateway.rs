//! The gateway under test, as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    /// The address that clients call.
    pub(crate) address: SocketAddr,
    /// The address of metrics and health.
    pub(crate) admin: SocketAddr,
}

/// How to start a gateway.
#[derive(Debug, Default)]
pub(crate) struct Options {
    arguments: Vec<String>,
    config: Option<String>,
    files: Vec<(String, String)>,
    listens_itself: bool,
    egress: bool,
    resolver: Option<PathBuf>,
}

impl Options {
    /// In front of this upstream, without a config file: every default as it is.
    pub(crate) fn upstream(address: SocketAddr) -> Self {
        Self::default().argument("--upstream").argument(format!("http://{address}"))
    }

    /// In front of this upstream, open to everyone and as often as they like; `more` are further lines of the
    /// config file.
    pub(crate) fn open(address: SocketAddr, more: &str) -> Self {
        Self::config(open_config(&format!("http://{address}"), more))
    }

    /// With a config file of this text.
    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self { config: Some(text.into()), ..Self::default() }
    }

    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A further file, beside the config file.
    pub(crate) fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), text.into()));
        self
    }

    /// With this contract.
    pub(crate) fn spec(self, text: impl Into<String>) -> Self {
        self.file("openapi.json", text).argument("--spec").argument("openapi.json")
    }

    /// Starts it with the listener that its config file names.
    pub(crate) fn start_as_written(mut self) -> Gateway {
        self.listens_itself = true;
        self.start()
    }

    /// The same with `to` in the place of `from` in the config file.
    pub(crate) fn replace_config(mut self, from: &str, to: &str) -> Self {
        self.config = self.config.map(|config| config.replace(from, to));
        self
    }

    /// Starts the proxy of its section `egress` instead.
    pub(crate) fn start_egress(mut self) -> Gateway {
        self.egress = true;
        self.start()
    }

    /// With this file as its `/etc/resolv.conf`, in a mount namespace of its own.
    pub(crate) fn resolver(mut self, file: &Path) -> Self {
        self.resolver = Some(file.to_owned());
        self
    }

    /// Starts it and waits until it takes calls.
    pub(crate) fn start(self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &self.files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let ready = folder.path().join("ready.json");
        let log = fs::File::create(folder.path().join("gateway.log")).unwrap();
        let mut command = match &self.resolver {
            None => Command::new(binary()),
            Some(file) => {
                let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", script, "sh"]).arg(file).arg(binary());
                command
            }
        };
        command.current_dir(folder.path()).arg(if self.egress { "egress" } else { "run" });
        if let Some(config) = &self.config {
            fs::write(folder.path().join("portcullis.yaml"), config).unwrap();
            command.args(["--config", "portcullis.yaml"]);
        }
        if !self.listens_itself {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .args(["--admin", "127.0.0.1:0", "--data", "data", "--ready-file"])
            .arg(&ready)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some((address, admin)) = read_ready(&ready) {
                return Gateway { child, folder, address, admin };
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let log = fs::read_to_string(folder.path().join("gateway.log")).unwrap_or_default();
                panic!("the gateway did not become ready ({ended:?}); it said:\n{log}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A config file that lets everyone in, as often as they like.
pub(crate) fn open_config(upstream: &str, more: &str) -> String {
    format!(
        "upstream: {upstream}\nlimit: {{ baseline: off }}\npolicies: [{{ public: true, websocket: true }}]\n{more}"
    )
}

fn read_ready(path: &Path) -> Option<(SocketAddr, SocketAddr)> {
    #[derive(serde::Deserialize)]
    struct Ready {
        listen: Vec<String>,
        admin: String,
    }
    let ready: Ready = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let bare = |url: &str| url.rsplit('/').next().and_then(|address| address.parse().ok());
    Some((bare(ready.listen.first()?)?, bare(&ready.admin)?))
}

impl Gateway {
    /// The folder it runs in: config, data, log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("gateway.log")).unwrap_or_default()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of memory that it holds now.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib << 10)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and panics when it takes longer than `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> std::process::ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the gateway has not ended after {limit:?}; it said:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asserts that it still runs.
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the gateway ended with {status}; it said:\n{}", self.log());
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default();
            eprintln!("--- the end of the gateway's log\n{}", tail.join("\n"));
        }
    }
}

/// `portcullis keys …` on the gateway's data folder.
pub(crate) fn keys(gateway: &Gateway, arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(binary())
        .arg("keys")
        .args(arguments)
        .args(["--json", "--data"])
        .arg(gateway.folder().join("data"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "portcullis keys {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The gateway's binary; `PORTCULLIS_BIN` names another one than the workspace's.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("PORTCULLIS_BIN") {
        Some(given) => given.into(),
        None => built("portcullis"),
    })
}

/// One of the workspace's programs, all built once a run with the profile and target folder of the tests. Naming the
/// whole workspace gives its dependencies the features that they were just built with, so nothing is built twice.
pub(crate) fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--workspace", "--bin", "portcullis", "--bin", "portcullis-demo"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(portcullis_dev::cache::workspace())
            .stdin(Stdio::null());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let output = build.output().unwrap();
        assert!(
            output.status.success(),
            "cannot build the programs:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|message| {
                let name = message["target"]["name"].as_str()?;
                Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
            })
            .collect()
    });
    let found = built.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("cargo names no executable `{name}`")).1.clone()
}
