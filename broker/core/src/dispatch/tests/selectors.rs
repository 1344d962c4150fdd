//! Consumers with selectors.

use super::*;
use crate::{Value, dispatch::select::LOOKED_AT_ONCE};

fn numbered(queue: &str, n: i64) -> Message {
    let properties = vec![("n".into(), Value::Long(n))];
    Message { properties, ..message(queue, &n.to_string()) }
}

fn numbered_topic(topic: &str, n: i64) -> Arc<Message> {
    Message { destination: Destination::topic(topic).unwrap(), ..numbered("q", n) }.into()
}

fn wanted(source: Destination, prefetch: u32, selector: &str) -> Subscription {
    Subscription { selector: Some(selector.into()), ..Subscription::new(source, prefetch) }
}

impl Leader {
    fn send_numbers(&mut self, numbers: impl IntoIterator<Item = i64>) {
        self.apply(&batch(numbers.into_iter().map(|n| publish(numbered("q", n)))));
    }

    fn select(&mut self, number: u64, prefetch: u32, selector: &str) -> ConsumerKey {
        let key = ConsumerKey { node: 1, number };
        let queue = Destination::queue("q").unwrap();
        self.dispatcher.attach(key, wanted(queue, prefetch, selector)).unwrap();
        key
    }

    /// Delivers and accepts until there is nothing more; the texts.
    fn consume(&mut self) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        loop {
            let deliveries = self.deliver();
            if deliveries.is_empty() && !self.dispatcher.is_unfinished() {
                return all;
            }
            for delivery in deliveries {
                all.push((delivery.consumer.number, text(&delivery)));
                self.settle(&delivery, Accept);
            }
        }
    }
}

#[test]
fn what_one_does_not_select_holds_nobody_up_and_waits_for_others() {
    let mut leader = Leader::new();
    leader.select(1, 9, "n > 5");
    leader.send_numbers([1, 7, 2, 8]);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "7"), (1, "8")]));
    leader.select(2, 9, "n = 2");
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "2")]));
    leader.attach(3, "q", 9);
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "1")]));
    leader.send_numbers([9]);
    // Whose turn it is: the others had theirs since.
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "9")]));
}

#[test]
fn consumers_with_one_selector_and_those_without_take_turns() {
    let mut leader = Leader::new();
    leader.select(1, 9, "n > 0");
    leader.select(2, 9, "n > 0");
    leader.attach(3, "q", 9);
    leader.send_numbers(1..7);
    let expected = pairs(&[(1, "1"), (2, "2"), (3, "3"), (1, "4"), (2, "5"), (3, "6")]);
    assert_eq!(leader.deliver_texts(), expected);
}

#[test]
fn what_comes_back_is_first_again_for_whoever_selects_it() {
    let mut leader = Leader::new();
    let first = leader.select(1, 2, "n > 1");
    leader.send_numbers([1, 2, 3, 4]);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "2"), (1, "3")]));
    leader.select(2, 9, "n > 2 AND JMSRedelivered");
    assert_eq!(leader.deliver_texts(), []);
    leader.dispatcher.detach(first);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "3")]));
    leader.select(3, 9, "n > 1");
    assert_eq!(leader.deliver_texts(), pairs(&[(3, "2"), (3, "4")]));
}

#[test]
fn each_message_is_looked_at_once_whatever_the_backlog() {
    let mut leader = Leader::new();
    leader.send_numbers(0..2_000);
    leader.select(1, 9, "n < 0");
    leader.select(2, 9, "n < 0");
    let mut polls = 0;
    loop {
        assert_eq!(leader.deliver(), []);
        polls += 1;
        if !leader.dispatcher.is_unfinished() {
            break;
        }
    }
    assert_eq!(polls, 2_000 / LOOKED_AT_ONCE + 1);
    leader.send_numbers([-1]);
    let delivery = leader.dispatcher.poll_delivery(&leader.state, leader.now).unwrap();
    assert_eq!((text(&delivery).as_str(), leader.dispatcher.looked_at), ("-1", 1));
    leader.send_numbers([5]);
    assert_eq!(leader.deliver(), []);
    assert_eq!(leader.dispatcher.looked_at, 2, "it, and that nothing follows");
}

#[test]
fn others_have_their_turn_while_a_backlog_is_looked_at() {
    let mut leader = Leader::new();
    leader.send_numbers(0..LOOKED_AT_ONCE as i64 * 3);
    leader.select(1, 9, "n < 0");
    assert_eq!(leader.deliver(), []);
    leader.attach(2, "other", 9);
    leader.send("other", &["a"]);
    assert!(leader.dispatcher.is_unfinished());
    let delivered: Vec<_> = (0..2).flat_map(|_| leader.deliver()).collect();
    assert_eq!(delivered.iter().map(text).collect::<Vec<_>>(), ["a"]);
    assert!(leader.dispatcher.is_unfinished(), "the backlog is not at its end");
}

/// What is taken from the middle stays in the deque until it is swept. Views point into it.
#[test]
fn sweeping_moves_nobody() {
    let mut leader = Leader::new();
    leader.send_numbers(0..300);
    // One view is far behind, one ahead.
    let slow = leader.select(1, 1, "n > 140 AND n % 3 = 0");
    let first = leader.deliver().remove(0);
    leader.select(2, 20, "n % 3 <> 0");
    assert_eq!(leader.consume().len(), 200);
    leader.settle(&first, Accept);
    let taken = leader.consume().into_iter().map(|(consumer, text)| (consumer, text.parse()));
    let expected = (144..300).step_by(3).map(|n| (1, Ok(n)));
    assert_eq!(taken.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    leader.send_numbers([301, 303]);
    assert_eq!(leader.consume(), pairs(&[(2, "301"), (1, "303")]));
    leader.dispatcher.detach(slow);
    leader.attach(3, "q", 400);
    let rest: Vec<String> = leader.consume().into_iter().map(|(_, text)| text).collect();
    let left = (0..=140).step_by(3);
    assert_eq!(rest, left.map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(leader.state.resident(), 0);
}

#[test]
fn what_selectors_have_taken_takes_no_memory() {
    let mut leader = Leader::new();
    leader.select(1, 50, "n >= 0");
    let other = wanted(Destination::queue("other").unwrap(), 50, "n >= 0");
    leader.dispatcher.attach(ConsumerKey { node: 1, number: 2 }, other).unwrap();
    for round in 0..50 {
        leader.send_numbers(0..50);
        for n in 0..40 {
            let queue = if n < 20 { "q" } else { "other" };
            let message = Message { persistent: false, ..numbered(queue, n) };
            leader.dispatcher.handle_volatile(leader.now, message.into()).unwrap();
        }
        assert_eq!(leader.consume().len(), 90, "round {round}");
    }
    for queue in ["q", "other"] {
        let lane = &leader.dispatcher.lanes[&leader.dispatcher.names[queue]];
        assert!(lane.fresh() <= 70, "{} in {queue}", lane.fresh());
    }
}

#[test]
fn a_subscriber_gets_copies_of_what_it_selects_only() {
    let mut leader = Leader::new();
    let keys = [1, 2, 3].map(|number| ConsumerKey { node: 1, number });
    let topic = |name| Destination::topic(name).unwrap();
    leader.dispatcher.attach(keys[0], wanted(topic("t"), 9, "n = 1")).unwrap();
    leader.dispatcher.attach(keys[1], wanted(topic(">"), 9, "n = 2")).unwrap();
    leader.dispatcher.attach(keys[2], Subscription::new(topic("t"), 9)).unwrap();
    for (n, copies) in [(1, 2), (2, 2), (3, 1)] {
        let message = numbered_topic("t", n);
        assert_eq!(leader.dispatcher.handle_volatile(leader.now, message), Ok(copies));
    }
    let mut delivered = leader.deliver_texts();
    delivered.sort();
    assert_eq!(delivered, pairs(&[(1, "1"), (2, "2"), (3, "1"), (3, "2"), (3, "3")]));
    assert_eq!(leader.dispatcher.volatile_counters().dropped, 0);
}

#[test]
fn a_selector_that_cannot_be_read_is_refused() {
    let mut leader = Leader::new();
    let key = ConsumerKey { node: 1, number: 1 };
    let queue = Destination::queue("q").unwrap();
    let refused = leader.dispatcher.attach(key, wanted(queue, 1, "n =")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the selector cannot be read: at column 4: expected a literal, an identifier or `(`, found \
         the end"
    );
    assert_eq!(leader.dispatcher.in_flight(key), None);
}

/// A message that cannot be read back is given to no selector, and those behind it are.
#[test]
fn contents_are_read_back_in_order_before_they_are_looked_at() {
    let mut leader = Leader::new();
    leader.send_numbers(0..6);
    leader.state.evict_to(0);
    leader.select(1, 9, "n % 2 = 1");
    assert_eq!(leader.deliver(), []);
    let reads: Vec<_> = std::iter::from_fn(|| leader.dispatcher.poll_read()).collect();
    assert_eq!(reads.len(), 6, "those that follow are read ahead");
    leader.send_numbers([7]);
    // The last that is read is there first.
    for (n, (message, at)) in reads.iter().enumerate().rev() {
        assert_eq!(message, at);
        assert_eq!(leader.deliver(), [], "{n} is not looked at before those in front of it");
        let written = Arc::new(numbered("q", n as i64));
        let written = (n != 3).then_some(&written);
        assert!(leader.dispatcher.handle_read(&leader.state, *message, written));
        assert!(!leader.dispatcher.handle_read(&leader.state, *message, written));
    }
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "1"), (1, "5"), (1, "7")]));
    assert_eq!(leader.dispatcher.poll_read(), None);
}
