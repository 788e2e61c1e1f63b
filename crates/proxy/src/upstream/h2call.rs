//! One call on an HTTP/2 connection to an upstream.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Uri, Version};
use portcullis_engine::{BodyLength, Fields, Request};

use super::call::{CallError, Head, SendBody, UpstreamHead};
use super::pool::Multiplexed;
use crate::h2io::{Receiver, Sender};
use crate::http1::{HeadError, encode, fields};
use crate::message::{BodyError, Frame};

/// A call under way.
#[derive(Debug)]
pub(crate) struct H2Call {
    response: h2::client::ResponseFuture,
    sender: Sender,
    receiver: Option<Receiver>,
    streams: Rc<Cell<usize>>,
}

impl H2Call {
    /// Sends the request's head.
    pub(crate) fn start(
        connection: &mut Multiplexed,
        request: &Request,
        scheme: &'static str,
        host: &[u8],
        body: SendBody,
    ) -> Result<Self, CallError> {
        let path = PathAndQuery::from_maybe_shared(Bytes::clone(request.target_bytes()))
            .map_err(|_| CallError::Malformed(HeadError::Target))?;
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(host)
            .path_and_query(path)
            .build()
            .map_err(|_| CallError::Malformed(HeadError::Target))?;
        let mut head = http::Request::new(());
        *head.method_mut() = request.method.clone();
        *head.uri_mut() = uri;
        *head.version_mut() = Version::HTTP_2;
        let headers = head.headers_mut();
        headers.reserve(request.headers.len() + 1);
        for (name, value) in &request.headers {
            if *name != header::HOST && !encode::is_connection_field(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if let SendBody::Exact(n) = body {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(n));
        }
        let ended = matches!(body, SendBody::None | SendBody::Exact(0));
        let (response, stream) = connection.send.send_request(head, ended).map_err(failed)?;
        connection.streams.set(connection.streams.get() + 1);
        let mut sender = Sender::default();
        sender.attach(stream, ended);
        Ok(Self { response, sender, receiver: None, streams: Rc::clone(&connection.streams) })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.sender.has_room()
    }

    pub(crate) fn data(&mut self, data: Bytes) {
        self.sender.data(data);
    }

    pub(crate) fn end(&mut self, trailers: Option<Fields>) {
        self.sender.end(trailers);
    }

    /// A failure shows when the answer is read.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_write(cx, &mut 0).map(|_| ())
    }

    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, CallError>> {
        if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            let (parts, ()) = interim.into_parts();
            return Poll::Ready(Ok(Head::Informational(parts.status, parts.headers.into())));
        }
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(failed(error))),
        };
        let (parts, stream) = response.into_parts();
        let receiver = Receiver::new(stream);
        let announced = match parts.headers.get(header::CONTENT_LENGTH) {
            None => None,
            Some(value) => match fields::parse_content_length(value.as_bytes()) {
                Ok(n) => Some(n),
                Err(error) => return Poll::Ready(Err(CallError::Malformed(error))),
            },
        };
        let body = match (receiver.is_done(), announced) {
            (true, Some(0)) => BodyLength::Exact(0),
            (true, _) => BodyLength::None,
            (false, Some(n)) => BodyLength::Exact(n),
            (false, None) => BodyLength::Unknown,
        };
        self.receiver = Some(receiver);
        Poll::Ready(Ok(Head::Final(UpstreamHead {
            status: parts.status,
            headers: parts.headers.into(),
            body,
            content_length: announced,
        })))
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        match &mut self.receiver {
            Some(receiver) => receiver.poll_frame(cx),
            None => Poll::Ready(Ok(None)),
        }
    }

    pub(crate) fn body_done(&self) -> bool {
        self.receiver.as_ref().is_none_or(Receiver::is_done)
    }
}

fn failed(error: h2::Error) -> CallError {
    let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR));
    CallError::Stream { error, refused }
}

impl Drop for H2Call {
    fn drop(&mut self) {
        if !self.sender.is_ended()
            && let Some(stream) = self.sender.stream()
        {
            stream.send_reset(h2::Reason::CANCEL);
        }
        self.streams.set(self.streams.get().saturating_sub(1));
    }
}
