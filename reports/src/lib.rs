//! Run results in; tables, plots and one self-contained HTML page out.
//!
//! Whoever runs something (a scenario, a sweep, a comparison) fills in a plain value from
//! [`result`] or [`sweep`] and hands it over. This crate knows nothing of brokers, worlds or
//! strategies: it depends on no other crate of the project, so a result written today can be drawn
//! again by any later version that reads its schema version.

pub mod result;
pub mod sweep;

pub use result::{ReportError, RunResult};
pub use sweep::SweepResult;
