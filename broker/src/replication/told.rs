//! What a replica says of its steps, for the checks of the simulator and whoever else listens.

use paceline_consensus::{Appended, Message as Words, Term, Word};
use paceline_core::{
    DestinationKind, Message,
    dispatch::{ConsumerKey, Delivery, MessageKey},
    operation::Settlement,
    serving::Told,
    shard::Content,
};
use paceline_runtime::trace;

/// Tells of one shard's leadership.
#[derive(Debug)]
pub struct Traced {
    /// The shard.
    pub slot: u32,
}

impl Told for Traced {
    fn begun(&mut self, term: Term) {
        trace::event!("serve_begin", shard = self.slot, term = term);
        tracing::debug!(slot = self.slot, term, "serving");
    }

    fn ended(&mut self, term: Term) {
        trace::event!("serve_end", shard = self.slot, term = term);
        tracing::debug!(slot = self.slot, term, "no longer serving");
    }

    fn attached(&mut self, term: Term, consumer: ConsumerKey) {
        let consumer = consumer.to_string();
        trace::event!("attach", shard = self.slot, term = term, consumer = consumer.as_str());
    }

    fn prefetch_set(&mut self, term: Term, consumer: ConsumerKey, prefetch: u32) {
        trace::event!(
            "prefetch",
            shard = self.slot,
            term = term,
            consumer = consumer.to_string().as_str(),
            prefetch = prefetch
        );
    }

    fn detached(&mut self, term: Term, consumer: ConsumerKey) {
        let consumer = consumer.to_string();
        trace::event!("detach", shard = self.slot, term = term, consumer = consumer.as_str());
    }

    fn dispatched(&mut self, term: Term, delivery: &Delivery) {
        trace::event!(
            "dispatch",
            shard = self.slot,
            term = term,
            consumer = delivery.consumer.to_string().as_str(),
            message = delivery.key.to_string().as_str(),
            id = at_hand(delivery).map_or("", |message| &message.id),
            queue = at_hand(delivery).map_or("", queue_of),
            priority = at_hand(delivery).map_or(0, |message| message.priority),
            redelivered = delivery.redelivered,
            in_flight = delivery.in_flight,
            credit = delivery.credit
        );
    }

    fn read_back(&mut self, term: Term, key: MessageKey, message: &Message) {
        trace::event!(
            "read_back",
            shard = self.slot,
            term = term,
            message = key.to_string().as_str(),
            id = &*message.id,
            queue = queue_of(message)
        );
    }

    fn settled(&mut self, term: Term, by: ConsumerKey, key: MessageKey, how: Settlement) {
        let kind = if how == Settlement::Accept { "settle" } else { "release" };
        trace::event!(
            kind,
            shard = self.slot,
            term = term,
            consumer = by.to_string().as_str(),
            message = key.to_string().as_str()
        );
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
            trace::event!("vote", shard = slot, term = words.term, to = to);
        }
        Word::AppendAnswer { outcome, .. }
            if outcome != Appended::Refused && *followed < words.term =>
        {
            *followed = words.term;
            trace::event!("follow", shard = slot, term = words.term, to = to);
        }
        _ => {}
    }
}
