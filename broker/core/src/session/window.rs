//! How many deliveries a consumer may hold unsettled.

/// A consumer's prefetch, and what open transactions add to it.
///
/// What open transactions acknowledge stays unsettled until they end, so a transaction that
/// acknowledges more than the prefetch would wait for ever. As with ActiveMQ's prefetch extension it
/// does not count against the prefetch. Asked for is half a prefetch at a time at least, so that a
/// transaction that acknowledges less costs nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    prefetch: u32,
    /// What the cluster was asked for last.
    asked: u32,
    /// Deliveries that open transactions acknowledge.
    pledged: u32,
}

impl Window {
    /// A window of which the cluster is asked for the prefetch.
    pub(super) fn new(prefetch: u32) -> Self {
        Self { prefetch, asked: prefetch, pledged: 0 }
    }

    /// Open transactions acknowledge so many deliveries more. What to ask the cluster for now, if
    /// that changes.
    pub(super) fn pledge(&mut self, deliveries: u32) -> Option<u32> {
        self.pledged += deliveries;
        self.adapt()
    }

    /// The end of transactions that acknowledge so many deliveries; otherwise as [`Self::pledge`].
    pub(super) fn redeem(&mut self, deliveries: u32) -> Option<u32> {
        self.pledged -= deliveries;
        self.adapt()
    }

    /// Another prefetch. What to ask the cluster for now, if that changes.
    pub(super) fn change(&mut self, prefetch: u32) -> Option<u32> {
        self.prefetch = prefetch;
        let needed = prefetch.saturating_add(self.pledged);
        (std::mem::replace(&mut self.asked, needed) != needed).then_some(needed)
    }

    fn adapt(&mut self) -> Option<u32> {
        let needed = self.prefetch.saturating_add(self.pledged);
        let is_narrow = self.asked.saturating_sub(self.pledged) < self.prefetch.div_ceil(2);
        if !is_narrow && self.asked <= needed {
            return None;
        }
        self.asked = needed;
        Some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_transactions_acknowledge_and_shrinks_with_their_end() {
        let mut window = Window::new(100);
        let one_by_one = |window: &mut Window, count| -> Vec<(u32, u32)> {
            let asked = (1..=count).map(|at| (at, window.pledge(1)));
            asked.filter_map(|(at, asked)| Some((at, asked?))).collect()
        };
        assert_eq!(one_by_one(&mut window, 50), [], "half of it is free");
        assert_eq!(window.redeem(50), None);
        assert_eq!(one_by_one(&mut window, 150), [(51, 151), (102, 202)]);
        assert_eq!(window.redeem(100), Some(150));
        assert_eq!(window.redeem(50), Some(100));
        assert_eq!(Window::new(1).pledge(1), Some(2));
        assert_eq!(window.change(100), None);
        assert_eq!(window.pledge(10), None);
        assert_eq!(window.change(0), Some(10));
        assert_eq!(window.change(1), Some(11));
    }
}
