//! What every shard of a node is made from, and how its replica is set up.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use paceline_consensus::{Config, NodeId, Recovered, Replica};
use paceline_core::{
    dispatch::Limits,
    serving::{self, Serving},
};
use paceline_membership::{Policies, View};
use paceline_reached::{Point, reached};
use paceline_runtime::{
    random,
    time::{Duration, Instant},
};
use paceline_store::{Damage, GroupId, Journal};
use rand::RngExt;
use tokio::sync::watch;

use super::NodeError;
use crate::{
    cluster::Cluster,
    config::NodeConfig,
    identity::IdentityFile,
    link::Peers,
    policy::{self, InForce},
    replication::{Input, Pace, Parts, Recent, Settings, Shards, Traced, storage},
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
    /// The policies in force.
    pub(super) policies: watch::Sender<Arc<Policies>>,
    pub(super) node: u64,
    pub(super) identity_file: Arc<IdentityFile>,
    pub(super) cluster: Arc<Cluster>,
    /// The view that the cluster began with, of a node that was there.
    pub(super) founding: Option<View>,
    pub(super) peers: Peers,
    pub(super) journal: Journal,
    pub(super) shards: Shards,
    /// When the replicas' time began.
    pub(super) origin: Instant,
    /// For how long the promises of the node's earlier lives hold at the most.
    pub(super) promised: Duration,
    /// Of snapshots to other nodes.
    pub(super) pace: Arc<Pace>,
    /// The groups of which a replica is here, runs or will.
    pub(super) held: Mutex<BTreeSet<u32>>,
}

impl Context {
    /// Has whoever goes by policies go by those of the latest view.
    pub(super) fn follow_policies(&self) {
        let now = policy::in_force(&self.cluster.view(), self.identity_file.policies());
        let is_other = self.policies.send_if_modified(|known| {
            let is_other = **known != now;
            if is_other {
                *known = Arc::new(now.clone());
            }
            is_other
        });
        if is_other {
            reached(Point::PoliciesFollowed);
            tracing::info!(policies = now.entries().len(), "other policies are in force");
            self.shards.tell(Input::Policies(InForce::of(&now)));
            self.warn_of_other_policies();
        }
    }

    /// Says so where the node's configuration has other policies than the cluster.
    pub(super) fn warn_of_other_policies(&self) {
        let difference = policy::of_file(&self.config, &self.policies.borrow());
        if !difference.is_empty() {
            tracing::warn!(
                difference = difference.join("; "),
                "the [[policy]] entries of this node's file are not the cluster's policies, which \
                 count: `paceline policy apply FILE` makes the cluster's what a file says; or set \
                 the file right by what `paceline policy list` says, or leave its entries out"
            );
        }
    }

    /// A shard's part of the journal.
    pub(super) fn part(&self, slot: u32) -> paceline_store::Group {
        self.journal.group(GroupId(slot.into()))
    }

    /// The groups of which a replica is here, runs or will.
    pub(super) fn held(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.held.lock().expect("no holder panics")
    }

    /// Whether a replica was on the disk when the node started, or is to be here.
    pub(super) fn is_to_be_here(&self, slot: u32) -> bool {
        self.cluster.row(slot).contains(&self.node) || storage::is_held(&self.part(slot))
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
        let held = self.cluster.groups_of(self.node).len().max(1) as u64;
        let cache = self.config.limits.memory / LOG_CACHE_PART / held;
        let row = self.cluster.row(slot);
        let founding = self.founding.as_ref().map_or(&[][..], |founding| founding.row(slot));
        let founders: Vec<u64> = founding.iter().map(|node| node.0).collect();
        let opened = storage::open(&part, &founders).await.map_err(|error| {
            match self.journal.failure() {
                // What the disk said helps more than what the replica made of it.
                Some(error) => NodeError::Journal(error),
                None => NodeError::Replica { slot, reason: error.to_string() },
            }
        })?;
        let settings = Settings {
            snapshot_every: self.config.storage.snapshot_every,
            hand_back_after: replication.election_max * 8,
            election: [replication.election_min, replication.election_max],
            moves: replication.moves,
            pace: self.pace.clone(),
        };
        let config = Config {
            node: NodeId(self.node),
            heartbeat: replication.heartbeat,
            election: settings.election_of(self.node, &row),
            patience: replication.election_max.mul_f64(PATIENCE),
            promise: replication.election_min,
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
            // The driver says what destinations may hold, and how much memory there is.
            limits: Limits { volatile_bytes: 0, ..Limits::default() },
        };
        let recovered = Recovered { promised: self.promised, ..opened.recovered };
        Ok(Parts {
            slot,
            node: self.node,
            row,
            settings,
            part,
            replica: Replica::new(config, recovered, self.origin.elapsed()),
            recent: Recent::new((cache as usize).max(1 << 20)),
            state: opened.state,
            saved: opened.saved,
            serving: Serving::new(serving, Traced { slot }),
        })
    }
}
