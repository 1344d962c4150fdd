//! Names of durable subscriptions.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest client id or name of a subscription, in bytes.
const MAX_BYTES: usize = 1024;

/// Begins the name of a queue that holds what waits for a durable subscription, and parts it. No
/// destination's name holds control characters, so no client can name such a queue.
const MARK: char = '\u{1}';

/// What a durable subscription is known by: it outlives connections, and one consumer at a time takes
/// what it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Durable {
    client: Arc<str>,
    name: Arc<str>,
}

/// Why two texts name no durable subscription.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDurable {
    /// Whose it is has to be said.
    #[error("a durable subscription needs a client id, and the connection has none")]
    NoClient,
    /// So has which.
    #[error("the name of the durable subscription is empty")]
    NoName,
    /// One of them is longer than allowed.
    #[error(
        "a client id or the name of a durable subscription has {0} bytes; at most {MAX_BYTES} are allowed"
    )]
    TooLong(usize),
    /// Control characters would corrupt logs and reports.
    #[error("a client id or the name of a durable subscription holds a control character")]
    ControlCharacter,
}

impl Durable {
    /// The subscription that a client calls so.
    ///
    /// # Errors
    /// If one of both is empty, too long, or holds a control character.
    pub fn new(client: &str, name: &str) -> Result<Self, InvalidDurable> {
        if client.is_empty() {
            return Err(InvalidDurable::NoClient);
        }
        if name.is_empty() {
            return Err(InvalidDurable::NoName);
        }
        let longest = client.len().max(name.len());
        if longest > MAX_BYTES {
            return Err(InvalidDurable::TooLong(longest));
        }
        if client.chars().chain(name.chars()).any(char::is_control) {
            return Err(InvalidDurable::ControlCharacter);
        }
        Ok(Self { client: client.into(), name: name.into() })
    }

    /// The queue that holds what waits for it, in the shard of its topic. Hashed as any other name, it
    /// gives the slot that knows which topic that is.
    pub fn queue(&self) -> Arc<str> {
        format!("{MARK}{}{MARK}{}", self.client, self.name).into()
    }

    /// The client id.
    pub fn client(&self) -> &Arc<str> {
        &self.client
    }

    /// What the client calls it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Display for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of client `{}`", self.name, self.client)
    }
}

/// Whether a queue of this name holds what waits for a durable subscription.
pub fn is_durable(queue: &str) -> bool {
    queue.starts_with(MARK)
}

/// A queue's name for people to read.
pub(crate) fn in_words(queue: &Arc<str>) -> Arc<str> {
    let parts = queue.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK));
    let Some((client, name)) = parts else { return queue.clone() };
    format!("durable subscription `{name}` of client `{client}`").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Destination;

    #[test]
    fn every_subscription_has_a_queue_of_its_own_that_no_client_can_name() {
        let queue = |client, name| Durable::new(client, name).unwrap().queue();
        assert_ne!(queue("a", "b.c"), queue("a.b", "c"));
        assert_ne!(queue("ab", "c"), queue("a", "bc"));
        assert!(is_durable(&queue("a", "b")) && !is_durable("a.b"));
        assert!(Destination::queue(&queue("a", "b")).is_err());
    }

    #[test]
    fn what_names_nothing_is_refused() {
        assert_eq!(Durable::new("", "a"), Err(InvalidDurable::NoClient));
        assert_eq!(Durable::new("a", ""), Err(InvalidDurable::NoName));
        assert_eq!(Durable::new("a", "b\u{1}c"), Err(InvalidDurable::ControlCharacter));
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(Durable::new(&long, "a"), Err(InvalidDurable::TooLong(MAX_BYTES + 1)));
    }
}
