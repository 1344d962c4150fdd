//! Which nodes have lost records of their journal and not got them back yet, as far as faults did
//! that and the nodes' events tell. Faults ask, so that no more nodes lose records at once than the
//! others can repair. And a replica that is repaired though nothing damaged it has been damaged by the
//! broker itself, which its peers would hide.

use std::collections::BTreeSet;

use paceline_runtime::trace::Event;

use crate::check::step::NodeId;

/// See the module.
#[derive(Debug, Default)]
pub struct Wounds {
    /// Nodes that have not said since what they have lost.
    unknown: BTreeSet<NodeId>,
    /// Nodes with an empty disk that have not said what became of them.
    new: BTreeSet<NodeId>,
    /// Nodes whose records were ever damaged.
    ever: BTreeSet<NodeId>,
    /// Replicas that are being repaired: node and shard.
    repairs: BTreeSet<(NodeId, u64)>,
}

impl Wounds {
    /// Records of the node were damaged while it was down.
    pub fn rotted(&mut self, node: NodeId) {
        self.unknown.insert(node);
        self.ever.insert(node);
    }

    /// The node's process has ended. What was being repaired it says again when it is back.
    pub fn died(&mut self, node: NodeId) {
        let before = self.repairs.len();
        self.repairs.retain(|(of, _)| *of != node);
        if self.repairs.len() < before || self.new.remove(&node) {
            self.unknown.insert(node);
        }
    }

    /// Takes in what a node says. An error says why it must never happen.
    pub fn event(&mut self, node: NodeId, event: &Event<'_>) -> Result<(), String> {
        let shard = || event.field("shard").and_then(|shard| shard.as_u64());
        match event.kind {
            "repair_begin" => {
                let Some(shard) = shard() else { return Ok(()) };
                self.repairs.insert((node, shard));
                if !self.ever.contains(&node) {
                    return Err(format!(
                        "n{} began to repair its replica of shard {shard}, and no fault has damaged \
                         it",
                        node + 1
                    ));
                }
            }
            "repair_end" => {
                self.repairs.retain(|repair| Some(repair.1) != shard() || repair.0 != node);
            }
            "node_new" => {
                self.new.insert(node);
            }
            "node_joined" => {
                self.new.remove(&node);
                if self.ever.contains(&node) {
                    return Err(format!(
                        "n{}, which has lost records, took part as if it had never been there",
                        node + 1
                    ));
                }
            }
            "node_forgot" => {
                self.new.remove(&node);
                self.unknown.insert(node);
            }
            // Whatever it has to repair it has said before.
            "node_ready" => {
                self.unknown.remove(&node);
            }
            _ => {}
        }
        Ok(())
    }

    /// The nodes that lack records.
    pub fn wounded(&self) -> BTreeSet<NodeId> {
        let repairing = self.repairs.iter().map(|(node, _)| *node);
        self.unknown.iter().chain(&self.new).copied().chain(repairing).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use paceline_runtime::trace::Value;

    use super::*;

    fn says(wounds: &mut Wounds, kind: &'static str, shard: u64) -> bool {
        let fields = [("shard", Value::U64(shard))];
        let event = Event { at: Duration::ZERO, node: "n3", incarnation: 1, kind, fields: &fields };
        wounds.event(2, &event).is_ok()
    }

    #[test]
    fn a_repair_needs_a_reason() {
        let mut wounds = Wounds::default();
        wounds.rotted(1);
        assert!(!says(&mut wounds, "repair_begin", 4));
        wounds.rotted(2);
        assert!(says(&mut wounds, "repair_begin", 4));
        wounds.died(2);
        assert!(says(&mut wounds, "repair_begin", 4), "it goes on with what it had begun");
    }

    #[test]
    fn a_node_whose_disk_was_emptied_does_not_begin_anew() {
        let mut wounds = Wounds::default();
        assert!(says(&mut wounds, "node_new", 0));
        assert!(says(&mut wounds, "node_joined", 0), "at its first start it does");
        wounds.rotted(2);
        wounds.died(2);
        for what in ["node_new", "node_ready"] {
            assert!(says(&mut wounds, what, 0));
            assert_eq!(wounds.wounded(), [2].into(), "{what}");
        }
        assert!(!says(&mut wounds, "node_joined", 0));
        for what in ["node_new", "node_ready", "node_forgot", "repair_begin", "node_ready"] {
            assert!(says(&mut wounds, what, 4));
            assert_eq!(wounds.wounded(), [2].into(), "{what}");
        }
        assert!(says(&mut wounds, "repair_end", 4));
        assert_eq!(wounds.wounded(), [].into());
    }

    #[test]
    fn a_node_is_wounded_until_every_shard_is_repaired() {
        let mut wounds = Wounds::default();
        wounds.rotted(2);
        assert_eq!(wounds.wounded(), [2].into());
        for shard in [4, 5] {
            says(&mut wounds, "repair_begin", shard);
        }
        says(&mut wounds, "node_ready", 0);
        says(&mut wounds, "repair_end", 4);
        assert_eq!(wounds.wounded(), [2].into());
        wounds.died(2);
        assert_eq!(wounds.wounded(), [2].into(), "it has not said that it is whole");
        says(&mut wounds, "repair_begin", 5);
        says(&mut wounds, "node_ready", 0);
        says(&mut wounds, "repair_end", 5);
        assert_eq!(wounds.wounded(), [].into());
    }
}
