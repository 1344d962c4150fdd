//! Hash functions, and the salted key of a name.
//!
//! All parties of a cluster, clients included, must compute the same key for the same name for
//! ever. So only functions with a published, frozen definition are here, and none of the hashers
//! that the standard library or a crate may change between versions.

use std::{fmt, str::FromStr};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;
use thiserror::Error;

use crate::hash_salted;

/// The function H of `H(x ⊕ s)`.
///
/// Its value is a 64-bit number: the first 8 bytes of the digest read as little-endian, or, where
/// the function is defined as giving a number, that number. CRCs give only 32 bits; the upper half
/// of their value is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashFunction {
    /// RFC 1321. Broken as a cryptographic hash, well distributed, known to every language.
    Md5,
    /// FIPS 180-4, 160 bits.
    Sha1,
    /// FIPS 180-4, 256 bits.
    Sha256,
    /// BLAKE3 without a key.
    Blake3,
    /// SipHash-1-3 with the salt folded into 16 bytes as its key. Take this one where clients
    /// choose names with ill intent.
    Siphash13,
    /// XXH3, 64 bits, seed 0.
    Xxh3,
    /// rapidhash version 3, default seed: the fastest one here that passes all of SMHasher3.
    Rapidhash,
    /// MurmurHash3 x64 128, seed 0. Shown for comparison: collisions can be chosen at will.
    Murmur3,
    /// FNV-1a, 64 bits. Shown for comparison: its upper bits hardly depend on the last bytes.
    Fnv1a,
    /// CRC-32C. Shown for comparison: it is affine, so the salt has no effect on the balance.
    Crc32c,
    /// CRC-32 as in IEEE 802.3, which nginx hashes keys by. Affine as well, and slow here: for
    /// rings that are to be reproduced.
    Crc32,
}

/// The name of a hash function that does not exist here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no hash function `{given}`; known functions are {known}", known = HashFunction::names())]
pub struct UnknownHashFunction {
    /// What was asked for.
    pub given: String,
}

impl HashFunction {
    /// Every function, good ones first.
    pub const ALL: [Self; 11] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Blake3,
        Self::Siphash13,
        Self::Xxh3,
        Self::Rapidhash,
        Self::Murmur3,
        Self::Fnv1a,
        Self::Crc32c,
        Self::Crc32,
    ];

    /// The name used in scenarios, configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Siphash13 => "siphash13",
            Self::Xxh3 => "xxh3",
            Self::Rapidhash => "rapidhash",
            Self::Murmur3 => "murmur3",
            Self::Fnv1a => "fnv1a",
            Self::Crc32c => "crc32c",
            Self::Crc32 => "crc32",
        }
    }

    /// All names, comma-separated, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The function's value over `bytes`, with no salt.
    #[inline]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        self.hash_keyed(bytes, [0; 2])
    }

    #[inline]
    fn hash_keyed(self, bytes: &[u8], key: [u64; 2]) -> u64 {
        match self {
            Self::Rapidhash => rapidhash::v3::rapidhash_v3(bytes),
            Self::Xxh3 => xxhash_rust::xxh3::xxh3_64(bytes),
            slower => slower.hash_out_of_line(bytes, key),
        }
    }

    /// The functions beside which a call does not matter. Their state would otherwise take its
    /// place on the stack of the fast ones.
    #[inline(never)]
    fn hash_out_of_line(self, bytes: &[u8], key: [u64; 2]) -> u64 {
        match self {
            Self::Md5 => head(&Md5::digest(bytes)),
            Self::Sha1 => head(&Sha1::digest(bytes)),
            Self::Sha256 => head(&Sha256::digest(bytes)),
            Self::Blake3 => head(blake3::hash(bytes).as_bytes()),
            Self::Siphash13 => SipHasher13::new_with_keys(key[0], key[1]).hash(bytes),
            Self::Murmur3 => murmur3(bytes),
            Self::Fnv1a => fnv1a(bytes),
            Self::Crc32c => u64::from(crc32c::crc32c(bytes)),
            Self::Crc32 => u64::from(!crc32(!0, bytes)),
            Self::Xxh3 | Self::Rapidhash => unreachable!("these are inline"),
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashFunction {
    type Err = UnknownHashFunction;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|function| function.name() == name)
            .ok_or_else(|| UnknownHashFunction { given: name.to_owned() })
    }
}

/// Turns names into keys: `key(x) = H(x ⊕ s)`, with the salt `s` repeated over the length of `x`.
#[derive(Clone, Debug)]
pub struct NameHasher {
    function: HashFunction,
    salt: Vec<u8>,
    /// The salt repeated, for names of usual length.
    repeated: [u8; hash_salted::LIMIT],
    key: [u64; 2],
}

impl NameHasher {
    /// A hasher with this function and salt. An empty salt leaves names as they are.
    pub fn new(function: HashFunction, salt: impl Into<Vec<u8>>) -> Self {
        let salt = salt.into();
        let mut folded = [0u8; 16];
        for (at, byte) in salt.iter().enumerate() {
            folded[at % 16] ^= byte;
        }
        let half = |at: usize| u64::from_le_bytes(folded[at..at + 8].try_into().unwrap());
        let mut repeated = [0; hash_salted::LIMIT];
        repeated.iter_mut().zip(salt.iter().cycle()).for_each(|(to, byte)| *to = *byte);
        Self { function, repeated, key: [half(0), half(8)], salt }
    }

    /// The hash function.
    pub fn function(&self) -> HashFunction {
        self.function
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The key of a name, which may be any bytes.
    #[inline]
    pub fn key(&self, name: &[u8]) -> u64 {
        if self.salt.is_empty() {
            self.function.hash_keyed(name, self.key)
        } else if self.function == HashFunction::Rapidhash && name.len() <= hash_salted::LIMIT {
            hash_salted::rapidhash(name, &self.repeated)
        } else {
            self.salted(name)
        }
    }

    /// The key of a name that is salted in a buffer first.
    fn salted(&self, name: &[u8]) -> u64 {
        if name.len() <= hash_salted::LIMIT {
            let mut buffer = [0; hash_salted::LIMIT];
            let salted = &mut buffer[..name.len()];
            for ((to, byte), salt) in salted.iter_mut().zip(name).zip(&self.repeated) {
                *to = byte ^ salt;
            }
            self.function.hash_keyed(salted, self.key)
        } else {
            let salted: Vec<u8> =
                name.iter().zip(self.salt.iter().cycle()).map(|(byte, salt)| byte ^ salt).collect();
            self.function.hash_keyed(&salted, self.key)
        }
    }
}

fn head(digest: &[u8]) -> u64 {
    u64::from_le_bytes(digest[..8].try_into().expect("every digest here has at least 16 bytes"))
}

/// CRC-32 as in IEEE 802.3, continued from `crc` and not yet inverted at the end.
pub(crate) fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The first half of MurmurHash3 x64 128 with seed 0, as Austin Appleby's MurmurHash3.cpp has it.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let finish = |mut k: u64| {
        k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    };
    let word = |bytes: &[u8]| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(padded)
    };

    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix1(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = blocks.remainder().split_at(blocks.remainder().len().min(8));
    h2 ^= mix2(word(high));
    h1 ^= mix1(word(low));
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_published_definitions() {
        // RFC 1321 A.5, FIPS 180 and BLAKE3 test vectors, read little-endian.
        let digest = |hex: u64| u64::from_be(hex.to_be()).swap_bytes();
        assert_eq!(HashFunction::Md5.hash(b"abc"), digest(0x9001_5098_3cd2_4fb0));
        assert_eq!(HashFunction::Sha1.hash(b"abc"), digest(0xa999_3e36_4706_816a));
        assert_eq!(HashFunction::Sha256.hash(b"abc"), digest(0xba78_16bf_8f01_cfea));
        assert_eq!(HashFunction::Blake3.hash(b""), digest(0xaf13_49b9_f5f9_a1a6));
        // xxHash's own sanity check for the empty input.
        assert_eq!(HashFunction::Xxh3.hash(b""), 0x2d06_8005_38d3_94c2);
        // FNV's list of test vectors.
        assert_eq!(HashFunction::Fnv1a.hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(HashFunction::Fnv1a.hash(b"foobar"), 0x8594_4171_f739_67e8);
        // RFC 3720 B.4: 32 bytes of zeros.
        assert_eq!(HashFunction::Crc32c.hash(&[0; 32]), 0x8a91_36aa);
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(HashFunction::Crc32.hash(b"123456789"), 0xcbf4_3926);
        // Known values of MurmurHash3 x64 128, seed 0.
        assert_eq!(HashFunction::Murmur3.hash(b""), 0);
        assert_eq!(HashFunction::Murmur3.hash(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            HashFunction::Murmur3.hash(b"The quick brown fox jumps over the lazy dog"),
            0xe34b_bc7b_bc07_1b6c
        );
    }

    #[test]
    fn the_salt_is_xored_cyclically_over_the_name() {
        for function in HashFunction::ALL {
            if function == HashFunction::Siphash13 {
                continue; // its salt is its key as well
            }
            for length in [0, 1, 2, 3, 31, 32, 33, 111, 112, 113, 1000] {
                let name: Vec<u8> = (0..length).map(|at| at as u8).collect();
                let salted: Vec<u8> =
                    name.iter().enumerate().map(|(at, byte)| byte ^ b"abc"[at % 3]).collect();
                let hasher = NameHasher::new(function, "abc");
                assert_eq!(hasher.key(&name), function.hash(&salted), "{function}, {length} bytes");
                assert_eq!(NameHasher::new(function, "").key(&name), function.hash(&name));
            }
        }
    }

    #[test]
    fn siphash_takes_the_salt_as_its_key() {
        let hasher = NameHasher::new(HashFunction::Siphash13, "k");
        let name = [b'x' ^ b'k'];
        assert_eq!(
            hasher.key(b"x"),
            SipHasher13::new_with_keys(u64::from(b'k'), 0).hash(&name),
            "the name is salted too, as for every function"
        );
    }

    #[test]
    fn names_are_read_back_and_unknown_ones_refused() {
        for function in HashFunction::ALL {
            assert_eq!(function.to_string().parse(), Ok(function));
        }
        let refused = "md4".parse::<HashFunction>().unwrap_err().to_string();
        assert!(refused.contains("`md4`") && refused.contains("rapidhash"), "{refused}");
    }
}
