//! What a node says of its replicas.

use std::collections::BTreeSet;

use paceline_consensus::{EntryId, NodeId};
use paceline_core::shard::Table;
use serde::{Deserialize, Serialize};

/// How the replicas of a node stand.
#[derive(Debug, Default)]
pub struct Standing {
    /// Each of them, by slot.
    pub shards: Vec<ShardStatus>,
    /// Bytes of memory that messages take, and may take.
    pub memory: (u64, u64),
}

/// A shard on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// The slot.
    pub slot: u32,
    /// What its replica here is.
    pub role: ShardRole,
    /// The current term.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<u64>,
    /// Who decides in it, by its log; all of both while that changes.
    pub voters: Vec<u64>,
    /// Who is brought up to date.
    pub learners: Vec<u64>,
    /// The last entry of its log.
    pub last: u64,
    /// The last entry applied.
    pub applied: u64,
    /// The queues that hold messages, and how many.
    pub queues: Vec<(String, u64)>,
    /// The destinations for which messages wait that are not due, and how many; topics as `/topic/NAME`.
    pub waiting: Vec<(String, u64)>,
    /// Topics of which subscribers were too slow for messages, and how many copies they did not get since
    /// this node began to lead; of a leader only.
    pub missed: Vec<(String, u64)>,
    /// How many transactions are prepared here and wait for their decision.
    pub in_doubt: u64,
    /// How many branches of distributed transactions are entered here and wait for somebody to end them,
    /// or to be told how an operator has.
    pub branches: u64,
    /// A hash of the state, equal on all replicas that have applied the same entries. Computed on
    /// demand only.
    pub digest: Option<[u8; 32]>,
    /// The durable subscriptions of its topics.
    pub durables: Vec<DurableStatus>,
}

/// A durable subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurableStatus {
    /// Whose it is.
    pub client: String,
    /// What that client calls it.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// How many messages wait for it, whether in flight or not.
    pub messages: u64,
    /// Whether somebody consumes them; only a leader knows.
    pub consumed: Option<bool>,
}

/// What a replica is to its shard. Travels, and is shown, as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ShardRole {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It is brought up to date, and does not count yet.
    Learner,
    /// It would lead.
    Candidate,
    /// It has lost its part, and neither votes nor stands for election before it has it again.
    Repairing,
}

impl ShardRole {
    const ALL: [Self; 5] =
        [Self::Leader, Self::Follower, Self::Learner, Self::Candidate, Self::Repairing];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Learner => "learner",
            Self::Candidate => "candidate",
            Self::Repairing => "repairing",
        }
    }
}

impl From<ShardRole> for String {
    fn from(role: ShardRole) -> Self {
        role.name().into()
    }
}

impl TryFrom<String> for ShardRole {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| format!("no replica is a `{name}`"))
    }
}

/// Who has a group's log, by a change that is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// That change.
    pub at: EntryId,
    /// Everybody.
    pub members: BTreeSet<NodeId>,
}

/// Who decides in a group, by the log of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voters {
    /// The entry since which they do, or a later one as of which they still do; zero from the
    /// beginning. Of two that name others the one with the later term knows better: the log of a leader
    /// that was cut off may be longer.
    pub since: EntryId,
    /// They; nobody if the replica has not heard of anybody yet.
    pub voters: BTreeSet<u64>,
    /// Where the replica leads for certain and whoever asks is none of them, by a change that is
    /// committed: that change.
    pub without_asker: Option<EntryId>,
}

/// A replica table by table, to see in what it differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// The last entry applied: only replicas that have applied the same can be compared.
    pub applied: u64,
    /// A hash of each table.
    pub digests: Vec<(Table, [u8; 32])>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_travels_as_its_name_and_what_is_none_does_not() {
        for role in ShardRole::ALL {
            let encoded = postcard::to_stdvec(&role).unwrap();
            assert_eq!(encoded, postcard::to_stdvec(role.name()).unwrap());
            assert_eq!(postcard::from_bytes::<ShardRole>(&encoded), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        let unknown = postcard::to_stdvec("failed").unwrap();
        assert!(postcard::from_bytes::<ShardRole>(&unknown).is_err());
    }
}
