//! Persistent messages of topics, which are stored where somebody stays subscribed.
//!
//! Only the leader knows whether somebody does. So they go to its memory, as all that is not stored,
//! until it says of a topic's message that it is to be stored. Then that one and all that follow it go
//! through the log, in the order in which they came: behind what is under way, since the leader says the
//! same of that.
//!
//! One that was lost with its leader may have to be stored, so the next leader is asked; what need not
//! be is as lost as it ever was.

use std::{collections::VecDeque, sync::Arc};

use super::{super::held::Kept, Question, ShardClient};
use crate::{DestinationKind, Message, shard::Command};

/// What is to be stored of one topic.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// How many of the topic's messages the leader has not answered, or is still to be sent.
    open: usize,
    /// Those that wait until there are none, and whether a leader that died may have handed each on.
    waiting: VecDeque<(Kept<T>, bool)>,
}

/// Whether a message goes to the leader's memory, and perhaps has to be stored.
pub(super) fn may_be_stored(message: &Message) -> bool {
    message.persistent && message.destination.kind == DestinationKind::Topic
}

impl<T: Clone, S: Clone> ShardClient<T, S> {
    /// Whether a message is to be stored, as a leader has said.
    pub(super) fn is_stored(&self, message: &Message) -> bool {
        may_be_stored(message) && self.stored.contains_key(&message.destination.name)
    }

    /// A message that is to be stored, behind the others of its topic.
    pub(super) fn store(&mut self, kept: Kept<T>, again: bool) {
        let topic = kept.message.destination.name.clone();
        let line = self.stored.get_mut(&topic).expect("a leader has said so");
        line.waiting.push_back((kept, again));
        self.send_stored(&topic);
    }

    fn send_stored(&mut self, topic: &str) {
        let Some(line) = self.stored.get_mut(topic).filter(|line| line.open == 0) else { return };
        for (Kept { message, bytes, asker }, again) in std::mem::take(&mut line.waiting) {
            let command = match again {
                true => Command::Store { message },
                false => Command::Publish { message },
            };
            self.number(command, Vec::new(), true, bytes, asker);
        }
    }

    /// The leader has said that a message is to be stored.
    pub(super) fn handle_store(&mut self, kept: Kept<T>, again: bool) {
        let topic: Arc<str> = kept.message.destination.name.clone();
        match self.stored.get_mut(&topic) {
            Some(line) => line.open -= 1,
            None => {
                let of_it = |it: &Kept<T>| {
                    may_be_stored(&it.message) && it.message.destination.name == topic
                };
                let asked = self.questions.values().filter_map(|question| match question {
                    Question::Publishes { kept, .. } => Some(kept),
                    _ => None,
                });
                let open = asked.chain(&self.volatile).filter(|it| of_it(it)).count();
                self.stored.insert(topic, Line { open, waiting: VecDeque::new() });
            }
        }
        self.store(kept, again);
    }

    /// The leader has taken a message into its memory, or refused it.
    pub(super) fn handle_not_stored(&mut self, message: &Message) {
        if !self.is_stored(message) {
            return;
        }
        let topic = &message.destination.name;
        self.stored.get_mut(topic).expect("just looked up").open -= 1;
        self.send_stored(topic);
    }

    /// These were lost with their leader.
    pub(super) fn ask_again(&mut self, mut lost: VecDeque<Kept<T>>) {
        lost.append(&mut self.again);
        for kept in lost {
            match self.stored.get_mut(&kept.message.destination.name) {
                Some(line) => line.waiting.push_back((kept, true)),
                None => self.again.push_back(kept),
            }
        }
        for kept in std::mem::take(&mut self.volatile) {
            match self.stored.get_mut(&kept.message.destination.name) {
                Some(line) if may_be_stored(&kept.message) => line.waiting.push_back((kept, false)),
                _ => self.volatile.push_back(kept),
            }
        }
        for topic in self.stored.keys().cloned().collect::<Vec<_>>() {
            self.stored.get_mut(&topic).expect("just listed").open = 0;
            self.send_stored(&topic);
        }
    }

    /// A leader says anew what is to be stored, unless something is on its way there.
    pub(super) fn forget_stored(&mut self) {
        if self.unanswered.is_empty() {
            self.stored.clear();
        }
    }
}
