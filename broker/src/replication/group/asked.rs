//! What is asked of a group, and what it says unasked.

use std::collections::BTreeSet;

use paceline_consensus::{EntryId, Membership, NodeId, Role};
use paceline_core::{
    Destination, DestinationKind,
    durable::is_durable,
    shard::{Table, TableEntry},
};
use paceline_runtime::time::Duration;

use super::Group;
use crate::replication::status::{DurableStatus, ShardRole, ShardStatus, Tables, Voters};

/// The most entries of a table in one answer.
const ENTRIES_AT_A_TIME: usize = 1_000;

/// A queue by its name, as queues are shown, and a topic so that it is not taken for one.
fn shown(destination: &Destination) -> String {
    match destination.kind {
        DestinationKind::Queue => destination.name.to_string(),
        DestinationKind::Topic => destination.to_string(),
    }
}

impl Group {
    /// The replica as it is now; with a digest of its state, which takes time, if `verify`.
    pub fn status(&self, verify: bool) -> ShardStatus {
        let queues =
            self.state.queues().filter(|queue| queue.depth > 0 && !is_durable(&queue.name));
        let durables = self.state.durables().map(|it| DurableStatus {
            client: it.durable.client().to_string(),
            name: it.durable.name().to_string(),
            topic: it.topic.to_string(),
            messages: it.depth,
            consumed: self.serving.is_consumed(&it.durable),
        });
        let members = self.replica.log().membership();
        let numbers = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|node| node.0).collect();
        let role = match self.replica.role() {
            Role::Leader => ShardRole::Leader,
            _ if self.replica.floor().is_some() => ShardRole::Repairing,
            _ if !members.is_voter(NodeId(self.node)) => ShardRole::Learner,
            Role::Follower => ShardRole::Follower,
            Role::PreCandidate | Role::Candidate => ShardRole::Candidate,
        };
        ShardStatus {
            slot: self.slot,
            role,
            term: self.replica.term(),
            leader: self.leader(),
            voters: numbers(&members.voters.union(&members.outgoing).copied().collect()),
            learners: numbers(&members.learners),
            last: self.replica.log().last().index,
            applied: self.applied.index,
            queues: queues.map(|queue| (queue.name.to_string(), queue.depth)).collect(),
            waiting: self
                .state
                .waiting_by_destination()
                .map(|(it, count)| (shown(it), count))
                .collect(),
            missed: self.serving.missed().map(|(topic, count)| (topic.into(), count)).collect(),
            in_doubt: self.state.prepared().count() as u64,
            branches: self.state.branches().count() as u64,
            digest: verify.then(|| self.state.digest()),
            durables: durables.collect(),
        }
    }

    /// Says once of each topic that its subscribers miss messages.
    pub(super) fn warn_of_slow_subscribers(&mut self) {
        while let Some(topic) = self.serving.poll_missed() {
            tracing::warn!(
                slot = self.slot,
                %topic,
                "subscribers are too slow and miss messages; `paceline status` says how many"
            );
        }
    }

    /// Who decides, by its log, for a node that asks now.
    pub fn voters(&self, asker: u64, now: Duration) -> Voters {
        let log = self.replica.log();
        let membership = log.membership();
        let Membership { voters, outgoing, .. } = membership;
        let leads = self.serving.term().is_some() && self.may_serve(now);
        let at = log.membership_known_at().filter(|at| at.index <= self.replica.commit());
        Voters {
            since: log.membership_known_at().unwrap_or(EntryId::ZERO),
            voters: voters.union(outgoing).map(|node| node.0).collect(),
            without_asker: at.filter(|_| leads && !membership.is_voter(NodeId(asker))),
        }
    }

    /// A digest of each table.
    pub fn tables(&self) -> Tables {
        Tables {
            applied: self.state.applied(),
            digests: Table::ALL.map(|table| (table, self.state.table_digest(table))).into(),
        }
    }

    /// Entries of a table behind the first `skip`, not all of them where there are many.
    pub fn entries(&self, table: Table, skip: u64) -> Vec<TableEntry> {
        self.state.table_entries(table, skip as usize, ENTRIES_AT_A_TIME)
    }
}
