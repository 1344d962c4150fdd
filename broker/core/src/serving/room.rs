//! Full queues: who is refused, and who waits for room.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use paceline_reached::{Point, reached};

use super::{Output, Serving, Told};
use crate::{
    Destination, DestinationKind, Message,
    bounds::{Bound, Bounds, QueueFull, Room, Size, WhenFull},
    channel::FromLeader,
    dispatch::Dispatcher,
    durable,
    schedule::Schedule,
    shard::{Command, ShardState},
};

/// A client with messages that wait for room in one queue.
#[derive(Debug)]
struct Waiter {
    channel: u64,
    /// Bytes of the first of them.
    size: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RoomAwaited {
    waiters: BTreeMap<Arc<str>, VecDeque<Waiter>>,
    /// Clients that keep messages, not stored, for which a queue had no room. Until they have been
    /// told of some, none of theirs is taken, which would overtake those.
    shut: BTreeSet<(u64, Arc<str>)>,
}

impl RoomAwaited {
    /// A client waits for room in a queue, and has nothing under way to it. One that waits already keeps
    /// its turn; what it waited for first was given up. With no size it waits no more.
    pub fn push(&mut self, channel: u64, queue: Arc<str>, size: u64) {
        if size == 0 {
            self.shut.remove(&(channel, queue.clone()));
            if let Some(waiters) = self.waiters.get_mut(&queue) {
                waiters.retain(|waiter| waiter.channel != channel);
                if waiters.is_empty() {
                    self.waiters.remove(&queue);
                }
            }
            return;
        }
        let waiters = self.waiters.entry(queue).or_default();
        match waiters.iter_mut().find(|waiter| waiter.channel == channel) {
            Some(waiter) => waiter.size = size,
            None => waiters.push_back(Waiter { channel, size }),
        }
    }

    /// A client is gone.
    pub fn forget(&mut self, channel: u64) {
        self.shut.retain(|(of, _)| *of != channel);
        self.waiters.retain(|_, waiters| {
            waiters.retain(|waiter| waiter.channel != channel);
            !waiters.is_empty()
        });
    }

    /// Why a message that is not to be stored is not taken, if its queue has no room.
    pub fn refuse(
        &mut self,
        channel: u64,
        message: &Message,
        bounds: &Bounds,
        (state, dispatcher): (&ShardState, &Dispatcher),
    ) -> Option<QueueFull> {
        if message.destination.kind != DestinationKind::Queue {
            return None;
        }
        let queue = message.destination.name.clone();
        let is_shut = !self.shut.is_empty() && self.shut.contains(&(channel, queue.clone()));
        // Those that it keeps wait until it is told of room, whatever has become of the policy.
        let bound = match bounds.of(&message.destination).cloned() {
            None if is_shut => Arc::new(Bound::none()),
            Some(bound) if is_shut && bound.when_full != WhenFull::Block => {
                Arc::new(Bound { when_full: WhenFull::Block, ..Bound::clone(&bound) })
            }
            bound => bound?,
        };
        let (messages, bytes) = held(state, dispatcher, &queue);
        let full = QueueFull { queue, messages, bytes, size: Size::of(message).bytes(), bound };
        if !(is_shut && full.waits()) && full.bound.admits(messages, bytes, full.size) {
            return None;
        }
        reached(Point::VolatileQueueFull);
        if full.waits() {
            self.shut.insert((channel, full.queue.clone()));
        }
        Some(full)
    }

    /// Who is to be told of room in which queue, and of how much: each of those that wait for the
    /// same queue of its share, in the order in which they came.
    pub fn find(
        &mut self,
        bounds: &Bounds,
        state: &ShardState,
        dispatcher: &Dispatcher,
    ) -> Vec<(u64, Arc<str>, Room)> {
        let mut found = Vec::new();
        self.waiters.retain(|queue, waiters| {
            let (kind, name) = (DestinationKind::Queue, queue.clone());
            let bound = bounds.of(&Destination { kind, name });
            let (messages, bytes) = held(state, dispatcher, queue);
            let mut left = bound.map_or(Room::UNBOUNDED, |bound| bound.room(messages, bytes));
            let count = waiters.len() as u64;
            let (share, share_bytes) = (left.messages / count, left.bytes / count);
            while let Some(Waiter { channel, size }) = waiters.front() {
                let told = if waits(bound, *size) {
                    if left.messages == 0 || left.bytes < *size {
                        break;
                    }
                    Room { messages: share.max(1), bytes: share_bytes.max(*size) }
                } else {
                    // It is refused for good when it comes, or taken.
                    Room::UNBOUNDED
                };
                left.messages = left.messages.saturating_sub(told.messages);
                left.bytes = left.bytes.saturating_sub(told.bytes);
                reached(Point::RoomFound);
                if !self.shut.is_empty() {
                    self.shut.remove(&(*channel, queue.clone()));
                }
                found.push((*channel, queue.clone(), told));
                waiters.pop_front();
            }
            !waiters.is_empty()
        });
        found
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }
}

impl<T: Told> Serving<T> {
    /// Tells those who wait for room in a queue of what there is now.
    pub(super) fn find_room(&mut self, state: &ShardState) {
        let Some(term) = self.term.as_mut().filter(|term| !term.room_awaited.is_empty()) else {
            return;
        };
        let bounds = &self.settings.limits.bounds;
        for (channel, queue, room) in term.room_awaited.find(bounds, state, &term.dispatcher) {
            let message = FromLeader::Room { queue, room };
            self.output.push_back(Output::Say { channel, message });
        }
    }
}

fn held(state: &ShardState, dispatcher: &Dispatcher, queue: &str) -> (u64, u64) {
    let (stored, stored_bytes) = state.held(queue);
    let (volatile, volatile_bytes) = dispatcher.volatile_in(queue);
    (stored + volatile, stored_bytes + volatile_bytes)
}

fn waits(bound: Option<&Arc<Bound>>, size: u64) -> bool {
    bound.is_some_and(|bound| {
        bound.when_full == WhenFull::Block && bound.max_bytes.is_none_or(|most| size <= most)
    })
}

/// What a client's command becomes where its messages' queues are bounded: as the leader has it, so
/// that all replicas judge alike. A transaction does not wait, and is refused here: what others have
/// under way at this moment may still exceed the bound with it. What is put off is taken in any case,
/// and counts from when it is delivered.
///
/// What is sent to a topic is refused where one of those that are to have it has no room. It does not
/// wait: whoever forgets a subscription would hold up everybody.
pub(super) fn bind(command: &mut Command, bounds: &Bounds, state: &ShardState, here: &Dispatcher) {
    match command {
        Command::Publish { message } | Command::Store { message }
            if message.destination.kind == DestinationKind::Topic =>
        {
            if bounds.is_empty() || Schedule::is_put_off(message) {
                return;
            }
            let messages = std::slice::from_ref(message);
            let full = lacks_room(messages, bounds, state).map(|full| full.to_string());
            if let Some(reason) =
                full.or_else(|| here.refuses(message).map(|refused| refused.to_string()))
            {
                *command = Command::Refuse { reason };
            }
        }
        Command::Publish { message } => {
            if !bounds.is_empty() && Schedule::is_put_off(message) {
                return;
            }
            if let Some(bound) = bounds.of(&message.destination) {
                let (message, bound) = (message.clone(), bound.clone());
                *command = Command::PublishWithin { message, again: false, bound };
            }
        }
        Command::PublishWithin { message, bound, again } => match bounds.of(&message.destination) {
            Some(ours) => *bound = ours.clone(),
            // What its sender has kept still goes before what follows it.
            None if *again => *bound = Arc::new(Bound::none()),
            None => *command = Command::Publish { message: message.clone() },
        },
        Command::Transact { work }
        | Command::Prepare { work, .. }
        | Command::PrepareBranch { work, .. }
            if !bounds.is_empty() =>
        {
            if let Some(full) = lacks_room(&work.publishes, bounds, state) {
                reached(Point::TransactionTooMuch);
                *command = Command::Refuse { reason: full.to_string() };
            }
        }
        _ => {}
    }
}

/// The first queue that has no room for its share of the messages.
fn lacks_room(messages: &[Arc<Message>], bounds: &Bounds, state: &ShardState) -> Option<QueueFull> {
    let mut queues: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
    for message in messages.iter().filter(|message| !Schedule::is_put_off(message)) {
        let size = Size::of(message).bytes();
        for (queue, bound) in bounded(message, bounds, state) {
            let (messages, bytes) =
                queues.entry(queue.clone()).or_insert_with(|| state.held(&queue));
            if !bound.admits(*messages, *bytes, size) {
                let (messages, bytes) = (*messages, *bytes);
                let queue = durable::in_words(&queue);
                return Some(QueueFull { queue, messages, bytes, size, bound });
            }
            *messages += 1;
            *bytes += size;
        }
    }
    None
}

/// The bounded ones of the queues that a message enters. A topic's bound is that of its durable
/// subscriptions too, where nothing is to be dropped.
fn bounded(message: &Message, bounds: &Bounds, state: &ShardState) -> Vec<(Arc<str>, Arc<Bound>)> {
    let own = bounds.of(&message.destination);
    if message.destination.kind == DestinationKind::Queue {
        let own = own.map(|bound| (message.destination.name.clone(), bound.clone()));
        return own.into_iter().collect();
    }
    let of = |name: Arc<str>| {
        let bound = match durable::is_durable(&name) {
            true => own.filter(|bound| bound.when_full == WhenFull::Reject),
            false => bounds.of(&Destination { kind: DestinationKind::Queue, name: name.clone() }),
        };
        bound.map(|bound| (name, bound.clone()))
    };
    state.queues_of(message).into_iter().filter_map(of).collect()
}
