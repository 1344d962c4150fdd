//! p-values of the same placement under many salts: uniform if a hash function behaves as chance.

use paceline_placement::{HashFunction, NameHasher, Nodes, SlotCount};
use paceline_reports::compare::SaltedPValues;

use super::{
    balance::p_value,
    entry::{Entry, Placed},
    population::Population,
};

/// More names than this do not make the test sharper by much.
const NAMES: usize = 20_000;

/// Tests one hash function. `None` where the test does not apply to the strategy.
pub(super) fn measure(
    entry: Entry,
    function: HashFunction,
    salts: usize,
    population: &Population,
    nodes: &Nodes,
    slots: SlotCount,
) -> Option<SaltedPValues> {
    let Entry::Kind(kind) = entry else { return None };
    let placed = Placed::Plain(kind.build(nodes, slots, 1).ok()?);
    let names: Vec<Vec<u8>> = (0..population.len().min(NAMES))
        .map(|index| {
            let mut name = Vec::new();
            population.write_name(index, &mut name);
            name
        })
        .collect();
    let mut assigned = vec![Default::default(); names.len()];
    let p_values: Option<Vec<f64>> = (0..salts)
        .map(|number| {
            let hasher =
                NameHasher::new(function, format!("salt-{number:04}-{:x}", number * 2_654_435_761));
            let keys: Vec<u64> = names.iter().map(|name| hasher.key(name)).collect();
            placed.strategy().place_all(&keys, &mut assigned);
            p_value(entry, &placed, &assigned, nodes, slots)
        })
        .collect();
    Some(SaltedPValues {
        strategy: entry.name().to_owned(),
        hash: function.name().to_owned(),
        nodes: nodes.len() as u64,
        population: population.name.clone(),
        p_values: p_values?,
    })
}
