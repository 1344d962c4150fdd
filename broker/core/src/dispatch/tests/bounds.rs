//! Of topics whose policy says what may wait for a subscriber.

use super::*;
use crate::bounds::{Bound, Bounds, WhenFull};

#[test]
fn a_topic_that_drops_nothing_refuses_what_one_subscriber_has_no_room_for() {
    for when_full in [WhenFull::Reject, WhenFull::DropOldest] {
        let (policy, max_messages) = ("/topic/t".into(), Some(2));
        let bound = Bound { policy, max_messages, max_bytes: None, when_full };
        let topic = || Destination::topic("t").unwrap();
        let mut leader = Leader::new();
        leader.dispatcher.limits.bounds =
            Arc::new(Bounds::new(vec![(topic(), Some(Arc::new(bound)))]));
        leader
            .dispatcher
            .attach(ConsumerKey { node: 1, number: 1 }, Subscription::new(topic(), 1))
            .unwrap();
        leader
            .dispatcher
            .attach(ConsumerKey { node: 1, number: 2 }, Subscription::new(topic(), 9))
            .unwrap();
        let taken = ["1", "2", "3", "4"].map(|text| {
            let message = message_to(topic(), text).into();
            let taken = leader.dispatcher.handle_volatile(leader.now, message);
            leader.deliver_texts();
            taken.map_err(|why| why.to_string())
        });
        let dropped = leader.dispatcher.volatile_counters().dropped;
        match when_full {
            WhenFull::DropOldest => assert_eq!((&taken[3], dropped), (&Ok(2), 1)),
            _ => {
                assert!(taken[3].as_ref().unwrap_err().contains("`/topic/t` allows no more"));
                assert_eq!((&taken[..3], dropped), (&[Ok(2), Ok(2), Ok(2)][..], 0));
            }
        }
    }
}
