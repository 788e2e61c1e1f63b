//! `pattern`: expressions of ECMA-262, matched in linear time.
//!
//! An expression is translated to the syntax of the `regex` crate and checked when the document is loaded; it
//! is compiled when it is first used. Look-around and back-references have no linear-time form: those few run
//! under a step limit, and a text that exhausts it does not match.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look};

/// Bytes that one compiled expression may take.
const SIZE_LIMIT: usize = 32 << 20;

/// Expressions that may be heavier than this are compiled at load, to know whether they can be.
const LAZY_WEIGHT: u64 = 20_000;

/// Steps that an expression with look-around may take on one text.
const STEP_LIMIT: usize = 100_000;

/// Bytes of text that an expression with look-around is tried on; longer texts do not match.
const STEPPED_TEXT: usize = 16 << 10;

/// A `pattern` or a key of `patternProperties`.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    translated: Box<str>,
    plan: Plan,
    matcher: OnceLock<Option<Matcher>>,
}

#[derive(Debug)]
enum Plan {
    /// Matches every text.
    Always,
    /// The whole text is of runs of characters, where each ends is plain to see.
    Runs(Box<[Run]>),
    Linear,
    /// With look-around or back-references.
    Stepped,
}

/// So many characters of a class.
#[derive(Debug)]
struct Run {
    /// A bit for each byte that is a character of ASCII: none of the upper half.
    ascii: [u8; 32],
    ranges: Box<[(char, char)]>,
    min: u32,
    max: Option<u32>,
}

#[derive(Debug)]
enum Matcher {
    Linear(regex::Regex),
    Stepped(fancy_regex::Regex),
}

impl Pattern {
    /// Translates and checks an expression.
    ///
    /// # Errors
    /// If it is no expression, or one that cannot be matched within bounds.
    pub(crate) fn new(source: &str) -> Result<Self, &'static str> {
        let translated = translate(source);
        let pattern = |plan| Self {
            source: source.into(),
            translated: translated.as_str().into(),
            plan,
            matcher: OnceLock::new(),
        };
        let Ok(hir) = regex_syntax::Parser::new().parse(&translated) else {
            // Word boundaries of ASCII alone are not known there.
            let translated = translated.replace("(?-u:\\b)", "\\b").replace("(?-u:\\B)", "\\B");
            let pattern = Self { translated: translated.as_str().into(), ..pattern(Plan::Stepped) };
            return if needs_steps(&translated) && pattern.compiles() {
                Ok(pattern)
            } else {
                Err("a regular expression of ECMA-262")
            };
        };
        let (hir, translated) = match trimmed(&hir) {
            Some(trimmed) => {
                let text = trimmed.to_string();
                (trimmed, text)
            }
            None => (hir, translated),
        };
        let pattern = |plan| Self {
            source: source.into(),
            translated: translated.as_str().into(),
            plan,
            matcher: OnceLock::new(),
        };
        if hir.properties().look_set().is_empty() && hir.properties().minimum_len() == Some(0) {
            return Ok(pattern(Plan::Always));
        }
        if let Some(runs) = runs(&hir) {
            return Ok(pattern(Plan::Runs(runs)));
        }
        let heavy = weight(&hir) > LAZY_WEIGHT;
        let pattern = pattern(Plan::Linear);
        if heavy && !pattern.compiles() {
            return Err("a regular expression that needs less memory; shorten its repetitions");
        }
        Ok(pattern)
    }

    /// The expression as written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether a text contains a match. A text that cannot be judged within bounds does not.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match &self.plan {
            Plan::Always => true,
            Plan::Runs(runs) => runs_match(runs, text),
            Plan::Linear | Plan::Stepped => match self.matcher() {
                Some(Matcher::Linear(regex)) => regex.is_match(text),
                Some(Matcher::Stepped(regex)) => {
                    text.len() <= STEPPED_TEXT && regex.is_match(text).unwrap_or(false)
                }
                None => false,
            },
        }
    }

    /// Whether it can be compiled.
    pub(crate) fn compiles(&self) -> bool {
        matches!(self.plan, Plan::Always | Plan::Runs(_)) || self.matcher().is_some()
    }

    fn matcher(&self) -> Option<&Matcher> {
        let compile = || match self.plan {
            Plan::Stepped => {
                let mut builder = fancy_regex::RegexBuilder::new(&self.translated);
                builder.backtrack_limit(STEP_LIMIT).delegate_size_limit(SIZE_LIMIT);
                builder.build().ok().map(Matcher::Stepped)
            }
            _ => {
                let mut builder = regex::RegexBuilder::new(&self.translated);
                builder.size_limit(SIZE_LIMIT).build().ok().map(Matcher::Linear)
            }
        };
        self.matcher.get_or_init(compile).as_ref()
    }
}

/// Recognises `^[class]{min,max}[class]{min,max}…$` where every run is as long as it can be: what may follow it has no
/// character of its class, or it has one length only.
fn runs(hir: &Hir) -> Option<Box<[Run]>> {
    const MOST: usize = 48;
    let HirKind::Concat(parts) = unwrap(hir).kind() else { return None };
    let [start, body @ .., end] = parts.as_slice() else { return None };
    if !matches!(start.kind(), HirKind::Look(Look::Start)) || !matches!(end.kind(), HirKind::Look(Look::End))
    {
        return None;
    }
    let mut list: Vec<(ClassUnicode, u32, Option<u32>)> = Vec::new();
    for part in body {
        flatten(part, &mut list)?;
        if list.len() > MOST {
            return None;
        }
    }
    for (at, (class, min, max)) in list.iter().enumerate() {
        if Some(*min) == *max {
            continue;
        }
        for (next, least, _) in list.iter().skip(at + 1) {
            let mut both = class.clone();
            both.intersect(next);
            if !both.ranges().is_empty() {
                return None;
            }
            if *least > 0 {
                break;
            }
        }
    }
    (!list.is_empty()).then(|| list.iter().map(|(class, min, max)| Run::of(class, *min, *max)).collect())
}

fn flatten(part: &Hir, list: &mut Vec<(ClassUnicode, u32, Option<u32>)>) -> Option<()> {
    let part = unwrap(part);
    match part.kind() {
        HirKind::Literal(literal) => {
            for char in std::str::from_utf8(&literal.0).ok()?.chars() {
                list.push((ClassUnicode::new([ClassUnicodeRange::new(char, char)]), 1, Some(1)));
            }
        }
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| flatten(part, list))?,
        HirKind::Class(Class::Unicode(class)) => list.push((class.clone(), 1, Some(1))),
        HirKind::Repetition(repetition) => {
            let mut inner = Vec::new();
            flatten(&repetition.sub, &mut inner)?;
            match inner.as_slice() {
                [(class, 1, Some(1))] => list.push((class.clone(), repetition.min, repetition.max)),
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

fn runs_match(runs: &[Run], text: &str) -> bool {
    runs.iter().try_fold(text, |rest, run| run.take(rest)).is_some_and(str::is_empty)
}

impl Run {
    fn of(class: &ClassUnicode, min: u32, max: Option<u32>) -> Self {
        let mut ascii = [0; 32];
        for range in class.ranges() {
            for code in u32::from(range.start())..=u32::from(range.end()).min(127) {
                if let Some(bits) = ascii.get_mut(code as usize / 8) {
                    *bits |= 1 << (code % 8);
                }
            }
        }
        let ranges = class.ranges().iter().map(|range| (range.start(), range.end())).collect();
        Self { ascii, ranges, min, max }
    }

    /// Whether a byte is a character of ASCII that belongs.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "an eighth of a byte is below 32")]
    fn has_byte(&self, byte: u8) -> bool {
        self.ascii[usize::from(byte / 8)] >> (byte % 8) & 1 == 1
    }

    fn has(&self, char: char) -> bool {
        if let Ok(byte @ 0..128) = u8::try_from(char) {
            return self.has_byte(byte);
        }
        let after = self.ranges.partition_point(|(start, _)| *start <= char);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, end)| char <= *end)
    }

    /// What follows the run that a text starts with, if it does.
    #[inline]
    fn take<'t>(&self, text: &'t str) -> Option<&'t str> {
        let max = self.max.map_or(usize::MAX, |max| max as usize);
        // Characters of ASCII are bytes.
        let most = text.as_bytes().get(..max).unwrap_or(text.as_bytes());
        let count = most.iter().position(|byte| !self.has_byte(*byte)).unwrap_or(most.len());
        let rest = text.get(count..)?;
        if count < max && rest.bytes().next().is_some_and(|byte| byte >= 128) {
            return self.take_any(rest, count, max);
        }
        (count >= self.min as usize).then_some(rest)
    }

    /// The same after `count` characters, for any text.
    fn take_any<'t>(&self, text: &'t str, mut count: usize, max: usize) -> Option<&'t str> {
        let mut chars = text.chars();
        while count < max {
            let mut next = chars.clone();
            match next.next() {
                Some(char) if self.has(char) => {
                    chars = next;
                    count += 1;
                }
                _ => break,
            }
        }
        (count >= self.min as usize).then_some(chars.as_str())
    }
}

/// Whether an expression has look-around or back-references.
fn needs_steps(translated: &str) -> bool {
    let escaped = |digit: char| translated.contains(&format!("\\{digit}"));
    ["(?=", "(?!", "(?<=", "(?<!", "(?>", "\\k<"].iter().any(|mark| translated.contains(mark))
        || ('1'..='9').any(escaped)
}

/// An expression without what does not matter to whether a text contains a match: where nothing is anchored
/// after the last repetition, or before the first one, only its least count matters.
fn trimmed(hir: &Hir) -> Option<Hir> {
    let least = |hir: &Hir| match hir.kind() {
        HirKind::Repetition(repetition) if repetition.max != Some(repetition.min) => {
            let max = Some(repetition.min);
            Some(Hir::repetition(regex_syntax::hir::Repetition { max, ..repetition.clone() }))
        }
        _ => None,
    };
    match hir.kind() {
        HirKind::Concat(parts) => {
            let mut parts = parts.clone();
            let first = parts.first().and_then(least);
            let last = parts.last().and_then(least);
            let changed = first.is_some() || last.is_some();
            if let (Some(new), Some(slot)) = (first, parts.first_mut()) {
                *slot = new;
            }
            if let (Some(new), Some(slot)) = (last, parts.last_mut()) {
                *slot = new;
            }
            changed.then(|| Hir::concat(parts))
        }
        _ => least(hir),
    }
}

/// Looks through groups.
fn unwrap(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => unwrap(&capture.sub),
        _ => hir,
    }
}

/// About how many states an expression takes.
fn weight(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 1 + 2 * class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(_)) => 1,
        HirKind::Capture(capture) => weight(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min).max(1));
            weight(&repetition.sub).saturating_mul(times)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(weight).fold(0, u64::saturating_add)
        }
    }
}

/// Rewrites what ECMA-262 and the `regex` crate read differently.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let chars: Vec<char> = source.chars().collect();
    let mut at = 0;
    let mut in_class = false;
    // Whether a set such as `\w` stands before: a dash after it is literal.
    let mut after_set = false;
    while let Some(char) = chars.get(at).copied() {
        let next = chars.get(at + 1).copied();
        match char {
            '\\' => {
                after_set = starts_set(&chars, at);
                at += escape(&chars, at, in_class, &mut out);
                continue;
            }
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    at += 1;
                }
                // `[]` matches nothing and `[^]` everything.
                if chars.get(at + 1) == Some(&']') {
                    out.truncate(out.len() - if next == Some('^') { 2 } else { 1 });
                    out.push_str(if next == Some('^') { "[\\s\\S]" } else { "[^\\s\\S]" });
                    in_class = false;
                    at += 1;
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            ']' => out.push_str("\\]"),
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(char);
            }
            '-' if in_class && (next == Some('-') || after_set || starts_set(&chars, at + 1)) => {
                out.push_str("\\-");
            }
            '.' if !in_class => out.push_str("[^\\n\\r\\u{2028}\\u{2029}]"),
            '{' if !in_class && !is_quantifier(&chars, at) => out.push_str("\\{"),
            '}' if !in_class && !closes_quantifier(&chars, at) => out.push_str("\\}"),
            '(' if !in_class && next == Some('?') && chars.get(at + 2) == Some(&'<') => {
                // A named group keeps its name; `(?<=` and `(?<!` are look-behind.
                out.push('(');
            }
            other => out.push(other),
        }
        after_set = false;
        at += 1;
    }
    out
}

fn starts_set(chars: &[char], at: usize) -> bool {
    chars.get(at) == Some(&'\\')
        && matches!(chars.get(at + 1), Some('d' | 'w' | 's' | 'D' | 'W' | 'S' | 'p' | 'P'))
}

/// Sets that Java calls properties, as this crate calls them.
fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Alnum" => "alnum",
        "Alpha" => "alpha",
        "ASCII" => "ascii",
        "Blank" => "blank",
        "Cntrl" => "cntrl",
        "Digit" => "digit",
        "Graph" => "graph",
        "Lower" => "lower",
        "Print" => "print",
        "Punct" => "punct",
        "Space" => "space",
        "Upper" => "upper",
        "XDigit" => "xdigit",
        _ => return None,
    })
}

/// Writes the escape at `at` and answers how many characters it took.
fn escape(chars: &[char], at: usize, in_class: bool, out: &mut String) -> usize {
    let Some(char) = chars.get(at + 1).copied() else {
        out.push_str("\\\\");
        return 1;
    };
    let hex = |from: usize, count: usize| -> Option<u32> {
        let digits: String = chars.get(from..from + count)?.iter().collect();
        u32::from_str_radix(&digits, 16).ok()
    };
    match char {
        'd' => set(out, in_class, "0-9"),
        'w' => set(out, in_class, "A-Za-z0-9_"),
        's' => set(out, in_class, "\\s\\u{feff}"),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^A-Za-z0-9_]"),
        'S' => out.push_str("[^\\s\\u{feff}]"),
        'p' | 'P' if chars.get(at + 2) == Some(&'{') => {
            let name: String = chars.iter().skip(at + 3).take_while(|char| **char != '}').collect();
            match (posix(&name), name.as_str()) {
                (Some(class), _) => {
                    let not = if char == 'P' { "^" } else { "" };
                    set(out, in_class, &format!("[:{not}{class}:]"));
                }
                (None, "all" | "IsAll") => set(out, in_class, "\\s\\S"),
                (None, "LD") => set(out, in_class, "\\p{L}\\p{Nd}"),
                (None, name) => out.push_str(&format!("\\{char}{{{name}}}")),
            }
            return name.chars().count() + 4;
        }
        'b' if in_class => out.push_str("\\x08"),
        'b' => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        'u' if chars.get(at + 2) == Some(&'{') => {
            out.push_str("\\u{");
            return 3;
        }
        'u' => {
            let Some(mut code) = hex(at + 2, 4) else {
                out.push('u');
                return 2;
            };
            let mut taken = 6;
            if (0xD800..0xDC00).contains(&code)
                && chars.get(at + 6..at + 8) == Some(&['\\', 'u'])
                && let Some(low @ 0xDC00..=0xDFFF) = hex(at + 8, 4)
            {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                taken = 12;
            }
            // A lone surrogate cannot occur in a text.
            let code = if (0xD800..0xE000).contains(&code) { 0xFFFE } else { code };
            out.push_str(&format!("\\u{{{code:x}}}"));
            return taken;
        }
        'x' if chars.get(at + 2) == Some(&'{') => {
            out.push_str("\\x{");
            return 3;
        }
        'x' if hex(at + 2, 2).is_some() => {
            out.push_str(&format!("\\x{{{:x}}}", hex(at + 2, 2).unwrap_or_default()));
            return 4;
        }
        'c' if chars.get(at + 2).is_some_and(char::is_ascii_alphabetic) => {
            let control = chars.get(at + 2).map_or(0, |char| u32::from(*char) % 32);
            out.push_str(&format!("\\x{{{control:x}}}"));
            return 3;
        }
        '0' if !chars.get(at + 2).is_some_and(char::is_ascii_digit) => out.push_str("\\x00"),
        'Z' if !in_class => out.push_str("\\z"),
        // Known to both, or a back-reference that is refused later.
        'n' | 'r' | 't' | 'f' | 'v' | 'p' | 'P' | 'k' | 'A' | 'z' | '1'..='9' => {
            out.push('\\');
            out.push(char);
        }
        char if char.is_ascii_alphanumeric() => out.push(char),
        '<' | '>' => out.push(char),
        char if char.is_ascii() => {
            out.push('\\');
            out.push(char);
        }
        char => out.push(char),
    }
    2
}

/// Writes a set of characters, in brackets of its own unless it stands in some.
fn set(out: &mut String, in_class: bool, inner: &str) {
    if in_class {
        out.push_str(inner);
    } else {
        out.push('[');
        out.push_str(inner);
        out.push(']');
    }
}

/// Whether `{` starts `{2}`, `{2,}` or `{2,3}` after something.
fn is_quantifier(chars: &[char], at: usize) -> bool {
    let inner: String = chars.iter().skip(at + 1).take_while(|char| **char != '}').take(16).collect();
    let closed = chars.get(at + 1 + inner.chars().count()) == Some(&'}');
    let (min, max) = inner.split_once(',').unwrap_or((&inner, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    at > 0 && closed && !min.is_empty() && digits(min) && digits(max)
}

fn closes_quantifier(chars: &[char], at: usize) -> bool {
    let open = chars.get(..at).unwrap_or_default().iter().rposition(|char| *char == '{');
    open.is_some_and(|open| {
        let escaped = open.checked_sub(1).and_then(|before| chars.get(before));
        // `\u{1F600}` and `\x{41}` close here as well.
        is_quantifier(chars, open) && !chars.get(open..at).unwrap_or_default().contains(&'}')
            || matches!(escaped, Some('u' | 'x'))
    })
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_as_in_ecma() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("^a+$", &["a", "aaa"], &["", "b", "a\n"]),
            ("a", &["xax"], &["x"]),
            ("^\\d{3}$", &["123"], &["12", "١٢٣"]),
            ("^\\w+$", &["a_1"], &["é", "a b"]),
            ("^[\\w.\\-]+\\/x$", &["a.-/x"], &["a+/x"]),
            ("^[[a]+$", &["[a"], &["]"]),
            ("^[a&&b]$", &["&", "a"], &["c"]),
            ("^\\u00e9$", &["é"], &["e"]),
            ("^\\ud83d\\ude00$", &["😀"], &["x"]),
            ("^[^]$", &["\n", "a"], &["", "ab"]),
            ("^x{1,2}$", &["x", "xx"], &["xxx"]),
            ("^{a}$", &["{a}"], &["a"]),
            ("^\\p{Lu}+$", &["AÄ"], &["a"]),
            ("^(?=.*[A-Z])(?=.*\\d).{8,}$", &["Abcdefg1"], &["abcdefg1", "Abc1"]),
            ("^(?!admin)[a-z]+$", &["user"], &["admin"]),
            ("^[\\s\\S]{0,65535}$", &["", "any\nthing"], &[]),
            ("[\\s\\S]*", &["", "x"], &[]),
            ("^[a-z0-9]{1,63}$", &["abc"], &["", "A", "é"]),
            ("^([a-zé]{2,4})$", &["éa"], &["a", "abcde"]),
            ("^\\_\\@\\<\\-$", &["_@<-"], &["_"]),
            ("^.$", &["a", "é"], &["\n", "\u{2028}", ""]),
            ("^[\\d-]+$", &["1-2"], &["a"]),
            ("^(?<year>\\d{4})$", &["2024"], &["24"]),
            ("^\\cA\\x41\\0$", &["\u{1}A\0"], &["A"]),
            ("\\Afoo\\Z", &["foo"], &["foobar"]),
            ("^\\d{4}(?!\\d{2}\\b)-?\\d+$", &["2024-1"], &["202412"]),
            ("^[\\w-.]+$", &["a-.b"], &["a b"]),
            ("^[\\s-_]+$", &[" -_"], &["a"]),
            ("^[a-\\d]+$", &["a-1"], &["b"]),
            ("^\\p{Alnum}[\\p{Punct}_]$", &["a!"], &["!a"]),
            ("^.{1,2097152}", &["a"], &["", "\n"]),
            ("a{2,3}b*", &["xaa"], &["xa"]),
            ("[^\\p{C}]{1,2048}", &["x"], &["", "\u{0}"]),
            ("^\\S+\\s\\S+$", &["a b"], &["a", "a b c"]),
            (
                "^[A-Z]{2}-[0-9]{4}$",
                &["AB-1234"],
                &["AB-123", "AB-12345", "A-1234", "AB1234", "", "AB-1234\n"],
            ),
            (
                "^(acct_)[a-z]*[0-9]?$",
                &["acct_", "acct_ab", "acct_ab1"],
                &["acct", "acct_1a", "acct_A", "acct_11"],
            ),
            ("^[a-c]*[b-d]$", &["b", "ab", "aab", "abd"], &["a", "", "e"]),
            ("^[a-c]{2}[a-c]{0,2}é+$", &["abé", "abcaéé"], &["aé", "abcabé", "ab"]),
            ("^#(?:[0-9a-fA-F]{3}){1,2}$", &["#abc", "#abcdef"], &["#abcd", "abc"]),
        ];
        for (source, good, bad) in cases {
            let pattern = Pattern::new(source).unwrap_or_else(|e| panic!("{source}: {e}"));
            good.iter()
                .for_each(|text| assert!(pattern.is_match(text), "{source} {text:?} {}", pattern.translated));
            bad.iter().for_each(|text| {
                assert!(!pattern.is_match(text), "{source} {text:?} {}", pattern.translated);
            });
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for source in ["(", "a{2,1}", "[b-a]", "*", "(?<n>a", "\\k<x>", "((((a{999}){999}){999}){999})"] {
            assert!(Pattern::new(source).is_err(), "{source}");
        }
    }

    #[test]
    fn hostile_texts_are_bounded() {
        let pattern = Pattern::new("^(?=a)(a+)+\\1$").unwrap();
        assert!(!pattern.is_match(&("a".repeat(5000) + "!")));
        let linear = Pattern::new("^(a+)+$").unwrap();
        assert!(!linear.is_match(&("a".repeat(50_000) + "!")));
    }
}
