//! Consumers: what they are given, and how they acknowledge it.

use std::{borrow::Cow, ops::RangeInclusive, sync::Arc, time::Duration};

use bytes::BytesMut;
use paceline_reached::{Point, reached};
use paceline_wire::openwire::{
    Command, ConsumerControl, ConsumerId as WireConsumer, ConsumerInfo, Destination as Wire,
    MessageAck, MessageDispatch, MessageId, MessagePull, ack_type,
};

use super::{
    Asked, OpenWireSession,
    answers::{Exception, Handled, Refused},
    destinations, message,
    subscriber::Subscriber,
};
use crate::{
    DestinationKind, Source,
    operation::{ConsumerId, Kept, Settlement, Subscription},
    selector::Selector,
    session::{
        Now, Violation, advisory,
        consumers::{Place, Settles},
        options::Options,
    },
};

/// How long a client that will not wait for a message waits all the same: until the shard's leader
/// had the time to send one.
const AT_ONCE: Duration = Duration::from_millis(250);

/// The session of consumers that a client has for itself, and none of its application's.
const CLIENTS_OWN: i64 = -1;

/// A consumer as the client knows it.
#[derive(Debug)]
pub(super) struct Known {
    /// `None` of one that never gets anything.
    consumer: Option<ConsumerId>,
    /// Whether it asks for every message.
    pulls: bool,
    /// How many deliveries it has said to have, so that more may be sent, and not acknowledged.
    delivered: u32,
    /// Whether it waits for the message that it has asked for.
    waits: bool,
    /// Until when.
    until: Option<Duration>,
}

impl OpenWireSession {
    pub(super) fn add_consumer(
        &mut self,
        now: Now,
        info: &ConsumerInfo,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let info = &with_options(info)?;
        let id = named(info.consumer_id.as_ref(), "consumer")?;
        let written = named(info.destination.as_ref(), "destination")?;
        if self.consumers.contains_key(id) {
            return Ok(Handled::Done);
        }
        let max = self.config.operations.max_consumers;
        if self.consumers.len() >= max {
            return Err(Violation::Consumers { max }.into());
        }
        // Of a browser's messages none is asked for: that there are no more must not be said too soon.
        let pulls = info.prefetch_size == 0 && !info.browser;
        let mut known = Known { consumer: None, pulls, delivered: 0, waits: false, until: None };
        if id.session == CLIENTS_OWN && destinations::is_advisory(written) {
            self.temporaries.listener = Some(id.detached());
            self.consumers.insert(id.detached(), known);
            return Ok(Handled::Done);
        }
        check_supported(info)?;
        let source = destinations::source(written)?;
        check_browsed(info, &source)?;
        let no_local = info.no_local && source.has(DestinationKind::Topic);
        let label = Subscriber { id: id.detached(), no_local, pulls };
        let least = u32::from(info.browser);
        let prefetch = u32::try_from(info.prefetch_size).ok().map(|prefetch| prefetch.max(least));
        let prefetch = self.operations.prefetch(prefetch);
        let named =
            info.subscription_name.as_ref().map(|name| self.durable(None, name)).transpose()?;
        let wanted = Subscription {
            selector: read_selector(info)?,
            exclusive: info.exclusive,
            priority: info.priority,
            browses: info.browser,
            durable: named.map(|durable| Kept { durable, no_local }),
            ..Subscription::new(source, prefetch)
        };
        let asked = Asked::Consumer(id.detached(), response);
        known.consumer = Some(self.operations.subscribe(
            now.elapsed,
            wanted,
            Settles::ByClient,
            label,
            asked,
        )?);
        self.consumers.insert(id.detached(), known);
        self.subscribing(id, info);
        Ok(Handled::Later)
    }

    /// The client closes a consumer and has come up to that message.
    pub(super) fn remove_consumer(
        &mut self,
        now: Now,
        id: &WireConsumer,
        last_delivered: i64,
        response: Option<i32>,
    ) -> Handled {
        let Some(known) = self.consumers.remove(id) else { return Handled::Done };
        self.temporaries.listener.take_if(|listener| listener == id);
        self.consumer_gone(id);
        if let Some(until) = known.until {
            self.pulls.remove(&(until, id.clone()));
        }
        let Some(consumer) = known.consumer else { return Handled::Done };
        /// What a client says that does not know.
        const UNKNOWN: i64 = -2;
        let saw = (last_delivered != UNKNOWN).then(|| u64::try_from(last_delivered).unwrap_or(0));
        let asked = response.map_or(Asked::Failure("unsubscribing"), Asked::Response);
        self.operations.unsubscribe(now.elapsed, consumer, saw, asked);
        Handled::Later
    }

    /// The client closes a session and with it the consumers that it has not closed.
    pub(super) fn remove_session(&mut self, now: Now, connection: &str, session: i64, last: i64) {
        let of = |id: &&WireConsumer| &*id.connection == connection && id.session == session;
        let ids: Vec<_> = self.consumers.keys().filter(of).cloned().collect();
        for id in ids {
            self.remove_consumer(now, &id, last, None);
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        now: Now,
        ack: &MessageAck,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        let id = named(ack.consumer_id.as_ref(), "consumer")?;
        // One that was closed has given back what it held.
        let Some(known) = self.consumers.get_mut(id) else { return Ok(Handled::Done) };
        let Some(consumer) = known.consumer else { return Ok(Handled::Done) };
        let waits = known.waits;
        let count = u32::try_from(ack.message_count).unwrap_or(0);
        let how = match ack.ack_type {
            ack_type::DELIVERED => {
                // No more than it can have.
                let unsettled = self.operations.consumers().unsettled_of(consumer);
                let count = count.min(unsettled.saturating_sub(known.delivered));
                if !known.pulls && count > 0 {
                    reached(Point::WindowWidened);
                    known.delivered += count;
                    self.operations.widen(now.elapsed, consumer, count);
                }
                return Ok(Handled::Done);
            }
            // The client delivers it again itself.
            ack_type::REDELIVERED => return Ok(Handled::Done),
            ack_type::POISON => Settlement::DeadLetter,
            ack_type::STANDARD | ack_type::INDIVIDUAL | ack_type::UNMATCHED | ack_type::EXPIRED => {
                Settlement::Accept
            }
            other => {
                let why = format!("there is no acknowledgement of type {other}");
                return Err(Refused::new(Exception::Jms, why));
            }
        };
        let last = self.place_of(consumer, named(ack.last_message_id.as_ref(), "message")?)?;
        let places = match &ack.first_message_id {
            _ if ack.ack_type == ack_type::INDIVIDUAL => last..=last,
            Some(first) => self.place_of(consumer, first).unwrap_or(Place::FIRST)..=last,
            None => Place::FIRST..=last,
        };
        let settled = self.operations.consumers().count(consumer, &places) as u32;
        // What is settled makes room, which is not for the message that is waited for.
        if waits {
            self.allow_one(now, consumer, settled);
        }
        let handled = self.settle(now, ack, consumer, &places, how, response);
        if waits && handled.is_err() {
            self.allow_one(now, consumer, 0);
        }
        let handled = handled?;
        if let Some(known) = self.consumers.get_mut(id) {
            let narrower = known.delivered.min(settled);
            known.delivered -= narrower;
            if narrower > 0 {
                self.operations.narrow(now.elapsed, consumer, narrower);
            }
        }
        Ok(handled)
    }

    fn settle(
        &mut self,
        now: Now,
        ack: &MessageAck,
        consumer: ConsumerId,
        places: &RangeInclusive<Place>,
        how: Settlement,
        response: Option<i32>,
    ) -> Result<Handled, Refused> {
        match &ack.transaction_id {
            Some(transaction) => {
                self.operations.settle_in(now.elapsed, transaction, consumer, places, how)?;
                Ok(Handled::Done)
            }
            None => {
                let asked = response.map_or(Asked::Failure("acknowledging"), Asked::Response);
                self.operations.settle(now.elapsed, consumer, places, how, asked)?;
                Ok(Handled::Later)
            }
        }
    }

    /// Where the delivery of a message stands among those of its consumer.
    fn place_of(&self, consumer: ConsumerId, id: &MessageId) -> Result<Place, Refused> {
        if let Ok(at @ 1..) = u64::try_from(id.broker_sequence) {
            return Ok(Place(at - 1));
        }
        let text = message::id_of(id);
        self.operations.consumers().find(consumer, &text).ok_or_else(|| {
            let why = format!("`{text}` is no message that waits to be acknowledged");
            Refused::new(Exception::Jms, why)
        })
    }

    /// The client changes how many messages may be underway to a consumer.
    pub(super) fn control_consumer(&mut self, now: Now, control: &ConsumerControl) -> Handled {
        let known = control.consumer_id.as_ref().and_then(|id| self.consumers.get_mut(id));
        if let Some(known) = known
            && let Some(consumer) = known.consumer
            && !control.close
            && let Ok(prefetch) = u32::try_from(control.prefetch)
        {
            known.pulls = prefetch == 0;
            if let Some(label) = self.operations.label_mut(consumer) {
                label.pulls = prefetch == 0;
            }
            self.operations.change_prefetch(now.elapsed, consumer, prefetch);
        }
        Handled::Done
    }

    // ---- one message at a time ------------------------------------------------------------------

    /// The client asks for one message.
    pub(super) fn pull(&mut self, now: Now, pull: &MessagePull) -> Result<Handled, Refused> {
        let id = named(pull.consumer_id.as_ref(), "consumer")?;
        let Some(known) = self.consumers.get_mut(id).filter(|known| known.pulls) else {
            return Ok(Handled::Done);
        };
        let wait = match u64::try_from(pull.timeout) {
            Ok(0) => None,
            Ok(millis) => Some(Duration::from_millis(millis)),
            Err(_) => Some(AT_ONCE),
        };
        let until = wait.map(|wait| now.elapsed.saturating_add(wait));
        known.waits = true;
        if let Some(earlier) = std::mem::replace(&mut known.until, until) {
            self.pulls.remove(&(earlier, id.clone()));
        }
        self.pulls.extend(until.map(|until| (until, id.detached())));
        if let Some(consumer) = known.consumer {
            self.allow_one(now, consumer, 0);
        }
        Ok(Handled::Done)
    }

    /// Allows a consumer one delivery beside those that it holds, of which so many are about to be
    /// settled.
    fn allow_one(&mut self, now: Now, consumer: ConsumerId, settled: u32) {
        let unsettled = self.operations.consumers().unsettled_of(consumer);
        self.operations.change_prefetch(now.elapsed, consumer, unsettled - settled + 1);
    }

    /// Deliveries may have to be settled again: consumers hold more than they did.
    pub(super) fn rolled_back(&mut self, now: Now) {
        let waiting = self.consumers.values().filter(|known| known.waits);
        for consumer in waiting.filter_map(|known| known.consumer).collect::<Vec<_>>() {
            self.allow_one(now, consumer, 0);
        }
    }

    /// Tells the consumers that have waited long enough that there is no message.
    pub(super) fn end_pulls(&mut self, now: Duration) {
        while let Some((until, id)) = self.pulls.first()
            && *until <= now
        {
            let id = id.clone();
            self.pulls.pop_first();
            reached(Point::PulledInVain);
            self.end_pull(now, &id);
            let nothing = MessageDispatch { consumer_id: Some(id), ..MessageDispatch::default() };
            self.send(|command_id| MessageDispatch { command_id, ..nothing }.into());
        }
    }

    /// A consumer waits no more.
    fn end_pull(&mut self, now: Duration, id: &WireConsumer) {
        let Some(known) = self.consumers.get_mut(id) else { return };
        known.waits = false;
        if let Some(until) = known.until.take() {
            self.pulls.remove(&(until, id.clone()));
        }
        if let Some(consumer) = known.consumer {
            self.operations.change_prefetch(now, consumer, 0);
        }
    }

    // ---- deliveries -----------------------------------------------------------------------------

    /// Appends the next delivery; false if there is none.
    pub(super) fn write_delivery(&mut self, now: Duration, out: &mut BytesMut) -> bool {
        if let Some(browser) = self.operations.take_browse_end() {
            let consumer_id = Some(browser.id.clone());
            let command_id = self.next_command;
            self.next_command = self.next_command.wrapping_add(1);
            let end = MessageDispatch { command_id, consumer_id, ..MessageDispatch::default() };
            Command::from(end).encode(self.version, out);
            return true;
        }
        let Some(handed) = self.operations.hand_out(now) else { return false };
        let (consumer, place) = (handed.delivery.consumer, handed.place);
        // A queue's messages are for somebody, whoever sent them.
        let is_local = handed.label.no_local
            && handed.delivery.message.destination.kind == DestinationKind::Topic;
        let connection = is_local.then_some(&self.connection).and_then(Option::as_ref);
        let is_own = connection.is_some_and(|connection| {
            let rest = handed.delivery.message.id.strip_prefix(connection.value.as_str());
            rest.is_some_and(|rest| rest.starts_with(':'))
        });
        if is_own {
            let asked = Asked::Failure("acknowledging");
            let places = place..=place;
            let accepted = Settlement::Accept;
            let settled = self.operations.settle(now, consumer, &places, accepted, asked);
            settled.expect("it was handed out just now");
            return true;
        }
        if let Some(reply_to) = &handed.delivery.message.reply_to {
            let own = self.connection.as_ref().map(|connection| connection.value.as_str());
            self.temporaries.tell(reply_to, own, self.version, out);
        }
        match advisory::structure_of(&handed.delivery.message) {
            Some(about) => {
                message::write_advisory(&handed, about, self.next_command, self.version, out);
            }
            None => message::write(&handed, self.next_command, self.version, out),
        }
        self.next_command = self.next_command.wrapping_add(1);
        if handed.label.pulls {
            reached(Point::Pulled);
            let id = handed.label.id.clone();
            self.end_pull(now, &id);
        }
        true
    }
}

fn named<'a, T>(what: Option<&'a T>, name: &str) -> Result<&'a T, Refused> {
    what.ok_or_else(|| Refused::new(Exception::Jms, format!("it names no {name}")))
}

/// An empty selector selects all.
fn read_selector(info: &ConsumerInfo) -> Result<Option<Arc<str>>, Refused> {
    let Some(text) = info.selector.as_ref().filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    match Selector::parse(text) {
        Ok(selector) => Ok(Some(selector.text().clone())),
        Err(why) => Err(Refused::new(Exception::InvalidSelector, why.to_string())),
    }
}

fn check_supported(info: &ConsumerInfo) -> Result<(), Refused> {
    if info.retroactive {
        return Err(Refused::unsupported("retroactive consumers"));
    }
    if info.network_subscription || info.additional_predicate.is_some() {
        return Err(Refused::unsupported("consumers of a network of ActiveMQ brokers"));
    }
    Ok(())
}

/// A browser looks at one queue.
fn check_browsed(info: &ConsumerInfo, source: &Source) -> Result<(), Refused> {
    if !info.browser || source.exact().is_some_and(|one| one.kind == DestinationKind::Queue) {
        return Ok(());
    }
    let why = format!("`{source}` cannot be browsed: it is not one queue");
    Err(Refused::new(Exception::InvalidDestination, why))
}

/// What a consumer asks for with what its destination's name says of that. Most clients have read it
/// themselves.
fn with_options(info: &ConsumerInfo) -> Result<Cow<'_, ConsumerInfo>, Refused> {
    let Some(written) = info.destination.as_ref().filter(|written| written.name.contains('?'))
    else {
        return Ok(Cow::Borrowed(info));
    };
    let (name, options) = Options::split(&written.name)
        .map_err(|why| Refused::new(Exception::InvalidDestination, why))?;
    let mut info = info.clone();
    info.destination = Some(Wire { name: name.into(), ..written.clone() });
    info.prefetch_size = options.prefetch.map_or(info.prefetch_size, |it| it as i32);
    info.selector = options.selector.map(|text| text.as_str().into()).or(info.selector);
    info.priority = options.priority.unwrap_or(info.priority);
    info.exclusive |= options.exclusive;
    info.no_local |= options.no_local;
    info.retroactive |= options.retroactive;
    Ok(Cow::Owned(info))
}
