//! Nobody reaches past the seam for what a simulated world supplies. clippy sees through the
//! re-exports of the seam's native side, so this is asked of the text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Modules of tokio that the seam supplies, and what may be used of tokio without it.
const FORBIDDEN: &[&str] = &[
    "tokio::spawn",
    "tokio::net",
    "tokio::fs",
    "tokio::time",
    "tokio::task",
    "tokio::process",
    "tokio::signal",
    "tokio::runtime",
];

/// Sources of these crates run inside a world.
const CRATES: &[&str] = &["broker", "sim/src"];

/// The seam itself.
const SEAM: &str = "broker/runtime";

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(SEAM) {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of `text` that name something forbidden, from 1.
fn trespasses(text: &str) -> Vec<usize> {
    let code = |line: &str| line.split("//").next().unwrap_or("").to_owned();
    let mut found = Vec::new();
    let mut in_use_of_tokio = false;
    for (number, line) in (1..).zip(text.lines().map(code)) {
        let named = FORBIDDEN.iter().any(|path| line.contains(path));
        // `use tokio::{` spread over lines.
        in_use_of_tokio |= line.contains("use tokio::{");
        let listed = in_use_of_tokio
            && FORBIDDEN.iter().any(|path| {
                let module = path.trim_start_matches("tokio::");
                line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == module)
            });
        in_use_of_tokio &= !line.contains("};");
        if named || listed {
            found.push(number);
        }
    }
    found
}

#[test]
fn nobody_reaches_past_the_seam() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut wrong = Vec::new();
    for part in CRATES {
        let mut files = Vec::new();
        sources(&root.join(part), &mut files);
        assert!(!files.is_empty(), "{part} has no sources");
        for file in files {
            for line in trespasses(&fs::read_to_string(&file).unwrap()) {
                wrong.push(format!("{}:{line}", file.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "use paceline_runtime instead of tokio at {}", wrong.join(", "));
}

#[test]
fn trespasses_are_seen() {
    assert_eq!(trespasses("use tokio::net::TcpStream;"), [1]);
    assert_eq!(trespasses("use tokio::{\n    sync::mpsc,\n    time,\n};"), [3]);
    assert_eq!(trespasses("    tokio::spawn(async {});"), [1]);
    assert!(trespasses("use tokio::{io, sync::mpsc};\nuse paceline_runtime::time;").is_empty());
    assert!(trespasses("// tokio::spawn is what this replaces").is_empty());
}
