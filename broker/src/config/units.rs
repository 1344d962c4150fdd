//! Durations and sizes as people write them: `250ms`, `10s`, `64KiB`, `1GiB`.
//!
//! A bare number is refused: its unit would have to be guessed.

use std::time::Duration;

const DURATIONS: &[(&str, u64)] =
    &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

const SIZES: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, DURATIONS)
        .map(Duration::from_micros)
        .ok_or_else(|| format!("`{text}` is not a duration such as `250ms`, `10s` or `5m`"))
}

/// Reads a number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, SIZES)
        .ok_or_else(|| format!("`{text}` is not a size such as `64KiB`, `16MiB` or `1GiB`"))
}

/// Writes a duration in the largest unit that leaves a whole number.
pub fn show_duration(duration: Duration) -> String {
    show(duration.as_micros().try_into().unwrap_or(u64::MAX), DURATIONS)
}

/// Writes a number of bytes in the largest unit that leaves a whole number.
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |factor: u64| value.is_multiple_of(factor) && value >= factor;
    let (name, factor) = units.iter().rev().find(|(_, factor)| fits(*factor)).unwrap_or(&units[0]);
    format!("{}{name}", value / factor)
}

/// A duration in a configuration; `#[serde(with = "units::duration")]`.
pub mod duration {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// Writes it.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_duration(*duration))
    }
}

/// A number of bytes in a configuration; `#[serde(with = "units::size")]`.
pub mod size {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        parse_size(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// Writes it.
    pub fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_size(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for millis in [0, 1, 250, 1_000, 90_000, 3_600_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1 << 10, 3 << 20, (1 << 30) + 1] {
            assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(parse_duration("2 m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn a_missing_or_unknown_unit_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5s", "10sec", "99999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["16MB", "16", "MiB", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
