//! Resource quantities (`500m`, `64Mi`, `1e3`) with exact arithmetic.
//!
//! Source: apimachinery `resource.Quantity`: a decimal number with a binary (Ki…Ei), decimal (n, u, m, k…E)
//! or exponent suffix. Kept as an integer of nano-units in 128 bits, which holds every value the API allows.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An exact amount in nano-units (10⁻⁹).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

/// Text that is not a quantity, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Malformed,
    /// A suffix that is not one of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// No amount.
    pub const ZERO: Self = Self(0);

    /// Makes a quantity of whole units (cores, bytes, pods).
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units as i128 * NANO)
    }

    /// Makes a quantity of thousandths.
    #[must_use]
    pub const fn from_milli(milli: i64) -> Self {
        Self(milli as i128 * 1_000_000)
    }

    /// Parses `text`.
    ///
    /// # Errors
    /// [`ParseQuantityError`] when it is not a quantity.
    pub fn parse(text: &str) -> Result<Self, ParseQuantityError> {
        let number_len = text
            .bytes()
            .enumerate()
            .take_while(|(i, b)| b.is_ascii_digit() || *b == b'.' || (*i == 0 && (*b == b'+' || *b == b'-')))
            .count();
        let (number, suffix) = text.split_at(number_len);
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(ParseQuantityError::Malformed);
        }
        let (multiplier, decimal_exponent) = scale(suffix)?;
        let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| ParseQuantityError::Malformed)?;
        let exponent =
            decimal_exponent.saturating_add(9).saturating_sub(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
        let scaled = mantissa.checked_mul(multiplier).ok_or(ParseQuantityError::Malformed)?;
        let nano = shift(scaled, exponent).ok_or(ParseQuantityError::Malformed)?;
        Ok(Self(if negative { -nano } else { nano }))
    }

    /// Returns the amount in thousandths, rounded up (as the scheduler counts cpu).
    #[must_use]
    pub fn milli_ceil(self) -> i64 {
        clamp(ceil_div(self.0, 1_000_000))
    }

    /// Returns the amount in whole units, rounded up (as memory is counted in bytes).
    #[must_use]
    pub fn units_ceil(self) -> i64 {
        clamp(ceil_div(self.0, NANO))
    }

    /// Tells whether the amount is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Tells whether there is no amount.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Writes the amount in binary units where they are exact (`64Mi`), else as [`fmt::Display`] does.
    #[must_use]
    pub fn to_binary_string(self) -> String {
        if self.0 != 0 && self.0 % NANO == 0 {
            let units = self.0 / NANO;
            for (suffix, power) in [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
                if units % (1i128 << power) == 0 {
                    return format!("{}{suffix}", units >> power);
                }
            }
        }
        self.to_string()
    }
}

fn scale(suffix: &str) -> Result<(i128, i32), ParseQuantityError> {
    Ok(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError::Suffix)?;
            (1, exponent.parse().map_err(|_| ParseQuantityError::Suffix)?)
        }
    })
}

/// Multiplies by 10^`exponent`; negative exponents round up, away from zero, as upstream does below a nano-unit.
fn shift(value: i128, exponent: i32) -> Option<i128> {
    if exponent >= 0 {
        10i128.checked_pow(exponent.unsigned_abs())?.checked_mul(value)
    } else {
        match 10i128.checked_pow(exponent.unsigned_abs()) {
            Some(divisor) => Some(ceil_div(value, divisor)),
            None => Some(i128::from(value > 0)),
        }
    }
}

fn ceil_div(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    /// Writes the canonical decimal form: the largest suffix that leaves an integer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        for (suffix, power) in
            [("E", 27), ("P", 24), ("T", 21), ("G", 18), ("M", 15), ("k", 12), ("", 9), ("m", 6), ("u", 3)]
        {
            let unit = 10i128.pow(power);
            if self.0 % unit == 0 {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}n", self.0)
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_beyond_all_bounds_are_refused() {
        assert_eq!(Quantity::parse("1e2147483647"), Err(ParseQuantityError::Malformed));
        assert_eq!(Quantity::parse("1e-2147483648").unwrap(), Quantity(1), "rounded up");
    }

    #[test]
    fn parses_every_suffix_exactly() {
        for (text, milli) in [
            ("500m", 500),
            ("0.25", 250),
            ("2", 2_000),
            ("1e3", 1_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("100u", 1),
            ("-3", -3_000),
            (".5", 500),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().milli_ceil(), milli, "{text}");
        }
        for text in ["", "m", "1.2.3", "1 Gi", "abc"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        assert_eq!(Quantity::parse("1Zi"), Err(ParseQuantityError::Suffix));
    }

    #[test]
    fn writes_the_canonical_form() {
        for (text, canonical) in [("0.25", "250m"), ("1000m", "1"), ("4000", "4k"), ("1500000", "1500k"), ("0", "0")] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        assert_eq!(Quantity::parse("67108864").unwrap().to_binary_string(), "64Mi");
    }
}
