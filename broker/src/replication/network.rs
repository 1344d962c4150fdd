//! openraft's network on the links: every group's messages share the link between two nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openraft::{
    RaftNetwork, RaftNetworkFactory,
    error::{
        InstallSnapshotError, NetworkError, PayloadTooLarge, RPCError, RaftError, RemoteError,
        Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use paceline_runtime::time::{self, Instant};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Lease, TypeConfig};
use crate::{
    link::{LinkError, Peer},
    node::protocol::Request,
};

/// Entries of one request are cut off behind this many bytes; the rest follows when they are
/// answered. Keeps a follower that catches up from delaying heartbeats of others.
const MAX_APPEND_BYTES: usize = 1 << 20;

/// How soon an unreachable node is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A message of one replica of a group to another.
#[derive(Debug, Serialize, Deserialize)]
pub enum RaftRequest {
    /// Entries, or none as a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<u64>),
    /// A piece of a snapshot.
    InstallSnapshot(InstallSnapshotRequest<TypeConfig>),
}

/// What the three requests are answered with.
pub type AppendAnswer = Result<AppendEntriesResponse<u64>, RaftError<u64>>;
/// See [`AppendAnswer`].
pub type VoteAnswer = Result<VoteResponse<u64>, RaftError<u64>>;
/// See [`AppendAnswer`].
pub type SnapshotAnswer =
    Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>;

/// Makes one group's connections to the nodes of its row.
#[derive(Clone, Debug)]
pub struct NetworkFactory {
    /// The group.
    pub group: u32,
    /// All other nodes.
    pub peers: Arc<BTreeMap<u64, Peer>>,
    /// Told what followers answer.
    pub lease: Arc<Lease>,
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> Network {
        Network {
            group: self.group,
            target,
            peer: self.peers.get(&target).cloned(),
            lease: self.lease.clone(),
        }
    }
}

/// One group's way to one other node.
#[derive(Debug)]
pub struct Network {
    group: u32,
    target: u64,
    peer: Option<Peer>,
    lease: Arc<Lease>,
}

type Failure<E> = RPCError<u64, openraft::EmptyNode, RaftError<u64, E>>;

impl Network {
    async fn ask<A: DeserializeOwned, E: std::error::Error>(
        &self,
        request: RaftRequest,
        patience: Duration,
    ) -> Result<A, Failure<E>>
    where
        Result<A, RaftError<u64, E>>: DeserializeOwned,
    {
        let unreachable = || RPCError::Unreachable(Unreachable::new(&LinkError::Closed));
        let peer = self.peer.as_ref().ok_or_else(unreachable)?;
        let connection = peer.connection().ok_or_else(unreachable)?;
        let request = Request::Raft { group: self.group, request };
        let answer = time::timeout(patience, connection.request(&request))
            .await
            .map_err(|_| RPCError::Network(NetworkError::new(&LinkError::Timeout)))?
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        let answer: Result<A, RaftError<u64, E>> = postcard::from_bytes(&answer)
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

impl RaftNetwork<TypeConfig> for Network {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<openraft::error::Infallible>> {
        let fitting = fitting(&rpc);
        if fitting < rpc.entries.len() {
            let hint = PayloadTooLarge::new_entries_hint(fitting.max(1) as u64);
            return Err(RPCError::PayloadTooLarge(hint));
        }
        let (vote, sent) = (rpc.vote, Instant::now());
        let answer = self.ask(RaftRequest::Append(rpc), option.hard_ttl()).await?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.lease.acknowledged(self.target, vote, sent);
        }
        Ok(answer)
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<InstallSnapshotError>> {
        self.ask(RaftRequest::InstallSnapshot(rpc), option.hard_ttl()).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<openraft::error::Infallible>> {
        self.ask(RaftRequest::Vote(rpc), option.hard_ttl()).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_AFTER))
    }
}

/// How many of the request's entries may go at once; at least one.
fn fitting(rpc: &AppendEntriesRequest<TypeConfig>) -> usize {
    let mut bytes = 0;
    for (count, entry) in rpc.entries.iter().enumerate() {
        if let openraft::EntryPayload::Normal(batch) = &entry.payload {
            bytes += super::batch_bytes(batch);
        }
        if bytes > MAX_APPEND_BYTES {
            return count.max(1);
        }
    }
    rpc.entries.len()
}
