//! Changes of the cluster, one by one or as a course.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, de};

use super::{Compare, MAX_NODES};

/// A change of the cluster. Exactly one key of a `[[compare.change]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Nodes join.
    Add(Joining),
    /// Nodes leave.
    Remove(Which),
    /// Nodes that had left come back.
    Restore(Which),
    /// The weight of nodes is multiplied.
    Weight(Reweighted),
    /// All nodes of one zone leave.
    ZoneLoss(bool),
    /// One node fails and the second nodes of its rows take over, before anything is moved. The
    /// worst of all nodes is shown.
    Failover(bool),
    /// A process starts again and makes its placement from the list of nodes alone, after a node
    /// had left and come back.
    Restart(bool),
}

/// The nodes of a change: `2`, `{ last = 2 }` or `{ names = ["n3", "n5"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// So many, drawn from the seed.
    Drawn(usize),
    /// The last ones of the list, those with the highest numbers where nodes are numbered.
    Last(usize),
    /// These.
    Named(Vec<String>),
}

/// The nodes that join: `2`, `{ nodes = 2, weights = [64.0] }` or the same with `names`.
#[derive(Clone, Debug, PartialEq)]
pub struct Joining {
    /// How many.
    pub nodes: usize,
    /// What they are called; empty for names that are free.
    pub names: Vec<String>,
    /// Their weights, repeated over them; empty for the mean of the others.
    pub weights: Vec<f64>,
}

/// The nodes whose weight changes: `{ nodes = 1, factor = 2.0 }`, or the same with `last` or
/// `names`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reweighted {
    /// Which.
    pub which: Which,
    /// By how much.
    pub factor: f64,
}

/// A number, or a table with these keys: what the nodes of a change are written as.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    nodes: Option<usize>,
    last: Option<usize>,
    names: Option<Vec<String>>,
    weights: Option<Vec<f64>>,
    factor: Option<f64>,
}

impl Keys {
    /// Reads the keys and what they mean. An error of `meant` has the place of the value.
    fn read<'de, D: Deserializer<'de>, T>(
        deserializer: D,
        meant: fn(Keys) -> Result<T, &'static str>,
    ) -> Result<T, D::Error> {
        struct Visitor<T>(fn(Keys) -> Result<T, &'static str>);
        impl<'de, T> de::Visitor<'de> for Visitor<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nodes, or a table such as { names = [\"n1\"] }")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
                let nodes = usize::try_from(number)
                    .map_err(|_| E::custom(format!("{number} is no number of nodes")))?;
                self.0(Keys { nodes: Some(nodes), ..Keys::default() }).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                let keys = Keys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                self.0(keys).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor(meant))
    }

    /// Which nodes are meant, if that is all that is said.
    fn which(self) -> Result<Which, &'static str> {
        match self {
            Keys { nodes: Some(count), last: None, names: None, weights: None, factor: None } => {
                Ok(Which::Drawn(count))
            }
            Keys { nodes: None, last: Some(count), names: None, weights: None, factor: None } => {
                Ok(Which::Last(count))
            }
            Keys { nodes: None, last: None, names: Some(names), weights: None, factor: None } => {
                Ok(Which::Named(names))
            }
            _ => Err("say which nodes: 1, { last = 1 } or { names = [\"n1\"] }"),
        }
    }

    fn joining(self) -> Result<Joining, &'static str> {
        match self {
            Keys { nodes, last: None, names, weights, factor: None }
                if nodes.is_some() != names.is_some()
                    && weights.as_ref().is_none_or(|list| !list.is_empty()) =>
            {
                let names = names.unwrap_or_default();
                let weights = weights.unwrap_or_default();
                Ok(Joining { nodes: nodes.unwrap_or(names.len()), names, weights })
            }
            _ => Err(
                "say who joins: 1, { nodes = 1, weights = [2.0] } or { names = [\"a\"], weights = [2.0] }",
            ),
        }
    }

    fn reweighted(mut self) -> Result<Reweighted, &'static str> {
        let factor = self.factor.take().ok_or("say by how much: { nodes = 1, factor = 2.0 }")?;
        Ok(Reweighted { which: self.which()?, factor })
    }
}

impl<'de> Deserialize<'de> for Which {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keys::read(deserializer, Keys::which)
    }
}

impl<'de> Deserialize<'de> for Joining {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keys::read(deserializer, Keys::joining)
    }
}

impl<'de> Deserialize<'de> for Reweighted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keys::read(deserializer, Keys::reweighted)
    }
}

impl Which {
    /// How many nodes these are.
    pub fn count(&self) -> usize {
        match self {
            Which::Drawn(count) | Which::Last(count) => *count,
            Which::Named(names) => names.len(),
        }
    }

    fn validate(&self, compare: &Compare, least: usize) -> Result<(), String> {
        if self.count() == 0 {
            return Err("at least one node".into());
        }
        if self.count() > least {
            return Err(format!("there are only {least} nodes"));
        }
        let Which::Named(names) = self else { return Ok(()) };
        let known = compare.nodes.names_of(least);
        let mut seen = BTreeSet::new();
        for name in names {
            if !known.contains(name) {
                let known = known.iter().take(3).map(|name| format!("`{name}`"));
                let known: Vec<String> = known.collect();
                let reason = format!("no node is called `{name}`; they are {}", known.join(", "));
                return Err(if least > 3 { reason + " and so on" } else { reason });
            }
            if !seen.insert(name) {
                return Err(format!("`{name}` is listed twice"));
            }
        }
        Ok(())
    }
}

impl Joining {
    fn validate(&self, compare: &Compare) -> Result<(), String> {
        match self.nodes {
            0 => return Err("at least one node".into()),
            count if count > MAX_NODES => return Err(format!("at most {MAX_NODES}")),
            _ => {}
        }
        if let Some(weight) = self.weights.iter().find(|w| !(w.is_finite() && **w > 0.0)) {
            return Err(format!("`weights` are finite and above 0, not {weight}"));
        }
        let most = compare.nodes.numbers.iter().copied().max().unwrap_or(1);
        let mut taken: BTreeSet<String> = compare.nodes.names_of(most).into_iter().collect();
        for name in &self.names {
            if name.is_empty() {
                return Err("a node's name cannot be empty".into());
            }
            if !taken.insert(name.clone()) {
                return Err(format!("there is a node called `{name}` already"));
            }
        }
        Ok(())
    }
}

/// A course of changes. Exactly one key of a `[[compare.course]]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CourseSpec {
    /// Destinations swap their popularity.
    Drift {
        /// The part of the destinations that swaps with another in each step.
        swap: f64,
        /// How many steps.
        steps: usize,
    },
    /// A node leaves and comes back again and again.
    Flapping {
        /// How many steps; each is a leave or a return.
        steps: usize,
    },
    /// Each node in turn leaves and comes back.
    RollingRestart {
        /// How many nodes are restarted.
        nodes: usize,
    },
    /// The nodes grow from few to the number compared, one at a time.
    Growth {
        /// How many nodes there are at first.
        from: usize,
    },
    /// Nothing changes, and the balancer runs again and again.
    Idle {
        /// How many times.
        steps: usize,
    },
}

impl Change {
    pub(super) fn validate(&self, compare: &Compare, least: usize) -> Result<(), String> {
        match self {
            Change::Add(joining) => joining.validate(compare),
            Change::Remove(which) | Change::Restore(which) if which.count() >= least => {
                Err(format!("one of the {least} nodes must stay"))
            }
            Change::Remove(which) | Change::Restore(which) => which.validate(compare, least),
            Change::Weight(Reweighted { factor, .. }) if !(factor.is_finite() && *factor > 0.0) => {
                Err("`factor` is finite and above 0".into())
            }
            Change::Weight(Reweighted { which, .. }) => which.validate(compare, least),
            Change::ZoneLoss(_) if compare.zones < 2 => Err("set `zones` to 2 or more".into()),
            Change::Failover(_) if compare.replicas < 2 => {
                Err("set `replicas` to 2 or more".into())
            }
            Change::Restart(_) if least < 2 => Err("a node must stay while another is away".into()),
            Change::ZoneLoss(false) | Change::Failover(false) | Change::Restart(false) => {
                Err("write true, or leave it out".into())
            }
            _ => Ok(()),
        }
    }
}

/// The most nodes of a course: their loads are drawn step by step.
const MAX_COURSE_NODES: usize = 200;
const MAX_STEPS: usize = 1000;

impl CourseSpec {
    pub(super) fn validate(&self, nodes: usize) -> Result<(), String> {
        if nodes > MAX_COURSE_NODES {
            return Err(format!(
                "a course is drawn for at most {MAX_COURSE_NODES} nodes; the focus has {nodes}"
            ));
        }
        match *self {
            CourseSpec::Drift { swap, steps } => {
                if !(swap > 0.0 && swap <= 1.0) {
                    return Err("`swap` is above 0 and at most 1".into());
                }
                steps_are_possible(steps)
            }
            CourseSpec::Flapping { .. } | CourseSpec::RollingRestart { .. } if nodes < 2 => {
                Err("a node can only leave where another one stays".into())
            }
            CourseSpec::Flapping { steps } | CourseSpec::Idle { steps } => {
                steps_are_possible(steps)
            }
            CourseSpec::RollingRestart { nodes: restarted } => {
                if restarted == 0 || restarted > nodes {
                    return Err(format!("between 1 and {nodes} nodes can be restarted"));
                }
                Ok(())
            }
            CourseSpec::Growth { from } => {
                if from == 0 || from >= nodes {
                    return Err(format!("grow from at least 1 node to {nodes}"));
                }
                Ok(())
            }
        }
    }
}

fn steps_are_possible(steps: usize) -> Result<(), String> {
    if (1..=MAX_STEPS).contains(&steps) { Ok(()) } else { Err(format!("1 to {MAX_STEPS} steps")) }
}
