//! What a replica says of its steps, for the checks of the simulator and whoever else listens.

use paceline_consensus::{Appended, Message as Words, Term, Word};
use paceline_core::{
    DestinationKind, Message,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    operation::Settlement,
    serving::Told,
    shard::Content,
};
use paceline_events::emit;

/// Tells of one shard's leadership.
#[derive(Debug)]
pub struct Traced {
    /// The shard.
    pub slot: u32,
}

impl Told for Traced {
    fn begun(&mut self, term: Term) {
        emit!(ServeBegin { shard: self.shard(), term });
        tracing::debug!(slot = self.slot, term, "serving");
    }

    fn ended(&mut self, term: Term) {
        emit!(ServeEnd { shard: self.shard(), term });
        tracing::debug!(slot = self.slot, term, "no longer serving");
    }

    fn attached(&mut self, term: Term, consumer: ConsumerKey) {
        emit!(Attach { shard: self.shard(), term, consumer: &consumer.to_string() });
    }

    fn prefetch_set(&mut self, term: Term, consumer: ConsumerKey, prefetch: u32) {
        emit!(Prefetch {
            shard: self.shard(),
            term,
            consumer: &consumer.to_string(),
            prefetch: prefetch.into(),
        });
    }

    fn detached(&mut self, term: Term, consumer: ConsumerKey) {
        emit!(Detach { shard: self.shard(), term, consumer: &consumer.to_string() });
    }

    fn dispatched(&mut self, term: Term, delivery: &Delivery) {
        let message = at_hand(delivery);
        emit!(Dispatch {
            shard: self.shard(),
            term,
            consumer: &delivery.consumer.to_string(),
            message: &delivery.key.to_string(),
            id: message.map_or("", |message| &message.id),
            queue: message.map_or("", queue_of),
            priority: message.map_or(0, |message| message.priority.into()),
            redelivered: delivery.redelivered,
            in_flight: delivery.in_flight.into(),
            credit: delivery.credit.into(),
        });
    }

    fn read_back(&mut self, term: Term, key: MessageKey, message: &Message) {
        emit!(ReadBack {
            shard: self.shard(),
            term,
            message: &key.to_string(),
            id: &message.id,
            queue: queue_of(message),
        });
    }

    fn settled(&mut self, term: Term, by: ConsumerKey, key: MessageKey, how: Settlement) {
        let shard = self.shard();
        match how {
            Settlement::Accept => {
                emit!(Settle { shard, term, consumer: &by.to_string(), message: &key.to_string() })
            }
            Settlement::Reject
            | Settlement::Release
            | Settlement::Fail
            | Settlement::DeadLetter => {
                emit!(Release { shard, term, consumer: &by.to_string(), message: &key.to_string() })
            }
        }
    }
}

impl Traced {
    fn shard(&self) -> u64 {
        self.slot.into()
    }
}

/// The message, unless it would have to be read from the disk.
fn at_hand(delivery: &Delivery) -> Option<&Message> {
    match &delivery.content {
        Content::Here(message) => Some(message),
        Content::Evicted(_) => None,
    }
}

/// The name of the queue that a message is on; none of a topic's.
fn queue_of(message: &Message) -> &str {
    match message.destination.kind {
        DestinationKind::Queue => &message.destination.name,
        DestinationKind::Topic => "",
    }
}

/// What this replica is about to promise to another: its vote, or to follow it. `followed` is the
/// latest term in which it has done the latter.
pub fn promised(slot: u32, to: u64, words: &Words, followed: &mut Term) {
    match words.word {
        Word::VoteAnswer { granted: true } => {
            emit!(Vote { shard: slot.into(), term: words.term, to });
        }
        Word::AppendAnswer { outcome, .. }
            if outcome != Appended::Refused && *followed < words.term =>
        {
            *followed = words.term;
            emit!(Follow { shard: slot.into(), term: words.term, to });
        }
        _ => {}
    }
}
