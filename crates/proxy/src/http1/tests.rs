use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, StatusCode, Version};
use portcullis_engine::Fields;

use super::chunked::{self, ChunkedDecoder, Decoded};
use super::fields::{is_authority, parse_content_length};
use super::scan::Found;
use super::*;

/// Feeds the head in two pieces split at `at`, then parses it.
fn read_split(wire: &[u8], at: usize, limits: &HeadLimits) -> Result<Option<ParsedRequest>, HeadError> {
    let mut scanner = HeadScanner::new(StartLine::Request);
    let (first, _) = wire.split_at(at);
    let found = match scanner.scan(first, limits)? {
        Some(found) => Some(found),
        None => scanner.scan(wire, limits)?,
    };
    let Some(Found { skip, end }) = found else { return Ok(None) };
    parse_request(&Bytes::copy_from_slice(&wire[skip..end]), limits).map(Some)
}

/// As [`read_split`], by what takes heads from connections; something more follows in the buffer.
fn taken_split(wire: &[u8], at: usize, limits: &HeadLimits) -> Result<Option<ParsedRequest>, HeadError> {
    let mut scanner = HeadScanner::new(StartLine::Request);
    let (first, second) = wire.split_at(at);
    let mut buffer = BytesMut::from(first);
    if let Some(request) = take_request(&mut buffer, &mut scanner, limits, Fields::new)? {
        assert!(wire.ends_with(&[&buffer[..], second].concat()));
        return Ok(Some(request));
    }
    assert_eq!(&buffer[..], first);
    buffer.extend_from_slice(second);
    take_request(&mut buffer, &mut scanner, limits, Fields::new)
}

fn read(wire: &[u8]) -> Result<ParsedRequest, HeadError> {
    let limits = HeadLimits::default();
    let whole = read_split(wire, 0, &limits);
    for at in 0..=wire.len() {
        for split in [read_split(wire, at, &limits), taken_split(wire, at, &limits)] {
            assert_eq!(
                split.as_ref().map(|r| r.as_ref().map(|r| (&r.target, &r.headers))),
                whole.as_ref().map(|r| r.as_ref().map(|r| (&r.target, &r.headers))),
                "split at {at} of {:?}",
                String::from_utf8_lossy(wire)
            );
        }
    }
    whole.map(|r| r.unwrap_or_else(|| panic!("incomplete: {:?}", String::from_utf8_lossy(wire))))
}

fn refused(wire: &str) -> HeadError {
    read(wire.as_bytes()).expect_err(wire)
}

#[test]
fn an_ordinary_request_is_read() {
    let request =
        read(b"GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nAccept:  */* \t\r\nX-Empty:\r\n\r\n")
            .unwrap();
    assert_eq!(request.method, Method::GET);
    assert_eq!(&request.target[..], b"/a/b?c=d");
    assert_eq!(request.version, Version::HTTP_11);
    assert_eq!(request.headers["accept"], "*/*");
    assert_eq!(request.headers["x-empty"], "");
    assert_eq!(request.body, BodyLength::Empty);
    assert!(request.keep_alive && !request.upgrade && !request.expects_continue);
}

#[test]
fn one_empty_line_before_the_request_is_skipped_and_two_are_not() {
    assert!(read(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), HeadError::StartLine);
}

#[test]
fn framing_is_decided_once() {
    let body =
        |fields: &str| read(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()).map(|r| r.body);
    assert_eq!(body("Content-Length: 12\r\n"), Ok(BodyLength::Fixed(12)));
    assert_eq!(body("Content-Length: 0\r\n"), Ok(BodyLength::Empty));
    assert_eq!(body("Transfer-Encoding: chunked\r\n"), Ok(BodyLength::Chunked));
    assert_eq!(body(""), Ok(BodyLength::Empty));
    for (fields, error) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", HeadError::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", HeadError::LengthAndCoding),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", HeadError::ContentLengthRepeated),
        ("Content-Length: 1, 1\r\n", HeadError::ContentLength),
        ("Content-Length: +1\r\n", HeadError::ContentLength),
        ("Content-Length: -1\r\n", HeadError::ContentLength),
        ("Content-Length: 0x1\r\n", HeadError::ContentLength),
        ("Content-Length: 01\r\n", HeadError::ContentLength),
        ("Content-Length: 1 2\r\n", HeadError::ContentLength),
        ("Content-Length:\r\n", HeadError::ContentLength),
        ("Content-Length: 99999999999999999999\r\n", HeadError::ContentLength),
        ("Transfer-Encoding: gzip, chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: xchunked\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: chunked;q=1\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: identity\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding:\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding : chunked\r\n", HeadError::FieldName),
        ("Transfer-Encoding\t: chunked\r\n", HeadError::FieldName),
        ("Transfer-Encoding:\x0bchunked\r\n", HeadError::FieldValue),
        (" Transfer-Encoding: chunked\r\n", HeadError::ObsFold),
        ("Foo: bar\r\n Transfer-Encoding: chunked\r\n", HeadError::ObsFold),
        ("Foo: bar\r\n\tbaz\r\n", HeadError::ObsFold),
        ("Foo: bar\nContent-Length: 1\r\n", HeadError::BareLf),
        ("Foo: bar\rContent-Length: 1\r\n", HeadError::BareCr),
        ("Foo: a\0b\r\n", HeadError::FieldValue),
        ("Foo: a\x7fb\r\n", HeadError::FieldValue),
        (": empty\r\n", HeadError::FieldName),
        ("no colon\r\n", HeadError::FieldName),
        ("nocolon\r\n", HeadError::FieldName),
        ("Foo\u{e9}: a\r\n", HeadError::FieldName),
        ("Expect: 200-ok\r\n", HeadError::Expect),
        ("Connection: a b\r\n", HeadError::Connection),
        ("Upgrade: websocket\r\n", HeadError::Upgrade),
        ("Host: a\r\n", HeadError::HostRepeated),
    ] {
        assert_eq!(body(fields), Err(error), "{fields:?}");
    }
    assert_eq!(
        refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        HeadError::TransferEncodingVersion
    );
}

#[test]
fn the_request_line_has_one_spelling() {
    for (line, error) in [
        ("get / HTTP/1.1", HeadError::StartLine),
        ("GeT / HTTP/1.1", HeadError::Method),
        ("GET  / HTTP/1.1", HeadError::StartLine),
        ("GET /  HTTP/1.1", HeadError::StartLine),
        ("GET\t/ HTTP/1.1", HeadError::Method),
        ("GET / HTTP/1.1 ", HeadError::Version),
        ("GET /", HeadError::Version),
        ("GET / http/1.1", HeadError::Version),
        ("GET / HTTP/1.10", HeadError::Version),
        ("GET / HTTP/2.0", HeadError::UnsupportedVersion),
        ("GET / HTTP/1.2", HeadError::UnsupportedVersion),
        ("GET /a b HTTP/1.1", HeadError::StartLine),
        ("GET /a#b HTTP/1.1", HeadError::Target),
        ("GET /\u{e9} HTTP/1.1", HeadError::Target),
        ("GET /\x01 HTTP/1.1", HeadError::Target),
        ("GET a HTTP/1.1", HeadError::Target),
        ("GET * HTTP/1.1", HeadError::Target),
        ("GET ftp://a/ HTTP/1.1", HeadError::Target),
        ("GET http://b/ HTTP/1.1", HeadError::HostMismatch),
        ("GET http://u@a/ HTTP/1.1", HeadError::Target),
        ("GET http://a?x HTTP/1.1", HeadError::Target),
        ("CONNECT /x HTTP/1.1", HeadError::Target),
        ("CONNECT b:1 HTTP/1.1", HeadError::HostMismatch),
        (" GET / HTTP/1.1", HeadError::StartLine),
        ("\0GET / HTTP/1.1", HeadError::StartLine),
    ] {
        let wire = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(
            read_split(wire.as_bytes(), 0, &HeadLimits::default()).expect_err(line),
            error,
            "{line:?}"
        );
    }
    let target = |line: &str| read(format!("{line}\r\nHost: A\r\n\r\n").as_bytes()).map(|r| r.target);
    assert_eq!(target("GET http://a/x?y HTTP/1.1"), Ok(Bytes::from_static(b"/x?y")));
    assert_eq!(target("GET HTTP://A HTTP/1.1"), Ok(Bytes::from_static(b"/")));
    assert_eq!(target("OPTIONS * HTTP/1.1"), Ok(Bytes::from_static(b"*")));
}

#[test]
fn authorities() {
    for good in ["a", "example.com", "a:80", "127.0.0.1:65535", "[::1]", "[::1]:8080", "under_score.test"] {
        assert!(is_authority(good.as_bytes()), "{good}");
    }
    for bad in [
        "", ":80", "a:", "a:b", "a:65536", "a:123456", "a b", "a,b", "u@a", "a/b", "[::1", "[x]", "[::1]x",
        "a:80:80", "%61",
    ] {
        assert!(!is_authority(bad.as_bytes()), "{bad}");
    }
    assert_eq!(refused("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HeadError::HostMalformed);
    assert_eq!(refused("GET / HTTP/1.1\r\nX: a\r\n\r\n"), HeadError::HostMissing);
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), HeadError::HostMissing);
    assert_eq!(refused("GET / HTTP/1.0\r\n\r\n"), HeadError::HostMissing);
    assert_eq!(refused("CONNECT a:1 HTTP/1.1\r\n\r\n"), HeadError::HostMissing);
    assert_eq!(refused("CONNECT /x HTTP/1.0\r\n\r\n"), HeadError::Target);
    assert_eq!(read(b"CONNECT a:1 HTTP/1.0\r\n\r\n").unwrap().target, "a:1");
}

#[test]
fn bounds_are_refused_with_their_own_status() {
    let limits = HeadLimits { bytes: 200, fields: 3, target: 20 };
    let refused = |wire: String| read_split(wire.as_bytes(), 0, &limits).expect_err("over a bound").status();
    assert_eq!(
        refused(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20))),
        StatusCode::URI_TOO_LONG
    );
    assert_eq!(refused(format!("GET /{}", "a".repeat(100))), StatusCode::URI_TOO_LONG);
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(3))), too_large);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", "b".repeat(200))), too_large);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(200))), too_large);
    let fits = format!("GET /{} HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n", "a".repeat(19));
    assert!(read_split(fits.as_bytes(), 0, &limits).unwrap().is_some());
}

#[test]
fn persistence_follows_version_and_connection() {
    let keep = |version: &str, fields: &str| {
        read(format!("GET / {version}\r\nHost: a\r\n{fields}\r\n").as_bytes()).unwrap().keep_alive
    };
    assert!(keep("HTTP/1.1", ""));
    assert!(!keep("HTTP/1.1", "Connection: close\r\n"));
    assert!(!keep("HTTP/1.1", "Connection: foo, CLOSE\r\nConnection: keep-alive\r\n"));
    assert!(!keep("HTTP/1.0", ""));
    assert!(keep("HTTP/1.0", "Connection: Keep-Alive\r\n"));
}

fn response(wire: &str, method: &Method) -> Result<ParsedResponse, HeadError> {
    let mut scanner = HeadScanner::new(StartLine::Response);
    let limits = HeadLimits::default();
    for at in 0..wire.len() {
        if scanner.scan(&wire.as_bytes()[..at], &limits)?.is_some() {
            panic!("complete before its end: {wire:?}");
        }
    }
    let found = scanner.scan(wire.as_bytes(), &limits)?.expect("complete");
    parse_response(&Bytes::copy_from_slice(&wire.as_bytes()[found.skip..found.end]), method)
}

#[test]
fn responses_are_framed_by_status_method_and_fields() {
    let body = |wire: &str, method: &Method| response(wire, method).map(|r| (r.body, r.keep_alive));
    let get = &Method::GET;
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", get), Ok((BodyLength::Fixed(5), true)));
    assert_eq!(body("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", get), Ok((BodyLength::Fixed(5), true)));
    assert_eq!(
        body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &Method::HEAD),
        Ok((BodyLength::Empty, true))
    );
    assert_eq!(body("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", get), Ok((BodyLength::Empty, true)));
    assert_eq!(body("HTTP/1.1 204 No\r\n\r\n", get), Ok((BodyLength::Empty, true)));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", get), Ok((BodyLength::UntilClose, false)));
    assert_eq!(body("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", get), Ok((BodyLength::Fixed(5), false)));
    assert_eq!(
        body("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", get),
        Ok((BodyLength::Chunked, true))
    );
    for (wire, error) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            HeadError::LengthAndCoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            HeadError::ContentLengthRepeated,
        ),
        (
            "HTTP/1.1 204 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            HeadError::LengthAndCoding,
        ),
        ("HTTP/1.1 2000 OK\r\n\r\n", HeadError::Status),
        ("HTTP/1.1 600 OK\r\n\r\n", HeadError::Status),
        ("HTTP/1.1 099 OK\r\n\r\n", HeadError::Status),
        ("HTTP/1.1  200 OK\r\n\r\n", HeadError::Status),
        ("HTTP/2.0 200 OK\r\n\r\n", HeadError::UnsupportedVersion),
        ("ICY 200 OK\r\n\r\n", HeadError::StartLine),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", HeadError::BareLf),
        ("HTTP/1.1 200 O\0K\r\n\r\n", HeadError::StartLine),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HeadError::ObsFold),
    ] {
        assert_eq!(body(wire, get), Err(error), "{wire:?}");
    }
}

/// Decodes `wire` given in pieces of `step` bytes.
fn decode(wire: &[u8], step: usize) -> Result<(Vec<u8>, Fields, usize), HeadError> {
    let mut decoder = ChunkedDecoder::new();
    let mut buffer = BytesMut::new();
    let mut content = Vec::new();
    let mut pieces = wire.chunks(step);
    let mut given = 0;
    loop {
        match decoder.decode(&mut buffer)? {
            Decoded::Data(data) => content.extend_from_slice(&data),
            Decoded::End(trailers) => return Ok((content, trailers, given - buffer.len())),
            Decoded::Incomplete => {
                let piece = pieces
                    .next()
                    .unwrap_or_else(|| panic!("incomplete: {:?}", String::from_utf8_lossy(wire)));
                given += piece.len();
                buffer.extend_from_slice(piece);
            }
        }
    }
}

#[test]
fn chunked_bodies_are_read_alike_in_any_pieces() {
    let wire = b"5\r\nhello\r\n00a;ext=\"v\"\r\n0123456789\r\n0;last\r\nGrpc-Status: 0\r\nAuthorization: 1\r\n\r\nGET";
    for step in 1..=wire.len() {
        let (content, trailers, used) = decode(wire, step).unwrap();
        assert_eq!(content, b"hello0123456789");
        assert_eq!(trailers.len(), 1);
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(&wire[used..], b"GET");
    }
}

#[test]
fn chunked_bodies_have_one_spelling() {
    for (wire, error) in [
        ("5 \r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        (" 5\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("0x5\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("+5\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        (";x\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("5\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("5;a\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("5\r\nhelloX\r\n0\r\n\r\n", HeadError::ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", HeadError::ChunkEnd),
        ("5\r\nhello0\r\n\r\n", HeadError::ChunkEnd),
        ("ffffffffffffffff\r\n", HeadError::ChunkSize),
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", HeadError::ChunkSize),
        ("0\r\nContent-Length: 5\r\n\r\n", HeadError::Trailers),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::Trailers),
        ("0\r\nA: b\n\r\n", HeadError::BareLf),
        ("0\r\nA : b\r\n\r\n", HeadError::FieldName),
        ("0\r\nA: b\r\n c\r\n\r\n", HeadError::ObsFold),
    ] {
        for step in [1, 3, 1000] {
            assert_eq!(decode(wire.as_bytes(), step).expect_err(wire), error, "{wire:?}");
        }
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300));
    assert_eq!(decode(long.as_bytes(), 7).expect_err("long extension"), HeadError::ChunkSize);
    let many = format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "a".repeat(200)).repeat(30));
    assert_eq!(decode(many.as_bytes(), 1000).expect_err("many extensions"), HeadError::ChunkSize);
    let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(33));
    assert_eq!(decode(trailers.as_bytes(), 1000).expect_err("many trailers"), HeadError::Trailers);
    let endless = format!("0\r\nA: {}", "b".repeat(9000));
    assert_eq!(decode(endless.as_bytes(), 1000).expect_err("long trailers"), HeadError::Trailers);
}

#[test]
fn what_is_encoded_is_read_back() {
    for size in [1, 9, 15, 16, 255, 4096, 70_000] {
        let mut wire = Vec::new();
        chunked::write_size_line(&mut wire, size);
        wire.extend(std::iter::repeat_n(b'x', size));
        wire.extend_from_slice(b"\r\n");
        let mut trailers = Fields::new();
        trailers.insert(HeaderName::from_static("grpc-status"), "0".parse().unwrap());
        chunked::write_end(&mut wire, Some(&trailers));
        let (content, read, used) = decode(&wire, 1000).unwrap();
        assert_eq!((content.len(), read, used), (size, trailers, wire.len()));
    }
    for n in [0, 1, 9, 10, 12_345, 999_999_999_999_999_999] {
        let mut wire = Vec::new();
        encode::write_content_length(&mut wire, n);
        let value = &wire[b"content-length: ".len()..wire.len() - 2];
        assert_eq!(parse_content_length(value), Ok(n));
    }
    let mut wire = Vec::new();
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static("accept"), "x".parse().unwrap());
    headers.insert(HeaderName::from_static("connection"), "close".parse().unwrap());
    headers.insert(HeaderName::from_static("transfer-encoding"), "gzip".parse().unwrap());
    headers.insert(HeaderName::from_static("host"), "elsewhere".parse().unwrap());
    encode::write_request_start(&mut wire, "POST", b"/p?q", b"h:1", &headers);
    encode::write_framing(&mut wire, BodyLength::Chunked, false);
    wire.extend_from_slice(b"\r\n");
    let request = read(&wire).unwrap();
    assert_eq!(request.body, BodyLength::Chunked);
    assert_eq!(request.headers["host"], "h:1");
    assert_eq!(request.headers.len(), 3);
}

/// Numbers that look random (xorshift), from a fixed seed, so that a failure can be seen again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// Changes, drops, doubles or inserts a few bytes of `wire`, mostly ones that mean something to a parser.
    fn mutate(&mut self, wire: &[u8]) -> Vec<u8> {
        const TELLING: &[u8] = b"\r\n\t :;,0179afAFxX-_/\\#?%@[]\"\0\x0b\x7f\x80\xff";
        let mut wire = wire.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(wire.len() + 1);
            let byte = TELLING[self.below(TELLING.len())];
            match self.below(4) {
                0 => wire.insert(at, byte),
                1 if at < wire.len() => wire[at] = byte,
                2 if at < wire.len() => drop(wire.remove(at)),
                3 => {
                    let end = (at + self.below(20)).min(wire.len());
                    let piece = wire[at.min(end)..end].to_vec();
                    wire.splice(at..at, piece);
                }
                _ => {}
            }
        }
        wire
    }
}

#[test]
fn mutated_messages_are_read_alike_in_pieces_and_written_back_unchanged() {
    let limits = HeadLimits::default();
    let seeds: [&[u8]; 4] = [
        b"GET /a/b?c=d HTTP/1.1\r\nHost: a.example:80\r\nConnection: close, te\r\nTE: trailers\r\n\r\n",
        b"POST http://a.example/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
        b"PUT / HTTP/1.0\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nX:  y \t\r\n\r\n",
        b"\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ];
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let mut accepted = 0;
    for round in 0..30_000 {
        let wire = numbers.mutate(seeds[round % seeds.len()]);
        let whole = read_split(&wire, 0, &limits);
        let split = read_split(&wire, numbers.below(wire.len() + 1), &limits);
        let told = |r: &Result<Option<ParsedRequest>, HeadError>| match r {
            Ok(Some(r)) => Some((r.method.clone(), r.target.clone(), r.headers.clone(), r.body)),
            _ => None,
        };
        assert_eq!(told(&whole), told(&split), "{:?}", String::from_utf8_lossy(&wire));
        let Ok(Some(request)) = whole else { continue };
        accepted += 1;
        let mut out = Vec::new();
        let host = request.headers["host"].as_bytes();
        encode::write_request_start(
            &mut out,
            request.method.as_str(),
            &request.target,
            host,
            &request.headers,
        );
        encode::write_framing(&mut out, request.body, false);
        out.extend_from_slice(b"\r\n");
        let again = read_split(&out, 0, &limits).unwrap().unwrap();
        assert_eq!(
            (&again.method, &again.target, again.body),
            (&request.method, &request.target, request.body)
        );
    }
    assert!(accepted > 1_000, "only {accepted} were accepted: the mutations are too wild to test anything");
}

#[test]
fn mutated_chunked_bodies_are_read_alike_in_pieces() {
    fn told(wire: &[u8], step: usize) -> Option<(Vec<u8>, Fields)> {
        let mut decoder = ChunkedDecoder::new();
        let (mut buffer, mut content) = (BytesMut::new(), Vec::new());
        let mut pieces = wire.chunks(step);
        loop {
            match decoder.decode(&mut buffer).ok()? {
                Decoded::Data(data) => content.extend_from_slice(&data),
                Decoded::End(trailers) => return Some((content, trailers)),
                Decoded::Incomplete => buffer.extend_from_slice(pieces.next()?),
            }
        }
    }
    let seed = b"5\r\nhello\r\n00a;ext=\"v\"\r\n0123456789\r\n0;last\r\nGrpc-Status: 0\r\n\r\n";
    let mut numbers = Numbers(0xfeed_beef_dead_f00d);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let wire = numbers.mutate(seed);
        let whole = told(&wire, wire.len().max(1));
        assert_eq!(whole, told(&wire, 1 + numbers.below(7)), "{:?}", String::from_utf8_lossy(&wire));
        accepted += usize::from(whole.is_some());
    }
    assert!(accepted > 300, "only {accepted} were accepted");
}
