//! Quantities with their units, as a scenario writes them: `"0.2ms"`, `"2000/s"`, `"230B"`,
//! `"1Gbit/s"`, `"<= 1.15"`.
//!
//! Each type reads and prints the same text, so an expanded scenario is a scenario again. A number
//! without a unit is refused: `latency = 5` means nothing.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Reads from and prints as one TOML string.
macro_rules! as_text {
    ($name:ident, $expects:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expects)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

/// A length of virtual time: `ns`, `us`, `ms`, `s`, `min` or `h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

/// A length of time that may be negative: how far a clock jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedSpan {
    /// In nanoseconds.
    pub nanos: i64,
}

/// So many per unit of time, kept per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate {
    /// Per second.
    pub per_second: f64,
}

/// So many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
}

/// What a link or a disk carries per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth {
    /// Bits per second.
    pub bits: u64,
}

/// A share from 0 to 1, written as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Fraction(pub f64);

/// Which side of a bound is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

/// A bound on a plain figure: `"<= 1.15"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The comparison.
    pub relation: Relation,
    /// What the measured figure is compared with.
    pub value: f64,
}

/// A bound on a length of time: `"<= 50ms"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeBound {
    /// The comparison.
    pub relation: Relation,
    /// What the measured time is compared with.
    pub value: TimeSpan,
}

as_text!(TimeSpan, "a length of time such as \"0.2ms\" or \"15s\"");
as_text!(SignedSpan, "a signed length of time such as \"-30s\" or \"+5ms\"");
as_text!(Rate, "a rate such as \"2000/s\"");
as_text!(Size, "a size such as \"230B\" or \"4KiB\"");
as_text!(Bandwidth, "a bandwidth such as \"1Gbit/s\" or \"200MB/s\"");
as_text!(Bound, "a comparison such as \"<= 1.15\"");
as_text!(TimeBound, "a comparison such as \"<= 50ms\"");

/// The longest time a scenario may name; keeps every sum of times far from overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Splits `"12.5ms"` into a number and its unit.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    (!number.is_empty()).then_some((number, unit.trim_start()))
}

/// Reads a decimal number exactly as a multiple of `unit`, rounding down below one.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.len() > 18 {
        return None;
    }
    let mut value = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let digits = u128::from(fraction.parse::<u64>().ok()?);
        let part = digits * u128::from(unit) / 10u128.pow(fraction.len() as u32);
        value = value.checked_add(u64::try_from(part).ok()?)?;
    }
    Some(value)
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a length of time; write e.g. \"0.2ms\" or \"15s\"");
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            other => {
                return Err(format!("`{other}` is no unit of time; use ns, us, ms, s, min or h"));
            }
        };
        let span = Duration::from_nanos(scaled(number, nanos).ok_or_else(wrong)?);
        if span > LONGEST { Err(format!("`{text}` is longer than a year")) } else { Ok(Self(span)) }
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as u64;
        let (unit, name) = match nanos {
            0 => return f.write_str("0s"),
            1_000_000_000.. => (1_000_000_000, "s"),
            1_000_000.. => (1_000_000, "ms"),
            1_000.. => (1_000, "us"),
            _ => (1, "ns"),
        };
        let (whole, rest) = (nanos / unit, nanos % unit);
        if rest == 0 {
            return write!(f, "{whole}{name}");
        }
        let width = unit.ilog10() as usize;
        let fraction = format!("{rest:0width$}");
        write!(f, "{whole}.{}{name}", fraction.trim_end_matches('0'))
    }
}

impl From<Duration> for TimeSpan {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl FromStr for SignedSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let span: TimeSpan = rest.parse()?;
        Ok(Self { nanos: sign * span.0.as_nanos() as i64 })
    }
}

impl fmt::Display for SignedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "+" };
        write!(f, "{sign}{}", TimeSpan(Duration::from_nanos(self.nanos.unsigned_abs())))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate; write e.g. \"2000/s\"");
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        if !number.is_finite() || number < 0.0 {
            return Err(wrong());
        }
        Ok(Self { per_second: number / seconds })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)
    }
}

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write e.g. \"230B\", \"4KiB\" or \"1MB\"");
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let scale = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        Ok(Self { bytes: scaled(number, scale).ok_or_else(wrong)? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, scale) = SIZES
            .into_iter()
            .find(|(_, scale)| self.bytes >= *scale && self.bytes.is_multiple_of(*scale))
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", self.bytes / scale)
    }
}

const BANDWIDTHS: [(&str, u64); 8] = [
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("bit/s", 1),
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("KB/s", 8_000),
    ("B/s", 8),
];

impl FromStr for Bandwidth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a bandwidth; write e.g. \"1Gbit/s\" or \"200MB/s\"");
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let scale = BANDWIDTHS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        Ok(Self { bits: scaled(number, scale).ok_or_else(wrong)? })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, scale) = BANDWIDTHS
            .into_iter()
            .find(|(_, scale)| self.bits >= *scale && self.bits.is_multiple_of(*scale))
            .unwrap_or(("bit/s", 1));
        write!(f, "{}{name}", self.bits / scale)
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = Fraction;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share from 0 to 1")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Fraction, E> {
                if (0.0..=1.0).contains(&value) {
                    Ok(Fraction(value))
                } else {
                    Err(E::custom(format!("{value} is not a share from 0 to 1")))
                }
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Fraction, E> {
                self.visit_f64(value as f64)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// Splits a comparison into its relation and what follows.
fn relation(text: &str) -> Result<(Relation, &str), String> {
    let text = text.trim();
    for (sign, relation) in [
        ("<=", Relation::AtMost),
        (">=", Relation::AtLeast),
        ("==", Relation::Equal),
        ("<", Relation::Less),
        (">", Relation::More),
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((relation, rest.trim()));
        }
    }
    Err(format!("`{text}` begins with none of <=, <, ==, >, >="))
}

impl Relation {
    /// Whether `measured` stands in this relation to `wanted`.
    pub fn holds<T: PartialOrd>(self, measured: T, wanted: T) -> bool {
        match self {
            Relation::Less => measured < wanted,
            Relation::AtMost => measured <= wanted,
            Relation::Equal => measured == wanted,
            Relation::AtLeast => measured >= wanted,
            Relation::More => measured > wanted,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Less => "<",
            Relation::AtMost => "<=",
            Relation::Equal => "==",
            Relation::AtLeast => ">=",
            Relation::More => ">",
        })
    }
}

impl Bound {
    /// Whether a measured figure is within the bound.
    pub fn holds(&self, measured: f64) -> bool {
        self.relation.holds(measured, self.value)
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (relation, rest) = relation(text)?;
        let value: f64 = rest.parse().map_err(|_| format!("`{rest}` is not a number"))?;
        if value.is_finite() { Ok(Self { relation, value }) } else { Err("not finite".into()) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relation, self.value)
    }
}

impl TimeBound {
    /// Whether a measured time is within the bound.
    pub fn holds(&self, measured: Duration) -> bool {
        self.relation.holds(measured, self.value.0)
    }
}

impl FromStr for TimeBound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (relation, rest) = relation(text)?;
        Ok(Self { relation, value: rest.parse()? })
    }
}

impl fmt::Display for TimeBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relation, self.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_exactly() {
        let read = |text: &str| text.parse::<TimeSpan>().map(|span| span.0);
        assert_eq!(read("0.2ms"), Ok(Duration::from_micros(200)));
        assert_eq!(read("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(read("2min"), Ok(Duration::from_secs(120)));
        for wrong in ["5", "", "ms", "-5s", "5 parsecs", "1.s", ".5s", "1..2s", "99999999h"] {
            assert!(read(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn rates_sizes_and_bandwidths_need_their_units() {
        assert_eq!("120/min".parse::<Rate>().unwrap().per_second, 2.0);
        assert_eq!("4KiB".parse::<Size>().unwrap().bytes, 4096);
        assert_eq!("1Gbit/s".parse::<Bandwidth>().unwrap().bits, 1_000_000_000);
        assert_eq!("10MB/s".parse::<Bandwidth>().unwrap().bits, 80_000_000);
        assert!("2000".parse::<Rate>().is_err());
        assert!("2000/fortnight".parse::<Rate>().is_err());
        assert!("230".parse::<Size>().is_err());
        assert!("1Gbit".parse::<Bandwidth>().is_err());
    }

    #[test]
    fn bounds_compare_the_measured_with_the_wanted() {
        let bound: Bound = "<= 1.15".parse().unwrap();
        assert!(bound.holds(1.15) && bound.holds(0.9) && !bound.holds(1.2));
        assert!("1.15".parse::<Bound>().is_err());
        let bound: TimeBound = "< 50ms".parse().unwrap();
        assert!(bound.holds(Duration::from_millis(49)) && !bound.holds(Duration::from_millis(50)));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in 0u64..31_000_000_000_000_000, bytes: u32, bits: u32) {
            let span = TimeSpan(Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let jump = SignedSpan { nanos: -(nanos as i64) };
            prop_assert_eq!(jump.to_string().parse(), Ok(jump));
            let size = Size { bytes: bytes.into() };
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let bandwidth = Bandwidth { bits: bits.into() };
            prop_assert_eq!(bandwidth.to_string().parse(), Ok(bandwidth));
        }
    }
}
