//! p-values of the same placement under many salts: uniform if a hash function behaves as chance.

use paceline_placement::{HashFunction, NameHasher, Nodes};
use paceline_reports::compare::SaltedPValues;

use super::{
    balance::p_value,
    entry::{Entry, Placed, Setting},
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
    setting: &Setting,
) -> Option<SaltedPValues> {
    let Entry::Kind(kind) = entry else { return None };
    let placed = Placed::Plain(kind.build_with(nodes, setting.slots, 1, &setting.parameters).ok()?);
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
            let hasher = NameHasher::new(function, salt(number));
            let keys: Vec<u64> = names.iter().map(|name| hasher.key(name)).collect();
            placed.strategy().place_all(&keys, &mut assigned);
            p_value(&placed, &assigned, nodes)
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

/// The salts differ in every byte. Under salts that are alike the salted names of one could be those
/// of another in a different order, and the same test would count twice.
fn salt(number: usize) -> Vec<u8> {
    let part = |at: u8| HashFunction::Blake3.hash(&[&number.to_le_bytes()[..], &[at]].concat());
    (0..4).flat_map(|at| part(at).to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use paceline_placement::{Parameters, SlotCount, StrategyKind};

    use super::*;
    use crate::format::{Names, Popularity, PopulationSpec};

    #[test]
    fn p_values_of_a_cryptographic_hash_are_uniform() {
        let spec = PopulationSpec {
            name: "p".into(),
            about: String::new(),
            destinations: Some(1000),
            popularity: Popularity::Uniform,
            names: Names::Numbered,
        };
        let population = Population::new(&spec, std::path::Path::new(""), 1).unwrap();
        // 999 slots are dealt unevenly to ten nodes, and no circle is even.
        let (nodes, slots) = (Nodes::numbered(10).unwrap(), SlotCount::new(999, 10).unwrap());
        let setting = Setting { slots, replicas: 1, parameters: Parameters::default() };
        for kind in [StrategyKind::Slots, StrategyKind::Ring, StrategyKind::MultiProbe] {
            let entry = Entry::Kind(kind);
            let function = HashFunction::Md5;
            let salted = measure(entry, function, 500, &population, &nodes, &setting).unwrap();
            let mut tenths = [0; 10];
            salted.p_values.iter().for_each(|p| tenths[((p * 10.0) as usize).min(9)] += 1);
            // Five standard deviations of a count.
            assert!(tenths.iter().all(|count| (16..84).contains(count)), "{kind}: {tenths:?}");
            let square = |count: &i32| (f64::from(*count) - 50.0).powi(2) / 50.0;
            let chi_square: f64 = tenths.iter().map(square).sum();
            assert!(chi_square < 28.0, "one in a thousand is above: {kind}: {tenths:?}");
        }
    }

    #[test]
    fn no_name_under_one_salt_is_another_under_another() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200 {
            let salt = salt(number);
            for index in (0..NAMES).step_by(37) {
                let name = format!("queue-{index:06}");
                let salted: Vec<u8> =
                    name.bytes().zip(salt.iter().cycle()).map(|(a, b)| a ^ b).collect();
                assert!(seen.insert(salted), "salt {number}, {name}");
            }
        }
    }
}
