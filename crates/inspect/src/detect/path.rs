//! Paths that climb out of their folder, or name what no client has to name.

use std::borrow::Cow;

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, find, from, has, has_any, is_space, is_word, slice, starts, trim};
use crate::verdict::Hits;

/// What attackers read: without separators, since those come in many spellings.
static TARGETS: Finder = Finder::new(&[
    b"etc/passwd",
    b"etc/shadow",
    b"etc/group",
    b"etc/hosts",
    b"etc/issue",
    b"etc/motd",
    b"etc/master.passwd",
    b"etc/sudoers",
    b"etc/crontab",
    b"etc/fstab",
    b"etc/mysql",
    b"etc/apache",
    b"etc/nginx",
    b"etc/httpd",
    b"etc/ssh",
    b"etc/php",
    b"etc/security",
    b"etc/resolv.conf",
    b"etc/environment",
    b"proc/self",
    b"proc/version",
    b"proc/cmdline",
    b"proc/1/",
    b"proc/net",
    b"proc/mounts",
    b"proc/cpuinfo",
    b"proc/sched",
    b"var/log",
    b"var/run/secrets",
    b"var/mail",
    b"var/www",
    b"usr/local/apache",
    b"opt/lampp",
    b"root/.",
    b".ssh/",
    b"id_rsa",
    b".bash_history",
    b"win.ini",
    b"boot.ini",
    b"system.ini",
    b"windows/system32",
    b"winnt/",
    b"windows/repair",
    b"windows/panther",
    b"inetpub",
    b"sam._",
    b"global.asa",
    b"windows.ini",
    b"web-inf",
    b"meta-inf",
    b".htaccess",
    b".htpasswd",
    b"web.config",
    b".git/",
    b".svn/",
    b".env",
    b".aws/credentials",
    b".docker/config",
    b"wp-config",
    b"php.ini",
    b"httpd.conf",
    b"my.ini",
    b"access_log",
    b"error_log",
    b"access.log",
    b"error.log",
    b"config.php",
    b"passwd",
    b"cmd.exe",
]);

/// Files of the system whose separators a filter took.
static SQUASHED: Finder = Finder::new(&[
    b"etcpasswd",
    b"..boot.ini",
    b"..web-inf",
    b"windowswin.ini",
    b"windowssystem32",
    b"web-infweb.xml",
    b"meta-infmanifest",
    b"inetpubwwwroot",
]);

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    if !hits.spend(bytes.len() * 11 + 64) {
        return;
    }
    let clean = separators(bytes);
    let whole = view.is_path_like();
    climbs(view, &clean, whole, hits);
    names(view, &clean, whole, hits);
}

impl View<'_> {
    /// Whether the value is one path, and no text that mentions one.
    fn is_path_like(&self) -> bool {
        let bytes = trim(self.bytes);
        let blanks = bytes.iter().take(4096).filter(|&&b| is_space(b)).count();
        blanks == 0
            || blanks < 3 && bytes.len() < 256 && bytes.starts_with(b"/")
            || matches!(self.place, Place::Path)
    }
}

/// `bytes` with one kind of separator, and without NULs.
fn separators(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = at(bytes, index);
        if !matches!(byte, b'0' | b'x' | b'X' | b'\\' | 0) {
            out.push(byte.to_ascii_lowercase());
            index += 1;
            continue;
        }
        // `0x2e0x2e0x2f`: what decoders of some servers make of it.
        let spelt = slice(bytes, if byte == b'0' { index + 1 } else { index }, index + 4);
        let sign = match () {
            () if starts(spelt, b"x2e") => Some(b'.'),
            () if starts(spelt, b"x2f") || starts(spelt, b"x5c") => Some(b'/'),
            () => None,
        };
        if let Some(sign) = sign {
            out.push(sign);
            index += if byte == b'0' { 4 } else { 3 };
            continue;
        }
        index += 1;
        match byte {
            b'\\' => out.push(b'/'),
            0 => {}
            _ => out.push(byte.to_ascii_lowercase()),
        }
    }
    out
}

/// Counts steps upwards, however they are spelt.
fn climbs(view: &View<'_>, clean: &[u8], whole: bool, hits: &mut Hits) {
    let (mut ups, mut dots, mut odd, mut first) = (0_u32, 0_u32, 0_u32, None);
    let mut long = false;
    let mut start = 0;
    let mut own = 0_u32;
    for end in 0..=clean.len() {
        if end < clean.len() && at(clean, end) != b'/' {
            continue;
        }
        let segment = slice(clean, start, end);
        let bounded = end < clean.len();
        let plain = segment.iter().position(|&b| b == b'.').map_or(segment, |dot| from(segment, dot));
        // `..`, `..;`, `..%00`, `..|`: also where junk stands before the dots.
        let rest = plain.iter().skip_while(|&&b| b == b'.').count();
        let count = plain.len() - rest;
        let lead = segment.len() - plain.len();
        let tail = slice(plain, count, plain.len());
        // `..{file}`: a list for fuzzing, its placeholder not filled in.
        let template = at(tail, 0) == b'{' && tail.ends_with(b"}");
        let junk = template || tail.iter().all(|&b| !is_word(b) && b != b'-' && !is_space(b));
        if count == 2 && junk && (template || tail.len() < 4) && (bounded || start > 0 || clean.len() < 8) {
            if lead == 0 || !is_word(at(segment, lead - 1)) {
                ups += 1;
                first.get_or_insert(start);
                if lead > 0 || !tail.is_empty() {
                    odd += 1;
                }
            }
        } else if count == 1 && segment.len() == 1 {
            dots += 1;
        } else if count > 3 && lead == 0 && start > 0 && start < 2 {
            // `/....x`, `/........x`: what is left of steps when a filter took the separators.
            long = true;
            first.get_or_insert(start);
        } else if count > 2 && lead == 0 && junk && (bounded || start > 0) {
            odd += 1;
            first.get_or_insert(start);
        } else if segment.is_empty() && start > 0 {
            own += 1;
        }
        start = end + 1;
    }
    let at_first = first.unwrap_or(0);
    let mut add = |score: u8, why| hits.add(Class::Path, score, why, at_first, view.bytes.len());
    let target = TARGETS.any(from(clean, at_first));
    if ups > 0 && target && (whole || ups > 1) {
        return add(if view.document { 65 } else { 95 }, "climbs out of its folder to a file of the system");
    }
    if whole
        && !view.document
        && let Some(why) = odd_start(view.bytes, view.place)
    {
        add(72, why);
    }
    if view.document
        || !whole && (ups < 4 || is_import(clean, at_first))
        || ups < 4 && is_link(clean, at_first)
    {
        if ups > 2 && !view.document {
            add(60, "climbs out of its folder");
        }
        return;
    }
    let path = matches!(view.place, Place::Path | Place::Cookie);
    match ups {
        0 if long => add(74, "steps that some file systems read as a way upwards"),
        0 if odd > 2 || odd > 0 && dots > 0 => add(75, "steps that some file systems read as a way upwards"),
        0 if odd > 0 && (path || view.is_short() && own > 0) => {
            add(65, "steps that some file systems read as a way upwards");
        }
        0 if dots > 2 => add(75, "a path of empty steps"),
        0 => {}
        1 if odd > 0 && (path || trim(clean).starts_with(b"/..;")) => add(82, "climbs out of its folder"),
        1 if path => add(72, "climbs out of its folder"),
        1 if clean.starts_with(b"/")
            && trim(clean).trim_start_dots().len() + 3 <= clean.len()
            && from(clean, at_first).starts_with(b"..")
            && slice(clean, 0, at_first).iter().all(|&b| b == b'/' || b == b'.') =>
        {
            add(72, "climbs out of its folder");
        }
        1 if trim(clean).starts_with(b"/../") || has(clean, b"/../") && dots > 0 => {
            add(72, "climbs out of its folder");
        }
        1 => add(45, "climbs one folder up"),
        2 if url_like(clean) => add(55, "climbs out of its folder"),
        _ => add(80, "climbs out of its folder"),
    }
}

/// What is odd about how a path begins: as who compares the beginning of paths does not expect it.
fn odd_start(bytes: &[u8], place: Place) -> Option<&'static str> {
    let bytes = trim(bytes);
    let slashes = bytes.iter().take_while(|&&b| b == b'/').count();
    let dots = from(bytes, slashes).iter().take_while(|&&b| b == b'.').count();
    let next = at(bytes, slashes + dots);
    let name = next.is_ascii_alphanumeric() || next == b'{';
    match (slashes, dots) {
        // `///evil.example`, `////etc`: a host for browsers, a file for servers. Not a comment of code.
        (3..=16, 0) if name && place != Place::Body => Some("more slashes than a path has"),
        // `/./x`, `/.../x`, `/...x`.
        (1, 1) if next == b'/' && place != Place::Body => Some("an empty step at the start of a path"),
        (1, 3..) if (next == b'/' || name) && place != Place::Body => {
            Some("steps that some file systems read as a way upwards")
        }
        // `......boot.ini`: steps whose separators a filter took.
        (0, 6..) if name && has(from(bytes, dots), b".") => Some("steps upwards, their separators gone"),
        _ => None,
    }
}

/// Whether the path at `start` is where a link of Markdown leads, or what a call of `require` loads.
fn is_link(clean: &[u8], start: usize) -> bool {
    let before = slice(clean, 0, start + crate::text::find(from(clean, start), b"..").unwrap_or(0));
    before.ends_with(b"[")
        || before.ends_with(b"](")
        || before.ends_with(b"require('")
        || before.ends_with(b"require(\"")
}

/// Whether the path at `start` is what a line of code imports: `from '../../../x'`, `require("../../..")`.
fn is_import(clean: &[u8], start: usize) -> bool {
    let dots = crate::text::find(from(clean, start), b"..").unwrap_or(0);
    let before = slice(clean, 0, start + dots);
    let Some(before) = before.strip_suffix(b"'").or_else(|| before.strip_suffix(b"\"")) else { return false };
    let before = before.trim_ascii_end();
    [&b"from"[..], b"import", b"require(", b"import(", b"include", b"use"]
        .iter()
        .any(|word| before.strip_suffix(*word).is_some_and(|rest| !rest.last().is_some_and(|&b| is_word(b))))
}

fn url_like(clean: &[u8]) -> bool {
    starts(clean, b"http://") || starts(clean, b"https://")
}

/// Absolute paths of the system.
fn names(view: &View<'_>, clean: &[u8], whole: bool, hits: &mut Hits) {
    let trimmed = trim(clean);
    let absolute = trimmed.starts_with(b"/")
        || trimmed.starts_with(b"file:")
        || trimmed.starts_with(b"~/")
        || at(trimmed, 1) == b':' && at(trimmed, 0).is_ascii_alphabetic();
    // Doubled separators are all that squeezing takes out.
    let squeezed = if has(trimmed, b"//") || has(trimmed, b"/./") {
        Cow::Owned(squeeze(trimmed))
    } else {
        Cow::Borrowed(trimmed)
    };
    let hit = TARGETS.first(&squeezed);
    let mut add = |score: u8, why| hits.add(Class::Path, score, why, 0, view.bytes.len());
    // `.git`, `.env`: as a step of a path, or as the whole of one.
    let step = trimmed.strip_prefix(b"/").unwrap_or(trimmed);
    if [&b".git"[..], b".svn", b".hg", b".env", b".htpasswd", b".htaccess", b".aws", b".ssh"].contains(&step)
        && (view.place == Place::Path || step.len() < trimmed.len())
    {
        return add(75, "a file that a server keeps to itself");
    }
    if whole && SQUASHED.any(trimmed) {
        return add(78, "a file of the system, its separators gone");
    }
    if let Some(target) = hit {
        let root = [
            "etc/",
            "proc/",
            "var/log",
            "var/run/secrets",
            "win",
            "boot.ini",
            "web-inf",
            ".ht",
            ".ssh",
            "id_rsa",
            ".git/",
            "system.ini",
            "sam._",
            "root/.",
            "inetpub",
            "global.asa",
            ".bash",
            ".aws",
            "cmd.exe",
            "php.ini",
            "httpd.conf",
            "usr/local/apache",
        ];
        let known = root.iter().any(|root| target.starts_with(root.as_bytes()));
        if starts(trimmed, b"file:") {
            return add(90, "a file of the system by its URL");
        }
        if whole && absolute && known && !url_like(trimmed) {
            let words = view.bytes.iter().filter(|&&b| is_space(b)).count();
            add(if words == 0 { 85 } else { 72 }, "a file of the system");
        } else if whole
            && known
            && [&b"etc/"[..], b"web-inf", b"proc/self", b".git/", b"win.ini", b"boot.ini", b"windows/"]
                .iter()
                .any(|root| {
                    squeezed.starts_with(root)
                        || squeezed.trim_ascii_start().trim_start_dots().starts_with(root)
                })
        {
            add(75, "a file of the system");
        } else if !view.document && has(&squeezed, b"/etc/passwd")
            || has(&squeezed, b"/etc/shadow")
            || has(&squeezed, b"/proc/self/environ")
        {
            let last = squeezed.ends_with(b"/etc/passwd") || squeezed.ends_with(b"/etc/shadow");
            if !view.document {
                // "what is /etc/passwd" is a question.
                let lead = slice(view.bytes, 0, find(view.bytes, b"etc").unwrap_or(0));
                let asked = !whole
                    && lead.iter().filter(|&&b| is_space(b)).count() > 1
                    && lead.iter().all(|&b| b.is_ascii_alphabetic() || is_space(b) || b == b'/');
                add(
                    if view.is_short() && (last || whole) && !asked { 72 } else { 55 },
                    "mentions a file of the system",
                );
            }
        }
    }
    if starts(trimmed, b"file:/") && whole {
        add(75, "a file by its URL");
    }
    if padded(trimmed) {
        add(74, "a path padded past what file systems read");
    }
    // `\\server\share`, and the shares that only an administrator has.
    let share = trimmed.starts_with(b"//")
        && at(view.bytes, 0) == b'\\'
        && has_any(trimmed, &[b"/c$", b"/admin$", b"/ipc$", b"/d$"]);
    if share && whole {
        add(85, "an administrator's share of another server");
    }
    let unc = at(view.bytes, 0) == b'\\' && at(view.bytes, 1) == b'\\' && is_word(at(view.bytes, 2));
    if unc && whole && view.bytes.iter().filter(|&&b| b == b'\\').count() > 2 {
        add(60, "a share of another server");
    }
    if whole
        && at(trimmed, 1) == b':'
        && at(trimmed, 2) == b'/'
        && at(trimmed, 0).is_ascii_alphabetic()
        && view.place == Place::Path
    {
        add(70, "a path of Windows");
    }
}

/// `/aaaa…/../x`: a first step as long as paths may be, so that what is appended is cut off.
fn padded(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/") else { return false };
    let Some(&first) = rest.first() else { return false };
    let run = rest.iter().take_while(|&&b| b == first).count();
    let next = at(rest, run);
    run >= 128 && (matches!(next, b'.' | b'/' | b'{') || run == rest.len())
}

/// Doubled separators and empty steps gone.
fn squeeze(clean: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(clean.len());
    for &byte in clean {
        if byte == b'/' && out.last() == Some(&b'/') {
            continue;
        }
        if byte == b'/' && out.ends_with(b"/.") {
            out.pop();
            continue;
        }
        out.push(byte);
    }
    out
}

trait TrimDots {
    fn trim_start_dots(&self) -> &[u8];
}

impl TrimDots for [u8] {
    fn trim_start_dots(&self) -> &[u8] {
        let keep = self.iter().position(|&b| b != b'.' && b != b'/').unwrap_or(self.len());
        from(self, keep)
    }
}
