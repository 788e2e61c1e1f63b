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
use crate::screen::Marks;
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
    run: fn(&View<'_>, &mut Hits),
}

/// In this order; one that is sure ends the search.
static DETECTORS: &[Detector] = &[
    Detector { wants: Marks::JNDI, run: jndi::detect },
    Detector { wants: Marks::HTML, run: html::detect },
    Detector { wants: Marks::SCRIPT, run: js::detect },
    Detector { wants: Marks::SQL, run: sql::detect },
    Detector { wants: Marks::PATH, run: path::detect },
    Detector { wants: Marks::COMMAND, run: command::detect },
    Detector { wants: Marks::TEMPLATE, run: template::detect },
    Detector { wants: Marks::CODE, run: code::detect },
    Detector { wants: Marks::MARKUP, run: markup::detect },
    Detector { wants: Marks::OBJECT, run: object::detect },
    Detector { wants: Marks::NOSQL, run: nosql::detect },
    Detector { wants: Marks::CRLF, run: crlf::detect },
    Detector { wants: Marks::SSRF, run: ssrf::detect },
    Detector { wants: Marks::LDAP, run: ldap::detect },
    Detector { wants: Marks::XPATH, run: xpath::detect },
];

/// Lets every detector that the screen let through judge `view`.
pub(crate) fn judge(view: &View<'_>, hits: &mut Hits) {
    for detector in DETECTORS {
        if view.marks.any(detector.wants) {
            (detector.run)(view, hits);
            if hits.sure() {
                return;
            }
        }
    }
}
