//! The diagram on disk: the value itself, and the page.

use std::path::{Path, PathBuf};

use super::{Trace, page::trace_page};
use crate::draw::files::write_files;
use crate::result::ReportError;

/// Writes `trace.json` and `trace.html` into `dir`, which is made if it does not exist. Returns the
/// path of the page.
///
/// # Errors
/// [`ReportError::Invalid`] if the diagram cannot be drawn, in which case nothing is written;
/// [`ReportError::Write`] if the disk refuses.
pub fn write_trace(dir: &Path, trace: &Trace) -> Result<PathBuf, ReportError> {
    write_files(dir, &[("trace.json", trace.to_json()?), ("trace.html", trace_page(trace)?)])
}
