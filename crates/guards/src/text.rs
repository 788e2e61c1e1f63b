//! Small texts on the hot path: built on the stack, compared without a copy.

use http::HeaderValue;

/// A field value under construction, at most `N` bytes; what does not fit is an error at the end.
#[derive(Debug)]
pub(crate) struct Field<const N: usize> {
    bytes: [u8; N],
    length: usize,
    full: bool,
}

impl<const N: usize> Field<N> {
    pub(crate) fn new() -> Self {
        Field { bytes: [0; N], length: 0, full: false }
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.full = true,
        }
        self
    }

    pub(crate) fn number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            if let Some(digit) = digits.get_mut(start) {
                *digit = b'0' + (number % 10) as u8;
            }
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.bytes(digits.get(start..).unwrap_or_default())
    }

    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let bytes = self.bytes.get(..self.length).filter(|_| !self.full)?;
        HeaderValue::from_bytes(bytes).ok()
    }
}

/// Whether the query parameter name `raw`, percent-encoded or not, is `name`. A server may read `+` as a space.
pub(crate) fn is_parameter(raw: &str, name: &str) -> bool {
    if !raw.contains(['%', '+']) {
        return raw == name;
    }
    decode(raw).eq(name.bytes())
}

/// Undoes percent-encoding in a query; `+` is a space, a broken encoding stands for itself.
pub(crate) fn decode(raw: &str) -> impl Iterator<Item = u8> + '_ {
    unescape(raw, b' ')
}

/// Undoes percent-encoding in a path; a broken encoding stands for itself.
pub(crate) fn decode_path(raw: &str) -> impl Iterator<Item = u8> + '_ {
    unescape(raw, b'+')
}

fn unescape(raw: &str, plus: u8) -> impl Iterator<Item = u8> + '_ {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        if first == b'%'
            && let [high, low, tail @ ..] = after
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            rest = tail;
            return Some((high << 4 | low) as u8);
        }
        rest = after;
        Some(if first == b'+' { plus } else { first })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_built_on_the_stack() {
        let mut field = Field::<16>::new();
        let value = field.text("r=").number(0).text(";t=").number(1234567).value();
        assert_eq!(value.unwrap(), "r=0;t=1234567");
        assert!(field.text("too long for it").value().is_none());
        assert_eq!(Field::<20>::new().number(u64::MAX).value().unwrap(), "18446744073709551615");
    }

    #[test]
    fn parameter_names_compare_decoded() {
        assert!(is_parameter("api_key", "api_key") && is_parameter("api%5Fkey", "api_key"));
        assert!(is_parameter("a+b", "a b") && is_parameter("a%zz", "a%zz"));
        assert!(!is_parameter("api_key2", "api_key") && !is_parameter("API_KEY", "api_key"));
    }
}
