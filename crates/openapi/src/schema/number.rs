//! Numbers compared and divided without loss.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Number;

/// A number by value: integers of 64 bits are exact, all others are doubles.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Num {
    /// Within the range of `i64`.
    Integer(i64),
    /// Beyond it, within that of `u64`.
    Large(u64),
    /// Finite.
    Float(f64),
}

impl Num {
    #[inline]
    pub(crate) fn of(number: &Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Self::Integer(integer),
            (None, Some(large)) => Self::Large(large),
            (None, None) => Self::Float(number.as_f64().unwrap_or(0.0)),
        }
    }

    /// Whether it has no fractional part, however it is written.
    #[inline]
    pub(crate) fn is_integral(self) -> bool {
        match self {
            Self::Integer(_) | Self::Large(_) => true,
            Self::Float(float) => float.fract() == 0.0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Large(large) => large as f64,
            Self::Float(float) => float,
        }
    }

    /// The integer, if it is held as one.
    fn as_integer(self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(integer.into()),
            Self::Large(large) => Some(large.into()),
            Self::Float(_) => None,
        }
    }

    /// Compares by value. Integers beyond 2^53 are not rounded to floats.
    #[inline]
    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.cmp(&right),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            (Self::Integer(left), Self::Float(right)) if is_exact(left) => {
                as_float(left).partial_cmp(&right).unwrap_or(Ordering::Equal)
            }
            (Self::Float(left), Self::Integer(right)) if is_exact(right) => {
                left.partial_cmp(&as_float(right)).unwrap_or(Ordering::Equal)
            }
            (left, right) => left.compare_mixed(right),
        }
    }

    fn compare_mixed(self, other: Self) -> Ordering {
        match (self.as_integer(), other.as_integer()) {
            (Some(left), Some(right)) => left.cmp(&right),
            (Some(left), None) => with_float(left, other.as_f64()),
            (None, Some(right)) => with_float(right, self.as_f64()).reverse(),
            (None, None) => Ordering::Equal,
        }
    }
}

/// Whether a double holds the integer exactly.
#[inline]
fn is_exact(integer: i64) -> bool {
    integer.unsigned_abs() < 1 << 53
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "asked of exact integers")]
fn as_float(integer: i64) -> f64 {
    integer as f64
}

/// Compares two numbers by value.
pub(crate) fn compare(left: &Number, right: &Number) -> Ordering {
    Num::of(left).compare(Num::of(right))
}

/// Compares a 64-bit integer with a finite float.
fn with_float(integer: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 3e19;
    if float > BEYOND {
        return Ordering::Less;
    }
    if float < -BEYOND {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within ±3e19, far inside 128 bits")]
    let whole = float.trunc() as i128;
    integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

/// A `multipleOf`, with the divisor's decimal digits at hand.
#[derive(Debug, Clone)]
pub(crate) struct MultipleOf {
    pub(crate) divisor: Number,
    decimal: Option<Decimal>,
}

/// `mantissa` × 10^`exponent`.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl MultipleOf {
    /// A divisor above zero; nothing otherwise.
    pub(crate) fn new(divisor: &Number) -> Option<Self> {
        (compare(divisor, &Number::from(0)) == Ordering::Greater)
            .then(|| Self { divisor: divisor.clone(), decimal: decimal(Num::of(divisor)) })
    }

    /// Whether a number is a multiple, by its decimal digits: 0.3 is a multiple of 0.1.
    pub(crate) fn divides(&self, number: Num) -> bool {
        let divisor = Num::of(&self.divisor);
        if let (Some(number), Some(divisor)) = (number.as_integer(), divisor.as_integer()) {
            return number % divisor == 0;
        }
        let exact = || {
            let (number, divisor) = (decimal(number)?, self.decimal?);
            let exponent = number.exponent.min(divisor.exponent);
            let scale = |decimal: Decimal| {
                let power = u32::try_from(decimal.exponent - exponent).ok()?;
                decimal.mantissa.checked_mul(10_i128.checked_pow(power)?)
            };
            Some(scale(number)? % scale(divisor)? == 0)
        };
        exact().unwrap_or_else(|| number.as_f64() % divisor.as_f64() == 0.0)
    }
}

/// The shortest decimal digits of a number; nothing if they are too many.
fn decimal(number: Num) -> Option<Decimal> {
    if let Some(mantissa) = number.as_integer() {
        return Some(Decimal { mantissa, exponent: 0 });
    }
    let float = number.as_f64();
    let mut text = Digits { bytes: [0; 48], length: 0 };
    write!(text, "{float:e}").ok()?;
    let text = std::str::from_utf8(text.bytes.get(..text.length)?).ok()?;
    let (digits, exponent) = text.split_once('e')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut mantissa: i128 = whole.parse().ok()?;
    let negative = whole.starts_with('-');
    for digit in fraction.bytes() {
        let digit = i128::from(digit.checked_sub(b'0')?);
        mantissa = mantissa.checked_mul(10)?.checked_add(if negative { -digit } else { digit })?;
    }
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    Some(Decimal { mantissa, exponent })
}

struct Digits {
    bytes: [u8; 48],
    length: usize,
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn comparison_is_exact() {
        for (left, right, order) in [
            ("1", "1.0", Ordering::Equal),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "-1", Ordering::Greater),
            ("1", "1.5", Ordering::Less),
            ("-1", "-1.5", Ordering::Greater),
            ("5", "1e300", Ordering::Less),
            ("-5", "-1e300", Ordering::Greater),
            ("0.1", "0.2", Ordering::Less),
        ] {
            assert_eq!(compare(&number(left), &number(right)), order, "{left} {right}");
            assert_eq!(compare(&number(right), &number(left)), order.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn multiples_by_decimal_digits() {
        for (value, divisor, expected) in [
            ("0.3", "0.1", true),
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("4.5", "1.5", true),
            ("-4.5", "1.5", true),
            ("7", "2", false),
            ("1e308", "0.5", true),
            ("1e308", "0.123456789", false),
            ("19.99", "0.01", true),
            ("12391239123", "1e-8", true),
            ("0", "3", true),
        ] {
            assert_eq!(
                MultipleOf::new(&number(divisor)).unwrap().divides(Num::of(&number(value))),
                expected,
                "{value} {divisor}"
            );
        }
        assert!(MultipleOf::new(&number("0")).is_none());
        assert!(MultipleOf::new(&number("-1")).is_none());
    }
}
