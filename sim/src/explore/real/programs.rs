//! Where the programs are that a real run starts.

use std::path::{Path, PathBuf};

use super::super::arguments::BadInput;

/// The program of the nodes.
pub(super) fn broker() -> Result<PathBuf, BadInput> {
    let beside = beside().map(|folder| folder.join("paceline"));
    find("PACELINE_BIN", beside, "the nodes' program", "cargo build --release")
}

/// The simulator.
pub(super) fn simulator() -> Result<PathBuf, BadInput> {
    // target/release/paceline-real and target/sim/release/paceline-sim
    let folder = beside().and_then(|folder| {
        let profile = folder.file_name()?.to_owned();
        Some(folder.parent()?.join("sim").join(profile).join("paceline-sim"))
    });
    find("PACELINE_SIM", folder, "the simulator", "cargo sim --help")
}

fn beside() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

fn find(
    variable: &str,
    beside: Option<PathBuf>,
    what: &str,
    build: &str,
) -> Result<PathBuf, BadInput> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    chosen(named, beside).map_err(|tried| {
        let tried = tried.map_or("anywhere".to_owned(), |path| format!("at {}", path.display()));
        BadInput(format!(
            "cannot find {what} {tried}; build it with `{build}`, or name it in {variable}"
        ))
    })
}

/// The one that is named, or else the one beside; if it is not there, where it was looked for.
fn chosen(named: Option<PathBuf>, beside: Option<PathBuf>) -> Result<PathBuf, Option<PathBuf>> {
    match named.or(beside) {
        Some(path) if Path::is_file(&path) => Ok(path),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_first_and_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "").unwrap();
        assert_eq!(chosen(None, Some(one.clone())), Ok(one.clone()));
        assert_eq!(chosen(Some(other.clone()), Some(one)), Err(Some(other)));
        assert_eq!(chosen(None, None), Err(None));
    }
}
