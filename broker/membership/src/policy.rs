//! What holds for some destinations only, as a cluster has it: an ordered list of policies, of which
//! the first one that covers a destination counts.
//!
//! What a policy means is the business of those who go by it; what none may say is refused here, so
//! that no view holds it.

use std::fmt;

use paceline_destination::{Destination, DestinationKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most policies of a cluster: each node looks through them for each message.
pub const MAX_POLICIES: usize = 256;

/// The most bytes of the patterns of all policies together: they go with every view.
pub const MAX_PATTERN_BYTES: usize = 64 << 10;

/// What holds for the destinations that a pattern covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The pattern, by which the policy is known.
    pub destination: Destination,
    /// Where persistent messages are kept before they are acknowledged.
    pub durability: Durability,
    /// How many messages a queue may hold, in flight or not, or may wait for a topic's subscriber.
    pub max_messages: Option<u64>,
    /// How many bytes of them.
    pub max_bytes: Option<u64>,
    /// What becomes of more; none for what is usual of its kind.
    pub when_full: Option<WhenFull>,
    /// How often a message that was rejected is delivered again before it is dead-lettered; none for
    /// what is usual.
    pub max_redeliveries: Option<u8>,
    /// What becomes of a stored message whose time is over; none for what is usual.
    pub expired: Option<Expired>,
}

/// What becomes of a stored message whose time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expired {
    /// It goes.
    #[default]
    Drop,
    /// It goes to the dead-letter queue.
    DeadLetter,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::DeadLetter => "dead-letter",
        })
    }
}

/// How often a message that was rejected is delivered again, unless a policy says otherwise; ActiveMQ's
/// default.
pub const DEFAULT_MAX_REDELIVERIES: u8 = 6;

/// The most that a policy may say: rejections are counted up to one more.
pub const MOST_REDELIVERIES: u8 = 254;

/// What becomes of a message for which its destination has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It waits at its ingress node. For queues.
    Block,
    /// It is refused.
    Reject,
    /// What has been waiting longest for a slow subscriber is dropped for it. For topics.
    DropOldest,
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Reject => "reject",
            Self::DropOldest => "drop-oldest",
        })
    }
}

/// What an acknowledgement of a persistent message promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// That it is on the disks, synced, of a majority of its shard's nodes.
    #[default]
    Synced,
    /// That it is in the memory of its shard's leader. A crash of that node loses it: persistent
    /// messages are handled as non-persistent ones.
    Memory,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Synced => "synced",
            Self::Memory => "memory",
        })
    }
}

/// A policy that a cluster cannot have.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the policy of `{destination}`: {}: {why}", why.key())]
pub struct PolicyError {
    /// Its place in the list, from 0.
    pub at: usize,
    /// Its pattern.
    pub destination: String,
    /// What is wrong with it.
    pub why: InvalidPolicy,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum InvalidPolicy {
    /// The pattern is none.
    #[error("{0}")]
    Destination(String),
    /// A pattern names one policy.
    #[error("it has a policy already, and the first one would count: leave one of them out")]
    Twice,
    /// There is a bound on the list.
    #[error(
        "a cluster has at most {MAX_POLICIES} policies, and {MAX_PATTERN_BYTES} bytes of patterns"
    )]
    TooMany,
    /// Nothing could be sent.
    #[error("at least 1, or leave it out for no limit")]
    NoMessages,
    /// Nothing could be sent.
    #[error("at least 1, or leave it out for no limit")]
    NoBytes,
    /// Nobody counts so far.
    #[error("at most {MOST_REDELIVERIES}")]
    TooManyRedeliveries,
    /// What a queue holds is to be consumed.
    #[error("a queue drops nothing; use \"block\" or \"reject\"")]
    QueueDrops,
    /// It says what becomes of what there is none of.
    #[error("a queue without `max_messages` or `max_bytes` is never full")]
    NeverFull,
    /// A topic has many subscribers.
    #[error(
        "one slow subscriber would hold up all producers and subscribers of a topic; use \
         \"drop-oldest\" or \"reject\""
    )]
    TopicBlocks,
}

impl InvalidPolicy {
    /// The key that is to be changed.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Destination(_) | Self::Twice | Self::TooMany => "destination",
            Self::NoMessages => "max_messages",
            Self::NoBytes => "max_bytes",
            Self::TooManyRedeliveries => "max_redeliveries",
            Self::QueueDrops | Self::NeverFull | Self::TopicBlocks => "when_full",
        }
    }
}

impl Policy {
    /// One that changes nothing.
    pub fn of(destination: Destination) -> Self {
        Self {
            destination,
            durability: Durability::default(),
            max_messages: None,
            max_bytes: None,
            when_full: None,
            max_redeliveries: None,
            expired: None,
        }
    }

    /// Whether a cluster may have it.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let Destination { kind, name } = &self.destination;
        Destination::new(*kind, name)
            .map_err(|error| InvalidPolicy::Destination(error.to_string()))?;
        match (self.max_messages, self.max_bytes) {
            (Some(0), _) => return Err(InvalidPolicy::NoMessages),
            (_, Some(0)) => return Err(InvalidPolicy::NoBytes),
            _ => {}
        }
        if self.max_redeliveries.is_some_and(|most| most > MOST_REDELIVERIES) {
            return Err(InvalidPolicy::TooManyRedeliveries);
        }
        let is_bounded = self.max_messages.is_some() || self.max_bytes.is_some();
        match (kind, self.when_full) {
            (DestinationKind::Queue, Some(WhenFull::DropOldest)) => Err(InvalidPolicy::QueueDrops),
            (DestinationKind::Queue, Some(_)) if !is_bounded => Err(InvalidPolicy::NeverFull),
            (DestinationKind::Topic, Some(WhenFull::Block)) => Err(InvalidPolicy::TopicBlocks),
            _ => Ok(()),
        }
    }
}

/// As it is written on a command line: `/queue/orders max_messages=5 when_full=reject`.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if self.durability != Durability::default() {
            write!(f, " durability={}", self.durability)?;
        }
        if let Some(messages) = self.max_messages {
            write!(f, " max_messages={messages}")?;
        }
        if let Some(bytes) = self.max_bytes {
            write!(f, " max_bytes={bytes}B")?;
        }
        if let Some(when_full) = self.when_full {
            write!(f, " when_full={when_full}")?;
        }
        if let Some(most) = self.max_redeliveries {
            write!(f, " max_redeliveries={most}")?;
        }
        if let Some(expired) = self.expired {
            write!(f, " expired={expired}")?;
        }
        Ok(())
    }
}

/// The policies of a cluster, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Policy>", into = "Vec<Policy>")]
pub struct Policies(Vec<Policy>);

impl TryFrom<Vec<Policy>> for Policies {
    type Error = PolicyError;

    fn try_from(entries: Vec<Policy>) -> Result<Self, PolicyError> {
        let mut bytes = 0;
        for (at, policy) in entries.iter().enumerate() {
            let wrong = |why| {
                let destination = policy.destination.to_string();
                Err(PolicyError { at, destination, why })
            };
            if let Err(why) = policy.check() {
                return wrong(why);
            }
            if entries[..at].iter().any(|earlier| earlier.destination == policy.destination) {
                return wrong(InvalidPolicy::Twice);
            }
            bytes += policy.destination.name.len();
            if at >= MAX_POLICIES || bytes > MAX_PATTERN_BYTES {
                return wrong(InvalidPolicy::TooMany);
            }
        }
        Ok(Self(entries))
    }
}

impl From<Policies> for Vec<Policy> {
    fn from(policies: Policies) -> Self {
        policies.0
    }
}

impl Policies {
    /// The policies, in their order.
    pub fn entries(&self) -> &[Policy] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that counts for a destination that is no pattern.
    pub fn of(&self, destination: &Destination) -> Option<&Policy> {
        self.0.iter().find(|policy| policy.destination.matches(destination))
    }

    /// The one of this very pattern.
    pub fn get(&self, pattern: &Destination) -> Option<&Policy> {
        self.0.iter().find(|policy| policy.destination == *pattern)
    }

    /// One that stands before a pattern's and covers all that it does, so that this one never counts.
    pub fn shadow_of(&self, pattern: &Destination) -> Option<&Policy> {
        let earlier = self.0.iter().take_while(|policy| policy.destination != *pattern);
        earlier.into_iter().find(|policy| policy.destination.covers(pattern))
    }

    /// The same with one policy set: in the place of the one of its pattern, or else at the end; or,
    /// wherever it was, before another. `None` if that other one is not there.
    ///
    /// # Errors
    /// If a cluster cannot have it.
    pub fn with(
        &self,
        policy: &Policy,
        before: Option<&Destination>,
    ) -> Result<Option<Self>, PolicyError> {
        let place = |entries: &[Policy], pattern: &Destination| {
            entries.iter().position(|policy| policy.destination == *pattern)
        };
        let mut entries = self.0.clone();
        let own = place(&entries, &policy.destination);
        // Before itself is where it is.
        match before.filter(|before| **before != policy.destination) {
            Some(before) => {
                if let Some(own) = own {
                    entries.remove(own);
                }
                let Some(at) = place(&entries, before) else { return Ok(None) };
                entries.insert(at, policy.clone());
            }
            None => match own {
                Some(own) => entries[own] = policy.clone(),
                None => entries.push(policy.clone()),
            },
        }
        Self::try_from(entries).map(Some)
    }

    /// The same without the policy of a pattern.
    pub fn without(&self, pattern: &Destination) -> Self {
        let others = self.0.iter().filter(|policy| policy.destination != *pattern);
        Self(others.cloned().collect())
    }

    /// What is to be done to make others of these, line by line: `-` what goes, `+` what comes, and
    /// that the order is another one. Nothing if they are the same.
    pub fn difference(&self, others: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|policy| !others.0.contains(policy));
        let come = others.0.iter().filter(|policy| !self.0.contains(policy));
        let mut lines: Vec<String> = gone.map(|policy| format!("- {policy}")).collect();
        lines.extend(come.map(|policy| format!("+ {policy}")));
        let patterns = |one: &Self, other: &Self| {
            let known = one.0.iter().filter(|policy| other.get(&policy.destination).is_some());
            known.map(|policy| policy.destination.to_string()).collect::<Vec<_>>()
        };
        let order = patterns(others, self);
        if patterns(self, others) != order {
            lines.push(format!("in the order {}", order.join(", ")));
        }
        lines
    }
}

/// One to a line.
impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, policy) in self.0.iter().enumerate() {
            let separator = if at > 0 { "\n" } else { "" };
            write!(f, "{separator}{policy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    fn bounded(pattern: &str, messages: u64) -> Policy {
        Policy { max_messages: Some(messages), ..Policy::of(destination(pattern)) }
    }

    fn policies(patterns: &[&str]) -> Policies {
        let entries = (1..).zip(patterns).map(|(at, pattern)| bounded(pattern, at));
        Policies::try_from(entries.collect::<Vec<_>>()).unwrap()
    }

    fn patterns(policies: &Policies) -> Vec<String> {
        policies.entries().iter().map(|policy| policy.destination.to_string()).collect()
    }

    #[test]
    fn what_none_may_say_is_refused_by_its_key() {
        let topic = Policy::of(destination("/topic/t"));
        let queue = Policy::of(destination("/queue/q"));
        let bad_name = Destination { kind: DestinationKind::Queue, name: "a\nb".into() };
        for (policy, expected) in [
            (Policy::of(bad_name), "the policy of `/queue/a\nb`: destination: the destination"),
            (bounded("/queue/q", 0), "the policy of `/queue/q`: max_messages: at least 1"),
            (
                Policy { max_bytes: Some(0), ..queue.clone() },
                "the policy of `/queue/q`: max_bytes:",
            ),
            (
                Policy { max_redeliveries: Some(255), ..queue.clone() },
                "the policy of `/queue/q`: max_redeliveries: at most 254",
            ),
            (
                Policy { when_full: Some(WhenFull::DropOldest), ..bounded("/queue/q", 1) },
                "the policy of `/queue/q`: when_full: a queue drops nothing",
            ),
            (
                Policy { when_full: Some(WhenFull::Reject), ..queue },
                "the policy of `/queue/q`: when_full: a queue without",
            ),
            (
                Policy { when_full: Some(WhenFull::Block), ..topic },
                "the policy of `/topic/t`: when_full: one slow subscriber",
            ),
        ] {
            let error = Policies::try_from(vec![policy.clone()]).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.at, 0);
            let bytes = postcard::to_stdvec(&vec![policy]).unwrap();
            assert!(postcard::from_bytes::<Policies>(&bytes).is_err());
        }
        let twice = vec![bounded("/queue/q", 1), bounded("queue://q", 2)];
        let error = Policies::try_from(twice).unwrap_err();
        assert_eq!((error.at, error.why), (1, InvalidPolicy::Twice));
        let many = (0..=MAX_POLICIES).map(|at| bounded(&format!("/queue/{at}"), 1));
        let error = Policies::try_from(many.collect::<Vec<_>>()).unwrap_err();
        assert_eq!((error.at, error.why), (MAX_POLICIES, InvalidPolicy::TooMany));
    }

    #[test]
    fn the_first_that_covers_a_destination_counts() {
        let policies = policies(&["/queue/a.b", "/queue/a.>", "/topic/>"]);
        let of = |name: &str| policies.of(&destination(name)).and_then(|it| it.max_messages);
        assert_eq!(of("/queue/a.b"), Some(1));
        assert_eq!(of("/queue/a.c"), Some(2));
        assert_eq!(of("/queue/b"), None);
        assert_eq!(of("/topic/a.b"), Some(3));
        let shadow = |pattern: &str| policies.shadow_of(&destination(pattern)).is_some();
        assert!(shadow("/queue/a.c") && shadow("/queue/a.*.>") && !shadow("/queue/>"));
        assert!(!shadow("/queue/a.b") && !shadow("/queue/a.>"));
    }

    #[test]
    fn one_is_set_in_its_place_or_where_it_is_wanted() {
        let before = policies(&["/queue/a", "/queue/b", "/queue/c"]);
        let set = |pattern: &str, other: Option<&str>| {
            let other = other.map(destination);
            let with = before.with(&bounded(pattern, 9), other.as_ref()).unwrap();
            with.map(|with| {
                assert_eq!(with.get(&destination(pattern)).unwrap().max_messages, Some(9));
                patterns(&with).join(" ").replace("/queue/", "")
            })
        };
        assert_eq!(set("/queue/b", None).unwrap(), "a b c");
        assert_eq!(set("/queue/d", None).unwrap(), "a b c d");
        assert_eq!(set("/queue/d", Some("/queue/b")).unwrap(), "a d b c");
        assert_eq!(set("/queue/c", Some("/queue/a")).unwrap(), "c a b");
        assert_eq!(set("/queue/a", Some("/queue/c")).unwrap(), "b a c");
        assert_eq!(set("/queue/b", Some("/queue/b")).unwrap(), "a b c");
        assert_eq!(set("/queue/d", Some("/queue/e")), None);
        assert_eq!(patterns(&before.without(&destination("/queue/b"))), ["/queue/a", "/queue/c"]);
        assert_eq!(before.without(&destination("/queue/z")), before);
    }

    #[test]
    fn the_difference_of_two_lists_is_told() {
        let (one, other) =
            (policies(&["/queue/a", "/queue/b"]), policies(&["/queue/b", "/queue/c"]));
        assert_eq!(one.difference(&one), Vec::<String>::new());
        assert_eq!(
            one.difference(&other),
            [
                "- /queue/a max_messages=1",
                "- /queue/b max_messages=2",
                "+ /queue/b max_messages=1",
                "+ /queue/c max_messages=2",
            ]
        );
        let mut entries = Vec::from(one.clone());
        entries.reverse();
        let turned = Policies::try_from(entries).unwrap();
        assert_eq!(one.difference(&turned), ["in the order /queue/b, /queue/a"]);
    }
}
