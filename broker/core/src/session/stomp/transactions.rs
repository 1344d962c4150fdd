//! A session's open transactions (STOMP 1.2 "BEGIN", "COMMIT", "ABORT").
//!
//! Nothing of a transaction leaves the session before its COMMIT, which becomes one operation.

use std::{collections::BTreeMap, sync::Arc};

use paceline_wire::stomp::Text;

use super::{
    StompConfig,
    subscriptions::{Place, Unsettled},
};
use crate::{Message, operation::Settlement};

/// What a transaction will do.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub publishes: Vec<Arc<Message>>,
    pub settles: Vec<(Place, Unsettled, Settlement)>,
    /// Of the publishes, as [`super::weight`] counts them.
    pub bytes: usize,
}

impl Transaction {
    fn entries(&self) -> usize {
        self.publishes.len() + self.settles.len()
    }
}

#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: BTreeMap<Text, Transaction>,
}

impl Transactions {
    pub(super) fn begin(&mut self, name: &Text, config: &StompConfig) -> Result<(), String> {
        if self.open.contains_key(name) {
            return Err(format!("the transaction `{name}` is already open"));
        }
        if self.open.len() >= config.max_transactions {
            let max = config.max_transactions;
            return Err(format!("{max} transactions are open, which is the most allowed"));
        }
        self.open.insert(name.clone(), Transaction::default());
        Ok(())
    }

    /// Ends a transaction and hands out what was in it.
    pub(super) fn end(&mut self, name: &Text) -> Result<Transaction, String> {
        self.open.remove(name).ok_or_else(|| unknown(name))
    }

    /// The open transaction of that name.
    pub(super) fn get(&mut self, name: &Text) -> Result<&mut Transaction, String> {
        self.open.get_mut(name).ok_or_else(|| unknown(name))
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

impl Transaction {
    pub(super) fn publish(
        &mut self,
        message: Arc<Message>,
        bytes: usize,
        config: &StompConfig,
    ) -> Result<(), String> {
        self.check_room(1, config)?;
        if self.bytes + bytes > config.max_transaction_bytes {
            let max = config.max_transaction_bytes;
            return Err(format!("the transaction would hold more than {max} bytes of messages"));
        }
        self.bytes += bytes;
        self.publishes.push(message);
        Ok(())
    }

    /// Whether so many more entries may be added.
    pub(super) fn check_room(&self, more: usize, config: &StompConfig) -> Result<(), String> {
        let max = config.max_transaction_entries;
        if self.entries() + more > max {
            return Err(format!("the transaction would hold more than {max} entries"));
        }
        Ok(())
    }
}

fn unknown(name: &Text) -> String {
    format!("there is no open transaction `{name}`")
}
