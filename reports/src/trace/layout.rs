//! Where things stand. Time goes down the page, but not at one speed: every event has a row of its own,
//! so that nothing hides anything, and a pause adds to it by its order of magnitude.

use super::{ArrowKind, End, LaneKind, Trace};

/// The height of a row.
const ROW: f64 = 18.0;
/// Two labels, one above the other, are at least so far apart.
const LINE: f64 = 12.0;
/// Above the first row stands what holds when the window begins.
const TOP: f64 = 42.0;
const BOTTOM: f64 = 22.0;
/// A pause from which on it is named, in seconds.
pub(super) const PAUSE_S: f64 = 0.1;
/// How far from the end whose time is known the other one is drawn, in each step.
const NEAR: f64 = 7.0;
/// A lane is at least so wide.
pub(super) const LANE_MIN: f64 = 30.0;
/// A letter of a label is about so wide, and a narrow page so much, without the times.
const LETTER: f64 = 5.7;
pub(super) const NARROW: f64 = 320.0;

/// The heights of all points.
pub(super) struct Layout {
    /// Of each point.
    pub ys: Vec<f64>,
    /// Of the whole.
    pub height: f64,
    /// Where its label stands.
    pub places: Vec<Place>,
    times: Vec<f64>,
    window: (f64, f64),
}

impl Layout {
    pub fn of(trace: &Trace) -> Self {
        let times: Vec<f64> = trace.points.iter().map(|it| it.at_s).collect();
        let places: Vec<Place> = (0..times.len()).map(|it| place(trace, it)).collect();
        let mut ys = Vec::with_capacity(times.len());
        let mut y = TOP;
        for (i, time) in times.iter().enumerate() {
            if i > 0 {
                let row = ROW + more(time - times[i - 1]);
                let (above, below) = (&trace.points[i - 1], &trace.points[i]);
                let beside = match (above.lane, below.lane) {
                    (Some(one), Some(other)) => one.abs_diff(other) <= 2,
                    _ => true,
                };
                let labels = row + f64::from(places[i].dy - places[i - 1].dy);
                y += if beside { row + (LINE - labels).max(0.0) } else { row };
            }
            ys.push(y);
        }
        let height = ys.last().unwrap_or(&TOP) + BOTTOM;
        let window = (trace.window.from_s, trace.window.to_s);
        Self { ys, height, places, times, window }
    }

    /// Where a moment is; one between two points stands between them.
    pub fn at(&self, time: f64) -> f64 {
        if time <= self.window.0 {
            return 0.0;
        }
        if time >= self.window.1 {
            return self.height;
        }
        let after = self.times.partition_point(|it| *it < time);
        match (after.checked_sub(1), self.times.get(after)) {
            (_, Some(&exactly)) if exactly == time => self.ys[after],
            (None, _) => 0.0,
            (_, None) => self.height,
            (Some(before), Some(next)) => {
                let part = (time - self.times[before]) / (next - self.times[before]);
                self.ys[before] + part * (self.ys[after] - self.ys[before])
            }
        }
    }

    /// The corners of an arrow: lane and height.
    pub fn corners(&self, trace: &Trace, index: usize) -> Vec<(usize, f64)> {
        let arrow = &trace.arrows[index];
        let known = |end: End| match end {
            End::Point(point) => Some(self.ys[point]),
            End::Lane(_) => None,
        };
        let lane = |end: End| match end {
            End::Point(point) => trace.points[point].lane,
            End::Lane(lane) => Some(lane),
        };
        let (Some(first), Some(last)) = (lane(arrow.from), lane(arrow.to)) else {
            return Vec::new();
        };
        let via = arrow.via.filter(|via| *via != first && *via != last);
        let steps = if via.is_some() { 2.0 } else { 1.0 };
        let (from, to) = match (known(arrow.from), known(arrow.to)) {
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) => (from, from + steps * NEAR),
            (None, Some(to)) => (to - steps * NEAR, to),
            (None, None) => return Vec::new(),
        };
        // What a leader gives out is at its ingress node soon, and what a client sends too.
        let soon = match arrow.kind {
            ArrowKind::Deliver | ArrowKind::Settle => 0.5,
            _ => (NEAR / (to - from)).min(0.5),
        };
        let via = via.map(|via| (via, from + soon * (to - from)));
        [Some((first, from)), via, Some((last, to))].into_iter().flatten().collect()
    }
}

/// What a pause adds to the height of a row.
fn more(seconds: f64) -> f64 {
    match seconds {
        it if it >= PAUSE_S => 16.0 + 6.0 * (it / PAUSE_S).log10().clamp(0.0, 3.0),
        it if it > 1e-3 => 5.0 * (it / 1e-3).log10(),
        _ => 0.0,
    }
}

/// Where the label of a point stands beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// To the left of it.
    pub left: bool,
    /// Below the middle of its row, or above: arrows come from above and go down.
    pub dy: i32,
}

/// A label keeps clear of the arrows at its point, and within a narrow page.
fn place(trace: &Trace, index: usize) -> Place {
    const MIDDLE: i32 = 4;
    const ABOVE: i32 = -4;
    const BELOW: i32 = 12;
    let point = &trace.points[index];
    let Some(lane) = point.lane else { return Place { left: false, dy: ABOVE } };
    let width = point.label.chars().count() as f64 * LETTER + 9.0;
    let x = NARROW.max(trace.lanes.len() as f64 * LANE_MIN)
        * ((lane as f64 + 0.5) / trace.lanes.len() as f64);
    let fits_left = x > width;
    let comes = trace.arrows.iter().any(|it| it.to == End::Point(index));
    let goes = trace.arrows.iter().any(|it| it.from == End::Point(index));
    let level = match (comes, goes) {
        (true, false) => BELOW,
        (false, true) => ABOVE,
        _ => MIDDLE,
    };
    match trace.lanes[lane].kind {
        LaneKind::Producer => Place { left: false, dy: level },
        LaneKind::Consumer if fits_left => Place { left: true, dy: level },
        LaneKind::Node if fits_left => Place { left: true, dy: MIDDLE },
        _ => Place { left: false, dy: level },
    }
}
