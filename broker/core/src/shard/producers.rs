//! Messages that producers send a second time.
//!
//! A client that loses its node cannot know what became of what it had sent and was not answered, and
//! sends that again, to another node. Clients of OpenWire name each message by its producer and a number
//! that only grows; so the shard remembers, for each producer of late, which numbers it has stored, and
//! answers a message that has one of them without storing it again.
//!
//! What is remembered are ranges of numbers: one of a producer that sends to one queue; of others one for
//! each message to this shard. The lowest of a producer with too many are forgotten, and so are the
//! producers that have sent nothing for the longest time. What is forgotten is taken for new: better
//! twice than never.
//!
//! Messages of transactions are not looked at: no client sends those again under the names that they had.

use std::{collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::{ShardState, command::MessageRef, step::Step};
use crate::{Message, UnixMillis};

/// The most ranges of one producer: as many messages as a client may have unanswered, unless its node's
/// configuration says otherwise.
const MOST_RANGES: usize = 1_024;

/// The most ranges of all producers of a shard.
const MOST_RANGES_IN_ALL: usize = 16_384;

/// What has sent nothing for so long is forgotten: clients have given up before.
const KEPT_MILLIS: u64 = 10 * 60 * 1_000;

/// What is known of one producer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Producer {
    /// The numbers of what is stored: ascending, with gaps between them, at least one.
    stored: Vec<(i64, i64)>,
    /// Its last message.
    last: MessageRef,
    at: UnixMillis,
}

pub(super) type ProducerTable = BTreeMap<Arc<str>, Producer>;

/// What follows from the table.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducersByUse {
    /// By their last messages.
    names: BTreeMap<MessageRef, Arc<str>>,
    /// Ranges of all of them.
    ranges: usize,
}

impl Producer {
    fn has_stored(&self, number: i64) -> bool {
        let after = self.stored.partition_point(|(first, _)| *first <= number);
        after > 0 && number <= self.stored[after - 1].1
    }

    /// Notes a number that it has not.
    fn note(&mut self, number: i64) {
        let place = self.stored.partition_point(|(first, _)| *first <= number);
        let joins_last = place > 0 && self.stored[place - 1].1.checked_add(1) == Some(number);
        let next = self.stored.get(place).map(|(first, _)| *first);
        let joins_next = next.is_some() && number.checked_add(1) == next;
        match (joins_last, joins_next) {
            (true, true) => {
                let (_, end) = self.stored.remove(place);
                self.stored[place - 1].1 = end;
            }
            (true, false) => self.stored[place - 1].1 = number,
            (false, true) => self.stored[place].0 = number,
            (false, false) => self.stored.insert(place, (number, number)),
        }
        if self.stored.len() > MOST_RANGES {
            self.stored.remove(0);
        }
    }
}

impl ShardState {
    /// Whether a message is stored already that a producer sends now.
    pub(super) fn is_resent(&self, message: &Message) -> bool {
        let Some((producer, number)) = sender(&message.id) else { return false };
        let is_resent = self.tables.producers.get(producer).is_some_and(|it| it.has_stored(number));
        if is_resent {
            reached(Point::ResendRecognised);
        }
        is_resent
    }

    /// Remembers a message that a producer has sent.
    pub(super) fn note_sent(&mut self, step: &Step, message: &Message) {
        let Some((name, number)) = sender(&message.id) else { return };
        let last = MessageRef::new(step.index, step.command, 0);
        let by_use = &mut self.derived.producers;
        let name = match self.tables.producers.get_mut(name) {
            Some(producer) => {
                by_use.ranges -= producer.stored.len();
                producer.note(number);
                by_use.ranges += producer.stored.len();
                let name = by_use.names.remove(&producer.last).expect("each has its last message");
                (producer.last, producer.at) = (last, step.now);
                name
            }
            None => {
                let name: Arc<str> = name.into();
                let producer = Producer { stored: vec![(number, number)], last, at: step.now };
                self.tables.producers.insert(name.clone(), producer);
                by_use.ranges += 1;
                name
            }
        };
        by_use.names.insert(last, name);
        self.forget_producers(step.now);
    }

    fn forget_producers(&mut self, now: UnixMillis) {
        let by_use = &mut self.derived.producers;
        while let Some(oldest) = by_use.names.first_entry() {
            let is_old =
                self.tables.producers[oldest.get()].at.0.saturating_add(KEPT_MILLIS) < now.0;
            if !is_old && by_use.ranges <= MOST_RANGES_IN_ALL {
                break;
            }
            let producer =
                self.tables.producers.remove(&oldest.remove()).expect("it was looked at");
            by_use.ranges -= producer.stored.len();
        }
    }
}

/// Who has sent the message of this id, and which of its messages that is, where it is an id of JMS:
/// `ID:…:session:producer:number`.
fn sender(id: &str) -> Option<(&str, i64)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (producer, number) = id.rsplit_once(':').filter(|(_, number)| is_number(number))?;
    let (session, _) = producer.rsplit_once(':').filter(|(_, value)| is_number(value))?;
    let (connection, _) = session.rsplit_once(':').filter(|(_, session)| is_number(session))?;
    connection.starts_with("ID:").then_some((producer, number.parse().ok()?))
}

/// What follows from a table; none if that contradicts itself.
pub(super) fn derive(table: &ProducerTable, applied: u64) -> Option<ProducersByUse> {
    let mut by_use = ProducersByUse::default();
    for (name, producer) in table {
        let ranges = &producer.stored;
        let are_ranges = ranges.iter().all(|(first, last)| first <= last);
        let is_apart = |two: &[(i64, i64)]| two[0].1 < i64::MAX && two[0].1 + 1 < two[1].0;
        let are_apart = ranges.windows(2).all(is_apart);
        let is_known = !ranges.is_empty() && producer.last.index <= applied;
        let twin = by_use.names.insert(producer.last, name.clone());
        if !are_ranges || !are_apart || !is_known || twin.is_some() {
            return None;
        }
        by_use.ranges += ranges.len();
    }
    Some(by_use)
}

#[cfg(test)]
mod tests;
