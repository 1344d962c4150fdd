//! The report of a sweep: many seeds of some scenarios.

mod coverage;
mod page;
pub(crate) mod result;
mod write;

pub use coverage::Coverage;
pub use page::sweep_page;
pub use result::{CoveragePoint, SWEEP_VERSION, ScenarioSweep, SeedOutcome, SweepResult};
pub use write::write_sweep;
