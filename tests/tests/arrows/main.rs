//! The arrows between the crates, as ARCHITECTURE.md draws them, asked of cargo and not of a document;
//! and between the modules inside each of them, where the rule is that none form a circle. See
//! `modules.rs`.

mod modules;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use modules::Tree;

/// Each crate and the crates of this workspace it may use directly, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("paceline-destination", &[]),
    ("paceline-placement", &[]),
    ("paceline-wire", &[]),
    ("paceline-membership", &["paceline-destination", "paceline-placement"]),
    ("paceline-reached", &[]),
    ("paceline-consensus", &["paceline-reached"]),
    ("paceline-runtime", &[]),
    ("paceline-reports", &[]),
    (
        "paceline-core",
        &[
            "paceline-destination",
            "paceline-membership",
            "paceline-placement",
            "paceline-reached",
            "paceline-wire",
        ],
    ),
    ("paceline-client", &["paceline-runtime", "paceline-wire"]),
    ("paceline-events", &["paceline-runtime"]),
    ("paceline-store", &["paceline-events", "paceline-reached", "paceline-runtime"]),
    (
        "paceline",
        &[
            "paceline-client",
            "paceline-consensus",
            "paceline-core",
            "paceline-events",
            "paceline-membership",
            "paceline-placement",
            "paceline-reached",
            "paceline-runtime",
            "paceline-store",
            "paceline-wire",
        ],
    ),
    (
        "paceline-scenario",
        &[
            "paceline",
            "paceline-core",
            "paceline-events",
            "paceline-membership",
            "paceline-placement",
        ],
    ),
    (
        "paceline-compare",
        &[
            "paceline",
            "paceline-placement",
            "paceline-reports",
            "paceline-runtime",
            "paceline-scenario",
        ],
    ),
    (
        "paceline-sim",
        &[
            "paceline",
            "paceline-client",
            "paceline-compare",
            "paceline-destination",
            "paceline-events",
            "paceline-membership",
            "paceline-placement",
            "paceline-reached",
            "paceline-reports",
            "paceline-runtime",
            "paceline-scenario",
            "paceline-wire",
        ],
    ),
];

/// Crates that bring sockets, files, clocks or threads of their own; no pure crate may reach them.
const IMPURE: &[&str] =
    &["tokio", "madsim", "mio", "async-std", "futures-timer", "socket2", "openraft"];

/// The crates whose purity the simulator leans on.
const PURE: &[&str] = &[
    "paceline-destination",
    "paceline-placement",
    "paceline-reached",
    "paceline-wire",
    "paceline-membership",
    "paceline-consensus",
    "paceline-core",
];

/// The names in a crate's dependency tree, to the given depth, on either build.
fn tree(package: &str, depth: &str, simulated: bool) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["tree", "--package", package, "--edges", "normal"]);
    command.args(["--prefix", "none", "--depth", depth]);
    if simulated {
        command.args(["--config", ".cargo/sim.toml"]);
    }
    let output = command.output().expect("cargo tree starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_arrows_are_as_drawn() {
    for simulated in [false, true] {
        for (package, allowed) in ARROWS {
            let ours = tree(package, "1", simulated);
            for used in ours.iter().filter(|name| name.starts_with("paceline")) {
                assert!(allowed.contains(&used.as_str()), "{package} must not use {used}");
            }
        }
    }
}

#[test]
fn pure_crates_reach_no_runtime() {
    for package in PURE {
        let all = tree(package, "64", false);
        for impure in IMPURE {
            assert!(!all.contains(*impure), "{package} reaches {impure}");
        }
    }
}

/// The folders of all crates, as the workspace lists them.
fn crates(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let list = manifest.split_once("members = [").expect("a workspace has members").1;
    let list = list.split_once(']').expect("the list ends").0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn no_modules_form_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut wrong = Vec::new();
    for folder in crates(root) {
        let sources = root.join(&folder).join("src");
        let files = ["lib.rs", "main.rs"].map(|name| sources.join(name));
        assert!(files.iter().any(|file| file.exists()), "{folder} has no sources");
        for file in files.iter().filter(|file| file.exists()) {
            wrong.extend(
                Tree::read(file).circles().iter().map(|circle| format!("{folder}, {circle}")),
            );
        }
    }
    let prefix = format!("{}/", root.display());
    assert!(
        wrong.is_empty(),
        "these modules form circles\n{}",
        wrong.join("\n").replace(&prefix, "")
    );
}

fn circles(text: &str) -> Vec<String> {
    Tree::parse(text).circles()
}

#[test]
fn circles_are_seen() {
    let two = "mod a { use crate::b::B; pub struct A; } mod b { fn f() -> super::a::A { todo!() } pub struct B; }";
    assert_eq!(circles(two), ["in crate:\n  a -> b  lib.rs:1\n  b -> a  lib.rs:1"]);
    let deep = "mod a { pub mod x { use super::y::{Y, Z as W}; } pub mod y { use crate::a::x; } }";
    assert!(circles(deep)[0].starts_with("in crate::a:\n  x -> y"));
    let far = "mod a { mod x { use crate::{b, c}; } } mod b { use crate::c::C; }\nmod c { mod y { use crate::a::A; } }";
    assert_eq!(circles(far).len(), 1);
    assert_eq!(circles(far)[0].lines().count(), 5, "all its arrows are told: {}", circles(far)[0]);
}

#[test]
fn a_name_counts_where_it_is_defined() {
    let passed_on =
        "pub use a::A; mod a { use crate::b::B; pub struct A; } mod b { use crate::A; }";
    assert_eq!(circles(passed_on).len(), 1);
    let through_a_name = "mod a { use crate::b; } mod b { use crate::c; fn f() { c::a::g(); } } mod c { pub use crate::a; }";
    assert_eq!(circles(through_a_name).len(), 1);
}

#[test]
fn what_is_no_circle_is_let_through() {
    for text in [
        "mod a { use crate::b::B; } mod b { pub struct B; }",
        // A parent and what is inside it.
        "mod a { mod x { use super::A; } use x::X; pub struct A; }",
        // Only for tests.
        "mod a { use crate::b; } mod b { #[cfg(test)] mod tests { use crate::a::A; } }",
        "mod a { use crate::b; } mod b { #[test] fn f() { crate::a::g(); } }",
        "mod a { use crate::b; } mod b { #[cfg(test)] use crate::a::{A, B}; pub struct B; }",
        // Said, not done.
        "mod a { use crate::b; } mod b { // crate::a::A\n /* crate::a */ const C: &str = \"crate::a::A\"; }",
        "mod a { use crate::b; } mod b { const C: &str = r#\"\"crate::a::A\"#; fn f<'a>() { '\"'; } }",
        // Another crate's.
        "mod a { use crate::b; } mod b { use other::a::A; }",
    ] {
        assert_eq!(circles(text), Vec::<String>::new(), "{text}");
    }
}
