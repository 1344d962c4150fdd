//! What this node answers to the others.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use paceline_membership::{Change, View};
use paceline_runtime::{task, time};
use paceline_store::{GroupId, Journal};
use tokio::sync::mpsc;

use super::{
    branches, changing, founding, operator::CHANGED_WITHIN, repair::Witness, status::Subject,
};
use crate::{
    link::{self, PeerId, Reply, Stream},
    replication::{GroupWord, Input, OpenStream, Shards, protocol::Request},
    router::Router,
};

/// Answers while the node lives.
pub(super) struct Service {
    pub(super) shards: Shards,
    pub(super) journal: Journal,
    pub(super) subject: Weak<Subject>,
    /// Takes views that are committed.
    pub(super) views: mpsc::UnboundedSender<Arc<View>>,
}

impl link::Service for Service {
    fn notice(self: &Arc<Self>, from: PeerId, body: Bytes) {
        match postcard::from_bytes::<Vec<GroupWord>>(&body) {
            Ok(words) => self.shards.tell(Input::Words { from: from.node, words }),
            Err(error) => tracing::error!(%error, "a peer sent malformed words"),
        }
    }

    fn request(self: &Arc<Self>, from: PeerId, body: Bytes, reply: Reply) {
        let service = self.clone();
        task::spawn(async move {
            match postcard::from_bytes(&body) {
                Ok(request) => service.answer(from.node, request, reply).await,
                Err(error) => tracing::error!(%error, "a peer sent a malformed request"),
            }
        });
    }

    fn open(self: &Arc<Self>, from: PeerId, body: Bytes, stream: Stream) {
        match postcard::from_bytes(&body) {
            Ok(OpenStream::Channel(open)) => {
                // Without the shard the stream closes, and the client asks elsewhere.
                self.shards.serve(open.slot, open.session, stream);
            }
            Ok(OpenStream::Snapshot(head)) => {
                self.shards.tell(Input::SnapshotOffered { from: from.node, head, stream });
            }
            Err(error) => tracing::error!(%error, "a peer opened a malformed stream"),
        }
    }
}

impl Service {
    /// Of a node that is not about to end.
    fn router(&self) -> Option<Router> {
        Some(self.subject.upgrade()?.router.clone())
    }

    async fn answer(&self, asker: u64, request: Request, reply: Reply) {
        match request {
            Request::Status { verify } => {
                if let Some(subject) = self.subject.upgrade() {
                    reply.send(&subject.status(verify).await);
                }
            }
            Request::Tables { group } => reply.send(&self.shards.tables(group).await),
            Request::Entries { group, table, skip } => {
                reply.send(&self.shards.entries(group, table, skip).await);
            }
            Request::Witness { group } => {
                let part = self.journal.group(GroupId(group.into()));
                reply.send(&Witness::new(&part, self.shards.voters(group, asker).await));
            }
            Request::Holders { group } => reply.send(&self.shards.holders(group).await),
            Request::Cluster => {
                if let Some(subject) = self.subject.upgrade() {
                    // JSON, because settings left out are told by their absence.
                    let json = serde_json::to_string(&subject.cluster.definition());
                    reply.send(&json.expect("plain values"));
                }
            }
            Request::View => {
                if let Some(subject) = self.subject.upgrade() {
                    reply.send(&*subject.cluster.view());
                }
            }
            Request::Branches => {
                if let Some(router) = self.router() {
                    reply.send(&branches::list(&router).await);
                }
            }
            Request::EndBranch { xid, end } => {
                if let Some(router) = self.router() {
                    reply.send(&branches::end(&router, xid, end).await);
                }
            }
            Request::Change(change) => {
                if let Some(subject) = self.subject.upgrade() {
                    let (cluster, router) = (subject.cluster.clone(), subject.router.clone());
                    let to_begin = founding::to_begin(&cluster, &subject.identity_file);
                    drop(subject);
                    let changed = async {
                        // Nothing changes before what the cluster begins with is written down.
                        if let Some(policies) = to_begin {
                            let begin = Change::BeginPolicies { policies };
                            changing::change(&cluster, &router, &self.views, &begin).await?;
                        }
                        changing::change(&cluster, &router, &self.views, &change).await
                    };
                    // Whoever asked waits no longer, and may have changed their mind.
                    if let Ok(changed) = time::timeout(CHANGED_WITHIN, changed).await {
                        reply.send(&changed.map(|view| View::clone(&view)));
                    }
                }
            }
        }
    }
}
