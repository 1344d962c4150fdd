//! Keeps a node in step with its cluster: takes up later views, has links to all members, opens the
//! replicas that the node is to hold, and deletes those that others hold instead.

use std::sync::Arc;

use paceline_events::emit;
use paceline_membership::View;
use paceline_reached::{Point, reached};
use paceline_runtime::{
    task::JoinSet,
    time::{self, Duration, Instant},
};
use tokio::sync::mpsc;

use super::{context::Context, forgetting, repair};
use crate::{
    cluster::Later,
    link::{self, Identity},
    replication::{Holders, Input, protocol::Request, storage},
};

/// How often is looked for replicas that may go.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long another node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// After a failure of the disk, and when a view was not to be had.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Keeper {
    context: Arc<Context>,
    /// Views that are committed.
    committed: mpsc::UnboundedReceiver<Arc<View>>,
    repairs: JoinSet<()>,
}

impl Keeper {
    /// Of a node whose replicas are started.
    pub(super) fn new(
        context: Arc<Context>,
        committed: mpsc::UnboundedReceiver<Arc<View>>,
    ) -> Self {
        Self { context, committed, repairs: JoinSet::new() }
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        let mut later = self.context.cluster.later();
        later.mark_changed();
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            tokio::select! {
                biased;
                view = self.committed.recv() => match view {
                    Some(view) => self.take_up(view).await,
                    None => return,
                },
                _ = later.changed() => {
                    let heard = later.borrow_and_update().clone();
                    if let Some(heard) = heard {
                        self.fetch(&heard).await;
                    }
                }
                Some(_) = self.repairs.join_next(), if !self.repairs.is_empty() => {}
                () = time::sleep_until(look_at) => {
                    self.look_for_departures().await;
                    look_at = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }

    /// Asks whoever has a later view for it.
    async fn fetch(&mut self, later: &Later) {
        if later.epoch <= self.context.cluster.epoch() {
            return;
        }
        reached(Point::ViewFetched);
        match self.ask_for_view(later).await {
            Some(view) if self.context.cluster.fits(&view) => {
                self.take_up(Arc::new(view)).await;
                if self.context.cluster.epoch() < later.epoch {
                    // It has forgotten since what it had. Others may have it.
                    self.context.cluster.unhear(later);
                }
            }
            Some(_) => {
                tracing::error!(
                    node = later.node,
                    "a peer's view of the cluster has another layout"
                );
            }
            None => {
                // With its next word, or another's, it is heard of again.
                time::sleep(AGAIN_AFTER).await;
                self.context.cluster.unhear(later);
            }
        }
    }

    async fn ask_for_view(&self, later: &Later) -> Option<View> {
        let context = &self.context;
        let answer = match context.peers.connection(later.node) {
            Some(connection) => {
                let asked = connection.request(&Request::View);
                time::timeout(ANSWER_WITHIN, asked).await.ok()?.ok()?
            }
            None => {
                // One that takes this node for no member answers everybody all the same.
                let visitor = Identity::visitor(&context.cluster.name);
                let timings = link::Timings { connect: ANSWER_WITHIN, ..link::Timings::default() };
                let (node, request) = (later.node, Request::View);
                let asked = link::ask(node, &later.link, &visitor, &timings, &request);
                time::timeout(ANSWER_WITHIN, asked).await.ok()?.ok()?
            }
        };
        postcard::from_bytes(&answer)
            .inspect_err(|error| tracing::error!(%error, "a peer's view makes no sense"))
            .ok()
    }

    /// Does what a view asks for, if it is a later one. What is acted on is on the disk.
    async fn take_up(&mut self, view: Arc<View>) {
        let context = self.context.clone();
        if view.epoch() <= context.cluster.epoch() {
            return;
        }
        let definition = context.cluster.with_view(&view);
        while let Err(error) = context.identity_file.save_cluster(&definition).await {
            tracing::error!(%error, "the cluster's view cannot be written");
            time::sleep(AGAIN_AFTER).await;
        }
        tracing::info!(epoch = view.epoch().0, members = view.members().len(), "a new view");
        context.peers.follow(&view);
        context.cluster.adopt(view);
        context.follow_policies();
        context.shards.set_rows(context.cluster.rows());
        self.open_what_is_to_be_here().await;
    }

    async fn open_what_is_to_be_here(&mut self) {
        let context = &self.context;
        if context.identity_file.is_new() {
            return;
        }
        for group in context.cluster.groups_of(context.node) {
            if !context.held().insert(group) {
                continue;
            }
            if let Some(loss) = forgetting::loss(context, group) {
                self.repairs.spawn(repair::run(context.clone(), group, loss));
                continue;
            }
            match context.open_shard(group).await {
                Ok(shard) => context.shards.tell(Input::Start(Box::new(shard))),
                Err(error) => {
                    tracing::error!(%error, "this node stops");
                    context.shards.tell(Input::Stop);
                }
            }
        }
    }

    /// Deletes replicas that others hold in the place of this node.
    async fn look_for_departures(&mut self) {
        let context = self.context.clone();
        let view = context.cluster.view();
        let is_here = |group: &u32| {
            !context.cluster.row(*group).contains(&context.node) && context.shards.runs(*group)
        };
        let held = context.held().clone();
        for group in held.into_iter().filter(is_here) {
            // A later view may have it back. This task is the one that takes it up.
            let later = context.cluster.later();
            let is_later = |it: &Later| it.epoch > view.epoch();
            if !self.committed.is_empty() || later.borrow().as_ref().is_some_and(is_later) {
                break;
            }
            let Some(holders) = self.holders_of(group).await else { continue };
            let at = holders.at;
            if !context.shards.leave(group, holders).await {
                continue;
            }
            if let Err(error) = storage::leave(&context.part(group), at).await {
                tracing::error!(group, %error, "a replica that is held elsewhere cannot be deleted");
                return;
            }
            context.held().remove(&group);
            reached(Point::ReplicaLeft);
            emit!(ReplicaDropped { shard: group.into() });
            tracing::debug!(group, "this node holds the shard no more");
        }
        self.open_what_is_to_be_here().await;
    }

    /// Who holds a group, as the nodes of its row know for certain, if that is others than this node.
    async fn holders_of(&self, group: u32) -> Option<Holders> {
        let context = &self.context;
        for node in context.cluster.row(group) {
            let Some(connection) = context.peers.connection(node) else { continue };
            let request = Request::Holders { group };
            let asked = connection.request(&request);
            let Ok(Ok(answer)) = time::timeout(ANSWER_WITHIN, asked).await else { continue };
            let holders: Option<Holders> = postcard::from_bytes(&answer).ok().flatten();
            let others = |holders: &Holders| !holders.members.iter().any(|it| it.0 == context.node);
            if let Some(holders) = holders.filter(others) {
                return Some(holders);
            }
        }
        None
    }
}
