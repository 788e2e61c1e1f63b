//! For tests: a whole engine around a contract and a policy, and calls through it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use portcullis_engine::Fields;
use portcullis_engine::*;
use portcullis_identity::{DataKeys, KeyEntry, KeyRing, KeyRingHandle, MasterKey, Pepper};
use portcullis_openapi::{Contract, Options};
use serde_json::{Value, json};

use crate::{CompileError, Compiled, Credentials, DataRings, Policies, compile};

pub(crate) const SHOP: &str = r#"
openapi: 3.1.0
info: { title: Shop, version: '1' }
components:
  securitySchemes:
    key: { type: apiKey, in: header, name: X-API-Key }
    queryKey: { type: apiKey, in: query, name: api_key }
    cookieKey: { type: apiKey, in: cookie, name: sid }
    appId: { type: apiKey, in: header, name: X-App-Id }
    appKey: { type: apiKey, in: header, name: X-App-Key }
    user: { type: http, scheme: bearer }
security: [{ key: [] }]
paths:
  /status:
    get: { operationId: status, security: [], responses: { '200': { description: ok } } }
  /orders/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
    get:
      operationId: getOrder
      tags: [orders]
      parameters: [{ name: expand, in: query, schema: { type: string, enum: [items] } }]
      responses:
        '200':
          description: ok
          content: { application/json: { schema: { type: object, required: [id], properties: { id: { type: integer }, pin: { type: string, writeOnly: true } } } } }
    put:
      operationId: putOrder
      tags: [orders]
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [total]
              properties: { total: { type: number }, id: { type: integer, readOnly: true } }
      responses: { '204': { description: ok } }
  /by-query: { get: { operationId: byQuery, security: [{ queryKey: [] }], responses: { '200': { description: ok } } } }
  /by-cookie: { get: { operationId: byCookie, security: [{ cookieKey: [] }], responses: { '200': { description: ok } } } }
  /by-app: { get: { operationId: byApp, security: [{ appId: [], appKey: [] }], responses: { '200': { description: ok } } } }
  /by-user: { get: { operationId: byUser, security: [{ user: [] }], responses: { '200': { description: ok } } } }
  /either: { get: { operationId: either, security: [{ key: [] }, { appId: [], appKey: [] }], responses: { '200': { description: ok } } } }
  /maybe: { get: { operationId: maybe, security: [{}, { key: [] }], responses: { '200': { description: ok } } } }
  /old: { get: { operationId: old, deprecated: true, security: [], responses: { '200': { description: ok } } } }
"#;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn pepper() -> Pepper {
    Pepper::new([9; 32])
}

pub(crate) fn entry(kind: CredentialKind, secret: &str, consumer: &str, id: &str) -> KeyEntry {
    KeyEntry {
        scopes: Arc::new(["read".into()]),
        ..KeyEntry::new(pepper().digest(secret), kind, consumer, id)
    }
}

/// The keys of all tests: consumer `alice` with the api key `alice-key`, `bob` with `bob-key`, an expired one, a
/// revoked one, and the app `app-1` with two keys.
pub(crate) fn keys() -> KeyRingHandle {
    use CredentialKind::{ApiKey, AppKey};
    let ring = KeyRing::new(
        pepper(),
        [
            entry(ApiKey, "alice-key", "alice", "k-alice"),
            entry(ApiKey, "bob-key", "bob", "k-bob"),
            KeyEntry { expires: Some(NOW - 1), ..entry(ApiKey, "old-key", "alice", "k-old") },
            KeyEntry { revoked: true, ..entry(ApiKey, "gone-key", "alice", "k-gone") },
            KeyEntry {
                networks: vec!["10.0.0.0/8".parse().unwrap()],
                ..entry(ApiKey, "inside-key", "alice", "k-inside")
            },
            entry(AppKey, "app-secret-1", "app-1", "a-1"),
            entry(AppKey, "app-secret-2", "app-1", "a-2"),
        ],
    );
    KeyRingHandle::new(ring.unwrap())
}

/// [`keys`], and the rings of all tests: the gateway's own, and `cards`, whose second key is that of look-ups.
pub(crate) fn credentials() -> Credentials {
    let ring = |keys: &[u8], lookup| {
        let keys: Vec<_> = keys.iter().map(|byte| MasterKey::new([*byte; 32])).collect();
        Arc::new(DataKeys::new(&keys, lookup).unwrap())
    };
    let named = [("cards".to_owned(), ring(&[2, 1], 1)), ("old".to_owned(), ring(&[1], 0))].into();
    Credentials { data: DataRings { own: Some(ring(&[7], 0)), named }, ..keys().into() }
}

pub(crate) fn build(
    contract: &str,
    policies: &Value,
    zero_config: bool,
) -> Result<Compiled, Vec<CompileError>> {
    let contract = match contract {
        "" => None,
        text => Some(Arc::new(Contract::parse("t.yaml", text.as_bytes(), &Options::default()).unwrap())),
    };
    let mut policies = Policies::from_value(policies)?;
    policies.zero_config = zero_config;
    compile(contract, &policies, Settings::default(), credentials(), Arc::new(State::default()))
}

/// The shop under `policies`, with a configuration file that says what the contract leaves open.
pub(crate) fn shop(mut policies: Value) -> Compiled {
    let schemes = json!({ "user": "upstream" });
    let members = policies.as_object_mut().unwrap();
    let section = members.entry("authenticate").or_insert_with(|| json!({}));
    if let Some(section) = section.as_object_mut() {
        section.entry("schemes").or_insert(schemes);
    }
    build(SHOP, &policies, false).unwrap()
}

pub(crate) fn errors(contract: &str, policies: Value) -> Vec<String> {
    match build(contract, &policies, false) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|e| format!("{}: {}", e.pointer, e.message)).collect(),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
    pub(crate) tls: bool,
    pub(crate) client: &'static str,
    /// Milliseconds after the beginning.
    pub(crate) at_ms: u64,
    pub(crate) recorded: Option<Recorded>,
    /// What the API answers when a guard reads it.
    pub(crate) read: Option<Answer>,
    /// What other servers answer, one after the other; then none does.
    pub(crate) outside: Vec<(u16, String)>,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

pub(crate) fn call(method: &str, target: &str) -> Call {
    Call {
        method: method.parse().unwrap(),
        target: target.into(),
        headers: Vec::new(),
        body: None,
        tls: false,
        client: "192.0.2.7",
        at_ms: 0,
        recorded: None,
        read: None,
        outside: Vec::new(),
        answer: Answer { status: 200, headers: Vec::new(), body: String::new() },
    }
}

impl Call {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Call {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(mut self, body: &str) -> Call {
        self.body = Some(body.into());
        self.with("content-type", "application/json")
    }

    pub(crate) fn tls(mut self) -> Call {
        self.tls = true;
        self
    }

    pub(crate) fn from(mut self, client: &'static str) -> Call {
        self.client = client;
        self
    }

    pub(crate) fn at(mut self, ms: u64) -> Call {
        self.at_ms = ms;
        self
    }

    pub(crate) fn answered(mut self, status: u16, headers: &[(&'static str, &str)], body: &str) -> Call {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.answer = Answer { status, headers, body: body.into() };
        self
    }
}

impl Call {
    /// The API answers a guard's read so.
    pub(crate) fn reads(mut self, status: u16, body: &str) -> Call {
        self.read = Some(Answer { status, headers: Vec::new(), body: body.into() });
        self
    }
}

impl Call {
    /// Another server answers the next question so.
    pub(crate) fn told(mut self, status: u16, body: &str) -> Call {
        self.outside.push((status, body.into()));
        self
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Went {
    /// What a guard read from the API.
    pub(crate) read: Option<String>,
    /// What other servers were asked: address, fields and body.
    pub(crate) asked: Vec<(String, Fields, String)>,
    /// What the upstream got, where it got anything.
    pub(crate) upstream: Option<(String, Fields)>,
    /// The body it got, where a guard needed it whole.
    pub(crate) sent: Option<String>,
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: String,
    pub(crate) record: Record,
}

impl Went {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The refusal's code, or `permitted`, `answered`.
    pub(crate) fn code(&self) -> &'static str {
        self.record.decision.refusal().map_or(self.record.decision.word(), |(code, ..)| code.name)
    }

    pub(crate) fn found(&self) -> Vec<&'static str> {
        self.record.findings.iter().map(|finding| finding.code.name).collect()
    }
}

fn map(fields: &[(&'static str, String)]) -> Fields {
    let mut headers = Fields::new();
    for (name, value) in fields {
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Puts `call` through `engine`, from head to record.
pub(crate) fn send(engine: &Arc<Engine>, call: &Call) -> Went {
    let connection = Connection {
        peer: std::net::SocketAddr::new(call.client.parse().unwrap(), 4711),
        local: ([192, 0, 2, 1], 80).into(),
        scheme: if call.tls { Scheme::Https } else { Scheme::Http },
        sni: None,
        certificate: None,
    };
    let mut headers = map(&call.headers);
    headers.insert(HeaderName::from_static("host"), HeaderValue::from_static("api.example.com"));
    let head = RequestHead {
        method: call.method.clone(),
        target: Bytes::from(call.target.clone()),
        authority: None,
        version: Version::HTTP_11,
        headers,
        body: call.body.as_ref().map_or(BodyLength::None, |body| BodyLength::Exact(body.len() as u64)),
    };
    let now = Now::recorded(NOW * SECOND + call.at_ms * 1_000_000);
    let id = ExchangeId(7);
    let mut inspection = match &call.recorded {
        Some(recorded) => Arc::clone(engine).begin_recorded(head, &connection, id, now, recorded.clone()),
        None => Arc::clone(engine).begin(head, &connection, id, now),
    };
    let mut step = inspection.request_head();
    let mut read = None;
    let mut asked = Vec::new();
    let mut body_read = false;
    let answer = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::from(body.to_owned());
        Ok(Arc::new(portcullis_engine::Answer { status, headers: Fields::new(), body }))
    };
    loop {
        step = match step {
            Step::Lookup(lookup) => {
                let result = match lookup.destination {
                    Destination::Upstream(sent) => {
                        read = Some(format!("{} {}", sent.request.method, sent.request.target()));
                        call.read.as_ref().map(|known| answer(known.status, &known.body))
                    }
                    Destination::Url { url, headers, body, .. } => {
                        asked.push((url.into(), headers, String::from_utf8(body.to_vec()).unwrap()));
                        call.outside.get(asked.len() - 1).map(|(status, body)| answer(*status, body))
                    }
                    Destination::Stream { address, messages } => {
                        let sent = messages.concat();
                        asked.push((
                            address.into(),
                            Fields::new(),
                            String::from_utf8_lossy(&sent).into_owned(),
                        ));
                        call.outside.get(asked.len() - 1).map(|(status, body)| answer(*status, body))
                    }
                    Destination::Names { address } => {
                        asked.push((address.to_string(), Fields::new(), String::new()));
                        call.outside.get(asked.len() - 1).map(|(status, body)| answer(*status, body))
                    }
                    Destination::Resolve { name } => {
                        asked.push((name.into(), Fields::new(), String::new()));
                        call.outside.get(asked.len() - 1).map(|(status, body)| answer(*status, body))
                    }
                    Destination::Keys { .. } => None,
                };
                inspection.resolve(result.unwrap_or(Err(LookupFailure::Timeout)), now)
            }
            Step::NeedBody { .. } if !body_read => {
                body_read = true;
                inspection.request_body(Bytes::from(call.body.clone().unwrap_or_default()))
            }
            other => {
                step = other;
                break;
            }
        };
    }
    let mut upstream = None;
    let mut sent = None;
    let (status, headers, body) = match step {
        Step::Reply(reply) => (reply.status, reply.headers, reply.body),
        Step::NeedBody { .. } => panic!("asked for the body twice"),
        Step::Lookup(lookup) => panic!("asked outside: {lookup:?}"),
        Step::Forward(permit) => {
            if let ForwardBody::Whole(body) = permit.body() {
                sent = Some(String::from_utf8(body.to_vec()).unwrap());
            }
            let request = inspection.request();
            upstream = Some((request.target().to_owned(), request.headers.clone()));
            let length = call.answer.body.len() as u64;
            let head = ResponseHead {
                status: StatusCode::from_u16(call.answer.status).unwrap(),
                headers: map(&call.answer.headers),
                body: if length == 0 { BodyLength::None } else { BodyLength::Exact(length) },
            };
            let body = Bytes::from(call.answer.body.clone());
            let mut step = inspection.response_head(head, now);
            if let ResponseStep::NeedBody { .. } = step {
                step = inspection.response_body(body.clone(), now);
            }
            match step {
                ResponseStep::Deliver(head) => (head.status, head.headers, body),
                ResponseStep::DeliverWhole(head, body) => (head.status, head.headers, body),
                ResponseStep::Reply(reply) => (reply.status, reply.headers, reply.body),
                ResponseStep::NeedBody { .. } => panic!("asked for the body twice"),
                ResponseStep::Lookup(lookup) => panic!("asked outside: {lookup:?}"),
            }
        }
    };
    let record = inspection.finish(Outcome {
        status,
        end: End::Complete,
        bytes_in: 0,
        bytes_out: body.len() as u64,
        upstream: None,
        upstream_ns: None,
        now,
    });
    let body = String::from_utf8(body.to_vec()).unwrap();
    Went { read, asked, upstream, sent, status: status.as_u16(), headers, body, record }
}
