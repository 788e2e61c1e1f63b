//! Cross-origin.

use http::Method;
use http::header;
use portcullis_engine::{BodyLength, Request};

/// The method that a CORS preflight asks about (Fetch standard, "CORS-preflight request").
pub(crate) fn is_preflight(request: &Request) -> Option<&str> {
    if request.method != Method::OPTIONS
        || matches!(request.body, BodyLength::Exact(1..) | BodyLength::Unknown)
    {
        return None;
    }
    request.headers.get(header::ORIGIN)?;
    request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()
}
