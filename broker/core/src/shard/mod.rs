//! The replicated state machine of one shard: the queues of one slot.
//!
//! [`ShardState`] is a value. [`apply`](ShardState::apply) takes the next [`Batch`] of the shard's
//! log and is the only thing that changes what replicas agree on; it draws on nothing but state
//! and batch, time included ([`Batch::now`]). It answers every command with an [`Outcome`], tells
//! the leader's [`Dispatcher`](crate::dispatch::Dispatcher) what changed ([`Effect`]), and tells the
//! journal which log entries it has finished with ([`Applied::freed`]).
//!
//! - A message is named by where it entered its queue in the log: [`MessageRef`].
//! - Commands of a session are applied once each, in order, however often they are sent: see
//!   [`Origin`] and [`Outcome`].
//! - Nothing is delivered here. Which consumer holds a message is the leader's knowledge alone;
//!   the shard only counts deliveries that were rejected or released.
//! - A message that its producer sends again, to another node, is stored once for as long as the shard
//!   remembers the producer.
//! - A message rejected more often than [its policy](crate::rules) allows, or once and for good
//!   ([`Settlement::DeadLetter`]), moves to `DLQ.<its queue>`, of a durable subscription
//!   `DLQ.<its topic>`, which is in the same shard ([`slotting`](crate::slotting)). Released
//!   deliveries (the consumer went away) raise the count that consumers see but never make a dead
//!   letter: a crash of a consumer with a thousand prefetched messages says nothing about any of
//!   them. The one that it was working on is suspected, though, and counts as rejected
//!   ([`Settlement::Fail`]). Dead letters rejected again stay.
//! - A message whose time is over when it is applied is counted as entered and expired, and not
//!   stored. Where the policy of its queue says so, it is dead-lettered instead, as is one that expires
//!   in the queue; a topic's policy says it of the topic's durable subscriptions.
//! - **Topics are not stored**, their durable subscriptions are. Each of these is a queue in the shard
//!   of its topic, and so is each `Consumer.<anybody>.VirtualTopic.<rest>`: applying a persistent
//!   message to the topic enters it into all of them, and gives [`Effect::FanOut`] for the other
//!   subscribers. Without any there is nothing to replicate, for nobody can claim a topic's message
//!   after a failover: the leader hands it to the subscribers
//!   there are ([`Dispatcher::handle_volatile`](crate::dispatch::Dispatcher::handle_volatile)) and
//!   then answers the producer, persistent or not. Inside a transaction a topic message always passes
//!   through the log, so that it is sent if and only if the transaction commits.
//! - The books balance, and this is asserted at every change: what entered a queue was accepted,
//!   dead-lettered, expired or purged, or is there.
//!
//! Cost: every message costs O(log n) in the shard's backlog. [`Command::Purge`] looks at all messages
//! of the shard; a [`snapshot`](ShardState::snapshot) shares them, hundreds at a time, with the state.

mod backlog;
mod bodies;
mod branches;
mod command;
mod compare;
mod ends;
mod groups;
mod producers;
mod publishing;
mod session;
mod snapshot;
mod standing;
mod step;
mod tables;
mod transaction;
mod waiting;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use paceline_membership::{Epoch, View};
use paceline_reached::{Point, reached};

pub use bodies::{Content, FAILURE_CAUSE, ORIGINAL_DESTINATION, ORIGINAL_EXPIRATION};
pub(crate) use bodies::{Death, dead_letter, in_queue};
pub use branches::{MAX_BRANCH_BYTES, MAX_BRANCHES};
pub use command::{
    Applied, Batch, Command, Effect, MAX_COMMANDS, MAX_PARTS, MessageRef, Origin, Outcome, QueueId,
    Refused, SessionId, Terms, TransactionId, Waiting, Work,
};
pub use compare::{Table, TableEntry};
pub use ends::Decided;
pub use groups::{GROUP_ID, GROUP_SEQUENCE, Membership};
pub(crate) use groups::{GroupId, sequence as group_sequence};
pub use session::SESSION_WINDOW;
pub use snapshot::{Piece, RestoreError, Snapshot};
pub use standing::StandingStats;
pub use tables::Counters;
pub use transaction::InDoubt;

use self::{
    bodies::Buried,
    ends::End,
    session::Admission,
    step::{Step, Written},
    tables::{Arrival, Derived, Leave, Stored, Tables},
};
use crate::{UnixMillis, operation::Settlement, rules::Rules};

/// What one shard's replicas agree on. See the module's head.
#[derive(Clone, Debug, Default)]
pub struct ShardState {
    tables: Tables,
    /// In the metadata shard, once it has changed: the cluster's view.
    view: Option<Arc<View>>,
    derived: Derived,
}

/// A queue's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name.
    pub name: Arc<str>,
    /// Messages in it, whether in flight or not.
    pub depth: u64,
    /// What passed through it.
    pub counters: Counters,
}

/// A message in a queue, for the dispatcher.
pub(crate) struct Resident {
    pub(crate) message: MessageRef,
    pub(crate) queue: QueueId,
    pub(crate) priority: u8,
    pub(crate) expires: Option<UnixMillis>,
}

impl ShardState {
    /// A shard that has never seen a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the log entry at `index`.
    ///
    /// # Panics
    /// If an entry is applied out of order, or holds more than [`MAX_COMMANDS`].
    pub fn apply(&mut self, index: u64, batch: &Batch) -> Applied {
        let applied = self.tables.applied;
        assert!(index > applied, "entry {index} comes after entry {applied} was applied");
        assert!(batch.commands.len() <= MAX_COMMANDS, "a batch of {}", batch.commands.len());
        self.tables.applied = index;
        let mut step = Step {
            index,
            now: batch.now,
            command: 0,
            next_part: 0,
            sender: None,
            view_changed: false,
            effects: Vec::with_capacity(batch.commands.len()),
            touched: BTreeSet::from([index]),
        };
        let mut outcomes = Vec::with_capacity(batch.commands.len());
        for (position, (origin, command)) in batch.commands.iter().enumerate() {
            step.command = position;
            step.next_part = command.messages().len();
            step.sender = origin.map(|origin| origin.session.node);
            outcomes.push(self.handle(&mut step, *origin, command));
        }
        let mut freed: Vec<u64> = step.touched.into_iter().collect();
        freed.retain(|index| !self.is_live(*index));
        let view = self.view.clone().filter(|_| step.view_changed);
        Applied { index, outcomes, effects: step.effects, freed, view }
    }

    fn handle(&mut self, step: &mut Step, origin: Option<Origin>, command: &Command) -> Outcome {
        let Some(origin) = origin else { return self.execute(step, command) };
        match session::admit(&self.tables.sessions, origin) {
            Admission::Answer(outcome) => outcome,
            Admission::Apply { fresh } => {
                if fresh {
                    self.supersede(origin.session);
                }
                let outcome = self.execute(step, command);
                session::record(&mut self.tables.sessions, origin, &outcome);
                outcome
            }
        }
    }

    fn execute(&mut self, step: &mut Step, command: &Command) -> Outcome {
        let done = match command {
            Command::OpenSession => Ok(()),
            Command::Publish { message } if message.destination.is_pattern() => {
                Err(Refused::Pattern(message.destination.name.clone()))
            }
            Command::Publish { message } => match self.shut_to(step, message) {
                Some(full) => Err(Refused::Full(Box::new(full))),
                None => self.publish(step, message, true),
            },
            Command::Settle { settles } => self.settle_all(step, settles),
            Command::Expire { as_of, messages } => {
                self.expire(step, *as_of, messages);
                Ok(())
            }
            Command::Transact { work } => self.transact(step, work),
            Command::Prepare { transaction, coordinator, work } => {
                self.prepare(step, *transaction, *coordinator, work, false)
            }
            Command::Decide { transaction, commit, participants } => {
                return self.decide(*transaction, *commit, participants);
            }
            Command::Finish { transaction, commit } => {
                self.finish(step, *transaction, if *commit { End::Commit } else { End::Abort });
                Ok(())
            }
            Command::Forget { transaction, participant } => {
                self.forget(*transaction, *participant);
                Ok(())
            }
            Command::Purge { queue } => self.purge(step, queue),
            Command::Delete { queue } => self.delete(step, queue),
            Command::Rules { rules } => {
                self.tables.rules = Rules::clone(rules);
                Ok(())
            }
            Command::Refuse { reason } => Err(Refused::ByLeader(reason.clone())),
            Command::View { view } => self.change_view(step, view),
            Command::PublishWithin { message, again, bound } => {
                self.publish_within(step, message, *again, bound)
            }
            Command::Deliver { waiting, next, message } => {
                self.deliver(step, *waiting, *next, message)
            }
            Command::Store { message } => self.publish(step, message, false),
            Command::CreateQueue { queue } => {
                self.queue_named(step.index, queue);
                Ok(())
            }
            Command::Subscribe { durable, terms } => self.subscribe(step, durable, terms),
            Command::Unsubscribe { durable } => self.unsubscribe(step, durable),
            Command::Register { durable, slot } => {
                let others = self.tables.standings.register(step.index, durable, *slot);
                return Outcome::Registered(others);
            }
            Command::Unregister { durable, slot, at } => {
                self.tables.standings.unregister(durable, *slot, *at);
                Ok(())
            }
            Command::PrepareBranch { .. }
            | Command::EnterBranch { .. }
            | Command::ResolveBranch { .. }
            | Command::ForgetBranch { .. }
            | Command::ListBranches
            | Command::GiveBack { .. } => return self.execute_on_branch(step, command),
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(why) => Outcome::Refused(why),
        }
    }

    /// Every cluster begins with a view of the first epoch, which nobody has to be told of. Whoever
    /// offers a later one has made it from one that was committed: if this register has lost that, it
    /// has it again.
    fn change_view(&mut self, step: &mut Step, next: &Arc<View>) -> Result<(), Refused> {
        let epoch = self.view.as_ref().map_or(Epoch::FIRST, |view| view.epoch());
        if next.epoch() <= epoch {
            return Err(Refused::StaleView(epoch));
        }
        self.view = Some(next.clone());
        step.view_changed = true;
        Ok(())
    }

    /// In the metadata shard, once it has changed: the cluster's view.
    pub fn view(&self) -> Option<&Arc<View>> {
        self.view.as_ref()
    }

    fn settle_all(
        &mut self,
        step: &mut Step,
        settles: &[(MessageRef, Settlement)],
    ) -> Result<(), Refused> {
        if settles.len() > MAX_PARTS {
            return Err(Refused::TooLarge(settles.len()));
        }
        for (message, how) in settles {
            // What follows a consumer's death may arrive when the next consumer's transaction holds
            // the message already; it only raises the count.
            if !matches!(how, Settlement::Release | Settlement::Fail) && self.is_locked(*message) {
                return Err(Refused::MessageLocked(*message));
            }
        }
        for (part, (message, how)) in settles.iter().enumerate() {
            self.settle(step, part, *message, *how);
        }
        Ok(())
    }

    fn settle(&mut self, step: &mut Step, part: usize, message: MessageRef, how: Settlement) {
        let Some(stored) = self.stored_mut(message) else {
            if how == Settlement::Accept {
                self.accept_dead(step, message);
            }
            return;
        };
        match how {
            Settlement::Accept => {
                self.leave(step, message, Leave::Accepted);
            }
            Settlement::Release => {
                reached(Point::Released);
                stored.released = stored.released.saturating_add(1);
                step.effects.push(Effect::Returned { message, how });
            }
            Settlement::Fail => {
                stored.rejected = stored.rejected.saturating_add(1);
                step.effects.push(Effect::Returned { message, how });
            }
            Settlement::Reject | Settlement::DeadLetter => {
                stored.rejected = stored.rejected.saturating_add(1);
                let (queue, rejected) = (stored.queue, stored.rejected);
                let most = self.rule_of(queue).max_redeliveries;
                let is_dead = how == Settlement::DeadLetter || rejected > most;
                let graveyard = self.graveyard_of(queue);
                match graveyard.filter(|_| is_dead) {
                    None => {
                        if is_dead {
                            reached(Point::DeadLetterKept);
                        }
                        step.effects.push(Effect::Returned { message, how });
                    }
                    Some(graveyard) => {
                        reached(match how {
                            Settlement::DeadLetter => Point::DeadLetterAtOnce,
                            _ => Point::DeadLetter,
                        });
                        self.bury(step, part, message, &graveyard, Death::Rejected(rejected));
                    }
                }
            }
        }
    }

    /// Accepts what has become a dead letter since it was handed out: the leader that did so is gone,
    /// or its consumer was detached. Nobody who is told that he has consumed a message finds it among
    /// the dead letters. What another transaction is about to take from there is left to that.
    fn accept_dead(&mut self, step: &mut Step, was: MessageRef) {
        let Some(dead) = self.derived.buried.get(&was).copied() else { return };
        if !self.is_locked(dead) {
            reached(Point::AcceptedDead);
            step.effects.push(Effect::AcceptedDead { was, message: dead });
            self.leave(step, dead, Leave::Accepted);
        }
    }

    fn expire(&mut self, step: &mut Step, as_of: UnixMillis, messages: &[MessageRef]) {
        for (part, message) in messages.iter().enumerate() {
            let Some(stored) = self.stored(*message) else { continue };
            let (queue, due) = (stored.queue, stored.expires().is_some_and(|at| at <= as_of));
            if !due || self.is_locked(*message) {
                step.effects.push(Effect::Kept { message: *message });
                continue;
            }
            reached(Point::ExpiredInQueue);
            match self.graveyard_of_expired(queue) {
                None => drop(self.leave(step, *message, Leave::Expired)),
                Some(graveyard) => {
                    reached(Point::ExpiredDeadLetter);
                    self.bury(step, part, *message, &graveyard, Death::Expired);
                }
            }
        }
    }

    /// Moves a message to a dead-letter queue, under the name that the command's `part` gives it.
    fn bury(
        &mut self,
        step: &mut Step,
        part: usize,
        message: MessageRef,
        graveyard: &Arc<str>,
        death: Death,
    ) {
        let member = self.member(message);
        let (at, stored, body) = self.leave(step, message, Leave::DeadLettered);
        let buried = Some(Buried { death, was: message });
        let written = Written::Earlier { at, buried };
        let dead = Stored { expires: None, rejected: 0, released: 0, ..stored };
        self.enter(step, part, graveyard, written, Arrival { stored: dead, body, member });
    }

    fn purge(&mut self, step: &mut Step, name: &Arc<str>) -> Result<(), Refused> {
        let has_waiting = self.purge_waiting(step, name);
        let id = match self.derived.names.get(name) {
            Some(id) => *id,
            None if has_waiting => return Ok(()),
            None => return Err(Refused::UnknownQueue(name.clone())),
        };
        self.empty(step, id);
        Ok(())
    }

    /// Drops all messages of a queue that no prepared transaction holds.
    fn empty(&mut self, step: &mut Step, id: QueueId) {
        let all: Vec<_> = self
            .residents()
            .filter(|resident| resident.queue == id && !self.is_locked(resident.message))
            .map(|resident| resident.message)
            .collect();
        for message in all {
            self.leave(step, message, Leave::Purged);
        }
    }

    fn delete(&mut self, step: &mut Step, name: &Arc<str>) -> Result<(), Refused> {
        let names = &self.derived.names;
        let id = *names.get(name).ok_or_else(|| Refused::UnknownQueue(name.clone()))?;
        let queue = &self.tables.queues[&id];
        let depth = queue.depth + self.waiting_for(name);
        if depth > 0 {
            return Err(Refused::NotEmpty { queue: name.clone(), depth });
        }
        self.forget_queue(step, id);
        Ok(())
    }

    fn forget_queue(&mut self, step: &mut Step, id: QueueId) {
        let queue = self.tables.queues.remove(&id).expect("it is there");
        self.tables.deleted.add(&queue.counters);
        self.derived.names.remove(&queue.name);
        self.enter_no_more(id);
        step.effects.push(Effect::QueueDeleted { queue: id, name: queue.name });
    }

    /// What the cluster's policies say of messages that nobody consumes, as leaders have had them
    /// written here.
    pub fn rules(&self) -> &Rules {
        &self.tables.rules
    }

    /// The log entry applied last; 0 if none was.
    pub fn applied(&self) -> u64 {
        self.tables.applied
    }

    /// Whether a message that is rejected once more goes to the dead-letter queue; that it failed
    /// `failures` times is on its way through the log.
    pub(crate) fn is_worn_out(&self, message: MessageRef, failures: u32) -> bool {
        self.stored(message).is_some_and(|stored| {
            let most = self.rule_of(stored.queue).max_redeliveries;
            u32::from(stored.rejected) + failures >= u32::from(most)
                && self.graveyard_of(stored.queue).is_some()
        })
    }

    /// Whether the message is still in its queue.
    pub fn contains(&self, message: MessageRef) -> bool {
        self.stored(message).is_some()
    }

    /// How many deliveries of the message were rejected or released; `None` if it is gone.
    pub fn redeliveries(&self, message: MessageRef) -> Option<u32> {
        self.stored(message).map(Stored::redeliveries)
    }

    /// Whether a prepared transaction holds the message.
    pub fn is_locked(&self, message: MessageRef) -> bool {
        self.derived.locks.contains_key(&message)
    }

    /// The queues, by the order in which they came to be.
    pub fn queues(&self) -> impl Iterator<Item = QueueStats> + '_ {
        self.tables.queues.values().map(|queue| QueueStats {
            name: queue.name.clone(),
            depth: queue.depth,
            counters: queue.counters,
        })
    }

    /// How many messages are in the queue called `name`; 0 if there is none.
    pub fn depth(&self, name: &str) -> u64 {
        self.derived.names.get(name).map_or(0, |id| self.tables.queues[id].depth)
    }

    /// How many messages are in the queue called `name`, and of how many bytes in all, as their
    /// [`Size`](crate::bounds::Size)s say.
    pub fn held(&self, name: &str) -> (u64, u64) {
        let queue = self.derived.names.get(name).map(|id| &self.tables.queues[id]);
        queue.map_or((0, 0), |queue| (queue.depth, queue.bytes))
    }

    /// How many messages are in all queues together.
    pub fn resident(&self) -> u64 {
        (self.tables.messages.len() + self.tables.moved.len()) as u64
    }

    /// All queues' counters together, deleted queues included. A dead letter entered twice: its
    /// queue, and then the dead-letter queue. So `entered - left() == resident()`.
    pub fn counters(&self) -> Counters {
        let mut total = self.tables.deleted;
        for queue in self.tables.queues.values() {
            total.add(&queue.counters);
        }
        total
    }
}

/// For the dispatcher.
impl ShardState {
    pub(crate) fn lookup(&self, message: MessageRef) -> Option<&Stored> {
        self.stored(message)
    }

    pub(crate) fn queue_name(&self, queue: QueueId) -> &Arc<str> {
        &self.tables.queues[&queue].name
    }

    pub(crate) fn queue_names(&self) -> impl Iterator<Item = (QueueId, &Arc<str>)> {
        self.tables.queues.iter().map(|(id, queue)| (*id, &queue.name))
    }

    /// The group that a message is a member of.
    pub(crate) fn member(&self, message: MessageRef) -> Option<Membership> {
        self.tables.members.get(message).copied()
    }

    /// The number of the queue called `name`.
    pub(crate) fn queue_id(&self, name: &str) -> Option<QueueId> {
        self.derived.names.get(name).copied()
    }

    /// Every message in a queue, in order of arrival.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Resident> + '_ {
        self.residents_from(MessageRef::default())
    }

    /// The same without those before a place in the log.
    pub(crate) fn residents_from(&self, first: MessageRef) -> impl Iterator<Item = Resident> + '_ {
        let mut here = self.tables.messages.iter_from(first).peekable();
        let moved = self.tables.moved.iter_from(first);
        let mut moved = moved.map(|(message, moved)| (message, &moved.stored)).peekable();
        std::iter::from_fn(move || {
            let next_is_moved = match (here.peek(), moved.peek()) {
                (Some((left, _)), Some((right, _))) => right < left,
                (None, Some(_)) => true,
                _ => false,
            };
            let (message, stored) = if next_is_moved { moved.next() } else { here.next() }?;
            Some(Resident {
                message: *message,
                queue: stored.queue,
                priority: stored.priority,
                expires: stored.expires(),
            })
        })
    }
}
