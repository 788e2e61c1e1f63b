//! What a request says that its body is.

use http::header::{self, HeaderValue};
use portcullis_engine::{Fields, MediaType, Request};

/// Whether the body is declared as something that holds no texts for an interpreter: pictures, archives, messages of
/// gRPC, bytes of no known kind. Such a body streams past guards that look for texts: it may be larger than any buffer,
/// and of a gRPC call it may wait for what comes back. Whether an operation takes it at all, the contract says.
pub(crate) fn is_opaque(request: &Request) -> bool {
    const WHOLE: [&str; 12] = [
        "application/octet-stream",
        "application/zip",
        "application/gzip",
        "application/x-gzip",
        "application/x-tar",
        "application/x-7z-compressed",
        "application/pdf",
        "application/protobuf",
        "application/x-protobuf",
        "application/vnd.google.protobuf",
        "application/wasm",
        "application/cbor",
    ];
    let Some(text) = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = MediaType { text }.essence();
    let begins =
        |prefix: &str| essence.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    let ends = |suffix: &str| {
        let at = essence.len().checked_sub(suffix.len());
        at.and_then(|at| essence.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
    };
    // A picture may be a document, such as `image/svg+xml`; so may be a message, such as `application/grpc+json`.
    let document = ends("+xml") || ends("+json");
    WHOLE.iter().any(|known| essence.eq_ignore_ascii_case(known))
        || begins("application/grpc")
        || !document && ["image/", "audio/", "video/", "font/"].iter().any(|prefix| begins(prefix))
}

/// Keeps an answer that was made for its reader out of caches that several share (RFC 9111 section 5.2.2).
pub(crate) fn keep_private(headers: &mut Fields) {
    let says = |word: &str| {
        let fields = headers.get_all(header::CACHE_CONTROL).filter_map(|value| value.to_str().ok());
        fields.flat_map(|field| field.split(',')).any(|directive| {
            let name = directive.split('=').next().unwrap_or_default().trim();
            // `private="field"` is about that field alone.
            name.eq_ignore_ascii_case(word) && (word != "private" || !directive.contains('='))
        })
    };
    let shared = says("public") || says("s-maxage");
    if shared || !(says("private") || says("no-store")) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stay_their_readers() {
        for (said, expected) in [
            ("", "private, no-store"),
            ("public, max-age=600", "private, no-store"),
            ("private, s-maxage=600", "private, no-store"),
            ("max-age=600", "private, no-store"),
            ("private=\"x-a\"", "private, no-store"),
            ("Private, max-age=5", "Private, max-age=5"),
            ("no-store", "no-store"),
        ] {
            let mut headers = Fields::new();
            if !said.is_empty() {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            }
            keep_private(&mut headers);
            assert_eq!(headers[header::CACHE_CONTROL], expected, "{said}");
        }
    }
}
