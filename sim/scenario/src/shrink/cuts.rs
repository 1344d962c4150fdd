//! What to leave of a number or a list, whatever it counts.

use std::ops::Range;

/// Numbers below this one: the least, then half the way there, a quarter, and so on to one less.
pub(super) fn numbers(value: u64, least: u64) -> impl Iterator<Item = u64> {
    let all = value.saturating_sub(least);
    let cuts = std::iter::successors(Some(all), |cut| Some(cut / 2));
    cuts.take_while(|cut| *cut > 0).map(move |cut| value - cut)
}

/// What to leave out of a list of this length: all of it, each half, each quarter, and so on to each
/// single entry. What ends a list is left out first: it had the least time to do something.
pub(super) fn parts(length: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut size = length;
    while size > 0 {
        let starts = (0..length).step_by(size).rev();
        parts.extend(starts.map(|from| from..length.min(from + size)));
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    parts
}

/// The entries that are not in this part.
pub(super) fn without<T: Clone>(list: &[T], part: &Range<usize>) -> Vec<T> {
    [&list[..part.start], &list[part.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_least_and_then_less_far() {
        assert_eq!(numbers(12, 1).collect::<Vec<_>>(), [1, 7, 10, 11]);
        assert_eq!(numbers(1, 1).count() + numbers(0, 1).count(), 0);
    }

    #[test]
    fn a_list_is_left_out_in_parts_that_cover_it() {
        assert_eq!(parts(3), [0..3, 2..3, 0..2, 2..3, 1..2, 0..1]);
        assert!(parts(0).is_empty());
        assert_eq!(without(&['a', 'b', 'c'], &(1..2)), ['a', 'c']);
    }
}
