//! A message is stored once: all its deliveries carry one name given by the broker.
//!
//! Deliveries of that one message may be many, if they are marked (`redelivered-flag`). A publish
//! that was stored twice, after a change of leader say, shows as two names.

use super::{End, EndCheck, Found};
use crate::workload::history::History;

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
            let mut names = history
                .deliveries_of(id)
                .filter(|it| it.destination.is_some())
                .map(|it| &it.broker_id);
            let Some(first) = names.next() else { continue };
            if let Some(other) = names.find(|name| *name != first) {
                let detail = format!("{id} was delivered as {first} and as {other}");
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
