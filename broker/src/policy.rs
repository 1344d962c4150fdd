//! What the configuration says about single destinations.

use std::sync::Arc;

use paceline_core::{Destination, Message, destination::InvalidDestination, operation::Operation};

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
            |destination: &str, durability| Policy { destination: destination.into(), durability };
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
}
