//! The arrows between the crates, as ARCHITECTURE.md draws them: asked of cargo, not of a document.

use std::{collections::BTreeSet, path::Path, process::Command};

/// Each crate and the crates of this workspace it may use directly, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("paceline-placement", &[]),
    ("paceline-wire", &[]),
    ("paceline-reached", &[]),
    ("paceline-consensus", &[]),
    ("paceline-runtime", &[]),
    ("paceline-reports", &[]),
    ("paceline-core", &["paceline-placement", "paceline-reached", "paceline-wire"]),
    ("paceline-store", &["paceline-reached", "paceline-runtime"]),
    (
        "paceline",
        &[
            "paceline-core",
            "paceline-placement",
            "paceline-reached",
            "paceline-runtime",
            "paceline-store",
            "paceline-wire",
        ],
    ),
    (
        "paceline-sim",
        &[
            "paceline",
            "paceline-core",
            "paceline-placement",
            "paceline-reached",
            "paceline-reports",
            "paceline-runtime",
            "paceline-wire",
        ],
    ),
];

/// Crates that bring sockets, files, clocks or threads of their own; no pure crate may reach them.
const IMPURE: &[&str] =
    &["tokio", "madsim", "mio", "async-std", "futures-timer", "socket2", "openraft"];

/// The crates whose purity the simulator leans on.
const PURE: &[&str] = &[
    "paceline-placement",
    "paceline-reached",
    "paceline-wire",
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
