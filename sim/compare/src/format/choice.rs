//! Lists of names, or everything there is.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};

/// `"all"`, or a list.
#[derive(Clone, Debug, Default)]
pub enum Choice<T> {
    /// Everything there is.
    #[default]
    All,
    /// Only these.
    These(Vec<T>),
}

impl<T: Clone> Choice<T> {
    /// The chosen ones, `all` being given.
    pub fn of(&self, all: &[T]) -> Vec<T> {
        match self {
            Choice::All => all.to_vec(),
            Choice::These(these) => these.clone(),
        }
    }
}

impl<T: PartialEq> Choice<T> {
    /// What is listed a second time.
    pub(super) fn twice(&self) -> Option<&T> {
        match self {
            Choice::All => None,
            Choice::These(these) => twice(these),
        }
    }
}

/// The first item that stands in the list before.
pub(super) fn twice<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(at, item)| list[..*at].contains(item)).map(|(_, item)| item)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Choice<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of names")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Choice<T>, E> {
                match text {
                    "all" => Ok(Choice::All),
                    other => Err(E::custom(format!("write \"all\" or [\"{other}\"]"))),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Choice<T>, A::Error> {
                let mut these = Vec::new();
                while let Some(name) = list.next_element()? {
                    these.push(name);
                }
                Ok(Choice::These(these))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}
