//! The journal of a scan: every exchange, so that a scan that was stopped can go on where it was.
//!
//! The same seed makes the same requests from the same answers. A scan that is started again is therefore given the
//! answers of the journal until its requests differ, or until the journal ends; from there on it calls the target.
//! What arrived beside the answers, call-backs of the target and what it asked of stand-ins, is noted between them: the target
//! will not ask a second time.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::iter::Peekable;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::http::{Request, Response};

/// A journal that is read first and then written on.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    lines: Option<Peekable<std::io::Lines<BufReader<File>>>>,
    /// What is known so far, to be written back when the rest is left.
    kept: Vec<String>,
    out: Option<File>,
}

impl Journal {
    /// Opens a journal; one that is not there yet begins empty.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let lines = match File::open(path) {
            Ok(file) => Some(BufReader::new(file).lines().peekable()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("the journal `{}` cannot be read: {error}", path.display())),
        };
        Ok(Self { path: path.to_owned(), lines, kept: Vec::new(), out: None })
    }

    /// The answers that the journal has for these requests, if they are the next in it.
    pub(crate) fn replay(&mut self, requests: &[Request]) -> Option<Vec<Response>> {
        let lines = self.lines.as_mut()?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut read = Vec::with_capacity(requests.len());
        for request in requests {
            let line = lines.next().and_then(Result::ok);
            let answer = line.as_deref().and_then(|line| parse(line, request));
            let (Some(answer), Some(line)) = (answer, line) else {
                // Cut off, or another scan's from here on.
                self.lines = None;
                return None;
            };
            answers.push(answer);
            read.push(line);
        }
        self.kept.extend(read);
        Some(answers)
    }

    /// What was noted behind the last answers that were given.
    pub(crate) fn notes(&mut self) -> Vec<Value> {
        let mut notes = Vec::new();
        let Some(lines) = &mut self.lines else { return notes };
        let is_note = |line: &std::io::Result<String>| line.as_ref().is_ok_and(|line| line.starts_with(NOTE));
        while let Some(Ok(line)) = lines.next_if(is_note) {
            // One that was cut off is the last line: what comes next asks for more, and finds nothing.
            if let Ok(mut note) = serde_json::from_str::<Value>(&line) {
                notes.extend(note.get_mut("note").map(Value::take));
                self.kept.push(line);
            }
        }
        notes
    }

    /// Whether answers still come from the journal.
    pub(crate) fn replays(&self) -> bool {
        self.lines.is_some()
    }

    /// Notes something between exchanges.
    pub(crate) fn note(&mut self, note: &Value) -> std::io::Result<()> {
        writeln!(self.out()?, "{NOTE}{note}}}")
    }

    /// Writes exchanges behind those that are known.
    pub(crate) fn record(&mut self, requests: &[Request], answers: &[Response]) -> std::io::Result<()> {
        let out = self.out()?;
        for (request, answer) in requests.iter().zip(answers) {
            writeln!(out, "{}", line(request, answer))?;
        }
        Ok(())
    }

    /// The file to write to, begun with what is known.
    fn out(&mut self) -> std::io::Result<&mut File> {
        if self.out.is_none() {
            // It holds tokens and passwords: nobody else reads it.
            let mut options = File::options();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
            for line in self.kept.drain(..) {
                writeln!(file, "{line}")?;
            }
            self.out = Some(file);
        }
        self.out.as_mut().ok_or_else(|| std::io::Error::other("it is not open"))
    }
}

/// How a line begins that is a note.
const NOTE: &str = "{\"note\":";

/// What makes a request the same one: marks and credentials differ from run to run.
fn key(request: &Request) -> Value {
    let media = request.header("content-type").unwrap_or_default();
    json!([request.method, request.target, media, BASE64.encode(&request.body)])
}

fn line(request: &Request, answer: &Response) -> Value {
    let mut line = written(answer);
    if let Some(members) = line.as_object_mut() {
        members.insert("request".to_owned(), key(request));
    }
    line
}

fn parse(line: &str, request: &Request) -> Option<Response> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line.get("request") != Some(&key(request)) {
        return None;
    }
    read(&line)
}

/// An answer as it is kept.
pub(crate) fn written(answer: &Response) -> Value {
    json!({
        "status": answer.status,
        "headers": answer.headers,
        "body": BASE64.encode(&answer.body),
        "micros": u64::try_from(answer.elapsed.as_micros()).unwrap_or(u64::MAX),
        "error": answer.error,
    })
}

/// An answer that was kept.
pub(crate) fn read(kept: &Value) -> Option<Response> {
    Some(Response {
        status: kept.get("status")?.as_u64()?.try_into().ok()?,
        headers: serde_json::from_value(kept.get("headers")?.clone()).ok()?,
        body: BASE64.decode(kept.get("body")?.as_str()?.as_bytes()).ok()?,
        elapsed: Duration::from_micros(kept.get("micros")?.as_u64()?),
        error: kept.get("error").and_then(Value::as_str).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Response {
        Response {
            status,
            headers: vec![("a".into(), "b".into())],
            body: vec![0, 255],
            ..Response::default()
        }
    }

    #[test]
    fn what_was_answered_is_answered_again_until_the_requests_differ() {
        let folder = std::env::temp_dir().join(format!("portcullis-journal-{}", std::process::id()));
        let path = folder.with_extension("jsonl");
        let _ = std::fs::remove_file(&path);
        let requests: Vec<Request> = ["/a", "/b", "/c"].map(|target| Request::new("GET", target)).to_vec();
        let mut first = Journal::open(&path).unwrap();
        assert!(first.replay(&requests[..1]).is_none());
        first.record(&requests[..1], &[answer(200)]).unwrap();
        first.note(&json!({ "called": ["GET /x HTTP/1.1"] })).unwrap();
        first.record(&requests[1..2], &[answer(404)]).unwrap();
        // A line that was cut off in the middle.
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"request\":")).unwrap();

        let mut second = Journal::open(&path).unwrap();
        let known = second.replay(&requests[..1]).unwrap();
        assert_eq!((known[0].status, known[0].body.clone()), (200, vec![0, 255]));
        assert_eq!(second.notes(), [json!({ "called": ["GET /x HTTP/1.1"] })]);
        assert_eq!(second.replay(&requests[1..2]).unwrap()[0].status, 404);
        assert!(second.notes().is_empty() && second.replays());
        assert!(second.replay(&requests[2..]).is_none());
        second.record(&requests[2..], &[answer(500)]).unwrap();

        let mut third = Journal::open(&path).unwrap();
        assert!(third.replay(&requests[..1]).is_some() && third.notes().len() == 1);
        assert!(third.replay(&requests[1..]).is_some(), "all three are in it now");
        let mut other = Journal::open(&path).unwrap();
        assert!(
            other.replay(&[Request::new("POST", "/a")]).is_none(),
            "another scan's answers are not taken"
        );
        std::fs::remove_file(path).unwrap();
    }
}
