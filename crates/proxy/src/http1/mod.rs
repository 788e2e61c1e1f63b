//! HTTP/1.1 messages as bytes: a strict codec without I/O.
//!
//! Every function here takes what has been read so far and answers what it means; nothing waits or reads.
//! The parser accepts exactly one spelling of each construct (RFC 9112 with every leniency removed), because a
//! message that two parsers could read in two ways is the raw material of request smuggling.

pub mod chunked;
pub mod encode;
pub mod error;
pub mod fields;
mod names;
pub mod request;
pub mod response;
pub mod scan;
mod table;

pub use chunked::{ChunkedDecoder, Decoded};
pub use error::HeadError;
pub use request::{ParsedRequest, parse_request, take_request};
pub use response::{ParsedResponse, parse_response, take_response};
pub use scan::{HeadScanner, StartLine};

/// How the end of a message body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyLength {
    /// There is no body.
    Empty,
    /// Exactly this many bytes follow the head; never zero.
    Fixed(u64),
    /// The body is in the chunked transfer coding.
    Chunked,
    /// The body ends where the connection does; responses only.
    UntilClose,
}

/// Bounds on one message head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, start line and empty line included.
    pub bytes: usize,
    /// Number of field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, fields: 100, target: 8 * 1024 }
    }
}

#[cfg(test)]
mod tests;
