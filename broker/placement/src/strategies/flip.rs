//! FlipHash: Masson and Lee, "FlipHash: A Constant-Time Consistent Range-Hashing Algorithm", 2024,
//! <https://arxiv.org/abs/2402.17549>.

use super::numbered::{BucketFunction, Numbered};

/// FlipHash over nodes.
pub type Flip = Numbered<FlipFunction>;

/// The function of the paper over 64-bit keys, with the mixer of the authors' `fliphash` crate.
#[derive(Clone, Copy, Debug)]
pub struct FlipFunction;

/// The family of hash functions that the algorithm draws on.
#[inline]
fn hash(key: u64, bit_length: u32, iteration: u32) -> u64 {
    let mut k = key.wrapping_mul(u64::from(bit_length) * 2 + 1);
    k = (k ^ (k >> 27)).wrapping_mul(0x3c79_ac49_2ba7_b653);
    k = k.wrapping_mul(u64::from(iteration) * 2 + 1);
    k = (k ^ (k >> 33)).wrapping_mul(0x1c69_b3f7_4ac4_ae35);
    k ^ (k >> 27)
}

/// The same for ranges whose size is a power of two: `mask` is that size less one.
#[inline]
fn within_power_of_two(key: u64, first: u64, mask: u64) -> u64 {
    match first & mask {
        0 => 0,
        masked => {
            let below = (u64::MAX >> masked.leading_zeros()) >> 1;
            masked ^ (hash(key, masked.ilog2(), 0) & below)
        }
    }
}

impl BucketFunction for FlipFunction {
    #[inline]
    fn bucket(key: u64, buckets: u32) -> u32 {
        let Some(last) = u64::from(buckets).checked_sub(1).filter(|last| *last > 0) else {
            return 0;
        };
        let mask = u64::MAX >> last.leading_zeros();
        let first = hash(key, 0, 0);
        let wide = within_power_of_two(key, first, mask);
        if wide <= last {
            return wide as u32;
        }
        for iteration in 1..=64 {
            let draw = hash(key, last.ilog2(), iteration) & mask;
            if draw <= mask >> 1 {
                break;
            }
            if draw <= last {
                return draw as u32;
            }
        }
        within_power_of_two(key, first, mask >> 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::mix64;

    #[test]
    fn it_agrees_with_the_reference_crate() {
        for key in (0..20_000).map(mix64) {
            for buckets in [1, 2, 3, 10, 1000, (1 << 20) + 1] {
                let expected = fliphash::fliphash_64(key, ..=buckets - 1);
                assert_eq!(u64::from(FlipFunction::bucket(key, buckets as u32)), expected);
            }
        }
    }
}
