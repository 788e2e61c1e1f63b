//! JSON text (RFC 8259), token by token, without a copy of it.
//!
//! UTF-8 has been checked for the whole text before a [`Lexer`] is made; everything else is checked on the way.
//! Words of eight bytes are looked at as one number: `x - 0x01…01 & !x & 0x80…80` has the high bit of the lowest
//! zero byte of `x` (and nothing below it).

use super::number::Num;

/// Why a text is no JSON that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It breaks the grammar, or has a number beyond the range of doubles.
    Malformed,
    /// An object names a member twice.
    DuplicateKey,
    /// Too deep, too many values, or too long.
    TooComplex,
}

/// The text of a string between its quotes, as written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'b> {
    pub(crate) raw: &'b str,
    /// It has escapes.
    pub(crate) escaped: bool,
}

impl Text<'_> {
    /// Appends what the text stands for.
    pub(crate) fn unescape(self, out: &mut String) {
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(rest.get(..at).unwrap_or_default());
            let (char, taken) =
                escape(rest.as_bytes().get(at..).unwrap_or_default()).unwrap_or(('\u{fffd}', 2));
            out.push(char);
            rest = rest.get(at + taken..).unwrap_or_default();
        }
        out.push_str(rest);
    }
}

/// A place in a text that is UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer<'b> {
    text: &'b str,
    pub(crate) at: usize,
}

impl<'b> Lexer<'b> {
    pub(crate) fn new(text: &'b str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    fn bytes(&self) -> &'b [u8] {
        self.text.as_bytes()
    }

    /// What has not been taken yet.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.bytes().get(self.at..).unwrap_or_default()
    }

    /// The bytes between two places.
    pub(crate) fn span(&self, from: usize, to: usize) -> &'b [u8] {
        self.bytes().get(from..to).unwrap_or_default()
    }

    /// The next byte that is not white space, without taking it; zero at the end.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        loop {
            match self.bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Takes `byte`, after white space.
    #[inline(always)]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == byte {
            self.at += 1;
            return Ok(());
        }
        Err(Fault::Malformed)
    }

    /// After a member or an item: whether another follows. Takes the comma or the closing bracket.
    #[inline(always)]
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Fault::Malformed),
        }
    }

    /// Takes an opening bracket; whether something follows that is not the closing one, which is taken too.
    #[inline(always)]
    pub(crate) fn open(&mut self, close: u8) -> bool {
        self.at += 1;
        if self.peek() == close {
            self.at += 1;
            return false;
        }
        true
    }

    /// Takes a string, its opening quote being next after white space.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Text<'b>, Fault> {
        if self.peek() != b'"' {
            return Err(Fault::Malformed);
        }
        self.quoted()
    }

    /// Takes a string whose opening quote stands at the place itself.
    #[inline(always)]
    pub(crate) fn quoted(&mut self) -> Result<Text<'b>, Fault> {
        let start = self.at + 1;
        let end = start + plain(self.bytes().get(start..).unwrap_or_default());
        if self.bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            // Both ends are beside a quote, so they are between characters.
            return Ok(Text { raw: self.text.get(start..end).unwrap_or_default(), escaped: false });
        }
        let raw = self.escaped(start, end)?;
        Ok(Text { raw, escaped: true })
    }

    /// The rest of a string, from where it is not plain any more.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<&'b str, Fault> {
        loop {
            match self.bytes().get(at) {
                Some(b'"') => break,
                Some(b'\\') => match escape(self.bytes().get(at..).unwrap_or_default()) {
                    Some((_, taken)) => at += taken,
                    None => {
                        self.at = at;
                        return Err(Fault::Malformed);
                    }
                },
                _ => {
                    self.at = at;
                    return Err(Fault::Malformed);
                }
            }
            at += plain(self.bytes().get(at..).unwrap_or_default());
        }
        self.at = at + 1;
        Ok(self.text.get(start..at).unwrap_or_default())
    }

    /// Takes `true`, `false` or `null`.
    #[inline]
    pub(crate) fn literal(&mut self, word: &str) -> Result<(), Fault> {
        if !self.bytes().get(self.at..).unwrap_or_default().starts_with(word.as_bytes()) {
            return Err(Fault::Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Num, Fault> {
        let (bytes, start) = (self.bytes(), self.at);
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        // One digit alone is what most integers are.
        if let digit @ b'0'..=b'9' = byte(start)
            && !matches!(byte(start + 1), b'0'..=b'9' | b'.' | b'e' | b'E')
        {
            self.at = start + 1;
            return Ok(Num::Integer(i64::from(digit - b'0')));
        }
        let negative = byte(start) == b'-';
        let first = start + usize::from(negative);
        let (mut mantissa, mut at) = digits(bytes, first, 0);
        let mut count = at - first;
        if count == 0 || count > 1 && byte(first) == b'0' {
            self.at = if count == 0 { at } else { first };
            return Err(Fault::Malformed);
        }
        let mut exponent = 0_i64;
        let mut is_integer = true;
        if byte(at) == b'.' {
            is_integer = false;
            let from = at + 1;
            (mantissa, at) = digits(bytes, from, mantissa);
            if at == from {
                self.at = at;
                return Err(Fault::Malformed);
            }
            count += at - from;
            exponent = -i64::try_from(at - from).unwrap_or(i64::MAX);
        }
        if let b'e' | b'E' = byte(at) {
            is_integer = false;
            at += 1;
            let sign = byte(at);
            let from = at + usize::from(matches!(sign, b'+' | b'-'));
            let written;
            (written, at) = digits(bytes, from, 0);
            if at == from {
                self.at = at;
                return Err(Fault::Malformed);
            }
            // Beyond any double either way; longer ones are judged by their digits below.
            let written = if at - from > 8 { 99_999_999 } else { i64::try_from(written).unwrap_or(0) };
            exponent += if sign == b'-' { -written } else { written };
        }
        self.at = at;
        if count <= 19 && is_integer {
            match i64::try_from(mantissa) {
                Ok(magnitude) => return Ok(Num::Integer(if negative { -magnitude } else { magnitude })),
                Err(_) if !negative => return Ok(Num::Large(mantissa)),
                Err(_) if mantissa == 1 << 63 => return Ok(Num::Integer(i64::MIN)),
                Err(_) => {}
            }
        }
        self.float(start, negative, mantissa, count, exponent, is_integer)
    }

    /// A number that is no small integer. Mantissas below 2^53 and powers of ten up to 22 are exact as doubles,
    /// so that one operation rounds correctly (Clinger 1990).
    fn float(
        &mut self,
        start: usize,
        negative: bool,
        mantissa: u64,
        count: usize,
        exponent: i64,
        is_integer: bool,
    ) -> Result<Num, Fault> {
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
            1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        let power = usize::try_from(exponent.unsigned_abs()).ok().and_then(|power| POWERS.get(power));
        if let Some(power) = power
            && count <= 19
            && mantissa < 1 << 53
        {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let magnitude = mantissa as f64;
            let magnitude = if exponent < 0 { magnitude / power } else { magnitude * power };
            return Ok(Num::Float(if negative { -magnitude } else { magnitude }));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if is_integer && let Ok(integer) = text.parse::<u64>() {
            return Ok(Num::Large(integer));
        }
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Ok(Num::Float(float)),
            _ => {
                self.at = start;
                Err(Fault::Malformed)
            }
        }
    }

    /// Passes over one value by its brackets and quotes alone: for text that is, or will be, read in full
    /// elsewhere. It ends at the end of the text at the latest.
    pub(crate) fn hop(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                0 if self.at >= self.len() => return,
                b'"' => {
                    if self.string().is_err() {
                        self.at = self.len();
                        return;
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    if depth > 0 {
                        continue;
                    }
                }
                _ => {
                    let rest = self.bytes().get(self.at..).unwrap_or_default();
                    let end = rest.iter().position(|byte| {
                        matches!(
                            byte,
                            b',' | b':' | b'}' | b']' | b'{' | b'[' | b'"' | b' ' | b'\n' | b'\r' | b'\t'
                        )
                    });
                    self.at += end.unwrap_or(rest.len()).max(1);
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Line and column of the place, from one, columns in bytes.
    pub(crate) fn place(&self) -> (usize, usize) {
        let before = self.bytes().get(..self.at.min(self.len())).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        (line, column)
    }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes come before the first quote, backslash or control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // None of the three has its high bit set, so that one test of it does for all.
        let quote = (word ^ u64::from_ne_bytes([b'"'; 8])).wrapping_sub(ONES);
        let backslash = (word ^ u64::from_ne_bytes([b'\\'; 8])).wrapping_sub(ONES);
        let control = word.wrapping_sub(u64::from_ne_bytes([0x20; 8]));
        let hit = (quote | backslash | control) & !word & HIGHS;
        if hit != 0 {
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + rest.iter().position(stop).unwrap_or(rest.len())
}

/// Takes the digits at `at` onto a mantissa, which is of no use beyond 19 of them; and says where they end.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, mut mantissa: u64) -> (u64, usize) {
    while let Some(byte @ b'0'..=b'9') = bytes.get(at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        at += 1;
    }
    (mantissa, at)
}

/// The character that an escape stands for, and how many bytes it takes. A surrogate without its other half is
/// no character (RFC 8259, section 8.2).
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let code = hex(bytes.get(2..6)?)?;
            if !(0xD800..0xE000).contains(&code) {
                return Some((char::from_u32(code)?, 6));
            }
            let low = bytes.get(6..8).filter(|mark| *mark == b"\\u").and_then(|_| hex(bytes.get(8..12)?))?;
            if code >= 0xDC00 || !(0xDC00..0xE000).contains(&low) {
                return None;
            }
            return Some((char::from_u32(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))?, 12));
        }
        _ => return None,
    };
    Some((char, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for (text, expected) in [
            (r#""""#, Some("")),
            (r#""abc""#, Some("abc")),
            (r#""a long text, of more than eight bytes""#, Some("a long text, of more than eight bytes")),
            (r#""\"\\\/\b\f\n\r\t""#, Some("\"\\/\u{8}\u{c}\n\r\t")),
            (r#""1234567\n9\u00e9""#, Some("1234567\n9é")),
            (r#""\ud83d\ude00é😀""#, Some("😀é😀")),
            (r#""\u007F""#, Some("\u{7f}")),
            (r#""\ud83d""#, None),
            (r#""\ude00\ud83d""#, None),
            (r#""\ud83d\u0041""#, None),
            (r#""\u12g4""#, None),
            (r#""\u+123""#, None),
            (r#""\x""#, None),
            (r#""\"#, None),
            (r#""abc"#, None),
            ("\"a\nb\"", None),
            ("\"1234567\u{1f}\"", None),
            ("\"\u{0}\"", None),
        ] {
            let mut lexer = Lexer::new(text);
            let found = lexer.string().ok().map(|found| {
                let mut out = String::new();
                found.unescape(&mut out);
                out
            });
            assert_eq!(found.as_deref(), expected, "{text:?}");
            assert_eq!(found, serde_json::from_str::<String>(text).ok(), "{text:?}");
        }
    }

    #[test]
    fn numbers() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "12.5",
            "0.1",
            "1e5",
            "1E+5",
            "1e-5",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "1e308",
            "1e309",
            "-1e400",
            "5e-324",
            "1e-999999999999",
            "0e99999999999",
            "2.2250738585072011e-308",
            "0.30000000000000004",
            "9007199254740993.0",
            "1.7976931348623157e308",
            "00",
            "01",
            "-",
            "-a",
            ".5",
            "5.",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "1.e1",
            "100000000000000000000000e-22",
            "0.000000000000000000000000000001",
        ] {
            let mut lexer = Lexer::new(text);
            let found = lexer.number().ok().filter(|_| lexer.at == text.len());
            let oracle = serde_json::from_str::<serde_json::Number>(text).ok();
            assert_eq!(found.is_some(), oracle.is_some(), "{text} {found:?}");
            if let (Some(found), Some(oracle)) = (found, oracle) {
                assert!(found.compare(Num::of(&oracle)).is_eq(), "{text} {found:?} {oracle}");
            }
        }
    }

    #[test]
    fn values_are_passed_over() {
        for (text, end) in [
            ("1,", 1),
            ("\"a]\\\"}\" ,", 7),
            ("{\"a\":[1,{}],\"b\":null} x", 21),
            ("[]]", 2),
            ("true]", 4),
            ("[[[", 3),
            ("{\"a", 3),
        ] {
            let mut lexer = Lexer::new(text);
            lexer.hop();
            assert_eq!(lexer.at, end, "{text}");
        }
    }
}
