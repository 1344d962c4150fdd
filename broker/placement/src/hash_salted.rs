//! rapidhash version 3 of a salted name, salted on the way.
//!
//! Salting into a buffer costs more than the hash itself: the hash reads words across the ones
//! just written, for which a processor has to wait. This one takes each word from the name and
//! from the salt and never writes. The tests hold it to the crate's function for every length.

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, RapidSecrets};

/// The longest name that this covers; rapidhash goes another way above.
pub(crate) const LIMIT: usize = 112;

const SECRETS: RapidSecrets = DEFAULT_RAPID_SECRETS;

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// rapidhash version 3, default seed, of `name ⊕ salt`. The salt is already repeated over
/// [`LIMIT`] bytes; the name is not longer than that.
#[inline]
pub(crate) fn rapidhash(name: &[u8], salt: &[u8; LIMIT]) -> u64 {
    let length = name.len();
    let secrets = &SECRETS.secrets;
    let mut seed = SECRETS.seed;
    let word = |at: usize| read::<8>(name, at) ^ read::<8>(salt, at);
    let (a, b, remainder);
    if length <= 16 {
        if length >= 8 {
            seed ^= length as u64;
            (a, b) = (word(0), word(length - 8));
        } else if length >= 4 {
            seed ^= length as u64;
            let half = |at: usize| read::<4>(name, at) ^ read::<4>(salt, at);
            (a, b) = (half(0), half(length - 4));
        } else if length > 0 {
            let byte = |at: usize| u64::from(name[at] ^ salt[at]);
            (a, b) = (byte(0) << 45 | byte(length - 1), byte(length >> 1));
        } else {
            (a, b) = (0, 0);
        }
        remainder = length as u64;
    } else {
        // The secrets for the blocks of 16 bytes, of which the last one is taken from the end.
        let of_block = [2, 2, 1, 1, 2, 1];
        for (block, secret) in of_block.into_iter().enumerate() {
            if length <= 16 * (block + 1) {
                break;
            }
            seed = mix(word(16 * block) ^ secrets[secret], word(16 * block + 8) ^ seed);
        }
        (a, b) = (word(length - 16) ^ length as u64, word(length - 8));
        remainder = length as u64;
    }
    let product = u128::from(a ^ secrets[1]) * u128::from(b ^ seed);
    let (low, high) = (product as u64, (product >> 64) as u64);
    mix(low ^ 0xaaaa_aaaa_aaaa_aaaa, high ^ secrets[1] ^ remainder)
}

/// `N` bytes as a little-endian number.
#[inline(always)]
fn read<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::nth;

    #[test]
    fn it_is_the_hash_of_the_salted_name_for_every_length() {
        for length in 0..=LIMIT {
            for round in 0..20 {
                let byte = |at: usize| nth(round, (1000 * length + at) as u64) as u8;
                let name: Vec<u8> = (0..length).map(byte).collect();
                let salt: [u8; LIMIT] = std::array::from_fn(|at| byte(500 + at));
                let salted: Vec<u8> = name.iter().zip(salt).map(|(n, s)| n ^ s).collect();
                let expected = rapidhash::v3::rapidhash_v3(&salted);
                assert_eq!(super::rapidhash(&name, &salt), expected, "{length} bytes");
            }
        }
    }
}
