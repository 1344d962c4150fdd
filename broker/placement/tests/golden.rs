//! Pins every hash function with every strategy to the byte: a placement that differs between two
//! versions, compilers or machines would lose messages.
//!
//! A line of `golden.txt` is: hash function, strategy, the first nodes of eight names, and a
//! digest of all rows placed at first, after a node joined, and after another one left. If a
//! change is meant, `PRINT_GOLDEN=1 cargo test -p paceline-placement --test golden -- --nocapture`
//! prints the new file.

use paceline_placement::{
    HashFunction, NameHasher, Node, NodeIndex, NodeState, Nodes, SlotCount, StrategyKind,
};

const NAMES: usize = 200;

fn nodes() -> Nodes {
    Nodes::new((1..=9).map(|number| {
        let node = Node::new(format!("node-{number}")).in_zone(format!("z{}", number % 4));
        if number == 3 { node.with_weight(2.0) } else { node }
    }))
    .unwrap()
}

fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = (0..NAMES - 4)
        .map(|number| match number % 3 {
            0 => format!("q{number}").into_bytes(),
            1 => format!("orders.eu.{number:06}.created").into_bytes(),
            _ => format!("{number:032x}-tenant-with-a-rather-long-name-{number}").into_bytes(),
        })
        .collect();
    names.extend([vec![], vec![0], vec![0xff; 300], "grün".into()]);
    names
}

fn line(function: HashFunction, kind: StrategyKind) -> String {
    let hasher = NameHasher::new(function, "paceline");
    let keys: Vec<u64> = names().iter().map(|name| hasher.key(name)).collect();
    let mut nodes = nodes();
    let mut strategy = kind.build(&nodes, SlotCount::new(64, 9).unwrap(), 3).unwrap();
    let mut bytes = Vec::new();
    let mut first = Vec::new();
    let mut record = |strategy: &dyn paceline_placement::Strategy| {
        for key in &keys {
            let mut row = [NodeIndex::default(); 3];
            strategy.place(*key, &mut row);
            first.push(row[0].to_string());
            bytes.extend(row.iter().flat_map(|node| node.0.to_le_bytes()));
        }
    };
    record(&*strategy);
    nodes.join(Node::new("a-late-one").in_zone("z0")).unwrap();
    strategy.update(&nodes).unwrap();
    record(&*strategy);
    nodes.set_state(b"node-4", NodeState::Gone).unwrap();
    strategy.update(&nodes).unwrap();
    record(&*strategy);
    let digest = HashFunction::Sha256.hash(&bytes);
    format!("{function} {kind} {} {digest:016x}", first[..8].join(","))
}

#[test]
fn placements_are_what_they_always_were() {
    let lines: Vec<String> = HashFunction::ALL
        .iter()
        .flat_map(|function| StrategyKind::ALL.iter().map(|kind| line(*function, *kind)))
        .collect();
    if std::env::var_os("PRINT_GOLDEN").is_some() {
        println!("{}", lines.join("\n"));
        return;
    }
    let golden: Vec<&str> = include_str!("golden.txt").lines().collect();
    assert_eq!(lines.len(), golden.len(), "golden.txt has a line for each combination");
    for (now, before) in lines.iter().zip(golden) {
        assert_eq!(now, before);
    }
}

/// Keys of one name under each function, for implementations in other languages.
#[test]
fn keys_are_what_they_always_were() {
    let expected = include_str!("golden_keys.txt").lines();
    let mut actual = Vec::new();
    for function in HashFunction::ALL {
        for (salt, name) in [("", "orders.eu"), ("paceline", "orders.eu"), ("paceline", "")] {
            let key = NameHasher::new(function, salt).key(name.as_bytes());
            actual.push(format!("{function} {salt:?} {name:?} {key:016x}"));
        }
    }
    if std::env::var_os("PRINT_GOLDEN").is_some() {
        println!("{}", actual.join("\n"));
        return;
    }
    assert!(actual.iter().map(String::as_str).eq(expected), "{}", actual.join("\n"));
}
