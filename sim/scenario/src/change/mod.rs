//! The `[[change]]` tables of a scenario: what its operator asks of the cluster, and when.
//!
//! A change names its time (`at`, or a draw `between` two instants) and exactly one kind. The operator
//! makes one after the other, each when its time has come and the one before is made. What is drawn
//! (`any` nodes, names of nodes that join, `between`) the seed decides; see [`mod@crate::expand`].

mod forms;

use paceline::config::Policy;
use serde::{Deserialize, Serialize};

pub use self::forms::{Chosen, Join, Newcomers, Replace, Restart, Weight};
use crate::units::TimeSpan;

/// What the operator asks for. Exactly one kind, and either `at` or `between`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When, at the earliest: the change before it has to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<TimeSpan>,
    /// At an instant drawn from within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<[TimeSpan; 2]>,
    /// Slots are placed anew where that evens the load.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebalance: bool,
    /// Every shard is to have so many replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Nodes are started that join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// Nodes give away what they hold, and stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Chosen>,
    /// Nodes give away what they hold and leave for good; then their processes are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Chosen>,
    /// Processes die for good, and others join in their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Replace>,
    /// Nodes are to hold more or less than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Processes are asked to end and started again, one after the other, with other settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// A destination has this policy from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_policy: Option<Policy>,
    /// A destination has no policy of its own from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_policy: Option<String>,
}

/// One kind of change, borrowed from its [`Change`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each is the field of `Change` of the same name")]
pub enum Kind<'a> {
    Rebalance,
    Replicas(u32),
    Join(&'a Join),
    Drain(&'a Chosen),
    Remove(&'a Chosen),
    Replace(&'a Replace),
    Weight(&'a Weight),
    Restart(&'a Restart),
    SetPolicy(&'a Policy),
    RemovePolicy(&'a str),
}

impl Change {
    /// Every kind that is set; a valid change has exactly one.
    pub fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds = Vec::new();
        kinds.extend(self.rebalance.then_some(Kind::Rebalance));
        kinds.extend(self.replicas.map(Kind::Replicas));
        kinds.extend(self.join.as_ref().map(Kind::Join));
        kinds.extend(self.drain.as_ref().map(Kind::Drain));
        kinds.extend(self.remove.as_ref().map(Kind::Remove));
        kinds.extend(self.replace.as_ref().map(Kind::Replace));
        kinds.extend(self.weight.as_ref().map(Kind::Weight));
        kinds.extend(self.restart.as_ref().map(Kind::Restart));
        kinds.extend(self.set_policy.as_ref().map(Kind::SetPolicy));
        kinds.extend(self.remove_policy.as_deref().map(Kind::RemovePolicy));
        kinds
    }

    /// Its kind.
    ///
    /// # Panics
    /// If it has none, which validation refuses.
    pub fn kind(&self) -> Kind<'_> {
        self.kinds().first().copied().expect("validated: a change has a kind")
    }

    /// From when to when it may begin.
    pub fn span(&self) -> [TimeSpan; 2] {
        match (self.at, self.between) {
            (Some(at), _) => [at, at],
            (None, Some(between)) => between,
            (None, None) => unreachable!("validated: `at` or `between`"),
        }
    }

    /// What is changed, in a few words: `remove n2`.
    pub fn label(&self) -> String {
        match self.kind() {
            Kind::Rebalance => "rebalance".to_owned(),
            Kind::Replicas(replicas) => format!("{replicas} replicas"),
            Kind::Join(join) => {
                let mut text = format!("join {}", join.nodes);
                if let Some(zone) = &join.zone {
                    text.push_str(&format!(" in zone {zone}"));
                }
                if let Some(weight) = join.weight {
                    text.push_str(&format!(" with weight {weight}"));
                }
                text
            }
            Kind::Drain(nodes) => format!("drain {nodes}"),
            Kind::Remove(nodes) => format!("remove {nodes}"),
            Kind::Replace(Replace { nodes, by, removal }) => {
                let mut text = format!("replace {nodes}");
                if let Some(by) = by {
                    text.push_str(&format!(" by {}", by.join(" ")));
                }
                if *removal {
                    text.push_str(" and removal");
                }
                text
            }
            Kind::Weight(Weight { nodes, weight }) => format!("weight {weight} for {nodes}"),
            Kind::Restart(Restart { nodes, broker }) => {
                let nodes = nodes.as_ref().map_or("all".to_owned(), Chosen::to_string);
                match broker.is_empty() {
                    true => format!("restart {nodes}"),
                    false => format!("restart {nodes} with other settings"),
                }
            }
            Kind::SetPolicy(policy) => match policy.read() {
                Ok(policy) => format!("policy {policy}"),
                Err(_) => format!("policy {}", policy.destination),
            },
            Kind::RemovePolicy(destination) => format!("no policy {destination}"),
        }
    }

    /// An expanded change in one line: `15s remove n2`.
    pub fn describe(&self) -> String {
        match self.at {
            Some(at) => format!("{at} {}", self.label()),
            None => self.label(),
        }
    }
}

impl<'a> Kind<'a> {
    /// The key in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Rebalance => "rebalance",
            Kind::Replicas(_) => "replicas",
            Kind::Join(_) => "join",
            Kind::Drain(_) => "drain",
            Kind::Remove(_) => "remove",
            Kind::Replace(_) => "replace",
            Kind::Weight(_) => "weight",
            Kind::Restart(_) => "restart",
            Kind::SetPolicy(_) => "set_policy",
            Kind::RemovePolicy(_) => "remove_policy",
        }
    }

    /// How many nodes it starts.
    pub fn newcomers(&self) -> u32 {
        match self {
            Kind::Join(join) => join.nodes.count(),
            Kind::Replace(replace) => replace.nodes.count(),
            _ => 0,
        }
    }

    /// The names of the nodes that it starts, as far as the file gives them.
    pub fn newcomers_by_name(&self) -> &'a [String] {
        match self {
            Kind::Join(Join { nodes: Newcomers::Names(names), .. }) => names,
            Kind::Replace(Replace { by: Some(names), .. }) => names,
            _ => &[],
        }
    }

    /// The nodes it is about that are there already.
    pub fn chosen(&self) -> Option<&'a Chosen> {
        match self {
            Kind::Drain(nodes) | Kind::Remove(nodes) => Some(nodes),
            Kind::Replace(replace) => Some(&replace.nodes),
            Kind::Weight(weight) => Some(&weight.nodes),
            Kind::Restart(restart) => restart.nodes.as_ref(),
            Kind::Join(_)
            | Kind::Rebalance
            | Kind::Replicas(_)
            | Kind::SetPolicy(_)
            | Kind::RemovePolicy(_) => None,
        }
    }

    /// Whether they hold nothing when it is made.
    pub fn empties(&self) -> bool {
        matches!(self, Kind::Drain(_) | Kind::Remove(_) | Kind::Replace(_))
    }

    /// Whether they are no members any more when it is made.
    pub fn takes_away(&self) -> bool {
        matches!(self, Kind::Remove(_) | Kind::Replace(_))
    }
}
