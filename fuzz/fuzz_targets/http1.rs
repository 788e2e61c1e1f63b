//! The strict HTTP/1.1 codec: no panic on any input, the same reading however the bytes arrive in pieces, and what
//! the parser accepted is accepted again, unchanged, after it was written out.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use portcullis_engine::Fields;
use portcullis_proxy::http1::{
    self, BodyLength, ChunkedDecoder, Decoded, HeadLimits, HeadScanner, StartLine, encode, parse_request, parse_response,
    take_request,
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, wire)) = data.split_first() else { return };
    match choice % 3 {
        0 => request(wire),
        1 => response(wire),
        _ => chunked(wire),
    }
});

fn find(kind: StartLine, wire: &[u8], step: usize) -> Option<Result<http1::scan::Found, http1::HeadError>> {
    let limits = HeadLimits::default();
    let mut scanner = HeadScanner::new(kind);
    let mut end = 0;
    loop {
        match scanner.scan(&wire[..end], &limits) {
            Ok(None) if end == wire.len() => return None,
            Ok(None) => end = (end + step).min(wire.len()),
            Ok(Some(found)) => return Some(Ok(found)),
            Err(error) => return Some(Err(error)),
        }
    }
}

/// What is taken from a connection's buffer is what the scanner finds and the parser reads.
fn taken(wire: &[u8], limits: &HeadLimits) {
    let mut buffer = BytesMut::from(wire);
    let mut scanner = HeadScanner::new(StartLine::Request);
    let taken = take_request(&mut buffer, &mut scanner, limits, Fields::new);
    let read = match find(StartLine::Request, wire, usize::MAX / 2) {
        None => Ok(None),
        Some(Err(error)) => Err(error),
        Some(Ok(found)) => {
            parse_request(&Bytes::copy_from_slice(&wire[found.skip..found.end]), limits).map(|r| Some((r, found.end)))
        }
    };
    match (taken, read) {
        (Ok(None), Ok(None)) => assert_eq!(&buffer[..], wire),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (Ok(Some(one)), Ok(Some((other, end)))) => {
            assert_eq!((&one.method, &one.target, &one.headers), (&other.method, &other.target, &other.headers));
            assert_eq!((one.body, one.keep_alive), (other.body, other.keep_alive));
            assert_eq!(&buffer[..], &wire[end..]);
        }
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

fn request(wire: &[u8]) {
    let limits = HeadLimits::default();
    taken(wire, &limits);
    let whole = find(StartLine::Request, wire, usize::MAX / 2);
    let bytewise = find(StartLine::Request, wire, 1);
    if let Some(Ok(found)) = whole {
        assert_eq!(bytewise, Some(Ok(found)));
        let head = Bytes::copy_from_slice(&wire[found.skip..found.end]);
        let Ok(parsed) = parse_request(&head, &limits) else { return };
        assert_ne!(parsed.body, BodyLength::UntilClose);
        let mut out = Vec::new();
        let host = parsed.headers.get("host").map(|h| h.as_bytes().to_vec()).unwrap_or_default();
        encode::write_request_start(&mut out, parsed.method.as_str(), &parsed.target, &host, &parsed.headers);
        encode::write_framing(&mut out, parsed.body, false);
        out.extend_from_slice(b"\r\n");
        let roomy = HeadLimits { bytes: usize::MAX, ..limits };
        let again = parse_request(&Bytes::from(out), &roomy).expect("what was accepted is accepted again");
        assert_eq!((again.method, again.target, again.body), (parsed.method, parsed.target, parsed.body));
    }
}

fn response(wire: &[u8]) {
    let whole = find(StartLine::Response, wire, usize::MAX / 2);
    if let Some(Ok(found)) = whole {
        assert_eq!(find(StartLine::Response, wire, 1), Some(Ok(found)));
        let head = Bytes::copy_from_slice(&wire[found.skip..found.end]);
        for method in [http::Method::GET, http::Method::HEAD] {
            let _ = parse_response(&head, &method);
        }
    }
}

fn decode(wire: &[u8], step: usize) -> Option<Result<(Vec<u8>, Fields), http1::HeadError>> {
    let mut decoder = ChunkedDecoder::new();
    let mut buffer = BytesMut::new();
    let mut content = Vec::new();
    let mut pieces = wire.chunks(step.max(1));
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Decoded::Data(data)) => content.extend_from_slice(&data),
            Ok(Decoded::End(trailers)) => return Some(Ok((content, trailers))),
            Ok(Decoded::Incomplete) => buffer.extend_from_slice(pieces.next()?),
            Err(error) => return Some(Err(error)),
        }
    }
}

fn chunked(wire: &[u8]) {
    let whole = decode(wire, wire.len());
    let bytewise = decode(wire, 1);
    match (whole, bytewise) {
        (Some(Ok(a)), Some(Ok(b))) => assert_eq!(a, b),
        (Some(Ok(_)), other) | (other, Some(Ok(_))) => panic!("pieces change the reading: {other:?}"),
        _ => {}
    }
}
