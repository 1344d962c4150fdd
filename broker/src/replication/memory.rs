//! The memory that messages take on a node: one budget for all its replicas.
//!
//! What only memory has (messages that are not stored) is refused beyond the budget. What the journal
//! has as well (bodies of stored messages, the latest entries of logs) takes what is left of it, and
//! is let go where there is too much, beginning with the group that holds most.

/// The part of the budget that is set free beyond what is needed, so that it is not needed again at
/// once.
const SLACK: usize = 32;

/// What one group holds in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Messages that are nowhere else.
    pub only: usize,
    /// What can be read from the journal again.
    pub copied: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    all: Holds,
}

impl Memory {
    /// A budget of so many bytes, of which nothing is used.
    pub fn new(limit: usize) -> Self {
        Self { limit, all: Holds::default() }
    }

    /// A group holds something else than was noted; this is to be noted now.
    pub fn note(&mut self, noted: Holds, holds: Holds) -> Holds {
        self.all.only = self.all.only + holds.only - noted.only;
        self.all.copied = self.all.copied + holds.copied - noted.copied;
        holds
    }

    /// Bytes of messages that are nowhere else which a group may hold that holds so much.
    pub fn allowance(&self, noted: Holds) -> usize {
        self.limit.saturating_sub(self.all.only - noted.only)
    }

    /// How many bytes of copies are to be let go now.
    pub fn excess(&self) -> usize {
        match (self.all.only + self.all.copied).saturating_sub(self.limit) {
            0 => 0,
            excess => (excess + self.limit / SLACK).min(self.all.copied),
        }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.all.only + self.all.copied
    }

    /// The budget.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nowhere_else_is_bounded_over_all_groups_and_copies_take_the_rest() {
        let mut memory = Memory::new(3_200);
        let (mut one, mut other) = (Holds::default(), Holds::default());
        one = memory.note(one, Holds { only: 1_000, copied: 100 });
        other = memory.note(other, Holds { only: 500, copied: 1_600 });
        assert_eq!((memory.used(), memory.excess()), (3_200, 0));
        assert_eq!(memory.allowance(one), 2_700);
        assert_eq!(memory.allowance(other), 2_200);
        one = memory.note(one, Holds { only: 1_200, copied: 100 });
        assert_eq!(memory.excess(), 300, "what is too much, and a little more");
        one = memory.note(one, Holds { only: 5_000, copied: 0 });
        assert_eq!(memory.excess(), 1_600, "no more than there is");
        assert_eq!(memory.allowance(other), 0);
        memory.note(one, Holds::default());
        assert_eq!((memory.used(), memory.excess()), (2_100, 0));
    }
}
