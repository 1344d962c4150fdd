//! Consumers of higher priority, and those that want a queue for themselves.

use super::*;

impl Leader {
    fn attach_as(
        &mut self,
        number: u64,
        (exclusive, priority): (bool, i8),
        prefetch: u32,
    ) -> ConsumerKey {
        let key = ConsumerKey { node: 1, number };
        let wanted = Subscription::new(Destination::queue("q").unwrap(), prefetch);
        self.dispatcher.attach(key, Subscription { exclusive, priority, ..wanted }).unwrap();
        key
    }
}

#[test]
fn the_highest_priority_with_room_comes_first() {
    let mut leader = Leader::new();
    leader.attach_as(1, (false, 0), 9);
    leader.attach_as(2, (false, 7), 2);
    leader.attach_as(3, (false, 7), 1);
    leader.attach_as(4, (false, -3), 9);
    leader.send("q", &["a", "b", "c", "d", "e"]);
    let delivered = leader.deliver();
    let texts: Vec<_> = delivered.iter().map(|it| (it.consumer.number, text(it))).collect();
    assert_eq!(texts, pairs(&[(2, "a"), (3, "b"), (2, "c"), (1, "d"), (1, "e")]));
    leader.settle(&delivered[1], Accept);
    leader.send("q", &["f", "g"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "f"), (1, "g")]));
}

#[test]
fn a_selector_takes_what_it_selects_by_its_consumers_priority() {
    let mut leader = Leader::new();
    leader.attach_as(1, (false, 0), 9);
    let key = ConsumerKey { node: 1, number: 2 };
    let wanted = Subscription::new(Destination::queue("q").unwrap(), 9);
    let selector = Some("JMSPriority > 4".into());
    leader.dispatcher.attach(key, Subscription { selector, priority: 5, ..wanted }).unwrap();
    let prior = |priority, text| publish(Message { priority, ..message("q", text) });
    leader.apply(&batch([prior(4, "a"), prior(5, "b"), prior(4, "c"), prior(5, "d")]));
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "b"), (2, "d"), (1, "a"), (1, "c")]));
}

#[test]
fn all_goes_to_the_exclusive_consumer_while_it_is_there() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.send("q", &["a", "b"]);
    let before = leader.deliver();
    assert_eq!(before.len(), 1);
    let first = leader.attach_as(2, (true, 0), 1);
    let second = leader.attach_as(3, (true, 0), 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "b")]));
    // It has no room, and the others get nothing all the same.
    leader.settle(&before[0], Accept);
    leader.send("q", &["c", "d"]);
    assert_eq!(leader.deliver(), []);
    leader.dispatcher.detach(first);
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "b"), (3, "c"), (3, "d")]));
    leader.dispatcher.detach(second);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
}

#[test]
fn a_higher_priority_takes_the_queue_over() {
    let mut leader = Leader::new();
    leader.attach_as(1, (true, 0), 9);
    leader.attach_as(2, (true, 0), 9);
    leader.send("q", &["a"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a")]));
    let third = leader.attach_as(3, (true, 1), 9);
    leader.send("q", &["b"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "b")]));
    leader.dispatcher.detach(third);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "b")]));
}

#[test]
fn an_exclusive_consumer_takes_over_what_was_set_aside_for_groups() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.attach(2, "q", 9);
    let member = |text: &str| {
        let properties = vec![("JMSXGroupID".into(), crate::Value::Text("g".into()))];
        publish(Message { properties, ..message("q", text) })
    };
    leader.apply(&batch(["a", "b", "c"].map(member)));
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a")]));
    leader.attach_as(3, (true, 0), 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "b"), (3, "c")]));
}
