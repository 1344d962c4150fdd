//! Transactions: all of one shard is one command; over several shards they are committed in two
//! phases that the ingress node runs.
//!
//! Every part is prepared in its shard; then the shard of the first publish (or settlement), the
//! coordinator, records the decision; then the parts are finished. If this node dies in between,
//! the leader of a prepared part has its node ask the coordinator, where no decision becomes an abort. See
//! `docs/decisions/0004-transactions-over-several-shards.md`.

use std::{collections::BTreeMap, sync::Arc};

use paceline_core::{
    Message,
    operation::{DeliveryId, OpTag, Outcome, Refusal, Settlement},
    shard::{self, Command, InDoubt, TransactionId, Work},
};
use paceline_runtime::task;
use tokio::sync::oneshot;

use super::{
    ConnectionHandle, Request, Router, Settles,
    connection::{OPERATION_BYTES, Parts, result_of},
    deliveries::Held,
};

/// A transaction's part in one shard.
#[derive(Debug, Default)]
struct Share {
    work: Work,
    holders: Vec<u64>,
}

impl ConnectionHandle {
    pub(super) fn commit(
        &self,
        tag: OpTag,
        publishes: Vec<Arc<Message>>,
        settles: Vec<(DeliveryId, Settlement)>,
    ) {
        let bytes: usize = publishes.iter().map(|message| message.footprint()).sum();
        let bytes = bytes + OPERATION_BYTES;
        self.connection.begin(bytes);
        let parts = Parts::new(self.connection.clone(), tag, bytes);

        let taken = match self.take(&settles) {
            Ok(taken) => taken,
            Err(why) => return parts.note(Err(why)),
        };
        let mut settles = Settles::default();
        for (_, held, how) in &taken {
            settles.add(held, *how);
        }
        let first_settled = taken.first().map(|(_, held, _)| held.slot);
        let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
        let mut coordinator = None;
        for message in publishes {
            let slot = self.router.slot_of(&message.destination);
            coordinator.get_or_insert(slot);
            shares.entry(slot).or_default().work.publishes.push(message);
        }
        for (slot, (settles, holders)) in settles.stored {
            let share = shares.entry(slot).or_default();
            (share.work.settles, share.holders) = (settles, holders);
        }
        let coordinator = coordinator
            .or(first_settled.filter(|slot| shares.contains_key(slot)))
            .or(shares.keys().next().copied());

        // What comes first is sent from here, so that it keeps its place among the connection's
        // operations; the rest is awaited elsewhere.
        let router = self.router.clone();
        let running = coordinator.map(|coordinator| Running::begin(&router, coordinator, shares));
        let connection = self.connection.clone();
        task::spawn(async move {
            let result = match running {
                None => Ok(()),
                Some(running) => running.end(&router).await,
            };
            if result.is_ok() {
                for ((slot, consumer, how), messages) in settles.volatile {
                    let done = parts.part();
                    router.send(slot, Request::Settle { consumer, messages, how, done });
                }
            } else {
                connection.with_deliveries(|deliveries| {
                    for (id, held, _) in taken {
                        deliveries.unsettle(id, held);
                    }
                });
            }
            parts.note(result);
        });
    }

    /// Takes deliveries out of the client's hands: all of them or none.
    fn take(
        &self,
        settles: &[(DeliveryId, Settlement)],
    ) -> Result<Vec<(DeliveryId, Held, Settlement)>, Refusal> {
        self.connection.with_deliveries(|deliveries| {
            let mut taken = Vec::with_capacity(settles.len());
            for (id, how) in settles {
                match deliveries.settle(*id) {
                    Some(held) => taken.push((*id, held, *how)),
                    None => {
                        for (id, held, _) in taken {
                            deliveries.unsettle(id, held);
                        }
                        return Err(Refusal::Rejected(
                            "the transaction acknowledges a delivery that is no longer with this \
                             connection; it was rolled back"
                                .into(),
                        ));
                    }
                }
            }
            Ok(taken)
        })
    }
}

impl Router {
    /// Asks the coordinator of a transaction that is prepared in `slot` how it ended, and ends it
    /// there alike.
    pub fn resolve(&self, slot: u32, doubt: InDoubt) {
        let router = self.clone();
        task::spawn(async move {
            let transaction = doubt.transaction;
            let ask = Command::Decide { transaction, commit: false, participants: Vec::new() };
            let decided = router.command(doubt.coordinator, ask).await;
            let shard::Outcome::Decided { commit } = decided else { return };
            router.command(slot, Command::Finish { transaction, commit }).await;
            let forget = Command::Forget { transaction, participant: slot };
            router.command(doubt.coordinator, forget).await;
        });
    }
}

/// A transaction whose first commands are on their way.
enum Running {
    Single(oneshot::Receiver<shard::Outcome>),
    Several {
        transaction: TransactionId,
        coordinator: u32,
        prepared: Vec<(u32, oneshot::Receiver<shard::Outcome>)>,
    },
}

impl Running {
    fn begin(router: &Router, coordinator: u32, shares: BTreeMap<u32, Share>) -> Self {
        if shares.len() == 1 {
            let share = shares.into_values().next().expect("it has one");
            let command = Command::Transact { work: share.work };
            return Running::Single(router.submit_command(coordinator, command, share.holders));
        }
        let transaction = router.new_transaction();
        let prepare = |(slot, Share { work, holders })| {
            let command = Command::Prepare { transaction, coordinator, work };
            (slot, router.submit_command(slot, command, holders))
        };
        let prepared = shares.into_iter().map(prepare).collect();
        Running::Several { transaction, coordinator, prepared }
    }

    async fn end(self, router: &Router) -> Outcome {
        let (transaction, coordinator, prepared) = match self {
            Running::Single(outcome) => return result_of(received(outcome.await)),
            Running::Several { transaction, coordinator, prepared } => {
                (transaction, coordinator, prepared)
            }
        };
        let participants: Vec<u32> = prepared.iter().map(|(slot, _)| *slot).collect();
        let mut wanted = Ok(());
        for (_, outcome) in prepared {
            let result = result_of(received(outcome.await));
            wanted = wanted.and(result);
        }
        let decide = Command::Decide {
            transaction,
            commit: wanted.is_ok(),
            participants: participants.clone(),
        };
        let decided = router.command(coordinator, decide).await;
        let shard::Outcome::Decided { commit } = decided else {
            return result_of(decided)
                .and(Err(Refusal::Unknown("no decision was recorded".into())));
        };
        let finishing: Vec<_> = participants
            .iter()
            .map(|slot| {
                let command = Command::Finish { transaction, commit };
                (*slot, router.submit_command(*slot, command, Vec::new()))
            })
            .collect();
        for (participant, finished) in finishing {
            // Answered behind the last of them, so that what the client does next finds all of it.
            if result_of(received(finished.await)).is_ok() {
                let forget = Command::Forget { transaction, participant };
                drop(router.submit_command(coordinator, forget, Vec::new()));
            }
        }
        match (commit, wanted) {
            (true, _) => Ok(()),
            (false, Err(why)) => Err(why),
            (false, Ok(())) => {
                Err(Refusal::Rejected("the transaction took too long and was rolled back".into()))
            }
        }
    }
}

fn received(outcome: Result<shard::Outcome, oneshot::error::RecvError>) -> shard::Outcome {
    outcome.unwrap_or_else(|_| shard::Outcome::Refused(super::shutting_down()))
}
