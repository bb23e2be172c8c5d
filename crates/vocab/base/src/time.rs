//! Points in time as the API writes them.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A wall-clock instant in microseconds since 1970-01-01T00:00:00Z.
///
/// Kubernetes writes `metav1.Time` in whole seconds and `MicroTime` in microseconds; both forms are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Text that is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("parsing time {text:?}")]
pub struct ParseTimeError {
    text: String,
    #[source]
    source: jiff::Error,
}

impl Timestamp {
    /// The earliest instant; used as "long ago".
    pub const EPOCH: Self = Self(0);

    /// Makes a timestamp from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Makes a timestamp from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Makes a timestamp from seconds since the epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns how long ago `earlier` was, or zero when it lies in the future.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns this instant earlier by `duration`.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Writes the instant as `metav1.Time`: RFC 3339, UTC, whole seconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Writes the instant as `metav1.MicroTime`: RFC 3339, UTC, six decimals.
    #[must_use]
    pub fn rfc3339_micros(self) -> String {
        self.jiff().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// Reads an RFC 3339 time with any offset and any number of decimals.
    ///
    /// # Errors
    /// [`ParseTimeError`] when `text` is not such a time.
    pub fn parse(text: &str) -> Result<Self, ParseTimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_microsecond()))
            .map_err(|source| ParseTimeError { text: text.to_owned(), source })
    }

    /// Beyond the years that RFC 3339 can write (-9999 to 9999), the nearest instant that it can.
    fn jiff(self) -> jiff::Timestamp {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(nearest)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(value: jiff::Timestamp) -> Self {
        Self(value.as_microsecond())
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(value: Timestamp) -> Self {
        value.jiff()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339_micros())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339_micros())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_both_api_forms_and_reads_them_back() {
        let t = Timestamp::from_micros(1_795_300_000_123_456);
        assert_eq!(t.rfc3339(), "2026-11-21T22:26:40Z");
        assert_eq!(t.rfc3339_micros(), "2026-11-21T22:26:40.123456Z");
        assert_eq!(Timestamp::parse(&t.rfc3339_micros()).unwrap(), t);
        assert_eq!(Timestamp::parse("2026-11-21T23:26:40.123456+01:00").unwrap(), t);
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn what_lies_beyond_the_calendar_is_its_end_not_its_beginning() {
        assert!(Timestamp::from_micros(i64::MAX).rfc3339().starts_with("9999-12-30T"));
    }

    #[test]
    fn differences_do_not_go_below_zero() {
        let early = Timestamp::from_secs(10);
        let late = early + Duration::from_secs(5);
        assert_eq!(late.saturating_since(early), Duration::from_secs(5));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
    }
}
