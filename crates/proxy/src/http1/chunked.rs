//! The chunked transfer coding (RFC 9112 section 7.1), read strictly and written plainly.

use bytes::{Buf, Bytes, BytesMut};
use portcullis_engine::Fields;

use super::HeadError;
use super::fields::{Section, may_be_trailer};

/// Bytes of one chunk-size line, extension included.
const MAX_SIZE_LINE: usize = 256;
/// Bytes of all chunk extensions of one body: nobody reads them, so they only cost.
const MAX_EXTENSIONS: usize = 4096;
/// Bytes and lines of a trailer section.
const MAX_TRAILERS: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 32;

/// What one step of decoding gave.
#[derive(Debug)]
pub enum Decoded {
    /// More bytes are needed.
    Incomplete,
    /// A piece of the content: a slice of the buffer, never empty.
    Data(Bytes),
    /// The body has ended; the trailer fields that may be passed on.
    End(Fields),
}

/// Decodes one chunked body out of a growing buffer.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    extensions: usize,
}

#[derive(Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers { scanned: usize, lines: usize },
    Done,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Size, extensions: 0 }
    }

    /// Takes the next piece from the front of `buffer`.
    ///
    /// # Errors
    /// Any byte that a strict sender would not have written; the connection cannot be used any further.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, HeadError> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some((size, line)) = parse_size_line(buffer)? else { return Ok(Decoded::Incomplete) };
                    self.extensions += line.extension;
                    if self.extensions > MAX_EXTENSIONS {
                        return Err(HeadError::ChunkSize);
                    }
                    buffer.advance(line.length);
                    self.state =
                        if size == 0 { State::Trailers { scanned: 0, lines: 0 } } else { State::Data(size) };
                }
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::Incomplete);
                    }
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Decoded::Data(buffer.split_to(take).freeze()));
                }
                State::DataEnd => match (buffer.first(), buffer.get(1)) {
                    (None, _) | (Some(b'\r'), None) => return Ok(Decoded::Incomplete),
                    (Some(b'\r'), Some(b'\n')) => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    _ => return Err(HeadError::ChunkEnd),
                },
                State::Trailers { scanned, lines } => {
                    let Some(end) = find_trailer_end(buffer, scanned, lines)? else {
                        return Ok(Decoded::Incomplete);
                    };
                    let block = buffer.split_to(end).freeze();
                    self.state = State::Done;
                    return Ok(Decoded::End(parse_trailers(&block)?));
                }
                State::Done => return Ok(Decoded::End(Fields::new())),
            }
        }
    }

    /// Whether the body, trailers included, has been read to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

struct SizeLine {
    /// Bytes of the line, CR LF included.
    length: usize,
    /// Bytes of its extension.
    extension: usize,
}

fn parse_size_line(buffer: &[u8]) -> Result<Option<(u64, SizeLine)>, HeadError> {
    let mut size = 0u64;
    let mut digits = 0;
    for b in buffer.iter().take(17) {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => break,
        };
        digits += 1;
        size = size.wrapping_mul(16) | u64::from(digit);
    }
    if digits > 15 {
        return Err(HeadError::ChunkSize);
    }
    match buffer.get(digits) {
        None => return Ok(None),
        Some(b'\r' | b';') if digits > 0 => {}
        Some(_) => return Err(HeadError::ChunkSize),
    }
    let rest = buffer.get(digits..).unwrap_or_default();
    let extension =
        rest.iter().position(|b| !(*b == b'\t' || (*b >= 0x20 && *b < 0x7f))).unwrap_or(rest.len());
    if digits + extension > MAX_SIZE_LINE {
        return Err(HeadError::ChunkSize);
    }
    match (rest.get(extension), rest.get(extension + 1)) {
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r'), Some(b'\n')) => {
            Ok(Some((size, SizeLine { length: digits + extension + 2, extension })))
        }
        _ => Err(HeadError::ChunkSize),
    }
}

/// The offset after the empty line that ends the trailer section.
fn find_trailer_end(
    buffer: &[u8],
    scanned: &mut usize,
    lines: &mut usize,
) -> Result<Option<usize>, HeadError> {
    loop {
        let rest = buffer.get(*scanned..).unwrap_or_default();
        let Some(cr) = memchr::memchr2(b'\r', b'\n', rest) else { break };
        if rest.get(cr) == Some(&b'\n') {
            return Err(HeadError::BareLf);
        }
        match rest.get(cr + 1) {
            None => break,
            Some(b'\n') => {}
            Some(_) => return Err(HeadError::BareCr),
        }
        *scanned += cr + 2;
        if cr == 0 {
            return Ok(Some(*scanned));
        }
        *lines += 1;
        if *lines > MAX_TRAILER_FIELDS {
            return Err(HeadError::Trailers);
        }
    }
    if buffer.len() > MAX_TRAILERS { Err(HeadError::Trailers) } else { Ok(None) }
}

fn parse_trailers(block: &Bytes) -> Result<Fields, HeadError> {
    let mut trailers = Fields::new();
    if block.len() <= 2 {
        return Ok(trailers);
    }
    if block.len() > MAX_TRAILERS {
        return Err(HeadError::Trailers);
    }
    let mut all = Fields::new();
    Section::of(block, 0)?.store(block, &mut all, |name, _| {
        use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
        // A recipient that merges trailers into the head would frame the message anew.
        if [CONTENT_LENGTH, TRANSFER_ENCODING, HOST].contains(name) {
            Err(HeadError::Trailers)
        } else {
            Ok(())
        }
    })?;
    for (name, value) in &all {
        if may_be_trailer(name) {
            trailers.append(name.clone(), value.clone());
        }
    }
    Ok(trailers)
}

/// Writes the size line of a chunk of `size` bytes, which must not be zero: a chunk of zero bytes ends the body.
pub fn write_size_line(out: &mut Vec<u8>, size: usize) {
    debug_assert!(size > 0, "an empty chunk would end the body");
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut n = size;
    while n > 0 && at > 0 {
        at -= 1;
        if let (Some(slot), Some(digit)) = (digits.get_mut(at), b"0123456789abcdef".get(n & 15)) {
            *slot = *digit;
        }
        n >>= 4;
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer section.
pub fn write_end(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        for (name, value) in trailers {
            super::encode::write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
