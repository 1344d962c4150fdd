//! Message groups.

use super::*;
use crate::{
    Value,
    dispatch::select::LOOKED_AT_ONCE,
    shard::{GROUP_ID, GROUP_SEQUENCE},
};

/// A message whose text begins with its group's name; one that ends with `!` closes it.
fn member(text: &str) -> Message {
    let mut message = message("q", text);
    message.properties.push((GROUP_ID.into(), Value::Text(text[..1].into())));
    if text.ends_with('!') {
        message.properties.push((GROUP_SEQUENCE.into(), Value::Int(-1)));
    }
    message
}

impl Leader {
    fn send_members(&mut self, texts: &[&str]) {
        self.apply(&batch(texts.iter().map(|text| publish(member(text)))));
    }

    fn choose(&mut self, number: u64, prefetch: u32, selector: &str) -> ConsumerKey {
        let key = ConsumerKey { node: 1, number };
        let wanted = Subscription::new(Destination::queue("q").unwrap(), prefetch);
        let wanted = Subscription { selector: Some(selector.into()), ..wanted };
        self.dispatcher.attach(key, wanted).unwrap();
        key
    }

    fn accept_all(&mut self, deliveries: &[Delivery]) {
        deliveries.iter().for_each(|delivery| self.settle(delivery, Accept));
    }
}

#[test]
fn a_group_stays_with_the_consumer_that_got_its_first_message() {
    let mut leader = Leader::new();
    let first = leader.attach(1, "q", 2);
    leader.attach(2, "q", 9);
    leader.send_members(&["a1", "b1", "a2", "a3", "b2", "a4", "c1"]);
    leader.send("q", &["plain"]);
    let deliveries = leader.deliver();
    let texts: Vec<_> = deliveries.iter().map(|it| (it.consumer.number, text(it))).collect();
    let expected = [(1, "a1"), (2, "b1"), (1, "a2"), (2, "b2"), (2, "c1"), (2, "plain")];
    assert_eq!(texts, pairs(&expected));
    let firsts: Vec<_> = deliveries.iter().map(|it| it.first_of_group).collect();
    assert_eq!(firsts, [true, true, false, false, true, false]);
    // Nobody else gets what waits for it, and what came meanwhile is behind that.
    leader.send_members(&["a5"]);
    leader.settle(&deliveries[0], Accept);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a3")]));
    // It goes, and all that it had is the other's, in order.
    leader.dispatcher.detach(first);
    let rest = leader.deliver();
    let texts: Vec<_> = rest.iter().map(text).collect();
    assert_eq!(texts, ["a2", "a3", "a4", "a5"]);
    assert!(rest[0].first_of_group && !rest[1].first_of_group);
}

#[test]
fn what_comes_back_of_a_group_goes_to_the_same_consumer_before_the_rest() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 2);
    leader.attach(2, "q", 9);
    leader.send_members(&["a1", "a2", "a3"]);
    let held = leader.deliver();
    assert_eq!(held.len(), 2);
    leader.settle(&held[0], Reject);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a1")]));
    leader.settle(&held[1], Accept);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a3")]));
}

#[test]
fn a_closed_group_is_open_to_others() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.attach(2, "q", 9);
    leader.send_members(&["a1", "a2!", "a3"]);
    let held = leader.deliver();
    assert_eq!(held.len(), 1, "all of it was set aside");
    leader.settle(&held[0], Accept);
    let last = leader.deliver().remove(0);
    assert_eq!((last.consumer.number, text(&last).as_str()), (1, "a2!"));
    // What was set aside already stays with it, as a new life of the group.
    leader.send_members(&["a4"]);
    assert_eq!(leader.deliver(), []);
    leader.settle(&last, Accept);
    let again = leader.deliver().remove(0);
    assert_eq!((again.consumer.number, text(&again).as_str()), (1, "a3"));
    assert!(again.first_of_group);
    // Where nothing was, it goes to whoever has room.
    leader.settle(&again, Accept);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a4")]));
    leader.send_members(&["b1!"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "b1!")]));
    let one = leader.dispatcher.set_prefetch(ConsumerKey { node: 1, number: 1 }, 9);
    assert!(one);
    leader.send_members(&["b2"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b2")]));
}

#[test]
fn priorities_hold_over_what_was_set_aside() {
    let mut leader = Leader::new();
    let key = leader.attach(1, "q", 1);
    leader.attach(2, "q", 9);
    let prior = |priority, text| publish(Message { priority, ..member(text) });
    leader.apply(&batch([prior(4, "a1"), prior(4, "a2"), prior(4, "b1")]));
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a1"), (2, "b1")]));
    leader.apply(&batch([prior(7, "a3")]));
    assert_eq!(leader.deliver(), []);
    leader.dispatcher.set_prefetch(key, 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a3"), (1, "a2")]));
}

#[test]
fn what_is_set_aside_and_ends_leaves_nothing_behind() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.attach(2, "q", 9);
    let ending = |text| Message { expires: Some(UnixMillis(5_000)), ..member(text) };
    leader.apply(&batch([publish(member("a1")), publish(ending("a2"))]));
    let fleeting = Message { persistent: false, ..ending("a3") };
    leader.dispatcher.handle_volatile(leader.now, fleeting.into()).unwrap();
    let held = leader.deliver();
    assert_eq!(held.len(), 1);
    let lane = leader.dispatcher.names["q"];
    assert!(leader.dispatcher.lanes[&lane].has_ready());
    leader.now = UnixMillis(6_000);
    leader.dispatcher.handle_timeout(&leader.state, leader.now);
    assert_eq!(leader.replicate(), 1);
    leader.accept_all(&held);
    assert_eq!(leader.deliver(), []);
    assert!(!leader.dispatcher.lanes[&lane].has_ready());
    assert_eq!(leader.state.resident(), 0);
}

#[test]
fn groups_that_have_ended_are_forgotten_in_the_end() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 9);
    leader.attach(2, "q", 9);
    let named = |n: u32| {
        let properties = vec![(GROUP_ID.into(), Value::Text(n.to_string().into()))];
        Message { properties, ..message("q", &n.to_string()) }
    };
    for n in 0..1_030 {
        leader.apply(&batch([publish(named(n))]));
        let delivered = leader.deliver();
        leader.accept_all(&delivered);
    }
    // The latest are with whom they were: with their turns in turn.
    leader.apply(&batch([publish(named(1_029)), publish(named(1_029))]));
    let again = leader.deliver();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].consumer, again[1].consumer);
    assert!(!again[0].first_of_group);
    leader.accept_all(&again);
    leader.apply(&batch([publish(named(0))]));
    assert!(leader.deliver()[0].first_of_group, "the earliest is nobody's");
}

#[test]
fn others_have_their_turn_while_much_is_set_aside() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.send_members(&["a0"]);
    assert_eq!(leader.deliver().len(), 1);
    let many = vec!["a1"; LOOKED_AT_ONCE * 2];
    leader.send_members(&many);
    leader.attach(2, "q", 9);
    assert_eq!(leader.deliver(), []);
    assert!(leader.dispatcher.is_unfinished());
    while leader.dispatcher.is_unfinished() {
        assert_eq!(leader.deliver(), []);
    }
    leader.send("q", &["plain"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "plain")]));
}

#[test]
fn a_group_is_with_one_consumer_whatever_others_select() {
    let mut leader = Leader::new();
    let selective = leader.choose(1, 9, "JMSXGroupID = 'a' AND JMSPriority = 4");
    let prior = |priority, text| publish(Message { priority, ..member(text) });
    leader.apply(&batch([prior(4, "a1")]));
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a1")]));
    // Others meet first what it does not select; they do not get it either.
    leader.attach(2, "q", 9);
    let third = leader.choose(3, 9, "JMSPriority > 4");
    leader.apply(&batch([prior(5, "a2"), prior(4, "a3"), prior(5, "b1"), prior(4, "c1")]));
    let mut delivered = leader.deliver_texts();
    delivered.sort();
    let group: Vec<_> = delivered.iter().filter(|(_, text)| text.starts_with('a')).collect();
    assert_eq!(group, [&(1, "a3".to_string())]);
    assert_eq!(delivered.len(), 3);
    // Consumers that share its selector share nothing of its group.
    let other = leader.choose(4, 9, "JMSXGroupID = 'a' AND JMSPriority = 4");
    leader.apply(&batch([prior(4, "a4"), prior(4, "a5")]));
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a4"), (1, "a5")]));
    leader.dispatcher.detach(other);
    leader.dispatcher.detach(third);
    // All is free again when it goes.
    leader.dispatcher.detach(selective);
    let rest: Vec<_> = leader.deliver();
    let texts: BTreeSet<_> = rest.iter().map(text).collect();
    assert_eq!(texts, ["a1", "a2", "a3", "a4", "a5"].map(String::from).into());
    let consumers: BTreeSet<_> = rest.iter().map(|it| it.consumer).collect();
    assert_eq!(consumers.len(), 1);
}

#[test]
fn what_is_in_the_log_only_is_still_known_by_its_group() {
    let mut leader = Leader::new();
    leader.send_members(&["a1", "b1", "a2", "b2"]);
    leader.state.evict_to(0);
    leader.attach(1, "q", 9);
    leader.attach(2, "q", 9);
    let took: Vec<u64> = leader.deliver().iter().map(|it| it.consumer.number).collect();
    assert_eq!(took, [1, 2, 1, 2]);
    // A snapshot carries it.
    let state = ShardState::restore(&leader.state.snapshot()).unwrap();
    assert_eq!(state.digest(), leader.state.digest());
    let mut reborn = Leader::over(state);
    reborn.attach(1, "q", 1);
    reborn.attach(2, "q", 9);
    let took: Vec<u64> = reborn.deliver().iter().map(|it| it.consumer.number).collect();
    assert_eq!(took, [1, 2, 2]);
}

#[test]
fn a_dead_letter_is_still_of_its_group() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 9);
    leader.send_members(&["a1", "a2"]);
    for delivery in leader.deliver() {
        leader.settle(&delivery, Settlement::DeadLetter);
    }
    leader.attach(2, "DLQ.q", 1);
    leader.attach(3, "DLQ.q", 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "a1")]));
}
