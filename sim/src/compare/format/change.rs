//! Changes of the cluster, one by one or as a course.

use serde::Deserialize;

use super::{Compare, MAX_NODES};

/// A change of the cluster. Exactly one key of a `[[compare.change]]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// So many nodes join.
    Add(usize),
    /// So many nodes leave, drawn from the seed.
    Remove(usize),
    /// So many nodes that had left come back.
    Restore(usize),
    /// The weight of so many nodes is multiplied.
    Weight {
        /// How many nodes.
        nodes: usize,
        /// By how much.
        factor: f64,
    },
    /// All nodes of one zone leave.
    ZoneLoss(bool),
    /// One node fails and the second nodes of its rows take over, before anything is moved. The
    /// worst of all nodes is shown.
    Failover(bool),
    /// A process starts again and makes its placement from the list of nodes alone, after a node
    /// had left and come back.
    Restart(bool),
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
        match *self {
            Change::Add(0) | Change::Remove(0) | Change::Restore(0) => {
                Err("at least one node".into())
            }
            Change::Add(count) if count > MAX_NODES => Err(format!("at most {MAX_NODES}")),
            Change::Remove(count) | Change::Restore(count) if count >= least => {
                Err(format!("one of the {least} nodes must stay"))
            }
            Change::Weight { nodes, factor }
                if nodes == 0 || nodes > least || !(factor.is_finite() && factor > 0.0) =>
            {
                Err(format!("`nodes` is between 1 and {least}, `factor` finite and above 0"))
            }
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
