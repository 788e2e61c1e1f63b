//! The checks of one call.

use crate::contract::Contract;
use crate::media::{BodyFormat, MediaType};
use crate::report::Violation;
use serde_json::Value;

/// Which of the checks that cost something and that a policy may not want are done. The others always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Report headers that the operation does not describe, of those that carry application data.
    pub unknown_headers: bool,
    /// Report cookies that the operation does not describe.
    pub unknown_cookies: bool,
    /// Report properties that a schema neither describes nor forbids.
    pub unknown_properties: bool,
    /// Report `readOnly` properties in requests and `writeOnly` ones in responses.
    pub access: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { unknown_headers: false, unknown_cookies: false, unknown_properties: true, access: true }
    }
}

impl Contract {
    /// Checks the parameters of a request. `captures` is what [`Contract::route`] answered, `query` is the raw
    /// query string without `?`, `headers` are names and raw values (a `cookie` header among them).
    /// Nothing is allocated if the request is in order and its parameters are of primitive types.
    pub fn check_request_head<'a, H>(
        &self,
        operation: usize,
        captures: &[&str],
        query: Option<&str>,
        headers: H,
        checks: Checks,
    ) -> Vec<Violation>
    where
        H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
    {
        let _ = (operation, captures, query, headers, checks);
        Vec::new()
    }

    /// How the body of a request with this `Content-Type` would be read by
    /// [`Contract::check_request_body`]; opaque if it is not looked into.
    pub fn request_body_format(&self, operation: usize, content_type: Option<&str>) -> BodyFormat {
        let _ = operation;
        content_type.and_then(MediaType::parse).map_or(BodyFormat::Opaque, |media| media.format())
    }

    /// Checks the body of a request. `parsed` is the body as JSON, if the caller has parsed it already;
    /// without it a JSON body is parsed here.
    pub fn check_request_body(
        &self,
        operation: usize,
        content_type: Option<&str>,
        body: &[u8],
        parsed: Option<&Value>,
        checks: Checks,
    ) -> Vec<Violation> {
        let _ = (operation, content_type, body, parsed, checks);
        Vec::new()
    }

    /// Checks status, media type and headers of a response.
    pub fn check_response_head<'a, H>(
        &self,
        operation: usize,
        status: u16,
        content_type: Option<&str>,
        headers: H,
    ) -> Vec<Violation>
    where
        H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
    {
        let _ = (operation, status, content_type, headers);
        Vec::new()
    }

    /// Whether the body of such a response must be read to check it.
    pub fn reads_response_body(&self, operation: usize, status: u16, content_type: Option<&str>) -> bool {
        let _ = (operation, status, content_type);
        false
    }

    /// Checks the body of a response. `parsed` as in [`Contract::check_request_body`].
    pub fn check_response_body(
        &self,
        operation: usize,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        parsed: Option<&Value>,
        checks: Checks,
    ) -> Vec<Violation> {
        let _ = (operation, status, content_type, body, parsed, checks);
        Vec::new()
    }
}
