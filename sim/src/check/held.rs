//! What one consumer is to have all of goes to no other while that one is there.
//!
//! Of a group of messages it has all from the first that it is handed, until a message closes the
//! group; of a queue whose consumers each want it for themselves, all. It has them until it leaves the
//! leader that hands them out, which says so; the next leader begins anew, since what it knows of the
//! consumers it learns from them. That a group's messages come in their order the check `fifo` looks
//! after.
//!
//! A message whose id no leader ever had at hand may have closed any group of its consumer.

use super::{
    Found, HashMap,
    step::{NameId, Steps},
    trail::{Handed, Trail},
};
use crate::workload::{
    history::History,
    ids::DestinationId,
    operation::{MessageId, publish},
};

/// What reports call the check of groups,
pub const GROUPS: &str = "groups";
/// and that of queues which consumers want for themselves.
pub const EXCLUSIVE: &str = "exclusive";

/// The most hand-outs told of each check.
const TOLD: usize = 4;

/// Of what one consumer has all: a queue, or a group of its messages; under one leader.
type Whole = (DestinationId, Option<u32>, u32);

/// Everything that is wrong, with the check that it is wrong for.
pub fn judge(history: &History, trail: &Trail, names: &mut Steps) -> Vec<(&'static str, Found)> {
    let queues: HashMap<NameId, DestinationId> = (0..)
        .zip(&history.destinations)
        .filter(|(_, it)| it.grouped || it.exclusive)
        .map(|(number, it)| (names.name(&it.name), DestinationId(number)))
        .collect();
    if queues.is_empty() {
        return Vec::new();
    }
    let messages: HashMap<NameId, MessageId> =
        history.deliveries.iter().map(|it| (names.name(&it.broker_id), it.id)).collect();
    let mut owners: HashMap<Whole, Handed> = HashMap::default();
    let mut left = trail.left.iter().peekable();
    let mut found = Vec::new();
    for (number, handed) in trail.handed_in_full().into_iter().enumerate() {
        while let Some(left) = left.next_if(|left| left.after <= number) {
            owners.retain(|_, owner| {
                let is_it = owner.consumer == left.consumer
                    && (owner.node, owner.shard, owner.term) == (left.node, left.shard, left.term);
                !is_it
            });
        }
        let id = handed.id.and_then(|id| messages.get(&id)).copied();
        if id.is_none() {
            owners.retain(|(_, group, _), it| group.is_none() || it.consumer != handed.consumer);
        }
        let Some(queue) = handed.queue.and_then(|queue| queues.get(&queue)).copied() else {
            continue;
        };
        let info = history.destination(queue);
        let mut wholes = Vec::new();
        if info.exclusive {
            wholes.push((EXCLUSIVE, None));
        }
        if let Some(id) = id.filter(|_| info.grouped) {
            wholes.push((GROUPS, Some(history.part_of(id))));
        }
        for (check, group) in wholes {
            let whole = (queue, group, handed.life);
            let owner = owners.insert(whole, handed);
            if group.is_some() && id.is_some_and(publish::closes) {
                owners.remove(&whole);
            }
            let Some(owner) = owner.filter(|owner| owner.consumer != handed.consumer) else {
                continue;
            };
            if found.iter().filter(|(name, _)| *name == check).count() < TOLD {
                let detail = told(history, names, whole, &owner, &handed);
                found.push((check, Found::about(detail, id)));
            }
        }
    }
    found
}

fn told(
    history: &History,
    names: &Steps,
    (queue, group, _): Whole,
    owner: &Handed,
    handed: &Handed,
) -> String {
    let name = &history.destination(queue).name;
    let whole = match group {
        Some(group) => format!("group {group} of {name}"),
        None => name.to_string(),
    };
    format!(
        "n{} handed {} of {whole} to {} in term {} at {:.6}s, though {}, which had been given {} of it \
         at {:.6}s, was there",
        handed.node + 1,
        names.text(handed.message),
        names.text(handed.consumer),
        handed.term,
        handed.at.as_secs_f64(),
        names.text(owner.consumer),
        names.text(owner.message),
        owner.at.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::testing::*, *};
    use crate::check::step::{Step, What};

    /// A queue with two groups, or with consumers that want it for themselves, under a leader.
    struct Story {
        told: Told,
        names: Steps,
        trail: Trail,
        now: u64,
    }

    impl Story {
        fn new(grouped: bool, exclusive: bool) -> Self {
            let mut told = Told::new();
            let info = &mut told.history.destinations[QUEUE.0 as usize];
            (info.parts, info.grouped, info.exclusive) = (2, grouped, exclusive);
            let mut story = Self { told, names: Steps::default(), trail: Trail::default(), now: 0 };
            story.step(What::ServeBegin { shard: 1, term: 1 });
            story
        }

        fn step(&mut self, what: What) {
            self.now += 1;
            self.trail.step(&Step { at: Duration::from_millis(self.now), node: 0, what });
        }

        /// Sends messages up to the next of a group that closes it or does not.
        fn send(&mut self, group: u32, closes: bool) -> MessageId {
            loop {
                let id = self.told.send(QUEUE);
                if id.sequence % 2 == group && publish::closes(id) == closes {
                    return id;
                }
            }
        }

        fn hand(&mut self, id: MessageId, consumer: &str, is_known: bool) {
            let name = |names: &mut Steps, text: &str| names.name(text);
            let known = name(&mut self.names, &format!("id-{id}"));
            let queue = name(&mut self.names, &self.told.history.destination(QUEUE).name.clone());
            let message = name(&mut self.names, &format!("key-{id}"));
            let consumer = name(&mut self.names, consumer);
            self.step(What::Dispatch {
                shard: 1,
                term: 1,
                consumer,
                message,
                id: is_known.then_some(known),
                queue: Some(queue),
                priority: 4,
                redelivered: false,
                in_flight: 1,
                credit: 1,
            });
            if is_known {
                self.told.deliver(id, false);
            }
        }

        fn leave(&mut self, consumer: &str) {
            let consumer = self.names.name(consumer);
            self.step(What::Detach { shard: 1, term: 1, consumer });
        }

        fn found(mut self) -> Vec<&'static str> {
            let found = judge(&self.told.history, &self.trail, &mut self.names);
            found.into_iter().map(|(check, _)| check).collect()
        }
    }

    #[test]
    fn a_group_is_one_consumers_until_that_leaves_or_it_is_closed() {
        for (between, wrong) in [("", true), ("leave", false), ("close", false), ("unknown", false)]
        {
            let mut story = Story::new(true, false);
            let [first, second] = [(); 2].map(|()| story.send(0, false));
            story.hand(first, "a", true);
            match between {
                "leave" => story.leave("a"),
                "close" => {
                    let last = story.send(0, true);
                    story.hand(last, "a", true);
                }
                "unknown" => {
                    let lost = story.send(1, false);
                    story.hand(lost, "a", false);
                }
                _ => {}
            }
            story.hand(second, "b", true);
            assert_eq!(story.found() == [GROUPS], wrong, "{between}");
        }
    }

    #[test]
    fn groups_are_told_apart_and_so_are_leaders() {
        let mut story = Story::new(true, false);
        for (group, consumer) in [(0, "a"), (1, "b"), (0, "a"), (1, "b")] {
            let id = story.send(group, false);
            story.hand(id, consumer, true);
        }
        story.step(What::ServeBegin { shard: 1, term: 1 });
        let id = story.send(0, false);
        story.hand(id, "b", true);
        assert_eq!(story.found(), [""; 0]);
    }

    #[test]
    fn a_queue_is_one_consumers_until_that_leaves() {
        for (leaves, wrong) in [(false, true), (true, false)] {
            let mut story = Story::new(false, true);
            let [first, second] = [0, 1].map(|group| story.send(group, false));
            story.hand(first, "a", true);
            if leaves {
                story.leave("a");
            }
            story.hand(second, "b", true);
            assert_eq!(story.found() == [EXCLUSIVE], wrong);
        }
    }
}
