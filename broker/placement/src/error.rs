//! Why a placement is refused. Every reason is something a configuration can cause.

use thiserror::Error;

/// Why nodes, slots and strategy do not make a placement.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlacementError {
    /// No node is listed, or none is up.
    #[error("there is no node to place anything on: list at least one node that is up")]
    NoNodes,
    /// A row would have no node in it.
    #[error("the number of replicas is 0; it must be at least 1")]
    NoReplicas,
    /// A row of distinct nodes cannot be longer than the number of nodes.
    #[error("{replicas} replicas need {replicas} nodes that are up, and there are only {nodes}")]
    TooFewNodes {
        /// Copies asked for.
        replicas: usize,
        /// Nodes that are up.
        nodes: usize,
    },
    /// A share of the load cannot be computed from this weight.
    #[error("node `{node}` has weight {weight}; a weight must be finite and above 0")]
    InvalidWeight {
        /// The node's name.
        node: String,
        /// The refused weight.
        weight: f64,
    },
    /// Two nodes cannot be told apart.
    #[error("two nodes are named `{0}`; node names must be unique")]
    DuplicateNode(String),
    /// A change names a node that is not listed.
    #[error("there is no node named `{0}`")]
    UnknownNode(String),
    /// The strategy's name is not one of ours.
    #[error("there is no strategy `{given}`; known strategies are {known}")]
    UnknownStrategy {
        /// What was asked for.
        given: String,
        /// All names, comma-separated.
        known: String,
    },
    /// With fewer slots than nodes some nodes would always stand idle.
    #[error("{slots} slots cannot occupy {nodes} nodes; there must be at least one slot per node")]
    TooFewSlots {
        /// Slots asked for.
        slots: u64,
        /// Nodes that are up.
        nodes: usize,
    },
    /// More slots than a table may have.
    #[error("{slots} slots are more than the {limit} that a table may have")]
    TooManySlots {
        /// Slots asked for.
        slots: u64,
        /// The largest table.
        limit: u64,
    },
    /// A slot number outside the table.
    #[error("slot {slot} does not exist; there are {slots} slots, counted from 0")]
    UnknownSlot {
        /// The slot asked for.
        slot: u32,
        /// The number of slots.
        slots: u32,
    },
    /// A node's weight beside that of the others is so small that the strategy would give it
    /// nothing, or far more than its share.
    #[error(
        "{strategy} cannot place on node `{node}`: its weight of {weight} comes to {comes_to} \
         beside the others; raise it or leave the node out"
    )]
    NegligibleWeight {
        /// The strategy's name.
        strategy: &'static str,
        /// The node's name.
        node: String,
        /// Its weight.
        weight: f64,
        /// What the node would get.
        comes_to: String,
    },
    /// The nodes' points would not fit into memory.
    #[error(
        "{strategy} would put {points:.0} points on its circle, above the limit of {limit}: {remedy}"
    )]
    TooManyPoints {
        /// The strategy's name.
        strategy: &'static str,
        /// How many there would be.
        points: f64,
        /// The most there may be.
        limit: u64,
        /// What to change.
        remedy: &'static str,
    },
    /// A parameter of a strategy has a value that it cannot work with.
    #[error("{parameter} = {given}: {reason}")]
    InvalidParameter {
        /// The parameter's name.
        parameter: &'static str,
        /// The refused value.
        given: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A name for a message: text where it is text, escaped where it is not.
pub(crate) fn printable(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
