//! The messages of a transaction are stored together or not at all.
//!
//! A transaction that was acknowledged is checked as its messages are (`lost`), one that failed
//! too (`invented`); here are those whose fate no client knows.

use super::{End, EndCheck, Found};
use crate::workload::{history::History, operation::MessageId};

/// See the module.
#[derive(Debug, Default)]
pub struct Atomic;

impl EndCheck for Atomic {
    fn name(&self) -> &'static str {
        "atomic"
    }

    fn judge(&self, history: &History, end: &End) -> Vec<Found> {
        if !end.drained {
            return Vec::new();
        }
        let mut found = Vec::new();
        for transaction in &history.transactions {
            // Only messages that cannot have gone another way say whether it was stored.
            let telling = |id: &&MessageId| {
                history.publish(**id).is_some_and(|publish| {
                    let destination = history.destination(publish.destination);
                    publish.persistent
                        && publish.expires.is_none()
                        && !destination.auto_ack
                        && !destination.topic
                })
            };
            let (there, missing): (Vec<&MessageId>, Vec<&MessageId>) = transaction
                .messages
                .iter()
                .filter(telling)
                .partition(|id| history.delivered.contains_key(id));
            if let (Some(there), Some(missing)) = (there.first(), missing.first()) {
                let detail =
                    format!("of one transaction, {there} was delivered and {missing} was not");
                found.push(Found::about(detail, [**there, **missing]));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::workload::operation::Reply;

    #[test]
    fn half_a_transaction_is_found() {
        let end = End { drained: true, ..End::default() };
        let mut told = Told::new();
        let _none = told.transaction(Reply::Unknown);
        let [first, second] = told.transaction(Reply::Unknown);
        assert!(Atomic.judge(&told.history, &end).is_empty());
        told.deliver(first, false);
        assert_eq!(Atomic.judge(&told.history, &end).len(), 1);
        told.deliver(second, false);
        assert!(Atomic.judge(&told.history, &end).is_empty());
    }
}
