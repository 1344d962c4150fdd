//! Browsers on their way to the leaders of a shard, and what they are given on its way back.

use super::*;
use crate::{
    Destination,
    channel::Delivered,
    dispatch::{Browsed, MessageKey, VolatileId},
    operation::{ConsumerId, Subscription},
    shard::MessageRef,
};

const NOW: Duration = Duration::ZERO;
const BUDGET: Budget = Budget { limit: 1 << 20, used: 0 };

fn wanted() -> Subscription {
    let queue = Destination::queue("q").unwrap();
    Subscription { browses: true, ..Subscription::new(queue, 1) }
}

fn copy(number: u64) -> Delivered {
    Delivered {
        consumer: 7,
        key: MessageKey::Volatile(VolatileId { term: 1, number }),
        message: Arc::new(message("q", "m")),
        redelivered: false,
        redelivery_count: 0,
        first_of_group: false,
        browsed: Some(Browsed { priority: 4, at: MessageRef { index: number, offset: 0 } }),
    }
}

/// A client of a shard for which a node leads; what it says first.
fn lead(client: &mut ShardClient<u8, u8>, term: u64) -> Vec<ToLeader> {
    let later = Duration::from_secs(60) * term as u32;
    assert!(client.poll_open(later, &[1], || Some(1)).is_some());
    client.handle_said(later, Some(FromLeader::Serving { term })).unwrap();
    std::iter::from_fn(|| client.poll_transmit()).collect()
}

#[test]
fn the_next_leader_is_told_where_a_browser_goes_on_and_none_when_it_has_seen_all() {
    let mut client = ShardClient::new(NOW);
    let attach = Request::Attach { consumer: 7, subscription: wanted(), sink: 0, asker: 0 };
    client.handle_request(NOW, attach, BUDGET);
    let said = lead(&mut client, 1);
    assert!(matches!(said[..], [ToLeader::Browse { after: None, .. }]), "{said:?}");
    client.handle_said(NOW, Some(FromLeader::Deliver(copy(3)))).unwrap();
    client.handle_said(NOW, None).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
    // What was sent is a copy, and stays.
    assert!(matches!(events[..], [Event::Delivered(..)]), "{events:?}");
    let said = lead(&mut client, 2);
    let [ToLeader::Browse { after, consumer: 7, .. }] = said[..] else { panic!("{said:?}") };
    assert_eq!(after, copy(3).browsed);
    client.handle_said(NOW, Some(FromLeader::BrowseEnd { consumer: 7 })).unwrap();
    assert_eq!(client.poll_event(), Some(Event::BrowseEnd(0)));
    client.handle_said(NOW, None).unwrap();
    assert_eq!(lead(&mut client, 3), []);
}

#[test]
fn a_browser_looks_behind_what_was_sent_before() {
    let mut client = ShardClient::new(NOW);
    let publish = |client: &mut ShardClient<u8, u8>| {
        let message = Arc::new(message("q", "m"));
        client.handle_request(NOW, Request::Publish { message, asker: 1 }, BUDGET);
    };
    publish(&mut client);
    assert_eq!(lead(&mut client, 1).len(), 1);
    publish(&mut client);
    let attach = Request::Attach { consumer: 7, subscription: wanted(), sink: 0, asker: 0 };
    client.handle_request(NOW, attach, BUDGET);
    let said: Vec<_> = std::iter::from_fn(|| client.poll_transmit()).collect();
    assert!(matches!(said[..], [ToLeader::Publish { .. }, ToLeader::Browse { .. }]), "{said:?}");
}

struct One;

impl Directory for One {
    fn slot_of(&self, _: &Destination) -> u32 {
        0
    }

    fn slots(&self) -> u32 {
        1
    }

    fn next_consumer(&self) -> u64 {
        7
    }

    fn next_transaction(&self) -> shard::TransactionId {
        panic!("nothing is committed")
    }

    fn take_client(&self, _: &str, _: &str) -> bool {
        true
    }

    fn release_client(&self, _: &str) {}
}

#[test]
fn the_end_comes_behind_what_waits_for_room() {
    let mut connection = Connection::default();
    let consumer = ConsumerId(0);
    let subscribe = Operation::Subscribe { tag: OpTag(0), consumer, subscription: wanted() };
    connection.handle_operation(subscribe, &One);
    for number in 1..=2 {
        connection.handle_delivered(consumer, 0, ChannelId(1), copy(number));
    }
    connection.handle_browse_end(consumer);
    let told = |connection: &mut Connection| -> Vec<ConnectionEvent> {
        let all = std::iter::from_fn(|| connection.poll_event());
        all.filter(|event| !matches!(event, ConnectionEvent::Outcome(..))).collect()
    };
    let first = told(&mut connection);
    let [ConnectionEvent::Delivery(delivery)] = &first[..] else { panic!("{first:?}") };
    let (deliveries, how) = (vec![delivery.id], Settlement::Accept);
    let settle = Operation::Settle { tag: OpTag(1), deliveries, how, awaited: false };
    connection.handle_operation(settle, &One);
    let rest = told(&mut connection);
    assert!(
        matches!(rest[..], [ConnectionEvent::Delivery(_), ConnectionEvent::BrowseEnd(_)]),
        "{rest:?}"
    );
    connection.handle_browse_end(consumer);
    assert_eq!(told(&mut connection), [ConnectionEvent::BrowseEnd(consumer)]);
}
