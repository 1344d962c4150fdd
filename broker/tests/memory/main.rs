//! How much memory a real node holds, of what clients have sent and of what is no longer there.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod harness;

use std::time::Duration;

use harness::{MIB, Node};

/// Freed memory is given back within this time, and a little.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_journal_in_which_nothing_lives_costs_no_memory_once_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path());
    let fresh = node.resident();
    node.load("produce", &["--persistent", "--count", "13000", "--size", "4096"]);
    node.load("consume", &["--count", "13000"]);
    node.end();
    let node = Node::start(folder.path());
    // Whoever answers has applied the whole log.
    node.load("produce", &["--persistent", "--count", "1"]);
    node.until_resident_is_below(fresh + 24 * MIB, SOON);
}
