//! Of many things that could be drawn, the few that differ most.

/// At most `most` of the items: the first one, then again and again the one farthest from all that
/// are chosen already; of those equally far the first.
pub(crate) fn differing<T>(
    mut items: Vec<T>,
    most: usize,
    distance: impl Fn(&T, &T) -> f64,
) -> Vec<T> {
    let mut chosen: Vec<T> = Vec::new();
    while chosen.len() < most && !items.is_empty() {
        let nearest =
            |item: &T| chosen.iter().map(|other| distance(item, other)).fold(f64::MAX, f64::min);
        let mut farthest = (0, nearest(&items[0]));
        for (at, item) in items.iter().enumerate().skip(1) {
            let apart = nearest(item);
            if apart > farthest.1 {
                farthest = (at, apart);
            }
        }
        chosen.push(items.remove(farthest.0));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_then_the_farthest() {
        let apart = |a: &f64, b: &f64| (a - b).abs();
        assert_eq!(differing(vec![1.0, 1.1, 9.0, 5.0, 8.9], 3, apart), [1.0, 9.0, 5.0]);
        assert_eq!(differing(vec![2.0, 2.0], 5, apart), [2.0, 2.0]);
        assert!(differing(Vec::<f64>::new(), 5, apart).is_empty());
    }
}
