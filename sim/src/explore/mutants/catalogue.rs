//! The patch files of the planted bugs.
//!
//! Before the patch itself each says in a line what is wrong with the broker then, and of which real
//! fault it is one:
//!
//! ```text
//! about: a candidate whose log is behind gets the vote
//! after: Raft, section 5.4.1; NATS #7567
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The name of its file without the ending.
    pub(super) name: String,
    pub(super) about: String,
    pub(super) after: String,
    pub(super) patch: PathBuf,
}

/// All of a folder, by name.
pub(super) fn read(folder: &Path) -> Result<Vec<Mutant>, String> {
    let unread = |error| {
        let folder = folder.display();
        format!("cannot read {folder}: {error}; run me at the top of the workspace")
    };
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let patch = entry.map_err(unread)?.path();
        let name = patch.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if patch.extension().is_some_and(|it| it == "patch") {
            let text = fs::read_to_string(&patch)
                .map_err(|error| format!("cannot read {}: {error}", patch.display()))?;
            let said = |key| said(&text, key).map_err(|why| format!("{}: {why}", patch.display()));
            let (about, after) = (said("about: ")?, said("after: ")?);
            all.push(Mutant { name, about, after, patch });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// What the head says under a key.
fn said(patch: &str, key: &str) -> Result<String, String> {
    let head = patch.lines().take_while(|line| !line.starts_with("--- "));
    let mut said = head.filter_map(|line| line.strip_prefix(key));
    match said.next().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("a line that begins with `{key}` is to come before the patch")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_patch_says_what_it_is() {
        let patch = "about: it is wrong\nafter: theirs #7\n\n--- a/x\n+++ b/x\nabout: no\n";
        assert_eq!(said(patch, "about: "), Ok("it is wrong".into()));
        assert_eq!(said(patch, "after: "), Ok("theirs #7".into()));
        for lacking in ["--- a/x\nabout: it is wrong\n", "about: \n--- a/x\n", ""] {
            assert!(said(lacking, "about: ").is_err(), "{lacking}");
        }
    }

    #[test]
    fn every_shipped_one_says_what_it_is() {
        let all = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/mutants"))).unwrap();
        assert!(all.len() >= 30, "{}", all.len());
    }
}
