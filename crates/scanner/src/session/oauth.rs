//! Tokens of an authorization server: OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::rc::Rc;

use data_encoding::BASE64;
use serde_json::{Map, Value};

use super::{Outcome, Session};
use crate::api::{Media, encode, write_body};
use crate::http::{Client, Exchange, Request, Response};
use crate::identity::ClientCredentials;

/// Bytes that are read of an answer of a token endpoint.
const ANSWER: usize = 1 << 20;

impl ClientCredentials {
    /// The request for a token; `basic` is whether the client names itself in the head, as every server has to take it (RFC
    /// 6749, section 2.3.1), or in the body.
    pub(crate) fn request(&self, base: &str, basic: bool) -> Request {
        let base = if self.at.is_some() { "" } else { base };
        let mut request = Request::new("POST", &format!("{base}{}", self.path));
        let mut members: Map<String, Value> =
            self.more.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        members.insert("grant_type".to_owned(), Value::String("client_credentials".to_owned()));
        if basic {
            let pair = format!("{}:{}", encode(&self.id), encode(&self.secret));
            request.set_header("Authorization", &format!("Basic {}", BASE64.encode(pair.as_bytes())));
        } else {
            members.insert("client_id".to_owned(), Value::String(self.id.clone()));
            members.insert("client_secret".to_owned(), Value::String(self.secret.clone()));
        }
        write_body(&mut request, Media::Form, "", &Value::Object(members), None);
        request
    }
}

impl Session<'_> {
    /// Asks for a token, once more with the credentials in the body where the server does not take them in the head.
    pub(super) fn ask_for_token(
        &mut self,
        actor: usize,
        client: &ClientCredentials,
        request: Request,
    ) -> Outcome<Rc<Exchange>> {
        let first = self.send_to_issuer(actor, client, request)?;
        if !matches!(first.response.status, 400 | 401) {
            return Ok(first);
        }
        let request = client.request(&self.base, false);
        self.send_to_issuer(actor, client, request)
    }

    fn send_to_issuer(
        &mut self,
        actor: usize,
        client: &ClientCredentials,
        request: Request,
    ) -> Outcome<Rc<Exchange>> {
        let Some(at) = &client.at else { return self.send_once(actor, request) };
        // Named by whoever named the target; it is no part of what is tested.
        self.admit()?;
        let response = match Client::new(at, self.options.timeout, ANSWER, self.options.tls.as_ref()) {
            Ok(issuer) => issuer.send(&request),
            Err(error) => Response { error: Some(error), ..Response::default() },
        };
        let actor = self.actor(actor).name.clone();
        Ok(Rc::new(Exchange { actor, request, response, times: 1, together: false }))
    }
}
