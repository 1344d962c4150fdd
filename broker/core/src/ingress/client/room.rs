//! What a client of a shard does with messages whose queue is full.

use std::{sync::Arc, time::Duration};

use paceline_reached::{Point, reached};

use super::{
    super::{
        Budget,
        held::{Kept, Mark, Step},
    },
    Event, ShardClient, WINDOW_BYTES, WINDOW_COMMANDS,
};
use crate::{DestinationKind, Message, bounds::QueueFull, channel::ToLeader, shard::Command};

impl<T: Clone, S: Clone> ShardClient<T, S> {
    /// Whether others wait for room in the message's queue.
    pub(super) fn waits_behind(&self, message: &Message) -> bool {
        !self.held.is_empty()
            && message.destination.kind == DestinationKind::Queue
            && self.held.why(&message.destination.name).is_some()
    }

    /// What waits for full queues leaves as much free as it takes, as what waits for a leader does.
    pub(super) fn wait_behind(
        &mut self,
        now: Duration,
        message: Arc<Message>,
        asker: T,
        budget: Budget,
    ) {
        let bytes = message.footprint();
        if budget.admit(self.held.bytes(), bytes, false).is_err() {
            let why = self.held.why(&message.destination.name).expect("others wait");
            return self.refuse(asker, &why.clone());
        }
        self.waiting_bytes += bytes;
        self.events.push_back(Event::Held(asker.clone(), true));
        self.held.push(now, Kept { message, bytes, asker });
    }

    /// A message comes back, since its queue has no room.
    pub(super) fn hold(&mut self, now: Duration, kept: Kept<T>, why: QueueFull) {
        reached(Point::RoomAwaited);
        self.events.push_back(Event::Held(kept.asker.clone(), true));
        self.held.give_back(now, kept, why, self.sent_mark());
    }

    fn sent_mark(&self) -> Mark {
        Mark { seq: self.next_seq - 1, question: self.next_question - 1 }
    }

    /// Asks for room, and sends again what there is room for.
    pub(super) fn send_held(&mut self) {
        loop {
            let seq = self.unanswered.front().map_or(u64::MAX, |command| command.seq);
            let question = self.questions.first_key_value().map_or(u64::MAX, |(number, _)| *number);
            match self.held.poll(Mark { seq, question }) {
                None => break,
                Some(Step::Ask { queue, size }) => {
                    self.output.push_back(ToLeader::AwaitRoom { queue, size });
                }
                Some(Step::Send { queue, why, messages }) => {
                    let mut again = true;
                    for kept in messages {
                        self.events.push_back(Event::Held(kept.asker.clone(), false));
                        if !kept.message.persistent {
                            self.send_volatile(kept, false);
                            continue;
                        }
                        let Kept { message, bytes, asker } = kept;
                        let bound = why.bound.clone();
                        let again = std::mem::take(&mut again);
                        let command = Command::PublishWithin { message, again, bound };
                        self.number(command, Vec::new(), true, bytes, asker);
                    }
                    self.held.sent(&queue, self.sent_mark());
                }
            }
        }
        self.send_commands(WINDOW_COMMANDS, WINDOW_BYTES);
    }
}
