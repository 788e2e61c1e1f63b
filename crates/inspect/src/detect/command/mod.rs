//! Commands for a shell: a separator or a substitution, and then a command as a shell would read it.
//!
//! What a shell drops is dropped first: quotation marks inside words, backslashes and carets, `$IFS`, `${IFS}`, braces
//! (`{cat,/etc/passwd}`), empty variables (`$@`, `$*`, `$u`). Names that English has too (cat, more, find, …) need
//! arguments that only a command has.

mod arguments;
mod names;

use smallvec::SmallVec;

use self::arguments::arguments;
use self::names::COMMANDS;
use self::names::Name::{Common, Rare};
use crate::class::Class;
use crate::detect::View;
use crate::text::{at, from, has, has_any, is_space, is_word, skip_while, slice, starts, trim};
use crate::verdict::Hits;

/// Names that end a payload by themselves: what attackers ask first.
const PROBES: [&str; 14] = [
    "id", "ls", "dir", "whoami", "pwd", "uname", "ps", "env", "ver", "who", "hostname", "ifconfig",
    "ipconfig", "reboot",
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    // For words that stand anywhere, for those of short values, and for the separators.
    if !hits.spend(bytes.len() * 4 + if bytes.len() < 24 { 256 } else { 64 }) {
        return;
    }
    shellshock(bytes, hits);
    if bytes.len() < 24 {
        probe_alone(bytes, hits);
    }
    piped(view, hits);
    let mut index = 0;
    // The beginning: a value that is a command.
    let start = skip_while(bytes, 0, |b| is_space(b) || matches!(b, b'\'' | b'"' | b'+'));
    judge(view, Opening::Start, start, hits);
    while index < bytes.len() {
        let (opening, next) = opening(bytes, index);
        if let Some(opening) = opening {
            judge(view, opening, next, hits);
        }
        index = next.max(index + 1);
        if hits.budget.is_out() {
            return;
        }
    }
}

/// What makes the next word a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// The value begins.
    Start,
    /// `;`, a line break: also in sentences.
    Weak,
    /// `|`, `&`: also in lists.
    Pipe,
    /// `||`, `&&`.
    Logic,
    /// `$(`, `<(`, `>(`.
    Substitution,
    /// A backtick: Markdown's code, too.
    Backtick,
}

fn opening(bytes: &[u8], index: usize) -> (Option<Opening>, usize) {
    let next = at(bytes, index + 1);
    match at(bytes, index) {
        b';' => (Some(Opening::Weak), index + 1),
        // Lines without anything in them are one break.
        b'\n' | b'\r' => (Some(Opening::Weak), skip_while(bytes, index + 1, is_space)),
        b'|' if next == b'|' => (Some(Opening::Logic), index + 2),
        b'&' if next == b'&' => (Some(Opening::Logic), index + 2),
        b'|' | b'&' => (Some(Opening::Pipe), index + 1),
        b'$' | b'<' | b'>' if next == b'(' => (Some(Opening::Substitution), index + 2),
        b'`' => (Some(Opening::Backtick), index + 1),
        _ => (None, index + 1),
    }
}

/// The word of a shell at `index`, cleaned, and the index behind it.
fn word(bytes: &[u8], index: usize) -> (SmallVec<[u8; 48]>, usize, bool) {
    let mut out = SmallVec::new();
    let mut index = index;
    let mut hidden = false;
    let end = bytes.len().min(index + 96);
    while index < end {
        let byte = at(bytes, index);
        match byte {
            b'\'' | b'"' | b'\\' | b'^' => {
                hidden |= !out.is_empty() && is_word(at(bytes, index + 1));
                // `C:\` and `dir\x` keep theirs.
                if byte == b'\\' && (out.last() == Some(&b':') || out.contains(&b'\\')) {
                    out.push(byte);
                }
            }
            b'$' => {
                let skipped = variable(bytes, index);
                if skipped == index || is_gap(bytes, index) {
                    break;
                }
                hidden |= !out.is_empty();
                index = skipped;
                continue;
            }
            b'{' if out.is_empty() => hidden = true,
            b',' if hidden && bytes.get(..index).is_some_and(|start| start.contains(&b'{')) => break,
            _ if is_space(byte)
                || matches!(
                    byte,
                    b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')' | b'`' | b',' | b'}' | b'+'
                ) =>
            {
                break;
            }
            _ => out.push(byte),
        }
        index += 1;
    }
    (out, index, hidden)
}

/// The index behind the variable at `index`: `$@`, `$1`, `$u`, `${x}`.
fn variable(bytes: &[u8], index: usize) -> usize {
    match at(bytes, index + 1) {
        b'@' | b'*' | b'#' | b'?' | b'-' | b'!' => index + 2,
        b'0'..=b'9' => index + 2,
        b'{' => {
            let end = skip_while(slice(bytes, 0, index + 40), index + 2, |b| b != b'}');
            if at(bytes, end) == b'}' { end + 1 } else { index }
        }
        byte if byte.is_ascii_alphabetic() || byte == b'_' => {
            skip_while(slice(bytes, 0, index + 40), index + 1, is_word)
        }
        _ => index,
    }
}

/// Whether a blank is spelt here: `$IFS`, `${IFS}`, `${IFS%??}`, `$IFS$9`.
fn is_gap(bytes: &[u8], index: usize) -> bool {
    starts(from(bytes, index), b"$ifs") || starts(from(bytes, index), b"${ifs")
}

/// Behind the blanks at `index`, as a shell reads them (in braces a comma is one); and whether there were any.
fn gap(bytes: &[u8], index: usize, braced: bool) -> (usize, bool, bool) {
    let mut at_ = skip_while(bytes, index, is_space);
    let mut spelt = false;
    for _ in 0..16 {
        if is_space(at(bytes, at_)) || at(bytes, at_) == b'+' {
            at_ += 1;
        } else if is_gap(bytes, at_) {
            at_ = variable(bytes, at_);
            spelt = true;
        } else if at(bytes, at_) == b'$' && spelt && at(bytes, at_ + 1).is_ascii_digit() {
            at_ += 2;
        } else if at(bytes, at_) == b',' && at_ == index && braced {
            at_ += 1;
            spelt = true;
        } else {
            break;
        }
    }
    (at_, at_ > index, spelt)
}

/// Steps for a word where a command may stand, and for what follows a known one.
const WORD: usize = 28;
const ARGUMENTS: usize = 280;

/// Judges the command that may begin at `index`.
fn judge(view: &View<'_>, opening: Opening, index: usize, hits: &mut Hits) {
    let bytes = view.bytes;
    let (begin, blank, _) = gap(bytes, index, false);
    let mut begin = begin;
    while matches!(at(bytes, begin), b'(' | b'!' | b'@') && begin < index + 8 {
        begin += 1;
    }
    let (full, end, hidden) = word(bytes, begin);
    if !hits.spend(begin - index + (end - begin.min(end)) * 2 + WORD) {
        return;
    }
    if full.is_empty() {
        return;
    }
    let base = full.rsplit(|&b| b == b'/' || b == b'\\').next().unwrap_or_default();
    let with_path = base.len() < full.len();
    let bare = base.strip_suffix(b".exe").or_else(|| base.strip_suffix(b".EXE")).unwrap_or(base);
    let glob = with_path
        && full.iter().any(|b| matches!(b, b'?' | b'*'))
        && (starts(&full, b"/???/")
            || starts(&full, b"/bin/")
            || starts(&full, b"/usr/")
            || starts(&full, b"/b") && full.contains(&b'?'));
    let name = match COMMANDS.get(bare) {
        Some(name) => name,
        None if glob => Rare,
        None => {
            assignment(view, opening, &full, index, hits);
            return;
        }
    };
    if !hits.spend(ARGUMENTS) {
        return;
    }
    let system = with_path
        && [&b"/bin/"[..], b"/usr/", b"/sbin/", b"c:\\windows"].iter().any(|root| starts(&full, root))
        || glob;
    let arguments = arguments(bytes, end, at(bytes, begin) == b'{');
    let probe = PROBES.iter().any(|known| bare.eq_ignore_ascii_case(known.as_bytes()));
    let sure = hidden || bare.len() < base.len() || system;
    let strength: i32 = match name {
        _ if sure && (arguments.none || arguments.technical) => 45,
        _ if system => 42,
        Rare if arguments.none => 35,
        Rare if arguments.technical => 40,
        Rare if arguments.host => 40,
        Rare => 10,
        Common if arguments.technical && (arguments.path || arguments.address || arguments.spelt) => 38,
        // `net user eve x /add`.
        Common if arguments.technical && bare.eq_ignore_ascii_case(b"net") => 32,
        Common if arguments.technical => 25,
        Common if arguments.number && matches!(bare, b"sleep" | b"timeout" | b"ping" | b"kill") => 32,
        Common
            if arguments.host
                && matches!(
                    bare,
                    b"ping" | b"curl" | b"wget" | b"dig" | b"host" | b"nc" | b"telnet" | b"ssh" | b"fetch"
                ) =>
        {
            38
        }
        Common if arguments.none && probe => 22,
        Common if arguments.none => 8,
        Common if arguments.ended && matches!(bare, b"echo" | b"printf" | b"eval" | b"grep") => 20,
        Common => -10,
    };
    let tight = !blank;
    let last = end >= bytes.len() || trim(from(bytes, end)).len() < 3;
    let before = slice(bytes, 0, index);
    let place: i32 = match opening {
        Opening::Start => {
            // A whole value: only with a shape that sentences do not have.
            let whole = view.is_short() && !view.document;
            if !whole {
                0
            } else if matches!(name, Rare)
                && (!with_path || system)
                && arguments.none
                && bytes.len() > 4
                && trim(bytes).first().is_some_and(|b| matches!(b, b'\'' | b'"'))
            {
                40
            } else if arguments.technical && (arguments.path || arguments.address || system) {
                // A line of a script is not yet an attack: what it reads or where it connects to may be.
                if arguments.sensitive || system { 34 } else { 24 }
            } else if system && (probe || !arguments.none || glob) {
                40
            } else {
                10
            }
        }
        // The head of a table in Markdown.
        Opening::Pipe if arguments.none && !tight && from(bytes, end).starts_with(b"\n--") => 0,
        // Nothing before the separator, or a quote closed right before it: nothing a sentence does.
        Opening::Weak => {
            let close = if tight && probe {
                49
            } else if before.len() <= 2 {
                44
            } else if tight {
                40
            } else {
                34
            };
            // A new line of a text is no new command.
            if index > 0 && at(bytes, index - 1) != b';' && !view.place.is_one_line() {
                close - 25
            } else {
                close
            }
        }
        Opening::Pipe | Opening::Logic => {
            40 + if tight || before.len() <= 3 { 6 } else { 0 } + if last { 4 } else { 0 }
        }
        Opening::Substitution => 52,
        Opening::Backtick => {
            let closing = from(bytes, end).iter().take(120).position(|&b| b == b'`');
            let run = before.iter().rev().take_while(|&&b| b == b'`').count();
            let outer = at(bytes, index.wrapping_sub(run + 1));
            let behind = closing.map_or(0, |closing| at(bytes, end + closing + 1));
            // Code in a text: behind a blank, in brackets, in doubled marks, or with text behind it.
            let outside = run > 1
                || run < before.len()
                    && (is_space(outer) || matches!(outer, b'(' | b'[' | b'*' | b'_' | b'/'))
                || run == before.len() && (is_space(behind) || matches!(behind, b'.' | b',' | b':' | b'`'));
            if trim(bytes).len() <= closing.unwrap_or(200) + end - index + 3 && closing.is_some() {
                // The whole value: a command substitution, or Markdown's code. The latter has blanks, as people type.
                let typed = !view.place.is_one_line()
                    && arguments.technical
                    && !arguments.sensitive
                    && !has(slice(bytes, end, end + 120), b"://")
                    && !system
                    && !hidden
                    && !slice(bytes, index, end + closing.unwrap_or(0))
                        .iter()
                        .any(|b| matches!(b, b'$' | b';' | b'|' | b'&' | b'>'));
                if run > 1 || typed { 5 } else { 50 }
            } else if outside || closing.is_none() {
                // Markdown's code.
                5
            } else {
                if slice(bytes, 0, 256).iter().any(|&b| is_space(b)) { 45 } else { 50 }
            }
        }
    };
    // `time; date`: a lone word that probes nothing.
    let score = strength + place - if view.document { 25 } else { 0 };
    // A line that begins with a command, or behind a prompt, is a snippet: nothing was broken out of.
    let snippet = score >= 50 && opening != Opening::Start && is_snippet(before);
    let score = if snippet { score - 25 } else { score };
    if score >= 50 && (strength > 0) {
        let why = if opening == Opening::Start {
            "a command of a shell"
        } else {
            "a separator of a shell, and a command"
        };
        hits.add(
            Class::Command,
            score.clamp(0, 97) as u8,
            why,
            index.saturating_sub(1),
            (end + 40).min(bytes.len()),
        );
    }
}

/// Whether the line of which `before` is the beginning begins with a command of its own.
fn is_snippet(before: &[u8]) -> bool {
    // Longer lines are no snippets.
    let before = from(before, before.len().saturating_sub(256));
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let line = from(before, start).trim_ascii_start();
    let prompted = [&b"$ "[..], b"# ", b"> ", b"% "].iter().find_map(|prompt| line.strip_prefix(*prompt));
    let line = prompted.unwrap_or(line);
    let end = skip_while(line, 0, |b| is_word(b) || b == b'-');
    // `FLAGS=$(…)`, as scripts have it.
    let assigned = end > 1
        && slice(line, 0, end).iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        && matches!(from(line, end), b"=" | b"=\"" | b"=$");
    assigned
        || end > 1
            && is_space(at(line, end))
            && line.len() > end + 2
            && (prompted.is_some() || COMMANDS.get(slice(line, 0, end)).is_some())
}

/// A value that is nothing but a command that attackers ask first, and a separator: `;id`, `id|`.
fn probe_alone(bytes: &[u8], hits: &mut Hits) {
    // `"`id`"`: Markdown has no code in quotation marks.
    if let [quote @ (b'"' | b'\''), b'`', word @ .., b'`', last] = trim(bytes)
        && quote == last
        && (COMMANDS.get(word).is_some() || matches!(word, b"true" | b"false"))
    {
        hits.add(Class::Command, 74, "a command in a string", 0, bytes.len());
    }
    let is_separator = |b: &u8| matches!(b, b';' | b'|' | b'&' | b'\n' | b'`') || is_space(*b);
    let start = bytes.iter().position(|b| !is_separator(b)).unwrap_or(0);
    let end = bytes.iter().rposition(|b| !is_separator(b)).map_or(0, |last| last + 1);
    let name = slice(bytes, start, end);
    let separated = slice(bytes, 0, start)
        .iter()
        .chain(from(bytes, end))
        .any(|&b| matches!(b, b';' | b'|' | b'&' | b'`'));
    let asks = [
        "id", "ls", "dir", "whoami", "pwd", "uname", "ps", "ifconfig", "ipconfig", "true", "uname -a",
        "ls -la", "ls -l",
    ];
    // In Markdown `ls` is a word.
    let marked = bytes.first() == Some(&b'`') && bytes.last() == Some(&b'`');
    if separated && !marked && asks.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
        hits.add(Class::Command, 75, "a separator of a shell, and a command", 0, bytes.len());
    }
}

/// `;a=…;b=…;$a$b`, `$'\x63at'`, `$(…)` of what is no known command.
fn assignment(view: &View<'_>, opening: Opening, word: &[u8], index: usize, hits: &mut Hits) {
    if opening == Opening::Start || view.document {
        return;
    }
    let assigns = word
        .iter()
        .position(|&b| b == b'=')
        .is_some_and(|equals| equals > 0 && slice(word, 0, equals).iter().all(|&b| is_word(b)));
    if !assigns {
        return;
    }
    let rest = slice(view.bytes, index, index + 160);
    // `;$a$b`, `;$a`: not `;$name=value`, as lists of settings have.
    let called = rest.windows(2).position(|pair| pair == b";$").is_some_and(|start| {
        let end = skip_while(rest, start + 2, is_word);
        end > start + 2 && matches!(at(rest, end), b'$' | b' ' | 0 | b'/')
    });
    if assigns && called && matches!(opening, Opening::Weak | Opening::Logic) {
        hits.add(Class::Command, 78, "puts a command together from variables", index, index + rest.len());
    }
}

/// `curl … | sh`, `…|base64 -d|bash`: text that is handed to a shell.
fn piped(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'|') {
        let start = index + found;
        index = start + 1;
        let shell = skip_while(bytes, index, is_space).min(index + 2);
        let end = skip_while(bytes, shell, is_word);
        if !hits.spend(end - start + 16) {
            return;
        }
        let name = slice(bytes, shell, end);
        if ![&b"sh"[..], b"bash", b"zsh", b"dash"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            continue;
        }
        let before = slice(bytes, start.saturating_sub(160), start);
        if !hits.spend(before.len() * 4 + 256) {
            return;
        }
        if !is_snippet(slice(bytes, 0, start))
            && has_any(before, &[b"echo", b"curl", b"wget", b"base64", b"printf", b"xxd", b"cat ", b"http"])
        {
            let score = if view.document { 55 } else { 82 };
            hits.add(Class::Command, score, "hands text to a shell", start.saturating_sub(40), end);
        }
    }
}

/// CVE-2014-6271: `() { :;};` at the beginning of a value that ends up in the environment.
fn shellshock(bytes: &[u8], hits: &mut Hits) {
    let Some(start) = slice(bytes, 0, 512).windows(2).position(|pair| pair == b"()") else { return };
    let rest: SmallVec<[u8; 32]> =
        slice(bytes, start, start + 64).iter().copied().filter(|&b| !is_space(b)).take(24).collect();
    if rest.starts_with(b"(){:;};")
        || rest.starts_with(b"(){:;}")
        || rest.starts_with(b"(){_;}")
        || rest.starts_with(b"(){foo:;};")
    {
        hits.add(
            Class::Command,
            96,
            "a function of bash in a variable, and a command behind it",
            start,
            (start + 60).min(bytes.len()),
        );
    }
    if has(bytes, b"/dev/tcp/") {
        hits.add(Class::Command, 88, "a connection made by bash", 0, bytes.len());
    }
}
