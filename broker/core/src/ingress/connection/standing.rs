//! What a connection does before it consumes from a durable subscription or a queue of a virtual topic,
//! how it deletes the former, and whose they are.

use std::sync::Arc;

use super::{
    super::standing::{Course, Goal, Send},
    Connection, Directory, OPERATION_BYTES, Part, Request,
};
use crate::{
    Destination, DestinationKind,
    durable::Durable,
    operation::{ConsumerId, Kept, OpTag, Refusal, Subscription},
    shard::{self, Command, Terms},
    slotting::virtual_topic_of,
};

impl Connection {
    /// Begins to make what has to be there before a consumer is attached. False if that is nothing.
    pub(super) fn makes_first(
        &mut self,
        tag: OpTag,
        consumer: ConsumerId,
        subscription: &Subscription,
        slot: u32,
        directory: &impl Directory,
    ) -> bool {
        match goal(consumer, subscription, slot) {
            Ok(Some(goal)) => {
                let durable = subscription.durable.as_ref().map(|kept| &kept.durable);
                let durable = durable.map(|durable| (durable.clone(), home(durable, directory)));
                self.begin_course(tag, durable, goal);
            }
            Ok(None) => return false,
            Err(why) => self.end_part(tag, Err(Refusal::Rejected(why))),
        }
        true
    }

    pub(super) fn forget(&mut self, tag: OpTag, durable: Durable, directory: &impl Directory) {
        self.operations.begin(tag, OPERATION_BYTES);
        let home = home(&durable, directory);
        self.begin_course(tag, Some((durable, home)), Goal::Forget);
    }

    fn begin_course(&mut self, tag: OpTag, durable: Option<(Durable, u32)>, goal: Goal) {
        let (course, send) = Course::begin(durable, goal);
        self.courses.insert(tag, course);
        self.send_of_course(tag, [send]);
    }

    pub(super) fn continue_course(&mut self, tag: OpTag, outcome: shard::Outcome) {
        // Another shard may have refused before.
        let Some(course) = self.courses.get_mut(&tag) else { return };
        if let Goal::Consume { consumer, .. } = &course.goal
            && self.deliveries.consumer(*consumer).is_none()
        {
            // Nobody wants it any more, and who does may have asked for it elsewhere.
            self.courses.remove(&tag);
            let why = "the consumer has ended in the meantime".into();
            return self.end_part(tag, Err(Refusal::Rejected(why)));
        }
        let mut sends = Vec::new();
        let ended = course.handle_outcome(outcome, &mut sends);
        self.send_of_course(tag, sends);
        let Some(result) = ended else { return };
        let course = self.courses.remove(&tag).expect("looked up above");
        if let Goal::Consume { consumer, subscription, slot, .. } = course.goal
            && result.is_ok()
            && let Some((number, prefetch)) = self.deliveries.consumer(consumer)
        {
            let subscription = Subscription { prefetch, ..subscription };
            let (asker, sink) = (self.part(tag), consumer);
            self.request(slot, Request::Attach { consumer: number, subscription, sink, asker });
        }
        self.end_part(tag, result);
    }

    fn send_of_course(&mut self, tag: OpTag, sends: impl IntoIterator<Item = Send>) {
        for (slot, command, awaited) in sends {
            let asker = if awaited { Part::Standing(tag) } else { Part::Unawaited };
            let holders = Vec::new();
            self.request(slot, Request::Command { command, holders, urgent: awaited, asker });
        }
    }

    pub(super) fn identify(
        &mut self,
        tag: OpTag,
        client: Arc<str>,
        connection: &str,
        directory: &impl Directory,
    ) {
        self.operations.begin(tag, 0);
        if self.client.is_some() || !directory.take_client(&client, connection) {
            let why = format!("a connection with the client id `{client}` is open already");
            return self.end_part(tag, Err(Refusal::Rejected(why)));
        }
        self.client = Some(client);
        self.end_part(tag, Ok(()));
    }
}

/// What has to be in the shard of a slot before somebody can consume, if anything has.
fn goal(
    consumer: ConsumerId,
    subscription: &Subscription,
    slot: u32,
) -> Result<Option<Goal>, String> {
    let Subscription { source, selector, durable, .. } = subscription;
    let make = match (durable, source.exact()) {
        (Some(_), _) if source.has(DestinationKind::Queue) => {
            return Err(format!("{source} is a queue; only topics have durable subscriptions"));
        }
        (Some(_), None) => {
            return Err(format!("{source} is not one topic; a durable subscription is of one"));
        }
        (Some(Kept { durable, no_local }), Some(topic)) => {
            let (topic, selector) = (topic.name.clone(), selector.clone());
            let terms = Terms { topic, selector, no_local: *no_local };
            Command::Subscribe { durable: durable.clone(), terms }
        }
        (None, Some(queue)) if takes_part(queue) => {
            Command::CreateQueue { queue: queue.name.clone() }
        }
        (None, _) => return Ok(None),
    };
    Ok(Some(Goal::Consume { consumer, subscription: subscription.clone(), slot, make }))
}

/// Whether a queue is one of a virtual topic, which it has to be made for.
pub(super) fn takes_part(queue: &Destination) -> bool {
    queue.kind == DestinationKind::Queue
        && !queue.is_pattern()
        && virtual_topic_of(&queue.name).is_some()
}

/// The slot of the shard that knows where a durable subscription is.
fn home(durable: &Durable, directory: &impl Directory) -> u32 {
    directory.slot_of(&Destination { kind: DestinationKind::Queue, name: durable.queue() })
}
