//! The events of the broker that a fault may wait for, and which of several it takes.
//!
//! Parser and listener share the names: an event is called in a scenario as it is in the event log.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:literal, $place:ident;)+) => {
        /// What a node does, at which a fault may begin.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Event {
            $($(#[doc = $doc])+ #[serde(rename = $kind)] $name,)+
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Event] = &[$(Event::$name),+];

            /// Its name, in scenarios and in the event log.
            pub fn name(self) -> &'static str {
                match self {
                    $(Event::$name => $kind,)+
                }
            }

            /// Whether it belongs to one slot and not to the whole node.
            pub fn has_slot(self) -> bool {
                match self {
                    $(Event::$name => events!(@$place),)+
                }
            }
        }
    };
    (@slot) => { true };
    (@node) => { false };
}

events! {
    /// A node grants a candidate its vote, which it is about to answer.
    Vote = "vote", slot;
    /// A node is about to answer a leader for the first time in the leader's term.
    Follow = "follow", slot;
    /// A node begins to serve a shard as its leader.
    ServeBegin = "serve_begin", slot;
    /// A leader ends serving a shard.
    ServeEnd = "serve_end", slot;
    /// A leader asks another node to take over.
    HandOver = "hand_over", slot;
    /// A node has been asked to take over.
    TakeOver = "take_over", slot;
    /// The journal has begun another file, which its directory may not show yet.
    SegmentBegin = "segment_begin", node;
    /// The journal is about to remove a file in which nothing lives.
    SegmentRemove = "segment_remove", node;
    /// A replica is about to write a snapshot of its state.
    SnapshotWrite = "snapshot_write", slot;
    /// A replica is about to install the snapshot of its leader.
    SnapshotInstall = "snapshot_install", slot;
    /// A node begins to repair a damaged replica.
    RepairBegin = "repair_begin", slot;
    /// A damaged replica is whole again.
    RepairEnd = "repair_end", slot;
    /// A node has started and takes clients.
    NodeReady = "node_ready", node;
    /// A node that was asked to end begins to.
    NodeDraining = "node_draining", node;
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of several events, counted from 1; or a pair of numbers between which one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nth {
    /// This one.
    Fixed(u32),
    /// The first at the earliest, the second at the latest.
    Drawn(u32, u32),
}

impl Nth {
    /// The earliest that it may be.
    pub fn least(self) -> u32 {
        match self {
            Nth::Fixed(nth) | Nth::Drawn(nth, _) => nth,
        }
    }

    /// The latest that it may be.
    pub fn most(self) -> u32 {
        match self {
            Nth::Fixed(nth) | Nth::Drawn(_, nth) => nth,
        }
    }
}

impl Serialize for Nth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Nth::Fixed(nth) => nth.serialize(serializer),
            Nth::Drawn(least, most) => [least, most].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Nth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Nth;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 2, or two such as [1, 5]")
            }
            fn visit_i64<E: de::Error>(self, nth: i64) -> Result<Nth, E> {
                let unexpected = || E::invalid_value(de::Unexpected::Signed(nth), &self);
                u32::try_from(nth).map(Nth::Fixed).map_err(|_| unexpected())
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Nth, A::Error> {
                let [least, most] =
                    <[u32; 2]>::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                if least > most {
                    return Err(de::Error::custom(format!("{least} is more than {most}")));
                }
                Ok(Nth::Drawn(least, most))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
