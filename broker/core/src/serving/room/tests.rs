use super::{super::tests::*, *};
use crate::{
    channel::{FromLeader, ToLeader},
    operation::Settlement,
    shard::{Outcome, Refused, TransactionId, Work},
    testing::message,
};

/// A leader whose queue `q` may hold two messages.
fn bounded(when_full: WhenFull) -> World {
    let policy = "/queue/>".into();
    let bound = Bound { policy, max_messages: Some(2), max_bytes: None, when_full };
    let queues = Destination::queue(">").unwrap();
    World::bounded(Bounds::new(vec![(queues, Some(Arc::new(bound)))]))
}

fn publish(world: &mut World, channel: u64, seq: u64) -> Option<QueueFull> {
    world.command(channel, seq, Command::Publish { message: Arc::new(message("q", "m")) });
    world.carry_out();
    match world.outcomes(channel).pop().unwrap().1 {
        Outcome::Done => None,
        Outcome::Refused(Refused::Full(full)) => Some(*full),
        other => panic!("{other:?}"),
    }
}

fn volatile(world: &mut World, channel: u64) -> Option<FromLeader> {
    let message = Arc::new(Message { persistent: false, ..message("q", "m") });
    world.say(channel, ToLeader::Publish { number: 7, message });
    world.take(channel).pop()
}

fn await_room(world: &mut World, channel: u64) {
    world.say(channel, ToLeader::AwaitRoom { queue: "q".into(), size: 1 });
}

fn room(world: &mut World, channel: u64) -> Option<u64> {
    world.take(channel).into_iter().find_map(|said| match said {
        FromLeader::Room { room, .. } => Some(room.messages),
        _ => None,
    })
}

/// Accepts the messages that the entries of these indexes published.
fn accept(world: &mut World, channel: u64, seq: u64, indexes: &[u64]) {
    let messages = indexes.iter().map(|index| crate::shard::MessageRef::new(*index, 0, 0));
    let settles = messages.map(|message| (message, Settlement::Accept)).collect();
    world.command(channel, seq, Command::Settle { settles });
    world.carry_out();
}

#[test]
fn a_full_queue_says_how_full_and_by_which_policy() {
    let mut world = bounded(WhenFull::Reject);
    world.open(1);
    assert_eq!([1, 2].map(|seq| publish(&mut world, 1, seq)), [None, None]);
    let full = publish(&mut world, 1, 3).unwrap();
    let words = "queue `q` is full: it holds 2 messages of 2 bytes, this one has 1, and the policy of \
                 `/queue/>` allows 2 messages";
    assert_eq!((full.to_string().as_str(), full.waits()), (words, false));
    let answer = FromLeader::Answer { number: 7, result: Err(words.into()) };
    assert_eq!(volatile(&mut world, 1), Some(answer));
    let publishes = vec![Arc::new(message("other", "m")), Arc::new(message("q", "m"))];
    let work = Work { publishes, settles: Vec::new() };
    let transaction = TransactionId { session: world.session(1), number: 1 };
    let prepare = Command::Prepare { transaction, coordinator: 9, work: work.clone() };
    for (seq, command) in [(4, Command::Transact { work }), (5, prepare)] {
        world.command(1, seq, command);
        world.carry_out();
        let refused = Outcome::Refused(Refused::ByLeader(words.into()));
        assert_eq!(world.outcomes(1), [(seq, refused)]);
    }
    accept(&mut world, 1, 6, &[1]);
    world.take(1);
    assert_eq!(publish(&mut world, 1, 7), None, "nobody waits, so nobody is overtaken");
}

#[test]
fn whoever_waits_is_told_of_a_share_of_the_room_in_turn() {
    let mut world = bounded(WhenFull::Block);
    for channel in [1, 2, 3] {
        world.open(channel);
    }
    assert_eq!([1, 2].map(|seq| publish(&mut world, 1, seq)), [None, None]);
    assert!(publish(&mut world, 1, 3).unwrap().waits());
    for channel in [1, 2, 3] {
        world.take(channel);
        await_room(&mut world, channel);
    }
    assert_eq!([1, 2, 3].map(|channel| room(&mut world, channel)), [None; 3]);
    accept(&mut world, 1, 4, &[1]);
    assert_eq!([1, 2, 3].map(|channel| room(&mut world, channel)), [Some(1), None, None]);
    // It is not there yet, and the others have their turn.
    accept(&mut world, 1, 5, &[2]);
    assert_eq!([1, 2, 3].map(|channel| room(&mut world, channel)), [None, Some(1), Some(1)]);
    await_room(&mut world, 2);
    assert_eq!(room(&mut world, 2), Some(2), "at once");
}

#[test]
fn whoever_has_given_up_keeps_nobody_waiting() {
    let mut world = bounded(WhenFull::Block);
    for channel in [1, 2] {
        world.open(channel);
    }
    assert_eq!([1, 2].map(|seq| publish(&mut world, 1, seq)), [None, None]);
    assert!(publish(&mut world, 1, 3).unwrap().waits());
    let asks = [(1, 9), (2, 1), (1, 2)];
    for (channel, size) in asks {
        world.say(channel, ToLeader::AwaitRoom { queue: "q".into(), size });
    }
    world.take(1);
    world.take(2);
    world.say(1, ToLeader::AwaitRoom { queue: "q".into(), size: 0 });
    accept(&mut world, 1, 4, &[1]);
    assert_eq!([1, 2].map(|channel| room(&mut world, channel)), [None, Some(1)]);
    world.say(2, ToLeader::AwaitRoom { queue: "q".into(), size: 0 });
    accept(&mut world, 1, 5, &[2]);
    assert_eq!(room(&mut world, 2), None, "nobody waits");
}

#[test]
fn what_is_not_stored_waits_as_well_and_is_not_overtaken() {
    let mut world = bounded(WhenFull::Block);
    world.open(1);
    world.take(1);
    publish(&mut world, 1, 1);
    let answer = FromLeader::Answer { number: 7, result: Ok(()) };
    assert_eq!(volatile(&mut world, 1), Some(answer.clone()));
    let is_refused = |said| matches!(said, Some(FromLeader::NoRoom { number: 7, .. }));
    assert!(is_refused(volatile(&mut world, 1)), "both kinds count");
    accept(&mut world, 1, 2, &[1]);
    world.take(1);
    assert!(is_refused(volatile(&mut world, 1)), "another one comes before it");
    await_room(&mut world, 1);
    assert_eq!(room(&mut world, 1), Some(1));
    assert_eq!(volatile(&mut world, 1), Some(answer));
}

/// What a queue may hold from now on.
fn set(world: &mut World, bound: Option<(u64, WhenFull)>) {
    let bound = bound.map(|(messages, when_full)| {
        let (policy, max_messages) = ("/queue/q".into(), Some(messages));
        Arc::new(Bound { policy, max_messages, max_bytes: None, when_full })
    });
    let bounds = Bounds::new(vec![(Destination::queue("q").unwrap(), bound)]);
    world.set_bounds(bounds);
}

#[test]
fn whoever_waits_is_told_of_the_room_that_another_policy_makes() {
    let mut world = bounded(WhenFull::Block);
    world.open(1);
    assert_eq!([1, 2].map(|seq| publish(&mut world, 1, seq)), [None, None]);
    assert!(publish(&mut world, 1, 3).is_some());
    await_room(&mut world, 1);
    assert_eq!(room(&mut world, 1), None);
    set(&mut world, Some((5, WhenFull::Block)));
    assert_eq!(room(&mut world, 1), Some(3));
}

#[test]
fn nothing_is_overtaken_when_the_policy_goes() {
    for then in [None, Some((9, WhenFull::Reject))] {
        let mut world = bounded(WhenFull::Block);
        world.open(1);
        assert_eq!([1, 2].map(|seq| publish(&mut world, 1, seq)), [None, None]);
        assert!(publish(&mut world, 1, 3).unwrap().waits());
        let is_refused = |said| matches!(said, Some(FromLeader::NoRoom { number: 7, .. }));
        assert!(is_refused(volatile(&mut world, 1)));
        set(&mut world, then);
        world.take(1);
        assert!(publish(&mut world, 1, 4).unwrap().waits(), "another one comes before it");
        assert!(is_refused(volatile(&mut world, 1)), "likewise");
        await_room(&mut world, 1);
        assert!(room(&mut world, 1).is_some());
        let (message, bound) = (Arc::new(message("q", "m")), Arc::new(Bound::none()));
        let again = |again| Command::PublishWithin {
            message: message.clone(),
            again,
            bound: bound.clone(),
        };
        for (seq, command) in [(5, again(true)), (6, again(false))] {
            world.command(1, seq, command);
            world.carry_out();
            assert_eq!(world.outcomes(1), [(seq, Outcome::Done)]);
        }
        assert_eq!(publish(&mut world, 1, 7), None);
        let taken = FromLeader::Answer { number: 7, result: Ok(()) };
        assert_eq!(volatile(&mut world, 1), Some(taken));
    }
}
