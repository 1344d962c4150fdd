//! Run results in; tables, plots and one self-contained HTML page out.
//!
//! Whoever runs something (a scenario, a sweep, a comparison) fills in a plain value from
//! [`result`], [`sweep`] or [`compare`] and hands it over. This crate knows nothing of brokers, worlds or
//! strategies: it depends on no other crate of the project, so a result written today can be drawn
//! again by any later version that reads its schema version.

mod balance;
pub mod compare;
mod compare_charts;
mod compare_page;
pub mod coverage;
mod csv;
mod differing;
pub mod exits;
mod html;
mod plot;
mod recommend;
pub mod result;
mod run_charts;
mod run_page;
pub mod sweep;
mod sweep_page;
mod write;

pub use compare::CompareResult;
pub use compare_page::compare_page;
pub use recommend::{Recommendation, recommend};
pub use result::{ReportError, RunResult};
pub use run_page::run_page;
pub use sweep::SweepResult;
pub use sweep_page::sweep_page;
pub use write::{write_compare, write_run, write_sweep};
