//! What a command is called with.

use super::gap;
use crate::finder::Finder;
use crate::text::{at, is_space, is_word, skip_while, slice};

/// What a command is called with.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) none: bool,
    /// A path, an option, an address, a redirection: what words of a language are not.
    pub(super) technical: bool,
    /// A path of the system, or an option.
    pub(super) path: bool,
    /// What attackers read, or where they connect to.
    pub(super) sensitive: bool,
    pub(super) address: bool,
    /// The name of a host.
    pub(super) host: bool,
    pub(super) number: bool,
    /// There was no blank at all, or the next thing is another separator.
    pub(super) ended: bool,
    pub(super) spelt: bool,
}

/// Reads the arguments at `index`; in braces a comma is a blank.
pub(super) fn arguments(bytes: &[u8], index: usize, braced: bool) -> Arguments {
    let (start, blank, spelt) = gap(bytes, index, braced);
    let next = at(bytes, start);
    let ends = start >= bytes.len()
        || matches!(
            next,
            b';' | b'|' | b'&' | b')' | b'`' | b'\n' | b'\r' | b'#' | b'"' | b'\'' | b'}' | b'>' | b'<' | 0
        );
    let mut found = Arguments { spelt, ended: ends, ..Arguments::default() };
    if ends && !matches!(next, b'"' | b'\'' | b'>' | b'<') || start >= bytes.len() {
        found.none = true;
        return found;
    }
    if !blank && !ends {
        // `cat/etc`, `dir:`: no command.
        found.technical = false;
        return found;
    }
    let line = slice(bytes, start, start + 80);
    let line = slice(line, 0, line.iter().position(|&b| matches!(b, b'\n' | b'\r')).unwrap_or(line.len()));
    let first_end = line.iter().position(|&b| is_space(b)).unwrap_or(line.len());
    let first = slice(line, 0, first_end);
    let seen = Seen::of(line, first_end);
    let option = at(first, 0) == b'-' && at(first, 1).is_ascii_alphabetic()
        || first.starts_with(b"--") && at(first, 2).is_ascii_alphabetic() && first.len() > 3
        || at(first, 0) == b'/' && first.len() == 2;
    let path = first.starts_with(b"/") && at(first, 1).is_ascii_alphabetic()
        || first.starts_with(b"~/")
        || first.starts_with(b"./")
        || first.starts_with(b"../")
        || at(first, 1) == b':' && at(first, 2) == b'\\'
        || at(first, 1) == b':' && at(first, 2) == b'/'
        || at(first, 1) == b':'
            && at(first, 0).is_ascii_alphabetic()
            && !is_word(at(first, 2))
            && first.len() < 4
        || seen.first.has(PATH);
    let dotted_first = dotted(first);
    let address = dotted_first || seen.first.has(ADDRESS);
    found.host = named_host(first);
    let later = seen.line.has(LATER) || line.split(|&b| b == b' ').any(dotted);
    let redirect = matches!(at(first, 0), b'>' | b'<')
        && !matches!(at(first, 1), b'/' | b'a'..=b'z' | b'A'..=b'Z')
        || seen.line.has(REDIRECT);
    found.number = !first.is_empty()
        && first
            .iter()
            .take_while(|b| !matches!(b, b';' | b'|' | b'&' | b'`' | b')' | b'\'' | b'"'))
            .all(u8::is_ascii_digit);
    found.sensitive = dotted_first || seen.line.has(SENSITIVE);
    found.path = path || option;
    found.address = address;
    found.technical = path || option || address || redirect || later || spelt;
    found
}

/// What a piece of an argument says: a file, an address, that more arguments follow, a redirection, what attackers want.
#[derive(Debug, Clone, Copy, Default)]
struct Says(u8);

const PATH: u8 = 1;
const ADDRESS: u8 = 1 << 1;
const LATER: u8 = 1 << 2;
const REDIRECT: u8 = 1 << 3;
const SENSITIVE: u8 = 1 << 4;

impl Says {
    fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }
}

/// What the pieces of a line say, and those of its first word alone.
#[derive(Debug, Default)]
struct Seen {
    line: Says,
    first: Says,
}

impl Seen {
    fn of(line: &[u8], first_end: usize) -> Seen {
        let mut seen = Seen::default();
        PIECES.each(line, |index, start| {
            let says = SAYS.get(index).copied().unwrap_or(0);
            seen.line.0 |= says;
            if start + PIECES.word(index).map_or(0, <[u8]>::len) <= first_end {
                seen.first.0 |= says;
            }
        });
        seen
    }
}

static PIECES: Finder = Finder::new(&[
    b"/etc",
    b"/bin",
    b"/tmp",
    b"passwd",
    b"?/",
    b"*/",
    b"http://",
    b"https://",
    b".com",
    b".net",
    b".org",
    b".io",
    b"localhost",
    b"$(",
    b"`",
    b" /",
    b" -c ",
    b" -e ",
    b" -n ",
    b" -i ",
    b" -l ",
    b" -a ",
    b" -p ",
    b" > ",
    b">/",
    b"> /",
    b">&",
    b"</",
    b"/etc/",
    b"/dev/tcp",
    b"burpcollaborator",
    b"oastify",
    b"interact.sh",
    b"127.0.0.1",
    b"/bin/",
    b"system32",
    b"win.ini",
    b"boot.ini",
    b"c:",
]);

/// What each of them says.
const SAYS: [u8; 39] = [
    PATH,
    PATH,
    PATH,
    PATH | SENSITIVE,
    PATH,
    PATH,
    ADDRESS | LATER,
    ADDRESS | LATER,
    ADDRESS,
    ADDRESS,
    ADDRESS,
    ADDRESS,
    ADDRESS | SENSITIVE,
    ADDRESS,
    ADDRESS,
    LATER,
    LATER,
    LATER | SENSITIVE,
    LATER,
    LATER,
    LATER,
    LATER,
    LATER,
    REDIRECT,
    REDIRECT,
    REDIRECT,
    REDIRECT,
    REDIRECT,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
    SENSITIVE,
];

/// `x.example.com`: labels with dots between, the last one of letters.
fn named_host(word: &[u8]) -> bool {
    let end = skip_while(word, 0, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let name = slice(word, 0, end);
    let last = name.rsplit(|&b| b == b'.').next().unwrap_or_default();
    name.len() > last.len() + 1 && last.len() > 1 && last.iter().all(u8::is_ascii_alphabetic)
}

/// Four numbers with dots between: an address.
fn dotted(word: &[u8]) -> bool {
    let mut parts = 0;
    for part in word.splitn(5, |&b| b == b'.') {
        let digits = part.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 3 || parts < 3 && digits != part.len() {
            return false;
        }
        parts += 1;
    }
    parts == 4
}
