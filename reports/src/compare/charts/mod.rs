//! The charts of a comparison of placements.

mod balance;
mod change;
mod curves;
mod runs;

use crate::compare::recommend::Candidate;
use crate::draw::plot::Layer;
use crate::draw::theme::Paint;

pub(crate) use self::balance::{cdf, lorenz, p_values, peaks, sorted_loads};
pub(crate) use self::change::{failover_peaks, movement, pareto};
pub(crate) use self::curves::{Curve, CurveStyle, curves, peak_curves};
pub(crate) use self::runs::{course, latency_against_load, simulated};

/// The most rows of a table behind a chart.
const ROWS: usize = 60;

/// Two-sided 95 % of a normal distribution, in standard deviations.
const Z95: f64 = 1.96;

/// One strategy per row with its figures, all under one hash where possible: the best of each.
pub(crate) type Rows<'a> = [&'a Candidate<'a>];

/// The most bars that are drawn: more would be thinner than a line.
const BARS: usize = 250;

fn bars(name: &str, values: Vec<f64>, base: f64) -> Layer {
    Layer::Bars { name: name.into(), values, base, paint: Paint::Series(0), width: 0.62 }
}
