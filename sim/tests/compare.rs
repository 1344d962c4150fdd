//! What `compare` prints.

use std::{
    fs,
    process::{Command, Stdio},
};

/// Eight hot destinations: a table by load is better than one by count.
const HOT: &str = r#"
name  = "hot"
about = "By count or by load?"
[compare]
strategies = ["slots", "slots-by-load", "random"]
hashes     = ["xxh3"]
nodes      = [8]
timing     = false
[[compare.population]]
name         = "hot"
destinations = 1000
popularity   = { hot = 8, share = 0.8 }
"#;

#[test]
fn the_terminal_shows_what_the_broker_can_run_and_what_the_columns_mean() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    fs::write(folder.path().join("hot.toml"), HOT).expect("there is room for a file");
    let output = Command::new(env!("CARGO_BIN_EXE_paceline-sim"))
        .current_dir(folder.path())
        .args(["compare", "hot.toml", "--no-report"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let advice = text.find("\nUse slots with xxh3: ").unwrap_or_else(|| panic!("{text}"));
    for (told, before) in [
        ("\npeak: ", true),
        ("\nexpected: ", true),
        ("\nbound: ", true),
        ("\np: ", true),
        ("\nmoved/opt: ", true),
        ("\n- Broker: slots-by-load would do better, ", false),
        ("\n- Slots: there are 16384 in this comparison, and 4096 at most in a broker", false),
    ] {
        let at = text.find(told).unwrap_or_else(|| panic!("no `{told}` in\n{text}"));
        assert_eq!(at < advice, before, "`{told}` in\n{text}");
    }
}
