//! Which nodes have lost records of their journal and not got them back yet, as far as faults did
//! that and the nodes' events tell. Faults ask, so that no more nodes lose records at once than the
//! others can repair. And a replica that is repaired though nothing damaged it has been damaged by the
//! broker itself, which its peers would hide.

use std::collections::BTreeSet;

use paceline_events::Event;

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
    pub fn event(&mut self, node: NodeId, said: &Event<'_>) -> Result<(), String> {
        match *said {
            Event::RepairBegin { shard } => {
                self.repairs.insert((node, shard));
                if !self.ever.contains(&node) {
                    return Err(format!(
                        "n{} began to repair its replica of shard {shard}, and no fault has damaged \
                         it",
                        node + 1
                    ));
                }
            }
            // A replica that is to be held no more needs no repair.
            Event::RepairEnd { shard } | Event::ReplicaDropped { shard } => {
                self.repairs.remove(&(node, shard));
            }
            Event::NodeNew {} => {
                self.new.insert(node);
            }
            Event::NodeJoined {} => {
                self.new.remove(&node);
                if self.ever.contains(&node) {
                    return Err(format!(
                        "n{}, which has lost records, took part as if it had never been there",
                        node + 1
                    ));
                }
            }
            Event::NodeForgot {} => {
                self.new.remove(&node);
                self.unknown.insert(node);
            }
            // Whatever it has to repair it has said before.
            Event::NodeReady {} => {
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
    use super::*;

    fn says(wounds: &mut Wounds, said: Event<'_>) -> bool {
        wounds.event(2, &said).is_ok()
    }

    #[test]
    fn a_repair_needs_a_reason() {
        let mut wounds = Wounds::default();
        wounds.rotted(1);
        assert!(!says(&mut wounds, Event::RepairBegin { shard: 4 }));
        wounds.rotted(2);
        assert!(says(&mut wounds, Event::RepairBegin { shard: 4 }));
        wounds.died(2);
        assert!(
            says(&mut wounds, Event::RepairBegin { shard: 4 }),
            "it goes on with what it had begun"
        );
    }

    #[test]
    fn a_node_whose_disk_was_emptied_does_not_begin_anew() {
        let mut wounds = Wounds::default();
        assert!(says(&mut wounds, Event::NodeNew {}));
        assert!(says(&mut wounds, Event::NodeJoined {}), "at its first start it does");
        wounds.rotted(2);
        wounds.died(2);
        for what in [Event::NodeNew {}, Event::NodeReady {}] {
            assert!(says(&mut wounds, what));
            assert_eq!(wounds.wounded(), [2].into(), "{what:?}");
        }
        assert!(!says(&mut wounds, Event::NodeJoined {}));
        for what in [
            Event::NodeNew {},
            Event::NodeReady {},
            Event::NodeForgot {},
            Event::RepairBegin { shard: 4 },
            Event::NodeReady {},
        ] {
            assert!(says(&mut wounds, what));
            assert_eq!(wounds.wounded(), [2].into(), "{what:?}");
        }
        assert!(says(&mut wounds, Event::RepairEnd { shard: 4 }));
        assert_eq!(wounds.wounded(), [].into());
    }

    #[test]
    fn a_node_is_wounded_until_every_shard_is_repaired() {
        let mut wounds = Wounds::default();
        wounds.rotted(2);
        assert_eq!(wounds.wounded(), [2].into());
        for shard in [4, 5, 6] {
            says(&mut wounds, Event::RepairBegin { shard });
        }
        says(&mut wounds, Event::NodeReady {});
        says(&mut wounds, Event::ReplicaDropped { shard: 6 });
        says(&mut wounds, Event::RepairEnd { shard: 4 });
        assert_eq!(wounds.wounded(), [2].into());
        wounds.died(2);
        assert_eq!(wounds.wounded(), [2].into(), "it has not said that it is whole");
        says(&mut wounds, Event::RepairBegin { shard: 5 });
        says(&mut wounds, Event::NodeReady {});
        says(&mut wounds, Event::RepairEnd { shard: 5 });
        assert_eq!(wounds.wounded(), [].into());
    }
}
