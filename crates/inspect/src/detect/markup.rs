//! XML that declares or includes, and server-side includes.

use crate::class::Class;
use crate::detect::View;
use crate::text::{at, from, has, has_any, slice, starts};
use crate::verdict::Hits;

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let discount = if view.document { 25 } else { 0 };
    if !hits.spend(bytes.len() * 3) {
        return;
    }
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'<') {
        let start = index + found;
        index = start + 1;
        let head = slice(bytes, start + 1, start + 400);
        // Names are told by their first bytes; what they hold is looked through.
        let telling = matches!(at(head, 0), b'!' | b'x' | b'X') && !starts(head, b"!--");
        if !hits.spend(if telling { 24 + head.len() * 3 } else { 24 }) {
            return;
        }
        let end = (start + 80).min(bytes.len());
        let mut add =
            |class, score: u8, why| hits.add(class, score.saturating_sub(discount), why, start, end);
        match at(head, 0) {
            b'!' => {
                if starts(head, b"!entity") {
                    add(Class::Xml, 94, "declares an entity");
                } else if starts(head, b"!doctype") {
                    let tag = slice(
                        head,
                        0,
                        head.iter().position(|&b| b == b'>' || b == b'[').map_or(head.len(), |end| end + 1),
                    );
                    let html = has(slice(tag, 0, 24), b"html");
                    if tag.ends_with(b"[") {
                        add(Class::Xml, 86, "a document type with declarations of its own");
                    } else if !html && has_any(tag, &[b"system", b"public"]) {
                        add(Class::Xml, 88, "a document type from elsewhere");
                    } else if !html {
                        add(Class::Xml, 55, "a document type");
                    }
                } else if starts(head, b"!element") || starts(head, b"!attlist") || starts(head, b"!notation")
                {
                    add(Class::Xml, 72, "declares an element");
                } else if starts(head, b"!--#") || starts(head, b"!-- #") {
                    let known = has_any(
                        slice(head, 0, 24),
                        &[
                            b"exec",
                            b"include",
                            b"echo",
                            b"config",
                            b"printenv",
                            b"set",
                            b"fsize",
                            b"flastmod",
                            b"if",
                        ],
                    );
                    add(Class::Ssi, if known { 94 } else { 60 }, "a server-side include");
                } else if starts(head, b"![cdata[") {
                    let inner = slice(head, 8, 200);
                    let odd = has_any(inner, &[b"<script", b"javas", b"]]>c", b"<]]>"])
                        || inner.starts_with(b"<]]");
                    add(Class::Xml, if odd { 78 } else { 40 }, "a section that hides markup");
                }
            }
            b'e' | b'E' if starts(head, b"esi:") => add(Class::Ssi, 86, "an edge-side include"),
            b'x' | b'X' if starts(head, b"xi:include") => add(Class::Xml, 92, "includes another document"),
            b'x' | b'X' if starts(head, b"xsl:") => {
                let odd =
                    has_any(head, &[b"document(", b"system-property", b"include", b"import", b"value-of"]);
                add(Class::Xml, if odd { 76 } else { 55 }, "a transformation");
            }
            b's' | b'S' if starts(head, b"soap:") || starts(head, b"soapenv:") => {}
            _ => {}
        }
    }
    if has(bytes, b"http://www.w3.org/2001/xinclude") {
        hits.add(Class::Xml, 88 - discount, "includes another document", 0, bytes.len().min(80));
    }
    if has_any(bytes, &[b"java.beans.xmldecoder", b"java.lang.processbuilder"]) {
        hits.add(Class::Deserialization, 95, "an object of Java, written as XML", 0, bytes.len().min(80));
    }
}
