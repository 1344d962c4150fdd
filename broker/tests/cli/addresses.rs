//! Names stand wherever an address is wanted, and what is wrong with one is said.

use std::net::TcpListener;

use crate::harness::{Node, run};

#[test]
fn a_name_does_for_listening_and_for_connecting() {
    let node = Node::start_at("localhost:0", "localhost:0");
    let port = node.stomp.rsplit_once(':').expect("host:port").1;
    let address = format!("localhost:{port}");
    let ended = run(&["produce", "--address", &address, "--count", "3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_missing_port_is_named() {
    for command in [
        &["produce", "--address", "localhost"][..],
        &["consume", "--address", "127.0.0.1:1,localhost"],
        &["serve", "--dev", "--stomp", "localhost"],
        &["serve", "--dev", "--link", "localhost"],
        &["serve", "--dev", "--openwire", "localhost"],
    ] {
        let ended = run(command);
        assert_eq!(ended.code, Some(2), "{command:?}: {ended:?}");
        assert!(ended.err.contains("`localhost` has no port"), "{command:?}: {ended:?}");
    }
}

#[test]
fn an_address_in_use_is_named_by_the_flag_that_gave_it() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = holder.local_addr().expect("it is bound").to_string();
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let data = folder.path().to_str().expect("temporary folders have plain names");
    let flags = ["--stomp", "--openwire", "--link"];
    for flag in flags {
        let at = |it| if it == flag { &*taken } else { "127.0.0.1:0" };
        let mut args = vec!["serve", "--dev", "--data-dir", data];
        args.extend(flags.iter().flat_map(|it| [it, at(*it)]));
        let ended = run(&args);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected = format!("error: cannot listen on {taken} ({flag}): ");
        assert!(ended.err.starts_with(&expected), "{ended:?}");
    }
}

#[test]
fn a_folder_in_use_is_named_by_the_flag_that_gave_it() {
    let node = Node::start();
    let data = node.data.path().to_str().expect("temporary folders have plain names");
    let args = ["serve", "--dev", "--data-dir", data];
    let ended = run(&args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("give this node another `--data-dir`"), "{ended:?}");
}
