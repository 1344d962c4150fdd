//! Axes: linear, logarithmic or a list of names, with ticks at round numbers and labels short
//! enough to be read on a phone. One type for all three, so that a chart need not be generic.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// One axis of a chart.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    scale: Scale,
    min: f64,
    max: f64,
    ticks: Vec<(f64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Log,
    /// Integers, the first at the high end.
    Rows,
}

impl Axis {
    /// A linear axis that spans at least the given range, rounded outwards to whole ticks.
    pub(crate) fn linear(min: f64, max: f64, most_ticks: usize) -> Axis {
        let (min, max) = widened(min, max);
        let step = round_step((max - min) / most_ticks.max(1) as f64);
        let (low, high) = ((min / step + 1e-9).floor() * step, (max / step - 1e-9).ceil() * step);
        let count = ((high - low) / step).round() as usize;
        let ticks = (0..=count).map(|i| low + step * i as f64);
        let ticks = ticks.map(|v| (v, with_step(v, step))).collect();
        Axis { scale: Scale::Linear, min: low, max: high, ticks }
    }

    /// A linear axis from exactly `min`, which is labelled, to at least `max`.
    pub(crate) fn linear_from(min: f64, max: f64, most_ticks: usize) -> Axis {
        let mut axis = Axis::linear(min, max, most_ticks);
        let step = axis.ticks.windows(2).next().map_or(1.0, |pair| pair[1].0 - pair[0].0);
        axis.ticks.retain(|&(v, _)| v > min + step * 0.3);
        axis.ticks.insert(0, (min, with_step(min, step.min(1.0))));
        axis.min = min;
        axis
    }

    /// A linear axis from 0 to exactly `max`: for time, which should not end in an empty rest.
    pub(crate) fn time(max: f64, most_ticks: usize) -> Axis {
        let mut axis = Axis::linear(0.0, max, most_ticks);
        if max > 0.0 {
            axis.max = max;
            axis.ticks.retain(|&(v, _)| v <= max * 1.0001);
        }
        axis
    }

    /// A logarithmic axis; both ends must be above 0.
    pub(crate) fn log(min: f64, max: f64, most_ticks: usize) -> Axis {
        assert!(min > 0.0 && min.is_finite() && max.is_finite(), "log axis from {min} to {max}");
        let max = max.max(min);
        if max / min < 4.0 {
            // Less than the marks 1, 2 and 5 could divide: ticks as on a linear axis.
            let linear = Axis::linear(min, max, most_ticks);
            let low = linear.ticks.iter().map(|tick| tick.0).find(|&v| v > 0.0);
            let ticks: Vec<_> = linear.ticks.into_iter().filter(|tick| tick.0 > 0.0).collect();
            let low = if linear.min > 0.0 { linear.min } else { low.unwrap_or(min).min(min) };
            return Axis { scale: Scale::Log, min: low, max: linear.max, ticks };
        }
        // What is beyond a whole decade by a hair does not deserve another one.
        let (low, high) = ((min * 1.001).log10().floor(), (max * 0.999).log10().ceil());
        if high - low <= 2.0 {
            // Few decades: 1, 2 and 5 of each, and no more room than the data needs.
            let decades = (low as i32..=high as i32).map(|e| 10f64.powi(e));
            let marks: Vec<f64> =
                decades.flat_map(|d| [1.0, 2.0, 5.0].map(|mantissa| d * mantissa)).collect();
            let low = marks.iter().copied().filter(|&v| v <= min * 1.0001).fold(min, |_, v| v);
            let high = marks.iter().copied().find(|&v| v >= max * 0.9999).unwrap_or(max);
            let high = if high > low { high } else { low * 2.0 };
            let ticks = marks.into_iter().filter(|v| (low * 0.999..=high * 1.001).contains(v));
            let ticks = ticks.map(|v| (v, short(v))).collect();
            return Axis { scale: Scale::Log, min: low, max: high, ticks };
        }
        let stride = ((high - low) / most_ticks.max(1) as f64).ceil().max(1.0) as usize;
        let ticks = (low as i32..=high as i32).step_by(stride).map(|e| 10f64.powi(e));
        let ticks = ticks.map(|v| (v, short(v))).collect();
        Axis { scale: Scale::Log, min: 10f64.powf(low), max: 10f64.powf(high), ticks }
    }

    /// Names from left to right. Labels are left out evenly where `room` (in characters for the
    /// whole axis) does not hold them all.
    pub(crate) fn columns(names: &[String], room: usize) -> Axis {
        let names: Vec<String> = names.iter().map(|name| shortened(name, 14)).collect();
        let longest = names.iter().map(|name| name.chars().count() + 2).max().unwrap_or(1);
        let stride = (names.len() * longest).div_ceil(room.max(1)).max(1);
        let max = names.len().max(1) as f64 - 0.5;
        let ticks = names.into_iter().enumerate().step_by(stride);
        let ticks = ticks.map(|(i, name)| (i as f64, name)).collect();
        Axis { scale: Scale::Linear, min: -0.5, max, ticks }
    }

    /// Names from top to bottom, at most `most` of them labelled.
    pub(crate) fn rows(names: &[String], most: usize) -> Axis {
        let stride = names.len().div_ceil(most.max(1)).max(1);
        let ticks = names.iter().enumerate().step_by(stride);
        let ticks = ticks.map(|(i, name)| (i as f64, shortened(name, 22))).collect();
        Axis { scale: Scale::Rows, min: -0.5, max: names.len().max(1) as f64 - 0.5, ticks }
    }

    /// The same axis with a little room beyond both ends, for dots that would lie on its edge.
    pub(crate) fn padded(mut self) -> Axis {
        match self.scale {
            Scale::Log => {
                let room = (self.max / self.min).powf(0.04);
                (self.min, self.max) = (self.min / room, self.max * room);
            }
            Scale::Linear | Scale::Rows => {
                let room = (self.max - self.min) * 0.04;
                (self.min, self.max) = (self.min - room, self.max + room);
            }
        }
        self
    }

    /// The same axis with other words at its ticks.
    pub(crate) fn labelled(mut self, label: impl Fn(f64) -> String) -> Axis {
        for (value, text) in &mut self.ticks {
            *text = label(*value);
        }
        self
    }

    /// The ends of the axis.
    pub(crate) fn span(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// The number of characters of the longest tick label.
    pub(crate) fn label_length(&self) -> usize {
        self.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0)
    }

    /// Whether the axis is a list of names from top to bottom.
    pub(crate) fn is_rows(&self) -> bool {
        self.scale == Scale::Rows
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let value = value.clamp(self.min, self.max);
        let at = match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => (value / self.min).log10() / (self.max / self.min).log10(),
            Scale::Rows => (self.max - value) / (self.max - self.min),
        };
        limit.0 + (at * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|&(value, _)| value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.min..self.max
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == value);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// A range that is neither empty nor upside down.
fn widened(min: f64, max: f64) -> (f64, f64) {
    assert!(min.is_finite() && max.is_finite(), "axis from {min} to {max}");
    if max > min {
        (min, max)
    } else if min == 0.0 {
        (0.0, 1.0)
    } else {
        let around = min.abs() * 0.1;
        (min - around, min + around)
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let mantissa = [1.0, 2.0, 5.0].into_iter().find(|m| m * decade >= step * 0.9999);
    mantissa.unwrap_or(10.0) * decade
}

/// A tick label with as many decimals as its step needs.
fn with_step(value: f64, step: f64) -> String {
    if value.abs() >= 1000.0 || step >= 1000.0 {
        return short(value);
    }
    let decimals = (-(step * 1.0001).log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        "0".into()
    } else {
        text
    }
}

/// A number in a few characters: `0.5`, `950`, `1.2k`, `34M`.
pub(crate) fn short(value: f64) -> String {
    let magnitude = value.abs();
    let (scaled, unit) = match magnitude {
        m if m >= 1e12 => (value / 1e12, "T"),
        m if m >= 1e9 => (value / 1e9, "G"),
        m if m >= 1e6 => (value / 1e6, "M"),
        m if m >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = match scaled.abs() {
        0.0 => "0".to_owned(),
        s if s >= 0.01 => format!("{scaled:.2}"),
        _ => return format!("{scaled:.0e}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// The name with its middle left out where it is longer than `most` characters.
pub(crate) fn shortened(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        return name.to_owned();
    }
    let head = most / 2;
    let tail = most - head - 1;
    let mut text: String = name.chars().take(head).collect();
    text.push('…');
    text.extend(name.chars().skip(count - tail));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn an_axis_begins_where_it_is_told_to() {
        let axis = Axis::linear_from(1.0, 6.3, 5);
        assert_eq!(axis.span(), (1.0, 8.0));
        let labels: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(labels, ["1", "2", "4", "6", "8"]);
        assert_eq!(Axis::linear_from(1.0, 1.0, 5).span().0, 1.0);
    }

    #[test]
    fn a_hair_beyond_a_decade_opens_no_other() {
        assert_eq!(Axis::log(0.9999, 1000.0, 6).span(), (1.0, 1000.0));
    }

    #[test]
    fn ticks_are_round_numbers_around_the_data() {
        assert_eq!(labels(&Axis::linear(0.0, 1.07, 5)), ["0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(&Axis::linear(0.0, 4200.0, 5)), ["0", "1k", "2k", "3k", "4k", "5k"]);
        assert_eq!(labels(&Axis::linear(1.0, 1.08, 4)), ["1.00", "1.02", "1.04", "1.06", "1.08"]);
        assert_eq!(labels(&Axis::log(3.0, 70.0, 5)), ["2", "5", "10", "20", "50", "100"]);
        assert_eq!(labels(&Axis::log(1.0, 1.37, 4)), ["1.0", "1.1", "1.2", "1.3", "1.4"]);
        assert_eq!(labels(&Axis::log(10.0, 1e5, 5)), ["10", "100", "1k", "10k", "100k"]);
    }

    #[test]
    fn degenerate_ranges_still_have_an_extent() {
        for axis in [Axis::linear(0.0, 0.0, 5), Axis::linear(7.0, 7.0, 5), Axis::log(3.0, 3.0, 5)] {
            let (min, max) = axis.span();
            assert!(max > min, "{axis:?}");
            assert!(axis.ticks.len() >= 2, "{axis:?}");
        }
        assert_eq!(Axis::columns(&[], 40).span(), (-0.5, 0.5));
        assert_eq!(Axis::time(0.0, 5).span(), (0.0, 1.0));
    }

    #[test]
    fn column_labels_are_thinned_until_they_fit() {
        let names: Vec<String> = (0..100).map(|i| format!("node{i}")).collect();
        assert!(Axis::columns(&names, 50).ticks.len() <= 7);
        assert_eq!(Axis::columns(&names[..3], 50).ticks.len(), 3);
    }

    #[test]
    fn rows_run_downwards_and_values_outside_stay_at_the_edge() {
        let axis = Axis::rows(&["a".into(), "b".into()], 10);
        assert!(axis.map(&0.0, (100, 0)) < axis.map(&1.0, (100, 0)));
        assert_eq!(Axis::linear(0.0, 10.0, 5).map(&99.0, (0, 50)), 50);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (12.0, "12"),
            (1500.0, "1.5k"),
            (2e6, "2M"),
            (1e-4, "1e-4"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(shortened("a-very-long-destination", 9), "a-ve…tion");
    }
}
