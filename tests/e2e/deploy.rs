//! What `deploy` holds, as far as one machine can try it: the commands of the container file and of the systemd unit
//! are run as they stand there, with only their folders moved, and systemd itself reads the unit.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_dev::cache;
use portcullis_dev::server::Server;

use crate::harness::client::Client;
use crate::harness::gateway;
use crate::harness::needs;
use crate::harness::peers::free_address;
use crate::harness::recorder::Recorder;

fn deployed(file: &str) -> String {
    fs::read_to_string(cache::workspace().join("deploy").join(file)).unwrap()
}

/// A folder that stands for the root of the file system, with a configuration where `deploy` expects it.
struct Root {
    folder: tempfile::TempDir,
    listen: std::net::SocketAddr,
    upstream: Recorder,
}

impl Root {
    fn new() -> Self {
        let root = Self {
            folder: tempfile::tempdir().unwrap(),
            listen: free_address(),
            upstream: Recorder::start(),
        };
        fs::create_dir_all(root.folder.path().join("etc/portcullis")).unwrap();
        fs::create_dir_all(root.folder.path().join("var/lib/portcullis")).unwrap();
        let config = format!(
            "listen: {}\nupstream: http://{}\nadmin: off\ndata: {}/var/lib/portcullis\n\
             policies: [{{ match: {{ unmatched: true }}, public: true }}]\n",
            root.listen,
            root.upstream.address,
            root.folder.path().display()
        );
        fs::write(root.folder.path().join("etc/portcullis/portcullis.yaml"), config).unwrap();
        root
    }

    /// A word of a command, with the program that was built and the folders of this root in it.
    fn moved(&self, word: &str) -> String {
        let path = self.folder.path().display();
        match word {
            "portcullis" | "/usr/local/bin/portcullis" => gateway::binary().display().to_string(),
            _ => word
                .replace("/etc/portcullis", &format!("{path}/etc/portcullis"))
                .replace("/var/lib/portcullis", &format!("{path}/var/lib/portcullis")),
        }
    }

    fn command(&self, words: &[String]) -> Command {
        let mut words = words.iter().map(|word| self.moved(word));
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.folder.path().join("var/lib/portcullis"));
        command
    }

    /// Runs the command as a service and sends it a call.
    fn serves(&self, words: &[String]) {
        let server =
            Server::start(self.command(words), &self.folder.path().join("log"), self.listen).unwrap();
        assert_eq!(Client::connect(server.address).get("/hello").unwrap().status, 200);
        let data: Vec<_> = fs::read_dir(self.folder.path().join("var/lib/portcullis")).unwrap().collect();
        assert!(!data.is_empty(), "nothing was kept where the service keeps its state");
    }
}

/// The words behind `KEY=` in a unit, or behind `KEY ` in a container file, where they are a JSON list.
fn words(text: &str, key: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    match line.trim().starts_with('[') {
        true => serde_json::from_str(line).unwrap(),
        false => line.split_whitespace().map(str::to_owned).collect(),
    }
}

#[test]
fn the_commands_of_the_systemd_unit_run() {
    let unit = deployed("portcullis.service");
    let root = Root::new();
    let check = root.command(&words(&unit, "ExecStartPre=")).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    root.serves(&words(&unit, "ExecStart="));
}

#[test]
fn the_command_of_the_container_runs() {
    let file = deployed("Containerfile");
    let root = Root::new();
    root.serves(&[words(&file, "ENTRYPOINT "), words(&file, "CMD ")].concat());
}

#[test]
fn systemd_understands_the_unit() {
    let Some(analyze) = needs("systemd_understands_the_unit", "systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("portcullis.service");
    let binary = gateway::binary().display().to_string();
    fs::write(&unit, deployed("portcullis.service").replace("/usr/local/bin/portcullis", &binary)).unwrap();
    let verified = Command::new(&analyze).arg("verify").arg("--man=no").arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("portcullis.service")).collect();
    assert!(complaints.is_empty(), "{said}");
    assert!(Path::new(&binary).is_file());
    // What the service could do to the machine, on systemd's own scale from 0 (nothing) to 10 (anything).
    let mut security = Command::new(&analyze);
    security.args(["security", "--offline=true", "--threshold=20", "--no-pager"]).arg(&unit);
    let judged = security.output().unwrap();
    let said =
        String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{said}");
}
