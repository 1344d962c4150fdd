//! What a node says it does: the trace events of the broker, one table for those who emit them and
//! those who listen, so that neither can misspell one or lack a field.
//!
//! The seam carries an event as a name and a list of values (`paceline_runtime::trace`), which is
//! what a run's event log shows. Natively an event costs one relaxed atomic load while nobody
//! listens.
//!
//! ```
//! use paceline_events::emit;
//!
//! emit!(ServeBegin { shard: 3, term: 17 });
//! emit!(NodeReady);
//! ```

mod field;

use paceline_runtime::trace;
use thiserror::Error;

#[doc(hidden)]
pub use paceline_runtime::trace::enabled;

use self::field::Field;

/// An event of a known kind lacks a field: both ends are not of one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event `{}` lacks `{field}`", .kind.name())]
pub struct Lacks {
    /// Of which kind it is.
    pub kind: Kind,
    /// What it lacks.
    pub field: &'static str,
}

macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $kind:literal $({ $($field:ident: $type:ty),+ $(,)? })?;
    )+) => {
        /// The kinds of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// Its name in the event log and in scenarios.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => $kind,)+
                }
            }
        }

        /// What a node says it does. Texts are names, and those that may be missing are empty then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "a field is named as in the log and means the same everywhere")]
        pub enum Event<'a> {
            $($(#[doc = $doc])+ $name { $($($field: $type),+)? },)+
        }

        impl<'a> Event<'a> {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Event::$name { .. } => Kind::$name,)+
                }
            }

            /// Tells it to those who listen. Prefer [`emit!`], which makes nothing of it while
            /// nobody does.
            pub fn emit(self) {
                match self {
                    $(Event::$name { $($($field),+)? } => {
                        trace::emit($kind, &[$($((stringify!($field), $field.value())),+)?]);
                    })+
                }
            }

            /// The event as it was emitted; none if it is not the broker's.
            ///
            /// # Errors
            ///
            /// If it has the name of one and lacks a field.
            pub fn read(event: &trace::Event<'a>) -> Result<Option<Self>, Lacks> {
                Ok(Some(match event.kind {
                    $($kind => {
                        // Both ends have one order, so each is the next one.
                        #[allow(unused, reason = "some kinds have no fields")]
                        let mut rest = event.fields.iter();
                        Event::$name {
                        $($($field: {
                            let (kind, field) = (Kind::$name, stringify!($field));
                            field::next(event, &mut rest, field).ok_or(Lacks { kind, field })?
                        }),+)?
                    }})+
                    _ => return Ok(None),
                }))
            }
        }
    };
}

events! {
    /// A node has started on an empty disk, and asks the others whether they know it.
    NodeNew = "node_new";
    /// A node that started on an empty disk takes part: no other node knows it.
    NodeJoined = "node_joined";
    /// A node is told that it has been somebody in this cluster and has forgotten it.
    NodeForgot = "node_forgot";
    /// A node has started and takes clients. Whatever it has to repair it has said before.
    NodeReady = "node_ready";
    /// A node that was asked to end begins to.
    NodeDraining = "node_draining";
    /// A node grants a candidate its vote, which it is about to answer.
    Vote = "vote" { shard: u64, term: u64, to: u64 };
    /// A node is about to answer a leader for the first time in this term and its process's life.
    Follow = "follow" { shard: u64, term: u64, to: u64 };
    /// A leader asks another node to take over.
    HandOver = "hand_over" { shard: u64, to: u64 };
    /// A node has been asked to take over.
    TakeOver = "take_over" { shard: u64 };
    /// A node serves a shard as its leader from here on.
    ServeBegin = "serve_begin" { shard: u64, term: u64 };
    /// It no longer does.
    ServeEnd = "serve_end" { shard: u64, term: u64 };
    /// A replica has applied an entry.
    Apply = "apply" { shard: u64, index: u64, commands: u64 };
    /// A consumer appeared at the leader.
    Attach = "attach" { shard: u64, term: u64, consumer: &'a str };
    /// A consumer may hold another number of messages from now on.
    Prefetch = "prefetch" { shard: u64, term: u64, consumer: &'a str, prefetch: u64 };
    /// A consumer left; what it held went back.
    Detach = "detach" { shard: u64, term: u64, consumer: &'a str };
    /// The leader handed a message to a consumer. The message's own id, which clients see, its queue
    /// and its priority are missing if the leader has the message not at hand; the queue of a
    /// topic's is missing as well.
    Dispatch = "dispatch" {
        shard: u64,
        term: u64,
        consumer: &'a str,
        message: &'a str,
        id: &'a str,
        queue: &'a str,
        priority: u64,
        redelivered: bool,
        in_flight: u64,
        credit: u64,
    };
    /// The leader read from the log what it had handed out without having it at hand.
    ReadBack = "read_back" { shard: u64, term: u64, message: &'a str, id: &'a str, queue: &'a str };
    /// A consumer's message is gone for good.
    Settle = "settle" { shard: u64, term: u64, consumer: &'a str, message: &'a str };
    /// A consumer's message went back to its queue.
    Release = "release" { shard: u64, term: u64, consumer: &'a str, message: &'a str };
    /// The journal has begun another file, which its directory may not show yet.
    SegmentBegin = "segment_begin" { segment: u64 };
    /// The journal is about to remove a file in which nothing lives.
    SegmentRemove = "segment_remove" { segment: u64 };
    /// A replica is about to write a snapshot of its state.
    SnapshotWrite = "snapshot_write" { shard: u64 };
    /// A replica is about to install the snapshot of its leader.
    SnapshotInstall = "snapshot_install" { shard: u64 };
    /// So many bytes of the snapshot that a replica is about to install have come.
    SnapshotMove = "snapshot_move" { shard: u64, bytes: u64 };
    /// A node begins to repair a damaged replica.
    RepairBegin = "repair_begin" { shard: u64 };
    /// A damaged replica is whole again.
    RepairEnd = "repair_end" { shard: u64 };
    /// A shard's leader is about to propose that a node be given a copy, as a learner.
    ReplicaAdded = "replica_added" { shard: u64, node: u64 };
    /// A shard's leader is about to propose that a learner, which is whole, become a voter.
    ReplicaPromoted = "replica_promoted" { shard: u64, node: u64 };
    /// A node has deleted its copy of a shard, which it is to hold no longer.
    ReplicaDropped = "replica_dropped" { shard: u64 };
}

/// Emits an event: `emit!(Kind { field: value, … })`. Fields are evaluated only while somebody
/// listens.
#[macro_export]
macro_rules! emit {
    ($name:ident $({ $($fields:tt)* })?) => {
        if $crate::enabled() {
            $crate::Event::$name { $($($fields)*)? }.emit();
        }
    };
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use paceline_runtime::trace::Value;

    use super::*;

    fn heard<'a>(kind: &'a str, fields: &'a [(&'a str, Value<'a>)]) -> trace::Event<'a> {
        trace::Event { at: Duration::ZERO, node: "n1", incarnation: 1, kind, fields }
    }

    #[test]
    fn what_is_emitted_is_read_and_shown_by_its_names() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = told.clone();
        trace::listen(move |event| {
            let message = match Event::read(event) {
                Ok(Some(Event::ReadBack { message, .. })) => message.to_owned(),
                other => format!("{other:?}"),
            };
            listener.lock().unwrap().push((event.to_string(), message));
        });
        emit!(ReadBack { shard: 3, term: 4, message: "1.0.0", id: "ID:1", queue: "" });
        emit!(NodeReady);
        trace::event!("client_closed", client = 1u32);
        let told = told.lock().unwrap().clone();
        assert!(told[0].0.ends_with("read_back shard=3 term=4 message=1.0.0 id=ID:1 queue="));
        assert_eq!(told[0].1, "1.0.0");
        assert!(told[1].0.ends_with(" node_ready"));
        assert_eq!(told[1].1, "Ok(Some(NodeReady))");
        assert_eq!(told[2].1, "Ok(None)");
    }

    #[test]
    fn a_field_that_is_missing_or_something_else_is_named() {
        let (shard, term) = (("shard", Value::U64(3)), ("term", Value::Str("4")));
        for fields in [&[shard][..], &[shard, term]] {
            let lacks = Event::read(&heard("serve_end", fields)).unwrap_err();
            assert_eq!(lacks, Lacks { kind: Kind::ServeEnd, field: "term" });
            assert_eq!(lacks.to_string(), "the event `serve_end` lacks `term`");
        }
    }
}
