//! What is there as long as a client's connection says so: itself, its consumers, its producers. Whoever
//! listens to a topic is told when one comes and goes, and, when they begin to listen, of those there are.
//!
//! The leader of the topic's shard keeps them, in memory. A node says to the next leader what there is
//! of its clients; nothing of it is news then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Destination, Message};

/// Something that is there. See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// What is said of it while it is there. Its destination is the topic.
    pub here: Arc<Message>,
    /// What is said when it goes, to the same topic.
    pub gone: Arc<Message>,
    /// The property in which both say how many there are of this topic.
    pub counted: Option<Arc<str>>,
}

impl Presence {
    /// Who listens there is told.
    pub fn topic(&self) -> &Destination {
        &self.here.destination
    }

    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        self.here.footprint() + self.gone.footprint()
    }
}

/// Names a presence; unique within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresenceId(pub u64);

/// What a session says. Nobody is told what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// Something is there from now on.
    Here(PresenceId, Presence),
    /// It is not any more.
    Gone(PresenceId),
}
