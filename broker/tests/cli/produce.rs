//! `paceline produce`: it claims no more than what was taken.

use serde_json::Value;

use crate::harness::{Ended, Node, run};

fn produce(node: &Node, args: &[&str]) -> Ended {
    run(&[&["produce", "--address", &node.stomp], args].concat())
}

#[test]
fn of_a_refused_name_nothing_is_taken() {
    let node = Node::start();
    for extra in [&["--window", "100"][..], &["--window", "0"], &["--persistent"]] {
        let refused = [&["--destination", "/queue/a.*", "--count", "3"], extra].concat();
        let ended = produce(&node, &refused);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.out.contains("nothing was taken"), "{ended:?}");
        assert!(!ended.out.contains("messages/s"), "{ended:?}");
        assert!(!ended.out.contains("stored or not"), "{ended:?}");
        assert!(ended.err.contains("`/queue/a.*` holds a wildcard"), "{ended:?}");

        let ended = produce(&node, &[&refused[..], &["--json"]].concat());
        let figures: Value = serde_json::from_str(&ended.out).expect("it is JSON");
        assert_eq!((&figures["messages"], &figures["unknown"]), (&0.into(), &0.into()));
        assert_eq!(figures["messages_per_second"], Value::Null);
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_in_the_servers_words() {
    let node = Node::start();
    let ended = produce(&node, &["--count", "2", "--size", "40000000"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("the server says: "), "{ended:?}");
    assert!(!ended.out.contains("messages/s"), "{ended:?}");
}

#[test]
fn what_is_taken_is_counted_with_and_without_receipts() {
    let node = Node::start();
    for window in ["100", "1", "0"] {
        let ended = produce(&node, &["--count", "500", "--window", window, "--json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let figures: Value = serde_json::from_str(&ended.out).expect("it is JSON");
        for (name, expected) in [("messages", 500), ("sent", 500), ("unknown", 0)] {
            assert_eq!(figures[name], expected, "{name} with a window of {window}: {figures}");
        }
    }
}

#[test]
fn progress_is_for_terminals() {
    let node = Node::start();
    // Long enough for progress to be shown.
    let ended = produce(&node, &["--count", "8", "--rate", "8"]);
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    let args = ["consume", "--address", &node.stomp, "--count", "9", "--timeout", "1"];
    assert_eq!(run(&args).err, "error: nothing came for 1 s\n");
}
