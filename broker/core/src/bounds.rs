//! How much a destination may hold, and what becomes of what comes beyond.

use std::{fmt, sync::Arc};

pub use paceline_membership::WhenFull;
use serde::{Deserialize, Serialize};

use crate::{Destination, Message};

/// What a destination may hold: of a queue all its messages, in flight or not; of a topic what waits
/// for each of its subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The policy that says so, by the destination in it.
    pub policy: Arc<str>,
    /// Messages, at least 1.
    pub max_messages: Option<u64>,
    /// Bytes, at least 1: of bodies as [`Size`] has them; of what is not stored, all that it takes in
    /// the leader's memory.
    pub max_bytes: Option<u64>,
    /// What becomes of more.
    pub when_full: WhenFull,
}

impl Bound {
    /// That of a queue of which no policy says what it may hold.
    pub fn none() -> Self {
        let (policy, when_full) = ("".into(), WhenFull::Block);
        Self { policy, max_messages: None, max_bytes: None, when_full }
    }

    /// Whether a message of `size` bytes may come to where so many messages and bytes are.
    pub fn admits(&self, messages: u64, bytes: u64, size: u64) -> bool {
        let Room { messages, bytes } = self.room(messages, bytes);
        messages > 0 && size <= bytes
    }

    /// What may come to where so many messages and bytes are.
    pub fn room(&self, messages: u64, bytes: u64) -> Room {
        let left =
            |most: Option<u64>, used| most.map_or(u64::MAX, |most| most.saturating_sub(used));
        Room { messages: left(self.max_messages, messages), bytes: left(self.max_bytes, bytes) }
    }
}

/// How much more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Room {
    /// No end of it.
    pub const UNBOUNDED: Self = Self { messages: u64::MAX, bytes: u64::MAX };
}

/// Why a queue took no further message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub struct QueueFull {
    /// The queue's name.
    pub queue: Arc<str>,
    /// Messages in it.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the message that came.
    pub size: u64,
    /// What it may hold.
    pub bound: Arc<Bound>,
}

impl QueueFull {
    /// Whether the message is to wait until there is room, and there may be room for it some day.
    pub fn waits(&self) -> bool {
        self.bound.when_full == WhenFull::Block
            && self.bound.max_bytes.is_none_or(|most| self.size <= most)
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, messages, bytes, size, bound } = self;
        if bound.policy.is_empty() {
            return write!(
                f,
                "queue `{queue}` was full, and messages that came earlier wait for it"
            );
        }
        write!(
            f,
            "queue `{queue}` is full: it holds {messages} messages of {bytes} bytes, this one has \
             {size}, and the policy of `{}` allows ",
            bound.policy
        )?;
        match (bound.max_messages, bound.max_bytes) {
            (Some(messages), None) => write!(f, "{messages} messages"),
            (None, Some(bytes)) => write!(f, "{bytes} bytes"),
            (Some(messages), Some(bytes)) => write!(f, "{messages} messages and {bytes} bytes"),
            (None, None) => f.write_str("no more"),
        }
    }
}

/// The length of a body in one byte, rounded up by at most an eighth: beside each of a million
/// messages an exact one would take eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size(u8);

impl Size {
    /// Of a message's body.
    pub fn of(message: &Message) -> Self {
        Self::of_bytes(message.body.bytes().len() as u64)
    }

    fn of_bytes(bytes: u64) -> Self {
        if bytes < 16 {
            return Self(bytes as u8);
        }
        // Four significant bits, of which the first is always set.
        let shift = 60 - bytes.leading_zeros();
        let steps = bytes.div_ceil(1 << shift);
        // Where rounding up has made it 16 it is 8 of the next shift, which is the same sum.
        Self(((u64::from(shift) << 3) + steps) as u8)
    }

    /// So many bytes at the most.
    pub fn bytes(self) -> u64 {
        match self.0 {
            0..16 => u64::from(self.0),
            _ => u64::from(self.0 & 7 | 8) << ((self.0 >> 3) - 1),
        }
    }
}

/// The bounds of all destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    entries: Vec<(Destination, Option<Arc<Bound>>)>,
}

impl Bounds {
    /// Of policies in their order: what they cover, and their bound if they have one. The first one
    /// that covers a destination counts.
    pub fn new(entries: Vec<(Destination, Option<Arc<Bound>>)>) -> Self {
        match entries.iter().any(|(_, bound)| bound.is_some()) {
            true => Self { entries },
            false => Self::default(),
        }
    }

    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// That of one destination.
    pub fn of(&self, destination: &Destination) -> Option<&Arc<Bound>> {
        let covering = self.entries.iter().find(|(pattern, _)| pattern.matches(destination));
        covering?.1.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_rounded_up_by_an_eighth_at_most() {
        let near_powers = (4..34).flat_map(|power| (1u64 << power) - 3..(1 << power) + 4);
        for bytes in (0..4_000).chain(near_powers).chain([1_000_003, 7_777_777_777]) {
            let rounded = Size::of_bytes(bytes).bytes();
            assert!(rounded >= bytes && rounded - bytes <= bytes / 8, "{bytes} became {rounded}");
            assert_eq!(Size::of_bytes(rounded).bytes(), rounded, "{bytes}");
        }
        assert_eq!(Size::of_bytes(1 << 24).bytes(), 1 << 24);
    }

    #[test]
    fn there_is_room_up_to_both_limits() {
        let bound = |max_messages, max_bytes| Bound {
            policy: "/queue/q".into(),
            max_messages,
            max_bytes,
            when_full: WhenFull::Block,
        };
        let both = bound(Some(3), Some(100));
        assert!(both.admits(2, 60, 40) && !both.admits(3, 0, 0) && !both.admits(2, 60, 41));
        assert!(bound(None, Some(100)).admits(9_999, 99, 1));
        assert!(bound(Some(3), None).admits(2, u64::MAX, u64::MAX));
        let full = |size| QueueFull {
            queue: "q".into(),
            messages: 0,
            bytes: 0,
            size,
            bound: Arc::new(both.clone()),
        };
        assert!(full(100).waits() && !full(101).waits(), "there will never be room for it");
    }
}
