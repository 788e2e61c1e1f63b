//! Code that a server would run: PHP, Java, Python, Ruby, Perl, Node, ASP, expression languages.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, from, has, has_any, is_space, is_word, skip_space, slice, starts, trim};
use crate::verdict::Hits;

const RUNS: &str = "runs a command";
const OPENS: &str = "opens a block of server code";
const REACHES: &str = "reaches the runtime of the server";

/// Pieces that say enough by themselves, and behind them functions that run what they are given.
static PIECES: Finder = Finder::new(&[
    b"<?php",
    b"<?=",
    b"<%@",
    b"runtime.getruntime",
    b"getruntime().exec",
    b"java.lang.runtime",
    b"java.lang.processbuilder",
    b"new processbuilder",
    b"java.net.url(",
    b"class.module.classloader",
    b"class.classloader",
    b"classloader.resources",
    b"#_memberaccess",
    b"xwork.methodaccessor",
    b"ognl.ognlcontext",
    b"opensymphony.xwork2",
    b"#application",
    b"child_process').",
    b"child_process\").",
    b"child_process`).",
    b"child_process",
    b"process.mainmodule",
    b"process.binding(",
    b"global.process",
    b"__import__('os",
    b"__import__(\"os",
    b"__import__('sub",
    b"__import__(\"sub",
    b"__import__(",
    b"os.system(",
    b"os.popen(",
    b"subprocess.popen(",
    b"subprocess.check_output(",
    b"subprocess.call(",
    b"shell_exec(",
    b"passthru(",
    b"proc_open(",
    b"pcntl_exec(",
    b"call_user_func",
    b"phpinfo()",
    b"allow_url_include",
    b"auto_prepend_file",
    b"xp_cmdshell",
    b"wscript.shell",
    b"scripting.filesystemobject",
    b"system.diagnostics.process",
    b"javax.script.scriptenginemanager",
    b"nashorn",
    b"groovy.lang",
    b"new java.util.scanner",
    b"springframework.context.support",
    b"invokefunction",
    b"think\\app",
    b"eval-stdin.php",
    b"base64_decode(",
    b"file_put_contents(",
    b"file_get_contents(",
    b"fsockopen(",
    b"t(java.lang",
    b"$_get[",
    b"$_post[",
    b"$_request[",
    b"$_server[",
    b"php://",
    b"expect://",
    b"phar://",
    b"zip://",
    b"data://text",
    b"data:text/plain;base64,pd",
    b"compress.zlib://",
    b"convert.base64-encode",
    // Functions.
    b"system(",
    b"exec(",
    b"popen(",
    b"assert(",
    b"eval(",
    b"require(",
    b"print(",
    b"echo ",
    b"create_function(",
    b"preg_replace(",
    b"include(",
    b"include ",
    b"readfile(",
    b"die(",
    b"spawn(",
    b"execsync(",
    b"readfilesync(",
    b"response.write(",
    b"server.createobject(",
    b"createobject(",
    b"load_file",
    b"ini_set(",
    b"md5(",
    b"var_dump(",
    b"chr(",
    b"print_r(",
    b"file(",
    b"putenv(",
    b"dl(",
    b"fopen(",
]);

/// How sure each piece is, whether it must begin a word, and what it does.
const MEANINGS: [(u8, bool, &str); 71] = [
    (88, false, OPENS),
    (80, false, OPENS),
    (78, false, OPENS),
    (95, false, RUNS),
    (95, false, RUNS),
    (94, false, RUNS),
    (94, false, RUNS),
    (85, false, RUNS),
    (80, false, REACHES),
    (96, false, REACHES),
    (90, false, REACHES),
    (90, false, REACHES),
    (95, false, REACHES),
    (95, false, REACHES),
    (95, false, REACHES),
    (94, false, REACHES),
    (70, false, REACHES),
    (84, false, RUNS),
    (84, false, RUNS),
    (84, false, RUNS),
    (60, false, RUNS),
    (92, false, REACHES),
    (92, false, REACHES),
    (85, true, REACHES),
    (88, false, REACHES),
    (88, false, REACHES),
    (88, false, REACHES),
    (88, false, REACHES),
    (62, false, REACHES),
    (82, true, RUNS),
    (82, true, RUNS),
    (78, true, RUNS),
    (78, true, RUNS),
    (76, true, RUNS),
    (82, true, RUNS),
    (82, true, RUNS),
    (80, true, RUNS),
    (84, true, RUNS),
    (75, true, RUNS),
    (78, true, REACHES),
    (90, false, REACHES),
    (90, false, REACHES),
    (85, true, RUNS),
    (85, false, RUNS),
    (82, false, REACHES),
    (86, false, RUNS),
    (92, false, RUNS),
    (60, true, RUNS),
    (78, true, RUNS),
    (82, false, RUNS),
    (92, false, REACHES),
    (75, false, RUNS),
    (85, false, RUNS),
    (88, false, RUNS),
    (74, true, REACHES),
    (78, true, REACHES),
    (74, true, REACHES),
    (78, true, REACHES),
    (94, false, REACHES),
    (80, false, REACHES),
    (80, false, REACHES),
    (84, false, REACHES),
    (76, false, REACHES),
    (82, false, "a stream of PHP"),
    (88, false, "a stream of PHP"),
    (86, false, "a stream of PHP"),
    (70, false, "a stream of PHP"),
    (84, false, "a stream of PHP"),
    (84, false, "a stream of PHP"),
    (84, false, "a stream of PHP"),
    (86, false, "a stream of PHP"),
];

/// What a statement of PHP begins with.
const SHORT: &[&[u8]] = &[
    b"echo",
    b"print",
    b"system",
    b"exec",
    b"eval",
    b"include",
    b"require",
    b"passthru",
    b"die",
    b"readfile",
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let discount = if view.document {
        35
    } else if bytes.iter().take(4096).filter(|&&b| b == b'\n').count() > 1 {
        15
    } else {
        0
    };
    // The screen found at least one of them; which one is looked up once.
    if !hits.spend(bytes.len() * 5 + 512) {
        return;
    }
    let found = PIECES.firsts(bytes);
    for &(index, start) in &found {
        let (Some(piece), Some(&(worth, apart, why))) = (PIECES.word(index), MEANINGS.get(index)) else {
            continue;
        };
        if !hits.spend(260) {
            return;
        }
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        if apart && (is_word(before) || before == b'$') {
            continue;
        }
        // Named in a sentence, and not called.
        let sentence = before == b' '
            && !piece.ends_with(b"(")
            && bytes.iter().take(200).filter(|&&b| b == b' ').count() > 6
            && !bytes.contains(&b'(');
        // `class PassThru(Exception)`: a call of PHP has a string or a variable.
        let argument = at(bytes, skip_space(bytes, start + piece.len()));
        let named = before == b' ' && piece.ends_with(b"(") && argument.is_ascii_alphabetic();
        let score = worth.saturating_sub(discount).saturating_sub(if sentence || named { 25 } else { 0 });
        hits.add(Class::Code, score, why, start, (start + 60).min(bytes.len()));
    }
    calls(view, &found, discount, hits);
    let head = trim(bytes);
    // The short tag of PHP, and a statement behind it.
    if let Some(rest) = head.strip_prefix(b"<?")
        && is_space(at(rest, 0))
        && SHORT.iter().any(|word| {
            let statement = from(rest, skip_space(rest, 0));
            starts(statement, word) && !is_word(at(statement, word.len()))
        })
    {
        hits.add(Class::Code, 84u8.saturating_sub(discount), OPENS, 0, bytes.len());
    }
    // Headers of Struts, and anything that begins as an OGNL expression.
    if (has(slice(head, 0, 256), b"%{") || has(slice(head, 0, 256), b"${"))
        && has_any(head, &[b"#context", b"#req", b"#_", b"@ognl", b"(#", b".multipart/form-data", b"#a="])
    {
        hits.add(Class::Code, 90u8.saturating_sub(discount), "an expression of OGNL", 0, bytes.len());
    }
    if view.place == Place::Name && starts(head, b"class.") {
        hits.add(Class::Code, 85, "sets a property of a Java object's class", 0, bytes.len());
    }
}

/// What such a function is given.
static SHELL: Finder = Finder::new(&[
    b"/etc/", b"'id'", b"\"id\"", b"`id`", b"whoami", b"cat ", b"ls ", b"'ls'", b"\"ls\"", b"uname", b"ping",
    b"curl", b"wget", b"cmd", b"$_", b"/bin/", b"sleep", b"dir", b"system", b"base64", b"chr(", b"phpinfo",
    b"fs'", b"fs\"", b"nc ", b"passwd",
]);

/// How telling a call of each of them is.
const WORTHS: [u8; 30] = [
    60, 52, 58, 50, 50, 40, 30, 25, 75, 52, 45, 20, 70, 40, 45, 75, 56, 74, 80, 66, 40, 68, 34, 72, 30, 60,
    34, 66, 30, 50,
];

/// `system('id')`, `eval($x)`, `assert(…)`, `exec("…")`: what a sentence does not call.
fn calls(view: &View<'_>, found: &[(usize, usize)], discount: u8, hits: &mut Hits) {
    let bytes = view.bytes;
    for &(index, start) in found {
        let worth = index.checked_sub(MEANINGS.len()).and_then(|call| WORTHS.get(call));
        let (Some(name), Some(&worth)) = (PIECES.word(index), worth) else { continue };
        if !hits.spend(220) {
            return;
        }
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        if is_word(before)
            || before == b'.' && !matches!(name, b"exec(" | b"execsync(" | b"spawn(" | b"readfilesync(")
        {
            continue;
        }
        let argument = from(bytes, skip_space(bytes, start + name.len()));
        let literal = matches!(at(argument, 0), b'\'' | b'"' | b'$' | b'`');
        let near = slice(argument, 0, 64);
        let shell = SHELL.any(near);
        // `pattern.exec('/x')` looks something up.
        if before == b'.' && name == b"exec(" && !shell {
            continue;
        }
        // `require('./x')` alone loads a module.
        if name == b"require("
            && !has_any(slice(near, 0, 24), &[b"child_", b"fs'", b"fs\"", b"'vm'", b"\"vm\""])
        {
            continue;
        }
        let lead = slice(bytes, 0, start);
        let alone = lead.len() < 24 && lead.iter().all(|&b| !b.is_ascii_alphabetic() || b == b'@');
        let breaks = matches!(
            before,
            b';' | b'\'' | b'"' | b'{' | b'@' | b'}' | b'.' | b'|' | b'&' | b'=' | b'(' | b'`' | b':'
        ) || alone;
        let score = worth
            + if literal { 8 } else { 0 }
            + if shell && literal { 20 } else { 0 }
            + if breaks { 10 } else { 0 };
        let score = if is_space(before) && !alone { score.saturating_sub(15) } else { score };
        hits.add(
            Class::Code,
            score.min(94).saturating_sub(discount),
            "calls a function that runs what it is given",
            start,
            (start + 60).min(bytes.len()),
        );
    }
}
