//! Code that a server would run: PHP, Java, Python, Ruby, Perl, Node, ASP, expression languages.

use crate::class::Class;
use crate::detect::View;
use crate::place::Place;
use crate::text::{at, find, from, has, has_any, is_space, is_word, skip_space, slice, starts, trim};
use crate::verdict::Hits;

/// A piece of code, how sure it is, and whether it must begin a word.
struct Piece(&'static [u8], u8, bool, &'static str);

const RUNS: &str = "runs a command";
const OPENS: &str = "opens a block of server code";
const REACHES: &str = "reaches the runtime of the server";

/// Pieces that say enough by themselves.
const PIECES: &[Piece] = &[
    Piece(b"<?php", 88, false, OPENS),
    Piece(b"<?=", 80, false, OPENS),
    Piece(b"<%@", 78, false, OPENS),
    Piece(b"runtime.getruntime", 95, false, RUNS),
    Piece(b"getruntime().exec", 95, false, RUNS),
    Piece(b"java.lang.runtime", 94, false, RUNS),
    Piece(b"java.lang.processbuilder", 94, false, RUNS),
    Piece(b"new processbuilder", 85, false, RUNS),
    Piece(b"java.net.url(", 80, false, REACHES),
    Piece(b"class.module.classloader", 96, false, REACHES),
    Piece(b"class.classloader", 90, false, REACHES),
    Piece(b"classloader.resources", 90, false, REACHES),
    Piece(b"#_memberaccess", 95, false, REACHES),
    Piece(b"xwork.methodaccessor", 95, false, REACHES),
    Piece(b"ognl.ognlcontext", 95, false, REACHES),
    Piece(b"opensymphony.xwork2", 94, false, REACHES),
    Piece(b"#application", 70, false, REACHES),
    Piece(b"child_process", 80, false, RUNS),
    Piece(b"process.mainmodule", 92, false, REACHES),
    Piece(b"process.binding(", 92, false, REACHES),
    Piece(b"global.process", 85, false, REACHES),
    Piece(b"__import__(", 86, false, REACHES),
    Piece(b"os.system(", 82, true, RUNS),
    Piece(b"os.popen(", 82, true, RUNS),
    Piece(b"subprocess.popen(", 78, true, RUNS),
    Piece(b"subprocess.check_output(", 78, true, RUNS),
    Piece(b"subprocess.call(", 76, true, RUNS),
    Piece(b"shell_exec(", 82, true, RUNS),
    Piece(b"passthru(", 82, true, RUNS),
    Piece(b"proc_open(", 80, true, RUNS),
    Piece(b"pcntl_exec(", 84, true, RUNS),
    Piece(b"call_user_func", 75, true, RUNS),
    Piece(b"phpinfo()", 78, true, REACHES),
    Piece(b"allow_url_include", 90, false, REACHES),
    Piece(b"auto_prepend_file", 90, false, REACHES),
    Piece(b"xp_cmdshell", 85, true, RUNS),
    Piece(b"wscript.shell", 85, false, RUNS),
    Piece(b"scripting.filesystemobject", 82, false, REACHES),
    Piece(b"system.diagnostics.process", 86, false, RUNS),
    Piece(b"javax.script.scriptenginemanager", 92, false, RUNS),
    Piece(b"nashorn", 60, true, RUNS),
    Piece(b"groovy.lang", 78, true, RUNS),
    Piece(b"new java.util.scanner", 82, false, RUNS),
    Piece(b"springframework.context.support", 92, false, REACHES),
    Piece(b"invokefunction", 75, false, RUNS),
    Piece(b"think\\app", 85, false, RUNS),
    Piece(b"eval-stdin.php", 88, false, RUNS),
    Piece(b"base64_decode(", 74, true, REACHES),
    Piece(b"file_put_contents(", 78, true, REACHES),
    Piece(b"file_get_contents(", 74, true, REACHES),
    Piece(b"fsockopen(", 78, true, REACHES),
    Piece(b"t(java.lang", 94, false, REACHES),
    Piece(b"$_get[", 80, false, REACHES),
    Piece(b"$_post[", 80, false, REACHES),
    Piece(b"$_request[", 84, false, REACHES),
    Piece(b"$_server[", 76, false, REACHES),
    Piece(b"php://", 82, false, "a stream of PHP"),
    Piece(b"expect://", 88, false, "a stream of PHP"),
    Piece(b"phar://", 86, false, "a stream of PHP"),
    Piece(b"zip://", 70, false, "a stream of PHP"),
    Piece(b"data://text", 84, false, "a stream of PHP"),
    Piece(b"data:text/plain;base64,pd", 84, false, "a stream of PHP"),
    Piece(b"compress.zlib://", 84, false, "a stream of PHP"),
    Piece(b"convert.base64-encode", 86, false, "a stream of PHP"),
];

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let discount = if view.document {
        35
    } else if !view.is_short() && bytes.iter().take(4096).filter(|&&b| b == b'\n').count() > 3 {
        15
    } else {
        0
    };
    // The screen found at least one of them; which one is looked up once.
    hits.step(bytes.len() * 4);
    for Piece(piece, worth, apart, why) in PIECES {
        let Some(start) = find(bytes, piece) else { continue };
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        if *apart && (is_word(before) || before == b'$') {
            continue;
        }
        // Named in a sentence, and not called.
        let sentence = before == b' '
            && !piece.ends_with(b"(")
            && bytes.iter().take(200).filter(|&&b| b == b' ').count() > 6
            && !bytes.contains(&b'(');
        let score = worth.saturating_sub(discount).saturating_sub(if sentence { 25 } else { 0 });
        hits.add(Class::Code, score, why, start, (start + 60).min(bytes.len()));
    }
    calls(view, discount, hits);
    let head = trim(bytes);
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

/// `system('id')`, `eval($x)`, `assert(…)`, `exec("…")`: what a sentence does not call.
fn calls(view: &View<'_>, discount: u8, hits: &mut Hits) {
    let bytes = view.bytes;
    for (name, worth) in [
        (&b"system("[..], 60_u8),
        (b"exec(", 52),
        (b"popen(", 58),
        (b"assert(", 50),
        (b"eval(", 50),
        (b"require(", 40),
        (b"print(", 30),
        (b"echo ", 25),
        (b"create_function(", 75),
        (b"preg_replace(", 52),
        (b"include(", 45),
        (b"include ", 20),
        (b"readfile(", 70),
        (b"die(", 40),
        (b"spawn(", 45),
        (b"execsync(", 75),
        (b"readfilesync(", 74),
        (b"response.write(", 74),
        (b"server.createobject(", 80),
        (b"createobject(", 66),
        (b"load_file", 40),
        (b"ini_set(", 68),
        (b"md5(", 34),
        (b"var_dump(", 72),
        (b"chr(", 30),
        (b"print_r(", 60),
        (b"file(", 34),
        (b"putenv(", 66),
        (b"dl(", 30),
        (b"fopen(", 50),
    ] {
        let Some(start) = find(slice(bytes, 0, 16384), name) else { continue };
        let before = if start == 0 { 0 } else { at(bytes, start - 1) };
        if is_word(before)
            || before == b'.' && !matches!(name, b"exec(" | b"execsync(" | b"spawn(" | b"readfilesync(")
        {
            continue;
        }
        let argument = from(bytes, skip_space(bytes, start + name.len()));
        let literal = matches!(at(argument, 0), b'\'' | b'"' | b'$' | b'`');
        let near = slice(argument, 0, 64);
        let shell = has_any(
            near,
            &[
                b"/etc/", b"id'", b"id\"", b"whoami", b"cat ", b"ls ", b"ls'", b"ls\"", b"uname", b"ping",
                b"curl", b"wget", b"cmd", b"$_", b"/bin/", b"sleep", b"dir", b"system", b"base64", b"chr(",
                b"phpinfo", b"fs'", b"fs\"", b"nc ", b"passwd",
            ],
        );
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
