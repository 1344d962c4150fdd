//! What an operator asks of a cluster by way of one of its nodes: to change, and how it stands.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use paceline_core::xa::{BranchInfo, Xid};
use paceline_membership::{Change, Holding, NodeId, Progress, View};
use paceline_runtime::{
    task,
    time::{self, Duration},
};
use thiserror::Error;

use super::status::{ShardRole, Status};
use crate::{
    cluster::Definition,
    link::{self, Identity, LinkError, Timings},
    replication::protocol::{BranchEnd, BranchError, NotChanged, Request},
};

/// How long a node may take to be connected to; twice that until it has answered.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a change may take until it is committed.
pub(super) const CHANGED_WITHIN: Duration = Duration::from_secs(30);

/// How long shards may take to say what they know of branches of distributed transactions, or to end one.
pub(super) const BRANCHES_WITHIN: Duration = Duration::from_secs(20);

/// Why nothing came of what was asked.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The node does not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The node belongs to another cluster.
    #[error("it belongs to cluster `{its}`, not to `{wanted}`; check the name and the address")]
    OtherCluster {
        /// The node's.
        its: String,
        /// The one that was meant.
        wanted: String,
    },
    /// The cluster was not changed, and why.
    #[error(transparent)]
    NotChanged(NotChanged),
    /// What was asked about a branch of a distributed transaction was not done.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// What it answered is nothing that this program knows.
    #[error("its answer makes no sense to this program: {0}; run the same release on both")]
    Malformed(String),
}

impl OperatorError {
    /// Whether it may go well if it is asked for again, here or elsewhere, and nothing else is done.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Link(_) | Self::Malformed(_) => true,
            Self::NotChanged(why) => why.is_passing(),
            Self::Branch(why) => matches!(why, BranchError::Unanswered(_)),
            Self::OtherCluster { .. } => false,
        }
    }
}

/// How a cluster stands.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Who is in it, and who is to hold what.
    pub view: View,
    /// Who holds what, by the word of each group's latest leader.
    pub holdings: Vec<Holding>,
    /// How far the one is from the other.
    pub progress: Progress,
    /// How many groups each node has a copy of that is not to have one.
    pub lingering: BTreeMap<NodeId, u32>,
    /// The nodes that did not answer, by name.
    pub unreachable: Vec<String>,
    /// The epoch of each node that did.
    pub epochs: BTreeMap<NodeId, u64>,
}

impl Survey {
    /// Whether every group is where it is to be, and nowhere else, as far as can be seen.
    pub fn is_settled(&self) -> bool {
        self.progress.settled && self.lingering.is_empty()
    }

    /// The groups that this node could not be moved off, since too few of those that decide in them
    /// answer.
    pub fn stuck_on(&self, node: NodeId) -> Vec<u32> {
        let is_there = |id: &&NodeId| self.epochs.contains_key(*id);
        let is_stuck = |it: &&Holding| {
            it.voters.contains(&node)
                && it.voters.iter().filter(is_there).count() <= it.voters.len() / 2
        };
        let stuck = self.holdings.iter().filter(is_stuck).map(|holding| holding.group);
        stuck.chain(self.progress.unknown.iter().copied()).collect()
    }

    /// Whether no group has a copy on the node, nor counts on one.
    pub fn is_free(&self, node: NodeId) -> bool {
        let has = |it: &Holding| it.voters.contains(&node) || it.learners.contains(&node);
        let is_known = self.progress.unknown.is_empty();
        is_known && !self.holdings.iter().any(has) && !self.lingering.contains_key(&node)
    }
}

/// Asks the node at an address to change its cluster. The change is committed when this ends well.
///
/// # Errors
/// See [`OperatorError`]. Asked once more, a change that was made is not made again.
pub async fn change(cluster: &str, address: &str, change: &Change) -> Result<View, OperatorError> {
    let request = Request::Change(change.clone());
    let answer = ask(cluster, address, &request, CHANGED_WITHIN).await?;
    let changed: Result<View, NotChanged> = decode(&answer)?;
    changed.map_err(OperatorError::NotChanged)
}

/// The branches of distributed transactions that are prepared in the cluster, or were ended by an operator.
///
/// # Errors
/// See [`OperatorError`].
pub async fn branches(cluster: &str, address: &str) -> Result<Vec<BranchInfo>, OperatorError> {
    let answer = ask(cluster, address, &Request::Branches, BRANCHES_WITHIN + TIMEOUT).await?;
    let listed: Result<Vec<BranchInfo>, BranchError> = decode(&answer)?;
    Ok(listed?)
}

/// Ends a branch of a distributed transaction.
///
/// # Errors
/// See [`OperatorError`]. Given again, what was done is not done again.
pub async fn end_branch(
    cluster: &str,
    address: &str,
    xid: &Xid,
    end: BranchEnd,
) -> Result<(), OperatorError> {
    let request = Request::EndBranch { xid: xid.clone(), end };
    let answer = ask(cluster, address, &request, BRANCHES_WITHIN + TIMEOUT).await?;
    let ended: Result<(), BranchError> = decode(&answer)?;
    Ok(ended?)
}

/// The name of the cluster of which a node is at this address.
///
/// # Errors
/// If nobody answers there.
pub async fn name_of(address: &str) -> Result<String, OperatorError> {
    Ok(link::who_is(address, &timings()).await?.cluster)
}

/// What the cluster is of which a node is at this address.
///
/// # Errors
/// See [`OperatorError`].
pub async fn definition(cluster: &str, address: &str) -> Result<Definition, OperatorError> {
    let answer = ask(cluster, address, &Request::Cluster, 2 * TIMEOUT).await?;
    let json: String = decode(&answer)?;
    serde_json::from_str(&json).map_err(|error| OperatorError::Malformed(error.to_string()))
}

/// How the cluster stands of which a node is at this address.
///
/// # Errors
/// See [`OperatorError`]; other nodes that do not answer are no error.
pub async fn survey(cluster: &str, address: &str) -> Result<Survey, OperatorError> {
    let definition = definition(cluster, address).await?;
    let view = definition.view;
    let asked: Vec<_> = view
        .members()
        .iter()
        .map(|member| {
            let (node, link, cluster) = (member.id, member.link.clone(), definition.name.clone());
            (node, task::spawn(async move { status(node, &link, &cluster).await }))
        })
        .collect();
    let (mut statuses, mut unreachable) = (BTreeMap::new(), Vec::new());
    for (node, answer) in asked {
        match answer.await {
            Ok(Ok(status)) => drop(statuses.insert(node, status)),
            _ => unreachable.extend(view.member(node).map(|member| member.name.clone())),
        }
    }
    Ok(surveyed(view, &statuses, unreachable))
}

fn surveyed(view: View, statuses: &BTreeMap<NodeId, Status>, unreachable: Vec<String>) -> Survey {
    let mut leaders = BTreeMap::new();
    let mut lingering = BTreeMap::new();
    for (node, status) in statuses {
        for shard in status.shards.iter().filter(|shard| shard.slot < view.groups()) {
            if shard.role == ShardRole::Leader {
                let known = leaders.entry(shard.slot).or_insert(shard);
                if known.term < shard.term {
                    *known = shard;
                }
            }
            if !view.row(shard.slot).contains(node) {
                *lingering.entry(*node).or_insert(0) += 1;
            }
        }
    }
    let nodes = |numbers: &[u64]| numbers.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
    let holdings: Vec<Holding> = leaders
        .into_iter()
        .map(|(group, shard)| Holding {
            group,
            voters: nodes(&shard.voters),
            learners: nodes(&shard.learners),
        })
        .collect();
    let progress = view.progress(&holdings);
    let epochs = statuses.iter().map(|(node, status)| (*node, status.epoch)).collect();
    Survey { view, holdings, progress, lingering, unreachable, epochs }
}

async fn status(node: NodeId, link: &str, cluster: &str) -> Result<Status, OperatorError> {
    let request = Request::Status { verify: false };
    let (identity, timings) = (Identity::visitor(cluster), timings());
    let answer = link::ask(node.0, link, &identity, &timings, &request);
    let answer = time::timeout(2 * TIMEOUT, answer).await.unwrap_or(Err(LinkError::Timeout))?;
    decode(&answer)
}

async fn ask(
    cluster: &str,
    address: &str,
    request: &Request,
    within: Duration,
) -> Result<Bytes, OperatorError> {
    let timings = timings();
    let there = link::who_is(address, &timings).await?;
    if there.cluster != cluster {
        let (its, wanted) = (there.cluster, cluster.to_owned());
        return Err(OperatorError::OtherCluster { its, wanted });
    }
    let identity = Identity::visitor(cluster);
    let answer = link::ask(there.node, address, &identity, &timings, request);
    Ok(time::timeout(within, answer).await.unwrap_or(Err(LinkError::Timeout))?)
}

fn decode<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T, OperatorError> {
    postcard::from_bytes(answer).map_err(|error| OperatorError::Malformed(error.to_string()))
}

fn timings() -> Timings {
    Timings { connect: TIMEOUT, ..Timings::default() }
}

#[cfg(test)]
mod tests {
    use paceline_membership::{ChangeError, Epoch, Founder, Layout};
    use paceline_placement::StrategyKind;

    use super::*;

    /// One shard on these nodes of three, of which these answer.
    fn stuck(voters: &[u64], answer: &[u64], node: u64) -> bool {
        let founder = |name: &str| Founder {
            name: name.into(),
            link: format!("{name}:1"),
            zone: None,
            weight: 1.0,
        };
        let layout = Layout { replicas: 1, slots: 3, strategy: StrategyKind::Slots };
        let view = View::founded(layout, ["a", "b", "c"].map(founder)).unwrap();
        let nodes = |of: &[u64]| of.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
        let holding = Holding { group: 0, voters: nodes(voters), learners: BTreeSet::new() };
        let survey = Survey {
            view,
            holdings: vec![holding],
            progress: Progress::default(),
            lingering: BTreeMap::new(),
            unreachable: Vec::new(),
            epochs: nodes(answer).into_iter().map(|node| (node, 1)).collect(),
        };
        !survey.stuck_on(NodeId(node)).is_empty()
    }

    #[test]
    fn a_node_that_joins_waits_for_what_passes_and_for_nothing_else() {
        let (known, latest) = (Epoch(3), Epoch(4));
        let name = || String::from("n4");
        for (error, passes) in [
            (NotChanged::Behind { known, latest }, true),
            (NotChanged::NotTaken("Unknown".into()), true),
            (NotChanged::Refused(ChangeError::BeingRemoved { name: name() }), true),
            (NotChanged::Refused(ChangeError::Renamed { owner: name() }), false),
        ] {
            let answer: Result<View, NotChanged> = Err(error.clone());
            let bytes = postcard::to_stdvec(&answer).unwrap();
            assert_eq!(decode::<Result<View, NotChanged>>(&bytes).unwrap(), answer);
            assert_eq!(OperatorError::NotChanged(error.clone()).is_passing(), passes, "{error}");
        }
    }

    #[test]
    fn a_shard_is_stuck_on_a_node_when_too_few_of_those_that_decide_answer() {
        assert!(!stuck(&[1], &[1, 2], 1), "an only copy moves as long as it is there");
        assert!(stuck(&[1], &[2, 3], 1));
        assert!(!stuck(&[1, 2, 3], &[2, 3], 1), "a dead node is replaced");
        assert!(stuck(&[1, 2, 3], &[3], 1));
        assert!(!stuck(&[2, 3], &[3], 1), "it is not on it");
    }
}
