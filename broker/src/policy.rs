//! What the configuration says about single destinations.

use std::sync::Arc;

use paceline_core::{
    Destination, DestinationKind, Message,
    bounds::{Bound, Bounds, WhenFull},
    destination::InvalidDestination,
    operation::Operation,
};

use crate::config::{Durability, Policy};

/// The `[[policy]]` entries, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    entries: Vec<(Destination, Durability)>,
}

impl Policies {
    /// Reads the entries' patterns.
    pub(crate) fn new(entries: &[Policy]) -> Result<Self, InvalidDestination> {
        let parsed = entries
            .iter()
            .map(|entry| Ok((Destination::parse(&entry.destination)?, entry.durability)));
        Ok(Self { entries: parsed.collect::<Result<_, _>>()? })
    }

    /// What the entries allow destinations to hold, for the leaders of shards.
    pub(crate) fn bounds(entries: &[Policy]) -> Result<Bounds, InvalidDestination> {
        let parsed = entries.iter().map(|entry| {
            let destination = Destination::parse(&entry.destination)?;
            let is_bounded = entry.max_messages.is_some() || entry.max_bytes.is_some();
            let bound = (is_bounded || entry.when_full.is_some()).then(|| {
                let default = match destination.kind {
                    DestinationKind::Queue => WhenFull::Block,
                    DestinationKind::Topic => WhenFull::DropOldest,
                };
                Arc::new(Bound {
                    policy: entry.destination.as_str().into(),
                    max_messages: entry.max_messages,
                    max_bytes: entry.max_bytes,
                    when_full: entry.when_full.unwrap_or(default),
                })
            });
            Ok((destination, bound))
        });
        Ok(Bounds::new(parsed.collect::<Result<_, _>>()?))
    }

    /// Makes an operation's messages non-persistent where the policy of their destination is
    /// [`Durability::Memory`].
    pub(crate) fn apply(&self, operation: &mut Operation) {
        if self.entries.is_empty() {
            return;
        }
        match operation {
            Operation::Publish { message, .. } => self.apply_to(message),
            Operation::Commit { publishes, .. } => {
                publishes.iter_mut().for_each(|message| self.apply_to(message));
            }
            _ => {}
        }
    }

    fn apply_to(&self, message: &mut Arc<Message>) {
        if message.persistent && self.durability(&message.destination) == Durability::Memory {
            Arc::make_mut(message).persistent = false;
        }
    }

    fn durability(&self, destination: &Destination) -> Durability {
        let covering = self.entries.iter().find(|(pattern, _)| pattern.matches(destination));
        covering.map_or_else(Durability::default, |(_, durability)| *durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_covers_a_destination_counts() {
        let entry =
            |destination: &str, durability| Policy { durability, ..Policy::of(destination) };
        let policies = Policies::new(&[
            entry("/queue/metrics.billing", Durability::Synced),
            entry("/queue/metrics.>", Durability::Memory),
        ])
        .unwrap();
        for (name, expected) in [
            ("metrics.cpu", Durability::Memory),
            ("metrics.billing", Durability::Synced),
            ("orders", Durability::Synced),
        ] {
            let queue = Destination::queue(name).unwrap();
            assert_eq!(policies.durability(&queue), expected, "{name}");
            let topic = Destination::topic(name).unwrap();
            assert_eq!(policies.durability(&topic), Durability::Synced);
        }
    }

    #[test]
    fn a_destination_is_bounded_as_the_first_entry_that_covers_it_says() {
        let entries = [
            Policy::of("/queue/free"),
            Policy { max_messages: Some(3), ..Policy::of("/queue/>") },
            Policy { when_full: Some(WhenFull::Reject), ..Policy::of("/topic/>") },
        ];
        let bounds = Policies::bounds(&entries).unwrap();
        let of = |destination| bounds.of(&Destination::parse(destination).unwrap()).cloned();
        assert_eq!(of("/queue/free"), None);
        let bound = of("/queue/q").unwrap();
        assert_eq!((bound.max_messages, bound.when_full), (Some(3), WhenFull::Block));
        assert_eq!(of("/topic/t").unwrap().when_full, WhenFull::Reject);
        assert!(Policies::bounds(&entries[..1]).unwrap().is_empty());
    }
}
