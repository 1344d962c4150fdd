//! What a leader does for durable subscriptions and virtual topics, where it alone knows who consumes
//! and what is not stored.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use paceline_reached::{Point, reached};

use super::{Serving, Told};
use crate::{
    Destination, DestinationKind, Message, UnixMillis,
    dispatch::Dispatcher,
    durable::Durable,
    operation::{Kept, Subscription},
    shard::{Command, ShardState, Terms},
};

/// Whether a message that came to go through the leader's memory is to go through the log.
pub(crate) fn is_to_store(message: &Message, state: &ShardState) -> bool {
    message.persistent
        && message.destination.kind == DestinationKind::Topic
        && state.is_entered(&message.destination.name)
}

/// Hands a topic's message that is not stored to the queues that get what is sent there.
pub(crate) fn enter(
    dispatcher: &mut Dispatcher,
    state: &ShardState,
    message: &Arc<Message>,
    now: UnixMillis,
) {
    if message.destination.kind != DestinationKind::Topic || message.is_expired(now) {
        return;
    }
    for queue in state.queues_of(message) {
        dispatcher.enter_volatile(state, &queue, message);
    }
}

/// What a consumer of a durable subscription is to the dispatcher: the only one of a queue. What the
/// selector does not select is not there.
///
/// # Errors
/// If the subscription is not there, or has a consumer.
pub(crate) fn resolve(
    subscription: Subscription,
    dispatcher: &Dispatcher,
    state: &ShardState,
) -> Result<Subscription, String> {
    let Some(Kept { durable, no_local }) = &subscription.durable else { return Ok(subscription) };
    let topic = subscription.source.exact().map(|topic| topic.name.clone());
    let topic = topic.ok_or_else(|| format!("{} is not one topic", subscription.source))?;
    let terms = Terms { topic, selector: subscription.selector.clone(), no_local: *no_local };
    if state.terms_of(durable) != Some(&terms) {
        return Err(format!("the durable subscription {durable} is not there any more"));
    }
    if dispatcher.is_consumed(&durable.queue()) {
        return Err(in_use(durable));
    }
    let queue = Destination { kind: DestinationKind::Queue, name: durable.queue() };
    Ok(Subscription { source: queue.into(), selector: None, ..subscription })
}

/// Refuses a command that would take a durable subscription away from its consumer.
pub(crate) fn guard(command: &mut Command, dispatcher: &Dispatcher, state: &ShardState) {
    let durable = match command {
        Command::Unsubscribe { durable } => &*durable,
        Command::Subscribe { durable, terms } if state.terms_of(durable) != Some(terms) => durable,
        _ => return,
    };
    if dispatcher.is_consumed(&durable.queue()) {
        *command = Command::Refuse { reason: in_use(durable) };
    }
}

impl<T: Told> Serving<T> {
    /// Whether a durable subscription has a consumer; `None` where this replica does not lead and cannot
    /// know.
    pub fn is_consumed(&self, durable: &Durable) -> Option<bool> {
        Some(self.term.as_ref()?.dispatcher.is_consumed(&durable.queue()))
    }
}

fn in_use(durable: &Durable) -> String {
    reached(Point::DurableInUse);
    format!("the durable subscription {durable} is in use by another consumer")
}
