//! Durations as people write them in a resource: `500ms`, `1s`, `10m`, `1h30m`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A positive length of time, written as in Go and in the Kubernetes API: whole numbers with the units `ms`, `s`, `m`,
/// `h`, the largest first (`1h30m`, `500ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// Why a text is no [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration: write a whole number and a unit, such as 500ms, 2s, 10m or 1h")]
pub struct ParseError {
    text: String,
}

impl Duration {
    /// A duration of `n` milliseconds.
    #[must_use]
    pub const fn from_millis(n: u64) -> Self {
        Self(std::time::Duration::from_millis(n))
    }

    /// A duration of `n` seconds.
    #[must_use]
    pub const fn from_secs(n: u64) -> Self {
        Self(std::time::Duration::from_secs(n))
    }

    /// The same length of time for use with timers.
    #[must_use]
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

// === parsing ===

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .filter(|&ms| ms > 0)
            .map(Self::from_millis)
            .ok_or_else(|| ParseError {
                text: text.chars().take(40).collect(),
            })
    }
}

/// Milliseconds, or nothing where the text is not of the form, or larger than a u64 holds.
fn parse(mut text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1_000)];
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let mut total = 0_u64;
    while !text.is_empty() {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        let (rest, scale) = UNITS
            .iter()
            .find_map(|(unit, scale)| Some((rest.strip_prefix(unit)?, scale)))?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*scale)?)?;
        text = rest;
    }
    Some(total)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.0.as_millis();
        for (unit, scale) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if ms >= scale {
                write!(f, "{}{unit}", ms / scale)?;
                ms %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) > duration('0s')",
                "message": "must be a duration above zero: a whole number and a unit, such as 500ms, 2s, 10m or 1h",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for (text, ms) in [
            ("500ms", 500),
            ("1s", 1_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("90s", 90_000),
        ] {
            let parsed: Duration = text.parse().unwrap();
            assert_eq!(parsed.get().as_millis(), ms, "{text}");
            assert_eq!(parsed.to_string().parse::<Duration>().unwrap(), parsed, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "0s",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1d",
            "99999999999999h",
            "1s ",
            "18446744073709551615h",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }
}
