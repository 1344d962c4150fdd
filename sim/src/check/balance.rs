//! How evenly the load lay on the nodes, and whether each message was served where the placement
//! says. No violation by itself: the scenario's `[expect]` says what is wanted.

/// Messages that passed the shards of one leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Led {
    /// Taken in.
    pub messages_in: u64,
    /// Handed to consumers.
    pub messages_out: u64,
}

/// The load over the nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// The busiest node's load over the mean load; 1 is perfect.
    pub peak_to_average: f64,
    /// Standard deviation over mean.
    pub variation: f64,
}

impl Balance {
    /// The balance of loads in any unit; `None` where there was no load at all.
    pub fn of(loads: &[f64]) -> Option<Self> {
        let mean = loads.iter().sum::<f64>() / loads.len() as f64;
        if !mean.is_finite() || mean <= 0.0 {
            return None;
        }
        let peak = loads.iter().copied().fold(0.0, f64::max);
        let variance =
            loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / loads.len() as f64;
        Some(Self { peak_to_average: peak / mean, variation: variance.sqrt() / mean })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_lopsided_loads() {
        let even = Balance::of(&[5.0, 5.0, 5.0]).unwrap();
        assert_eq!((even.peak_to_average, even.variation), (1.0, 0.0));
        let all_on_one = Balance::of(&[9.0, 0.0, 0.0]).unwrap();
        assert_eq!(all_on_one.peak_to_average, 3.0);
        assert_eq!(Balance::of(&[0.0, 0.0]), None);
    }
}
