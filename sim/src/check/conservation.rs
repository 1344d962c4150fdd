//! What went in came out or is still there: once all is drained, no queue holds a message that its
//! consumer has settled, and none that nobody sent.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, EndCheck, Found};
use crate::workload::history::History;

/// See the module.
#[derive(Debug, Default)]
pub struct Conservation;

impl EndCheck for Conservation {
    fn name(&self) -> &'static str {
        "conservation"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        if !end.drained {
            return Vec::new();
        }
        // What the broker may still hold: sent, not refused, and by no consumer known as settled.
        let mut may_hold: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, publish) in history.all_publishes() {
            let destination = history.destination(publish.destination);
            let settled = history.deliveries_of(id).filter(|delivery| {
                delivery.accepted.is_some() || (destination.auto_ack && !destination.topic)
            });
            let settled: BTreeSet<&str> = settled.map(|it| &*it.broker_id).collect();
            let left = publish.copies().saturating_sub(settled.len()) as u64;
            if left > 0 && publish.fate() != Some(crate::workload::operation::Reply::Failed) {
                *may_hold.entry(&destination.name).or_default() += left;
            }
        }
        let mut found = Vec::new();
        for replica in &end.replicas {
            for (queue, depth) in &replica.depths {
                let original = queue.strip_prefix("DLQ.").unwrap_or(queue);
                let most = may_hold.get(original).copied().unwrap_or(0);
                if *depth > most {
                    let detail = format!(
                        "n{} still holds {depth} messages of {queue}, where at most {most} can be",
                        replica.node + 1
                    );
                    found.push(detail.into());
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Replica, testing::*},
        *,
    };

    #[test]
    fn a_queue_that_holds_what_was_settled_is_found() {
        let mut told = Told::new();
        let id = told.publish(QUEUE);
        told.deliver(id, false);
        let replica = Replica { depths: vec![("q".into(), 1)], ..Replica::default() };
        let end = End { drained: true, replicas: vec![replica], ..End::default() };
        assert!(Conservation.judge(&told.history, &end).is_empty());
        told.accept(id);
        assert_eq!(Conservation.judge(&told.history, &end).len(), 1);
    }
}
