//! Bytes to the tokens of SQL, as they are read after the text in which the value is put.

use smallvec::SmallVec;

use super::words::{Word, word};
use crate::text::{at, from, is_space, is_word, skip_while, slice};

/// In what the value stands: what the statement around it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing: the value is a number or a name.
    Bare,
    /// A string or an identifier with this quotation mark.
    Quoted(u8),
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// A whole string.
    Text,
    /// A string that the value does not close: the statement around it will.
    Open,
    /// The string that the statement around opened, and the value closed. Only the first token.
    Break,
    Word(Word),
    /// `@name`, `@@name`, `:name`, `$1`.
    Variable,
    /// `=`, `<`, `!=`, …
    Compare,
    /// `+`, `-`, `*`, `/`, `%`, `^`, `~`, `|`, `&`.
    Operator,
    /// `||` and `&&`: logic here, concatenation there.
    Pipes,
    Left,
    Right,
    Comma,
    Semicolon,
    Dot,
    /// `--`, `#`, `/*`: hides what the statement around goes on with. Only where nothing of the value follows.
    Comment,
    /// Nothing that a statement has.
    Other,
}

/// A token and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// For a parenthesis: the index of its partner, or its own where it has none.
    pub(super) partner: u32,
}

/// The tokens of one value.
pub(super) type Tokens = SmallVec<[Token; 48]>;

/// As many tokens as are read in one stretch.
const MOST: usize = 4096;

/// As many bytes as are searched for the ends of strings in dollar signs.
const DOLLARS: usize = 2048;

/// Reads `bytes` in `context`; comments and white space are gone. Answers also how many comments stood in between, and
/// where it stopped: at the end, or behind as many tokens as fit.
pub(super) fn tokens(bytes: &[u8], context: Context) -> (Tokens, usize, usize) {
    let mut out = Tokens::new();
    let mut comments = 0;
    let mut open: SmallVec<[u32; 16]> = SmallVec::new();
    let mut index = 0;
    let mut dollars = DOLLARS;
    if let Context::Quoted(quote) = context {
        let end = close(bytes, 0, quote, false);
        let kind = if end > bytes.len() { Kind::Open } else { Kind::Break };
        index = end.min(bytes.len());
        out.push(Token { kind, start: 0, end: index, partner: 0 });
    }
    while index < bytes.len() && out.len() < MOST {
        let byte = at(bytes, index);
        if is_space(byte) || byte == 0 || byte == 0xa0 || byte == 0xc2 && at(bytes, index + 1) == 0xa0 {
            index += 1;
            continue;
        }
        if context == Context::Bare && is_apostrophe(bytes, index, byte) {
            index = skip_while(bytes, index + 1, |b| is_word(b) || b >= 0x80);
            continue;
        }
        let (kind, end) = next(bytes, index, byte, &mut dollars);
        let Some(kind) = kind else {
            // What MySQL runs in a comment is hidden on purpose.
            comments += match (byte, at(bytes, index + 2)) {
                (b'/', b'!') => 2,
                (b'/' | b'-' | b'#', _) => 1,
                _ => 0,
            };
            index = end;
            continue;
        };
        let mut token = Token { kind, start: index, end, partner: out.len() as u32 };
        match kind {
            Kind::Left => open.push(out.len() as u32),
            Kind::Right => {
                if let Some(left) = open.pop() {
                    token.partner = left;
                    let here = out.len() as u32;
                    if let Some(partner) = out.get_mut(left as usize) {
                        partner.partner = here;
                    }
                }
            }
            _ => {}
        }
        out.push(token);
        index = end;
    }
    (out, comments, index.min(bytes.len()))
}

/// Whether the quotation mark at `index` stands inside a word, as in `80's` and `O'Brien`, and nothing closes it.
fn is_apostrophe(bytes: &[u8], index: usize, byte: u8) -> bool {
    byte == b'\''
        && index > 0
        && at(bytes, index - 1).is_ascii_alphanumeric()
        && at(bytes, index + 1).is_ascii_alphabetic()
        && !slice(bytes, index + 1, bytes.len().min(index + 4096)).contains(&byte)
}

/// The token at `index`, and where it ends; no token for a comment in between.
fn next(bytes: &[u8], index: usize, byte: u8, dollars: &mut usize) -> (Option<Kind>, usize) {
    let second = at(bytes, index + 1);
    let one = |kind| (Some(kind), index + 1);
    let two = |kind| (Some(kind), index + 2);
    match byte {
        b'\'' | b'"' => {
            let end = close(bytes, index + 1, byte, true);
            let kind = if end > bytes.len() { Kind::Open } else { Kind::Text };
            (Some(kind), end.min(bytes.len()))
        }
        b'\\' => match second {
            // MySQL's NULL.
            b'N' if !is_word(at(bytes, index + 2)) => two(Kind::Word(Word::Constant)),
            _ => (None, index + 1),
        },
        b'`' => {
            let end = close(bytes, index + 1, byte, false);
            let kind = if end > bytes.len() { Kind::Open } else { Kind::Word(Word::Name) };
            (Some(kind), end.min(bytes.len()))
        }
        b'[' => {
            let end = skip_while(bytes, index + 1, |b| is_word(b) || b == b' ');
            if at(bytes, end) == b']' && end > index + 1 {
                (Some(Kind::Word(Word::Name)), end + 1)
            } else {
                one(Kind::Other)
            }
        }
        b'0'..=b'9' => number(bytes, index),
        b'.' if second.is_ascii_digit() => number(bytes, index),
        b'.' => one(Kind::Dot),
        b'-' if second == b'-' => line_comment(bytes, index + 2),
        b'#' => line_comment(bytes, index + 1),
        b'/' if second == b'*' => {
            if at(bytes, index + 2) == b'!' {
                // MySQL runs what stands in it.
                let digits = skip_while(bytes, index + 3, |b| b.is_ascii_digit());
                return (None, digits);
            }
            match find_end(from(bytes, index + 2)) {
                Some(end) => (None, index + 2 + end + 2),
                None => (Some(Kind::Comment), bytes.len()),
            }
        }
        b'*' if second == b'/' => (None, index + 2),
        b'(' => one(Kind::Left),
        b')' => one(Kind::Right),
        b',' => one(Kind::Comma),
        b';' => one(Kind::Semicolon),
        b'=' if second == b'=' => two(Kind::Compare),
        b'=' => one(Kind::Compare),
        b':' if second == b'=' => two(Kind::Compare),
        b':' if second == b':' => {
            // A PostgreSQL cast says nothing.
            (None, skip_while(bytes, index + 2, is_word))
        }
        b'<' if second == b'=' && at(bytes, index + 2) == b'>' => (Some(Kind::Compare), index + 3),
        b'<' | b'>' | b'!' if second == b'=' || byte == b'<' && second == b'>' => two(Kind::Compare),
        b'!' if second == b'<' || second == b'>' || second == b'~' => two(Kind::Compare),
        b'<' | b'>' if second == byte => two(Kind::Operator),
        b'<' | b'>' => one(Kind::Compare),
        b'|' if second == b'|' => two(Kind::Pipes),
        b'&' if second == b'&' => two(Kind::Pipes),
        b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'~' | b'|' | b'&' | b'!' => one(Kind::Operator),
        b'@' => {
            let start = if second == b'@' { index + 2 } else { index + 1 };
            let end = skip_while(bytes, start, |b| is_word(b) || b == b'.' || b == b'$' || b >= 0x80);
            let quoted = at(bytes, start);
            if end == start && matches!(quoted, b'`' | b'\'' | b'"') {
                let end = close(bytes, start + 1, quoted, false);
                return (Some(Kind::Variable), end.min(bytes.len()));
            }
            // `@` and `@@` alone are variables for MySQL.
            (Some(Kind::Variable), end)
        }
        b'{' => {
            // ODBC: `{d '2000-01-01'}`, `{fn now()}`; MySQL reads `{x expression}`.
            let end = skip_while(bytes, index + 1, |b| is_word(b) || is_space(b) || b == b'`');
            if end > index + 1 && matches!(at(bytes, end), b'\'' | b'(' | b'`' | b'"')
                || at(bytes, index + 1) == b'`'
            {
                (None, skip_while(bytes, index + 1, is_word))
            } else {
                one(Kind::Other)
            }
        }
        b'}' => (None, index + 1),
        _ if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80 => {
            named(bytes, index, dollars)
        }
        _ => one(Kind::Other),
    }
}

fn named(bytes: &[u8], index: usize, dollars: &mut usize) -> (Option<Kind>, usize) {
    let end = skip_while(bytes, index, |b| is_word(b) || b >= 0x80 && b != 0xa0 || b == b'$');
    let text = slice(bytes, index, end);
    let follows = at(bytes, end);
    // Prefixed strings: N'…', X'…', B'…', E'…', _utf8'…', q'[…]', U&'…'.
    if (follows == b'\'' || follows == b'"')
        && (text.len() == 1 && matches!(at(text, 0) | 0x20, b'n' | b'x' | b'b' | b'e') || at(text, 0) == b'_')
    {
        let end = close(bytes, end + 1, follows, true);
        let kind = if end > bytes.len() { Kind::Open } else { Kind::Text };
        return (Some(kind), end.min(bytes.len()));
    }
    if follows == b'\'' && text.eq_ignore_ascii_case(b"q") {
        return (Some(Kind::Text), close(bytes, end + 1, follows, false).min(bytes.len()));
    }
    // `$$text$$` of PostgreSQL.
    if text.len() >= 2 && text.first() == Some(&b'$') && text.last() == Some(&b'$') {
        let rest = slice(bytes, end, end + 512.min(*dollars));
        *dollars -= rest.len();
        if let Some(found) = rest.windows(text.len().min(16)).position(|window| window == slice(text, 0, 16))
        {
            return (Some(Kind::Text), end + found + text.len());
        }
    }
    if at(text, 0) == b'$' && text.len() > 1 && from(text, 1).iter().all(u8::is_ascii_digit) {
        return (Some(Kind::Variable), end);
    }
    (Some(Kind::Word(word(text))), end)
}

fn number(bytes: &[u8], index: usize) -> (Option<Kind>, usize) {
    if at(bytes, index) == b'0' && matches!(at(bytes, index + 1), b'x' | b'X') {
        let end = skip_while(bytes, index + 2, |b| b.is_ascii_hexdigit());
        // MySQL reads `0x` alone as a number, too: `0xunion`.
        if end > index + 2 || word(slice(bytes, end, skip_while(bytes, end, is_word))) != Word::Name {
            return (Some(Kind::Number), end);
        }
    }
    let mut end = skip_while(bytes, index, |b| b.is_ascii_digit() || b == b'.');
    let exponent = at(bytes, end) | 0x20 == b'e';
    if exponent {
        let digits = if matches!(at(bytes, end + 1), b'+' | b'-') { end + 2 } else { end + 1 };
        let last = skip_while(bytes, digits, |b| b.is_ascii_digit());
        if last > digits {
            end = last;
            // `1e1union` is `1e1 union`.
            return (Some(Kind::Number), end);
        }
        // `1e.union`, `0eunion`: an empty exponent, for MySQL.
        if !is_word(at(bytes, end + 1)) {
            return (Some(Kind::Number), end + 1);
        }
    }
    if at(bytes, end).is_ascii_alphabetic() || at(bytes, end) == b'_' {
        let last = skip_while(bytes, end, |b| is_word(b) || b >= 0x80);
        // `1or`, `1union`: a number and a word; `12a` is a name. Oracle's suffixes: `1funion`.
        if at(bytes, end) | 0x22 == b'f' && last > end + 2 && word(slice(bytes, end + 1, last)) != Word::Name
        {
            return (Some(Kind::Number), end + 1);
        }
        if word(slice(bytes, end, last)) == Word::Name && !slice(bytes, index, end).contains(&b'.') {
            return (Some(Kind::Word(Word::Name)), last);
        }
    }
    (Some(Kind::Number), end)
}

/// A comment to the end of the line: a token only where nothing follows it but the statement around.
fn line_comment(bytes: &[u8], text: usize) -> (Option<Kind>, usize) {
    let end = skip_while(bytes, text, |b| b != b'\n' && b != b'\r');
    let rest = from(bytes, end);
    if rest.iter().all(|&b| is_space(b)) {
        return (Some(Kind::Comment), bytes.len());
    }
    (None, end)
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"*/")
}

/// Where the string ends that begins at `index`: behind its closing `quote`, or past the end of `bytes`.
fn close(bytes: &[u8], mut index: usize, quote: u8, escapes: bool) -> usize {
    loop {
        let byte = at(bytes, index);
        if index >= bytes.len() {
            return bytes.len() + 1;
        }
        if byte == b'\\' && escapes {
            index += 2;
            continue;
        }
        if byte == quote {
            if at(bytes, index + 1) != quote || index == 0 {
                return index + 1;
            }
            index += 1;
        }
        index += 1;
    }
}
