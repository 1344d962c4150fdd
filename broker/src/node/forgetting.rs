//! Whether a node may take part: its disk may have forgotten what it promised.
//!
//! See `docs/decisions/0023-a-node-that-has-forgotten-is-told-by-its-peers.md`.

use std::{collections::BTreeSet, sync::Arc};

use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    task,
    time::{self, Duration},
};

use super::{
    NodeError,
    context::{Context, Loss},
    repair,
};
use crate::{
    cluster::Cluster,
    identity::{Heard, IdentityFile},
    replication::{Input, storage},
};

/// How long after a failure something is written once more.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The other nodes of the cluster.
fn others(cluster: &Cluster, node: u64) -> BTreeSet<u64> {
    let view = cluster.view();
    view.members().iter().map(|member| member.id.0).filter(|id| *id != node).collect()
}

/// Whom a node that is new has to hear from.
pub(super) fn waits_for(identity_file: &IdentityFile, cluster: &Cluster, node: u64) -> Vec<u64> {
    if !identity_file.is_new() {
        return Vec::new();
    }
    let heard = identity_file.heard();
    let agree = &heard.borrow().agree;
    others(cluster, node).difference(agree).copied().collect()
}

/// Waits until another node remembers what this one does not.
pub(super) async fn forgotten(identity_file: &IdentityFile, cluster: &Cluster) -> NodeError {
    let mut heard = identity_file.heard();
    let name = |node: u64| cluster.name_of(node).unwrap_or_else(|| node.to_string());
    loop {
        let Heard { superseded, forgotten, .. } = heard.borrow_and_update().clone();
        if let Some((by, life)) = superseded {
            return NodeError::Superseded { by: name(by), life };
        }
        if let Some((by, life)) = forgotten {
            return NodeError::Forgotten { by: name(by), life };
        }
        heard.changed().await.expect("the sender is in it");
    }
}

/// What a replica has lost, before it is opened or repaired.
pub(super) fn loss(context: &Context, slot: u32) -> Option<Loss> {
    let loss = context.loss(slot);
    if loss.is_some() || storage::repair_floor(&context.part(slot)).is_some() {
        emit!(RepairBegin { shard: slot.into() });
    }
    loss
}

/// Of a node whose data directory was empty: starts its replicas when all other nodes have said that
/// they do not know it either. If one does, [`forgotten`] tells.
pub(super) async fn join(context: Arc<Context>) {
    let waits_for = || waits_for(&context.identity_file, &context.cluster, context.node);
    let mut heard = context.identity_file.heard();
    loop {
        heard.mark_unchanged();
        let missing = waits_for();
        if missing.is_empty() {
            break;
        }
        let names = missing.iter().filter_map(|node| context.cluster.name_of(*node));
        tracing::info!(
            waiting_for = names.collect::<Vec<_>>().join(", "),
            "this node's data directory was empty: it takes part when all other nodes have said that \
             they do not know it"
        );
        if heard.changed().await.is_err() {
            return;
        }
    }
    while let Err(error) = context.identity_file.join().await {
        tracing::error!(%error, "this node cannot write down that it takes part");
        time::sleep(WRITE_AGAIN_AFTER).await;
    }
    reached(Point::NodeJoined);
    emit!(NodeJoined);
    let mut repairs = task::JoinSet::new();
    for slot in context.cluster.groups_of(context.node) {
        if !context.held().insert(slot) {
            continue;
        }
        if let Some(loss) = loss(&context, slot) {
            repairs.spawn(repair::run(context.clone(), slot, loss));
            continue;
        }
        match context.open_shard(slot).await {
            Ok(shard) => context.shards.tell(Input::Start(Box::new(shard))),
            Err(error) => {
                tracing::error!(%error, "this node stops");
                context.shards.tell(Input::Stop);
            }
        }
    }
    while repairs.join_next().await.is_some() {}
}
