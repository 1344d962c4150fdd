//! Small integer and float functions with the same result on every machine.

/// 2^64 divided by the golden ratio, the step of SplitMix64.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser (Steele, Lea, Flood 2014; constants by David Stafford): a bijection in
/// which every bit of the input changes every bit of the result with probability about 1/2.
#[inline]
pub(crate) const fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `number`th value, counted from 1, of the SplitMix64 sequence that starts at `seed`.
#[inline]
pub(crate) const fn nth(seed: u64, number: u64) -> u64 {
    mix64(seed.wrapping_add(GOLDEN.wrapping_mul(number)))
}

/// Maps a uniform 64-bit value to `0..bound` by the upper half of their product (Lemire 2019).
#[inline]
pub(crate) const fn reduce(value: u64, bound: u64) -> u64 {
    ((value as u128 * bound as u128) >> 64) as u64
}

/// The seed that stands for a node: XXH3 of its name, whatever function hashes the destinations.
pub(crate) fn node_seed(name: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name)
}

/// A number in (0, 1) from the upper 53 bits of a uniform value.
#[inline]
pub(crate) fn unit(value: u64) -> f64 {
    ((value >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
}

/// The natural logarithm of a normal positive number, within 2 units of the last place or so.
///
/// `f64::ln` comes from the platform and differs between platforms; a placement must not. This
/// one uses only operations that IEEE 754 defines to the bit.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), and |s| <= 0.172 here.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let s2 = s * s;
    let mut sum = 0.0;
    for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        sum = sum * s2 + 1.0 / odd;
    }
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * (s + s * s2 * sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_a_logarithm() {
        for step in 1..100_000u64 {
            let x = unit(nth(7, step));
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.5), -std::f64::consts::LN_2);
    }

    #[test]
    fn the_sequence_is_splitmix64() {
        // First values for the seed 1234567, as published with the algorithm.
        assert_eq!(nth(1_234_567, 1), 6_457_827_717_110_365_317);
        assert_eq!(nth(1_234_567, 2), 3_203_168_211_198_807_973);
    }
}
