//! A user's own ring, named node for named node, as the programs that users have build it.

use std::path::Path;

use paceline_placement::{NameHasher, SlotCount};

use super::{
    cluster::cluster,
    entry::{Entry, Items, Placed, Setting},
    format::Comparison,
    tests::Silent,
};

/// A comparison of one ring on named nodes, and the number of the node, counted from 1 in the order
/// of the list, that each of `user:0`, `user:1` and so on is on.
fn placed(strategy: &str, hash: &str, nodes: &str) -> (Comparison, Vec<usize>) {
    let text = format!(
        "name = \"own\"\nabout = \"x\"\n[compare]\nstrategies = [\"{strategy}\"]\n\
         hashes = [\"{hash}\"]\nsalts = [\"\"]\ntiming = false\n{nodes}\n\
         [[compare.population]]\nname = \"queues\"\n"
    );
    let comparison = Comparison::load("own.toml", &text).unwrap();
    let c = &comparison.compare;
    let names = &c.nodes.names;
    let nodes = cluster(&c.nodes, names.len(), &c.weights, c.zones);
    let hasher = NameHasher::new(hash.parse().unwrap(), "");
    let keys: Vec<u64> = (0..24).map(|n| hasher.key(format!("user:{n}").as_bytes())).collect();
    let shares = vec![1.0 / 24.0; 24];
    let items = Items { keys: keys.into(), shares: shares.into() };
    let slots = SlotCount::new(1 << 14, names.len()).unwrap();
    let entry: Entry = strategy.parse().unwrap();
    let setting = Setting { slots, replicas: 1, parameters: c.parameters() };
    let placed = Placed::new(entry, &nodes, &items, &setting).unwrap();
    let number = |name: String| names.iter().position(|n| *n == name).unwrap() + 1;
    let assigned = placed.assign(&items);
    let on = assigned.iter().map(|node| number(nodes.get(*node).display_name())).collect();
    (comparison, on)
}

/// The largest number of `queue-000000` to `queue-099999` on a node, relative to its fair share.
fn peak(comparison: &Comparison) -> f64 {
    let result = super::run(comparison, Default::default(), Path::new("unused"), &Silent).unwrap();
    result.balance[0].peak
}

/// Expected values: `ketama_create_continuum` and `ketama_get_server` of libketama's `ketama.c`,
/// written down in 20 lines of Python with `hashlib.md5` (points: each four bytes, little-endian, of
/// the MD5 of `SERVER-0`, `SERVER-1` and so on; a key, the first four bytes of its MD5, is on the
/// first point at or behind it), and run for these servers, those of libketama's own sample file
/// among them. Nothing of this repository took part.
#[test]
fn a_users_ketama_ring_is_libketamas() {
    let equal =
        r#"nodes.names = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211", "10.0.0.4:11211"]"#;
    let (comparison, on) = placed("ketama", "md5", equal);
    assert_eq!(on, [3, 4, 3, 1, 4, 1, 2, 1, 2, 3, 1, 3, 4, 2, 3, 2, 4, 2, 1, 1, 1, 1, 4, 1]);
    assert!((peak(&comparison) - 28_909.0 / 25_000.0).abs() < 1e-9);

    let weighted = "weights = [600, 300, 200, 350, 1000, 800, 950, 100]\nnodes.names = ["
        .to_owned()
        + &(1..=8).map(|n| format!("\"10.0.1.{n}:11211\",")).collect::<String>()
        + "]";
    let (_, on) = placed("ketama", "md5", &weighted);
    assert_eq!(on, [1, 7, 1, 5, 6, 7, 3, 7, 7, 5, 7, 6, 6, 5, 6, 2, 2, 1, 4, 1, 4, 2, 7, 5]);
}

/// Expected values: `ngx_http_upstream_update_chash` and `ngx_http_upstream_find_chash_point` of
/// nginx's `ngx_http_upstream_hash_module.c`, written down in 15 lines of Python with `zlib.crc32`
/// (points: the CRC-32 of HOST, a zero byte, PORT and the previous point, 160 for each unit of
/// weight, `unix:` left out of the host; a key is on the first point at or behind its own CRC-32).
#[test]
fn a_users_nginx_ring_is_that_of_nginx() {
    let nodes = r#"nodes.names = ["10.0.0.1:11211", "10.0.0.2:11211", "cache.example.com", "unix:/run/cache.sock"]
weights = [1, 2, 1, 1]"#;
    let (_, on) = placed("ketama-nginx", "crc32", nodes);
    assert_eq!(on, [1, 3, 1, 2, 4, 4, 2, 2, 2, 2, 3, 2, 2, 3, 2, 2, 1, 2, 3, 4, 2, 2, 1, 3]);

    let (_, on) = placed("ketama-nginx", "crc32", &format!("{nodes}\npoints_per_node = 12"));
    assert_eq!(on, [2, 4, 1, 3, 2, 4, 3, 3, 1, 3, 2, 4, 2, 2, 4, 3, 2, 1, 2, 2, 1, 4, 3, 2]);
}

/// The numbers of a jump hash are places in the user's list, whatever the names sort to. Expected
/// values: the paper's function in Python over the first eight bytes of the MD5, little-endian.
#[test]
fn numbered_nodes_are_counted_in_the_order_of_the_list() {
    let (_, on) = placed("jump", "md5", r#"nodes.names = ["zoe", "adam", "mia", "ben", "lea"]"#);
    assert_eq!(on, [2, 4, 1, 3, 4, 3, 3, 2, 1, 2, 4, 1, 4, 3, 2, 5, 1, 3, 3, 3, 3, 5, 3, 5]);
}
