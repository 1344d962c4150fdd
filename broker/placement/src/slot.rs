//! Slots: the buckets of names that a broker places as wholes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::PlacementError;

/// A bucket of destination names, counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SlotId(pub u32);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number `p` of slots, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotCount(u32);

impl SlotCount {
    /// The largest table: 2^24 slots.
    pub const MAX: u64 = 1 << 24;

    /// A checked number of slots: enough for one per node, and not above [`Self::MAX`].
    pub fn new(slots: u64, nodes: usize) -> Result<Self, PlacementError> {
        if slots > Self::MAX {
            return Err(PlacementError::TooManySlots { slots, limit: Self::MAX });
        }
        if slots < nodes.max(1) as u64 {
            return Err(PlacementError::TooFewSlots { slots, nodes });
        }
        Ok(Self(slots as u32))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// `slot(x) = H(x ⊕ s) mod p`, where `key` is `H(x ⊕ s)`.
    #[inline]
    pub fn slot(self, key: u64) -> SlotId {
        // The usual power of two takes one instruction instead of a division.
        let slot = if self.0.is_power_of_two() {
            key & u64::from(self.0 - 1)
        } else {
            key % u64::from(self.0)
        };
        SlotId(slot as u32)
    }

    /// All slots in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = SlotId> {
        (0..self.0).map(SlotId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_key_modulo_their_number() {
        let slots = SlotCount::new(10, 3).unwrap();
        assert_eq!(slots.slot(25), SlotId(5));
        assert_eq!(slots.slot(u64::MAX), SlotId(5));
        assert_eq!(slots.iter().len(), 10);
        assert_eq!(SlotCount::new(16, 3).unwrap().slot(u64::MAX), SlotId(15));
    }

    #[test]
    fn fewer_slots_than_nodes_and_absurd_tables_are_refused() {
        assert_eq!(SlotCount::new(3, 4), Err(PlacementError::TooFewSlots { slots: 3, nodes: 4 }));
        assert!(SlotCount::new(0, 0).is_err());
        assert!(matches!(SlotCount::new(1 << 40, 4), Err(PlacementError::TooManySlots { .. })));
    }
}
