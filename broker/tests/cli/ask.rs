//! `paceline status` and `paceline route`: what they say of nodes that are and are not there.

use std::{net::TcpListener, time::Instant};

use tempfile::TempDir;

use crate::harness::run;

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
