//! openraft's network on the links: every group's messages share the link between two nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openraft::{
    LogId, RaftNetwork, RaftNetworkFactory, Vote,
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
use paceline_runtime::time::Instant;
use paceline_store::Group;
use serde::de::DeserializeOwned;

use super::{
    Lease, TypeConfig,
    protocol::{RaftRequest, Request},
};
use crate::link::{LinkError, Peer};

/// Entries of one request are cut off behind this many bytes; the rest follows when they are
/// answered. Keeps a follower that catches up from delaying heartbeats of others.
const MAX_APPEND_BYTES: usize = 1 << 20;

/// How soon an unreachable node is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Makes one group's connections to the nodes of its row.
#[derive(Clone)]
pub struct NetworkFactory {
    /// The group.
    pub group: u32,
    /// Its log on this node.
    pub log: Group,
    /// All other nodes.
    pub peers: Arc<BTreeMap<u64, Peer>>,
    /// Told what followers answer.
    pub lease: Arc<Lease>,
    /// The leader's heartbeat.
    pub heartbeat: Duration,
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> Network {
        Network {
            group: self.group,
            log: self.log.clone(),
            target,
            peer: self.peers.get(&target).cloned(),
            lease: self.lease.clone(),
            heartbeat: self.heartbeat,
            committed: None,
            told: None,
        }
    }
}

/// One group's way to one other node.
pub struct Network {
    group: u32,
    log: Group,
    target: u64,
    peer: Option<Peer>,
    lease: Arc<Lease>,
    heartbeat: Duration,
    /// The last committed entry known to be on this node's disk.
    committed: Option<LogId<u64>>,
    told: Option<Told>,
}

/// What the follower has agreed to last.
#[derive(Debug)]
struct Told {
    vote: Vote<u64>,
    sent: Instant,
    last: Option<LogId<u64>>,
    committed: Option<LogId<u64>>,
}

type Failure<E> = RPCError<u64, openraft::EmptyNode, RaftError<u64, E>>;

impl Network {
    /// Whether all that a request says is that more is committed, to a follower that was heard a
    /// moment ago. It learns that from the next entries or the next heartbeat, and nobody waits for
    /// it: only a leader hands out messages. Sent for every entry, such requests are half of the
    /// traffic of a shard, and entries wait for their answers.
    fn only_tells_commit(&self, rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
        self.told.as_ref().is_some_and(|told| {
            rpc.entries.is_empty()
                && told.vote == rpc.vote
                && told.last == rpc.prev_log_id
                && told.committed < rpc.leader_commit
                && told.sent.elapsed() < self.heartbeat / 2
        })
    }

    /// What the follower may be told is committed. openraft counts this node's own copy of an entry
    /// from when it is appended; if followers applied the entry then, and this node lost its power,
    /// they would have applied what no majority has.
    fn durably_committed(&mut self, committed: Option<LogId<u64>>) -> Option<LogId<u64>> {
        if committed.is_some_and(|committed| self.log.is_durable(committed.index)) {
            self.committed = committed;
        }
        self.committed
    }

    /// Has no end of its own: openraft drops what takes too long, and the answer is forgotten then.
    async fn ask<A: DeserializeOwned, E: std::error::Error>(
        &self,
        request: RaftRequest,
    ) -> Result<A, Failure<E>>
    where
        Result<A, RaftError<u64, E>>: DeserializeOwned,
    {
        let unreachable = || RPCError::Unreachable(Unreachable::new(&LinkError::Closed));
        let peer = self.peer.as_ref().ok_or_else(unreachable)?;
        let connection = peer.connection().ok_or_else(unreachable)?;
        let request = Request::Raft { group: self.group, request };
        let answer = connection
            .request(&request)
            .await
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        let answer: Result<A, RaftError<u64, E>> = postcard::from_bytes(&answer)
            .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

impl RaftNetwork<TypeConfig> for Network {
    async fn append_entries(
        &mut self,
        mut rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<openraft::error::Infallible>> {
        rpc.leader_commit = self.durably_committed(rpc.leader_commit);
        if self.only_tells_commit(&rpc) {
            return Ok(AppendEntriesResponse::Success);
        }
        let fitting = fitting(&rpc);
        if fitting < rpc.entries.len() {
            let hint = PayloadTooLarge::new_entries_hint(fitting.max(1) as u64);
            return Err(RPCError::PayloadTooLarge(hint));
        }
        let sent = Instant::now();
        let told = Told {
            vote: rpc.vote,
            sent,
            last: rpc.entries.last().map_or(rpc.prev_log_id, |entry| Some(entry.log_id)),
            committed: rpc.leader_commit,
        };
        self.told = None;
        let answer = self.ask(RaftRequest::Append(rpc)).await?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.lease.acknowledged(self.target, told.vote, sent);
        }
        if matches!(answer, AppendEntriesResponse::Success) {
            self.told = Some(told);
        }
        Ok(answer)
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<InstallSnapshotError>> {
        self.ask(RaftRequest::InstallSnapshot(rpc)).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<openraft::error::Infallible>> {
        self.ask(RaftRequest::Vote(rpc)).await
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
