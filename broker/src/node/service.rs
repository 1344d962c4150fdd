//! What this node answers to the others.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use openraft::{
    Vote,
    error::{Fatal, RaftError},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse,
    },
};
use paceline_reached::{Point, reached};
use paceline_runtime::{
    cpu, task,
    time::{self, Duration, Instant},
    trace,
};
use paceline_store::{Group, GroupId, Journal};

use super::{
    repair::Witness,
    status::{self, Subject},
};
use crate::{
    config::ClusterConfig,
    costs,
    link::{self, PeerId, Reply, Stream},
    replication::protocol::{AppendAnswer, RaftRequest, Request, SnapshotAnswer, VoteAnswer},
    shard::{
        Shard, Shards,
        channel::{self, OpenStream},
    },
};

/// How long a node stands for election that was asked to take over, from when it may be elected.
const STAND_FOR: Duration = Duration::from_millis(400);

/// The pause between.
const STAND_EVERY: Duration = Duration::from_millis(50);

/// Answers while the node lives.
pub(super) struct Service {
    pub(super) shards: Arc<Shards>,
    pub(super) journal: Journal,
    pub(super) subject: Weak<Subject>,
    /// As it is configured.
    pub(super) cluster: ClusterConfig,
    /// Before this instant this node votes for nobody: it may have promised a leader not to, before
    /// it was started again.
    pub(super) votes_from: Instant,
    /// How long a node votes for nobody else after it has heard of its leader.
    pub(super) promised: Duration,
}

impl link::Service for Service {
    fn request(self: &Arc<Self>, _from: PeerId, body: Bytes, reply: Reply) {
        let service = self.clone();
        task::spawn(async move {
            match postcard::from_bytes(&body) {
                Ok(request) => service.answer(request, reply).await,
                Err(error) => tracing::error!(%error, "a peer sent a malformed request"),
            }
        });
    }

    fn open(self: &Arc<Self>, _from: PeerId, body: Bytes, stream: Stream) {
        match postcard::from_bytes(&body) {
            Ok(OpenStream::Channel(open)) => {
                // Without the shard the stream closes, and the client asks elsewhere.
                if let Some(shard) = self.shards.get(open.slot) {
                    channel::serve_remote(stream, shard.open(open.session));
                }
            }
            Err(error) => tracing::error!(%error, "a peer opened a malformed stream"),
        }
    }
}

impl Service {
    async fn answer(&self, request: Request, reply: Reply) {
        match request {
            Request::Raft { group, request } => match self.shards.get(group) {
                Some(shard) => self.answer_raft(&shard, request, reply).await,
                None => reply.send(&VoteAnswer::Err(RaftError::Fatal(Fatal::Stopped))),
            },
            Request::TakeOver { group } => {
                reply.send(&());
                if let Some(shard) = self.shards.get(group)
                    && shard.repair_floor().is_none()
                {
                    take_over(&shard, self.promised).await;
                }
            }
            Request::Status { verify } => {
                if let Some(subject) = self.subject.upgrade() {
                    reply.send(&subject.status(verify));
                }
            }
            Request::Tables { group } => {
                let shard = self.shards.get(group);
                reply.send(&shard.map(|shard| status::tables(&shard)).unwrap_or_default());
            }
            Request::Entries { group, table, skip } => {
                let shard = self.shards.get(group);
                let entries = shard.map(|shard| status::entries(&shard, table, skip));
                reply.send(&entries.unwrap_or_default());
            }
            Request::Witness { group } => {
                let shard = self.shards.get(group);
                reply.send(&Witness::new(&self.part(group), shard.as_ref()));
            }
            Request::Cluster => {
                // JSON, because settings left out are told by their absence.
                let json = serde_json::to_string(&self.cluster).expect("settings can be written");
                reply.send(&json);
            }
        }
    }

    fn part(&self, group: u32) -> Group {
        self.journal.group(GroupId(group.into()))
    }

    async fn answer_raft(&self, shard: &Shard, request: RaftRequest, reply: Reply) {
        let floor = shard.repair_floor();
        // A leader of a term up to the floor still counts what this replica has lost. It learns of a
        // higher term, as from a candidate; so another leader is elected, who counts anew.
        let dethroning = |vote: &Vote<u64>| {
            floor
                .filter(|floor| vote.leader_id().term <= *floor)
                .map(|floor| Vote::new(floor + 1, shard.node()))
        };
        match request {
            RaftRequest::Append(AppendEntriesRequest { vote, .. })
                if let Some(higher) = dethroning(&vote) =>
            {
                reached(Point::LeaderDethroned);
                reply.send(&AppendAnswer::Ok(AppendEntriesResponse::HigherVote(higher)));
            }
            RaftRequest::InstallSnapshot(InstallSnapshotRequest { vote, .. })
                if let Some(vote) = dethroning(&vote) =>
            {
                reply.send(&SnapshotAnswer::Ok(InstallSnapshotResponse { vote }));
            }
            RaftRequest::Append(request) => {
                if !request.entries.is_empty() {
                    cpu::charge(costs::APPEND).await;
                }
                let begin = request.prev_log_id.map_or(0, |previous| previous.index + 1);
                let end = begin + request.entries.len() as u64;
                let leader = request.vote;
                let answer = shard.raft().append_entries(request).await;
                // The leader counts what is answered, but openraft answers when entries are
                // appended, and to entries that it has, at once. Unanswered if this node's journal
                // has failed, for then the node ends.
                let stored = match end.checked_sub(1) {
                    Some(last) => self.part(shard.slot()).durable(last).await,
                    None => Ok(()),
                };
                if stored.is_ok() && !shard.is_taking_over() {
                    let heard = answer
                        .as_ref()
                        .is_ok_and(|it| !matches!(it, AppendEntriesResponse::HigherVote(_)));
                    if heard && shard.follows_anew(leader.leader_id().term) {
                        told("follow", shard, &leader);
                    }
                    reply.send(&answer);
                }
            }
            // Not answered, as if this node were not there yet.
            RaftRequest::Vote(_) if Instant::now() < self.votes_from => {
                reached(Point::VoteTooEarly)
            }
            RaftRequest::Vote(request) if !shard.may_vote(&request.vote) => {
                reached(Point::VoteWithheld);
            }
            RaftRequest::Vote(request) => {
                let candidate = request.vote;
                let answer = shard.raft().vote(request).await;
                if answer.as_ref().is_ok_and(|answer| answer.vote_granted) {
                    told("vote", shard, &candidate);
                }
                reply.send(&answer);
            }
            RaftRequest::InstallSnapshot(request) => {
                reply.send(&shard.raft().install_snapshot(request).await);
            }
        }
    }
}

/// Says whom this node has promised something to, for whoever listens.
fn told(kind: &'static str, shard: &Shard, vote: &Vote<u64>) {
    let id = vote.leader_id();
    trace::event!(
        kind,
        shard = shard.slot(),
        term = id.term,
        to = id.voted_for().unwrap_or_default()
    );
}

/// Stands for election until this node leads. The first time usually ends the present leadership
/// and the second wins, with the vote of who led before. Where two votes are no majority, the others'
/// promise to that one has to run out first.
///
/// The present leader's lease rests on followers who do not stand as long as they hear from it, and
/// it may not hear that this one does. So before that this node answers it no more, until no answer
/// it has given counts.
async fn take_over(shard: &Shard, promised: Duration) {
    reached(Point::TakeOverAsked);
    trace::event!("take_over", shard = shard.slot());
    shard.set_taking_over(true);
    time::sleep(shard.lease().duration()).await;
    let two_suffice = shard.row() <= 3;
    stand(shard, STAND_FOR + if two_suffice { Duration::ZERO } else { promised }).await;
    shard.set_taking_over(false);
}

async fn stand(shard: &Shard, within: Duration) {
    let until = Instant::now() + within;
    while !shard.is_led_here() && shard.raft().trigger().elect().await.is_ok() {
        time::sleep(STAND_EVERY).await;
        let leader = shard.raft().metrics().borrow().current_leader;
        if leader.is_some() || Instant::now() >= until {
            return;
        }
    }
}
