//! A message is stored once: all its deliveries carry one name given by the broker.
//!
//! Deliveries of that one message may be many, if they are marked (`redelivered-flag`). A publish
//! that was stored twice, after a change of leader say, shows as two names. One that is repeated has as
//! many names as it is to be delivered times.

use std::collections::BTreeSet;

use super::{End, EndCheck, Found};
use crate::workload::{history::History, operation::Publish};

/// See the module.
#[derive(Debug, Default)]
pub struct Doubled;

impl EndCheck for Doubled {
    fn name(&self) -> &'static str {
        "doubled"
    }

    fn judge(&self, history: &History, _: &End) -> Vec<Found> {
        let mut found = Vec::new();
        for &id in history.delivered.keys() {
            let deliveries = history.deliveries_of(id).filter(|it| it.destination.is_some());
            let names: BTreeSet<&str> = deliveries.map(|it| &*it.broker_id).collect();
            let copies = history.publish(id).map_or(1, Publish::copies);
            if names.len() > copies {
                let names: Vec<&str> = names.into_iter().take(copies + 1).collect();
                let detail = format!("{id} was delivered as {}", names.join(" and as "));
                found.push(Found::about(detail, [id]));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn two_names_of_one_message_are_found() {
        let mut told = Told::new();
        let id = told.publish(QUEUE);
        told.deliver(id, false);
        told.deliver(id, true);
        assert!(Doubled.judge(&told.history, &End::default()).is_empty());
        told.deliver(id, true);
        told.history.deliveries[2].broker_id = "another".into();
        assert_eq!(Doubled.judge(&told.history, &End::default()).len(), 1);
    }
}
