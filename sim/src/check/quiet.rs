//! The quiet times of a run: while no fault holds, and long enough after the last one that its
//! traces are gone. What may be lost amid faults must not be lost then.

use std::time::Duration;

/// How long things take at the most while nothing is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// From the end of a fault until all links and clients have come back.
    pub healed: Duration,
    /// From the beginning of a leadership until every node has told it of its consumers.
    pub known: Duration,
    /// From an acknowledgement until what was acknowledged is with its consumers.
    pub delivered: Duration,
    /// Under way in the network, together with what is settled and not told yet.
    pub flight: Duration,
    /// From the end of a connection until its client notices.
    pub noticed: Duration,
    /// From when a client falls silent until the broker gives it up, and what it held comes back.
    pub given_up: Duration,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// How long things take.
    pub margins: Margins,
    /// From when to when, in order.
    times: Vec<(Duration, Duration)>,
}

impl Quiet {
    /// What is left of the time until `end` without these faults, each from its beginning to its
    /// end, and the margins around them.
    pub fn between(faults: &[(Duration, Duration)], end: Duration, margins: Margins) -> Self {
        let mut faults = faults.to_vec();
        faults.sort_unstable();
        let mut times = Vec::new();
        let mut from = Duration::ZERO;
        for (begin, until) in faults {
            let to = begin.saturating_sub(margins.delivered).min(end);
            if from < to {
                times.push((from, to));
            }
            from = from.max(until + margins.healed);
        }
        if from < end {
            times.push((from, end));
        }
        Self { margins, times }
    }

    /// Whether it was quiet all the time between the two instants.
    pub fn covers(&self, from: Duration, to: Duration) -> bool {
        self.times.iter().any(|(begin, end)| *begin <= from && to <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_quiet_between_faults_but_for_the_margins() {
        let margins = Margins { healed: second(5), delivered: second(1), ..Margins::default() };
        let faults = [(20, 21), (10, 14), (12, 13), (22, 23)];
        let faults = faults.map(|(from, to)| (second(from), second(to)));
        let quiet = Quiet::between(&faults, second(40), margins);
        let covers = |from, to| quiet.covers(second(from), second(to));
        assert!(covers(0, 9) && covers(28, 40));
        // The second fault ends within the first, and between the third and the fourth is no time.
        for (from, to) in [(0, 10), (8, 20), (14, 18), (18, 19), (27, 30), (30, 41)] {
            assert!(!covers(from, to), "{from} to {to}");
        }
    }
}
