//! How long something takes, as a distribution.

use serde::{Deserialize, Serialize};

use super::units::TimeSpan;

/// A skewed distribution of times: never below `min`, `mean` on average, one in a hundred above
/// `p99`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Never below this; default zero.
    #[serde(default)]
    pub min: TimeSpan,
    /// The average.
    pub mean: TimeSpan,
    /// 99 of 100 are at most this.
    pub p99: TimeSpan,
}
