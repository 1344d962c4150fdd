//! The nodes that a placement chooses from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::error::{PlacementError, printable};

/// A node's place in [`Nodes`]. It stays the same as other nodes come and go.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The place as a subscript.
    #[inline]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a node may be given anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Takes its share.
    #[default]
    Up,
    /// Still runs, and gives away what it has.
    Draining,
    /// Is no more. Its place in the list is kept, so that the others keep theirs.
    Gone,
}

/// One node as a placement sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique among the nodes; any bytes.
    pub name: Vec<u8>,
    /// The share of the load that it should take, relative to the others. Finite, above 0.
    pub weight: f64,
    /// Nodes of one zone are expected to fail together. A node without a zone is one by itself.
    pub zone: Option<String>,
    /// Whether it may be given anything.
    pub state: NodeState,
}

impl Node {
    /// A node of weight 1 that is up and in no zone.
    pub fn new(name: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), weight: 1.0, zone: None, state: NodeState::Up }
    }

    /// The same node with another weight.
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The same node in a zone.
    pub fn in_zone(self, zone: impl Into<String>) -> Self {
        Self { zone: Some(zone.into()), ..self }
    }

    /// The name for people to read.
    pub fn display_name(&self) -> String {
        printable(&self.name)
    }

    fn check(&self) -> Result<(), PlacementError> {
        if self.weight.is_finite() && self.weight > 0.0 {
            return Ok(());
        }
        Err(PlacementError::InvalidWeight { node: self.display_name(), weight: self.weight })
    }
}

/// All nodes of a cluster, those that left included.
///
/// Listed at once, nodes are ordered by name, so that a placement does not depend on the order of
/// a configuration file. Nodes that join later come behind, so that places never shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// A checked list: at least one node, one that is up, unique names, usable weights.
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Result<Self, PlacementError> {
        let mut nodes: Vec<Node> = nodes.into_iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Self::in_order(nodes)
    }

    /// As [`Self::new`], in the order given: to reproduce a placement whose nodes are numbered.
    pub fn in_order(nodes: impl IntoIterator<Item = Node>) -> Result<Self, PlacementError> {
        let nodes: Vec<Node> = nodes.into_iter().collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = nodes.iter().find(|node| !seen.insert(&node.name)) {
            return Err(PlacementError::DuplicateNode(twice.display_name()));
        }
        nodes.iter().try_for_each(Node::check)?;
        if !nodes.iter().any(|node| node.state == NodeState::Up) {
            return Err(PlacementError::NoNodes);
        }
        Ok(Self { nodes })
    }

    /// `count` equal nodes named `n1`, `n2` and so on, in that order.
    pub fn numbered(count: usize) -> Result<Self, PlacementError> {
        if count == 0 {
            return Err(PlacementError::NoNodes);
        }
        Ok(Self { nodes: (1..=count).map(|number| Node::new(format!("n{number}"))).collect() })
    }

    /// The number of places, those of nodes that left included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a list has at least one node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at a place.
    ///
    /// # Panics
    /// When the index comes from another list.
    pub fn get(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.get()]
    }

    /// Every place with its node.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeIndex(index as u32), node))
    }

    /// The nodes that are up, in the order of their places.
    pub fn up(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.iter().filter(|(_, node)| node.state == NodeState::Up)
    }

    /// How many nodes are up.
    pub fn count_up(&self) -> usize {
        self.up().count()
    }

    /// The weight at each place, 0 for nodes that are not up, all times the power of two that
    /// brings the largest near 1: their sum is a number, and what is computed from their ratios is
    /// the same to the bit as from the weights themselves.
    pub fn scaled_weights(&self) -> Vec<f64> {
        let largest = self.up().map(|(_, node)| node.weight).fold(0.0, f64::max);
        let exponent = ((largest.to_bits() >> 52) as i64 - 1023).clamp(-1022, 1022);
        let scale = f64::from_bits(((1023 - exponent) as u64) << 52);
        let up = |node: &Node| node.state == NodeState::Up;
        self.nodes.iter().map(|node| if up(node) { node.weight * scale } else { 0.0 }).collect()
    }

    /// The place of the node with this name.
    pub fn find(&self, name: &[u8]) -> Option<NodeIndex> {
        self.iter().find(|(_, node)| node.name == name).map(|(index, _)| index)
    }

    /// Adds a node behind the others; one that had left takes its old place again.
    pub fn join(&mut self, node: Node) -> Result<NodeIndex, PlacementError> {
        node.check()?;
        if let Some(index) = self.find(&node.name) {
            if self.get(index).state == NodeState::Up {
                return Err(PlacementError::DuplicateNode(node.display_name()));
            }
            self.nodes[index.get()] = node;
            return Ok(index);
        }
        self.nodes.push(node);
        Ok(NodeIndex((self.nodes.len() - 1) as u32))
    }

    /// Changes a node's state. The last node that is up cannot go.
    pub fn set_state(&mut self, name: &[u8], state: NodeState) -> Result<(), PlacementError> {
        let index = self.require(name)?;
        if state != NodeState::Up && self.up().all(|(other, _)| other == index) {
            return Err(PlacementError::NoNodes);
        }
        self.nodes[index.get()].state = state;
        Ok(())
    }

    /// Changes a node's weight.
    pub fn set_weight(&mut self, name: &[u8], weight: f64) -> Result<(), PlacementError> {
        let index = self.require(name)?;
        Node { weight, ..self.nodes[index.get()].clone() }.check()?;
        self.nodes[index.get()].weight = weight;
        Ok(())
    }

    /// Checks that rows of this length can be made from the nodes that are up.
    pub fn check_replicas(&self, replicas: usize) -> Result<(), PlacementError> {
        let nodes = self.count_up();
        match replicas {
            0 => Err(PlacementError::NoReplicas),
            _ if replicas > nodes => Err(PlacementError::TooFewNodes { replicas, nodes }),
            _ => Ok(()),
        }
    }

    /// A number for the zone at each place; nodes without a zone get one of their own.
    pub fn zone_numbers(&self) -> Vec<u32> {
        let names: BTreeSet<&str> =
            self.nodes.iter().filter_map(|node| node.zone.as_deref()).collect();
        let numbers: BTreeMap<&str, u32> = names.into_iter().zip(0..).collect();
        let alone = numbers.len() as u32..;
        self.nodes
            .iter()
            .zip(alone)
            .map(|(node, alone)| node.zone.as_deref().map_or(alone, |zone| numbers[zone]))
            .collect()
    }

    fn require(&self, name: &[u8]) -> Result<NodeIndex, PlacementError> {
        self.find(name).ok_or_else(|| PlacementError::UnknownNode(printable(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_does_not_depend_on_the_order_it_is_written_in() {
        let listed = |names: [&str; 3]| Nodes::new(names.map(Node::new)).unwrap();
        assert_eq!(listed(["a", "b", "c"]), listed(["c", "a", "b"]));
        let ordered = Nodes::in_order(["c", "a", "b"].map(Node::new)).unwrap();
        assert_eq!(ordered.find(b"c"), Some(NodeIndex(0)), "unless it is to");
        assert_eq!(
            Nodes::in_order(["b", "a", "b"].map(Node::new)),
            Err(PlacementError::DuplicateNode("b".into()))
        );
    }

    #[test]
    fn places_stay_when_nodes_come_and_go() {
        let mut nodes = Nodes::new(["b", "c"].map(Node::new)).unwrap();
        assert_eq!(nodes.join(Node::new("a")), Ok(NodeIndex(2)));
        nodes.set_state(b"b", NodeState::Gone).unwrap();
        assert_eq!(nodes.find(b"c"), Some(NodeIndex(1)));
        assert_eq!(nodes.join(Node::new("b")), Ok(NodeIndex(0)));
        assert_eq!(nodes.count_up(), 3);
    }

    #[test]
    fn scaled_weights_add_up_and_keep_their_ratios() {
        for weights in [[3.0, 1.0], [f64::MAX; 2], [5e-324, 1e-323], [1e300, 1e290]] {
            let node = |at: usize| Node::new([at as u8]).with_weight(weights[at]);
            let mut nodes = Nodes::new([node(0), node(1)]).unwrap();
            let scaled = nodes.scaled_weights();
            assert!(scaled.iter().sum::<f64>().is_normal(), "{weights:?}: {scaled:?}");
            assert_eq!(scaled[0] / scaled[1], weights[0] / weights[1]);
            nodes.set_state(&[0], NodeState::Gone).unwrap();
            assert_eq!(nodes.scaled_weights()[0], 0.0);
        }
    }

    #[test]
    fn what_cannot_be_placed_on_is_refused_with_the_reason() {
        assert_eq!(Nodes::new([]), Err(PlacementError::NoNodes));
        assert_eq!(Nodes::numbered(0), Err(PlacementError::NoNodes));
        assert_eq!(
            Nodes::new(["a", "a"].map(Node::new)),
            Err(PlacementError::DuplicateNode("a".into()))
        );
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = Nodes::new([Node::new([0xff]).with_weight(weight)]).unwrap_err();
            assert!(refused.to_string().contains(r"`\xff`"), "{refused}");
        }
        let mut nodes = Nodes::numbered(2).unwrap();
        assert_eq!(nodes.check_replicas(0), Err(PlacementError::NoReplicas));
        assert_eq!(
            nodes.check_replicas(3),
            Err(PlacementError::TooFewNodes { replicas: 3, nodes: 2 })
        );
        assert_eq!(nodes.join(Node::new("n1")), Err(PlacementError::DuplicateNode("n1".into())));
        assert_eq!(nodes.set_weight(b"n9", 1.0), Err(PlacementError::UnknownNode("n9".into())));
        nodes.set_state(b"n1", NodeState::Draining).unwrap();
        assert_eq!(nodes.set_state(b"n2", NodeState::Gone), Err(PlacementError::NoNodes));
    }
}
