//! Line breaks that start a header field, a response, a log line, or a command of a mail protocol.

use crate::class::Class;
use crate::detect::View;
use crate::place::Place;
use crate::text::{at, find, from, has, is_space, is_word, skip_while, slice, starts, trim};
use crate::verdict::Hits;

/// Fields of HTTP that an answer has.
const FIELDS: [&[u8]; 20] = [
    b"set-cookie:",
    b"location:",
    b"content-type:",
    b"content-length:",
    b"content-disposition:",
    b"transfer-encoding:",
    b"refresh:",
    b"access-control-",
    b"x-xss-protection:",
    b"x-forwarded-",
    b"status:",
    b"host:",
    b"cookie:",
    b"authorization:",
    b"last-modified:",
    b"connection:",
    b"link:",
    b"x-injected",
    b"header:",
    b"http/1.",
];

/// Fields and commands of mail.
const MAIL: [&[u8]; 17] = [
    b"bcc:",
    b"cc:",
    b"to:",
    b"from:",
    b"subject:",
    b"reply-to:",
    b"mime-version:",
    b"content-type:",
    b"rcpt to:",
    b"mail from:",
    b"data\r",
    b"data\n",
    b"quit",
    b"noop",
    b"rset",
    b"ehlo",
    b"vrfy",
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if !hits.spend(bytes.len() * 2 + bytes.len().min(512) * 8) {
        return;
    }
    imap(bytes, hits);
    let mut index = 0;
    let mut lines = 0;
    let mut first: &[u8] = b"";
    let body = trim(bytes);
    while let Some(found) = from(bytes, index).iter().position(|&b| matches!(b, b'\n' | b'\r')) {
        let end = index + found;
        // Empty lines are part of the break.
        let start = skip_while(bytes, end, is_space);
        index = start;
        lines += 1;
        if lines == 1 {
            first = trim(slice(bytes, 0, end));
        }
        if !hits.spend(20) {
            return;
        }
        let next = from(bytes, start);
        let field = FIELDS.iter().any(|field| starts(next, field));
        if field && !hits.spend(800) {
            return;
        }
        let mut add = |score, why| hits.add(Class::Crlf, score, why, end, (end + 60).min(bytes.len()));
        // The value before the break: one token, as in a parameter; a letter has sentences there.
        let token = lines == 1
            && first.len() < 200
            && !first.iter().any(|&b| is_space(b))
            && !matches!(first.last(), Some(b',' | b'.' | b'!' | b':'));
        let one_line = view.place.is_one_line();
        // A message in a text: in a fence, with its own first line, or a part of one.
        let quoted =
            !one_line && [&b"```"[..], b"--", b"HTTP/1."].iter().any(|start| body.starts_with(start));
        if field {
            let double = has(slice(bytes, end, bytes.len().min(end + 400)), b"\n<")
                || has(slice(bytes, end, bytes.len().min(end + 400)), b"<script");
            if one_line {
                add(if lines == 1 { 92 } else { 80 }, "a line break, and a field of a response");
            } else if (token || double) && !quoted {
                add(if double { 82 } else { 74 }, "a line break, and a field of a response");
            }
        }
        if one_line && lines < 4 {
            if starts(next, b"x-") && token {
                let end = skip_while(next, 2, |b| b.is_ascii_alphanumeric() || b == b'-');
                if end > 3 && at(next, end) == b':' {
                    add(78, "a line break, and a field of a response");
                }
            }
            if slice(bytes, end, start).iter().filter(|&&b| b == b'\n').count() > 1
                && at(next, 0) == b'<'
                && token
            {
                add(74, "empty line, and a body of its own");
            }
            if starts(next, b"mail from:") || starts(next, b"rcpt to:") {
                add(84, "a line break, and a command of mail");
            }
            if is_store_command(next) {
                add(80, "a line break, and a command of a store");
            }
        }
        if MAIL.iter().any(|field| starts(next, field)) {
            let mail = first.contains(&b'@') || slice(next, 0, 60).contains(&b'@');
            if token && (mail || one_line) {
                add(82, "a line break, and a field or command of mail");
            }
        }
        // A line break at the very beginning, a command, and its own line break.
        let line =
            slice(next, 0, next.iter().position(|&b| matches!(b, b'\r' | b'\n')).unwrap_or(next.len()));
        if lines == 1
            && first.is_empty()
            && [&b"QUIT"[..], b"RSET", b"DATA", b"NOOP", b"EHLO", b"HELO", b"STLS"]
                .iter()
                .any(|c| line.starts_with(c))
            && line.len() < 40
        {
            add(80, "a line break, and a command of mail");
        }
        if one_line && lines == 1 && token && view.place != Place::Name {
            let end = skip_while(next, 0, |b| {
                is_word(b) || matches!(b, b'-' | b'[' | b']' | b'.' | b':' | b' ') && b != b':'
            });
            let colon = at(next, end) == b':' || slice(next, 0, 40).contains(&b':');
            let upper = at(next, 0).is_ascii_uppercase() && at(next, 1).is_ascii_uppercase()
                || at(next, 0) == b'['
                || at(next, 0).is_ascii_digit() && slice(next, 0, 12).contains(&b'-');
            if colon && upper {
                add(78, "a line break, and what looks like a line of a log");
            }
        }
    }
}

/// Whether `line` begins with a command of Redis or memcached that an address alone would not send, or with a message of
/// Redis' own protocol (`*1`, `$8`).
fn is_store_command(line: &[u8]) -> bool {
    let end = skip_while(line, 0, |b| !matches!(b, b'\r' | b'\n'));
    let line = slice(line, 0, end);
    let verb = slice(line, 0, skip_while(line, 0, is_word));
    let words = line.split(|&b| b == b' ').filter(|word| !word.is_empty()).count();
    let is = |known: &[&str]| known.iter().any(|known| verb == known.as_bytes());
    match words {
        1 if is(&["FLUSHALL", "FLUSHDB", "SHUTDOWN", "BGSAVE", "stats", "flush_all"]) => true,
        1 => line.len() > 1 && at(line, 0) == b'$' && from(line, 1).iter().all(u8::is_ascii_digit),
        2.. if is(&[
            "CONFIG",
            "SLAVEOF",
            "REPLICAOF",
            "EVAL",
            "MODULE",
            "SCRIPT",
            "DEBUG",
            "SET",
            "GET",
            "DEL",
        ]) =>
        {
            true
        }
        // `set key flags seconds bytes`.
        5 => {
            is(&["set", "add", "replace"])
                && line.rsplit(|&b| b == b' ').take(3).flatten().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// `V100 CAPABILITY`, `a001 LOGOUT`, `FETCH 4791 BODY[HEADER]`: a command of IMAP (RFC 9051) behind its tag.
fn imap(bytes: &[u8], hits: &mut Hits) {
    let head = slice(bytes, 0, 512);
    for command in [
        &b" capability"[..],
        b" fetch ",
        b" examine inbox",
        b" select inbox",
        b" logout",
        b" search all",
        b" noop",
    ] {
        let Some(start) = find(head, command) else { continue };
        let tag = slice(head, 0, start).iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
        let tag = slice(head, start - tag, start);
        let tagged =
            tag.len() > 2 && at(tag, 0).is_ascii_alphabetic() && from(tag, 1).iter().all(u8::is_ascii_digit);
        let fetches = command == b" fetch " && has(from(head, start), b"body[");
        if tagged || fetches {
            hits.add(Class::Crlf, 76, "a command of a mail protocol", 0, head.len());
        }
    }
}
