//! `paceline status` and `paceline route`: what they say of nodes that are and are not there.

use std::{net::TcpListener, time::Instant};

use tempfile::TempDir;

use crate::harness::{Node, run};

/// The configuration of a cluster of three whose ports were free a moment ago.
pub fn cluster_of_three(folder: &TempDir) -> String {
    let listeners: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    let members: Vec<_> = (1..)
        .zip(&listeners)
        .map(|(number, listener)| {
            let address = listener.local_addr().expect("it is bound");
            format!("{{ name = \"n{number}\", link = \"{address}\" }}")
        })
        .collect();
    let text = format!(
        "[node]\nname = \"n1\"\ndata_dir = \"data\"\n[cluster]\nname = \"c\"\nmembers = [{}]\n",
        members.join(", ")
    );
    let file = folder.path().join("node.toml");
    std::fs::write(&file, text).expect("there is room for a file");
    file.to_str().expect("temporary folders have plain names").to_owned()
}

#[test]
fn with_no_node_up_the_answer_comes_at_once_and_says_so() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let config = cluster_of_three(&folder);
    for (command, expected) in [
        (&["route", "orders", "--config", &config][..], "row "),
        (&["route", "orders", "--config", &config, "--json"], "\"row\":"),
        (&["status", "--config", &config], "n3 "),
        (&["status", "--config", &config, "--json"], "\"up\": false"),
    ] {
        let began = Instant::now();
        let ended = run(command);
        assert!(began.elapsed().as_secs_f64() < 1.5, "took {:?}", began.elapsed());
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        assert!(ended.out.contains(expected), "{command:?}: {ended:?}");
        let error = "error: no node answers (Connection refused";
        assert!(ended.err.starts_with(error), "{command:?}: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{command:?}: {ended:?}");
    }
}

#[test]
fn a_node_is_asked_by_its_address_alone() {
    let node = Node::start_at("127.0.0.1:0", "0.0.0.0:0");
    let port = node.link.rsplit_once(':').expect("host:port").1;
    let address = format!("localhost:{port}");
    let produce = ["produce", "--address", &node.stomp, "--count", "7", "--persistent"];
    assert_eq!(run(&produce).code, Some(0));

    let status = run(&["status", "--address", &address]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.out.starts_with("cluster dev: 16 slots on 1 nodes"), "{status:?}");
    let queue: Vec<_> = status.out.lines().last().expect("a table").split_whitespace().collect();
    assert_eq!((queue[0], queue[2], queue[3]), ("test", "dev", "7"), "{status:?}");

    let route = run(&["route", "test", "--address", &address]);
    assert_eq!(route.code, Some(0), "{route:?}");
    assert!(route.out.contains(&format!("slot   {} of 16\n", queue[1])), "{route:?}");
    assert!(route.out.ends_with("leader dev\n"), "{route:?}");
    for ended in [status, route] {
        assert_eq!(ended.err, "", "client commands log nothing");
    }
}

#[test]
fn transactions_that_are_not_there_are_said_not_to_be() {
    let node = Node::start_at("127.0.0.1:0", "127.0.0.1:0");
    let ask =
        |action: &[&str]| run(&[&["transactions"], action, &["--address", &node.link]].concat());
    let list = ask(&["list"]);
    assert_eq!((list.code, &*list.out), (Some(0), "no distributed transaction is prepared\n"));
    let list = ask(&["list", "--json"]);
    assert!(list.out.contains("\"transactions\": []"), "{list:?}");
    for action in ["commit", "rollback", "forget"] {
        let ended = ask(&[action, "4660:6f72646572:01"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let why = "error: 4660:6f72646572:01: no prepared transaction has this name";
        assert!(ended.err.starts_with(why), "{ended:?}");
        let ended = ask(&[action, "order-7"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("FORMAT:GLOBAL:BRANCH"), "{ended:?}");
    }
}

#[test]
fn an_address_at_which_no_node_answers_is_told() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = holder.local_addr().expect("it is bound").to_string();
    drop(holder);
    for command in [&["status"][..], &["route", "orders"]] {
        let ended = run(&[command, &["--address", &address]].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected =
            format!("error: cannot ask {address} what the cluster is: Connection refused");
        assert!(ended.err.starts_with(&expected), "{ended:?}");

        let ended = run(&[command, &["--address", "localhost"]].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("`localhost` has no port"), "{ended:?}");
    }
}
