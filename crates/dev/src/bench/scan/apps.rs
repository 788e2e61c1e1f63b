//! The applications: started afresh on loopback for each run, with no right to write anywhere but in a folder of their own.
//! They are weak on purpose, and a scan makes them write what it likes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::judge::{Call, Start};
use crate::server::{Server, free_address};
use crate::{Failure, Outcome, cache, process};

/// An application that can be started.
#[derive(Debug)]
pub(in crate::bench) struct App {
    start: Start,
    /// Where its files are; none for the demonstration shop.
    files: Option<PathBuf>,
    /// The program that runs it: its Python, or the shop.
    program: PathBuf,
    folder: PathBuf,
}

/// One that runs, with its database; both end when dropped.
#[derive(Debug)]
pub(in crate::bench) struct Running<'a> {
    start: &'a Start,
    server: Server,
    _database: Option<Server>,
}

/// Runs a Flask application as its own `app.py` does, but on the address that is asked for.
const LAUNCHER: &str = "\
import flask, os, runpy, sys
folder, port = sys.argv[1], int(sys.argv[2])
os.chdir(folder)
sys.path.insert(0, folder)
run = flask.Flask.run
def here(self, *places, **options):
    run(self, '127.0.0.1', port, debug=options.get('debug', True), use_reloader=False, threaded=True)
flask.Flask.run = here
runpy.run_path('app.py', run_name='__main__')
";

impl App {
    /// Looks for it under the folder of applications and installs what it asks for; none if it is not there.
    /// The shop is the one beside `portcullis`, if there is one.
    pub(in crate::bench) fn new(
        start: &Start,
        apps: Option<&Path>,
        portcullis: &Path,
        folder: &Path,
    ) -> Outcome<Option<App>> {
        let Some(name) = &start.folder else {
            let program = match portcullis.with_file_name("portcullis-demo") {
                beside if beside.is_file() => beside,
                _ => process::build("portcullis-demo", &["--workspace", "--bin", "portcullis-demo"], &[])?,
            };
            return Ok(Some(App { start: start.clone(), files: None, program, folder: folder.to_owned() }));
        };
        let Some(files) = apps.map(|apps| apps.join(name)).filter(|files| files.is_dir()) else {
            return Ok(None);
        };
        let files = files.canonicalize()?;
        let requirements = files.join("requirements.txt").display().to_string();
        let program = environment(name, &["-r", &requirements])?.join("bin/python");
        Ok(Some(App { start: start.clone(), files: Some(files), program, folder: folder.to_owned() }))
    }

    pub(in crate::bench) fn document(&self) -> PathBuf {
        self.files.clone().unwrap_or_else(cache::workspace).join(&self.start.document)
    }

    pub(in crate::bench) fn identities(&self) -> &[String] {
        &self.start.identities
    }

    /// A fresh one, with its users.
    pub(in crate::bench) fn start(&self, environment: &BTreeMap<String, String>) -> Outcome<Running<'_>> {
        self.start_at(free_address()?, environment)
    }

    /// As [`App::start`], at an address that is free.
    pub(in crate::bench) fn start_at(
        &self,
        address: SocketAddr,
        environment: &BTreeMap<String, String>,
    ) -> Outcome<Running<'_>> {
        let room = self.folder.join("room");
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(&room)?;
        let mut database = None;
        let mut command;
        match &self.files {
            None => {
                command = Command::new(&self.program);
                command.args(["--listen", &address.to_string()]);
                if environment.contains_key("fixed") {
                    command.arg("--fixed");
                }
            }
            Some(files) => {
                process::run_quietly(Command::new("cp").arg("-r").arg(files).arg(room.join("app")))?;
                command = boxed(&room);
                if self.start.database {
                    let server = postgres(&room)?;
                    for (name, value) in [
                        ("DB_HOST", "127.0.0.1"),
                        ("DB_PORT", &server.address.port().to_string()),
                        ("DB_NAME", "postgres"),
                        ("DB_USER", "postgres"),
                        ("DB_PASSWORD", "none"),
                    ] {
                        command.args(["--setenv", name, value]);
                    }
                    database = Some(server);
                }
                for (name, value) in self.start.environment.iter().chain(environment) {
                    command.args(["--setenv", name, value]);
                }
                command.arg(&self.program).args(["-c", LAUNCHER]).arg(room.join("app"));
                command.arg(address.port().to_string());
            }
        }
        let server = Server::start(command, &self.folder.join("app.log"), address)?;
        let running = Running { start: &self.start, server, _database: database };
        for call in &self.start.prepare {
            running.call(call)?;
        }
        Ok(running)
    }
}

impl Running<'_> {
    pub(in crate::bench) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A token of one of its users.
    pub(in crate::bench) fn token(&self) -> Outcome<String> {
        let answer: Value = serde_json::from_str(&self.call(&self.start.login)?).unwrap_or_default();
        let token = answer.get(&self.start.token).and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| Failure::new(format!("the log-in gives no `{}`: {answer}", self.start.token)))
    }

    fn call(&self, call: &Call) -> Outcome<String> {
        let url = format!("http://{}{}", self.server.address, call.path);
        let mut curl = Command::new("curl");
        curl.args([
            "-fsS",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "1",
            "-X",
            &call.method,
            &url,
        ]);
        if let Some(body) = &call.body {
            curl.args(["-H", "content-type: application/json", "-d", &body.to_string()]);
        }
        process::run_quietly(&mut curl)
    }
}

/// What puts a program into a box: it sees the machine's files and its network, may write in `room` alone, is nobody, and
/// ends with us.
fn boxed(room: &Path) -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--ro-bind", "/", "/", "--bind"]).arg(room).arg(room);
    command.args([
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--die-with-parent",
        "--unshare-user",
        "--unshare-ipc",
    ]);
    command
        .args(["--uid", "65534", "--gid", "65534", "--setenv", "HOME"])
        .arg(room)
        .args(["--setenv", "TMPDIR"])
        .arg(room);
    command
}

/// A PostgreSQL of its own, empty, that anyone on this machine may use as `postgres`.
fn postgres(room: &Path) -> Outcome<Server> {
    let data = room.join("data");
    let initdb = postgres_program("initdb")?;
    process::run_quietly(boxed(room).arg(initdb).args(["-A", "trust", "-U", "postgres", "-D"]).arg(&data))?;
    let address = free_address()?;
    let mut command = boxed(room);
    command.arg(postgres_program("postgres")?).arg("-D").arg(&data).arg("-k").arg(room);
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
        "-c",
        "fsync=off",
        "-c",
        "max_connections=300",
    ]);
    let server = Server::start(command, &room.join("postgres.log"), address)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let ready = postgres_program("pg_isready")?;
    while Instant::now() < deadline {
        let mut asked = Command::new(&ready);
        asked.args(["-q", "-h", "127.0.0.1", "-p", &address.port().to_string()]);
        if asked.status()?.success() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new("PostgreSQL is not ready after 30 seconds"))
}

/// A program of the newest PostgreSQL that Debian's packages put there.
fn postgres_program(name: &str) -> Outcome<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file()).collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| Failure::new(format!("no `{name}` under /usr/lib/postgresql; run `cargo dev setup`")))
}

/// A Python environment of its own, with what `pip install` is asked for.
pub(in crate::bench) fn environment(name: &str, wanted: &[&str]) -> Outcome<PathBuf> {
    let venv = cache::folder().join("bench-scan/python").join(name);
    let stamp = venv.join("installed.txt");
    let list = wanted.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == list) {
        return Ok(venv);
    }
    eprintln!("installing Python packages for {name}");
    process::run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    process::run_quietly(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(wanted))?;
    fs::write(stamp, list)?;
    Ok(venv)
}
