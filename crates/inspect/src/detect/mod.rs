//! The detectors: one file each, and the list of them with what lets a value through to each.

mod code;
mod command;
mod crlf;
mod html;
mod jndi;
mod js;
mod ldap;
mod markup;
mod nosql;
mod object;
mod path;
mod sql;
mod ssrf;
mod template;
mod xpath;

use crate::place::Place;
use crate::screen::{Bytes, Marks};
use crate::verdict::Hits;

/// One form of a value: as it came, or with something undone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Where the value stood.
    pub(crate) place: Place,
    /// What the screen saw in it.
    pub(crate) marks: Marks,
    /// Long text with lines and sentences, or fenced code: what a person writes about things.
    pub(crate) document: bool,
}

impl View<'_> {
    /// Whether it is short enough to be a payload and little else.
    pub(crate) fn is_short(&self) -> bool {
        self.bytes.len() < 160
    }
}

/// A detector: what the screen must have seen for it to look, and how it looks.
struct Detector {
    wants: Marks,
    /// Kinds of bytes that are all the same to it: where undoing made only those, it has seen the value already.
    ignores: u32,
    run: fn(&View<'_>, &mut Hits),
}

/// Letters of no English word, and what stands for an unknown one.
const FOREIGN: u32 = Bytes::HIGH;
const LINES: u32 = Bytes::HIGH | Bytes::BREAK;

/// For each detector, what kinds of bytes were made since it looked last.
pub(crate) type Unseen = [u32; DETECTORS.len()];

/// Nobody has looked yet.
pub(crate) const ALL_UNSEEN: Unseen = [u32::MAX; DETECTORS.len()];

/// In this order; one that is sure ends the search.
static DETECTORS: [Detector; 15] = [
    Detector { wants: Marks::JNDI, ignores: 0, run: jndi::detect },
    Detector { wants: Marks::HTML, ignores: FOREIGN, run: html::detect },
    Detector { wants: Marks::SCRIPT, ignores: FOREIGN, run: js::detect },
    Detector { wants: Marks::SQL, ignores: FOREIGN, run: sql::detect },
    Detector { wants: Marks::PATH, ignores: LINES | Bytes::QUOTE | Bytes::PAREN, run: path::detect },
    Detector { wants: Marks::COMMAND, ignores: FOREIGN, run: command::detect },
    Detector { wants: Marks::TEMPLATE, ignores: LINES, run: template::detect },
    Detector { wants: Marks::CODE, ignores: LINES, run: code::detect },
    Detector { wants: Marks::MARKUP, ignores: LINES | Bytes::QUOTE, run: markup::detect },
    Detector { wants: Marks::OBJECT, ignores: 0, run: object::detect },
    Detector { wants: Marks::NOSQL, ignores: LINES, run: nosql::detect },
    Detector { wants: Marks::CRLF, ignores: FOREIGN | Bytes::QUOTE | Bytes::SLASH, run: crlf::detect },
    Detector { wants: Marks::SSRF, ignores: LINES, run: ssrf::detect },
    Detector { wants: Marks::LDAP, ignores: LINES | Bytes::QUOTE | Bytes::SLASH, run: ldap::detect },
    Detector { wants: Marks::XPATH, ignores: LINES, run: xpath::detect },
];

/// Lets every detector that the screen let through judge `view`, unless it knows all that it reads there.
pub(crate) fn judge(view: &View<'_>, unseen: &mut Unseen, hits: &mut Hits) {
    for (detector, unseen) in DETECTORS.iter().zip(unseen) {
        if !view.marks.any(detector.wants) {
            *unseen = 0;
        } else if *unseen & !detector.ignores != 0 {
            *unseen = 0;
            (detector.run)(view, hits);
            if hits.sure() || hits.budget.is_out() {
                return;
            }
        }
    }
}
