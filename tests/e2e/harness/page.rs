//! The commands of a page, run as a reader would type them: in order, in one folder, before a real API.
//!
//! A page has the demo shop at `127.0.0.1:3000`, its contract in `openapi.yaml`, traffic that was recorded at
//! `api.example.com` in `traffic.har`, what lies in `tests/guide/PAGE/`, and a real OpenID provider at
//! `https://login.example.com` where it names one. A gateway is running already, as after `portcullis run`, with what
//! `prepare.sh` of that folder has made of it.
//! Addresses that it names (`127.0.0.1:8080`, …) are moved to free ones. An identifier of the program's making
//! (`key-…`, `pca_…`, a reference) in a command stands for the last one of its kind that was printed before.
//!
//! In `console` blocks, a line after `$ ` is a command and what follows it must be among what it says, in this order;
//! `…` stands for anything. A comment on the line above a block says more:
//!
//! - `<!-- file NAME -->`: the block is written to this file, in place of what was there;
//! - `<!-- exit CODE -->`: its commands end with this code instead of 0 (`0 or 1`: with either);
//! - `<!-- not run: REASON -->`: they cannot be run here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use portcullis_dev::cache;

use super::peers::{Peer, free_address, shop};
use super::provider::Provider;
use super::{PATIENCE, data, gateway, needs};

/// How long a command that follows something is watched.
const FOLLOW: Duration = Duration::from_secs(2);

/// A fenced block, with the words of the comment above it.
#[derive(Debug, PartialEq)]
struct Block<'a> {
    language: &'a str,
    text: &'a str,
    comment: &'a str,
}

/// Runs what stands in the page; `None` after saying that it is skipped and why. The number of commands that ran.
pub(crate) fn run(name: &str) -> Option<usize> {
    for program in ["bash", "curl", "jq"] {
        needs(name, program)?;
    }
    let text =
        fs::read_to_string(cache::workspace().join("docs/guide").join(name).with_extension("md")).unwrap();
    let blocks: Vec<_> = blocks(&text).collect();
    let provider = match blocks.iter().any(|block| block.runs() && block.text.contains(PROVIDER)) {
        true => Some(Provider::start(name)?),
        false => None,
    };
    let mut scene = Scene::set(name, provider);
    let mut ran = 0;
    for block in blocks.iter().filter(|block| block.runs()) {
        if let Some(file) = block.comment.strip_prefix("file ") {
            fs::write(scene.folder.path().join(file), scene.moved(block.text)).unwrap();
            continue;
        }
        let codes = block.comment.strip_prefix("exit ").unwrap_or("0");
        let codes: Vec<i32> = codes.split(" or ").map(|code| code.parse().unwrap()).collect();
        for (command, expected) in commands(block.text) {
            scene.command(&command, &expected, &codes);
            ran += 1;
        }
    }
    Some(ran)
}

impl Block<'_> {
    fn runs(&self) -> bool {
        let told = self.comment.starts_with("file ") || self.language == "console";
        told && !self.comment.starts_with("not run: ")
    }
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut before = "";
    let mut lines = text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    std::iter::from_fn(move || {
        loop {
            let (start, line) = lines.next()?;
            if let Some(language) = line.strip_prefix("```") {
                let body = start + line.len();
                let (end, _) = lines.find(|(_, line)| line.starts_with("```"))?;
                let comment = before.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                return Some(Block {
                    language: language.trim(),
                    text: text.get(body..end)?,
                    comment: comment.unwrap_or_default(),
                });
            }
            before = line;
        }
    })
}

/// The commands of a block, each with the lines that it is shown to say. A line that ends in `\` goes on in the next.
fn commands(block: &str) -> Vec<(String, Vec<&str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        match commands.last_mut() {
            Some((command, expected)) if expected.is_empty() && command.ends_with('\\') => {
                command.push('\n');
                command.push_str(line);
            }
            last => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, expected))) => expected.push(line),
                (None, None) => panic!("the block does not begin with a command: {line}"),
            },
        }
    }
    commands
}

const PROVIDER: &str = "https://login.example.com";

/// The folder, the API and the gateway of one page.
struct Scene {
    folder: tempfile::TempDir,
    _shop: Peer,
    _provider: Option<Provider>,
    /// The gateway, and the proxy for the API's own calls.
    servers: [Option<Child>; 2],
    /// What a page names, and where it is.
    moves: Vec<(&'static str, String)>,
    listen: SocketAddr,
    admin: SocketAddr,
    /// The last identifier of each kind.
    identifiers: HashMap<String, String>,
}

impl Scene {
    fn set(name: &str, provider: Option<Provider>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = shop(false);
        let [listen, admin, public, other] = [(); 4].map(|()| free_address());
        let mut moves = vec![
            ("127.0.0.1:3000", shop.address.to_string()),
            ("127.0.0.1:8080", listen.to_string()),
            ("127.0.0.1:9600", admin.to_string()),
            ("0.0.0.0:8443", public.to_string()),
            ("127.0.0.1:8443", public.to_string()),
            ("127.0.0.1:3128", other.to_string()),
            ("ports: [3000]", format!("ports: [{}]", shop.address.port())),
        ];
        moves.extend(provider.as_ref().map(|provider| (PROVIDER, provider.issuer())));
        let mut scene = Self {
            folder,
            _shop: shop,
            _provider: provider,
            servers: [None, None],
            moves,
            listen,
            admin,
            identifiers: HashMap::new(),
        };
        scene.furnish(name);
        scene
    }

    /// Puts the files there that a reader has, and starts the gateway.
    fn furnish(&mut self, name: &str) {
        let (folder, workspace) = (self.folder.path().to_owned(), cache::workspace());
        fs::copy(workspace.join("demo/openapi.yaml"), folder.join("openapi.yaml")).unwrap();
        let traffic = fs::read_to_string(workspace.join("demo/traffic/ordinary.har")).unwrap();
        fs::write(folder.join("traffic.har"), traffic.replace("127.0.0.1:4000", "api.example.com")).unwrap();
        fs::create_dir(folder.join(".bin")).unwrap();
        std::os::unix::fs::symlink(gateway::binary(), folder.join(".bin/portcullis")).unwrap();
        for file in fs::read_dir(data("guide").join(name)).into_iter().flatten() {
            let file: PathBuf = file.unwrap().path();
            let to = folder.join(file.file_name().unwrap());
            match fs::read_to_string(&file) {
                Ok(text) => fs::write(to, self.moved(&text)).unwrap(),
                Err(_) => drop(fs::copy(&file, to).unwrap()),
            }
        }
        let bare = self.moved("portcullis run --spec openapi.yaml --upstream http://127.0.0.1:3000");
        let own = folder.join("portcullis.yaml").exists();
        self.serve(if own { "portcullis run" } else { &bare });
        if folder.join("prepare.sh").exists() {
            let (code, said) = self.shell("source ./prepare.sh", PATIENCE * 4);
            assert_eq!(code, Some(0), "prepare.sh: {said}");
        }
    }

    fn moved(&self, text: &str) -> String {
        self.moves.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn command(&mut self, command: &str, expected: &[&str], codes: &[i32]) {
        let command = self.identified(&self.moved(command));
        let said = if command.starts_with("portcullis run") || command.starts_with("portcullis egress") {
            self.serve(&command)
        } else {
            let follows = command.contains("--follow");
            let (ended, said) = self.shell(&command, if follows { FOLLOW } else { PATIENCE * 4 });
            // One that follows is ended from outside, and then has no code.
            let fine = ended.map_or(follows, |code| codes.contains(&code));
            assert!(fine, "`{command}` ended with {ended:?}:\n{said}");
            said
        };
        let mut lines = said.lines();
        for line in expected.iter().filter(|line| !line.trim().is_empty()) {
            let wanted = self.moved(line);
            assert!(lines.any(|line| is_like(line, &wanted)), "`{command}` does not say `{wanted}`:\n{said}");
        }
        for (kind, identifier) in
            said.split(|c: char| !is_word(c)).filter_map(|word| Some((kind_of(word)?, word)))
        {
            self.identifiers.insert(kind.to_owned(), identifier.to_owned());
        }
    }

    /// The command with the last identifiers in the place of those that a page shows.
    fn identified(&self, command: &str) -> String {
        command
            .split_inclusive(|c: char| !is_word(c))
            .map(|piece| {
                let word = piece.trim_end_matches(|c: char| !is_word(c));
                let known = kind_of(word).and_then(|kind| self.identifiers.get(kind));
                known.map_or_else(|| piece.to_owned(), |known| format!("{known}{}", &piece[word.len()..]))
            })
            .collect()
    }

    /// Starts the gateway in the place of the one before, and waits until it serves. What it said until then.
    fn serve(&mut self, command: &str) -> String {
        let place = usize::from(command.starts_with("portcullis egress"));
        self.stop(place);
        let folder = self.folder.path();
        let (ready, log) = (folder.join(".ready.json"), folder.join(".gateway.log"));
        let _ = fs::remove_file(&ready);
        let configuration = fs::read_to_string(folder.join("portcullis.yaml")).unwrap_or_default();
        let mut line = format!("exec {command} --ready-file {}", ready.display());
        let listens = self.moves.iter().any(|(_, to)| configuration.contains(&format!("{to}, tls")));
        if place == 0 && !listens && !configuration.contains(&self.listen.to_string()) {
            line.push_str(&format!(" --listen {}", self.listen));
        }
        if !configuration.contains(&self.admin.to_string()) {
            line.push_str(&if place == 0 {
                format!(" --admin {}", self.admin)
            } else {
                " --admin off".into()
            });
        }
        let file = fs::File::create(&log).unwrap();
        let mut child = self.bash(&line).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("`{command}` does not serve ({ended:?}): {}", fs::read_to_string(&log).unwrap());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.servers[place] = Some(child);
        fs::read_to_string(&log).unwrap()
    }

    fn stop(&mut self, place: usize) {
        if let Some(mut server) = self.servers[place].take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Runs a line to its end, or until `most` has passed: the code it ended with, and what it said. Variables that it
    /// sets are there for the next one.
    fn shell(&self, line: &str, most: Duration) -> (Option<i32>, String) {
        let script = format!(
            "[ -e .variables ] && source ./.variables\nset -a\n{line}\ncode=$?\nexport -p > .variables\nexit $code\n"
        );
        // A file and no pipe: what is said may be more than a pipe holds.
        let path = self.folder.path().join(".said");
        let file = fs::File::create(&path).unwrap();
        let mut child = self.bash(&script).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let deadline = Instant::now() + most;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        let ended = child.try_wait().unwrap();
        if ended.is_none() {
            let group = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
        let said = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        (ended.and_then(|ended| ended.code()), said)
    }

    fn bash(&self, script: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(folder).stdin(Stdio::null()).process_group(0);
        command.env("PATH", format!("{}:{path}", folder.join(".bin").display())).env("HOME", folder);
        for name in [
            "PORTCULLIS_LOG",
            "http_proxy",
            "HTTP_PROXY",
            "https_proxy",
            "HTTPS_PROXY",
            "no_proxy",
            "NO_PROXY",
        ] {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop(0);
        self.stop(1);
    }
}

/// Whether the parts of `wanted` between `…` stand in the line, in this order.
fn is_like(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    wanted.trim().split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = rest.get(at + part.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '…')
}

/// The kind of an identifier that the program makes.
fn kind_of(word: &str) -> Option<&str> {
    if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("reference");
    }
    ["key-", "pck_", "pca_", "pcs_"]
        .into_iter()
        .find(|kind| word.len() > kind.len() && word.starts_with(kind))
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let page = "text\n<!-- exit 1 -->\n```console\n$ a \\\n  b\nsays …\n$ c\n```\n\n```yaml\nx: 1\n```\n";
    let found: Vec<_> = blocks(page).collect();
    assert_eq!(found[0].comment, "exit 1");
    assert_eq!(commands(found[0].text), [("a \\\n  b".to_owned(), vec!["says …"]), ("c".to_owned(), vec![])]);
    assert_eq!(found[1], Block { language: "yaml", text: "x: 1\n", comment: "" });
    assert!(found[0].runs() && !found[1].runs());
    assert!(is_like("key  pck_abc made", "key  pck_…made") && !is_like("key", "key  pck_…"));
}
