//! A connection's operations that have not ended: of how many parts each consists, and what they
//! weigh.

use std::collections::BTreeMap;

use crate::operation::{OpTag, Outcome, Refusal};

#[derive(Debug)]
struct Open {
    bytes: usize,
    parts: u32,
    /// Of the first part that did not end well.
    failed: Option<Refusal>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Operations {
    open: BTreeMap<OpTag, Open>,
    bytes: usize,
}

impl Operations {
    /// An operation begins, with one part.
    pub(super) fn begin(&mut self, tag: OpTag, bytes: usize) {
        let twin = self.open.insert(tag, Open { bytes, parts: 1, failed: None });
        assert!(twin.is_none(), "an operation's tag is its own");
        self.bytes += bytes;
    }

    /// One part more of an operation that has not ended.
    pub(super) fn add_part(&mut self, tag: OpTag) {
        self.open.get_mut(&tag).expect("it has not ended").parts += 1;
    }

    /// A part has ended. The outcome of the whole, if it was the last.
    pub(super) fn end_part(&mut self, tag: OpTag, result: Outcome) -> Option<Outcome> {
        let open = self.open.get_mut(&tag).expect("a part ends before its operation");
        if let Err(why) = result {
            open.failed.get_or_insert(why);
        }
        open.parts -= 1;
        if open.parts > 0 {
            return None;
        }
        let ended = self.open.remove(&tag).expect("looked up above");
        self.bytes -= ended.bytes;
        Some(ended.failed.map_or(Ok(()), Err))
    }

    /// What all that have not ended weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_ends_with_its_last_part_and_as_the_first_that_failed() {
        let mut operations = Operations::default();
        operations.begin(OpTag(1), 100);
        operations.begin(OpTag(2), 10);
        operations.add_part(OpTag(1));
        operations.add_part(OpTag(1));
        let refused = |text: &str| Err(Refusal::Rejected(text.into()));
        assert_eq!(operations.end_part(OpTag(1), Ok(())), None);
        assert_eq!(operations.end_part(OpTag(1), refused("first")), None);
        assert_eq!(operations.bytes(), 110);
        assert_eq!(operations.end_part(OpTag(1), refused("second")), Some(refused("first")));
        assert_eq!(operations.end_part(OpTag(2), Ok(())), Some(Ok(())));
        assert_eq!(operations.bytes(), 0);
    }
}
