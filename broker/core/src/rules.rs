//! When a message that nobody consumes ends, and where: what policies say of that.
//!
//! What replicas do by them they must do alike. So they stand in the state of each shard: its leader has
//! them written there when the cluster's are other ones
//! ([`Command::Rules`](crate::shard::Command::Rules)).

use std::sync::Arc;

use paceline_membership::Policies;
pub use paceline_membership::{DEFAULT_MAX_REDELIVERIES, Expired};
use serde::{Deserialize, Serialize};

use crate::{Destination, DestinationKind};

/// What holds for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// How often a message that was rejected is delivered again.
    pub max_redeliveries: u8,
    /// What becomes of a stored message whose time is over.
    pub expired: Expired,
}

impl Default for Rule {
    fn default() -> Self {
        Self { max_redeliveries: DEFAULT_MAX_REDELIVERIES, expired: Expired::default() }
    }
}

/// The rules of all destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// In order; the first that covers a destination counts. None if all say what is usual.
    entries: Vec<(Destination, Rule)>,
}

impl Rules {
    /// What these policies say.
    pub fn of_policies(policies: &Policies) -> Self {
        let usual = Rule::default();
        let entries = policies.entries().iter().map(|policy| {
            let rule = Rule {
                max_redeliveries: policy.max_redeliveries.unwrap_or(usual.max_redeliveries),
                expired: policy.expired.unwrap_or(usual.expired),
            };
            (policy.destination.clone(), rule)
        });
        let entries: Vec<_> = entries.collect();
        match entries.iter().any(|(_, rule)| *rule != usual) {
            true => Self { entries },
            false => Self::default(),
        }
    }

    /// That of one destination.
    pub fn of(&self, destination: &Destination) -> Rule {
        let covering = self.entries.iter().find(|(pattern, _)| pattern.matches(destination));
        covering.map_or_else(Rule::default, |(_, rule)| *rule)
    }

    /// That of a queue.
    pub fn of_queue(&self, name: &Arc<str>) -> Rule {
        if self.entries.is_empty() {
            return Rule::default();
        }
        self.of(&Destination { kind: DestinationKind::Queue, name: name.clone() })
    }

    /// About how many bytes they take.
    pub fn footprint(&self) -> usize {
        self.entries.iter().map(|(pattern, _)| 32 + pattern.name.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use paceline_membership::Policy;

    use super::*;

    #[test]
    fn the_first_policy_that_covers_a_destination_says_it_as_a_whole() {
        let policy = |text| Policy::of(Destination::parse(text).unwrap());
        let entries = vec![
            Policy { expired: Some(Expired::DeadLetter), ..policy("/queue/a.b") },
            policy("/queue/a.c"),
            Policy { max_redeliveries: Some(0), ..policy("/queue/a.>") },
        ];
        let rules = Rules::of_policies(&Policies::try_from(entries.clone()).unwrap());
        let of = |name: &str| rules.of_queue(&name.into());
        assert_eq!(of("a.b"), Rule { expired: Expired::DeadLetter, ..Rule::default() });
        assert_eq!(of("a.c"), Rule::default());
        assert_eq!(of("a.d"), Rule { max_redeliveries: 0, ..Rule::default() });
        assert_eq!(of("b"), Rule::default());
        let usual = Policies::try_from(vec![entries[1].clone()]).unwrap();
        assert_eq!(Rules::of_policies(&usual), Rules::default());
    }
}
