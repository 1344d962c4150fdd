//! What this node answers to the others.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use paceline_runtime::task;
use paceline_store::{GroupId, Journal};

use super::{repair::Witness, status::Subject};
use crate::{
    config::ClusterConfig,
    link::{self, PeerId, Reply, Stream},
    replication::{GroupWord, Input, OpenStream, Shards, channel, protocol::Request},
};

/// Answers while the node lives.
pub(super) struct Service {
    pub(super) shards: Shards,
    pub(super) journal: Journal,
    pub(super) subject: Weak<Subject>,
    /// As it is configured.
    pub(super) cluster: ClusterConfig,
}

impl link::Service for Service {
    fn notice(self: &Arc<Self>, from: PeerId, body: Bytes) {
        match postcard::from_bytes::<Vec<GroupWord>>(&body) {
            Ok(words) => self.shards.tell(Input::Words { from: from.node, words }),
            Err(error) => tracing::error!(%error, "a peer sent malformed words"),
        }
    }

    fn request(self: &Arc<Self>, _from: PeerId, body: Bytes, reply: Reply) {
        let service = self.clone();
        task::spawn(async move {
            match postcard::from_bytes(&body) {
                Ok(request) => service.answer(request, reply).await,
                Err(error) => tracing::error!(%error, "a peer sent a malformed request"),
            }
        });
    }

    fn open(self: &Arc<Self>, from: PeerId, body: Bytes, stream: Stream) {
        match postcard::from_bytes(&body) {
            Ok(OpenStream::Channel(open)) => {
                // Without the shard the stream closes, and the client asks elsewhere.
                if let Some(channel) = self.shards.open(open.slot, open.session) {
                    channel::serve_remote(stream, channel);
                }
            }
            Ok(OpenStream::Snapshot(head)) => {
                self.shards.tell(Input::SnapshotOffered { from: from.node, head, stream });
            }
            Err(error) => tracing::error!(%error, "a peer opened a malformed stream"),
        }
    }
}

impl Service {
    async fn answer(&self, request: Request, reply: Reply) {
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
                reply.send(&Witness::new(&part, self.shards.runs(group)));
            }
            Request::Cluster => {
                // JSON, because settings left out are told by their absence.
                let json = serde_json::to_string(&self.cluster).expect("settings can be written");
                reply.send(&json);
            }
        }
    }
}
