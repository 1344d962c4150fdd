//! The system under test: a leader with its log, and a replica that is reborn now and then.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use paceline_core::{
    Body, Destination, Message, UnixMillis, Value,
    dispatch::{ConsumerKey, Delivery, Dispatcher, Limits, MessageKey},
    operation::{Parting, Settlement, Subscription},
    shard::{
        Batch, Command, Content, GROUP_ID, GROUP_SEQUENCE, MessageRef, Outcome, SessionId,
        ShardState, TransactionId, Work,
    },
};

use crate::reference::{Consumer, Reference, SELECTORS, group_of};

const QUEUES: [&str; 4] = ["a.x", "a.y", "b", "DLQ.b"];
const SOURCES: [&str; 6] = ["a.x", "a.y", "a.*", "b", "DLQ.>", ">"];

#[derive(Clone, Debug)]
pub enum Op {
    Publish {
        queue: usize,
        priority: u8,
        time_to_live: Option<u64>,
        stored: bool,
    },
    Attach {
        consumer: u64,
        source: usize,
        prefetch: u32,
        selector: Option<usize>,
        priority: i8,
        exclusive: bool,
    },
    /// Somebody looks at all that is in a queue.
    Browse {
        queue: usize,
        selector: Option<usize>,
    },
    /// A consumer goes. What it holds is counted from 0.
    Detach {
        consumer: u64,
        parting: Parting<usize>,
    },
    Deliver,
    /// Settles what a consumer holds from `first` on.
    Settle {
        consumer: u64,
        first: usize,
        how: Settlement,
    },
    /// A consumer rejects all it gets, over and over, or dies of the first of it.
    Wear {
        consumer: u64,
        times: usize,
        dies: bool,
    },
    /// Settles all a consumer holds and publishes, in one step or in two.
    Transact {
        consumer: u64,
        publishes: usize,
        prepare: bool,
        how: Settlement,
    },
    GiveBack {
        which: usize,
    },
    Finish {
        which: usize,
        commit: bool,
    },
    /// The oldest commands proposed are committed, by a clock that was `skew` behind.
    Commit {
        commands: usize,
        skew: u64,
    },
    /// The youngest command proposed is not.
    Fail,
    Tick {
        by: u64,
    },
    Purge {
        queue: usize,
    },
    /// Another leader; what was proposed may have been committed.
    FailOver {
        commit: bool,
    },
    /// The other replica is restored from its own snapshot.
    Snapshot,
    Evict {
        budget: usize,
    },
}

pub struct World {
    state: ShardState,
    /// Another replica: applies the same, knows less.
    twin: ShardState,
    dispatcher: Dispatcher,
    reference: Reference,
    /// Commands that are proposed and not committed; whether the dispatcher made them.
    proposed: VecDeque<(Command, bool)>,
    log: BTreeMap<u64, Batch>,
    /// Entries the journal may not drop.
    kept: BTreeSet<u64>,
    published: u64,
    transactions: u64,
    term: u64,
}

fn key(consumer: u64) -> ConsumerKey {
    ConsumerKey { node: consumer % 2, number: consumer }
}

impl World {
    pub fn new() -> Self {
        let state = ShardState::new();
        Self {
            dispatcher: Dispatcher::new(&state, 1, Limits::default()),
            twin: state.clone(),
            state,
            reference: Reference { now: 1_000, ..Reference::default() },
            proposed: VecDeque::new(),
            log: BTreeMap::new(),
            kept: BTreeSet::new(),
            published: 0,
            transactions: 0,
            term: 1,
        }
    }

    pub fn step(&mut self, op: Op) {
        match op {
            Op::Publish { queue, priority, time_to_live, stored } => {
                let message = self.message(QUEUES[queue], priority, time_to_live);
                if stored {
                    self.proposed.push_back((Command::Publish { message }, false));
                } else {
                    self.publish_volatile(message);
                }
            }
            Op::Attach { consumer, source, prefetch, selector, priority, exclusive } => {
                // Of those of a pattern it is not said who came first.
                let exclusive = exclusive && !SOURCES[source].contains(['*', '>']);
                self.attach(consumer, source, prefetch, selector, (priority, exclusive));
            }
            Op::Browse { queue, selector } => self.browse(queue, selector),
            Op::Detach { consumer, parting } => {
                let attached = self.reference.consumers.contains_key(&consumer);
                let held: Vec<_> =
                    self.reference.held_by(consumer).filter_map(|entry| entry.key).collect();
                let parting = match parting {
                    Parting::Died(at) if at < held.len() => {
                        self.reference.fail(held[at]);
                        Parting::Died(held[at])
                    }
                    Parting::Released | Parting::Died(_) => Parting::Released,
                    Parting::Saw(seen) => {
                        let seen: Vec<_> = held.iter().take(seen.len()).copied().collect();
                        self.reference.take_back(&held[seen.len()..]);
                        Parting::Saw(seen)
                    }
                };
                let detached = self.dispatcher.detach_as(&self.state, key(consumer), &parting);
                assert_eq!(detached, attached);
                self.reference.detach(consumer);
            }
            Op::Deliver => self.deliver(),
            Op::Settle { consumer, first, how } => {
                let settles = self.settle_begin(consumer, first, how, true);
                if !settles.is_empty() {
                    self.proposed.push_back((Command::Settle { settles }, false));
                }
            }
            Op::Wear { consumer, times, dies } => {
                for _ in 0..times {
                    self.deliver();
                    if dies {
                        self.step(Op::Detach { consumer, parting: Parting::Died(0) });
                        self.collect();
                        self.commit(usize::MAX, 0);
                        self.attach(consumer, SOURCES.len() - 1, 3, None, (0, false));
                        continue;
                    }
                    self.step(Op::Settle { consumer, first: 0, how: Settlement::Reject });
                    self.commit(usize::MAX, 0);
                }
            }
            Op::Transact { consumer, publishes, prepare, how } => {
                let settles = self.settle_begin(consumer, 0, how, false);
                let publishes = (0..publishes).map(|at| self.message(QUEUES[at], 4, None));
                let work = Work { publishes: publishes.collect(), settles };
                let command = if prepare {
                    self.transactions += 1;
                    let session = SessionId { node: 1, incarnation: 1 };
                    let transaction = TransactionId { session, number: self.transactions };
                    Command::Prepare { transaction, coordinator: 0, work }
                } else {
                    Command::Transact { work }
                };
                self.proposed.push_back((command, false));
            }
            Op::Finish { which, commit } => {
                if let Some(transaction) = self.reference.prepared.keys().nth(which).copied() {
                    let finish = Command::Finish { transaction, commit };
                    self.proposed.push_back((finish, false));
                }
            }
            Op::GiveBack { which } => {
                if let Some(transaction) = self.reference.prepared.keys().nth(which).copied() {
                    self.proposed.push_back((Command::GiveBack { transaction }, false));
                }
            }
            Op::Commit { commands, skew } => {
                self.collect();
                self.commit(commands, skew);
            }
            Op::Fail => {
                if let Some((command, own)) = self.proposed.pop_back() {
                    self.fail(&command, own);
                }
            }
            Op::Tick { by } => self.tick(by),
            Op::Purge { queue } => {
                let purge = Command::Purge { queue: QUEUES[queue].into() };
                self.proposed.push_back((purge, false));
            }
            Op::FailOver { commit } => self.fail_over(commit),
            Op::Snapshot => {
                let digest = self.twin.digest();
                self.twin = ShardState::restore(&self.twin.snapshot()).unwrap();
                assert_eq!(self.twin.digest(), digest);
            }
            Op::Evict { budget } => {
                let digest = self.state.digest();
                self.state.evict_to(budget);
                assert!(self.state.loaded_bytes() <= budget);
                assert_eq!(self.state.digest(), digest);
            }
        }
    }

    fn message(&mut self, queue: &str, priority: u8, time_to_live: Option<u64>) -> Arc<Message> {
        self.published += 1;
        let text = format!("m{}", self.published);
        Arc::new(Message {
            id: text.as_str().into(),
            destination: Destination::queue(queue).unwrap(),
            persistent: true,
            priority,
            timestamp: UnixMillis(self.reference.now),
            expires: time_to_live.map(|time| UnixMillis(self.reference.now + time)),
            correlation_id: None,
            reply_to: None,
            content_type: None,
            properties: self.properties(&text),
            body: Body::Text(text.into_bytes().into()),
        })
    }

    fn properties(&self, text: &str) -> Vec<(Arc<str>, Value)> {
        let mut properties = vec![("n".into(), Value::Long(self.published as i64 % 3))];
        if let Some((group, closes)) = group_of(text) {
            properties.push((GROUP_ID.into(), Value::Text(group.to_string().into())));
            properties.push((GROUP_SEQUENCE.into(), Value::Int(if closes { -1 } else { 1 })));
        }
        properties
    }

    fn publish_volatile(&mut self, message: Arc<Message>) {
        let now = UnixMillis(self.reference.now);
        let taken = self.dispatcher.handle_volatile(now, message.clone()).unwrap();
        assert_eq!(taken, usize::from(!message.is_expired(now)));
        let expires = message.expires.map(|at| at.0);
        let queue = &message.destination.name;
        let n = self.published as i64 % 3;
        self.reference.publish_volatile(&message.id, n, queue, message.priority, expires);
    }

    fn attach(
        &mut self,
        consumer: u64,
        source: usize,
        prefetch: u32,
        selector: Option<usize>,
        (priority, exclusive): (i8, bool),
    ) {
        let source = Destination::queue(SOURCES[source]).unwrap();
        let text = selector.map(|at| SELECTORS[at].0.into());
        let wanted = Subscription::new(source.clone(), prefetch);
        let wanted = Subscription { selector: text, priority, exclusive, ..wanted };
        let attached = self.dispatcher.attach(key(consumer), wanted);
        assert_eq!(attached.is_err(), self.reference.consumers.contains_key(&consumer));
        if attached.is_err() {
            return;
        }
        let known = Consumer { source, prefetch, selector, priority, exclusive: None };
        self.reference.attach(consumer, known, exclusive);
    }

    /// All that is there is shown, two at a time, and stays as it was.
    fn browse(&mut self, queue: usize, selector: Option<usize>) {
        self.deliver();
        let browser = ConsumerKey { node: 7, number: 7 };
        let text = selector.map(|at| SELECTORS[at].0.into());
        let wanted = Subscription::new(Destination::queue(QUEUES[queue]).unwrap(), 2);
        let wanted = Subscription { selector: text, browses: true, ..wanted };
        self.dispatcher.browse(&self.state, browser, &wanted, None).unwrap();
        let mut shown = Vec::new();
        while self.dispatcher.poll_browsed() != Some(browser) {
            let Some(copy) = self.poll_delivery() else { continue };
            assert_eq!(copy.consumer, browser, "all others have what they may have");
            let Content::Here(message) = copy.content else { panic!("it is at hand") };
            shown.push(String::from_utf8(message.body.bytes().to_vec()).unwrap());
            let settles = [(copy.key, Settlement::Reject)];
            assert_eq!(self.dispatcher.settle_begin(browser, &settles), Ok(Vec::new()));
        }
        assert!(self.dispatcher.detach(browser));
        assert_eq!(shown, self.reference.shown(QUEUES[queue], selector));
    }

    /// Everything that can be delivered is, and then nothing can be.
    fn deliver(&mut self) {
        while let Some(delivery) = self.poll_delivery() {
            let message = match delivery.content {
                Content::Here(message) => message,
                Content::Evicted(at) => {
                    let MessageKey::Stored(stored) = delivery.key else {
                        panic!("a volatile message was evicted")
                    };
                    let written = self.log[&at.index].message(at.offset).unwrap();
                    let message = self.state.compose(stored, written).unwrap();
                    assert!(self.state.load(stored, written.clone()));
                    assert_eq!(self.state.content(stored), Some(Content::Here(message.clone())));
                    message
                }
            };
            let consumer = delivery.consumer.number;
            let text = std::str::from_utf8(message.body.bytes()).unwrap();
            let (count, again) = (delivery.redelivery_count, delivery.redelivered);
            self.reference.deliver(consumer, text, delivery.key, count, again);
            assert!(self.reference.matches(consumer, &message.destination.name));
            assert_eq!(delivery.credit, self.reference.credit(consumer));
            assert_eq!(self.dispatcher.in_flight(delivery.consumer), Some(delivery.in_flight));
        }
        self.reference.assert_satisfied();
    }

    /// The next delivery, once everything is read that selectors look at.
    fn poll_delivery(&mut self) -> Option<Delivery> {
        let now = UnixMillis(self.reference.now);
        loop {
            if let Some(delivery) = self.dispatcher.poll_delivery(&self.state, now) {
                return Some(delivery);
            }
            let mut is_done = !self.dispatcher.is_unfinished();
            while let Some((message, at)) = self.dispatcher.poll_read() {
                let written = self.log[&at.index].message(at.offset).cloned();
                assert!(self.dispatcher.handle_read(&self.state, message, written.as_ref()));
                is_done = false;
            }
            if is_done {
                return None;
            }
        }
    }

    fn settle_begin(
        &mut self,
        consumer: u64,
        first: usize,
        how: Settlement,
        volatile: bool,
    ) -> Vec<(MessageRef, Settlement)> {
        if !self.reference.consumers.contains_key(&consumer) {
            return Vec::new();
        }
        let held = self.reference.held_by(consumer).filter(|entry| !entry.settling);
        let held = held.filter(|entry| volatile || entry.stored);
        let settles: Vec<_> = held.skip(first).map(|entry| (entry.key.unwrap(), how)).collect();
        let stored = self.dispatcher.settle_begin(key(consumer), &settles).unwrap();
        for (key, how) in settles {
            match key {
                MessageKey::Stored(message) => self.reference.settle_begin(message, how),
                MessageKey::Volatile(_) => self.reference.settle_volatile(key, how),
            }
        }
        stored
    }

    /// Proposes what the dispatcher wants replicated.
    fn collect(&mut self) {
        while let Some(command) = self.dispatcher.poll_command() {
            self.proposed.push_back((command, true));
        }
    }

    fn commit(&mut self, commands: usize, skew: u64) {
        let commands = commands.min(self.proposed.len());
        let commands: Vec<_> = self.proposed.drain(..commands).collect();
        let now = self.reference.now.saturating_sub(skew);
        let batch = Batch {
            now: UnixMillis(now),
            commands: commands.iter().map(|(command, _)| (None, command.clone())).collect(),
        };
        let index = self.state.applied() + 1;
        let applied = self.state.apply(index, &batch);
        assert_eq!(self.twin.apply(index, &batch), applied);
        assert_eq!(self.twin.digest(), self.state.digest());
        self.dispatcher.handle_applied(&self.state, &applied);
        self.log.insert(index, batch);
        self.reference.applied = index;
        for (place, ((command, own), outcome)) in commands.iter().zip(&applied.outcomes).enumerate()
        {
            let done = self.reference.apply(index, place, now, command);
            if matches!(outcome, Outcome::Refused(_)) && !matches!(command, Command::Purge { .. }) {
                assert!(!done, "{command:?} is refused: {outcome:?}");
                self.fail(command, *own);
            } else {
                assert!(done, "{command:?} is carried out");
            }
        }
        self.kept.insert(index);
        for freed in applied.freed {
            assert!(self.kept.remove(&freed), "entry {freed} is freed twice");
        }
        assert!(self.state.live_entries().eq(self.kept.iter().copied()));
        self.compare();
    }

    fn compare(&self) {
        let stored = self.reference.entries.iter().filter(|entry| entry.stored);
        assert_eq!(self.state.resident(), stored.clone().count() as u64);
        for queue in self.state.queues() {
            let depth = stored.clone().filter(|entry| *entry.queue == *queue.name).count();
            assert_eq!(queue.depth, depth as u64, "the depth of {}", queue.name);
        }
        assert_eq!(self.state.counters(), self.reference.counters);
        let counters = self.state.counters();
        assert_eq!(counters.entered, counters.left() + self.state.resident());
    }

    fn fail(&mut self, command: &Command, own: bool) {
        if own {
            self.dispatcher.command_failed(command);
            return;
        }
        let settles = match command {
            Command::Settle { settles } => settles,
            Command::Transact { work } | Command::Prepare { work, .. } => &work.settles,
            _ => return,
        };
        let messages: Vec<_> = settles.iter().map(|(message, _)| *message).collect();
        self.dispatcher.settle_failed(&messages);
        messages.iter().for_each(|message| self.reference.settle_failed(*message));
    }

    fn tick(&mut self, by: u64) {
        self.reference.tick(by);
        let now = UnixMillis(self.reference.now);
        self.dispatcher.handle_timeout(&self.state, now);
        assert!(self.dispatcher.poll_timeout().is_none_or(|at| at > now));
    }

    fn fail_over(&mut self, commit: bool) {
        if commit {
            self.commit(usize::MAX, 0);
        }
        self.proposed.clear();
        self.term += 1;
        // The other replica takes over.
        std::mem::swap(&mut self.state, &mut self.twin);
        self.dispatcher = Dispatcher::new(&self.state, self.term, Limits::default());
        self.reference.fail_over();
    }

    /// Faults have stopped: everything is consumed within a few rounds.
    pub fn drain(&mut self) {
        self.commit(usize::MAX, 0);
        let unfinished: Vec<_> = self.reference.prepared.keys().copied().collect();
        for (number, transaction) in unfinished.into_iter().enumerate() {
            let finish = Command::Finish { transaction, commit: number % 2 == 0 };
            self.proposed.push_back((finish, false));
        }
        // Those that select keep from others what belongs to their groups.
        for consumer in self.reference.consumers.keys().copied().collect::<Vec<_>>() {
            self.step(Op::Detach { consumer, parting: Parting::Released });
        }
        self.attach(9, SOURCES.len() - 1, 100, None, (0, false));
        for _ in 0..20 {
            self.tick(0);
            self.collect();
            self.commit(usize::MAX, 0);
            self.deliver();
            let consumers: Vec<_> = self.reference.consumers.keys().copied().collect();
            for consumer in consumers {
                self.step(Op::Settle { consumer, first: 0, how: Settlement::Accept });
            }
        }
        assert!(self.reference.entries.is_empty(), "left over: {:?}", self.reference.entries);
        assert_eq!(self.state.resident(), 0);
        assert_eq!(self.state.live_entries().count(), 0);
        assert_eq!(self.state.loaded_bytes(), 0);
        assert_eq!(self.dispatcher.poll_timeout(), None);
        assert_eq!(self.dispatcher.volatile_depths().count(), 0);
        assert_eq!(self.dispatcher.volatile_counters(), self.reference.volatile);
    }
}
