//! Transactions that a connection commits: taken apart by shards, and what becomes of what they settle.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        commit::{Commit, Send, Share},
        deliveries::Held,
    },
    Committing, Connection, Directory, OPERATION_BYTES, Part, Request, Settles, VolatileSettles,
};
use crate::{
    Message,
    operation::{DeliveryId, OpTag, Settlement},
    shard,
};

/// A transaction, taken apart.
pub(super) struct Shared {
    /// What each shard is to do.
    pub(super) shares: BTreeMap<u32, Share>,
    /// The slot of the first that is to store or to settle something; none if there is nothing to do.
    pub(super) coordinator: Option<u32>,
    /// What it settles, as the client held it.
    pub(super) taken: Vec<(DeliveryId, Held, Settlement)>,
    /// What of that is not stored.
    pub(super) volatile: VolatileSettles,
}

impl Connection {
    pub(super) fn commit(
        &mut self,
        tag: OpTag,
        publishes: Vec<Arc<Message>>,
        settles: &[(DeliveryId, Settlement)],
        directory: &impl Directory,
    ) {
        let Some(Shared { shares, coordinator, taken, volatile }) =
            self.share(tag, publishes, settles, directory)
        else {
            return;
        };
        let Some(coordinator) = coordinator else {
            self.settle_volatile(volatile);
            return self.end_part(tag, Ok(()));
        };
        let mut sends = Vec::new();
        let transaction = directory.next_transaction();
        let commit = Commit::begin(transaction, coordinator, shares, &mut sends);
        self.commits.insert(tag, Committing { commit, taken, volatile });
        self.send(tag, sends);
    }

    /// Begins an operation that carries out a transaction, and takes it apart. If it settles what it
    /// cannot, the operation has ended.
    pub(super) fn share(
        &mut self,
        tag: OpTag,
        publishes: Vec<Arc<Message>>,
        settles: &[(DeliveryId, Settlement)],
        directory: &impl Directory,
    ) -> Option<Shared> {
        let bytes: usize = publishes.iter().map(|message| message.footprint()).sum();
        self.operations.begin(tag, bytes + OPERATION_BYTES);
        let taken = match self.deliveries.settle_all(settles) {
            Ok(taken) => taken,
            Err(why) => {
                self.end_part(tag, Err(why));
                return None;
            }
        };
        let mut settles = Settles::default();
        for (_, held, how) in &taken {
            settles.add(held, *how);
        }
        let first_settled = taken.first().map(|(_, held, _)| held.slot);
        let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
        let mut first_published = None;
        for message in publishes {
            let slot = directory.slot_of(&message.destination);
            first_published.get_or_insert(slot);
            shares.entry(slot).or_default().work.publishes.push(message);
        }
        for (slot, (settles, holders)) in settles.stored {
            let share = shares.entry(slot).or_default();
            (share.work.settles, share.holders) = (settles, holders);
        }
        let coordinator = first_published
            .or(first_settled.filter(|slot| shares.contains_key(slot)))
            .or(shares.keys().next().copied());
        Some(Shared { shares, coordinator, taken, volatile: settles.volatile })
    }

    pub(super) fn continue_commit(&mut self, tag: OpTag, slot: u32, outcome: shard::Outcome) {
        let Some(committing) = self.commits.get_mut(&tag) else {
            panic!("a command was answered of a transaction that is over")
        };
        let mut sends = Vec::new();
        let progress = committing.commit.handle_outcome(slot, outcome, &mut sends);
        let branch = committing.commit.branch().cloned();
        let ended = progress.answer.map(|answer| {
            (
                answer,
                std::mem::take(&mut committing.taken),
                std::mem::take(&mut committing.volatile),
            )
        });
        if progress.is_over {
            self.commits.remove(&tag);
        }
        self.send(tag, sends);
        let Some((answer, taken, volatile)) = ended else { return };
        // What is not stored takes no part in the decision: it is settled behind it, and can say
        // nothing against it.
        match (&answer, branch) {
            (Ok(()), Some(xid)) => self.handle_prepared(xid, taken, volatile),
            (Ok(()), None) => self.settle_volatile(volatile),
            (Err(_), _) => {
                for (id, held, _) in taken {
                    self.deliveries.unsettle(id, held);
                }
            }
        }
        self.end_part(tag, answer);
        for (tag, consumer, parting) in std::mem::take(&mut self.leaving) {
            self.end_consumer(tag, consumer, parting);
        }
        self.advance();
    }

    pub(super) fn send(&mut self, tag: OpTag, sends: Vec<Send>) {
        for Send { slot, command, holders, awaited } in sends {
            let asker = if awaited { Part::Commit(tag, slot) } else { Part::Unawaited };
            self.request(slot, Request::Command { command, holders, urgent: true, asker });
        }
    }
}
