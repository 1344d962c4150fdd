//! What is wrong with a result, and the checks that every kind of result makes.

use std::path::PathBuf;

use serde::Deserialize;

/// What can go wrong between a result and its report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A field holds what no run can have measured.
    #[error("result field {field}: {reason}")]
    Invalid {
        /// The path of the field, for example `nodes[2].series.messages_in[17]`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The result was written by a newer version of this crate.
    #[error(
        "result has schema version {found}, this build reads up to {supported}; use the build that wrote it"
    )]
    TooNew {
        /// The version in the file.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The text is not a result.
    #[error("not a result: {0}")]
    Json(#[from] serde_json::Error),
    /// A plot could not be drawn.
    #[error("plot {plot}: {reason}")]
    Plot {
        /// The title of the plot.
        plot: String,
        /// What the plotting library said.
        reason: String,
    },
    /// A file of the report could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Refuses JSON of a newer schema before its fields are looked at, so that the error is about the
/// version and not about a field.
pub(crate) fn check_version(text: &str, supported: u32) -> Result<(), ReportError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u32,
    }
    let Versioned { schema_version: found } = serde_json::from_str(text)?;
    if found > supported { Err(ReportError::TooNew { found, supported }) } else { Ok(()) }
}

pub(crate) fn invalid(field: &str, reason: &str) -> ReportError {
    ReportError::Invalid { field: field.to_owned(), reason: reason.to_owned() }
}

/// A number that counts or measures something: finite and not negative.
pub(crate) fn quantity(field: &str, value: f64) -> Result<(), ReportError> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(invalid(field, &format!("{value} is not a finite number of at least 0")))
    }
}

/// Refuses what [`quantity`] refuses, if there is a value.
pub(crate) fn optional(field: &str, value: Option<f64>) -> Result<(), ReportError> {
    value.map_or(Ok(()), |value| quantity(field, value))
}

/// A part of a whole. Sums of rounded parts may exceed 1 by a little.
pub(crate) fn fraction(field: &str, value: f64) -> Result<(), ReportError> {
    quantity(field, value)?;
    if value <= 1.0 + 1e-6 {
        Ok(())
    } else {
        Err(invalid(field, &format!("{value} is above 1, but a fraction was wanted")))
    }
}
