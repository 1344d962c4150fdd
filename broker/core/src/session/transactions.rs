//! A session's open transactions. Nothing of one leaves the session before it is committed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    OperationLimits, Violation,
    consumers::{Place, Unsettled},
};
use crate::{
    Message,
    operation::{ConsumerId, DeliveryId, Settlement},
};

/// What a transaction will do.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Messages to send, in order.
    pub(super) publishes: Vec<Arc<Message>>,
    /// Deliveries to settle, in the order in which they were settled.
    pub(super) settles: Vec<Settle>,
    /// What the messages cost.
    pub(super) bytes: usize,
}

/// A delivery that a transaction settles.
#[derive(Debug)]
pub(super) struct Settle {
    /// Whose it is.
    pub(super) consumer: ConsumerId,
    /// Where it stood.
    pub(super) place: Place,
    /// Which it is.
    pub(super) unsettled: Unsettled,
    /// How it ends.
    pub(super) how: Settlement,
}

impl Transaction {
    /// Adds messages, each of which costs so many bytes: all of them or, where there is no room, none.
    pub(super) fn publish(
        &mut self,
        messages: Vec<Arc<Message>>,
        weight: impl Fn(&Message) -> usize,
        limits: &OperationLimits,
    ) -> Result<(), Violation> {
        self.check_room(messages.len(), limits)?;
        let bytes: usize = messages.iter().map(|message| weight(message)).sum();
        if self.bytes + bytes > limits.max_transaction_bytes {
            return Err(Violation::TransactionBytes { max: limits.max_transaction_bytes });
        }
        self.bytes += bytes;
        self.publishes.extend(messages);
        Ok(())
    }

    /// Whether so many more messages and settlements may be added.
    pub(super) fn check_room(
        &self,
        more: usize,
        limits: &OperationLimits,
    ) -> Result<(), Violation> {
        if self.publishes.len() + self.settles.len() + more > limits.max_transaction_entries {
            return Err(Violation::TransactionEntries { max: limits.max_transaction_entries });
        }
        Ok(())
    }

    /// Whether it will do nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.publishes.is_empty() && self.settles.is_empty()
    }

    /// How many deliveries of each consumer it settles.
    pub(super) fn pledges(&self) -> BTreeMap<ConsumerId, u32> {
        let mut pledges = BTreeMap::new();
        for settle in &self.settles {
            *pledges.entry(settle.consumer).or_default() += 1;
        }
        pledges
    }
}

/// The open transactions by the client's names, `T`.
#[derive(Debug)]
pub(super) struct Transactions<T> {
    open: BTreeMap<T, Transaction>,
}

impl<T> Default for Transactions<T> {
    fn default() -> Self {
        Self { open: BTreeMap::new() }
    }
}

impl<T: Ord> Transactions<T> {
    /// Opens one.
    pub(super) fn begin(&mut self, name: T, limits: &OperationLimits) -> Result<(), Violation> {
        if self.open.contains_key(&name) {
            return Err(Violation::TransactionExists);
        }
        if self.open.len() >= limits.max_transactions {
            return Err(Violation::Transactions { max: limits.max_transactions });
        }
        self.open.insert(name, Transaction::default());
        Ok(())
    }

    /// What open transactions settle of a consumer's deliveries.
    pub(super) fn settles_of(&self, consumer: ConsumerId) -> impl Iterator<Item = DeliveryId> {
        let settles = self.open.values().flat_map(|transaction| &transaction.settles);
        let of_it = settles.filter(move |settle| settle.consumer == consumer);
        of_it.map(|settle| settle.unsettled.delivery)
    }

    /// The open transaction of that name.
    pub(super) fn get(&mut self, name: &T) -> Result<&mut Transaction, Violation> {
        self.open.get_mut(name).ok_or(Violation::NoTransaction)
    }

    /// Ends one and hands out what is in it.
    pub(super) fn end(&mut self, name: &T) -> Result<Transaction, Violation> {
        self.open.remove(name).ok_or(Violation::NoTransaction)
    }

    /// Ends all of them.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const LIMITS: OperationLimits = OperationLimits {
        max_transactions: 2,
        max_transaction_entries: 3,
        max_transaction_bytes: 100,
        ..OperationLimits::DEFAULT
    };

    #[test]
    fn names_are_unique_while_open_and_their_number_is_bounded() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.end(&1).unwrap_err(), Violation::NoTransaction);
        transactions.begin(1, &LIMITS).unwrap();
        assert_eq!(transactions.begin(1, &LIMITS), Err(Violation::TransactionExists));
        transactions.begin(2, &LIMITS).unwrap();
        assert_eq!(transactions.begin(3, &LIMITS), Err(Violation::Transactions { max: 2 }));
        assert!(transactions.end(&1).unwrap().is_empty());
        assert!(matches!(transactions.get(&1), Err(Violation::NoTransaction)));
        transactions.begin(1, &LIMITS).unwrap();
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        let mut transaction = Transaction::default();
        let publish = |transaction: &mut Transaction, bytes| {
            let messages = vec![testing::message("a", "m").into()];
            transaction.publish(messages, |_| bytes, &LIMITS)
        };
        publish(&mut transaction, 60).unwrap();
        assert_eq!(publish(&mut transaction, 41), Err(Violation::TransactionBytes { max: 100 }));
        publish(&mut transaction, 40).unwrap();
        transaction.check_room(1, &LIMITS).unwrap();
        assert_eq!(
            transaction.check_room(2, &LIMITS),
            Err(Violation::TransactionEntries { max: 3 })
        );
        publish(&mut transaction, 0).unwrap();
        assert_eq!(publish(&mut transaction, 0), Err(Violation::TransactionEntries { max: 3 }));
        assert_eq!((transaction.publishes.len(), transaction.bytes), (3, 100));
    }
}
