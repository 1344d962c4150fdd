//! How a message comes into its queue, or is refused for want of room.

use std::{num::NonZeroU64, sync::Arc};

use paceline_reached::{Point, reached};

use super::{
    ShardState,
    command::{MessageRef, QueueId, Refused},
    groups::Membership,
    step::{Step, Written},
    tables::{Arrival, Stored},
};
use crate::{
    Message,
    bounds::{Bound, QueueFull, Size, WhenFull},
    destination::DestinationKind,
    message::MAX_PRIORITY,
    schedule::Schedule,
};

impl ShardState {
    /// Enters a message into one queue.
    pub(super) fn enter_queue(
        &mut self,
        step: &mut Step,
        part: usize,
        queue: &Arc<str>,
        message: &Arc<Message>,
        written: Written,
    ) {
        // 0 stands for never in the table; a millisecond later is as long ago as that.
        let expires = message.expires.map(|at| NonZeroU64::new(at.0).unwrap_or(NonZeroU64::MIN));
        let stored = Stored {
            expires,
            queue: QueueId::default(),
            priority: message.priority.min(MAX_PRIORITY),
            rejected: 0,
            released: 0,
            size: Size::of(message),
        };
        let (body, member) = (Some(message.clone()), Membership::of(message));
        self.enter(step, part, queue, written, Arrival { stored, body, member });
    }

    /// Takes in a message that a command is about, unless its producer has sent it before. A topic's one
    /// goes to the subscribers there are as well, if it `fans_out`.
    pub(super) fn publish(
        &mut self,
        step: &mut Step,
        message: &Arc<Message>,
        fans_out: bool,
    ) -> Result<(), Refused> {
        if !self.is_resent(message) {
            self.take_in(step, message, fans_out)?;
            self.note_sent(step, message);
        }
        Ok(())
    }

    pub(super) fn take_in(
        &mut self,
        step: &mut Step,
        message: &Arc<Message>,
        fans_out: bool,
    ) -> Result<(), Refused> {
        // Sessions refuse what cannot be read.
        if let Ok(Some(schedule)) = Schedule::of(message) {
            let at = MessageRef::new(step.index, step.command, 0);
            self.put_off(step, at, message, &schedule);
            return Ok(());
        }
        match message.destination.kind {
            DestinationKind::Topic => self.publish_to_topic(step, message, fans_out),
            DestinationKind::Queue => {
                self.enter_queue(step, 0, &message.destination.name, message, Written::Here);
                Ok(())
            }
        }
    }

    pub(super) fn publish_within(
        &mut self,
        step: &mut Step,
        message: &Arc<Message>,
        again: bool,
        bound: &Arc<Bound>,
    ) -> Result<(), Refused> {
        let name = &message.destination.name;
        if message.destination.is_pattern() {
            return Err(Refused::Pattern(name.clone()));
        }
        let id = self.queue_named(step.index, name);
        let is_resent = self.is_resent(message);
        let queue = self.tables.queues.get_mut(&id).expect("just looked up");
        if let Some(node) = step.sender.filter(|_| again) {
            queue.shut.remove(&node);
        }
        if is_resent {
            return Ok(());
        }
        let is_shut = step.sender.is_some_and(|node| queue.shut.contains(&node));
        let mut full = queue.filled(message, bound.clone());
        if !is_shut && full.bound.admits(full.messages, full.bytes, full.size) {
            return self.publish(step, message, true);
        }
        reached(Point::QueueFull);
        if is_shut && full.bound.when_full != WhenFull::Block {
            // It was to be refused for good from some moment on. Those before it wait, so it does.
            let when_full = WhenFull::Block;
            full.bound = Arc::new(Bound { when_full, ..Bound::clone(bound) });
        }
        queue.shut.extend(step.sender.filter(|_| full.waits()));
        Err(Refused::Full(Box::new(full)))
    }

    /// Why a message is not taken though no policy bounds its queue any more: its sender keeps others,
    /// for which there was no room when one did, and which it would overtake.
    pub(super) fn shut_to(&self, step: &Step, message: &Message) -> Option<QueueFull> {
        if message.destination.kind != DestinationKind::Queue {
            return None;
        }
        let id = self.derived.names.get(&message.destination.name)?;
        let queue = &self.tables.queues[id];
        let is_shut = step.sender.is_some_and(|node| queue.shut.contains(&node));
        if !is_shut || Schedule::is_put_off(message) || self.is_resent(message) {
            return None;
        }
        Some(queue.filled(message, Arc::new(Bound::none())))
    }
}
