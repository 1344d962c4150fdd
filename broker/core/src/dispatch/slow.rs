//! What subscribers of topics were too slow for, so that it is not lost without a word.

use std::{collections::BTreeMap, sync::Arc};

use super::Dispatcher;

/// How many copies each topic's subscribers did not get since the leadership began.
#[derive(Debug, Default)]
pub(super) struct Missed {
    by_topic: BTreeMap<Arc<str>, u64>,
    /// Topics of which nobody has been told yet.
    untold: Vec<Arc<str>>,
}

impl Missed {
    pub(super) fn count(&mut self, topic: &Arc<str>) {
        match self.by_topic.get_mut(topic) {
            Some(count) => *count += 1,
            None => {
                self.by_topic.insert(topic.clone(), 1);
                self.untold.push(topic.clone());
            }
        }
    }
}

impl Dispatcher {
    /// The topics of which subscribers were too slow for messages under this leadership, and how many
    /// copies they did not get, by name.
    pub fn missed(&self) -> impl Iterator<Item = (&str, u64)> {
        self.missed.by_topic.iter().map(|(topic, count)| (&**topic, *count))
    }

    /// The next of those topics that has not been given out yet. Each is once.
    pub fn poll_missed(&mut self) -> Option<Arc<str>> {
        self.missed.untold.pop()
    }
}
