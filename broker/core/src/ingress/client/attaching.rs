//! Consumers at a shard's leader.

use super::{Event, Question, ShardClient};
use crate::{channel::ToLeader, operation::Refusal};

impl<T: Clone, S: Clone> ShardClient<T, S> {
    pub(super) fn attach(&mut self, consumer: u64) {
        let term = self.term;
        let Some(known) = self.consumers.get_mut(&consumer).filter(|known| !known.ended) else {
            return;
        };
        // Who asked for it waits as long as no leader has said that it knows it. A leader whose channel
        // has ended has forgotten it.
        let is_new = known.asker.is_some() || known.attached_in.is_none_or(|in_| in_ == term);
        known.attached_in = Some(term);
        let (subscription, after) = (known.subscription.clone(), known.browsed);
        let number = self.ask(Question::Attaches { consumer });
        self.output.push_back(match subscription.browses {
            true => ToLeader::Browse { number, consumer, subscription, after },
            false => ToLeader::Attach { number, consumer, subscription, is_new },
        });
    }

    /// A leader has attached a consumer or not. Whoever asked for it is told once.
    pub(super) fn handle_attached(&mut self, consumer: u64, result: Result<(), String>) {
        let Some(known) = self.consumers.get_mut(&consumer) else { return };
        let (asker, sink) = (known.asker.take(), known.sink.clone());
        if result.is_err() {
            self.consumers.remove(&consumer);
        }
        match (asker, result) {
            (Some(asker), result) => {
                let result = result.map_err(Refusal::Rejected);
                self.events.push_back(Event::Ended(asker, result));
            }
            (None, Err(why)) => self.events.push_back(Event::Detached(sink, why)),
            (None, Ok(())) => {}
        }
    }
}
