//! What is asked of a group.

use paceline_consensus::Role;
use paceline_core::shard::{Table, TableEntry};

use super::Group;
use crate::replication::status::{ShardRole, ShardStatus, Tables};

/// The most entries of a table in one answer.
const ENTRIES_AT_A_TIME: usize = 1_000;

impl Group {
    /// The replica as it is now; with a digest of its state, which takes time, if `verify`.
    pub fn status(&self, verify: bool) -> ShardStatus {
        let queues = self.state.queues().filter(|queue| queue.depth > 0);
        let role = match self.replica.role() {
            Role::Leader => ShardRole::Leader,
            _ if self.replica.floor().is_some() => ShardRole::Repairing,
            Role::Follower => ShardRole::Follower,
            Role::PreCandidate | Role::Candidate => ShardRole::Candidate,
        };
        ShardStatus {
            slot: self.slot,
            role,
            term: self.replica.term(),
            leader: self.leader(),
            last: self.replica.log().last().index,
            applied: self.applied.index,
            queues: queues.map(|queue| (queue.name.to_string(), queue.depth)).collect(),
            in_doubt: self.state.prepared().count() as u64,
            digest: verify.then(|| self.state.digest()),
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
