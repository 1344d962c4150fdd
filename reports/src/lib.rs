//! Run results in; tables, plots and one self-contained HTML page out.
//!
//! Whoever runs something (a scenario, a sweep, a comparison) fills in a plain value from
//! [`result`], [`sweep`] or [`compare`] and hands it over. This crate knows nothing of brokers, worlds or
//! strategies: it depends on no other crate of the project, so a result written today can be drawn
//! again by any later version that reads its schema version.

mod balance;
pub mod compare;
mod draw;
pub mod exits;
pub mod result;
mod run;
pub mod sweep;
#[cfg(test)]
mod tests;
pub mod trace;

pub use compare::{CompareResult, Recommendation, compare_page, recommend, write_compare};
pub use result::{ReportError, RunResult};
pub use run::{run_page, write_run};
pub use sweep::{SweepResult, sweep_page, write_sweep};
pub use trace::{Trace, trace_page, write_trace};
