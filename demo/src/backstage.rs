//! What stands behind the shop: the image host, the shipping partner, and the metadata service that clouds put on
//! a link-local address. One small server on an ephemeral loopback port, told apart by the `Host` header.

use crate::router::percent_decode;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

/// A grey picture of one pixel.
pub(crate) const PIXEL: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00,
    0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81,
    0x77, 0xcd, 0x72, 0xb6, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// Answers one request.
pub(crate) fn answer(host: &str, path: &str, query: &str) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (host, path) {
        ("images.shop.example", "/go") => {
            let target = query.strip_prefix("to=").unwrap_or_default();
            let target = percent_decode(target);
            let mut response = reply(StatusCode::FOUND, "text/plain", Bytes::new());
            if let Ok(target) = target.parse() {
                response.headers_mut().insert(header::LOCATION, target);
            }
            return response;
        }
        ("images.shop.example", path) if path.starts_with("/avatars/") && !path.contains("missing") => {
            (StatusCode::OK, "image/png", Bytes::from_static(&PIXEL))
        }
        ("shipping.partner.example", "/quote") => (
            StatusCode::OK,
            "application/json",
            Bytes::from(quote(query.strip_prefix("postcode=").unwrap_or_default())),
        ),
        (
            "169.254.169.254" | "2852039166" | "metadata.internal",
            "/latest/meta-data/iam/security-credentials/shop",
        ) => {
            let credentials = json!({
                "Code": "Success",
                "AccessKeyId": "DEMO-METADATA-KEY",
                "SecretAccessKey": "demo-metadata-secret-not-a-real-one",
            });
            (StatusCode::OK, "application/json", Bytes::from(credentials.to_string()))
        }
        ("169.254.169.254" | "2852039166" | "metadata.internal", _) => (
            StatusCode::OK,
            "text/plain",
            Bytes::from_static(b"latest/meta-data/iam/security-credentials/shop\n"),
        ),
        _ => (StatusCode::NOT_FOUND, "text/plain", Bytes::from_static(b"not here\n")),
    };
    reply(status, kind, body)
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// The shipping partner's price. Somebody has broken into its depots `EVIL…`: the answers for those postcodes are
/// hostile.
fn quote(postcode: &str) -> String {
    let weight: i64 = postcode.bytes().map(|byte| i64::from(byte % 10)).sum();
    match postcode {
        "EVIL1" => json!({ "carrier": "Swift Parcel", "priceCents": -100_000, "days": 2 }),
        "EVIL2" => json!({
            "carrier": "' || (SELECT group_concat(username || '=' || passwordHash) FROM users) || '",
            "priceCents": 0,
            "days": 1,
        }),
        _ if postcode.starts_with('N') => {
            json!({ "carrier": "Harbour Freight", "priceCents": 890 + weight, "days": 5 })
        }
        _ => json!({ "carrier": "Swift Parcel", "priceCents": 490 + weight, "days": 2 }),
    }
    .to_string()
}
