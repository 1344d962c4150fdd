//! The nodes that a comparison places on, and those that join them.

use paceline_placement::{Node, Nodes};

use super::format::NodeSets;

/// Nodes as a comparison has them, with weights and zones dealt out in turn.
pub fn cluster(sets: &NodeSets, count: usize, weights: &[f64], zones: usize) -> Nodes {
    let nodes = sets.names_of(count).into_iter().enumerate().map(|(at, name)| {
        let mut node = Node::new(name);
        if !weights.is_empty() {
            node = node.with_weight(weights[at % weights.len()]);
        }
        if zones > 0 { node.in_zone(format!("z{}", at % zones + 1)) } else { node }
    });
    // Names stay in the order that the user's own placement numbers them in.
    let nodes = if sets.names.is_empty() { Nodes::new(nodes) } else { Nodes::in_order(nodes) };
    nodes.expect("names, numbers and weights have been checked")
}

/// So many nodes that could join: under names that are free, and as heavy as the others on average.
pub fn newcomers(nodes: &Nodes, count: usize) -> Vec<Node> {
    let names = (1..).map(|number| format!("new{number}"));
    let free = names.filter(|name| nodes.find(name.as_bytes()).is_none());
    let weight = mean_weight(nodes);
    free.take(count).map(|name| Node::new(name).with_weight(weight)).collect()
}

/// The mean weight of the nodes that are up; of equal ones exactly theirs.
pub fn mean_weight(nodes: &Nodes) -> f64 {
    let weights: Vec<f64> = nodes.up().map(|(_, node)| node.weight).collect();
    if weights.iter().all(|weight| *weight == weights[0]) {
        return weights[0];
    }
    weights.iter().map(|weight| weight / weights.len() as f64).sum()
}
