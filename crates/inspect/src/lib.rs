//! Values to what attack they are.
//!
//! ```text
//! value ─ screen ─▶ marks ─▶ detectors ─▶ Verdict { class, score, why, evidence, undone }
//!           │                    ▲
//!           └─ decodings ─▶ another form of the value
//! ```
//!
//! [`inspect`] judges one value: the text of a parameter, of a member of a document, of a header. One pass over its
//! bytes and one through an automaton of words tell which detectors could have something to say; a value that they
//! mark for none is done with. A detector reads the value as the interpreter would that it is aimed at, and judges
//! how much of a statement, a tag or a command there is. What hides it (percent-encoding, entities, base64, …) is
//! undone, layer by layer, and each form judged again.
//!
//! Work is bounded: every loop pays out of a [`Budget`] that grows with the length of what is inspected, and what it does not
//! cover is refused, not passed.
//!
//! ```
//! use portcullis_inspect::{Class, Place, inspect};
//!
//! let verdict = inspect(b"1' OR '1'='1", Place::Query).unwrap();
//! assert_eq!(verdict.class, Class::Sql);
//! assert!(verdict.is_attack());
//! assert!(!inspect("Seán O'Brien".as_bytes(), Place::Query).is_some_and(|v| v.is_attack()));
//! ```

mod budget;
mod class;
mod decode;
mod detect;
mod finder;
pub mod leaves;
mod place;
mod request;
mod screen;
mod text;
pub mod upload;
mod verdict;
mod view;

pub use budget::Budget;
pub use class::{Class, Classes};
pub use decode::{Decoding, form_text, path_text};
pub use place::Place;
pub use request::{Found, Request, each_leaf, inspect_request};
pub use verdict::{ATTACK, SUSPICIOUS, Verdict};
pub use view::{inspect, inspect_within, steps};

/// Does now what the first call of [`inspect`] would have to.
pub fn prepare() {
    screen::prepare();
}
