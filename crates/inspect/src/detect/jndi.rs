//! Lookups of logging libraries: `${jndi:ldap://…}`, however it is spelt.

use crate::class::Class;
use crate::detect::View;
use crate::text::{at, from, has, slice, starts};
use crate::verdict::Hits;

/// Longest expression that is read.
const MOST: usize = 1024;

/// Judges `view`.
pub(crate) fn detect(view: &View<'_>, hits: &mut Hits) {
    let bytes = view.bytes;
    let mut index = 0;
    while let Some(found) = from(bytes, index).windows(2).position(|pair| pair == b"${") {
        let start = index + found;
        let expression = slice(bytes, start, start + MOST);
        let (plain, nested, read) = resolve(expression);
        if !hits.spend(found + read * 4 + plain.len() + 64) {
            return;
        }
        if has(&plain, b"jndi:") {
            hits.add(
                Class::Jndi,
                98,
                "a lookup that loads an object from another server",
                start,
                (start + 80).min(bytes.len()),
            );
            return;
        }
        if nested && (has(&plain, b"://") || has(slice(bytes, start, start + 200), b":-")) {
            hits.add(
                Class::Jndi,
                85,
                "a lookup inside a lookup, to hide what it says",
                start,
                (start + 80).min(bytes.len()),
            );
        }
        let inner = from(&plain, 2);
        if [
            &b"sys:"[..],
            b"java:",
            b"ctx:",
            b"bundle:",
            b"script:",
            b"dns:",
            b"url:",
            b"docker:",
            b"k8s:",
            b"env:aws",
            b"main:",
            b"resourcebundle:",
            b"properties:",
            b"const:java",
            b"base64decoder:",
            b"urldecoder:",
            b"web:rootdir",
            b"spring:spring",
            b"log4j:config",
            b"jvmrunargs:",
        ]
        .iter()
        .any(|known| starts(inner, known))
        {
            let score = if starts(inner, b"script:") || starts(inner, b"dns:") || starts(inner, b"url:") {
                85
            } else {
                72
            };
            hits.add(
                Class::Jndi,
                score,
                "a lookup of the server's own properties",
                start,
                (start + 80).min(bytes.len()),
            );
        }
        index = start + 2;
    }
}

/// `bytes` with `${lower:j}`, `${::-j}`, `${env:x:-j}` and the like replaced by what they give; and whether there
/// were any, and how much was read.
fn resolve(bytes: &[u8]) -> (Vec<u8>, bool, usize) {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut open: Vec<usize> = Vec::new();
    let (mut nested, mut hidden) = (false, false);
    let mut index = 0;
    while index < bytes.len() {
        let byte = at(bytes, index);
        if byte == b'$' && at(bytes, index + 1) == b'{' {
            // `${a:-${b}}` has another value where there is none; it hides nothing.
            hidden |= !open.is_empty() && !out.ends_with(b":-") && !out.ends_with(b":=");
            open.push(out.len());
            out.extend_from_slice(b"${");
            index += 2;
            continue;
        }
        if byte == b'}' && open.len() > 1 {
            nested |= hidden;
            if let Some(start) = open.pop() {
                let inner = from(&out, start + 2);
                let value = match inner.windows(2).rposition(|pair| pair == b":-") {
                    Some(default) => from(inner, default + 2).to_vec(),
                    None => {
                        let colon = inner.iter().position(|&b| b == b':').map_or(0, |colon| colon + 1);
                        from(inner, colon).iter().filter(|&&b| b != b'\'').copied().collect()
                    }
                };
                out.truncate(start);
                out.extend_from_slice(&value);
            }
            index += 1;
            continue;
        }
        if byte == b'}' {
            out.push(b'}');
            break;
        }
        if byte > b' ' {
            out.push(byte);
        }
        index += 1;
    }
    (out, nested, index)
}
