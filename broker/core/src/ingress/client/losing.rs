//! What becomes of what was under way when a channel ends.

use std::{collections::VecDeque, time::Duration};

use paceline_reached::{Point, reached};

use super::{super::held::Kept, Event, Question, ShardClient, topics::may_be_stored};

impl<T: Clone, S: Clone> ShardClient<T, S> {
    /// The channel is gone: everything unanswered will be sent on the next one.
    pub(super) fn handle_lost(&mut self, now: Duration) {
        let was_found = self.search.is_found();
        self.search.handle_lost(now);
        if !was_found {
            return;
        }
        if self.sent > 0 {
            reached(Point::CommandsResent);
        }
        self.sent = 0;
        self.sent_bytes = 0;
        self.output.clear();
        self.held.handle_lost();
        // What a browser was sent is a copy, and stays.
        let consumers = self.consumers.values();
        for consumer in consumers.filter(|consumer| !consumer.subscription.browses) {
            self.events.push_back(Event::LeaderLost(consumer.sink.clone()));
        }
        let mut again = VecDeque::new();
        for question in std::mem::take(&mut self.questions).into_values() {
            match question {
                Question::Publishes { kept, .. } if may_be_stored(&kept.message) => {
                    reached(Point::TopicAskedAgain);
                    again.push_back(kept);
                }
                // A message in a leader's memory may be lost with it: its sender agreed to that.
                // Sent again it might arrive twice, which nobody agreed to.
                Question::Publishes { kept: Kept { asker, bytes, .. }, .. } => {
                    reached(Point::VolatileOperationLost);
                    self.waiting_bytes -= bytes;
                    self.adrift.push((self.term, asker));
                }
                Question::Ends { asker } | Question::Settles { asker } => {
                    self.events.push_back(Event::Ended(asker, Ok(())));
                }
                // Attached again on the next channel.
                Question::Attaches { .. } => {}
            }
        }
        self.ask_again(again);
    }
}
