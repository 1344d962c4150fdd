use super::{super::tests::*, *};
use crate::{
    bounds::{Bound, Bounds, WhenFull},
    channel::{FromLeader, ToLeader},
    operation::Parting,
    shard::{Outcome, Refused},
    testing::message_to,
};

fn durable() -> Durable {
    Durable::new("c", "s").unwrap()
}

fn terms() -> Terms {
    Terms { topic: "t".into(), selector: None, no_local: false }
}

fn topic() -> Destination {
    Destination::topic("t").unwrap()
}

fn publish(persistent: bool, text: &str) -> ToLeader {
    let message = Arc::new(Message { persistent, ..message_to(topic(), text) });
    ToLeader::Publish { number: 7, message }
}

fn attach(consumer: u64) -> ToLeader {
    let durable = Some(Kept { durable: durable(), no_local: false });
    let subscription = Subscription { durable, ..Subscription::new(topic(), 9) };
    ToLeader::Attach { number: 7, consumer, subscription, is_new: true }
}

/// A leader with a subscription that node 1 has made.
fn subscribed(bounds: Bounds) -> World {
    let mut world = World::bounded(bounds);
    world.open(1);
    world.command(1, 1, Command::Subscribe { durable: durable(), terms: terms() });
    world.carry_out();
    world.take(1);
    world
}

fn answer(world: &mut World, message: ToLeader) -> Result<(), String> {
    world.say(1, message);
    match world.take(1).pop() {
        Some(FromLeader::Answer { number: 7, result }) => result,
        other => panic!("{other:?}"),
    }
}

fn delivered(world: &mut World) -> Vec<String> {
    world.dispatch();
    let said = world.take(1).into_iter();
    let delivered = said.filter_map(|said| match said {
        FromLeader::Deliver(delivered) => Some(delivered.message.id.to_string()),
        _ => None,
    });
    delivered.collect()
}

#[test]
fn what_is_persistent_is_to_be_stored_where_somebody_stays_subscribed() {
    let mut world = World::bounded(Bounds::default());
    world.open(1);
    world.take(1);
    assert_eq!(answer(&mut world, publish(true, "m")), Ok(()));
    let mut world = subscribed(Bounds::default());
    let ToLeader::Publish { message, .. } = publish(true, "m") else { unreachable!() };
    for asked in [publish(true, "m"), ToLeader::PublishAgain { number: 7, message }] {
        world.say(1, asked);
        assert_eq!(world.take(1), [FromLeader::Store { number: 7 }]);
    }
}

#[test]
fn what_is_not_persistent_waits_in_memory_for_the_one_consumer() {
    let mut world = subscribed(Bounds::default());
    assert_eq!(answer(&mut world, publish(false, "m")), Ok(()));
    assert_eq!(answer(&mut world, attach(1)), Ok(()));
    assert_eq!(delivered(&mut world), ["m"]);
}

#[test]
fn what_was_lost_with_a_leader_is_handed_on_to_nobody_who_is_only_there() {
    let mut world = World::bounded(Bounds::default());
    world.open(1);
    let subscription = Subscription::new(topic(), 9);
    world.say(1, ToLeader::Attach { number: 7, consumer: 1, subscription, is_new: true });
    let ToLeader::Publish { message, .. } = publish(true, "m") else { unreachable!() };
    world.take(1);
    assert_eq!(answer(&mut world, ToLeader::PublishAgain { number: 7, message }), Ok(()));
    assert_eq!(delivered(&mut world), [""; 0]);
    assert_eq!(answer(&mut world, publish(true, "n")), Ok(()));
    assert_eq!(delivered(&mut world), ["n"]);
}

#[test]
fn a_second_consumer_and_a_change_of_terms_are_refused_while_there_is_one() {
    let mut world = subscribed(Bounds::default());
    assert_eq!(world.is_consumed(&durable()), Some(false));
    assert_eq!(answer(&mut world, attach(1)), Ok(()));
    assert_eq!(world.is_consumed(&durable()), Some(true));
    assert!(answer(&mut world, attach(2)).unwrap_err().contains("in use"));
    let selector = Some("JMSPriority > 0".into());
    let other = Terms { selector, ..terms() };
    let refused = |world: &mut World, seq, command| {
        world.command(1, seq, command);
        world.carry_out();
        matches!(world.outcomes(1)[..], [(_, Outcome::Refused(Refused::ByLeader(_)))])
    };
    assert!(refused(
        &mut world,
        2,
        Command::Subscribe { durable: durable(), terms: other.clone() }
    ));
    assert!(refused(&mut world, 3, Command::Unsubscribe { durable: durable() }));
    assert!(!refused(&mut world, 4, Command::Subscribe { durable: durable(), terms: terms() }));
    let detach = ToLeader::Detach { number: 7, consumer: 1, parting: Parting::Released };
    assert_eq!(answer(&mut world, detach), Ok(()));
    assert!(!refused(&mut world, 5, Command::Subscribe { durable: durable(), terms: other }));
    assert!(answer(&mut world, attach(3)).unwrap_err().contains("not there any more"));
}

#[test]
fn what_waited_in_memory_goes_with_its_subscription() {
    let mut world = subscribed(Bounds::default());
    assert_eq!(answer(&mut world, publish(false, "m")), Ok(()));
    world.command(1, 2, Command::Unsubscribe { durable: durable() });
    world.command(1, 3, Command::Subscribe { durable: durable(), terms: terms() });
    world.carry_out();
    world.take(1);
    assert_eq!(answer(&mut world, attach(1)), Ok(()));
    assert_eq!(delivered(&mut world), [""; 0]);
}

#[test]
fn a_topics_message_is_refused_where_a_subscription_has_no_room_and_its_policy_says_so() {
    for (when_full, taken) in [(WhenFull::Reject, false), (WhenFull::DropOldest, true)] {
        let policy = "/topic/t".into();
        let bound = Bound { policy, max_messages: Some(1), max_bytes: None, when_full };
        let mut world = subscribed(Bounds::new(vec![(topic(), Some(Arc::new(bound)))]));
        let publish = |world: &mut World, seq| {
            let message = Arc::new(message_to(topic(), "m"));
            world.command(1, seq, Command::Publish { message });
            world.carry_out();
            world.outcomes(1).remove(0).1
        };
        assert_eq!(publish(&mut world, 2), Outcome::Done);
        match publish(&mut world, 3) {
            Outcome::Refused(Refused::ByLeader(why)) => {
                assert!(!taken && why.contains("durable subscription `s` of client `c`"), "{why}");
            }
            other => assert!(taken && other == Outcome::Done, "{other:?}"),
        }
    }
}
