//! The journal of a scan: every exchange, so that a scan that was stopped can go on where it was.
//!
//! The same seed makes the same requests from the same answers. A scan that is started again is therefore given the
//! answers of the journal until its requests differ, or until the journal ends; from there on it calls the target.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
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
    lines: Option<std::io::Lines<BufReader<File>>>,
    /// What is known so far, to be written back when the rest is left.
    kept: Vec<String>,
    out: Option<File>,
}

impl Journal {
    /// Opens a journal; one that is not there yet begins empty.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let lines = match File::open(path) {
            Ok(file) => Some(BufReader::new(file).lines()),
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

    /// Writes exchanges behind those that are known.
    pub(crate) fn record(&mut self, requests: &[Request], answers: &[Response]) -> std::io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                // It holds tokens and passwords: nobody else reads it.
                let mut options = File::options();
                let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
                let out = self.out.insert(file);
                for line in self.kept.drain(..) {
                    writeln!(out, "{line}")?;
                }
                out
            }
        };
        for (request, answer) in requests.iter().zip(answers) {
            writeln!(out, "{}", line(request, answer))?;
        }
        Ok(())
    }
}

/// What makes a request the same one: marks and credentials differ from run to run.
fn key(request: &Request) -> Value {
    let media = request.header("content-type").unwrap_or_default();
    json!([request.method, request.target, media, BASE64.encode(&request.body)])
}

fn line(request: &Request, answer: &Response) -> Value {
    json!({
        "request": key(request),
        "status": answer.status,
        "headers": answer.headers,
        "body": BASE64.encode(&answer.body),
        "micros": u64::try_from(answer.elapsed.as_micros()).unwrap_or(u64::MAX),
        "error": answer.error,
    })
}

fn parse(line: &str, request: &Request) -> Option<Response> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line.get("request") != Some(&key(request)) {
        return None;
    }
    Some(Response {
        status: line.get("status")?.as_u64()?.try_into().ok()?,
        headers: serde_json::from_value(line.get("headers")?.clone()).ok()?,
        body: BASE64.decode(line.get("body")?.as_str()?.as_bytes()).ok()?,
        elapsed: Duration::from_micros(line.get("micros")?.as_u64()?),
        error: line.get("error").and_then(Value::as_str).map(str::to_owned),
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
        first.record(&requests[..2], &[answer(200), answer(404)]).unwrap();
        // A line that was cut off in the middle.
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"request\":")).unwrap();

        let mut second = Journal::open(&path).unwrap();
        let known = second.replay(&requests[..2]).unwrap();
        assert_eq!((known[0].status, known[1].status, known[0].body.clone()), (200, 404, vec![0, 255]));
        assert!(second.replay(&requests[2..]).is_none());
        second.record(&requests[2..], &[answer(500)]).unwrap();

        let mut third = Journal::open(&path).unwrap();
        assert!(third.replay(&requests).is_some(), "all three are in it now");
        let mut other = Journal::open(&path).unwrap();
        assert!(
            other.replay(&[Request::new("POST", "/a")]).is_none(),
            "another scan's answers are not taken"
        );
        std::fs::remove_file(path).unwrap();
    }
}
