//! The keys of `data_keys`, from where the configuration says that they are.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_guards::{DataRings, KeyPlace, RingConfig};
use portcullis_identity::{DataKeys, MasterKey};
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, ConfigErrors, Fault};
use crate::random;

/// Bytes that a key may be written in.
const MOST: u64 = 4096;
/// How long a command may take to print one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the keys of `config` beside what `rings` has; and says which files they stand in.
pub(crate) fn read(config: &Config, rings: &mut DataRings) -> Result<Vec<PathBuf>, ConfigErrors> {
    let mut files = Vec::new();
    for (name, ring) in &config.policies.data_keys {
        let read = keys(ring, &config.folder, &mut files).and_then(|(keys, lookup)| {
            DataKeys::new(&keys, lookup).map_err(|error| (None, error.to_string()))
        });
        let ring = read.map_err(|(place, what)| {
            let at = place.map_or_else(String::new, |place: usize| format!("/{place}"));
            let pointer = format!("/data_keys/{}/keys{at}", name.replace('~', "~0").replace('/', "~1"));
            ConfigErrors::from(config.error_at(&pointer, Fault::new(what)))
        })?;
        rings.named.insert(name.clone(), Arc::new(ring));
    }
    if rings.own.is_none() {
        // Nobody keeps keys here: what is sealed ends with this process.
        let bytes = random::bytes().map_err(|error| ConfigError::whole("data_keys", error.to_string()))?;
        rings.own = Some(Arc::new(own(bytes).map_err(|what| ConfigError::whole("data_keys", what))?));
    }
    Ok(files)
}

/// The ring of one key, the gateway's own.
pub(crate) fn own(key: [u8; 32]) -> Result<DataKeys, String> {
    DataKeys::new(&[MasterKey::new(key)], 0).map_err(|error| error.to_string())
}

/// Which of the keys is wrong, and how.
type Wrong = (Option<usize>, String);

fn keys(
    ring: &RingConfig,
    folder: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<(Vec<MasterKey>, usize), Wrong> {
    if ring.keys.is_empty() {
        return Err((None, "a ring has one key at least".into()));
    }
    let mut keys = Vec::new();
    for (place, source) in ring.keys.iter().enumerate() {
        let (text, whence) = match &source.from {
            KeyPlace::File(path) => {
                let path = folder.join(path);
                let whence = format!("the file `{}`", path.display());
                let text = file(&path);
                files.push(path);
                (text, whence)
            }
            KeyPlace::Env(name) => {
                let text = std::env::var(name).map(Zeroizing::new).map_err(|_| "it is not set".to_owned());
                (text, format!("the environment variable `{name}`"))
            }
            KeyPlace::Command(words) => {
                let program = words.first().map_or("", String::as_str);
                (command(words, folder), format!("the command `{program}`"))
            }
        };
        let text = text.map_err(|why| (Some(place), format!("{whence} gives no key: {why}")))?;
        let key = MasterKey::parse(&text)
            .map_err(|error| (Some(place), format!("{whence} has no key: {error}")))?;
        keys.push(key);
    }
    let chosen: Vec<usize> =
        ring.keys.iter().enumerate().filter(|(_, source)| source.lookup).map(|(place, _)| place).collect();
    match chosen.as_slice() {
        [] => Ok((keys, 0)),
        [one] => Ok((keys, *one)),
        [_, second, ..] => Err((Some(*second), "`lookup: true` stands at two keys; expected one".into())),
    }
}

fn file(path: &Path) -> Result<Zeroizing<String>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    whole(file)
}

/// Reads a short text, whose copy is wiped.
fn whole(source: impl std::io::Read) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize + 1));
    source.take(MOST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST {
        return Err(format!("more than {MOST} bytes"));
    }
    Ok(text)
}

fn command(words: &[String], folder: &Path) -> Result<Zeroizing<String>, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("it is empty".into()) };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What it complains about may quote the key.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let reader = child.stdout.take().map(|out| std::thread::spawn(move || whole(out)));
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if began.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("nothing within {} s", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    // A command whose output is more than is read ends by that: the output is what is wrong.
    let text = reader.ok_or("it has no output")?.join();
    let text = text.map_err(|_| "its output cannot be read".to_owned())??;
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_guards::KeySource;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn ring(places: Vec<KeyPlace>) -> RingConfig {
        RingConfig { keys: places.into_iter().map(|from| KeySource { from, lookup: false }).collect() }
    }

    fn shell(line: &str) -> KeyPlace {
        KeyPlace::Command(["sh", "-c", line].map(str::to_owned).to_vec())
    }

    #[test]
    fn keys_come_from_files_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.key"), format!("{HEX}\n")).unwrap();
        let mut files = Vec::new();
        let both = ring(vec![KeyPlace::File("a.key".into()), shell(&format!("echo {HEX}"))]);
        assert_eq!(keys(&both, folder.path(), &mut files).unwrap().0.len(), 2);
        assert_eq!(files, [folder.path().join("a.key")]);
    }

    #[test]
    fn what_gives_no_key_says_which_and_never_what() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("short"), "c2VjcmV0").unwrap();
        for (place, expected) in [
            (KeyPlace::File("none".into()), "gives no key"),
            (KeyPlace::File("short".into()), "expected 32 bytes"),
            (KeyPlace::Env("PORTCULLIS_TEST_NO_SUCH".into()), "it is not set"),
            (shell("exit 3"), "it ended with"),
            (shell("echo c2VjcmV0"), "expected 32 bytes"),
            (shell("yes"), "more than"),
            (KeyPlace::Command(vec!["portcullis-no-such-program".into()]), "cannot be started"),
        ] {
            let (at, what) = keys(&ring(vec![place]), folder.path(), &mut Vec::new()).unwrap_err();
            assert_eq!(at, Some(0));
            assert!(what.contains(expected) && !what.contains("c2Vj"), "{what}");
        }
        assert!(keys(&ring(Vec::new()), folder.path(), &mut Vec::new()).is_err());
    }
}
