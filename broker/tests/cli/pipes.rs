//! A command in a pipeline whose reader has gone ends quietly, with what a shell reports of SIGPIPE.

use std::{io, process::Stdio};

use crate::harness::{Ended, Node, paceline, run};

const BROKEN_PIPE: Option<i32> = Some(141);

/// Runs a command whose output nobody reads.
fn unread(args: &[&str]) -> Ended {
    let (reader, writer) = io::pipe().expect("there are descriptors");
    drop(reader);
    let mut command = paceline(args);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("the program starts");
    // It holds the pipe's other end.
    drop(command);
    Ended::of(&child.wait_with_output().expect("it is our child"))
}

fn ends_quietly(args: &[&str]) {
    let ended = unread(args);
    assert_eq!(ended.code, BROKEN_PIPE, "{args:?}: {ended:?}");
    assert_eq!(ended.err, "", "{args:?}");
}

#[test]
fn help_ends_quietly() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "serve"],
        &["man"],
        &["man", "serve"],
        &["completions", "bash"],
    ] {
        ends_quietly(args);
    }
    for command in ["serve", "produce", "consume", "status", "route", "man", "completions"] {
        ends_quietly(&[command, "--help"]);
    }
}

#[test]
fn clients_end_quietly() {
    let node = Node::start();
    for json in [&[][..], &["--json"]] {
        for command in ["produce", "consume"] {
            let args = [command, "--address", &node.stomp, "--count", "3"];
            ends_quietly(&[&args[..], json].concat());
        }
    }
    // What they did is done all the same.
    let args = ["consume", "--address", &node.stomp, "--count", "1", "--timeout", "1"];
    assert!(run(&args).out.starts_with("received 0 messages"));
}

#[test]
fn questions_end_quietly() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let config = crate::ask::cluster_of_three(&folder);
    for command in [&["status"][..], &["status", "--slots"], &["route", "orders"]] {
        for json in [&[][..], &["--json"]] {
            ends_quietly(&[command, json, &["--config", &config]].concat());
        }
    }
}

#[test]
fn a_node_outlives_whoever_read_that_it_is_ready() {
    // Its standard output goes when the harness has read the first line, its standard error too.
    let mut node = Node::start();
    let args = ["produce", "--address", &node.stomp, "--count", "3"];
    assert_eq!(run(&args).code, Some(0));
    assert_eq!(node.terminate(), Some(0), "it drains and says so to nobody");
}

#[test]
fn output_that_fails_otherwise_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("this is Linux");
    let mut command = paceline(&["--version"]);
    let output = command.stdout(full).stderr(Stdio::piped()).output().expect("it starts");
    let ended = Ended::of(&output);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.starts_with("error: cannot write to standard output: "), "{ended:?}");
}
