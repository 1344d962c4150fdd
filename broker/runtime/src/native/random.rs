//! Random numbers, seeded by the operating system.

use rand::SeedableRng;
pub use rand_chacha::ChaCha8Rng;

/// A new stream of random numbers. `label` says what it is for: it separates the streams of a
/// simulated node from one another and has no effect natively.
///
/// # Panics
///
/// If the operating system has no entropy to give.
pub fn stream(label: &str) -> ChaCha8Rng {
    let _ = label;
    ChaCha8Rng::from_rng(&mut rand::rng())
}
