//! Replicas of a shard that have applied the same log are the same, byte for byte.

use std::{collections::BTreeMap, sync::Arc};

use super::{End, EndCheck, Found};
use crate::{check::step::NodeId, workload::history::History};

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
    /// Whether it has stopped for good.
    pub failed: bool,
    /// Whether it has lost records and not got them back yet.
    pub repairing: bool,
    /// The hash of all its state, in hexadecimal; empty if it was not asked for.
    pub digest: String,
    /// How many transactions are prepared in it and wait for their decision.
    pub in_doubt: u64,
    /// Messages in each of its queues.
    pub depths: Vec<(Arc<str>, u64)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct ReplicasAgree;

impl EndCheck for ReplicasAgree {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn judge(&self, _: &History, end: &End) -> Vec<Found> {
        let mut first: BTreeMap<(u64, u64), &Replica> = BTreeMap::new();
        let mut found = Vec::new();
        for replica in &end.replicas {
            let other = *first.entry((replica.shard, replica.applied)).or_insert(replica);
            if other.digest != replica.digest {
                let detail = format!(
                    "n{} and n{} differ in shard {} after both applied entry {}: {} and {}",
                    other.node + 1,
                    replica.node + 1,
                    replica.shard,
                    replica.applied,
                    other.digest,
                    replica.digest
                );
                found.push(detail.into());
            }
        }
        found
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
        assert_eq!(judge(vec![replica(0, 9, "aa"), replica(1, 9, "ab")]).len(), 1);
    }
}
