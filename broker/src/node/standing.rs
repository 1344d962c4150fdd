//! Lets replicas that stand for election in step fall out of it.
//!
//! openraft draws a replica's election timeout once, and looks at it a few times in its length. Two
//! replicas that started at the same moment may therefore stand at the same moments for ever, each
//! with a vote for itself, while the others of their row are away. One that stands in vain waits for
//! a while that is drawn each time.

use std::{collections::BTreeMap, sync::Arc};

use openraft::ServerState;
use paceline_runtime::{
    random,
    time::{self, Duration, Instant},
};
use rand::RngExt;

use crate::shard::Shards;

/// Looks after all replicas of a node, for ever. They stand from `from` on, and again within
/// `election_max` when nobody has won.
pub(super) async fn run(shards: Arc<Shards>, from: Instant, election_max: Duration) {
    let mut random = random::stream("standing for election");
    // The term in which each replica that stood when last looked at did.
    let mut stood: BTreeMap<u32, u64> = BTreeMap::new();
    time::sleep_until(from).await;
    loop {
        // Twice its timeout: by then it has stood again.
        time::sleep(election_max * 2).await;
        let mut standing = BTreeMap::new();
        let mut in_vain = Vec::new();
        for shard in shards.all() {
            // One that is being repaired does not stand, and its repair ends that.
            if shard.repair_floor().is_some() {
                continue;
            }
            let (state, term) = {
                let metrics = shard.raft().metrics();
                let metrics = metrics.borrow();
                (metrics.state, metrics.current_term)
            };
            if state == ServerState::Candidate {
                standing.insert(shard.slot(), term);
                if stood.get(&shard.slot()).is_some_and(|before| *before < term) {
                    in_vain.push(shard);
                }
            }
        }
        stood = standing;
        if !in_vain.is_empty() {
            in_vain.iter().for_each(|shard| shard.raft().runtime_config().elect(false));
            time::sleep(election_max.mul_f64(2.0 * random.random::<f64>())).await;
            in_vain.iter().for_each(|shard| shard.raft().runtime_config().elect(true));
        }
    }
}
