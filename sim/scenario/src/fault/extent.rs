//! How long a fault lasts, or when it ends.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::units::TimeSpan;

/// A time, or a pair of times between which one is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// This long.
    Fixed(TimeSpan),
    /// At least the first, at most the second.
    Drawn(TimeSpan, TimeSpan),
}

impl Extent {
    /// The longest it may be.
    pub fn most(&self) -> TimeSpan {
        match *self {
            Extent::Fixed(span) | Extent::Drawn(_, span) => span,
        }
    }
}

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Extent::Fixed(span) => span.serialize(serializer),
            Extent::Drawn(least, most) => [least, most].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Extent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"2s\", or two such as [\"1s\", \"5s\"]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Extent, E> {
                text.parse().map(Extent::Fixed).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Extent, A::Error> {
                let [least, most] =
                    <[TimeSpan; 2]>::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                if least > most {
                    return Err(de::Error::custom(format!("{least} is longer than {most}")));
                }
                Ok(Extent::Drawn(least, most))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
