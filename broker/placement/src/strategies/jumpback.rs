//! JumpBackHash: Ertl, "JumpBackHash: Say Goodbye to the Modulo Operation to Distribute Keys
//! Uniformly to Buckets", 2024, <https://arxiv.org/abs/2403.18682>.

use super::numbered::{BucketFunction, Numbered};
use crate::mix::{GOLDEN, mix64};

/// JumpBackHash over nodes.
pub type JumpBack = Numbered<JumpBackFunction>;

/// The function of the paper, with SplitMix64 started at the key as its source of random values.
#[derive(Clone, Copy, Debug)]
pub struct JumpBackFunction;

impl BucketFunction for JumpBackFunction {
    #[inline]
    fn bucket(key: u64, buckets: u32) -> u32 {
        if buckets <= 1 {
            return 0;
        }
        let mut state = key;
        let mut next = || {
            state = state.wrapping_add(GOLDEN);
            mix64(state)
        };
        let first = next();
        // The set bits say in which ranges [2^k, 2^(k+1)) an active index lies; from the highest
        // range down, the first active index below `buckets` is the answer.
        let mut ranges =
            ((first ^ (first >> 32)) as u32) & (u32::MAX >> (buckets - 1).leading_zeros());
        while ranges != 0 {
            let low = 1 << (31 - ranges.leading_zeros());
            // Whether the lower or the upper half of `first` is used depends on the bit count.
            let half = first.wrapping_shr(ranges.count_ones() * 32) as u32;
            let index = low | (half & (low - 1));
            if index < buckets {
                return index;
            }
            let mask = (low << 1) - 1;
            'range: loop {
                let value = next();
                for index in [value as u32 & mask, (value >> 32) as u32 & mask] {
                    if index < low {
                        break 'range;
                    }
                    if index < buckets {
                        return index;
                    }
                }
            }
            ranges ^= low;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core_05::{Error, RngCore};

    struct SplitMix64(u64);

    impl RngCore for SplitMix64 {
        fn next_u32(&mut self) -> u32 {
            self.next_u64() as u32
        }
        fn next_u64(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(GOLDEN);
            mix64(self.0)
        }
        fn fill_bytes(&mut self, _: &mut [u8]) {
            unreachable!("the algorithm draws whole words")
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
            unreachable!("the algorithm draws whole words")
        }
    }

    #[test]
    fn it_agrees_with_the_reference_crate() {
        for key in (0..20_000).map(mix64) {
            for buckets in [1, 2, 3, 10, 1000, (1 << 20) + 1] {
                let expected = jump_back_hash::bucket(&mut SplitMix64(key), buckets);
                assert_eq!(JumpBackFunction::bucket(key, buckets), expected);
            }
        }
    }
}
