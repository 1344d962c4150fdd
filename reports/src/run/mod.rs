//! The report of one run.

mod charts;
mod page;
mod words;
mod write;

pub use page::run_page;
pub use write::write_run;
