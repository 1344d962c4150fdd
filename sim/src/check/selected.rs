//! A consumer gets the messages that it selects, and no others.
//!
//! That it gets all of them is what `lost` and `skipped` look after: each part of a queue's messages
//! has a consumer, and all must be consumed.

use super::ReplyCheck;
use crate::workload::history::{History, Observation};

/// See the module.
#[derive(Debug, Default)]
pub struct Selected;

impl ReplyCheck for Selected {
    fn name(&self) -> &'static str {
        "selected"
    }

    fn observe(&mut self, seen: Observation<'_>, history: &History) -> Result<(), String> {
        let Observation::Delivered(delivery) = seen else { return Ok(()) };
        let (Some(selects), is) = (delivery.part, history.part_of(delivery.id)) else {
            return Ok(());
        };
        if selects == is {
            return Ok(());
        }
        Err(format!(
            "{} belongs to part {is} of its queue, and came to c{}, which selects part {selects}",
            delivery.id, delivery.client.0
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_was_not_selected_is_refused() {
        let (mut told, mut check) = (Told::new(), Selected);
        told.history.destinations[QUEUE.0 as usize].parts = 2;
        for (number, selects, right) in
            [(0, Some(0), true), (1, Some(0), false), (2, Some(1), false), (3, None, true)]
        {
            let id = told.send(QUEUE);
            assert_eq!(id.sequence, number);
            let mut delivery = told.deliver(id, false);
            delivery.part = selects;
            assert_eq!(told.show(&mut check, &delivery).is_ok(), right, "{number}");
        }
    }
}
