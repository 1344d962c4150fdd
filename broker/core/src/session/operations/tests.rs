//! Operations without a protocol: numbers for whom an outcome is for and for transactions.

use super::*;
use crate::{Destination, Value, testing};

const NOW: Duration = Duration::from_secs(1);

/// A client that is told of success, or of failure only.
#[derive(Debug, PartialEq)]
enum For {
    Both(u32),
    Failure(u32),
}

impl Purpose for For {
    fn awaits_success(&self) -> bool {
        matches!(self, For::Both(_))
    }
}

type Tested = Operations<For, u64, &'static str>;

fn operations(limits: OperationLimits) -> Tested {
    Operations::new(limits)
}

fn polled(operations: &mut Tested) -> Vec<Operation> {
    std::iter::from_fn(|| operations.poll()).collect()
}

fn message(text: &str) -> Arc<Message> {
    Arc::new(testing::message("a", text))
}

/// A consumer that was handed deliveries numbered from `first` on.
fn consumer(operations: &mut Tested, settles: Settles, first: u64, count: u64) -> ConsumerId {
    let source = Destination::queue("a").unwrap();
    let wanted = Subscription::new(source, operations.prefetch(None));
    let consumer = operations.subscribe(NOW, wanted, settles, "label", For::Failure(0)).unwrap();
    polled(operations);
    for number in first..first + count {
        operations.handle_delivery(testing::delivery(consumer, number));
        operations.hand_out(NOW).unwrap();
    }
    consumer
}

fn one(place: u64) -> RangeInclusive<Place> {
    Place(place)..=Place(place)
}

/// The deliveries of each settlement, and whom it is for.
fn settlements(operations: &mut Tested) -> Vec<(Vec<u64>, Option<For>)> {
    let settled = polled(operations).into_iter().map(|operation| match operation {
        Operation::Settle { tag, deliveries, .. } => {
            let numbers = deliveries.iter().map(|delivery| delivery.0).collect();
            (numbers, operations.handle_outcome(tag, true))
        }
        other => panic!("{other:?}"),
    });
    settled.collect()
}

#[test]
fn settlements_whose_success_nobody_awaits_travel_together() {
    let mut operations = operations(OperationLimits::DEFAULT);
    let [one_by_one, by_itself] = [(Settles::ByClient, 0, 6), (Settles::WhenSent, 10, 2)]
        .map(|(settles, first, count)| consumer(&mut operations, settles, first, count));
    assert_eq!(settlements(&mut operations), [(vec![10, 11], None)]);
    let accept = |operations: &mut Tested, place, purpose| {
        operations.settle(NOW, one_by_one, &one(place), Settlement::Accept, purpose).unwrap();
    };
    accept(&mut operations, 3, For::Failure(1));
    accept(&mut operations, 0, For::Failure(1));
    // The client would not be told of the refusal of what is settled by being sent.
    operations.handle_delivery(testing::delivery(by_itself, 12));
    operations.hand_out(NOW).unwrap();
    accept(&mut operations, 1, For::Failure(2));
    accept(&mut operations, 2, For::Both(3));
    accept(&mut operations, 4, For::Failure(4));
    operations.settle(NOW, one_by_one, &one(5), Settlement::Reject, For::Failure(5)).unwrap();
    assert_eq!(
        settlements(&mut operations),
        [
            (vec![3, 0], Some(For::Failure(1))),
            (vec![12], None),
            (vec![1], Some(For::Failure(2))),
            (vec![2], Some(For::Both(3))),
            (vec![4], Some(For::Failure(4))),
            (vec![5], Some(For::Failure(5))),
        ]
    );
}

#[test]
fn only_what_may_take_its_time_is_hurried_and_once() {
    let mut operations = operations(OperationLimits::DEFAULT);
    let by_client = consumer(&mut operations, Settles::ByClient, 0, 2);
    let hurries = |operations: &mut Tested| {
        operations.hurry(NOW);
        let is_hurry = |operation: &Operation| matches!(operation, Operation::Hurry { .. });
        polled(operations).iter().filter(|operation| is_hurry(operation)).count()
    };
    for (place, purpose, expected) in [(0, For::Both(1), 0), (1, For::Failure(1), 1)] {
        let places = one(place);
        operations.settle(NOW, by_client, &places, Settlement::Accept, purpose).unwrap();
        assert_eq!(hurries(&mut operations), expected);
    }
    consumer(&mut operations, Settles::WhenSent, 2, 1);
    assert_eq!([(); 2].map(|()| hurries(&mut operations)), [1, 0]);
}

#[test]
fn a_commit_is_one_operation_and_gives_the_window_back() {
    let mut operations = operations(OperationLimits { default_prefetch: 2, ..Default::default() });
    let consumer = consumer(&mut operations, Settles::ByClient, 0, 2);
    operations.begin(7).unwrap();
    operations.publish_in(&7, vec![message("m")]).unwrap();
    let places = Place::FIRST..=Place(1);
    operations.settle_in(NOW, &7, consumer, &places, Settlement::Accept).unwrap();
    assert!(
        matches!(&polled(&mut operations)[..], [Operation::SetPrefetch { prefetch: 4, .. }]),
        "nothing else leaves before the commit"
    );
    assert_eq!(operations.commit(NOW, &7, For::Both(1)), Ok(None));
    let [Operation::Commit { tag, publishes, settles }, Operation::SetPrefetch { prefetch: 2, .. }] =
        &polled(&mut operations)[..]
    else {
        panic!("a commit and the old window")
    };
    let settled = [0, 1].map(|number| (DeliveryId(number), Settlement::Accept));
    assert_eq!((publishes.len(), &settles[..]), (1, &settled[..]));
    assert_eq!(operations.handle_outcome(*tag, true), Some(For::Both(1)));
    assert_eq!(operations.commit(NOW, &7, For::Both(2)), Err(Violation::NoTransaction));
}

#[test]
fn what_does_nothing_is_committed_at_once() {
    let mut operations = operations(OperationLimits::DEFAULT);
    operations.begin(7).unwrap();
    assert_eq!(operations.commit(NOW, &7, For::Both(1)), Ok(Some(For::Both(1))));
    assert!(operations.are_answered());
}

#[test]
fn what_an_aborted_transaction_settled_can_be_settled_again() {
    let mut operations = operations(OperationLimits::DEFAULT);
    let consumer = consumer(&mut operations, Settles::ByClient, 0, 1);
    let settle_in = |operations: &mut Tested, transaction| {
        operations.settle_in(NOW, &transaction, consumer, &one(0), Settlement::Accept)
    };
    operations.begin(1).unwrap();
    assert_eq!(settle_in(&mut operations, 2), Err(Violation::NoTransaction));
    settle_in(&mut operations, 1).unwrap();
    assert_eq!(settle_in(&mut operations, 1), Err(Violation::NotUnsettled));
    operations.abort(NOW, &1).unwrap();
    operations.begin(2).unwrap();
    settle_in(&mut operations, 2).unwrap();
    assert_eq!(polled(&mut operations), []);
}

#[test]
fn what_goes_to_several_destinations_is_as_bounded_as_a_transaction() {
    let limits = OperationLimits {
        max_transaction_entries: 3,
        max_transaction_bytes: 10_000,
        ..Default::default()
    };
    let mut operations = operations(limits);
    // What its properties hold counts.
    let large = |bytes: usize| {
        let properties = vec![("p".into(), Value::Text("x".repeat(bytes).into()))];
        Arc::new(Message { properties, ..Message::clone(&message("m")) })
    };
    let entries = Violation::TransactionEntries { max: 3 };
    let bytes = Violation::TransactionBytes { max: 10_000 };
    let mut publish = |messages| operations.publish_all(NOW, messages, For::Both(1));
    assert_eq!(publish(vec![large(0); 4]), Err(entries));
    assert_eq!(publish(vec![large(4_000); 3]), Err(bytes));
    assert_eq!(publish(vec![large(4_000); 2]), Ok(()));
    // One alone is bounded by what a frame may hold.
    assert_eq!(publish(vec![large(11_000)]), Ok(()));
    let all = polled(&mut operations);
    assert!(matches!(&all[..], [Operation::Commit { .. }, Operation::Publish { .. }]), "{all:?}");
    operations.begin(1).unwrap();
    assert_eq!(operations.publish_in(&1, vec![large(4_000)]), Ok(()));
    // All of them or none.
    assert_eq!(operations.publish_in(&1, vec![large(3_000); 2]), Err(bytes));
    assert_eq!(operations.publish_in(&1, vec![large(4_000)]), Ok(()));
    operations.commit(NOW, &1, For::Both(1)).unwrap();
    let [Operation::Commit { publishes, .. }] = &polled(&mut operations)[..] else { panic!() };
    assert_eq!(publishes.len(), 2);
}

#[test]
fn a_transaction_without_room_leaves_deliveries_as_they_are() {
    let limits = OperationLimits { max_transaction_entries: 1, ..Default::default() };
    let mut operations = operations(limits);
    let consumer = consumer(&mut operations, Settles::ByClient, 0, 2);
    operations.begin(1).unwrap();
    let both = Place::FIRST..=Place(1);
    assert_eq!(
        operations.settle_in(NOW, &1, consumer, &both, Settlement::Accept),
        Err(Violation::TransactionEntries { max: 1 })
    );
    operations.settle(NOW, consumer, &both, Settlement::Accept, For::Both(1)).unwrap();
    assert_eq!(settlements(&mut operations), [(vec![0, 1], Some(For::Both(1)))]);
}

#[test]
fn consumers_and_their_prefetch_are_bounded() {
    let mut operations = operations(OperationLimits {
        max_consumers: 3,
        default_prefetch: 5,
        max_prefetch: 10,
        ..Default::default()
    });
    let mut subscribe = |prefetch| {
        let source = Destination::queue("a").unwrap();
        let (settles, purpose) = (Settles::ByClient, For::Both(1));
        let wanted = Subscription::new(source, operations.prefetch(prefetch));
        operations.subscribe(NOW, wanted, settles, "label", purpose)?;
        match operations.poll() {
            Some(Operation::Subscribe { subscription, .. }) => Ok(subscription.prefetch),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([None, Some(11), Some(0)].map(&mut subscribe), [Ok(5), Ok(10), Ok(0)]);
    assert_eq!(subscribe(None), Err(Violation::Consumers { max: 3 }));
}

#[test]
fn messages_take_room_and_an_answer_is_due() {
    let mut operations = operations(OperationLimits {
        max_outstanding_bytes: 600,
        answer_timeout: Duration::from_secs(3),
        ..Default::default()
    });
    operations.publish(NOW, message("m"), For::Both(1));
    assert!(operations.have_room());
    operations.publish(2 * NOW, message(&"m".repeat(400)), For::Both(2));
    assert!(!operations.have_room());
    assert_eq!(operations.answer_due(), Some(4 * NOW));
    assert_eq!(operations.oldest(), Some(&For::Both(1)));
    // What waits for room in a queue is in no hurry until it goes again.
    let polled = polled(&mut operations);
    operations.handle_held(3 * NOW, polled[0].tag(), true);
    assert_eq!(operations.answer_due(), Some(5 * NOW));
    operations.handle_held(8 * NOW, polled[0].tag(), false);
    assert_eq!(operations.answer_due(), Some(11 * NOW));
    for operation in polled {
        operations.handle_outcome(operation.tag(), true);
    }
    assert!(operations.have_room() && operations.answer_due().is_none());
}

/// What an open transaction acknowledged was given back as if nobody had looked at it.
#[test]
fn what_an_open_transaction_acknowledges_was_looked_at() {
    let mut operations = operations(OperationLimits::DEFAULT);
    let consumer = consumer(&mut operations, Settles::ByClient, 0, 3);
    operations.begin(1).unwrap();
    operations.settle_in(NOW, &1, consumer, &one(1), Settlement::Accept).unwrap();
    polled(&mut operations);
    operations.unsubscribe(NOW, consumer, Some(1), For::Both(9));
    let [Operation::Unsubscribe { parting, .. }] = &polled(&mut operations)[..] else {
        panic!("one consumer ends")
    };
    assert_eq!(*parting, Parting::Saw(vec![DeliveryId(0), DeliveryId(1)]));
}

#[test]
fn a_death_is_of_the_oldest_that_no_transaction_has() {
    let mut operations = operations(OperationLimits::DEFAULT);
    let consumer = consumer(&mut operations, Settles::ByClient, 0, 3);
    operations.begin(1).unwrap();
    operations.settle_in(NOW, &1, consumer, &one(0), Settlement::Accept).unwrap();
    operations.handle_death(NOW);
    operations.handle_end();
    operations.handle_delivery(testing::delivery(consumer, 3));
    assert!(operations.hand_out(NOW).is_none());
    let [Operation::Unsubscribe { parting, .. }] = &polled(&mut operations)[..] else {
        panic!("one consumer died")
    };
    assert_eq!(*parting, Parting::Died(DeliveryId(1)));
}
