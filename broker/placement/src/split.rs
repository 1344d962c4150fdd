//! Splitting one hot destination into parts that live in different slots.
//!
//! No placement can bring the peak below `n f_1` while the most popular destination is whole. In
//! parts it can, at a price that differs by what the destination promises:
//!
//! - Competing consumers without order: none but that a consumer attaches to every part.
//! - Order per message group: a group's messages all go to one part, so their order is kept; order
//!   between groups is lost, and one hot group is as unsplittable as the destination was.
//! - Strict first in, first out: it cannot be split. Only the first `1 / f_1` nodes help it.

use serde::{Deserialize, Serialize};

use crate::{
    error::PlacementError,
    mix::{nth, reduce},
};

/// The parts of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Split {
    parts: u32,
}

impl Split {
    /// The most parts of one destination.
    pub const MAX: u32 = 1 << 16;

    /// A destination in this many parts; 1 is a whole one.
    pub fn new(parts: u32) -> Result<Self, PlacementError> {
        if parts == 0 || parts > Self::MAX {
            return Err(PlacementError::InvalidParameter {
                parameter: "parts",
                given: parts.to_string(),
                reason: "a destination has between 1 and 65536 parts",
            });
        }
        Ok(Self { parts })
    }

    /// The number of parts.
    pub fn parts(self) -> u32 {
        self.parts
    }

    /// The part of a message by the key of its group, or of anything else that its order hangs on.
    pub fn part_of_group(self, group_key: u64) -> u32 {
        reduce(nth(group_key, 1), u64::from(self.parts)) as u32
    }

    /// The key of a part, to be placed as the key of a name is. Part 0 stays where the whole
    /// destination was.
    pub fn part_key(self, destination_key: u64, part: u32) -> u64 {
        assert!(part < self.parts, "part {part} of {}", self.parts);
        if part == 0 { destination_key } else { nth(destination_key, u64::from(part)) }
    }
}

impl TryFrom<u32> for Split {
    type Error = PlacementError;

    fn try_from(parts: u32) -> Result<Self, Self::Error> {
        Self::new(parts)
    }
}

impl From<Split> for u32 {
    fn from(split: Split) -> u32 {
        split.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_their_part_and_use_all_of_them() {
        let split = Split::new(16).unwrap();
        let mut counts = [0; 16];
        for group in 0..16_000u64 {
            let part = split.part_of_group(group);
            assert_eq!(part, split.part_of_group(group));
            counts[part as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(split.part_key(42, 0), 42, "growing into parts moves only what must move");
        assert_ne!(split.part_key(42, 1), split.part_key(42, 2));
        assert!(Split::new(0).is_err() && Split::new(Split::MAX + 1).is_err());
    }
}
