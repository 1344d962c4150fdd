//! The theory: messages in a list, and every rule of a queue written as a search over it.

use std::collections::BTreeMap;

use paceline_core::{
    Destination, Value,
    dispatch::{MessageKey, VolatileCounters},
    operation::Settlement,
    rules::DEFAULT_MAX_REDELIVERIES,
    shard::{Command, Counters, MessageRef, TransactionId, Work},
};

/// A message that is somewhere.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Unique.
    pub text: String,
    /// Its property `n`.
    pub n: i64,
    /// `None` for a volatile message that was never delivered.
    pub key: Option<MessageKey>,
    pub stored: bool,
    pub queue: String,
    pub priority: u8,
    pub expires: Option<u64>,
    /// Messages of one priority leave in this order.
    pub order: (u64, u32, u64),
    pub rejected: u32,
    pub released: u32,
    /// Released by the death of its consumer, which the log does not know yet.
    pub pending: u32,
    /// The same, of a consumer that died of it.
    pub failing: u32,
    pub holder: Option<u64>,
    /// Held, or held by a consumer that has gone, with a settlement under way.
    pub settling: bool,
    /// The settlement accepts it.
    pub accepted: bool,
    pub locked: bool,
    /// A leader before this one may have delivered it.
    pub old: bool,
}

/// The group of a message by its text, and whether it closes that: as the world sends it.
pub fn group_of(text: &str) -> Option<(u32, bool)> {
    let number: u32 = text[1..].parse().unwrap();
    (number % 5 < 2).then_some((number % 5, number.is_multiple_of(11)))
}

/// With whom a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    consumer: u64,
    /// It was closed, and is with that one only as far as something of it was set aside.
    closed: bool,
}

impl Entry {
    fn waits(&self, now: u64) -> bool {
        self.holder.is_none()
            && !self.settling
            && !self.locked
            && self.expires.is_none_or(|at| at > now)
    }

    pub fn count(&self) -> u32 {
        self.rejected + self.released + self.pending + self.failing
    }

    fn is_redelivered(&self) -> bool {
        self.old || self.count() > 0
    }
}

type Selects = fn(&Entry) -> bool;

/// Selectors, and the same as this theory has them.
pub const SELECTORS: [(&str, Selects); 6] = [
    ("n = 0", |entry| entry.n == 0),
    ("n < 2 AND JMSPriority <> 4", |entry| entry.n < 2 && entry.priority != 4),
    ("NOT n BETWEEN 1 AND 1", |entry| entry.n != 1),
    ("JMSRedelivered", |entry| entry.is_redelivered()),
    ("n = 2 OR JMSXDeliveryCount > 2", |entry| entry.n == 2 || entry.count() > 1),
    ("other > 1 OR n = 7", |_| false),
];

pub struct Consumer {
    pub source: Destination,
    pub prefetch: u32,
    /// Which of [`SELECTORS`].
    pub selector: Option<usize>,
    pub priority: i8,
    /// Of those that want a queue for themselves, the how manieth to come.
    pub exclusive: Option<u64>,
}

#[derive(Default)]
pub struct Reference {
    pub now: u64,
    pub applied: u64,
    pub entries: Vec<Entry>,
    pub consumers: BTreeMap<u64, Consumer>,
    pub prepared: BTreeMap<TransactionId, Work>,
    pub counters: Counters,
    pub volatile: VolatileCounters,
    pub volatile_number: u64,
    /// By queue and group.
    pub owners: BTreeMap<(String, u32), Owner>,
    /// How many consumers there were.
    pub came: u64,
}

impl Reference {
    fn find(&mut self, key: MessageKey) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == Some(key))
    }

    fn find_ref(&mut self, message: MessageRef) -> Option<usize> {
        self.find(MessageKey::Stored(message))
    }

    pub fn held_by(&self, consumer: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.holder == Some(consumer))
    }

    pub fn credit(&self, consumer: u64) -> u32 {
        self.consumers[&consumer].prefetch - self.held_by(consumer).count() as u32
    }

    /// Whether the consumer wants what is in the queue.
    pub fn matches(&self, consumer: u64, queue: &str) -> bool {
        self.consumers[&consumer].source.matches(&Destination::queue(queue).unwrap())
    }

    /// A consumer comes.
    pub fn attach(&mut self, number: u64, consumer: Consumer, exclusive: bool) {
        let queue = consumer.source.name.to_string();
        let before = self.has_alone(&queue);
        self.came += 1;
        let exclusive = exclusive.then_some(self.came);
        self.consumers.insert(number, Consumer { exclusive, ..consumer });
        self.note_alone(&queue, before);
    }

    /// The consumer that has a queue for itself.
    fn has_alone(&self, queue: &str) -> Option<u64> {
        let of_it = self.consumers.iter().filter(|(_, it)| *it.source.name == *queue);
        let wanting = of_it.filter_map(|(number, it)| Some((-it.priority, it.exclusive?, *number)));
        wanting.min().map(|(.., number)| number)
    }

    fn note_alone(&mut self, queue: &str, before: Option<u64>) {
        if self.has_alone(queue) != before {
            self.owners.retain(|(of, _), _| of != queue);
        }
    }

    /// Whether a message may go to a consumer, and whether that is certain.
    fn is_open_to(&self, consumer: u64, entry: &Entry) -> (bool, bool) {
        if self.has_alone(&entry.queue).is_some_and(|alone| alone != consumer) {
            return (false, false);
        }
        let Some((group, _)) = group_of(&entry.text) else { return (true, true) };
        match self.owners.get(&(entry.queue.clone(), group)) {
            Some(owner) if owner.consumer != consumer => (owner.closed, false),
            _ => (true, true),
        }
    }

    /// What is in a queue, in the order in which it is shown.
    pub fn shown(&self, queue: &str, selector: Option<usize>) -> Vec<String> {
        let here = self.entries.iter().filter(|entry| {
            entry.queue == queue
                && !entry.accepted
                && entry.expires.is_none_or(|at| at > self.now)
                && selector.is_none_or(|at| SELECTORS[at].1(entry))
        });
        let mut here: Vec<_> = here.collect();
        here.sort_by_key(|entry| (u8::MAX - entry.priority, entry.order));
        here.into_iter().map(|entry| entry.text.clone()).collect()
    }

    fn selects(&self, consumer: u64, entry: &Entry) -> bool {
        self.consumers[&consumer].selector.is_none_or(|at| SELECTORS[at].1(entry))
    }

    fn put_volatile(
        &mut self,
        text: String,
        n: i64,
        queue: &str,
        priority: u8,
        expires: Option<u64>,
    ) {
        self.volatile_number += 1;
        self.volatile.entered += 1;
        self.entries.push(Entry {
            text,
            n,
            key: None,
            stored: false,
            queue: queue.to_owned(),
            priority,
            expires,
            order: (self.applied, u32::MAX, self.volatile_number),
            rejected: 0,
            released: 0,
            pending: 0,
            failing: 0,
            holder: None,
            settling: false,
            accepted: false,
            locked: false,
            old: false,
        });
    }

    pub fn publish_volatile(
        &mut self,
        text: &str,
        n: i64,
        queue: &str,
        priority: u8,
        expires: Option<u64>,
    ) {
        if expires.is_none_or(|at| at > self.now) {
            self.put_volatile(text.to_owned(), n, queue, priority, expires);
        }
    }

    fn put_stored(
        &mut self,
        message: MessageRef,
        text: String,
        n: i64,
        queue: &str,
        priority: u8,
    ) -> usize {
        self.counters.entered += 1;
        self.entries.push(Entry {
            text,
            n,
            key: Some(MessageKey::Stored(message)),
            stored: true,
            queue: queue.to_owned(),
            priority,
            expires: None,
            order: (message.index, message.offset, 0),
            rejected: 0,
            released: 0,
            pending: 0,
            failing: 0,
            holder: None,
            settling: false,
            accepted: false,
            locked: false,
            old: false,
        });
        self.entries.len() - 1
    }

    /// The consumer gets the message called `text`: checks that this is what should happen next.
    pub fn deliver(&mut self, consumer: u64, text: &str, key: MessageKey, count: u32, again: bool) {
        let at = self.entries.iter().position(|entry| entry.text == text);
        let at = at.unwrap_or_else(|| panic!("{text} is delivered after it was settled"));
        assert!(self.credit(consumer) > 0, "{consumer} has no credit for {text}");
        let entry = self.entries[at].clone();
        assert!(entry.waits(self.now), "{text} does not wait: {entry:?} at {}", self.now);
        assert!(self.matches(consumer, &entry.queue), "{consumer} does not consume {entry:?}");
        assert!(self.selects(consumer, &entry), "{consumer} does not select {entry:?}");
        assert!(self.is_open_to(consumer, &entry).0, "{entry:?} is not for {consumer}");
        for other in self.entries.iter().filter(|other| other.queue == entry.queue) {
            if !self.selects(consumer, other) || !self.is_open_to(consumer, other).1 {
                continue;
            }
            let sooner =
                (u8::MAX - other.priority, other.order) < (u8::MAX - entry.priority, entry.order);
            assert!(!sooner || !other.waits(self.now), "{other:?} comes before {entry:?}");
        }
        assert_eq!(count, entry.count(), "the count of {entry:?}");
        assert_eq!(again, entry.is_redelivered(), "the redelivered flag of {entry:?}");
        assert!(entry.key.is_none_or(|known| known == key), "{entry:?} was {key}");
        if let Some((group, closed)) = group_of(text) {
            self.owners.insert((entry.queue, group), Owner { consumer, closed });
        }
        let entry = &mut self.entries[at];
        entry.key = Some(key);
        entry.holder = Some(consumer);
    }

    /// Nothing more is delivered: there must be nothing to deliver.
    pub fn assert_satisfied(&self) {
        for entry in self.entries.iter().filter(|entry| entry.waits(self.now)) {
            for consumer in self.consumers.keys() {
                assert!(
                    self.credit(*consumer) == 0
                        || !self.matches(*consumer, &entry.queue)
                        || !self.selects(*consumer, entry)
                        || !self.is_open_to(*consumer, entry).1,
                    "{entry:?} waits, and consumer {consumer} has credit"
                );
            }
        }
    }

    /// The message's consumer is about to be detached, having died of it.
    pub fn fail(&mut self, message: MessageKey) {
        let at = self.find(message).expect("the consumer holds it");
        let entry = &mut self.entries[at];
        if entry.settling {
            return;
        }
        let is_dead_letter = entry.queue.starts_with("DLQ.");
        match message {
            MessageKey::Volatile(_) => self.settle_volatile(message, Settlement::Reject),
            // The log has to say first that it is dead.
            _ if entry.rejected + entry.failing >= u32::from(DEFAULT_MAX_REDELIVERIES)
                && !is_dead_letter =>
            {
                entry.settling = true;
            }
            _ => {
                entry.holder = None;
                entry.failing += 1;
            }
        }
    }

    /// The messages' consumer is about to be detached and has not looked at them.
    pub fn take_back(&mut self, messages: &[MessageKey]) {
        for message in messages {
            let at = self.find(*message).expect("the consumer holds it");
            if !self.entries[at].settling {
                self.entries[at].holder = None;
            }
        }
    }

    pub fn detach(&mut self, consumer: u64) {
        let queue = self.consumers.get(&consumer).map(|it| it.source.name.to_string());
        let before = queue.as_deref().and_then(|queue| self.has_alone(queue));
        self.consumers.remove(&consumer);
        self.owners.retain(|_, owner| owner.consumer != consumer);
        if let Some(queue) = queue {
            self.note_alone(&queue, before);
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.holder == Some(consumer)) {
            entry.holder = None;
            match (entry.settling, entry.stored) {
                (true, _) => {}
                (false, true) => entry.pending += 1,
                (false, false) => entry.released += 1,
            }
        }
    }

    /// A settlement of a stored message begins.
    pub fn settle_begin(&mut self, message: MessageRef, how: Settlement) {
        let at = self.find_ref(message).expect("the consumer holds it");
        assert!(!self.entries[at].settling);
        self.entries[at].settling = true;
        self.entries[at].accepted = how == Settlement::Accept;
    }

    pub fn settle_failed(&mut self, message: MessageRef) {
        let Some(at) = self.find_ref(message) else { return };
        let entry = &mut self.entries[at];
        entry.accepted = false;
        if std::mem::take(&mut entry.settling) && entry.holder.is_none() {
            entry.pending += 1;
        }
    }

    pub fn settle_volatile(&mut self, key: MessageKey, how: Settlement) {
        let at = self.find(key).expect("the consumer holds it");
        let entry = &mut self.entries[at];
        entry.holder = None;
        match how {
            Settlement::Accept => {
                self.entries.remove(at);
                self.volatile.accepted += 1;
            }
            Settlement::Release => entry.released += 1,
            Settlement::Reject | Settlement::Fail | Settlement::DeadLetter => {
                entry.rejected += 1;
                let lost = how == Settlement::DeadLetter
                    || entry.rejected > u32::from(DEFAULT_MAX_REDELIVERIES);
                if lost && !entry.queue.starts_with("DLQ.") {
                    let entry = self.entries.remove(at);
                    self.volatile.dead_lettered += 1;
                    let queue = format!("DLQ.{}", entry.queue);
                    self.put_volatile(entry.text, entry.n, &queue, entry.priority, None);
                }
            }
        }
    }

    pub fn tick(&mut self, by: u64) {
        self.now += by;
        let now = self.now;
        let before = self.entries.len();
        self.entries.retain(|entry| {
            entry.stored || entry.holder.is_some() || entry.expires.is_none_or(|at| at > now)
        });
        self.volatile.expired += (before - self.entries.len()) as u64;
    }

    /// A new leader: it knows what is stored, and nothing else.
    pub fn fail_over(&mut self) {
        self.consumers.clear();
        self.owners.clear();
        self.volatile = VolatileCounters::default();
        self.entries.retain(|entry| entry.stored);
        for entry in &mut self.entries {
            entry.holder = None;
            (entry.settling, entry.accepted) = (false, false);
            entry.pending = 0;
            entry.failing = 0;
            entry.old = true;
        }
    }

    /// Applies a command as the log's entry `index` has it in place `place`. Whether it was done.
    pub fn apply(&mut self, index: u64, place: usize, now: u64, command: &Command) -> bool {
        match command {
            Command::Publish { .. } => self.publish(index, place, now, 0, command.messages()),
            Command::Settle { settles } => self.settle(index, place, 0, settles),
            Command::Expire { as_of, messages } => {
                for message in messages {
                    let Some(at) = self.find_ref(*message) else { continue };
                    let entry = &self.entries[at];
                    if entry.expires.is_some_and(|at| at <= as_of.0) && !entry.locked {
                        self.entries.remove(at);
                        self.counters.expired += 1;
                    }
                }
            }
            Command::Transact { work } => {
                if !self.can_do(work) {
                    return false;
                }
                self.publish(index, place, now, 0, &work.publishes);
                self.settle(index, place, work.publishes.len(), &work.settles);
            }
            Command::Prepare { transaction, work, .. } => {
                if !self.can_do(work) {
                    return false;
                }
                for (message, _) in &work.settles {
                    let at = self.find_ref(*message).unwrap();
                    self.entries[at].locked = true;
                }
                self.prepared.insert(*transaction, work.clone());
            }
            Command::Finish { transaction, commit } => {
                let Some(work) = self.prepared.remove(transaction) else { return true };
                for (message, _) in &work.settles {
                    let at = self.find_ref(*message).expect("it is locked");
                    self.entries[at].locked = false;
                    if !commit {
                        self.settle_failed(*message);
                    }
                }
                if *commit {
                    self.publish(index, place, now, 0, &work.publishes);
                    self.settle(index, place, work.publishes.len(), &work.settles);
                }
            }
            Command::GiveBack { transaction } => {
                let Some(work) = self.prepared.remove(transaction) else { return true };
                for (message, _) in &work.settles {
                    let at = self.find_ref(*message).expect("it is locked");
                    self.entries[at].locked = false;
                    self.entries[at].accepted = false;
                    self.settle(index, place, 0, &[(*message, Settlement::Release)]);
                }
            }
            Command::Purge { queue } => {
                if !self.entries.iter().any(|entry| entry.stored && entry.queue == **queue) {
                    return true;
                }
                let before = self.entries.len();
                self.entries
                    .retain(|entry| !entry.stored || entry.locked || entry.queue != **queue);
                self.counters.purged += (before - self.entries.len()) as u64;
            }
            other => panic!("the model knows no {other:?}"),
        }
        true
    }

    fn can_do(&mut self, work: &Work) -> bool {
        work.settles
            .iter()
            .all(|(message, _)| self.find_ref(*message).is_some_and(|at| !self.entries[at].locked))
    }

    fn publish(
        &mut self,
        index: u64,
        place: usize,
        now: u64,
        first: usize,
        messages: &[std::sync::Arc<paceline_core::Message>],
    ) {
        for (part, message) in messages.iter().enumerate() {
            let name = MessageRef::new(index, place, first + part);
            let text = String::from_utf8(message.body.bytes().to_vec()).unwrap();
            let queue = &message.destination.name;
            let n = match message.properties[0].1 {
                Value::Long(n) => n,
                _ => panic!("the first property is `n`"),
            };
            let at = self.put_stored(name, text, n, queue, message.priority);
            let expires = message.expires.map(|at| at.0);
            self.entries[at].expires = expires;
            if expires.is_some_and(|at| at <= now) {
                self.entries.remove(at);
                self.counters.expired += 1;
            }
        }
    }

    fn settle(
        &mut self,
        index: u64,
        place: usize,
        first: usize,
        settles: &[(MessageRef, Settlement)],
    ) {
        for (part, (message, how)) in settles.iter().enumerate() {
            let Some(at) = self.find_ref(*message) else { continue };
            let entry = &mut self.entries[at];
            match how {
                Settlement::Accept => {
                    self.entries.remove(at);
                    self.counters.accepted += 1;
                }
                Settlement::Release if entry.pending > 0 => {
                    entry.pending -= 1;
                    entry.released += 1;
                }
                Settlement::Fail if entry.failing > 0 => {
                    entry.failing -= 1;
                    entry.rejected += 1;
                }
                Settlement::Fail => {
                    entry.rejected += 1;
                    (entry.holder, entry.settling) = (None, false);
                }
                Settlement::Release => {
                    entry.released += 1;
                    (entry.holder, entry.settling) = (None, false);
                }
                Settlement::Reject | Settlement::DeadLetter => {
                    entry.rejected += 1;
                    if (*how == Settlement::DeadLetter
                        || entry.rejected > u32::from(DEFAULT_MAX_REDELIVERIES))
                        && !entry.queue.starts_with("DLQ.")
                    {
                        let entry = self.entries.remove(at);
                        self.counters.dead_lettered += 1;
                        let name = MessageRef::new(index, place, first + part);
                        let queue = format!("DLQ.{}", entry.queue);
                        self.put_stored(name, entry.text, entry.n, &queue, entry.priority);
                    } else {
                        (entry.holder, entry.settling) = (None, false);
                    }
                }
            }
        }
    }
}
