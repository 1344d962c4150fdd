//! Random numbers drawn from the seed, in streams that do not disturb one another.

use super::context;
use rand::SeedableRng;
pub use rand_chacha::ChaCha8Rng;

/// A new stream of random numbers for the purpose `label`.
///
/// It depends on the seed, the node, how often the node has been started, the label, and how many
/// streams of this label were asked for before; on nothing else. So one part drawing more or less
/// does not change what the others see.
pub fn stream(label: &str) -> ChaCha8Rng {
    context::with(|sim| {
        let seed = sim.seed;
        let node = sim.nodes.current_mut();
        let count = node.streams.entry(label.to_owned()).or_default();
        *count += 1;
        derive(
            seed,
            &[
                node.name.as_bytes(),
                &node.incarnation.to_le_bytes(),
                label.as_bytes(),
                &count.to_le_bytes(),
            ],
        )
    })
}

/// The stream that belongs to the path `parts` under `seed`.
pub(crate) fn derive(seed: u64, parts: &[&[u8]]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("paceline simulation random stream");
    hasher.update(&seed.to_le_bytes());
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}
