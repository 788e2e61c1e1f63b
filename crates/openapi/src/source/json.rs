//! A JSON reader (RFC 8259) that keeps byte ranges.

use super::{DuplicateKey, Kind, Limits, Member, Members, Node, Parsed, Span, Stopped};

pub(super) fn parse(text: &str, limits: Limits) -> Result<Parsed, Stopped> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: limits.depth,
        nodes: limits.nodes,
        duplicates: Vec::new(),
    };
    let root = reader.value()?;
    reader.skip_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.stop("expected the end of the file after the value"));
    }
    Ok(Parsed { root, duplicates: reader.duplicates })
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    depth: usize,
    nodes: usize,
    duplicates: Vec<DuplicateKey>,
}

impl Reader<'_> {
    fn stop(&self, what: &str) -> Stopped {
        if self.at >= self.bytes.len() {
            return Stopped::new(self.bytes.len(), "the file ends too early; expected more JSON");
        }
        Stopped::new(self.at, what)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Node, Stopped> {
        self.skip_space();
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| {
            Stopped::new(self.at, "the file has too many values; split it or raise the limit")
        })?;
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.stop("expected a value")),
        };
        Ok(Node { kind, span: span(start, self.at) })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Kind, Stopped>) -> Result<Kind, Stopped> {
        self.depth =
            self.depth.checked_sub(1).ok_or_else(|| self.stop("objects and arrays are nested too deeply"))?;
        self.at += 1;
        let kind = read(self)?;
        self.depth += 1;
        Ok(kind)
    }

    fn object(&mut self) -> Result<Kind, Stopped> {
        let mut members = Members::default();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object(Vec::new()));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.stop("expected a key in double quotes"));
            }
            let key = self.string()?;
            let key_span = span(start, self.at);
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.stop("expected `:` after the key"));
            }
            self.at += 1;
            let value = self.value()?;
            members.add(Member { key, key_span, value }, &mut self.duplicates);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object(members.finish()));
                }
                _ => return Err(self.stop("expected `,` or `}`")),
            }
        }
    }

    fn array(&mut self) -> Result<Kind, Stopped> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    items.shrink_to_fit();
                    return Ok(Kind::Array(items));
                }
                _ => return Err(self.stop("expected `,` or `]`")),
            }
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Stopped> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.stop("expected a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Stopped> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.stop("expected a digit")),
        }
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        super::scalar::number(text, integral)
            .map(Kind::Number)
            .ok_or_else(|| Stopped::new(start, "expected a number that fits 64 bits"))
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Stopped> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.stop("expected a digit")) } else { Ok(()) }
    }

    /// Reads a string, the cursor on its opening quote.
    fn string(&mut self) -> Result<Box<str>, Stopped> {
        self.at += 1;
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else {
            self.at = self.bytes.len();
            return Err(self.stop("expected a closing quote"));
        };
        if rest.get(stop) == Some(&b'"') {
            self.at = start + stop + 1;
            return Ok(self.slice(start, start + stop)?.into());
        }
        self.escaped_string(start).map(String::into_boxed_str)
    }

    fn slice(&self, start: usize, end: usize) -> Result<&str, Stopped> {
        let text = self.text.get(start..end).unwrap_or_default();
        match text.bytes().position(|byte| byte < 0x20) {
            Some(at) => {
                Err(Stopped::new(start + at, "expected no raw control character in a string; escape it"))
            }
            None => Ok(text),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, Stopped> {
        let mut out = String::new();
        let mut from = start;
        loop {
            let rest = self.bytes.get(from..).unwrap_or_default();
            let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return Err(self.stop("expected a closing quote"));
            };
            out.push_str(self.slice(from, from + stop)?);
            self.at = from + stop + 1;
            if rest.get(stop) == Some(&b'"') {
                return Ok(out);
            }
            out.push(self.escape()?);
            from = self.at;
        }
    }

    fn escape(&mut self) -> Result<char, Stopped> {
        let char = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.stop("expected an escape that JSON knows")),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Result<char, Stopped> {
        let first = self.hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                let low = (self.bytes.get(self.at..self.at + 2) == Some(b"\\u"))
                    .then(|| {
                        self.at += 2;
                        self.hex()
                    })
                    .transpose()?;
                match low {
                    Some(low @ 0xDC00..=0xDFFF) => 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00),
                    _ => 0xFFFD,
                }
            }
            code => code,
        };
        // A lone surrogate is no character; documents in the wild hold them in examples.
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, Stopped> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.stop("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}
