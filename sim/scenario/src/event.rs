//! The events of the broker that a fault may wait for, and which of several it takes.
//!
//! Broker, parser and listener share the names: an event is called in a scenario as it is in the event
//! log.

use std::fmt;

use paceline_events::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident, $place:ident;)+) => {
        /// What a node does, at which a fault may begin.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Event] = &[$(Event::$name),+];

            /// What a node emits then.
            pub fn kind(self) -> Kind {
                match self {
                    $(Event::$name => Kind::$name,)+
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
    Vote, slot;
    /// A node is about to answer a leader for the first time in the leader's term.
    Follow, slot;
    /// A node begins to serve a shard as its leader.
    ServeBegin, slot;
    /// A leader ends serving a shard.
    ServeEnd, slot;
    /// A leader asks another node to take over.
    HandOver, slot;
    /// A node has been asked to take over.
    TakeOver, slot;
    /// The journal has begun another file, which its directory may not show yet.
    SegmentBegin, node;
    /// The journal is about to remove a file in which nothing lives.
    SegmentRemove, node;
    /// A replica is about to write a snapshot of its state.
    SnapshotWrite, slot;
    /// A replica is about to install the snapshot of its leader.
    SnapshotInstall, slot;
    /// A node begins to repair a damaged replica.
    RepairBegin, slot;
    /// A damaged replica is whole again.
    RepairEnd, slot;
    /// A shard's leader is about to propose that a node be given a copy, as a learner.
    ReplicaAdded, slot;
    /// A shard's leader is about to propose that a learner, which is whole, become a voter.
    ReplicaPromoted, slot;
    /// A node has deleted its copy of a shard, which it is to hold no longer.
    ReplicaDropped, slot;
    /// A node has started and takes clients.
    NodeReady, node;
    /// A node that was asked to end begins to.
    NodeDraining, node;
}

impl Event {
    /// Its name, in scenarios and in the event log.
    pub fn name(self) -> &'static str {
        self.kind().name()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Event::ALL.iter().copied().find(|event| event.name() == name).ok_or_else(|| {
            let names: Vec<_> = Event::ALL.iter().map(|event| format!("`{event}`")).collect();
            let names = names.join(", ");
            de::Error::custom(format!("unknown variant `{name}`, expected one of {names}"))
        })
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
