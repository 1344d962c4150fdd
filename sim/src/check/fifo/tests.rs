//! Histories that must be refused, and such that must not.

use super::{super::testing::*, *};
use crate::{
    check::step::{Step, What},
    workload::operation::Reply,
};

/// A queue under leaders that are told what to do.
struct Story {
    told: Told,
    names: Steps,
    trail: Trail,
    end: End,
    term: u64,
    now: u64,
}

impl Story {
    fn new() -> Self {
        let mut story = Self {
            told: Told::new(),
            names: Steps::default(),
            trail: Trail::default(),
            end: End { drained: true, ..End::default() },
            term: 0,
            now: 1000,
        };
        story.next_leader();
        story
    }

    fn step(&mut self, what: What) {
        self.now += 1;
        self.trail.step(&Step { at: Duration::from_millis(self.now), node: 0, what });
    }

    fn next_leader(&mut self) {
        self.term += 1;
        self.step(What::ServeBegin { shard: 1, term: self.term });
    }

    /// Two producers, the second of which sends after the first was answered.
    fn two(&mut self) -> [MessageId; 2] {
        [0, 1].map(|producer| {
            let id = self.told.send_by(producer, QUEUE, |_| {});
            self.told.reply(id, Reply::Ok);
            id
        })
    }

    /// Hands a message out, which does not arrive.
    fn hand_out(&mut self, id: MessageId) {
        self.hand_out_unread(id);
        let name = self.names.name(&format!("id-{id}"));
        let queue = Some(self.names.name("q"));
        let message = self.names.name(&format!("key-{id}"));
        self.step(What::ReadBack { shard: 1, message, id: name, queue });
    }

    fn hand_out_unread(&mut self, id: MessageId) {
        let message = self.names.name(&format!("key-{id}"));
        let consumer = self.names.name("n1.1");
        self.step(What::Dispatch {
            shard: 1,
            term: self.term,
            consumer,
            message,
            id: None,
            queue: None,
            priority: 4,
            redelivered: false,
            in_flight: 1,
            credit: 1,
        });
    }

    /// Hands messages out and delivers them.
    fn deliver(&mut self, ids: &[MessageId]) {
        for id in ids {
            self.hand_out(*id);
            self.told.deliver(*id, false);
        }
    }

    fn judge(&mut self) -> Vec<String> {
        let found = judge(&self.told.history, &self.end, &self.trail, &mut self.names);
        found.into_iter().map(|it| it.detail).collect()
    }
}

#[test]
fn what_was_acknowledged_before_goes_first_whoever_sent_it() {
    for is_right in [true, false] {
        let mut story = Story::new();
        let [first, second] = story.two();
        story.deliver(&if is_right { [first, second] } else { [second, first] });
        let found = story.judge();
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        if !is_right {
            assert!(found[0].contains("p1-0 of q, at 1.002000s to n1.1 by n1 in term 1"));
            assert!(found[0].contains("p0-0 was acknowledged at 0.002000s and p1-0 sent at"));
        }
    }
}

#[test]
fn what_was_not_answered_yet_may_come_later() {
    let mut story = Story::new();
    let slow = story.told.send_by(0, QUEUE, |_| {});
    let fast = story.told.send_by(1, QUEUE, |_| {});
    story.told.reply(slow, Reply::Ok);
    story.deliver(&[fast, slow]);
    assert_eq!(story.judge(), Vec::<String>::new());
}

#[test]
fn one_connection_is_a_line_and_another_is_not() {
    for (other, is_right) in [(0, false), (7, true)] {
        let mut story = Story::new();
        let first = story.told.send(QUEUE);
        let second = story.told.send_by(0, QUEUE, |it| it.connection = ConnectionId(other));
        story.told.reply(first, Reply::Unknown);
        story.deliver(&[second, first]);
        assert_eq!(story.judge().is_empty(), is_right);
    }
}

#[test]
fn what_never_comes_is_overtaken_unless_nothing_is_owed() {
    for (drained, persistent, auto_ack, is_right) in [
        (true, true, false, false),
        (false, true, false, true),
        (true, false, false, true),
        (true, true, true, true),
    ] {
        let mut story = Story::new();
        story.end.drained = drained;
        story.told.history.destinations[QUEUE.0 as usize].auto_ack = auto_ack;
        let lost = story.told.send_by(0, QUEUE, |it| it.persistent = persistent);
        story.told.reply(lost, Reply::Ok);
        let second = story.told.send_by(1, QUEUE, |_| {});
        story.deliver(&[second]);
        let found = story.judge();
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        assert!(is_right || found[0].contains("and p0-0 never"));
    }
}

#[test]
fn a_higher_priority_may_go_first_and_a_lower_one_may_not() {
    for (priority, is_right) in [(5, true), (4, false), (3, false)] {
        let mut story = Story::new();
        let first = story.told.publish(QUEUE);
        let second = story.told.send_by(1, QUEUE, |it| it.priority = Some(priority));
        story.deliver(&[second, first]);
        assert_eq!(story.judge().is_empty(), is_right);
    }
}

#[test]
fn what_may_have_expired_need_not_go_first() {
    for (expires, clock_error, is_right) in [(2, 0, false), (2, 999, true), (1, 0, true)] {
        let mut story = Story::new();
        story.end.clock_error = Duration::from_millis(clock_error);
        let first =
            story.told.send_by(0, QUEUE, |it| it.expires = Some(Duration::from_secs(expires)));
        story.told.reply(first, Reply::Ok);
        let second = story.told.send_by(1, QUEUE, |_| {});
        story.deliver(&[second, first]);
        assert_eq!(story.judge().is_empty(), is_right);
    }
}

#[test]
fn what_is_not_stored_goes_first_or_not_at_all() {
    for (comes, is_right) in [(true, false), (false, true)] {
        let mut story = Story::new();
        let volatile = story.told.send_by(0, QUEUE, |it| it.persistent = false);
        story.told.reply(volatile, Reply::Ok);
        let second = story.told.send_by(1, QUEUE, |_| {});
        story.deliver(&[second]);
        if comes {
            story.deliver(&[volatile]);
        }
        assert_eq!(story.judge().is_empty(), is_right);
    }
}

#[test]
fn a_new_leader_keeps_the_order_of_the_queue() {
    for is_right in [true, false] {
        let mut story = Story::new();
        let [first, second] = story.two();
        story.deliver(&[first, second]);
        story.next_leader();
        story.deliver(&if is_right { [first, second] } else { [second, first] });
        let found = story.judge();
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        assert!(is_right || found[0].contains("by one leader"));
    }
}

#[test]
fn what_went_out_under_the_leader_before_may_stay_away() {
    let mut story = Story::new();
    let [first, second] = story.two();
    story.deliver(&[first]);
    story.next_leader();
    story.deliver(&[second]);
    assert_eq!(story.judge(), Vec::<String>::new());
}

#[test]
fn what_a_transaction_was_about_to_acknowledge_may_stand_back() {
    for is_transaction in [true, false] {
        let mut story = Story::new();
        let [first, second] = story.two();
        story.deliver(&[first, second]);
        story.told.accept(first);
        if is_transaction {
            story.told.history.settles[0].deliveries.push(1);
        }
        story.next_leader();
        story.deliver(&[second, first]);
        assert_eq!(story.judge().is_empty(), is_transaction);
    }
}

#[test]
fn a_message_whose_name_never_became_known_says_nothing() {
    let mut story = Story::new();
    let [first, second] = story.two();
    story.hand_out_unread(first);
    story.told.deliver(first, false);
    story.deliver(&[second]);
    assert_eq!(story.judge(), Vec::<String>::new());
}

#[test]
fn a_consumer_gets_things_in_the_order_in_which_they_were_handed_out() {
    for is_right in [true, false] {
        let mut story = Story::new();
        let [first, second] = story.two();
        story.hand_out(first);
        story.hand_out(second);
        for id in if is_right { [first, second] } else { [second, first] } {
            story.told.deliver(id, false);
        }
        let found = story.judge();
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        assert!(is_right || found[0].contains("arrived the other way round"));
    }
}

#[test]
fn a_topic_is_in_order_over_each_connection() {
    for (client, is_right) in [(0, false), (1, true)] {
        let mut story = Story::new();
        let ids = [(); 2].map(|()| story.told.publish(TOPIC));
        story.told.deliver_to(client, ids[1], false);
        story.told.deliver_to(0, ids[0], false);
        let found = story.judge();
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        assert!(is_right || found[0].contains("p0-1 of t reached c0 before p0-0"));
    }
}
