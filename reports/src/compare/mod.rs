//! The report of a comparison of placements.

mod change;
mod charts;
mod check;
mod differing;
mod page;
mod recommend;
mod result;
mod spill;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use change::{ChangedNode, FailoverCell, MovementCell, RestartCell};
pub use page::compare_page;
pub use recommend::{Recommendation, recommend};
pub use result::{
    BalanceCell, COMPARE_VERSION, Collisions, CompareResult, CostCell, Course, CourseStep,
    ExpectedBalance, Focus, HashInfo, LoadProfile, MAX_CELLS, Population, Refusal, SaltedPValues,
    SimulatedNode, SimulatedRun, StrategyInfo,
};
pub use spill::SpillCell;
pub use write::write_compare;
