//! Nodes that ended by themselves: how often each, why, and whether they were started again.

use std::{collections::BTreeMap, io, time::Duration};

use paceline::node::NodeError;
use paceline_reports::exits::{ExitCause, NodeExits};

use crate::check::step::NodeId;

/// See the module.
#[derive(Debug, Default)]
pub struct Exits {
    counted: BTreeMap<(NodeId, ExitCause), NodeExits>,
    /// Why each node that has ended and was not started since did so.
    down: BTreeMap<NodeId, ExitCause>,
}

impl Exits {
    /// The node's process has ended by itself.
    pub fn ended(&mut self, at: Duration, node: NodeId, error: &NodeError) {
        self.ended_as(at, node, cause(error.disk()), error.to_string());
    }

    /// The same, where no more is known of the error than its kind and words.
    pub fn ended_as(&mut self, at: Duration, node: NodeId, cause: ExitCause, said: String) {
        let at_s = at.as_secs_f64();
        self.down.insert(node, cause);
        let counted = self.counted.entry((node, cause)).or_insert_with(|| NodeExits {
            node: format!("n{}", node + 1),
            cause,
            exits: 0,
            restarts: 0,
            first_s: at_s,
            last_s: at_s,
            said,
        });
        counted.exits += 1;
        counted.last_s = at_s;
    }

    /// The node's process was started.
    pub fn started(&mut self, node: NodeId) {
        let cause = self.down.remove(&node);
        if let Some(counted) = cause.and_then(|cause| self.counted.get_mut(&(node, cause))) {
            counted.restarts += 1;
        }
    }

    /// What a node said when it first ended by itself, if it did.
    pub fn said(&self, node: NodeId) -> Option<&str> {
        let mut counted = self.counted.iter();
        counted.find(|((of, _), _)| *of == node).map(|(_, exits)| exits.said.as_str())
    }

    /// What reports show, node by node.
    pub fn for_report(&self) -> Vec<NodeExits> {
        self.counted.values().cloned().collect()
    }
}

/// What a report calls the end of a node whose disk said this, if it was the disk.
fn cause(disk: Option<&io::Error>) -> ExitCause {
    match disk.map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => ExitCause::DiskFull,
        Some(_) => ExitCause::DiskFailure,
        None => ExitCause::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use paceline_store::JournalError;

    use super::*;

    fn refused(kind: io::ErrorKind) -> NodeError {
        let source = Arc::new(io::Error::from(kind));
        let failed = JournalError::Io { action: "write", path: "journal".into(), source };
        NodeError::Journal(JournalError::Poisoned(Arc::new(failed)))
    }

    #[test]
    fn exits_are_counted_by_node_and_cause_and_so_are_restarts() {
        let mut exits = Exits::default();
        let second = Duration::from_secs;
        exits.ended(second(1), 2, &refused(io::ErrorKind::StorageFull));
        exits.started(2);
        exits.ended(second(2), 2, &refused(io::ErrorKind::StorageFull));
        exits.started(2);
        exits.ended(second(3), 0, &refused(io::ErrorKind::Other));
        // Starts that follow no exit, as after a crash, are none of ours.
        exits.started(1);
        exits.started(2);
        let told: Vec<_> = exits
            .for_report()
            .into_iter()
            .map(|it| (it.node, it.cause, it.exits, it.restarts, it.first_s, it.last_s))
            .collect();
        assert_eq!(
            told,
            [
                ("n1".to_owned(), ExitCause::DiskFailure, 1, 0, 3.0, 3.0),
                ("n3".to_owned(), ExitCause::DiskFull, 2, 2, 1.0, 2.0),
            ]
        );
    }

    #[test]
    fn what_is_not_the_disks_doing_has_other_reasons() {
        let error = NodeError::Replica { slot: 3, reason: "no".into() };
        assert_eq!(cause(error.disk()), ExitCause::Other);
    }
}
