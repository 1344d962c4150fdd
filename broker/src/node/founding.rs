//! What a cluster begins with beside its members and their rows: policies.
//!
//! The view of the first epoch follows from `[cluster]` alone, so that a node which has lost everything
//! makes the same one again. The founders' policies, which their files may change, become a part of the
//! second view; until that is there the founders go by what each of them has written down when it
//! began, which is the same, or they would not be linked.

use std::sync::Arc;

use paceline_membership::{Change, Policies, View};
use paceline_reached::{Point, reached};
use paceline_runtime::time::{self, Duration};
use tokio::sync::mpsc;

use super::changing;
use crate::{cluster::Cluster, identity::IdentityFile, router::Router};

/// How long after it could not be done, or the node took no part yet, it is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The policies that this node is to have the cluster begin with, if it has not.
pub(super) fn to_begin(cluster: &Cluster, identity_file: &IdentityFile) -> Option<Policies> {
    let begun_with = identity_file.policies().filter(|policies| !policies.is_empty());
    begun_with.filter(|_| cluster.view().policies().is_none())
}

/// Writes the founders' policies down in the metadata shard, unless another one of them has.
pub(super) async fn begin(
    cluster: &Cluster,
    router: &Router,
    views: &mpsc::UnboundedSender<Arc<View>>,
    identity_file: &IdentityFile,
    policies: Policies,
) {
    let change = Change::BeginPolicies { policies };
    // One that turns out to have forgotten has none any more.
    while to_begin(cluster, identity_file).is_some() {
        if !identity_file.is_new() {
            match changing::change(cluster, router, views, &change).await {
                Ok(_) => {
                    reached(Point::PoliciesBegun);
                    return;
                }
                Err(why) => tracing::debug!(%why, "the cluster's policies are not written down"),
            }
        }
        time::sleep(AGAIN_AFTER).await;
    }
}
