//! Jump consistent hash: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm",
//! 2014, <https://arxiv.org/abs/1406.2294>.

use super::numbered::{BucketFunction, Numbered};

/// Jump consistent hash over nodes.
pub type Jump = Numbered<JumpFunction>;

/// The function of the paper, bit for bit.
#[derive(Clone, Copy, Debug)]
pub struct JumpFunction;

impl BucketFunction for JumpFunction {
    #[inline]
    fn bucket(mut key: u64, buckets: u32) -> u32 {
        let (mut bucket, mut next) = (0, 0);
        while next < i64::from(buckets) {
            bucket = next;
            key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
            let step = (1u64 << 31) as f64 / ((key >> 33) + 1) as f64;
            next = ((bucket + 1) as f64 * step) as i64;
        }
        bucket as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::mix64;

    #[test]
    fn it_agrees_with_the_reference_crate() {
        for key in (0..20_000).map(mix64) {
            for buckets in [1, 2, 3, 10, 1000, 1 << 20] {
                let expected = jump_consistent_hash::hash(key, buckets as usize);
                assert_eq!(JumpFunction::bucket(key, buckets), expected);
            }
        }
    }
}
