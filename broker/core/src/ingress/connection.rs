//! One client's connection into the cluster.
//!
//! A connection knows destinations, never shards or nodes: what it submits is taken apart here, and
//! the answers of the parts are put together again. Its transactions are run here too, even when the
//! connection itself has gone.

mod announcing;
mod branches;
mod committing;
mod standing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use paceline_reached::{Point, reached};

use self::branches::Branches;
use super::{
    Budget, ChannelId, Request,
    commit::Commit,
    deliveries::{Deliveries, Held},
    operations::Operations,
    result_of,
    standing::Course,
};
use crate::{
    Destination, DestinationKind, Message, Source,
    channel::Delivered,
    dispatch::{MessageKey, VolatileId},
    operation::{
        ConsumerId, Delivery, DeliveryId, OpTag, Operation, Outcome, Parting, Refusal, Settlement,
        Subscription,
    },
    presence::PresenceId,
    schedule::Schedule,
    shard::{self, Command, MessageRef, Refused, TransactionId},
    xa::BranchInfo,
};

/// What an operation weighs beside its messages.
const OPERATION_BYTES: usize = 1 << 10;

/// What a connection is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionEvent {
    /// An operation has ended. Outcomes come in any order.
    Outcome(OpTag, Outcome),
    /// A message that an operation publishes waits for room in its queue, as long as it takes, or
    /// does so no longer.
    Held(OpTag, bool),
    /// A message for one of the connection's consumers. The deliveries of one destination to one
    /// consumer come in order.
    Delivery(Delivery),
    /// A browser has been given all that there is for it.
    BrowseEnd(ConsumerId),
    /// A consumer gets nothing more: the durable subscription that it had is another's, or gone.
    Detached(ConsumerId, String),
    /// The branches that are prepared in the cluster, in the order of their names; the outcome of the
    /// operation that asked follows.
    Branches(OpTag, Vec<BranchInfo>),
}

/// What a connection has to know of its cluster and its node.
pub trait Directory {
    /// The slot of a destination.
    fn slot_of(&self, destination: &Destination) -> u32;
    /// How many slots there are.
    fn slots(&self) -> u32;
    /// A number for a consumer, unique in this life of the node.
    fn next_consumer(&self) -> u64;
    /// A name for a transaction.
    fn next_transaction(&self) -> TransactionId;
    /// A connection of this name takes a client id. False if one of another name has it.
    fn take_client(&self, client: &str, connection: &str) -> bool;
    /// A connection that has taken a client id has ended.
    fn release_client(&self, client: &str);
}

/// Which part of a connection's work a shard was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One of an operation's parts.
    Operation(OpTag),
    /// A command of the transaction that an operation commits, for the shard of a slot.
    Commit(OpTag, u32),
    /// Nobody waits for it.
    Unawaited,
    /// What has to be there before an operation's consumer is.
    Standing(OpTag),
    /// A command about branches of distributed transactions, for the shard of a slot.
    Branch(OpTag, u32),
}

/// What is settled in one shard's log, and the consumers that held it.
type StoredSettles = (Vec<(MessageRef, Settlement)>, Vec<u64>);

/// Messages in one leader's memory that are settled alike: slot, consumer's number, channel, how.
type VolatileSettles = BTreeMap<(u32, u64, ChannelId, Settlement), Vec<VolatileId>>;

/// Settlements by where they go.
#[derive(Debug, Default)]
struct Settles {
    stored: BTreeMap<u32, StoredSettles>,
    volatile: VolatileSettles,
}

impl Settles {
    fn add(&mut self, held: &Held, how: Settlement) {
        match held.key {
            MessageKey::Stored(message) => {
                let (settles, holders) = self.stored.entry(held.slot).or_default();
                settles.push((message, how));
                holders.push(held.number);
            }
            MessageKey::Volatile(message) => {
                let key = (held.slot, held.number, held.channel, how);
                self.volatile.entry(key).or_default().push(message);
            }
        }
    }
}

/// A transaction under way, and what becomes of its settlements.
#[derive(Debug)]
struct Committing {
    commit: Commit,
    /// The client holds these again if it comes to nothing.
    taken: Vec<(DeliveryId, Held, Settlement)>,
    /// These follow if it commits.
    volatile: VolatileSettles,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Connection {
    deliveries: Deliveries,
    operations: Operations,
    commits: BTreeMap<OpTag, Committing>,
    branches: Branches,
    /// Consumers that end as soon as what they hold is settled.
    leaving: Vec<(OpTag, ConsumerId, Parting<DeliveryId>)>,
    /// What is made before consumers are attached.
    courses: BTreeMap<OpTag, Course>,
    /// What there is of it, by its number in the node, and the slot of the topic.
    present: BTreeMap<PresenceId, (u64, u32)>,
    /// The client id that it has taken.
    client: Option<Arc<str>>,
    /// Slots whose shards were asked for what need not hurry.
    unhurried: BTreeSet<u32>,
    requests: VecDeque<(u32, Request<Part, ConsumerId>)>,
    events: VecDeque<ConnectionEvent>,
}

impl Connection {
    // ---- what happened --------------------------------------------------------------------------

    /// The client asks for something. Operations on one destination are carried out in the order in
    /// which they come.
    pub fn handle_operation(&mut self, operation: Operation, directory: &impl Directory) {
        match operation {
            Operation::Publish { tag, message } => self.publish(tag, message, directory),
            Operation::Subscribe { tag, consumer, subscription } => {
                self.subscribe(tag, consumer, &subscription, directory);
            }
            Operation::SetPrefetch { tag, consumer, prefetch } => {
                self.set_prefetch(tag, consumer, prefetch);
            }
            Operation::Unsubscribe { tag, consumer, parting } => {
                self.unsubscribe(tag, consumer, parting);
            }
            Operation::Settle { tag, deliveries, how, awaited } => {
                self.settle(tag, &deliveries, how, awaited);
            }
            Operation::Hurry { tag } => self.hurry(tag),
            Operation::Commit { tag, publishes, settles } => {
                self.commit(tag, publishes, &settles, directory);
            }
            Operation::Identify { tag, client, connection } => {
                self.identify(tag, client, &connection, directory);
            }
            Operation::Forget { tag, durable } => self.forget(tag, durable, directory),
            Operation::Prepare { tag, xid, publishes, settles } => {
                self.prepare(tag, xid, publishes, &settles, directory);
            }
            Operation::Resolve { tag, xid, commit, by } => {
                self.resolve(tag, xid, commit, by, directory);
            }
            Operation::Recover { tag } => self.recover(tag, directory),
            Operation::ForgetBranch { tag, xid } => self.forget_branch(tag, xid, directory),
        }
        self.advance();
    }

    /// A shard has answered a command.
    pub fn handle_answered(&mut self, part: Part, outcome: shard::Outcome) {
        match part {
            Part::Operation(tag) => self.end_part(tag, result_of(outcome)),
            Part::Commit(tag, slot) => self.continue_commit(tag, slot, outcome),
            Part::Unawaited => {}
            Part::Standing(tag) => self.continue_course(tag, outcome),
            Part::Branch(tag, slot) => self.continue_branch(tag, slot, outcome),
        }
    }

    /// What concerns a leader's memory only has ended, or a request was refused at once.
    pub fn handle_ended(&mut self, part: Part, result: Outcome) {
        match part {
            Part::Operation(tag) => self.end_part(tag, result),
            Part::Commit(tag, slot) => self.continue_commit(tag, slot, outcome_of(result)),
            Part::Unawaited => {}
            Part::Standing(tag) => self.continue_course(tag, outcome_of(result)),
            Part::Branch(tag, slot) => self.continue_branch(tag, slot, outcome_of(result)),
        }
    }

    /// A message waits for room in its queue, or does so no longer.
    pub fn handle_held(&mut self, part: Part, is_held: bool) {
        if let Part::Operation(tag) = part {
            self.events.push_back(ConnectionEvent::Held(tag, is_held));
        }
    }

    /// The leader of a slot's shard hands a message to a consumer.
    pub fn handle_delivered(
        &mut self,
        consumer: ConsumerId,
        slot: u32,
        channel: ChannelId,
        delivered: Delivered,
    ) {
        if let Some(delivery) = self.deliveries.arrive(consumer, slot, channel, delivered) {
            self.events.push_back(ConnectionEvent::Delivery(delivery));
        }
    }

    /// The leader of the shard that a browser looks into has sent all that there is for it.
    pub fn handle_browse_end(&mut self, consumer: ConsumerId) {
        if self.deliveries.end(consumer) {
            self.events.push_back(ConnectionEvent::BrowseEnd(consumer));
        }
    }

    /// The leader of a slot's shard is gone, and with it what it had sent to a consumer that was not
    /// handed on.
    pub fn handle_leader_lost(&mut self, consumer: ConsumerId, slot: u32) {
        self.deliveries.forget_waiting(consumer, slot);
    }

    /// The leader of a slot's shard does not deliver to a consumer, though the one before did.
    pub fn handle_detached(&mut self, consumer: ConsumerId, why: String) {
        if self.deliveries.consumer(consumer).is_some() {
            self.events.push_back(ConnectionEvent::Detached(consumer, why));
        }
    }

    /// The client is gone: its consumers end and give back what they hold. What it asked for is
    /// carried out.
    pub fn handle_closed(&mut self, directory: &impl Directory) {
        if let Some(client) = self.client.take() {
            directory.release_client(&client);
        }
        self.branches.clear();
        self.withdraw_all();
        // Nobody is told of the transactions that these wait for.
        for (tag, consumer, parting) in std::mem::take(&mut self.leaving) {
            self.detach(tag, consumer, parting);
        }
        for (consumer, slots) in self.deliveries.unsubscribe_all() {
            for slot in slots {
                let (parting, asker) = (Parting::Released, Part::Unawaited);
                self.request(slot, Request::Detach { consumer, parting, asker });
            }
        }
    }

    // ---- what is to be done ---------------------------------------------------------------------

    /// What to ask next, and of which slot's shard.
    pub fn poll_request(&mut self) -> Option<(u32, Request<Part, ConsumerId>)> {
        self.requests.pop_front()
    }

    /// What to tell the client next.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        self.events.pop_front()
    }

    /// Whether the cluster has caught up enough with what was asked for that more may be read from
    /// the client.
    pub fn may_read(&self, budget: Budget) -> bool {
        budget.may_read(self.operations.bytes())
    }

    // ---- operations -----------------------------------------------------------------------------

    fn publish(&mut self, tag: OpTag, message: Arc<Message>, directory: &impl Directory) {
        self.operations.begin(tag, OPERATION_BYTES + message.footprint());
        if message.destination.is_pattern() {
            let why = Refused::Pattern(message.destination.name.clone()).to_string();
            return self.end_part(tag, Err(Refusal::Rejected(why)));
        }
        let slot = directory.slot_of(&message.destination);
        let asker = Part::Operation(tag);
        let is_stored = message.persistent && message.destination.kind == DestinationKind::Queue
            || Schedule::is_put_off(&message);
        let request = if is_stored {
            let (command, holders) = (Command::Publish { message }, Vec::new());
            Request::Command { command, holders, urgent: true, asker }
        } else {
            Request::Publish { message, asker }
        };
        self.request(slot, request);
    }

    fn subscribe(
        &mut self,
        tag: OpTag,
        consumer: ConsumerId,
        subscription: &Subscription,
        directory: &impl Directory,
    ) {
        self.operations.begin(tag, OPERATION_BYTES);
        let number = directory.next_consumer();
        let sources = sources_of(&subscription.source, directory);
        let slots: Vec<u32> = sources.keys().copied().collect();
        let prefetch = subscription.prefetch;
        if !self.deliveries.subscribe(consumer, number, prefetch, slots) {
            let why = format!("consumer {} of this connection exists already", consumer.0);
            return self.end_part(tag, Err(Refusal::Rejected(why)));
        }
        if subscription.source.single().is_none() {
            reached(Point::CompositeAttached);
        }
        let first = sources.keys().next().copied().expect("a source is of some shard");
        if self.makes_first(tag, consumer, subscription, first, directory) {
            return;
        }
        for (slot, source) in sources {
            // One alone has been made first.
            for queue in source.all().iter().filter(|queue| standing::takes_part(queue)) {
                let (command, holders) =
                    (Command::CreateQueue { queue: queue.name.clone() }, Vec::new());
                let asker = self.part(tag);
                self.request(slot, Request::Command { command, holders, urgent: true, asker });
            }
            let subscription = Subscription { source, ..subscription.clone() };
            let (asker, sink) = (self.part(tag), consumer);
            self.request(slot, Request::Attach { consumer: number, subscription, sink, asker });
        }
        self.end_part(tag, Ok(()));
    }

    fn set_prefetch(&mut self, tag: OpTag, consumer: ConsumerId, prefetch: u32) {
        self.operations.begin(tag, OPERATION_BYTES);
        let Some((number, slots)) = self.deliveries.set_prefetch(consumer, prefetch) else {
            return self.end_part(tag, unknown_consumer(consumer));
        };
        for slot in slots {
            self.request(slot, Request::SetPrefetch { consumer: number, prefetch });
        }
        self.end_part(tag, Ok(()));
    }

    fn unsubscribe(&mut self, tag: OpTag, consumer: ConsumerId, parting: Parting<DeliveryId>) {
        self.operations.begin(tag, OPERATION_BYTES);
        self.end_consumer(tag, consumer, parting);
    }

    /// Whether a transaction under way settles what its consumer holds and no log knows of, which
    /// happens behind it.
    fn is_settling_behind(&self, consumer: ConsumerId) -> bool {
        let taken = self.commits.values().flat_map(|it| &it.taken);
        taken.into_iter().any(|(_, held, _)| {
            held.consumer == consumer && matches!(held.key, MessageKey::Volatile(_))
        })
    }

    fn end_consumer(&mut self, tag: OpTag, consumer: ConsumerId, parting: Parting<DeliveryId>) {
        if self.is_settling_behind(consumer) {
            self.leaving.push((tag, consumer, parting));
            return;
        }
        self.detach(tag, consumer, parting);
    }

    fn detach(&mut self, tag: OpTag, consumer: ConsumerId, parting: Parting<DeliveryId>) {
        // Who acknowledges a message has looked at it, whatever comes of that.
        let committing = self.commits.values().flat_map(|it| &it.taken).map(|(_, held, _)| *held);
        let acknowledged: Vec<Held> = committing
            .chain(self.branches.taken())
            .filter(|held| held.consumer == consumer)
            .chain(self.deliveries.acknowledged_in_vain(consumer))
            .collect();
        let mut held = |delivery| self.deliveries.settle(delivery);
        let parting = match parting {
            Parting::Released => Parting::Released,
            Parting::Died(delivery) => held(delivery).map_or(Parting::Released, Parting::Died),
            Parting::Saw(deliveries) => {
                let seen = deliveries.into_iter().filter_map(held);
                Parting::Saw(seen.chain(acknowledged).collect())
            }
        };
        let Some((number, slots)) = self.deliveries.unsubscribe(consumer) else {
            return self.end_part(tag, unknown_consumer(consumer));
        };
        for slot in slots {
            let here = |held: &&Held| held.slot == slot;
            let parting = match &parting {
                Parting::Died(held) if here(&held) => Parting::Died(held.key),
                Parting::Released | Parting::Died(_) => Parting::Released,
                Parting::Saw(held) => {
                    Parting::Saw(held.iter().filter(here).map(|held| held.key).collect())
                }
            };
            let asker = self.part(tag);
            self.request(slot, Request::Detach { consumer: number, parting, asker });
        }
        self.end_part(tag, Ok(()));
    }

    fn settle(&mut self, tag: OpTag, deliveries: &[DeliveryId], how: Settlement, awaited: bool) {
        self.operations.begin(tag, OPERATION_BYTES);
        let mut settles = Settles::default();
        let mut unknown = 0;
        for delivery in deliveries {
            match self.deliveries.settle(*delivery) {
                Some(held) => settles.add(&held, how),
                None => unknown += 1,
            }
        }
        // What goes back to its queue is somebody else's to have.
        let urgent = awaited || how != Settlement::Accept;
        for (slot, (settles, holders)) in settles.stored {
            let (command, asker) = (Command::Settle { settles }, self.part(tag));
            self.request(slot, Request::Command { command, holders, urgent, asker });
            if !urgent {
                self.unhurried.insert(slot);
            }
        }
        for ((slot, consumer, channel, how), messages) in settles.volatile {
            let asker = self.part(tag);
            self.request(slot, Request::Settle { consumer, channel, messages, how, asker });
        }
        let why = format!("{unknown} of the deliveries are no longer with this connection");
        let result = if unknown == 0 { Ok(()) } else { Err(Refusal::Rejected(why)) };
        self.end_part(tag, result);
    }

    fn hurry(&mut self, tag: OpTag) {
        self.operations.begin(tag, 0);
        for slot in std::mem::take(&mut self.unhurried) {
            self.request(slot, Request::Hurry);
        }
        self.end_part(tag, Ok(()));
    }

    fn settle_volatile(&mut self, settles: VolatileSettles) {
        for ((slot, consumer, channel, how), messages) in settles {
            let asker = Part::Unawaited;
            self.request(slot, Request::Settle { consumer, channel, messages, how, asker });
        }
    }

    // ---- the rest -------------------------------------------------------------------------------

    fn request(&mut self, slot: u32, request: Request<Part, ConsumerId>) {
        self.requests.push_back((slot, request));
    }

    /// One part more of an operation that has begun with one.
    fn part(&mut self, tag: OpTag) -> Part {
        self.operations.add_part(tag);
        Part::Operation(tag)
    }

    fn end_part(&mut self, tag: OpTag, result: Outcome) {
        if let Some(outcome) = self.operations.end_part(tag, result) {
            self.events.push_back(ConnectionEvent::Outcome(tag, outcome));
        }
    }

    /// Hands out what has become possible.
    fn advance(&mut self) {
        let ready = self.deliveries.advance().into_iter();
        let mut any = false;
        self.events.extend(ready.inspect(|_| any = true).map(ConnectionEvent::Delivery));
        while any && let Some(browser) = self.deliveries.poll_ended() {
            self.events.push_back(ConnectionEvent::BrowseEnd(browser));
        }
    }
}

/// An end without an answer, as a shard's.
fn outcome_of(result: Outcome) -> shard::Outcome {
    match result {
        Ok(()) => shard::Outcome::Done,
        Err(Refusal::Rejected(why) | Refusal::Unknown(why) | Refusal::Missing(why)) => {
            shard::Outcome::Refused(Refused::ByLeader(why))
        }
        Err(Refusal::Branch(why)) => shard::Outcome::Refused(Refused::Branch(why)),
    }
}

fn unknown_consumer(consumer: ConsumerId) -> Outcome {
    Err(Refusal::Rejected(format!("this connection has no consumer {}", consumer.0)))
}

/// The slots whose shards may hold something of a source, and what of it each may hold.
fn sources_of(source: &Source, directory: &impl Directory) -> BTreeMap<u32, Source> {
    let slots: BTreeSet<u32> = match source.has_pattern() {
        true => (0..directory.slots()).collect(),
        false => source.all().iter().map(|one| directory.slot_of(one)).collect(),
    };
    let of = |slot| {
        let is_there = |one: &Destination| one.is_pattern() || directory.slot_of(one) == slot;
        Some((slot, source.filter(is_there)?))
    };
    slots.into_iter().filter_map(of).collect()
}
