//! The words of the protocol.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Counts leaderships; each has one leader at most.
pub type Term = u64;

/// A place in the log, from 1; 0 is before the first.
pub type Index = u64;

/// Names an entry: no two entries of a group have the same name, and logs that share one share all
/// that stands before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EntryId {
    /// Of the leader that appended it. First, so that ids are ordered as logs are compared.
    pub term: Term,
    /// Its place.
    pub index: Index,
}

impl EntryId {
    /// Before the first entry.
    pub const ZERO: Self = Self { term: 0, index: 0 };

    /// An entry's name.
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

/// What a replica has promised. It must never forget it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The latest term it has heard of.
    pub term: Term,
    /// Whom it has given its vote in that term.
    pub candidate: Option<NodeId>,
}

/// Who takes part. While a change is under way both sets of voters have to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// They decide.
    pub voters: BTreeSet<NodeId>,
    /// The voters before the change, while it is under way; they decide, too.
    pub outgoing: BTreeSet<NodeId>,
    /// They are sent the log and decide nothing.
    pub learners: BTreeSet<NodeId>,
}

impl Membership {
    /// A group of these voters.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether a change is under way.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether the node's vote counts.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }

    /// Everybody, in order.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let voters = self.voters.union(&self.outgoing).copied();
        voters.chain(self.learners.iter().copied()).collect()
    }

    /// Whether these are a majority, of both sets while a change is under way.
    pub fn is_quorum(&self, mut is_with: impl FnMut(NodeId) -> bool) -> bool {
        let mut majority = |set: &BTreeSet<NodeId>| {
            set.is_empty() || set.iter().filter(|node| is_with(**node)).count() > set.len() / 2
        };
        majority(&self.voters) && majority(&self.outgoing)
    }

    /// The largest value that a majority has reached, of both sets while a change is under way.
    pub fn reached<T: Ord + Copy>(&self, mut value: impl FnMut(NodeId) -> T) -> Option<T> {
        let mut of = |set: &BTreeSet<NodeId>| {
            let mut values = set.iter().map(|node| value(*node));
            // Three are most groups' number, and this is asked at every beat.
            if set.len() == 3 {
                let (one, other) = (values.next()?, values.next()?);
                return Some(one.min(other).max(one.max(other).min(values.next()?)));
            }
            let mut values: SmallVec<[T; 8]> = values.collect();
            values.sort_unstable_by(|one, other| other.cmp(one));
            values.get(set.len() / 2).copied()
        };
        let (voters, outgoing) = (of(&self.voters), of(&self.outgoing));
        match outgoing {
            None => voters,
            Some(outgoing) => voters.map(|voters| voters.min(outgoing)),
        }
    }
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// What every leader begins with: with it all entries before become committed.
    Blank,
    /// Who takes part from here on, committed or not.
    Membership(Membership),
    /// The state machine's.
    Data(Bytes),
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it holds.
    pub payload: Payload,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    #[test]
    fn while_a_change_is_under_way_both_sets_decide() {
        let joint = Membership {
            voters: nodes(&[1, 2, 3]),
            outgoing: nodes(&[3, 4, 5]),
            learners: nodes(&[6]),
        };
        assert!(joint.is_quorum(|node| [1, 3, 4].contains(&node.0)));
        assert!(!joint.is_quorum(|node| [1, 2].contains(&node.0)));
        assert!(!joint.is_quorum(|node| [3, 4, 5, 6].contains(&node.0)));
        assert_eq!(joint.reached(|node| node.0), Some(2), "2 of 1 2 3, 4 of 3 4 5");
        assert_eq!(joint.members(), nodes(&[1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_majority_has_reached_the_middle_value() {
        for count in 1..=5 {
            let group = Membership::of((1..=count).map(NodeId));
            for of in 0..5_u64.pow(count as u32) {
                let value = |node: NodeId| of / 5_u64.pow(node.0 as u32 - 1) % 5;
                let mut values: Vec<_> = (1..=count).map(|node| value(NodeId(node))).collect();
                values.sort_unstable();
                let reached = values[(values.len() - 1) / 2];
                assert_eq!(group.reached(value), Some(reached), "{values:?}");
            }
        }
    }

    #[test]
    fn an_even_group_needs_more_than_its_half() {
        let four = Membership::of([1, 2, 3, 4].map(NodeId));
        assert!(!four.is_quorum(|node| node.0 <= 2));
        assert!(four.is_quorum(|node| node.0 <= 3));
        assert_eq!(four.reached(|node| node.0), Some(2));
        assert_eq!(Membership::of([NodeId(7)]).reached(|node| node.0), Some(7));
        assert_eq!(Membership::default().reached(|node| node.0), None);
    }
}
