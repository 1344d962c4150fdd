//! What a consumer consumes from: a queue, a topic, a pattern of either, or several of them at once.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Destination, DestinationKind};

/// The most destinations that a consumer, a producer or a message may name.
pub const MAX_DESTINATIONS: usize = 256;

/// All of these, each once, in their order.
///
/// # Errors
/// If there are more than [`MAX_DESTINATIONS`].
pub fn distinct(mut all: Vec<Destination>) -> Result<Arc<[Destination]>, TooMany> {
    if all.len() > 1 {
        let mut known = BTreeSet::new();
        all.retain(|one| known.insert(one.clone()));
    }
    match all.len() {
        many if many > MAX_DESTINATIONS => Err(TooMany(many)),
        _ => Ok(all.into()),
    }
}

/// One destination or pattern, or several. Of a message that several of them match there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// At least one, and none that another one covers.
    all: Arc<[Destination]>,
}

/// More destinations are named than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} destinations are named; at most {MAX_DESTINATIONS} are allowed")]
pub struct TooMany(usize);

impl From<Destination> for Source {
    fn from(one: Destination) -> Self {
        Self { all: [one].into() }
    }
}

impl Source {
    /// All of these, in their order. What another one covers is left out.
    ///
    /// # Errors
    /// If there are more than [`MAX_DESTINATIONS`].
    ///
    /// # Panics
    /// If there are none.
    pub fn several(all: &[Destination]) -> Result<Self, TooMany> {
        assert!(!all.is_empty(), "a source of nothing");
        if all.len() > MAX_DESTINATIONS {
            return Err(TooMany(all.len()));
        }
        let is_covered = |at: usize, by: usize| {
            // Of two that cover each other the first stays.
            by != at && covers(&all[by], &all[at]) && (by < at || !covers(&all[at], &all[by]))
        };
        let left = (0..all.len()).filter(|at| !(0..all.len()).any(|by| is_covered(*at, by)));
        Ok(Self { all: left.map(|at| all[at].clone()).collect() })
    }

    /// They.
    pub fn all(&self) -> &[Destination] {
        &self.all
    }

    /// The destination or pattern, if it is no more than one.
    pub fn single(&self) -> Option<&Destination> {
        match &*self.all {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The destination, if it is one and no pattern.
    pub fn exact(&self) -> Option<&Destination> {
        self.single().filter(|one| !one.is_pattern())
    }

    /// Those of a kind.
    pub fn of(&self, kind: DestinationKind) -> impl Iterator<Item = &Destination> {
        self.all.iter().filter(move |one| one.kind == kind)
    }

    /// Whether one of them is of that kind.
    pub fn has(&self, kind: DestinationKind) -> bool {
        self.of(kind).next().is_some()
    }

    /// Whether one of them stands for many.
    pub fn has_pattern(&self) -> bool {
        self.all.iter().any(Destination::is_pattern)
    }

    /// Whether one of them is or covers `destination`.
    pub fn matches(&self, destination: &Destination) -> bool {
        self.all.iter().any(|one| one.matches(destination))
    }

    /// Those of them that are wanted; `None` if that is none.
    pub fn filter(&self, wanted: impl Fn(&Destination) -> bool) -> Option<Self> {
        if self.all.iter().all(&wanted) {
            return Some(self.clone());
        }
        let left: Arc<[Destination]> = self.all.iter().filter(|one| wanted(one)).cloned().collect();
        (!left.is_empty()).then_some(Self { all: left })
    }
}

/// Whether all that is of one source is of another.
fn covers(pattern: &Destination, other: &Destination) -> bool {
    // Read as a name, a pattern has parts that only a wildcard matches, but for `a.>`, which has more
    // than one part behind `a` although it is written as one.
    let ends_open = |it: &Destination| it.name.split('.').next_back() == Some(">");
    pattern.matches(other) && (!ends_open(other) || ends_open(pattern))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.all.iter().enumerate() {
            write!(f, "{}{one}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn several(all: &[&str]) -> String {
        let all: Vec<_> = all.iter().map(|text| Destination::parse(text).unwrap()).collect();
        Source::several(&all).unwrap().to_string()
    }

    #[test]
    fn of_destinations_each_counts_once_and_256_are_enough() {
        let queue = |name: usize| Destination::queue(&name.to_string()).unwrap();
        let twice: Vec<_> = [1, 2, 1, 3, 2].map(queue).into();
        assert_eq!(*distinct(twice).unwrap(), [1, 2, 3].map(queue));
        let many = |count: usize| (0..count).map(queue).chain([queue(0)]).collect();
        assert_eq!(distinct(many(256)).unwrap().len(), 256);
        assert_eq!(distinct(many(257)), Err(TooMany(257)));
    }

    #[test]
    fn what_another_one_covers_is_left_out() {
        assert_eq!(several(&["/queue/a", "/queue/b"]), "/queue/a,/queue/b");
        assert_eq!(several(&["/queue/a", "/queue/a", "/topic/a"]), "/queue/a,/topic/a");
        assert_eq!(several(&["/queue/a.b", "/queue/a.*", "/queue/c"]), "/queue/a.*,/queue/c");
        assert_eq!(several(&["/topic/a.>", "/topic/a.*"]), "/topic/a.>");
        assert_eq!(several(&["/topic/a.*", "/topic/a.>"]), "/topic/a.>");
        assert_eq!(several(&["/topic/a.*", "/topic/*.b"]), "/topic/a.*,/topic/*.b");
    }

    #[test]
    fn it_matches_what_one_of_them_does() {
        let [a, b, topic] =
            ["/queue/a.b", "/queue/b.>", "/topic/t"].map(|text| Destination::parse(text).unwrap());
        let source = Source::several(&[a.clone(), b, topic.clone()]).unwrap();
        assert!(source.matches(&a) && source.matches(&topic) && source.has_pattern());
        assert!(source.matches(&Destination::queue("b.c").unwrap()));
        assert!(!source.matches(&Destination::topic("a.b").unwrap()));
        assert_eq!(source.single(), None);
        let topics = source.filter(|one| one.kind == DestinationKind::Topic).unwrap();
        assert_eq!((topics.exact(), topics.has(DestinationKind::Queue)), (Some(&topic), false));
        assert_eq!(topics.filter(|_| false), None);
    }

    #[test]
    fn a_consumer_cannot_name_any_number() {
        let many: Vec<_> = (0..=MAX_DESTINATIONS)
            .map(|at| Destination::queue(&format!("q{at}")).unwrap())
            .collect();
        assert_eq!(Source::several(&many), Err(TooMany(MAX_DESTINATIONS + 1)));
        assert!(Source::several(&many[1..]).is_ok());
    }
}
