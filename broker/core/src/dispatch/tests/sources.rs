//! Consumers of several destinations.

use super::*;
use crate::Source;

const KEY: ConsumerKey = ConsumerKey { node: 1, number: 1 };

fn attach(leader: &mut Leader, prefetch: u32, all: &[&str]) {
    let all: Vec<_> = all.iter().map(|text| Destination::parse(text).unwrap()).collect();
    let source = Source::several(&all).unwrap();
    leader.dispatcher.attach(KEY, Subscription::new(source, prefetch)).unwrap();
}

#[test]
fn one_consumer_of_several_queues_holds_no_more_than_its_prefetch() {
    let mut leader = Leader::new();
    attach(&mut leader, 2, &["/queue/a", "/queue/b"]);
    leader.send("a", &["1", "2"]);
    leader.send("b", &["3"]);
    leader.send("c", &["4"]);
    let first = leader.deliver();
    assert_eq!(first.len(), 2);
    leader.settle(&first[0], Accept);
    leader.settle(&first[1], Accept);
    assert_eq!(leader.deliver().len(), 1);
    assert_eq!(leader.dispatcher.in_flight(KEY), Some(1));
    leader.dispatcher.detach(KEY);
    leader.attach(2, "a", 9);
    leader.attach(3, "b", 9);
    assert_eq!(leader.deliver().len(), 1, "what it held is the next one's");
}

#[test]
fn a_name_and_a_pattern_beside_it_are_met_once() {
    let mut leader = Leader::new();
    leader.send("a.1", &["1"]);
    attach(&mut leader, 9, &["/queue/b", "/queue/a.*", "/queue/*.1"]);
    leader.send("b", &["2"]);
    leader.send("a.2", &["3"]);
    leader.send("x.1", &["4"]);
    leader.send("x.2", &["5"]);
    let texts: Vec<_> = leader.deliver_texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 4);
    assert!(!texts.contains(&"5".to_string()), "{texts:?}");
}

#[test]
fn a_topic_that_two_patterns_match_is_heard_once_and_beside_a_queue() {
    let mut leader = Leader::new();
    attach(&mut leader, 9, &["/topic/t.*", "/topic/*.a", "/queue/q"]);
    let message = message_to(Destination::topic("t.a").unwrap(), "1").into();
    assert_eq!(leader.dispatcher.handle_volatile(leader.now, message), Ok(1));
    leader.send("q", &["2"]);
    assert_eq!(leader.deliver().len(), 2);
    leader.dispatcher.detach(KEY);
    let message = message_to(Destination::topic("t.a").unwrap(), "3").into();
    assert_eq!(leader.dispatcher.handle_volatile(leader.now, message), Ok(0));
}
