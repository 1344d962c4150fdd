//! Replicas of a shard that have applied the same log are the same, byte for byte.

use std::{collections::BTreeMap, sync::Arc};

use super::step::NodeId;
use super::{End, EndCheck, Found};
use crate::workload::history::History;

/// What a node says of its replica of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Who holds it.
    pub node: NodeId,
    /// Of which shard.
    pub shard: u64,
    /// Who leads the shard, as far as its node knows.
    pub leader: Option<NodeId>,
    /// The last log entry it has applied.
    pub applied: u64,
    /// The last log entry it has.
    pub last: u64,
    /// Whether it has lost records and not got them back yet.
    pub repairing: bool,
    /// The hash of all its state, in hexadecimal; empty if it was not asked for.
    pub digest: String,
    /// How many transactions are prepared in it and wait for their decision.
    pub in_doubt: u64,
    /// Messages in it that are not due yet.
    pub waiting: u64,
    /// Messages in each of its queues.
    pub depths: Vec<(Arc<str>, u64)>,
}

/// Two replicas that have applied the same and differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Of which shard.
    pub shard: u64,
    /// The node of one.
    pub one: NodeId,
    /// The node of the other.
    pub other: NodeId,
}

/// All pairs that differ, each replica with the first that it differs from.
pub fn unlike(replicas: &[Replica]) -> Vec<Pair> {
    let mut first: BTreeMap<(u64, u64), &Replica> = BTreeMap::new();
    let mut pairs = Vec::new();
    for replica in replicas {
        let other = *first.entry((replica.shard, replica.applied)).or_insert(replica);
        if other.digest != replica.digest {
            pairs.push(Pair { shard: replica.shard, one: other.node, other: replica.node });
        }
    }
    pairs
}

/// See the module.
#[derive(Debug, Default)]
pub struct ReplicasAgree;

impl EndCheck for ReplicasAgree {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn judge(&self, _: &History, end: &End) -> Vec<Found> {
        let name = |node| format!("n{}", node + 1);
        let words = |pair: Pair| {
            let Pair { shard, one, other } = pair;
            let same = |it: &&Replica| (it.shard, it.node) == (shard, one);
            let (applied, leader) =
                end.replicas.iter().find(same).map_or((0, None), |it| (it.applied, it.leader));
            format!(
                "{} and {} differ in shard {shard}, {}, after both applied entry {applied}: {}",
                name(one),
                name(other),
                leader.map_or("led by nobody".to_owned(), |it| format!("led by {}", name(it))),
                end.differences.get(&pair).map_or("nobody says in what", String::as_str)
            )
        };
        unlike(&end.replicas).into_iter().map(|pair| words(pair).into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn replicas_that_differ_at_one_index_are_found() {
        let replica = |node, applied, digest: &str| Replica {
            node,
            shard: 3,
            applied,
            digest: digest.into(),
            ..Replica::default()
        };
        let judge = |replicas| {
            ReplicasAgree.judge(&Told::new().history, &End { replicas, ..End::default() })
        };
        assert!(
            judge(vec![replica(0, 9, "aa"), replica(1, 9, "aa"), replica(2, 8, "bb")]).is_empty()
        );
        let found = judge(vec![replica(0, 9, "aa"), replica(1, 9, "ab")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].detail.contains("n1 and n2 differ in shard 3, led by nobody"));
        assert!(found[0].detail.ends_with("after both applied entry 9: nobody says in what"));
    }

    #[test]
    fn what_the_nodes_say_of_a_difference_is_told() {
        let replica = |node, digest: &str| Replica {
            node,
            shard: 3,
            digest: digest.into(),
            ..Replica::default()
        };
        let pair = Pair { shard: 3, one: 0, other: 1 };
        let differences = [(pair, "queues at 2: n1 has 1, n2 has 2".to_owned())].into();
        let replicas = vec![replica(0, "aa"), replica(1, "ab")];
        let end = End { replicas, differences, ..End::default() };
        let found = ReplicasAgree.judge(&Told::new().history, &end);
        assert!(found[0].detail.ends_with(": queues at 2: n1 has 1, n2 has 2"), "{}", found[0]);
    }
}
