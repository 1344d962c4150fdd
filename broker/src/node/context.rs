//! What every shard of a node is made from, and how its replica is set up.

use std::{collections::BTreeMap, fmt, sync::Arc};

use paceline_consensus::{Config, NodeId, Replica};
use paceline_core::{
    dispatch::Limits,
    serving::{self, Serving},
};
use paceline_runtime::{
    random,
    time::{Duration, Instant},
};
use paceline_store::{Damage, GroupId, Journal};
use rand::RngExt;

use super::NodeError;
use crate::{
    cluster::Cluster,
    config::{NodeConfig, ReplicationConfig},
    identity::IdentityFile,
    link::Peer,
    replication::{Parts, Recent, Settings, Shards, Traced, storage},
};

/// Of the memory for message bodies, the part that the log's latest entries may take.
const LOG_CACHE_PART: u64 = 4;

/// A leader without a majority goes on for so many of the longest election timeouts: a segment that
/// TCP has to send again is no reason to look for another one.
const PATIENCE: f64 = 1.25;

/// The most entries in one message to another replica.
const MAX_ENTRIES: u64 = 64;

/// The most messages with entries under way to one replica of a group.
const MAX_UNDER_WAY: usize = 8;

/// Why a replica has to be refilled.
#[derive(Debug)]
pub(super) enum Loss {
    /// Records of its journal are damaged.
    Damage(Damage),
    /// The disk is empty, or an older copy.
    Forgotten,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Damage(damage) => damage.fmt(f),
            Loss::Forgotten => f.write_str("the data directory was empty or an older copy"),
        }
    }
}

/// What every shard of a node is made from.
pub(super) struct Context {
    pub(super) config: NodeConfig,
    pub(super) node: u64,
    pub(super) identity_file: Arc<IdentityFile>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) peers: Arc<BTreeMap<u64, Peer>>,
    pub(super) journal: Journal,
    pub(super) shards: Shards,
    /// When the replicas' time began.
    pub(super) origin: Instant,
}

impl Context {
    /// A shard's part of the journal.
    pub(super) fn part(&self, slot: u32) -> paceline_store::Group {
        self.journal.group(GroupId(slot.into()))
    }

    /// What a shard's replica here has lost, if it has not been reset since.
    pub(super) fn loss(&self, slot: u32) -> Option<Loss> {
        if self.identity_file.to_refill().contains(&slot) {
            return Some(Loss::Forgotten);
        }
        self.part(slot).damage().map(Loss::Damage)
    }

    /// A shard as it is in the journal. Its part must not be damaged; if it is being repaired, the
    /// replica keeps to that.
    pub(super) async fn open_shard(&self, slot: u32) -> Result<Parts, NodeError> {
        let replication = &self.config.replication;
        let part = self.part(slot);
        let held = self.cluster.slots_of(self.node).len().max(1) as u64;
        let cache = self.config.limits.memory / LOG_CACHE_PART / held;
        let row = self.cluster.row(slot);
        let opened =
            storage::open(&part, &row).await.map_err(|error| match self.journal.failure() {
                // What the disk said helps more than what the replica made of it.
                Some(error) => NodeError::Journal(error),
                None => NodeError::Replica { slot, reason: error.to_string() },
            })?;
        let rank = row.iter().position(|other| *other == self.node).expect("it is in the row");
        let config = Config {
            node: NodeId(self.node),
            heartbeat: replication.heartbeat,
            election: election_timeouts(replication, rank as u32, row.len() as u32),
            patience: replication.election_max.mul_f64(PATIENCE),
            lease: replication.lease,
            entries: MAX_ENTRIES,
            window: MAX_UNDER_WAY,
            seed: random::stream(&format!("elections of shard {slot}")).random(),
        };
        let serving = serving::Settings {
            slot,
            batch_commands: replication.batch_commands,
            batch_bytes: replication.batch_bytes as usize,
            patience: replication.settle_within,
            in_doubt_after: replication.operation_timeout / 3,
            limits: Limits { volatile_bytes: 0, ..Limits::default() },
        };
        Ok(Parts {
            slot,
            node: self.node,
            row,
            settings: Settings {
                snapshot_every: self.config.storage.snapshot_every,
                hand_back_after: replication.election_max * 8,
            },
            part,
            replica: Replica::new(config, opened.recovered, self.origin.elapsed()),
            recent: Recent::new((cache as usize).max(1 << 20)),
            state: opened.state,
            snapshot: opened.snapshot,
            serving: Serving::new(serving, Traced { slot }),
        })
    }
}

/// The earlier a node stands in the row, the sooner it stands for election: the first node of the
/// row usually leads, and two seldom stand at the same time.
fn election_timeouts(replication: &ReplicationConfig, rank: u32, of: u32) -> [Duration; 2] {
    let step = (replication.election_max - replication.election_min) / of;
    let min = replication.election_min + step * rank;
    [min, min + step]
}
