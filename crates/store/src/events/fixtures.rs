//! Records for tests, made the way they are made in life: by the engine.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use portcullis_engine::{
    BodyLength, Code, Connection, Denial, End, Engine, ExchangeId, Fields, Now, Outcome, Record, RequestHead,
    Scheme, State,
};

/// What a record is to say.
pub(super) struct Wanted<'a> {
    pub(super) id: u128,
    pub(super) began: u64,
    pub(super) target: &'a str,
    pub(super) client: &'a str,
    pub(super) refused: Option<(&'static Code, String)>,
    pub(super) status: u16,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Wanted {
            id: 7,
            began: 1_000,
            target: "/orders/7?page=2",
            client: "192.0.2.7",
            refused: None,
            status: 200,
        }
    }
}

/// A record like that.
pub(super) fn record(wanted: &Wanted<'_>) -> Record {
    let engine = Engine::builder(Arc::new(State::new(64))).build();
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static("host"), HeaderValue::from_static("api.example.com"));
    headers.insert(HeaderName::from_static("user-agent"), HeaderValue::from_static("probe/1.0"));
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
    let head = RequestHead {
        method: Method::POST,
        target: Bytes::copy_from_slice(wanted.target.as_bytes()),
        authority: None,
        version: Version::HTTP_11,
        headers,
        body: BodyLength::Exact(12),
    };
    let connection = Connection {
        peer: (wanted.client.parse::<std::net::IpAddr>().unwrap(), 4711).into(),
        local: "192.0.2.1:80".parse().unwrap(),
        scheme: Scheme::Http,
        sni: None,
        certificate: None,
    };
    let mut inspection = engine.begin(head, &connection, ExchangeId(wanted.id), Now::recorded(wanted.began));
    if let Some((code, reason)) = &wanted.refused {
        inspection.refuse(&Denial::new(code, reason.clone()));
    }
    inspection.finish(Outcome {
        status: StatusCode::from_u16(wanted.status).unwrap(),
        end: End::Complete,
        bytes_in: 12,
        bytes_out: 34,
        upstream: Some("127.0.0.1:3000".into()),
        upstream_ns: Some(250),
        now: Now::recorded(wanted.began + 500),
    })
}
