//! Browsers.

use super::*;
use crate::dispatch::{Browsed, select::LOOKED_AT_ONCE};

impl Leader {
    fn browse(&mut self, number: u64, prefetch: u32, selector: Option<&str>) -> ConsumerKey {
        self.browse_after(number, prefetch, selector, None)
    }

    fn browse_after(
        &mut self,
        number: u64,
        prefetch: u32,
        selector: Option<&str>,
        after: Option<Browsed>,
    ) -> ConsumerKey {
        let key = ConsumerKey { node: 1, number };
        let wanted = Subscription::new(Destination::queue("q").unwrap(), prefetch);
        let wanted = Subscription { selector: selector.map(Arc::from), browses: true, ..wanted };
        self.dispatcher.browse(&self.state, key, &wanted, after).unwrap();
        key
    }

    /// What a browser is shown until it has come to the end, one at a time.
    fn look_through(&mut self, key: ConsumerKey) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let shown = self.deliver();
            for copy in &shown {
                assert!(copy.browsed.is_some());
                texts.push(text(copy));
                let settled = self.dispatcher.settle_begin(key, &[(copy.key, Reject)]).unwrap();
                assert_eq!(settled, [], "nothing is replicated for a copy");
            }
            if self.dispatcher.poll_browsed() == Some(key) {
                assert!(self.dispatcher.poll_browsed().is_none());
                return texts;
            }
            assert!(!shown.is_empty() || self.dispatcher.is_unfinished(), "it stands still");
        }
    }
}

#[test]
fn a_browser_sees_all_that_is_there_and_takes_nothing() {
    let mut leader = Leader::new();
    leader.attach(1, "q", 1);
    leader.send("q", &["a", "b"]);
    leader.send("other", &["x"]);
    leader.dispatcher.handle_volatile(leader.now, volatile("q", "c")).unwrap();
    leader.send("q", &["d"]);
    let prior = Message { priority: 7, ..message("q", "first") };
    leader.apply(&batch([publish(prior)]));
    let held = leader.deliver();
    let expected = ["first", "a", "b", "c", "d"];
    for prefetch in [1, 2, 9] {
        let key = leader.browse(8, prefetch, None);
        // What comes later is not shown.
        leader.send("q", &["late"]);
        leader.dispatcher.handle_volatile(leader.now, volatile("q", "late")).unwrap();
        assert_eq!(leader.look_through(key), expected);
        assert!(leader.dispatcher.detach(key));
        leader.propose(Command::Settle {
            settles: vec![(MessageRef::new(leader.state.applied(), 0, 0), Accept)],
        });
        let lane = leader.dispatcher.names["q"];
        let late: Vec<u64> = leader.dispatcher.volatile.keys().copied().skip(1).collect();
        late.into_iter().for_each(|number| drop(leader.dispatcher.remove_volatile(number)));
        leader.dispatcher.counters.dropped += 1;
        assert_eq!(leader.dispatcher.lanes[&lane].volatile, 1);
    }
    assert_eq!(leader.state.redeliveries(stored(&held[0])), Some(0));
    leader.settle(&held[0], Accept);
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "a")]));
}

#[test]
fn what_is_being_accepted_is_as_good_as_gone() {
    let mut leader = Leader::new();
    let consumer = leader.attach(1, "q", 3);
    leader.send("q", &["a", "b", "c"]);
    let held = leader.deliver();
    let settles = [(held[0].key, Accept), (held[1].key, Reject)];
    let settles = leader.dispatcher.settle_begin(consumer, &settles).unwrap();
    let key = leader.browse(2, 9, None);
    assert_eq!(leader.look_through(key), ["b", "c"]);
    leader.dispatcher.detach(key);
    leader.dispatcher.settle_failed(&[settles[0].0]);
    let key = leader.browse(2, 9, None);
    assert_eq!(leader.look_through(key), ["a", "b", "c"]);
}

#[test]
fn a_browser_is_given_as_much_as_it_may_hold() {
    let mut leader = Leader::new();
    leader.send("q", &["a", "b", "c"]);
    let key = leader.browse(1, 2, None);
    let copies = leader.deliver();
    assert_eq!(copies.iter().map(text).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((copies[1].in_flight, copies[1].credit), (2, 0));
    assert_eq!(leader.dispatcher.poll_browsed(), None);
    leader.dispatcher.settle_begin(key, &[(copies[0].key, Accept)]).unwrap();
    assert_eq!(leader.deliver_texts(), pairs(&[(1, "c")]));
    assert_eq!(leader.dispatcher.poll_browsed(), None, "it is not known to be the last");
    assert!(leader.dispatcher.set_prefetch(key, 3));
    assert_eq!(leader.deliver(), []);
    assert_eq!(leader.dispatcher.poll_browsed(), Some(key));
    assert!(leader.dispatcher.detach_lost(key));
    assert_eq!(leader.state.resident(), 3);
}

#[test]
fn a_browser_selects_and_reads_what_is_in_the_log_only() {
    let mut leader = Leader::new();
    leader.send("q", &["a", "b", "a", "c"]);
    let log = leader.state.clone();
    leader.state.evict_to(0);
    let key = leader.browse(1, 9, Some("JMSMessageID = 'a' OR JMSMessageID = 'c'"));
    let mut texts = Vec::new();
    let mut reads = 0;
    while leader.dispatcher.poll_browsed() != Some(key) {
        texts.extend(leader.deliver().iter().map(text));
        while let Some((message, at)) = leader.dispatcher.poll_read() {
            reads += 1;
            let Some(Content::Here(body)) = log.content(at) else { panic!("the log has it") };
            assert!(leader.dispatcher.handle_read(&leader.state, message, Some(&body)));
        }
    }
    assert_eq!((texts, reads), (["a", "a", "c"].map(String::from).to_vec(), 4));
    // One that cannot be read is left out.
    let key = leader.browse(2, 9, None);
    let mut texts = Vec::new();
    while leader.dispatcher.poll_browsed() != Some(key) {
        texts.extend(leader.deliver().iter().map(text));
        while let Some((message, at)) = leader.dispatcher.poll_read() {
            let body = log.content(at).filter(|_| message.offset > 0);
            let body = body.map(|body| match body {
                Content::Here(body) => body,
                Content::Evicted(_) => panic!("the log has it"),
            });
            leader.dispatcher.handle_read(&leader.state, message, body.as_ref());
        }
    }
    assert_eq!(texts, ["b", "a", "c"]);
}

#[test]
fn a_new_leader_goes_on_where_the_last_has_come_to() {
    let mut leader = Leader::new();
    let prior = |priority, text| publish(Message { priority, ..message("q", text) });
    leader.apply(&batch([prior(2, "low"), prior(4, "a"), prior(4, "b"), prior(9, "high")]));
    leader.browse(1, 2, None);
    let shown = leader.deliver();
    assert_eq!(shown.iter().map(text).collect::<Vec<_>>(), ["high", "a"]);
    let after = shown[1].browsed;
    let mut leader = leader.fail_over();
    let key = leader.browse_after(1, 1, None, after);
    assert_eq!(leader.look_through(key), ["b", "low"]);
}

#[test]
fn a_long_look_lets_others_have_their_turn() {
    let mut leader = Leader::new();
    let many = vec!["x"; LOOKED_AT_ONCE];
    leader.send("other", &many);
    leader.send("q", &["a"]);
    leader.send("other", &many);
    let key = leader.browse(1, 9, None);
    leader.attach(2, "b", 9);
    leader.send("b", &["m"]);
    assert_eq!(leader.deliver_texts(), pairs(&[(2, "m")]));
    assert!(leader.dispatcher.is_unfinished());
    assert_eq!(leader.look_through(key), ["a"]);
    assert!(!leader.dispatcher.is_unfinished());
}

#[test]
fn consumers_are_served_while_there_is_much_to_show() {
    let mut leader = Leader::new();
    leader.send("q", &["a", "b", "c"]);
    leader.browse(1, 9, None);
    leader.attach(2, "q", 9);
    let took: Vec<u64> = leader.deliver().iter().map(|it| it.consumer.number).collect();
    assert_eq!(took, [2, 1, 2, 1, 2, 1]);
}

#[test]
fn only_one_queue_can_be_browsed() {
    let mut leader = Leader::new();
    let key = ConsumerKey { node: 1, number: 1 };
    for source in [Destination::topic("q").unwrap(), Destination::queue("q.>").unwrap()] {
        let wanted = Subscription { browses: true, ..Subscription::new(source, 1) };
        let refused = leader.dispatcher.browse(&leader.state, key, &wanted, None);
        assert!(matches!(refused, Err(AttachRefused::NotOneQueue(_))));
    }
    leader.browse(1, 1, None);
    let wanted = Subscription::new(Destination::queue("q").unwrap(), 1);
    let refused = leader.dispatcher.attach(key, wanted);
    assert_eq!(refused, Err(AttachRefused::Attached(key)));
    leader.deliver();
    assert_eq!(leader.dispatcher.poll_browsed(), Some(key), "an empty queue has an end");
    leader.dispatcher.detach_node(1);
    assert!(!leader.dispatcher.is_browser(key));
}
