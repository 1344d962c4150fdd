//! What a consumer that ends has looked at.

use super::*;
use crate::{
    Destination, Message,
    channel::Delivered,
    dispatch::{MessageKey, VolatileId},
    operation::{ConsumerId, DeliveryId, Settlement, Subscription},
    shard::MessageRef,
};

pub(super) struct Everywhere;

impl Directory for Everywhere {
    fn slot_of(&self, _: &Destination) -> u32 {
        0
    }

    fn slots(&self) -> u32 {
        1
    }

    fn next_consumer(&self) -> u64 {
        1
    }

    fn next_transaction(&self) -> shard::TransactionId {
        let session = SessionId { node: 0, incarnation: 0 };
        shard::TransactionId { session, number: 1 }
    }

    fn take_client(&self, _: &str, _: &str) -> bool {
        true
    }

    fn release_client(&self, _: &str) {}
}

const CONSUMER: ConsumerId = ConsumerId(0);

fn key(index: u64) -> MessageKey {
    MessageKey::Stored(MessageRef { index, offset: 0 })
}

/// A consumer of two messages, of which a transaction has acknowledged the second.
fn committing() -> Connection {
    committing_of([key(1), key(2)], Vec::new())
}

fn committing_of(keys: [MessageKey; 2], publishes: Vec<Arc<Message>>) -> Connection {
    let mut connection = Connection::default();
    let source = message("q", "m").destination;
    let (consumer, subscription) = (CONSUMER, Subscription::new(source, 10));
    let subscribe = Operation::Subscribe { tag: OpTag(0), consumer, subscription };
    connection.handle_operation(subscribe, &Everywhere);
    for key in keys {
        let delivered = Delivered {
            consumer: 1,
            key,
            message: Arc::new(message("q", "m")),
            redelivered: false,
            redelivery_count: 0,
            first_of_group: false,
            browsed: None,
        };
        connection.handle_delivered(CONSUMER, 0, ChannelId(1), delivered);
    }
    let settles = vec![(DeliveryId(1), Settlement::Accept)];
    let commit = Operation::Commit { tag: OpTag(1), publishes, settles };
    connection.handle_operation(commit, &Everywhere);
    while connection.poll_request().is_some() {}
    connection
}

fn parting(mut connection: Connection, saw: Vec<DeliveryId>) -> Parting<MessageKey> {
    let parting = Parting::Saw(saw);
    let end = Operation::Unsubscribe { tag: OpTag(2), consumer: CONSUMER, parting };
    connection.handle_operation(end, &Everywhere);
    match connection.poll_request() {
        Some((0, Request::Detach { parting, .. })) => parting,
        other => panic!("{other:?}"),
    }
}

/// What a transaction had acknowledged came back without a mark, as if nobody had looked at it, when
/// the transaction was refused, before or after its consumer had ended.
#[test]
fn who_acknowledges_has_looked_whatever_comes_of_it() {
    let under_way = committing();
    assert_eq!(parting(under_way, vec![DeliveryId(0)]), Parting::Saw(vec![key(1), key(2)]));

    let mut refused = committing();
    let why = Refusal::Rejected("it is no longer there".into());
    refused.handle_ended(Part::Commit(OpTag(1), 0), Err(why));
    assert_eq!(parting(refused, Vec::new()), Parting::Saw(vec![key(2)]));

    let mut done = committing();
    done.handle_ended(Part::Commit(OpTag(1), 0), Ok(()));
    assert_eq!(parting(done, Vec::new()), Parting::Saw(Vec::new()));
}

/// What no log knows of is settled behind the transaction; it was delivered again when its consumer had
/// ended before that (openwire, seed 8).
#[test]
fn a_consumer_ends_behind_what_a_transaction_settles() {
    let volatile = |number| MessageKey::Volatile(VolatileId { term: 1, number });
    let publishes = vec![Arc::new(message("q", "p"))];
    let mut connection = committing_of([volatile(1), volatile(2)], publishes);
    let parting = Parting::Saw(Vec::new());
    let end = Operation::Unsubscribe { tag: OpTag(2), consumer: CONSUMER, parting };
    connection.handle_operation(end, &Everywhere);
    assert!(connection.poll_request().is_none(), "the transaction is under way");
    connection.handle_ended(Part::Commit(OpTag(1), 0), Ok(()));
    let settled = connection.poll_request();
    assert!(matches!(settled, Some((0, Request::Settle { .. }))), "{settled:?}");
    let ended = connection.poll_request();
    assert!(matches!(ended, Some((0, Request::Detach { .. }))), "{ended:?}");
}

/// A client that dies while its transaction is under way has died of what it was working on, all the same.
#[test]
fn a_death_is_told_though_a_transaction_is_under_way() {
    let volatile = |number| MessageKey::Volatile(VolatileId { term: 1, number });
    let publishes = vec![Arc::new(message("q", "p"))];
    let mut connection = committing_of([volatile(1), volatile(2)], publishes);
    let parting = Parting::Died(DeliveryId(0));
    let end = Operation::Unsubscribe { tag: OpTag(2), consumer: CONSUMER, parting };
    connection.handle_operation(end, &Everywhere);
    connection.handle_closed(&Everywhere);
    let ended = connection.poll_request();
    let Some((0, Request::Detach { parting, .. })) = ended else { panic!("{ended:?}") };
    assert_eq!(parting, Parting::Died(volatile(1)));
}
