//! Work that is done as a whole: in one shard at once, in several by two-phase commit.
//!
//! The ingress session that runs a cross-shard transaction sends [`Command::Prepare`] to every
//! shard with a part in it, [`Command::Decide`] to the coordinator's shard when all have answered
//! (`commit` if all said `Done`), and [`Command::Finish`] to every part with what the coordinator
//! answered, and [`Command::Forget`] to the coordinator for every part that has finished. A
//! participant whose part stays unfinished for too long (see [`ShardState::prepared`]) asks the
//! coordinator itself and finishes alone; a coordinator whose decision stays unforgotten for too long
//! (see [`ShardState::decided`]) has the participants finish itself.
//!
//! A branch of a distributed transaction goes the same way but that nobody decides at once: see
//! `branches`.
//!
//! What is prepared holds the messages it will settle: they are neither delivered nor expired nor
//! purged until the end is known. Its publishes enter their queues when it commits.
//!
//! [`Command::Prepare`]: super::Command::Prepare
//! [`Command::Decide`]: super::Command::Decide
//! [`Command::Finish`]: super::Command::Finish
//! [`Command::Forget`]: super::Command::Forget

use std::collections::BTreeSet;

use paceline_reached::{Point, reached};

use super::{
    ShardState,
    command::{Effect, MAX_PARTS, MessageRef, Outcome, Refused, SessionId, TransactionId, Work},
    ends::{Decided, End},
    step::{Step, Written},
    tables::{Decision, Prepared},
};
use crate::{UnixMillis, destination::DestinationKind, operation::Settlement, schedule::Schedule};

/// A transaction that is prepared here and waits for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// Its name.
    pub transaction: TransactionId,
    /// The slot whose shard knows, or decides.
    pub coordinator: u32,
    /// The time of the batch that prepared it.
    pub since: UnixMillis,
    /// Whether it is a branch of a distributed transaction, whose end may be long in coming.
    pub is_branch: bool,
}

impl ShardState {
    /// Transactions prepared here and not finished.
    pub fn prepared(&self) -> impl Iterator<Item = InDoubt> + '_ {
        self.tables.prepared.iter().map(|(transaction, prepared)| InDoubt {
            transaction: *transaction,
            coordinator: prepared.coordinator,
            since: prepared.since,
            is_branch: prepared.is_branch,
        })
    }

    /// Decisions recorded here that participants may not have carried out.
    pub fn decided(&self) -> impl Iterator<Item = Decided> + '_ {
        let decisions = self.tables.decisions.iter().flat_map(|(transaction, decision)| {
            let (transaction, commit) = (*transaction, decision.commit);
            let waiting = decision.waiting.iter();
            waiting.map(move |participant| Decided {
                transaction,
                participant: *participant,
                commit,
                is_branch: false,
            })
        });
        decisions.chain(self.resolved())
    }

    fn check(&self, work: &Work) -> Result<(), Refused> {
        // Each message, once more where the topics' messages are copied, and each copy.
        let publishes = work.publishes.len();
        let copies: usize = work.publishes.iter().map(|message| self.copies_of(message)).sum();
        let again = if copies > 0 { publishes } else { 0 };
        let parts = publishes + work.settles.len() + copies + again;
        if parts > MAX_PARTS {
            return Err(Refused::TooLarge(parts));
        }
        for message in &work.publishes {
            if message.destination.is_pattern() {
                return Err(Refused::Pattern(message.destination.name.clone()));
            }
        }
        let mut seen = BTreeSet::new();
        for (message, _) in &work.settles {
            if self.derived.locks.contains_key(message) {
                return Err(Refused::MessageLocked(*message));
            }
            if self.stored(*message).is_none() {
                return Err(Refused::MessageGone(*message));
            }
            if !seen.insert(*message) {
                return Err(Refused::SettledTwice(*message));
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, step: &mut Step, work: &Work, written_at: Option<MessageRef>) {
        let here = MessageRef::new(step.index, step.command, 0);
        let first = written_at.unwrap_or(here);
        // What enters several queues has its references in the order of the transaction, as all else.
        let is_copied = work.publishes.iter().any(|message| {
            message.destination.kind == DestinationKind::Topic
                && self.is_entered(&message.destination.name)
        });
        for (part, message) in work.publishes.iter().enumerate() {
            let at = MessageRef::new(first.index, first.command(), first.part() + part);
            if let Ok(Some(schedule)) = Schedule::of(message) {
                self.put_off(step, at, message, &schedule);
                continue;
            }
            let queue = &message.destination.name;
            match message.destination.kind {
                DestinationKind::Topic => self.copy_to_topic(step, message, at),
                DestinationKind::Queue if written_at.is_none() && !is_copied => {
                    self.enter_queue(step, part, queue, message, Written::Here);
                }
                DestinationKind::Queue => {
                    let part = step.take_part();
                    let written = Written::Earlier { at, buried: None };
                    self.enter_queue(step, part, queue, message, written);
                }
            }
        }
        let settled = step.next_part;
        for (part, (message, how)) in work.settles.iter().enumerate() {
            self.settle(step, settled + part, *message, *how);
        }
    }

    pub(super) fn transact(&mut self, step: &mut Step, work: &Work) -> Result<(), Refused> {
        self.check(work).inspect_err(|_| reached(Point::TransactionRefused))?;
        self.carry_out(step, work, None);
        reached(Point::Transacted);
        Ok(())
    }

    pub(super) fn prepare(
        &mut self,
        step: &mut Step,
        transaction: TransactionId,
        coordinator: u32,
        work: &Work,
        is_branch: bool,
    ) -> Result<(), Refused> {
        if self.tables.prepared.contains_key(&transaction) {
            return Err(Refused::AlreadyPrepared);
        }
        self.check(work).inspect_err(|_| reached(Point::TransactionRefused))?;
        reached(Point::Prepared);
        let prepared = Prepared {
            coordinator,
            since: step.now,
            written_at: MessageRef::new(step.index, step.command, 0),
            work: work.clone(),
            is_branch,
        };
        if is_branch {
            self.derived.branches.bytes += prepared.footprint();
        }
        self.derived.pin(step.index, prepared.bodies());
        self.derived.locks.extend(work.settles.iter().map(|(message, _)| (*message, transaction)));
        self.tables.prepared.insert(transaction, prepared);
        Ok(())
    }

    pub(super) fn finish(&mut self, step: &mut Step, transaction: TransactionId, end: End) {
        let Some(prepared) = self.tables.prepared.remove(&transaction) else { return };
        if prepared.is_branch {
            self.derived.branches.bytes -= prepared.footprint();
        }
        for (message, _) in &prepared.work.settles {
            let holder = self.derived.locks.remove(message);
            assert_eq!(holder, Some(transaction), "{message} was held by the transaction");
        }
        reached(match end {
            End::Commit => Point::FinishedByCommit,
            End::Abort | End::GivenBack => Point::FinishedByAbort,
        });
        let settles = prepared.work.settles.iter().map(|(message, _)| *message);
        match end {
            End::Commit => self.carry_out(step, &prepared.work, Some(prepared.written_at)),
            End::Abort => step.effects.extend(settles.map(|message| Effect::Kept { message })),
            End::GivenBack => settles.enumerate().for_each(|(part, message)| {
                reached(Point::BranchGivenBack);
                self.settle(step, part, message, Settlement::Release);
            }),
        }
        // After the messages have taken their own pins, so that the entry is never without any.
        let bodies = prepared.bodies();
        if bodies > 0 {
            self.derived.unpin(prepared.written_at.index, bodies);
            step.touched.insert(prepared.written_at.index);
        }
    }

    pub(super) fn decide(
        &mut self,
        transaction: TransactionId,
        commit: bool,
        participants: &[u32],
    ) -> Outcome {
        if self.is_entered_branch(transaction) {
            return Outcome::Entered;
        }
        let waiting = participants.iter().copied().collect::<BTreeSet<_>>();
        let decision = self
            .tables
            .decisions
            .entry(transaction)
            .or_insert_with(|| Decision { commit, waiting: waiting.clone() });
        if decision.waiting.is_empty() {
            decision.waiting = waiting;
        }
        if decision.commit != commit {
            reached(Point::DecidedElsewhere);
        }
        Outcome::Decided { commit: decision.commit }
    }

    pub(super) fn forget(&mut self, transaction: TransactionId, participant: u32) {
        let decisions = &mut self.tables.decisions;
        if let Some(decision) = decisions.get_mut(&transaction)
            && decision.waiting.remove(&participant)
            && decision.waiting.is_empty()
        {
            decisions.remove(&transaction);
        }
        self.forget_part(transaction, participant);
    }

    /// A node has begun a new life: nobody will ask any more to commit what an older one ran, so
    /// an abort need not be remembered. A commit is, until its participants have forgotten it.
    pub(super) fn supersede(&mut self, session: SessionId) {
        let first = SessionId { node: session.node, incarnation: 0 };
        let older =
            TransactionId { session: first, number: 0 }..TransactionId { session, number: 0 };
        let aborted: Vec<_> = self
            .tables
            .decisions
            .range(older)
            .filter(|(_, decision)| !decision.commit)
            .map(|(transaction, _)| *transaction)
            .collect();
        for transaction in aborted {
            self.tables.decisions.remove(&transaction);
        }
    }
}
