//! Expressions for template engines: delimiters, and inside them what a placeholder has not.

use crate::class::Class;
use crate::detect::View;
use crate::finder::Finder;
use crate::text::{at, from, has, has_any, is_space, is_word, skip_space, skip_while, slice, trim};
use crate::verdict::Hits;

/// Opening and closing delimiters.
const DELIMITERS: &[(&[u8], &[u8])] = &[
    (b"{{", b"}}"),
    (b"${", b"}"),
    (b"#{", b"}"),
    (b"*{", b"}"),
    (b"@{", b"}"),
    (b"~{", b"}"),
    (b"%{", b"}"),
    (b"<%", b"%>"),
    (b"{%", b"%}"),
    (b"[[", b"]]"),
    (b"@(", b")"),
    (b"{$", b"}"),
    (b"{php", b"{/php}"),
    (b"{if ", b"}"),
    (b"{{=", b"}}"),
    (b"[=", b"]"),
    (b"{@", b"}"),
    (b"#set(", b")"),
    (b"{=", b"}"),
    (b"$", b")"),
];

/// What reaches beyond the values that a template was given.
static REACHES: Finder = Finder::new(&[
    b"__class__",
    b"__globals__",
    b"__mro__",
    b"__subclasses__",
    b"__builtins__",
    b"__init__",
    b"__import__",
    b"__base__",
    b"__bases__",
    b"__dict__",
    b"getclass(",
    b".class.",
    b"classloader",
    b"runtime",
    b"processbuilder",
    b"t(java",
    b"java.lang",
    b"java.util",
    b"javax.",
    b"freemarker",
    b"?new(",
    b"?api",
    b"?eval",
    b"constructor",
    b"prototype",
    b"self.",
    b"_self",
    b"config.",
    b"config}",
    b"config|",
    b"config[",
    b"system.console",
    b"system.io",
    b"system.diagnostics",
    b"get_admin_log",
    b"messages.storages",
    b"settings.",
    b"request.application",
    b"request[",
    b"request|attr",
    b"|attr(",
    b"get_flashed_messages",
    b"url_for.",
    b"lipsum",
    b"cycler",
    b"joiner",
    b"namespace.",
    b"dump(app",
    b"app.request",
    b"system(",
    b"exec(",
    b"execute",
    b"popen",
    b"passthru",
    b"shell_exec",
    b"eval(",
    b"require(",
    b"process.",
    b"global.",
    b"mainmodule",
    b"range.constructor",
    b"$eval",
    b"$on.",
    b"tojson.constructor",
    b"file.open",
    b"file.read",
    b"io.popen",
    b"dir.entries",
    b"<%=",
    b"#context",
    b"#_memberaccess",
    b"@java",
    b"#request",
    b"#session",
    b"#application",
    b"%x(",
    b"kernel.",
    b"import os",
    b"os.",
    b"setcontenttype",
    b"printwriter",
    b"registerundefinedfiltercallback",
    b"filter('system",
    b"|filter(",
    b"map('system",
    b"sort('",
    b"phpinfo",
    b"smarty.",
    b"writefile",
    b"include(",
    b"/etc/",
    b"debug",
    b"fetch(",
    b"alert(",
    b"class.forname",
    b"session.",
    b"sessionscope",
    b"requestscope",
    b"applicationscope",
    b"param.",
    b"pagecontext",
    b"facescontext",
    b"header[",
    b"cookie[",
    b"env[",
    b"env.",
    b"read('",
]);

/// As much is looked at of an expression, and of what begins as one and does not end.
const LONGEST: usize = 4096;
const UNCLOSED: usize = 240;

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    let mut closed = [None; DELIMITERS.len()];
    if !hits.spend(bytes.len() * 2 + 128) {
        return;
    }
    while index < bytes.len() {
        if !may_open(at(bytes, index), at(bytes, index + 1)) {
            index += 1;
            continue;
        }
        if !hits.spend(32) {
            return;
        }
        let rest = from(bytes, index);
        let known = DELIMITERS.iter().take(DELIMITERS.len() - 1).enumerate();
        let Some((which, (open, close))) = known.into_iter().find(|(_, (open, _))| rest.starts_with(open))
        else {
            index += 1;
            continue;
        };
        let inner = from(rest, open.len());
        // The nearest end, known from the search before where that went past this place.
        let behind = index + open.len();
        let end = match closed.get(which).copied().flatten() {
            Some(place) if place >= behind => Some(place - behind),
            _ => {
                let end = inner.windows(close.len()).position(|window| window == *close);
                if !hits.spend(end.map_or(inner.len(), |end| end + close.len())) {
                    return;
                }
                if let Some(known) = closed.get_mut(which) {
                    *known = Some(end.map_or(usize::MAX, |end| behind + end));
                }
                end
            }
        };
        let end = end.filter(|&end| end <= inner.len());
        let inner = slice(inner, 0, end.map_or(UNCLOSED, |end| end.min(LONGEST)));
        if !hits.spend(inner.len() * 9 + 40) {
            return;
        }
        if let Some((score, why)) = expression(open, inner, end.is_some(), view) {
            let score = if view.document { score.saturating_sub(30) } else { score };
            hits.add(
                Class::Template,
                score,
                why,
                index,
                (index + open.len() + inner.len() + close.len()).min(bytes.len()),
            );
        }
        // What is judged whole need not be looked at again, but something may open inside.
        // `${{7*7}}` opens twice, one byte apart.
        index += if *open == b"${" && at(bytes, index + 2) == b'{' { 1 } else { open.len() };
    }
    let head = trim(bytes);
    if has_any(
        slice(head, 0, 64),
        &[
            b"#set(",
            b"#set ($",
            b"#foreach(",
            b"#include(",
            b"#parse(",
            b"<#assign",
            b"<#if",
            b"<@",
            b"<#--",
            b"{php}",
            b"{% debug %}",
            b"{%debug%}",
            b"<th:",
            b"__${",
            b"#exec",
        ],
    ) && has_any(head, &[b"(", b"="])
        && !view.document
    {
        let strong = has_any(
            head,
            &[b"#set($", b"#set ($", b"?new()", b"{php}", b"debug", b"__${", b".class", b"execute"],
        ) || view.is_short()
            && [&b"#foreach($"[..], b"#parse(\"", b"#include(\"", b"#parse('", b"#include('"]
                .iter()
                .any(|start| head.starts_with(start))
            || view.is_short() && head.starts_with(b"<#assign ") && head.contains(&b'=');
        hits.add(
            Class::Template,
            if strong { 80 } else { 60 },
            "a directive of a template engine",
            0,
            bytes.len(),
        );
    }
}

/// Whether a delimiter may begin with these two bytes.
fn may_open(first: u8, second: u8) -> bool {
    match first {
        b'{' => matches!(second, b'{' | b'%' | b'$' | b'p' | b'i' | b'=' | b'@'),
        b'$' | b'*' | b'~' => second == b'{',
        b'#' => matches!(second, b'{' | b's'),
        b'@' => matches!(second, b'{' | b'('),
        b'%' => second == b'{',
        b'<' => second == b'%',
        b'[' => matches!(second, b'[' | b'='),
        _ => false,
    }
}

/// How much an attack is what stands between delimiters.
fn expression(open: &[u8], inner: &[u8], closed: bool, view: &View<'_>) -> Option<(u8, &'static str)> {
    let text = trim(inner);
    // No template is written in bytes that are no text.
    if text.is_empty() || text.iter().any(|&b| b < b' ' && !is_space(b)) || std::str::from_utf8(text).is_err()
    {
        return None;
    }
    let ruby_or_jsp = open == b"<%";
    let text = text.strip_prefix(b"=").unwrap_or(text);
    let text = trim(text);
    let printed = text.strip_prefix(b"print ").or_else(|| text.strip_prefix(b"print"));
    let text = printed.filter(|_| open == b"{%").map_or(text, trim);
    if closed && open == b"{{" && (text == b"config" || text == b"self") {
        return Some((75, "reaches beyond what a template was given"));
    }
    if open == b"{%" && text == b"debug" {
        return Some((78, "a block of a template engine that shows everything"));
    }
    // `{% include '/etc/x' %}`.
    let included = text.strip_prefix(b"include").or_else(|| text.strip_prefix(b"source"));
    if open == b"{%"
        && let Some(path) = included.map(trim)
        && (has(slice(path, 0, 2), b"/") || has(path, b"../"))
    {
        return Some((76, "a block of a template engine that reads a file"));
    }
    // FreeMarker's own variables: `.data_model`, `.globals`.
    if [&b".data_model"[..], b".globals", b".vars", b".main", b".namespace", b".current_template"]
        .iter()
        .any(|own| has(slice(text, 0, own.len()), own))
        && matches!(open, b"${" | b"[=" | b"#{")
    {
        return Some((80, "reaches beyond what a template was given"));
    }
    // `{{'a'.toUpperCase()}}`, `{{#with "s" as |x|}}`.
    if closed
        && open == b"{{"
        && matches!(at(text, 0), b'\'' | b'"')
        && text.windows(2).any(|pair| at(pair, 0) == b'.' && at(pair, 1).is_ascii_alphabetic())
        && text.contains(&b'(')
    {
        return Some((72, "a call in a template's delimiters"));
    }
    if open == b"{{" && has(slice(text, 0, 24), b"#with \"") && has(text, b" as |") {
        return Some((74, "a call in a template's delimiters"));
    }
    if open == b"{{" && has(slice(text, 0, 8), b"call .") && closed {
        return Some((74, "a call in a template's delimiters"));
    }
    // Ruby's commands: "`id`", `%x|id|`.
    let command = text.starts_with(b"%x") && !is_word(at(text, 2)) && text.len() > 4
        || text.starts_with(b"`") && text.ends_with(b"`") && text.len() > 2 && open != b"{{";
    if command && closed && matches!(open, b"#{" | b"<%") {
        return Some((86, "a command in a template's delimiters"));
    }
    if let Some(why) = reckons(text) {
        let sure = closed
            && matches!(
                open,
                b"{{"
                    | b"${"
                    | b"#{"
                    | b"<%"
                    | b"*{"
                    | b"@("
                    | b"[["
                    | b"%{"
                    | b"{%"
                    | b"[="
                    | b"{{="
                    | b"{@"
                    | b"~{"
                    | b"@{"
                    | b"{="
                    | b"{if "
            );
        return Some((
            if sure {
                88
            } else if closed && view.is_short() && open == b"{$" {
                60
            } else {
                50
            },
            why,
        ));
    }
    // PHP: `${@print(…)}`.
    if matches!(open, b"${" | b"{$" | b"{@")
        && (at(text, 0) == b'@' || open == b"{@")
        && text.contains(&b'(')
        && closed
    {
        return Some((if open == b"{@" { 50 } else { 85 }, "a call in a template's delimiters"));
    }
    if let Some(reach) = REACHES.first(text) {
        let call = text.iter().any(|b| matches!(b, b'(' | b'[' | b'.'));
        let strong = reach.starts_with(b"__")
            || [
                &b"runtime"[..],
                b"processbuilder",
                b"t(java",
                b"java.",
                b"getclass",
                b"classloader",
                b"?new(",
                b"constructor",
                b"_self",
                b"lipsum",
                b"cycler",
                b"popen",
                b"system(",
                b"shell_exec",
                b"passthru",
                b"#context",
                b"#_memberaccess",
                b"@java",
                b"get_flashed",
                b"|attr(",
                b"mainmodule",
                b"registerundefined",
                b"freemarker",
                b"exec(",
                b"eval(",
                b"import os",
                b"get_admin_log",
                b"system.",
            ]
            .iter()
            .any(|known| reach.starts_with(known));
        // `${process.env.HOME}`, `${config.name}` and `${os.name}` are ordinary in code.
        // What pages of Java are given by their server.
        let scope = closed
            && matches!(open, b"${" | b"#{")
            && [&b"sessionscope"[..], b"requestscope", b"applicationscope", b"pagecontext", b"facescontext"]
                .contains(&reach);
        if scope || open == b"{$" && reach == b"smarty." {
            return Some((75, "reaches beyond what a template was given"));
        }
        let script = matches!(open, b"${" | b"{$" | b"[[" | b"@(" | b"{=" | b"[=" | b"{@");
        return Some(match (strong, call, script) {
            (true, true, _) => (94, "reaches beyond what a template was given"),
            (true, false, _) => (76, "reaches beyond what a template was given"),
            (false, true, false) => (76, "reaches beyond what a template was given"),
            (false, false, false)
                if open == b"{{" && (text == b"config" || text == b"self" || reach == b"debug") =>
            {
                (75, "reaches beyond what a template was given")
            }
            (false, true, true) if view.is_short() => (58, "an expression in a template's delimiters"),
            _ => (40, "an expression in a template's delimiters"),
        });
    }
    let call = text.windows(2).any(|pair| is_word(at(pair, 0)) && at(pair, 1) == b'(');
    let quoted = text.iter().any(|b| matches!(b, b'\'' | b'"'));
    match open {
        // Bytes that happen to begin like one.
        b"<%" if text.iter().filter(|&&b| b >= 0x80).count() * 4 > text.len() => None,
        b"<%" if ruby_or_jsp => Some((if call { 76 } else { 60 }, "a block of a template engine")),
        b"{{"
            if call
                && quoted
                && closed
                && !has(text, b"t(")
                && text.iter().filter(|b| **b == b'\'').count() < 3 =>
        {
            Some((55, "a call in a template's delimiters"))
        }
        b"#{" | b"%{" | b"*{"
            if call
                && closed
                && (is_word(at(text, 0)) || matches!(at(text, 0), b'#' | b'@' | b'(' | b'\'' | b'"')) =>
        {
            Some((72, "a call in a template's delimiters"))
        }
        b"@(" if quoted && call => Some((50, "a call in a template's delimiters")),
        b"{%"
            if call
                || text.starts_with(b"for")
                || text.starts_with(b"include")
                || text.starts_with(b"import") =>
        {
            Some((62, "a block of a template engine"))
        }
        _ => None,
    }
}

/// Two constants and an operator: what shows that a template reckons.
fn reckons(text: &[u8]) -> Option<&'static str> {
    const WHY: &str = "a calculation in a template's delimiters";
    let number = |text: &[u8], index: usize| {
        let index =
            skip_while(text, index, |b| is_space(b) || matches!(b, b'(' | b'-' | b'\'' | b'"' | b'['));
        let end = skip_while(text, index, |b| b.is_ascii_digit());
        (end > index)
            .then(|| skip_while(text, end, |b| is_space(b) || matches!(b, b')' | b'\'' | b'"' | b']')))
    };
    let first = number(text, 0)?;
    if !matches!(at(text, first), b'*' | b'+' | b'-' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=') {
        return None;
    }
    let second = skip_space(text, first + 1);
    let second = skip_while(text, second, |b| matches!(b, b'*' | b'='));
    number(text, second).map(|_| WHY)
}
