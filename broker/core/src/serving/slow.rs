//! Topics whose subscribers are too slow.

use std::sync::Arc;

use super::{Serving, Told};

impl<T: Told> Serving<T> {
    /// Topics of which subscribers were too slow for messages, and how many copies they did not get
    /// since this replica began to lead; none where it does not.
    pub fn missed(&self) -> impl Iterator<Item = (&str, u64)> {
        self.term.iter().flat_map(|term| term.dispatcher.missed())
    }

    /// A topic of which a subscriber was too slow for the first time under this leadership.
    pub fn poll_missed(&mut self) -> Option<Arc<str>> {
        self.term.as_mut()?.dispatcher.poll_missed()
    }
}
