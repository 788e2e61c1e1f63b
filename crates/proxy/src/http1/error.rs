//! Why a message head was refused.

use http::StatusCode;

/// A message that does not have exactly one reading, or is over a bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A line feed without a carriage return before it.
    #[error("a line ends in a bare line feed; every line must end in CR LF")]
    BareLf,
    /// A carriage return without a line feed after it.
    #[error("a carriage return stands alone; every line must end in CR LF")]
    BareCr,
    /// A field line continued on the next line (RFC 9112 section 5.2).
    #[error("a field line is folded over two lines")]
    ObsFold,
    /// The method is not one to 32 upper-case letters and hyphens.
    #[error("the method is not written in upper-case letters")]
    Method,
    /// The start line is not three parts separated by single spaces.
    #[error("the start line is malformed")]
    StartLine,
    /// The target has a control character, a space, a fragment or a raw non-ASCII byte, or no known form.
    #[error("the request target has a form or a character that is not allowed")]
    Target,
    /// The target is longer than the bound.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The version is not written `HTTP/` digit `.` digit.
    #[error("the version is malformed")]
    Version,
    /// The version is well formed and not 1.0 or 1.1.
    #[error("the version is not HTTP/1.0 or HTTP/1.1")]
    UnsupportedVersion,
    /// A field name is empty, has whitespace before the colon or a character outside of the token set.
    #[error("a field name is malformed")]
    FieldName,
    /// A field value has a control character.
    #[error("a field value has a control character")]
    FieldValue,
    /// There are more field lines than the bound.
    #[error("there are too many header fields")]
    TooManyFields,
    /// The head is longer than the bound.
    #[error("the header section is too large")]
    HeadTooLarge,
    /// There is no Host field.
    #[error("the Host field is missing")]
    HostMissing,
    /// There are several Host fields.
    #[error("there are several Host fields")]
    HostRepeated,
    /// The Host field is not a host name or address with an optional port.
    #[error("the Host field is malformed")]
    HostMalformed,
    /// The authority of an absolute target is not the Host field.
    #[error("the authority of the target differs from the Host field")]
    HostMismatch,
    /// Content-Length is not a plain decimal number.
    #[error("Content-Length is not a plain decimal number")]
    ContentLength,
    /// Content-Length appears more than once.
    #[error("Content-Length appears more than once")]
    ContentLengthRepeated,
    /// Both Content-Length and Transfer-Encoding are present.
    #[error("both Content-Length and Transfer-Encoding are present")]
    LengthAndCoding,
    /// Transfer-Encoding is anything but a single `chunked`.
    #[error("Transfer-Encoding is not a single `chunked`")]
    TransferEncoding,
    /// Transfer-Encoding in an HTTP/1.0 message.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingVersion,
    /// The Connection field is not a list of tokens.
    #[error("the Connection field is not a list of tokens")]
    Connection,
    /// Expect is anything but `100-continue`.
    #[error("Expect is not `100-continue`")]
    Expect,
    /// Upgrade is repeated, malformed, or not named by Connection.
    #[error("the Upgrade field is malformed or not named by Connection")]
    Upgrade,
    /// The status code is not three digits from 100 to 599.
    #[error("the status code is malformed")]
    Status,
    /// A chunk-size line is malformed or over its bound.
    #[error("a chunk-size line is malformed or too long")]
    ChunkSize,
    /// A chunk is not followed by CR LF.
    #[error("a chunk is longer than its announced size")]
    ChunkEnd,
    /// The trailer section is over its bound or carries a field that may not be there.
    #[error("the trailer section is too large or carries a field that does not belong there")]
    Trailers,
}

impl HeadError {
    /// The status a server answers with when a client sent this.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields | Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expect => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// A stable short name: the label of a counter, and part of a log line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::ObsFold => "obs-fold",
            Self::Method => "method",
            Self::StartLine => "start-line",
            Self::Target => "target",
            Self::TargetTooLong => "target-too-long",
            Self::Version => "version",
            Self::UnsupportedVersion => "unsupported-version",
            Self::FieldName => "field-name",
            Self::FieldValue => "field-value",
            Self::TooManyFields => "too-many-fields",
            Self::HeadTooLarge => "head-too-large",
            Self::HostMissing => "host-missing",
            Self::HostRepeated => "host-repeated",
            Self::HostMalformed => "host-malformed",
            Self::HostMismatch => "host-mismatch",
            Self::ContentLength => "content-length",
            Self::ContentLengthRepeated => "content-length-repeated",
            Self::LengthAndCoding => "length-and-coding",
            Self::TransferEncoding => "transfer-encoding",
            Self::TransferEncodingVersion => "transfer-encoding-version",
            Self::Connection => "connection",
            Self::Expect => "expect",
            Self::Upgrade => "upgrade",
            Self::Status => "status",
            Self::ChunkSize => "chunk-size",
            Self::ChunkEnd => "chunk-end",
            Self::Trailers => "trailers",
        }
    }
}
