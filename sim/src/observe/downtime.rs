//! How long nodes were not there: from when their process ended until they took clients again.

use std::time::Duration;

use crate::check::step::NodeId;

/// See the module.
#[derive(Debug)]
pub struct Downtime {
    nodes: Vec<Down>,
    /// The latest instant that was heard of.
    now: Duration,
}

#[derive(Clone, Debug, Default)]
struct Down {
    /// It has been there.
    was_ready: bool,
    since: Option<Duration>,
    total: Duration,
}

impl Downtime {
    /// Of so many nodes, none of which has been there yet.
    pub fn new(nodes: usize) -> Self {
        Self { nodes: vec![Down::default(); nodes], now: Duration::ZERO }
    }

    /// It is so late.
    pub fn tick(&mut self, at: Duration) {
        self.now = self.now.max(at);
    }

    /// The process of a node is gone, or has been for some time.
    pub fn died(&mut self, at: Duration, node: NodeId) {
        let down = &mut self.nodes[node as usize];
        if down.was_ready {
            down.since.get_or_insert(at);
        }
    }

    /// The node takes clients.
    pub fn ready(&mut self, at: Duration, node: NodeId) {
        let down = &mut self.nodes[node as usize];
        down.was_ready = true;
        if let Some(since) = down.since.take() {
            down.total += at.saturating_sub(since);
        }
    }

    /// How long each node was not there until now.
    pub fn totals(&self) -> impl Iterator<Item = Duration> {
        self.nodes.iter().map(|down| {
            let since = down.since.map_or(Duration::ZERO, |since| self.now.saturating_sub(since));
            down.total + since
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_end_of_a_process_until_the_node_is_ready_again() {
        let second = Duration::from_secs;
        let mut downtime = Downtime::new(3);
        downtime.died(second(1), 0);
        downtime.ready(second(2), 0);
        downtime.ready(second(2), 1);
        downtime.died(second(4), 0);
        downtime.died(second(5), 0);
        downtime.ready(second(7), 0);
        downtime.died(second(8), 1);
        downtime.tick(second(10));
        let totals: Vec<_> = downtime.totals().collect();
        assert_eq!(totals, [second(3), second(2), second(0)], "the first start does not count");
    }
}
