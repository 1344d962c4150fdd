//! What is there at the nodes' clients, of which subscribers are told.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};

use crate::{
    DestinationKind, Message, Source, Value,
    dispatch::{ConsumerKey, Dispatcher},
    presence::Presence,
};

/// See the module. Each by the node that said so and its number there.
#[derive(Debug, Default)]
pub(super) struct Present {
    all: BTreeMap<ConsumerKey, (u64, Presence)>,
    /// How many there are of each topic.
    counts: BTreeMap<Arc<str>, u32>,
    /// Those who began to listen at this leader, to topics. What an earlier leader has told of was told
    /// to others.
    listeners: BTreeMap<ConsumerKey, Source>,
}

impl Present {
    /// A node says over a channel that something is there. Subscribers hear of it where that is news,
    /// and otherwise those who were not there when it was.
    pub(super) fn announce(
        &mut self,
        key: ConsumerKey,
        channel: u64,
        presence: Presence,
        is_news: bool,
        dispatcher: &mut Dispatcher,
    ) {
        if self.all.contains_key(&key) {
            return;
        }
        let count = self.counts.entry(presence.topic().name.clone()).or_default();
        *count += 1;
        if is_news {
            tell(&presence.here, &presence, *count, dispatcher);
        } else {
            reached(Point::PresenceKept);
            let listeners = self.listeners.iter();
            for (listener, _) in listeners.filter(|(_, source)| source.matches(presence.topic())) {
                let message = counted(&presence.here, &presence, *count);
                dispatcher.copy_to_one(*listener, &message);
            }
        }
        self.all.insert(key, (channel, presence));
    }

    /// It is not there any more.
    pub(super) fn withdraw(&mut self, key: ConsumerKey, dispatcher: &mut Dispatcher) {
        let Some((_, presence)) = self.all.remove(&key) else { return };
        let topic = &presence.topic().name;
        let count = self.counts.get_mut(topic).expect("it was counted");
        *count -= 1;
        let left = *count;
        if left == 0 {
            self.counts.remove(topic);
        }
        tell(&presence.gone, &presence, left, dispatcher);
    }

    /// A channel has ended, and what was said over it holds no longer.
    pub(super) fn forget(&mut self, channel: u64, dispatcher: &mut Dispatcher) {
        let of_it = self.all.iter().filter(|(_, (of, _))| *of == channel);
        for key in of_it.map(|(key, _)| *key).collect::<Vec<_>>() {
            reached(Point::PresenceLost);
            self.withdraw(key, dispatcher);
        }
    }

    /// A consumer has begun to listen: it is told of what there is already, and of what nodes that have
    /// not spoken yet say is there.
    pub(super) fn listen(
        &mut self,
        listener: ConsumerKey,
        source: &Source,
        dispatcher: &mut Dispatcher,
    ) {
        for (_, presence) in self.all.values() {
            if source.matches(presence.topic()) {
                reached(Point::PresenceTold);
                let count = self.counts[&presence.topic().name];
                dispatcher.copy_to_one(listener, &counted(&presence.here, presence, count));
            }
        }
        if source.all().iter().any(|one| one.kind == DestinationKind::Topic) {
            self.listeners.insert(listener, source.clone());
        }
    }

    /// A consumer is gone.
    pub(super) fn forget_listener(&mut self, listener: ConsumerKey) {
        self.listeners.remove(&listener);
    }
}

fn tell(message: &Arc<Message>, presence: &Presence, count: u32, dispatcher: &mut Dispatcher) {
    if dispatcher.has_subscriber(presence.topic()) {
        dispatcher.fan_out(&counted(message, presence, count));
    }
}

/// A message that says how many there are.
fn counted(message: &Arc<Message>, presence: &Presence, count: u32) -> Arc<Message> {
    let Some(name) = &presence.counted else { return message.clone() };
    let mut counted = Message::clone(message);
    counted.properties.push((name.clone(), Value::Int(count.try_into().unwrap_or(i32::MAX))));
    counted.into()
}
