//! What stays subscribed to topics: durable subscriptions, and queues of virtual topics.
//!
//! Each is a queue in the shard of its topic. What is sent to the topic enters all of them in the log
//! entry that carries it: one body, a reference each. A selector is asked as a message enters, so that
//! what it does not select is never there.
//!
//! A durable subscription is known by its name alone, of which nobody can tell the topic. So the shard
//! that the name itself has the slot of notes in which topics' shards a subscription may be: before it
//! comes to be there, until it is there no more. Who dies in between leaves more noted than there is,
//! which the next one who asks clears up.

use std::{collections::BTreeMap, sync::Arc};

use paceline_reached::{Point, reached};
use serde::{Deserialize, Serialize};

use super::{
    ShardState,
    command::{Effect, MAX_PARTS, MessageRef, QueueId, Refused, Terms},
    step::{Step, Written},
};
use crate::{
    Destination, DestinationKind, Message,
    destination::is_temporary,
    durable::Durable,
    rules::{Expired, Rule},
    selector::{Candidate, Selector},
    slotting::{dead_letter_queue, virtual_topic_of},
};

/// A queue that gets what is sent to a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The log entry in which it came to be. What was prepared before does not enter it.
    since: u64,
    /// Of a queue of a virtual topic, the topic.
    wants: Wants,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wants {
    /// A queue of a virtual topic: all of it.
    Virtual(Arc<str>),
    /// A durable subscription: what its terms say.
    Durable(Durable, Terms),
}

/// What replicas agree on of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Standings {
    pub(super) queues: BTreeMap<QueueId, Standing>,
    /// In the shards of which slots a durable subscription may be, and since which log entry, of those
    /// whose names have this shard's slot.
    pub(super) known: BTreeMap<Durable, BTreeMap<u32, u64>>,
}

/// As [`Standing`], at hand for who publishes.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    queue: QueueId,
    name: Arc<str>,
    selector: Option<Arc<Selector>>,
    since: u64,
}

/// A durable subscription's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingStats {
    /// Its name.
    pub durable: Durable,
    /// Its topic.
    pub topic: Arc<str>,
    /// Messages that wait for it, whether in flight or not.
    pub depth: u64,
}

impl Standing {
    fn topic(&self) -> &Arc<str> {
        match &self.wants {
            Wants::Virtual(topic) => topic,
            Wants::Durable(_, terms) => &terms.topic,
        }
    }

    fn entered(&self, queue: QueueId, name: &Arc<str>) -> Result<Entered, Refused> {
        let selector = match &self.wants {
            Wants::Virtual(_) => None,
            Wants::Durable(_, terms) => terms.selector.as_deref(),
        };
        let selector = selector.map(Selector::parse).transpose();
        let selector = selector.map_err(|why| Refused::Selector(why.to_string()))?.map(Arc::new);
        Ok(Entered { queue, name: name.clone(), selector, since: self.since })
    }
}

impl Standings {
    /// Notes that the shard of `slot` may have a durable subscription. The others that may.
    pub(super) fn register(
        &mut self,
        index: u64,
        durable: &Durable,
        slot: Option<u32>,
    ) -> Vec<(u32, u64)> {
        let known = self.known.get(durable).into_iter().flatten();
        let others = known.filter(|(other, _)| Some(**other) != slot);
        let others = others.map(|(other, at)| (*other, *at)).collect();
        if let Some(slot) = slot {
            self.known.entry(durable.clone()).or_default().insert(slot, index);
        }
        others
    }

    pub(super) fn unregister(&mut self, durable: &Durable, slot: u32, at: u64) {
        let Some(slots) = self.known.get_mut(durable) else { return };
        if slots.get(&slot) == Some(&at) {
            slots.remove(&slot);
        }
        if slots.is_empty() {
            self.known.remove(durable);
        }
    }

    /// What follows from it and the names of queues, or what is wrong with it.
    pub(super) fn derive<'a>(
        &self,
        name_of: impl Fn(QueueId) -> Option<&'a Arc<str>>,
    ) -> Result<BTreeMap<Arc<str>, Vec<Entered>>, &'static str> {
        let mut all: BTreeMap<Arc<str>, Vec<Entered>> = BTreeMap::new();
        for (id, standing) in &self.queues {
            let name = name_of(*id).ok_or("a durable subscription has no queue")?;
            let entered = standing.entered(*id, name);
            let entered = entered.map_err(|_| "a durable subscription's selector is none")?;
            all.entry(standing.topic().clone()).or_default().push(entered);
        }
        Ok(all)
    }
}

impl ShardState {
    // ---- what comes and goes --------------------------------------------------------------------

    pub(super) fn subscribe(
        &mut self,
        step: &mut Step,
        durable: &Durable,
        terms: &Terms,
    ) -> Result<(), Refused> {
        let wants = Wants::Durable(durable.clone(), terms.clone());
        let name = durable.queue();
        if let Some(id) = self.derived.names.get(&name).copied() {
            if self.tables.standings.queues[&id].wants == wants {
                return Ok(());
            }
            self.drop_durable(step, durable, id)?;
            reached(Point::DurableReplaced);
        }
        let standing = Standing { since: step.index, wants };
        standing.entered(QueueId::default(), &name)?;
        let id = self.queue_named(step.index, &name);
        self.stand(id, &name, standing);
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        step: &mut Step,
        durable: &Durable,
    ) -> Result<(), Refused> {
        let Some(id) = self.derived.names.get(&durable.queue()).copied() else { return Ok(()) };
        self.drop_durable(step, durable, id)?;
        reached(Point::DurableDeleted);
        Ok(())
    }

    fn drop_durable(
        &mut self,
        step: &mut Step,
        durable: &Durable,
        id: QueueId,
    ) -> Result<(), Refused> {
        let mut held = self.derived.locks.keys().filter_map(|message| self.stored(*message));
        if held.any(|stored| stored.queue == id) {
            return Err(Refused::DurableLocked(durable.clone()));
        }
        self.empty(step, id);
        self.forget_queue(step, id);
        Ok(())
    }

    /// A queue comes to be. By its name it may be one of a virtual topic.
    pub(super) fn take_part_in_topic(&mut self, index: u64, id: QueueId, name: &Arc<str>) {
        let Some(topic) = virtual_topic_of(name) else { return };
        reached(Point::VirtualTopicQueue);
        let standing = Standing { since: index, wants: Wants::Virtual(topic.into()) };
        self.stand(id, name, standing);
    }

    fn stand(&mut self, id: QueueId, name: &Arc<str>, standing: Standing) {
        let entered = standing.entered(id, name).expect("its selector was read before");
        self.derived.entered.entry(standing.topic().clone()).or_default().push(entered);
        self.tables.standings.queues.insert(id, standing);
    }

    /// A queue has gone.
    pub(super) fn enter_no_more(&mut self, id: QueueId) {
        let Some(standing) = self.tables.standings.queues.remove(&id) else { return };
        let topic = standing.topic();
        let entered = self.derived.entered.get_mut(topic).expect("what stands is entered");
        entered.retain(|it| it.queue != id);
        if entered.is_empty() {
            self.derived.entered.remove(topic);
        }
    }

    // ---- what is sent to topics -----------------------------------------------------------------

    /// Whether there are queues that may get what is sent to a topic.
    pub fn is_entered(&self, topic: &str) -> bool {
        self.derived.entered.contains_key(topic)
    }

    /// How many queues may get what is sent there.
    pub(super) fn copies_of(&self, message: &Message) -> usize {
        match message.destination.kind {
            crate::DestinationKind::Topic => {
                self.derived.entered.get(&message.destination.name).map_or(0, Vec::len)
            }
            crate::DestinationKind::Queue => 0,
        }
    }

    /// The queues that get a topic's message.
    pub(crate) fn queues_of(&self, message: &Message) -> Vec<Arc<str>> {
        self.entered_by(message, u64::MAX)
    }

    /// Those of them that came to be before a log entry.
    fn entered_by(&self, message: &Message, before: u64) -> Vec<Arc<str>> {
        let candidate = Candidate { message, redelivered: false, redelivery_count: 0 };
        let all = self.derived.entered.get(&message.destination.name).into_iter().flatten();
        let wanted = all.filter(|it| {
            let selector = it.selector.as_ref();
            it.since < before && selector.is_none_or(|selector| selector.matches(&candidate))
        });
        wanted.map(|it| it.name.clone()).collect()
    }

    pub(super) fn publish_to_topic(
        &mut self,
        step: &mut Step,
        message: &Arc<Message>,
        fans_out: bool,
    ) -> Result<(), Refused> {
        let copies = self.copies_of(message);
        if copies >= MAX_PARTS {
            return Err(Refused::TooLarge(copies));
        }
        let is_late = message.is_expired(step.now);
        let at = MessageRef::new(step.index, step.command, 0);
        let mut queues = self.queues_of(message);
        queues.retain(|queue| !is_late || self.keeps_expired(queue));
        for (number, queue) in queues.iter().enumerate() {
            reached(Point::TopicStored);
            let (part, written) = match number {
                0 => (0, Written::Here),
                _ => (step.take_part(), Written::Earlier { at, buried: None }),
            };
            self.enter_queue(step, part, queue, message, written);
        }
        if fans_out && !is_late {
            step.effects.push(Effect::FanOut { message: message.clone() });
        }
        Ok(())
    }

    /// The same in a transaction, where the message was written at `at`.
    pub(super) fn copy_to_topic(
        &mut self,
        step: &mut Step,
        message: &Arc<Message>,
        at: MessageRef,
    ) {
        let is_late = message.is_expired(step.now);
        // As many as were counted when it was prepared, at most.
        let mut queues = self.entered_by(message, at.index);
        queues.retain(|queue| !is_late || self.keeps_expired(queue));
        for queue in queues {
            reached(Point::TopicStored);
            let part = step.take_part();
            let written = Written::Earlier { at, buried: None };
            self.enter_queue(step, part, &queue, message, written);
        }
        if !is_late {
            step.effects.push(Effect::FanOut { message: message.clone() });
        }
    }

    /// Whether a message that comes too late for a queue is a dead letter.
    fn keeps_expired(&self, queue: &Arc<str>) -> bool {
        let id = self.derived.names.get(queue);
        id.is_some_and(|id| self.graveyard_of_expired(*id).is_some())
    }

    // ---- what is there --------------------------------------------------------------------------

    /// Where the dead letters of a queue go.
    pub(super) fn graveyard_of(&self, queue: QueueId) -> Option<Arc<str>> {
        match self.tables.standings.queues.get(&queue).map(|it| &it.wants) {
            Some(Wants::Durable(_, terms)) => dead_letter_queue(&terms.topic),
            _ => dead_letter_queue(&self.tables.queues[&queue].name),
        }
    }

    /// What the policies say of a queue; of a durable subscription its topic's count.
    pub(super) fn rule_of(&self, queue: QueueId) -> Rule {
        match self.tables.standings.queues.get(&queue).map(|it| &it.wants) {
            Some(Wants::Durable(_, terms)) => {
                let (kind, name) = (DestinationKind::Topic, terms.topic.clone());
                self.tables.rules.of(&Destination { kind, name })
            }
            _ => self.tables.rules.of_queue(&self.tables.queues[&queue].name),
        }
    }

    /// Where a message of a queue goes whose time is over, if it is kept. None of a client's temporary
    /// queue is.
    pub(super) fn graveyard_of_expired(&self, queue: QueueId) -> Option<Arc<str>> {
        let is_kept = self.rule_of(queue).expired == Expired::DeadLetter;
        let is_temporary = || is_temporary(&self.tables.queues[&queue].name);
        if is_kept && !is_temporary() { self.graveyard_of(queue) } else { None }
    }

    /// The terms of a durable subscription; `None` if it is not here.
    pub fn terms_of(&self, durable: &Durable) -> Option<&Terms> {
        let id = self.derived.names.get(&durable.queue())?;
        match &self.tables.standings.queues.get(id)?.wants {
            Wants::Durable(_, terms) => Some(terms),
            Wants::Virtual(_) => None,
        }
    }

    /// The durable subscriptions that are here.
    pub fn durables(&self) -> impl Iterator<Item = StandingStats> + '_ {
        self.tables.standings.queues.iter().filter_map(|(id, standing)| match &standing.wants {
            Wants::Virtual(_) => None,
            Wants::Durable(durable, terms) => Some(StandingStats {
                durable: durable.clone(),
                topic: terms.topic.clone(),
                depth: self.tables.queues[id].depth,
            }),
        })
    }
}
