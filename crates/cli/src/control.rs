//! How commands talk to a running gateway: a socket in its data folder, one line of JSON each way.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// Read the keys again; answered once the new ones are in force.
    Keys,
    /// Load configuration, contract and certificates again.
    Reload,
}

/// What the gateway answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Whether it was done.
    pub(crate) ok: bool,
    /// What was done, or why not.
    pub(crate) message: String,
}

/// Bytes of one line.
const MAX_LINE: u64 = 64 << 10;

/// Where the socket of the gateway over `data` is.
fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// The same under a name that is short enough for a socket's address (107 bytes), good while the folder that
/// comes with it is open.
fn short(data: &Path) -> io::Result<(Option<File>, PathBuf)> {
    let path = path(data);
    if path.as_os_str().len() <= 100 {
        return Ok((None, path));
    }
    let folder = File::open(data)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join("control.sock");
    Ok((Some(folder), path))
}

/// Asks the gateway that runs over `data`; `None` where none does.
pub(crate) fn ask(data: &Path, ask: Ask) -> io::Result<Option<Answer>> {
    let connected = short(data).and_then(|(_folder, path)| UnixStream::connect(path));
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut line = serde_json::to_string(&ask)?;
    line.push('\n');
    (&stream).write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new((&stream).take(MAX_LINE)).read_line(&mut answer)?;
    Ok(Some(serde_json::from_str(&answer)?))
}

/// Listens in `data` and has `handle` answer, one command after the other. Only the owner of the data folder can
/// connect. A socket that a killed gateway left behind is taken over; one that answers is not.
pub(crate) fn listen(data: &Path, handle: impl Fn(Ask) -> Answer + Send + 'static) -> io::Result<Guard> {
    let (_folder, path) = short(data)?;
    if UnixStream::connect(&path).is_ok() {
        let what = "another gateway already runs over this data folder; give each its own";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| serve(&stream, &handle)) {
                tracing::warn!(%error, "a command could not be answered");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    })?;
    Ok(Guard(self::path(data)))
}

/// Removes the socket when the gateway ends.
#[derive(Debug)]
pub(crate) struct Guard(PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn serve(stream: &UnixStream, handle: &impl Fn(Ask) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut line)?;
    // Someone only looked whether the socket is alive.
    if line.is_empty() {
        return Ok(());
    }
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => handle(ask),
        Err(_) => Answer { ok: false, message: "this gateway does not know that command".into() },
    };
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    (&mut &*stream).write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_folders_have_sockets_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        assert_eq!(ask(&deep, Ask::Reload).unwrap(), None);
        let guard = listen(&deep, |_| Answer { ok: false, message: "no".into() }).unwrap();
        assert_eq!(ask(&deep, Ask::Reload).unwrap().unwrap().message, "no");
        drop(guard);
        assert!(!path(&deep).exists());
    }

    #[test]
    fn commands_are_answered_once_a_gateway_listens() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ask(folder.path(), Ask::Keys).unwrap(), None);
        let guard = listen(folder.path(), |ask| Answer { ok: true, message: format!("{ask:?}") }).unwrap();
        let answer = ask(folder.path(), Ask::Keys).unwrap().unwrap();
        assert_eq!(answer, Answer { ok: true, message: "Keys".into() });
        assert_eq!(listen(folder.path(), |_| unreachable!()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let mode = std::fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let mut stream = UnixStream::connect(path(folder.path())).unwrap();
        stream.write_all(b"{\"ask\":\"format-disk\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"ok\":false"), "{answer}");
        drop(guard);
        assert!(!path(folder.path()).exists());
    }
}
