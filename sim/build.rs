//! Puts the commit into the binary, so that a report says what was built.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|commit| !commit.is_empty());
    println!("cargo::rustc-env=PACELINE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    // The head moves with every commit; without a repository nothing ever changes.
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
}
