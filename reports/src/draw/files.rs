//! Reports on disk: one directory of files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::result::ReportError;

/// Writes the files in order and returns the path of the last. Everything has been drawn before
/// the first is written, so that a result that cannot be drawn leaves no half of a report.
pub(crate) fn write_files(dir: &Path, files: &[(&str, String)]) -> Result<PathBuf, ReportError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ReportError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut last = dir.to_path_buf();
    for (name, content) in files {
        last = dir.join(name);
        fs::write(&last, content).map_err(failed(&last))?;
    }
    Ok(last)
}
