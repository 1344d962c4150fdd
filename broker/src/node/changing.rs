//! How the cluster changes: the next view follows the present one, or whoever wanted it starts over.

use std::sync::Arc;

use paceline_core::shard::{Command, Outcome, Refused};
use paceline_membership::{Change, Epoch, View};
use paceline_reached::{Point, reached};
use paceline_runtime::time::{self, Duration};
use tokio::sync::mpsc;

use crate::{cluster::Cluster, replication::protocol::NotChanged, router::Router};

/// How long a node may take to hear of a view that it has been told of.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Makes a change, unless it is made already. It is committed when this ends well; `views` are told.
///
/// # Errors
/// Why it cannot be made, and what to do, or that nobody can say whether it was.
pub(super) async fn change(
    cluster: &Cluster,
    router: &Router,
    views: &mpsc::UnboundedSender<Arc<View>>,
    change: &Change,
) -> Result<Arc<View>, NotChanged> {
    loop {
        let view = cluster.view();
        // Whether nothing is to be done, or nothing can be, this node may not know yet. Whoever offers the
        // present view is told that it is.
        let (next, answer) = match view.changed(change) {
            Ok(Some(next)) => (Arc::new(next), None),
            Ok(None) => (view.clone(), Some(Ok(view.clone()))),
            Err(why) => (view.clone(), Some(Err(NotChanged::Refused(why)))),
        };
        let command = Command::View { view: next.clone() };
        let epoch = match router.command(view.metadata(), command).await {
            Outcome::Done | Outcome::Duplicate if answer.is_some() => view.epoch(),
            Outcome::Done | Outcome::Duplicate => {
                tracing::info!(epoch = next.epoch().0, ?change, "the cluster changes");
                let _ = views.send(next.clone());
                return Ok(next);
            }
            Outcome::Refused(Refused::StaleView(epoch)) => epoch,
            outcome => return Err(NotChanged::NotTaken(format!("{outcome:?}"))),
        };
        if let Some(answer) = answer.filter(|_| epoch == view.epoch()) {
            return answer;
        }
        reached(Point::ChangeRepeated);
        if !hear_of(cluster, epoch).await {
            return Err(NotChanged::Behind { known: cluster.epoch(), latest: epoch });
        }
    }
}

/// Whether the view of that epoch becomes known in time.
async fn hear_of(cluster: &Cluster, epoch: Epoch) -> bool {
    let mut views = cluster.watch();
    let heard = views.wait_for(|view| view.epoch() >= epoch);
    matches!(time::timeout(HEARD_WITHIN, heard).await, Ok(Ok(_)))
}
