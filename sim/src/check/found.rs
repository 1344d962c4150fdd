//! What a check found, and which messages it is about.

use std::fmt;

use super::step::NameId;
use crate::workload::operation::MessageId;

/// What is wrong, and about what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In one sentence.
    pub detail: String,
    /// The messages that it names.
    pub about: Vec<Subject>,
}

/// A message, by whatever name is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// By its producer's name.
    Sent(MessageId),
    /// By the name that the broker gave it, and that clients see.
    Named(NameId),
    /// By its leader's name.
    Placed {
        /// Of which shard.
        shard: u64,
        /// Its place there.
        message: NameId,
    },
}

impl Found {
    /// Something about these messages.
    pub fn about(detail: String, messages: impl IntoIterator<Item = impl Into<Subject>>) -> Self {
        Self { detail, about: messages.into_iter().map(Into::into).collect() }
    }
}

impl From<String> for Found {
    fn from(detail: String) -> Self {
        Self { detail, about: Vec::new() }
    }
}

impl From<MessageId> for Subject {
    fn from(id: MessageId) -> Self {
        Self::Sent(id)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
