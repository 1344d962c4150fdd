//! Where a scenario runs.

#[cfg(madsim)]
pub mod simulated;
