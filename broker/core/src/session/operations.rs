//! What a session has asked of the cluster and what that is about, whatever its client speaks.
//!
//! A protocol's frames become calls here, each of which is one thing a client may want; what comes
//! out are [`Operation`]s to submit and deliveries to send. Who is answered what, and in which words,
//! is the protocol's.

mod branches;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use paceline_reached::{Point, reached};

use super::{
    OperationLimits, Violation,
    consumers::{Consumers, Handed, Place, Settles},
    ledger::Ledger,
    transactions::{Settle, Transaction, Transactions},
};
use crate::{
    Message,
    durable::Durable,
    operation::{
        ConsumerId, Delivery, DeliveryId, OpTag, Operation, Parting, Settlement, Subscription,
    },
};

/// Whom the outcome of an operation is for, in a protocol's own words.
pub(super) trait Purpose {
    /// Whether the client is told of success. Settlements of which it is not may travel together.
    fn awaits_success(&self) -> bool;
}

/// A session's operations, consumers and transactions.
///
/// `P` is whom an outcome is for, `T` what the client names transactions by, `L` what the protocol
/// knows a consumer by. Times are those since the session began.
#[derive(Debug)]
pub(super) struct Operations<P, T, L> {
    limits: OperationLimits,
    /// To hand out.
    queue: VecDeque<Operation>,
    /// Handed out or not. `None` where the client is not told, however it ends.
    outstanding: Ledger<Option<P>>,
    /// Whether something was asked since the last [`Operation::Hurry`] that may take its time.
    unhurried: bool,
    consumers: Consumers<L>,
    transactions: Transactions<T>,
    /// What commits without an outcome settle.
    committing: BTreeMap<OpTag, Vec<Settle>>,
    /// What branches settle that are being prepared,
    preparing: BTreeMap<OpTag, (T, Vec<Settle>)>,
    /// that are prepared,
    prepared: BTreeMap<T, Vec<Settle>>,
    /// and that are being rolled back.
    rolling_back: BTreeMap<OpTag, Vec<Settle>>,
}

impl<P: Purpose, T: Ord + Clone, L> Operations<P, T, L> {
    /// Of a session that begins now.
    pub(super) fn new(limits: OperationLimits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            outstanding: Ledger::default(),
            unhurried: false,
            consumers: Consumers::default(),
            transactions: Transactions::default(),
            committing: BTreeMap::new(),
            preparing: BTreeMap::new(),
            prepared: BTreeMap::new(),
            rolling_back: BTreeMap::new(),
        }
    }

    // ---- what the client wants ------------------------------------------------------------------

    /// To send a message.
    pub(super) fn publish(&mut self, now: Duration, message: Arc<Message>, purpose: P) {
        let tag = self.outstanding.open(now, weight(&message), Some(purpose));
        self.queue.push_back(Operation::Publish { tag, message });
    }

    /// To send messages: all of them or none. Several are as bounded as those of a transaction.
    pub(super) fn publish_all(
        &mut self,
        now: Duration,
        mut messages: Vec<Arc<Message>>,
        purpose: P,
    ) -> Result<(), Violation> {
        if messages.len() == 1
            && let Some(message) = messages.pop()
        {
            self.publish(now, message, purpose);
            return Ok(());
        }
        let mut all = Transaction::default();
        all.publish(messages, weight, &self.limits)?;
        let tag = self.outstanding.open(now, all.bytes, Some(purpose));
        let publishes = all.publishes;
        self.queue.push_back(Operation::Commit { tag, publishes, settles: Vec::new() });
        Ok(())
    }

    /// To send messages when a transaction commits: where there is no room for all, none of them.
    pub(super) fn publish_in(
        &mut self,
        transaction: &T,
        messages: Vec<Arc<Message>>,
    ) -> Result<(), Violation> {
        self.transactions.get(transaction)?.publish(messages, weight, &self.limits)
    }

    /// How many deliveries a consumer may hold unsettled that asks for so many.
    pub(super) fn prefetch(&self, asked: Option<u32>) -> u32 {
        let OperationLimits { default_prefetch, max_prefetch, .. } = self.limits;
        asked.unwrap_or(default_prefetch).min(max_prefetch)
    }

    /// To consume.
    pub(super) fn subscribe(
        &mut self,
        now: Duration,
        subscription: Subscription,
        settles: Settles,
        label: L,
        purpose: P,
    ) -> Result<ConsumerId, Violation> {
        let max = self.limits.max_consumers;
        if self.consumers.len() >= max {
            return Err(Violation::Consumers { max });
        }
        let consumer = self.consumers.add(label, settles, subscription.prefetch);
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::Subscribe { tag, consumer, subscription });
        Ok(consumer)
    }

    /// To be known by a client id.
    pub(super) fn identify(
        &mut self,
        now: Duration,
        client: Arc<str>,
        connection: Arc<str>,
        purpose: P,
    ) {
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::Identify { tag, client, connection });
    }

    /// To delete a durable subscription.
    pub(super) fn forget(&mut self, now: Duration, durable: Durable, purpose: P) {
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::Forget { tag, durable });
    }

    /// To consume no more. What was not handed out yet is dropped. Of what it was handed out, the client
    /// has looked at the first `saw`, or all if it does not say.
    pub(super) fn unsubscribe(
        &mut self,
        now: Duration,
        consumer: ConsumerId,
        saw: Option<u64>,
        purpose: P,
    ) {
        let parting = match saw {
            None => Parting::Released,
            Some(saw) => {
                let mut seen = self.consumers.first(consumer, saw);
                // Who acknowledges has looked.
                seen.extend(self.transactions.settles_of(consumer));
                Parting::Saw(seen)
            }
        };
        self.consumers.remove(consumer);
        let tag = self.outstanding.open(now, 0, Some(purpose));
        self.queue.push_back(Operation::Unsubscribe { tag, consumer, parting });
    }

    /// To settle the deliveries from one place to another, as far as they are unsettled. The last
    /// one must be.
    pub(super) fn settle(
        &mut self,
        now: Duration,
        consumer: ConsumerId,
        places: &RangeInclusive<Place>,
        how: Settlement,
        purpose: P,
    ) -> Result<(), Violation> {
        let taken = self.consumers.take(consumer, places);
        if taken.is_empty() {
            return Err(Violation::NotUnsettled);
        }
        let deliveries = taken.into_iter().map(|(_, unsettled)| unsettled.delivery);
        let Self { queue, outstanding, unhurried, .. } = self;
        *unhurried |= !purpose.awaits_success();
        settle(queue, outstanding, now, deliveries, how, Some(purpose));
        Ok(())
    }

    /// The same when a transaction commits. Until it ends, what it settles does not count against
    /// the consumer's prefetch.
    pub(super) fn settle_in(
        &mut self,
        now: Duration,
        transaction: &T,
        consumer: ConsumerId,
        places: &RangeInclusive<Place>,
        how: Settlement,
    ) -> Result<(), Violation> {
        // A transaction that cannot take them must leave the deliveries as they are.
        let transaction = self.transactions.get(transaction)?;
        let count = self.consumers.count(consumer, places);
        if count == 0 {
            return Err(Violation::NotUnsettled);
        }
        transaction.check_room(count, &self.limits)?;
        let taken = self.consumers.take(consumer, places);
        let settles = taken.into_iter();
        transaction.settles.extend(settles.map(|(place, unsettled)| Settle {
            consumer,
            place,
            unsettled,
            how,
        }));
        let window = self.consumers.pledge(consumer, count as u32);
        self.set_prefetch(now, consumer, window);
        Ok(())
    }

    /// To open a transaction.
    pub(super) fn begin(&mut self, transaction: T) -> Result<(), Violation> {
        self.transactions.begin(transaction, &self.limits)
    }

    /// Whether a transaction of that name is open.
    pub(super) fn is_open(&mut self, transaction: &T) -> bool {
        self.transactions.get(transaction).is_ok()
    }

    /// To carry out what is in a transaction. Gives `purpose` back where that is nothing: it is done
    /// already.
    pub(super) fn commit(
        &mut self,
        now: Duration,
        transaction: &T,
        purpose: P,
    ) -> Result<Option<P>, Violation> {
        let transaction = self.transactions.end(transaction)?;
        if transaction.is_empty() {
            return Ok(Some(purpose));
        }
        let pledges = transaction.pledges();
        let Transaction { publishes, settles, bytes } = transaction;
        let tag = self.outstanding.open(now, bytes, Some(purpose));
        let ends = settles.iter().map(|settle| (settle.unsettled.delivery, settle.how)).collect();
        self.queue.push_back(Operation::Commit { tag, publishes, settles: ends });
        if !settles.is_empty() {
            self.committing.insert(tag, settles);
        }
        self.redeem(now, pledges);
        Ok(None)
    }

    /// To carry out nothing of a transaction: what it would have settled can be settled again.
    pub(super) fn abort(&mut self, now: Duration, transaction: &T) -> Result<(), Violation> {
        let transaction = self.transactions.end(transaction)?;
        reached(Point::Aborted);
        self.redeem(now, transaction.pledges());
        self.put_back(transaction.settles);
        Ok(())
    }

    /// To have all of it answered soon, what may take its time included.
    pub(super) fn hurry(&mut self, now: Duration) {
        if std::mem::take(&mut self.unhurried) {
            let tag = self.outstanding.open(now, 0, None);
            self.queue.push_back(Operation::Hurry { tag });
        }
    }

    // ---- what happened --------------------------------------------------------------------------

    /// An operation has its outcome. Whom that is for, if the client is told. What a commit was to settle
    /// that was not carried out can be settled again.
    ///
    /// # Panics
    ///
    /// If no such operation is outstanding.
    pub(super) fn handle_outcome(&mut self, tag: OpTag, is_done: bool) -> Option<P> {
        if let Some(settles) = self.committing.remove(&tag)
            && !is_done
        {
            self.put_back(settles);
        }
        self.handle_branch_outcome(tag, is_done);
        self.outstanding.close(tag)
    }

    /// An operation is not to be answered before there is room in a queue, or is again.
    pub(super) fn handle_held(&mut self, now: Duration, tag: OpTag, is_held: bool) {
        match is_held {
            true => self.outstanding.hold(tag),
            false => self.outstanding.release(now, tag),
        }
    }

    /// A message for one of the consumers.
    pub(super) fn handle_delivery(&mut self, delivery: Delivery) {
        self.consumers.deliver(delivery);
    }

    /// One of the consumers browses and has been given all that there is for it.
    pub(super) fn handle_browse_end(&mut self, consumer: ConsumerId) {
        self.consumers.end_browsing(consumer);
    }

    /// As [`Consumers::take_browse_end`].
    pub(super) fn take_browse_end(&mut self) -> Option<&L> {
        self.consumers.take_browse_end()
    }

    /// The client has died, perhaps of what it was working on: of each consumer that is its oldest
    /// unsettled delivery, which counts as rejected.
    pub(super) fn handle_death(&mut self, now: Duration) {
        for (consumer, delivery) in self.consumers.in_work() {
            let tag = self.outstanding.open(now, 0, None);
            let parting = Parting::Died(delivery);
            self.queue.push_back(Operation::Unsubscribe { tag, consumer, parting });
        }
    }

    /// The client wants nothing more: forgets its consumers, with what was not handed out to them,
    /// and its transactions. What was asked of the cluster before is still carried out.
    pub(super) fn handle_end(&mut self) {
        self.consumers.clear();
        self.transactions.clear();
        self.prepared.clear();
    }

    fn put_back(&mut self, settles: Vec<Settle>) {
        for Settle { consumer, place, unsettled, .. } in settles {
            self.consumers.put_back(consumer, place, unsettled);
        }
    }

    // ---- what is to be done ---------------------------------------------------------------------

    /// The next operation to submit.
    pub(super) fn poll(&mut self) -> Option<Operation> {
        self.queue.pop_front()
    }

    /// The next delivery to send. One that [settles by being sent](Settles::WhenSent) does so now.
    pub(super) fn hand_out(&mut self, now: Duration) -> Option<Handed<'_, L>> {
        let Self { queue, outstanding, unhurried, consumers, .. } = self;
        let handed = consumers.hand_out()?;
        if handed.settles == Settles::WhenSent {
            *unhurried = true;
            settle(queue, outstanding, now, [handed.delivery.id], Settlement::Accept, None);
        }
        Some(handed)
    }

    /// When the oldest operation has waited for its outcome too long.
    pub(super) fn answer_due(&self) -> Option<Duration> {
        let (_, asked_at) = self.outstanding.oldest()?;
        Some(asked_at + self.limits.answer_timeout)
    }

    /// Whom the outcome of the oldest operation is for, if the client is told.
    pub(super) fn oldest(&self) -> Option<&P> {
        self.outstanding.oldest()?.0.as_ref()
    }

    /// Whether every operation has its outcome.
    pub(super) fn are_answered(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether the client may cause more.
    pub(super) fn have_room(&self) -> bool {
        self.outstanding.has_room(self.limits.max_outstanding, self.limits.max_outstanding_bytes)
    }

    /// What the protocol knows a consumer by.
    pub(super) fn label_mut(&mut self, consumer: ConsumerId) -> Option<&mut L> {
        self.consumers.label_mut(consumer)
    }

    /// The consumers there are.
    pub(super) fn consumers(&self) -> &Consumers<L> {
        &self.consumers
    }

    // ---- prefetch -------------------------------------------------------------------------------

    /// So many deliveries of a consumer more do not count against its prefetch.
    pub(super) fn widen(&mut self, now: Duration, consumer: ConsumerId, deliveries: u32) {
        let window = self.consumers.pledge(consumer, deliveries);
        self.set_prefetch(now, consumer, window);
    }

    /// So many deliveries of a consumer count again that [`Self::widen`] took out.
    pub(super) fn narrow(&mut self, now: Duration, consumer: ConsumerId, deliveries: u32) {
        let window = self.consumers.redeem(consumer, deliveries);
        self.set_prefetch(now, consumer, window);
    }

    /// A consumer would like to hold so many unsettled from now on.
    pub(super) fn change_prefetch(&mut self, now: Duration, consumer: ConsumerId, prefetch: u32) {
        let prefetch = prefetch.min(self.limits.max_prefetch);
        let window = self.consumers.change_prefetch(consumer, prefetch);
        self.set_prefetch(now, consumer, window);
    }

    /// A transaction has ended that settled so many deliveries of each.
    fn redeem(&mut self, now: Duration, pledges: impl IntoIterator<Item = (ConsumerId, u32)>) {
        for (consumer, count) in pledges {
            let window = self.consumers.redeem(consumer, count);
            self.set_prefetch(now, consumer, window);
        }
    }

    fn set_prefetch(&mut self, now: Duration, consumer: ConsumerId, prefetch: Option<u32>) {
        if let Some(prefetch) = prefetch {
            reached(Point::WindowChanged);
            let tag = self.outstanding.open(now, 0, None);
            self.queue.push_back(Operation::SetPrefetch { tag, consumer, prefetch });
        }
    }
}

/// Settles deliveries, together with those before them where the client is told of neither's success.
fn settle<P: Purpose>(
    queue: &mut VecDeque<Operation>,
    outstanding: &mut Ledger<Option<P>>,
    now: Duration,
    settled: impl IntoIterator<Item = DeliveryId>,
    how: Settlement,
    purpose: Option<P>,
) {
    let awaits_success = |purpose: &Option<P>| purpose.as_ref().map(Purpose::awaits_success);
    let awaited = awaits_success(&purpose);
    if let Some(Operation::Settle { tag, deliveries, how: earlier, awaited: false }) =
        queue.back_mut()
        && *earlier == how
        && outstanding.purpose(*tag).map(awaits_success) == Some(awaited)
    {
        deliveries.extend(settled);
        return;
    }
    let tag = outstanding.open(now, 0, purpose);
    let deliveries = settled.into_iter().collect();
    let awaited = awaited == Some(true);
    queue.push_back(Operation::Settle { tag, deliveries, how, awaited });
}

/// What a message costs while its outcome is awaited, in bytes: no less than it takes on a link.
fn weight(message: &Message) -> usize {
    message.footprint() + 256
}

#[cfg(test)]
mod tests;
