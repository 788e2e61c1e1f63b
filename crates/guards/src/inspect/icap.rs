//! Asking an ICAP server (RFC 3507) about files: what is sent, and what its answers say.
//!
//! A file goes as the body of an answer that is to be modified (RESPMOD), which is what scanners for malware expect. `204`
//! lets it pass, and so does an answer with the file as it was; anything else is a finding of the scanner's.

use bytes::{BufMut, Bytes, BytesMut};
use http::Uri;

/// Where a scanner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scanner {
    /// `host:port`.
    pub(super) address: Box<str>,
    url: Box<str>,
}

/// What a scanner says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Clean,
    /// It found something in one of the files, by its place among them; what, in its own words.
    Found(usize, String),
}

/// The port of ICAP (RFC 3507, section 4.2).
const PORT: u16 = 1344;

/// Bytes that the head of an answer may have.
const MOST_HEAD: usize = 16 * 1024;

impl Scanner {
    /// The scanner at `url`, such as `icap://127.0.0.1:1344/avscan`.
    pub(super) fn at(url: &str) -> Result<Scanner, &'static str> {
        const EXPECTED: &str = "expected a URL such as `icap://127.0.0.1:1344/avscan`";
        let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
        let (Some("icap"), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(EXPECTED) };
        if uri.path().len() < 2 || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(EXPECTED);
        }
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(PORT)).into();
        Ok(Scanner { address, url: url.into() })
    }

    /// The request about one file.
    pub(super) fn message(&self, content: &[u8]) -> Bytes {
        // The file's own name says nothing to a scanner that its content does not, and may be an attack on it.
        let request = "GET http://upload.invalid/file HTTP/1.1\r\nHost: upload.invalid\r\n\r\n";
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let head = format!(
            "RESPMOD {} ICAP/1.0\r\nHost: {}\r\nAllow: 204\r\nConnection: close\r\n\
             Encapsulated: req-hdr=0, res-hdr={}, res-body={}\r\n\r\n{request}{answer}{:x}\r\n",
            self.url,
            self.address,
            request.len(),
            request.len() + answer.len(),
            content.len()
        );
        let mut out = BytesMut::with_capacity(head.len() + content.len() + 8);
        out.put_slice(head.as_bytes());
        // A chunk of no bytes is the end: an empty file has no other.
        if content.is_empty() {
            out.truncate(out.len() - 3);
        } else {
            out.put_slice(content);
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"0\r\n\r\n");
        out.freeze()
    }
}

/// What the scanner says in `answers`, which hold one answer for each of `files`; an error where one of them cannot be
/// read, since then nobody has looked.
pub(super) fn read(answers: &[u8], files: &[&[u8]]) -> Result<Said, &'static str> {
    let mut rest = answers;
    for (at, file) in files.iter().enumerate() {
        let (found, behind) = read_one(rest, file)?;
        if let Some(what) = found {
            return Ok(Said::Found(at, what));
        }
        rest = behind;
    }
    Ok(Said::Clean)
}

/// What was found in one file, if anything, and what follows its answer.
fn read_one<'a>(answer: &'a [u8], file: &[u8]) -> Result<(Option<String>, &'a [u8]), &'static str> {
    const BLOCKED: &str = "the scanner blocks it";
    const UNREADABLE: &str = "an answer that is no ICAP";
    let (head, rest) = head(answer).ok_or(UNREADABLE)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("ICAP/1.0 ")).ok_or(UNREADABLE)?;
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let field = |name: &str| {
        fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let named = ["X-Infection-Found", "X-Virus-ID", "X-Violations-Found"].into_iter().find_map(field);
    if let Some(named) = named {
        return Ok((Some(plain(named)), rest));
    }
    match status.get(..3) {
        Some("204") => return Ok((None, rest)),
        Some("200" | "201") => {}
        Some("404") => return Err("there is no such service"),
        _ => return Err("an answer other than 200 and 204"),
    }
    let encapsulated = field("Encapsulated").ok_or(UNREADABLE)?;
    if encapsulated.starts_with("null-body") {
        return Ok((Some(BLOCKED.into()), rest));
    }
    let (inner, body) = self::head(rest).ok_or(UNREADABLE)?;
    if !encapsulated.contains("res-body") {
        return Ok((Some(BLOCKED.into()), body));
    }
    let (sent_back, behind) = chunks(body).ok_or(UNREADABLE)?;
    let kept = inner.starts_with("HTTP/1.") && inner.get(8..12) == Some(" 200") && sent_back == file;
    Ok(((!kept).then(|| BLOCKED.into()), behind))
}

/// A head, without the empty line that ends it, and what follows.
fn head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let within = bytes.get(..bytes.len().min(MOST_HEAD))?;
    let end = within.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 4..)?))
}

/// The content of a chunked body (RFC 9112, section 7.1), and what follows it.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    loop {
        let end = rest.windows(2).take(64).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some((out, rest.strip_prefix(b"\r\n")?));
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// `text`, as it may stand in a log.
fn plain(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(&*Scanner::at("icap://[::1]/scan").unwrap().address, "[::1]:1344");
        for url in ["http://a/b", "icap://a", "icap://a/", "icap://u:p@a/b", "avscan"] {
            assert!(Scanner::at(url).is_err(), "{url}");
        }
    }

    #[test]
    fn messages_are_whole() {
        let scanner = Scanner::at("icap://a:1345/b").unwrap();
        let message = String::from_utf8(scanner.message(b"hello").to_vec()).unwrap();
        assert!(message.starts_with("RESPMOD icap://a:1345/b ICAP/1.0\r\nHost: a:1345\r\n"), "{message}");
        assert!(message.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{message}");
        assert!(scanner.message(b"").ends_with(b"\r\n\r\n0\r\n\r\n"));
    }

    #[test]
    fn what_an_answer_says() {
        let clean = "ICAP/1.0 204 No Content\r\nISTag: a\r\n\r\n";
        let kept = "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let blocked = "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=26\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n2\r\nno\r\n0\r\n\r\n";
        let named = "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Threat=Eicar;\r\n\r\n";
        let said = |answers: &str, files: &[&[u8]]| read(answers.as_bytes(), files);
        assert_eq!(said(clean, &[b"hello"]), Ok(Said::Clean));
        assert_eq!(said(kept, &[b"hello"]), Ok(Said::Clean));
        assert_eq!(said(&format!("{kept}{clean}"), &[b"hello", b"x"]), Ok(Said::Clean));
        assert!(matches!(said(kept, &[b"other"]), Ok(Said::Found(0, _))));
        assert!(matches!(said(&format!("{clean}{blocked}"), &[b"a", b"hello"]), Ok(Said::Found(1, _))));
        assert_eq!(said(named, &[b"a"]), Ok(Said::Found(0, "Type=0; Threat=Eicar;".into())));
        // One answer too few, a service that is not there, an answer that breaks off, no answer.
        for (answers, files) in [
            (clean, &[&b"a"[..], b"b"][..]),
            ("ICAP/1.0 404 Not Found\r\n\r\n", &[b"a"]),
            (&kept[..kept.len() - 3], &[b"hello"]),
            ("HTTP/1.1 204 No Content\r\n\r\n", &[b"a"]),
            ("", &[b"a"]),
        ] {
            assert!(said(answers, files).is_err(), "{answers}");
        }
    }
}
