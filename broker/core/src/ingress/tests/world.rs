//! Ingress nodes and leaders in memory, wired by hand: whatever the ways between them may do, a test
//! does it when it wants.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::leader::{Shard, WALL};
use crate::{
    Destination, Message,
    channel::{Delivered, FromLeader, ToLeader},
    dispatch::ConsumerKey,
    durable::Durable,
    ingress::{
        Budget, Connection, ConnectionEvent, Directory, Event, Inquiry, Part, Request, ShardClient,
    },
    operation::{
        ConsumerId, Delivery, DeliveryId, OpTag, Operation, Outcome, Parting, Settlement,
        Subscription,
    },
    shard::{Command, Content, SessionId, Terms, TransactionId},
    testing::message_to,
    xa::{BranchInfo, Resolver, Xid},
};

pub(super) const SLOTS: u32 = 3;
pub(super) const NODES: usize = 2;

/// A transaction that stands so long is asked after.
const IN_DOUBT_AFTER: Duration = Duration::from_secs(1);

/// Who asks a shard's client for something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Asker {
    Client(Part),
    Inquiry(usize),
}

/// The numbers that a node gives out. The queue `qN` is in slot N.
struct Numbers {
    session: SessionId,
    next: Cell<u64>,
}

impl Numbers {
    fn next(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }
}

impl Directory for Numbers {
    fn slot_of(&self, destination: &Destination) -> u32 {
        // A branch of a distributed transaction says it at the end of its name.
        if let Some((_, branch)) = destination.name.rsplit_once(':') {
            return branch.parse::<u32>().unwrap_or(0) % SLOTS;
        }
        // So does the shard that knows a durable subscription by its name.
        destination.name[1..].parse().unwrap_or(0)
    }

    fn slots(&self) -> u32 {
        SLOTS
    }

    fn next_consumer(&self) -> u64 {
        self.next()
    }

    fn next_transaction(&self) -> TransactionId {
        TransactionId { session: self.session, number: self.next() }
    }

    fn take_client(&self, _: &str, _: &str) -> bool {
        true
    }

    fn release_client(&self, _: &str) {}
}

/// The queue `qN` or the topic `tN`.
pub(super) fn named(name: &str) -> Destination {
    match name.starts_with('t') {
        true => Destination::topic(name).unwrap(),
        false => Destination::queue(name).unwrap(),
    }
}

/// What a transaction does.
type Work = (Vec<Arc<Message>>, Vec<(DeliveryId, Settlement)>);

fn work(publishes: &[(&str, &str)], accepts: &[Delivery]) -> Work {
    let publishes = publishes.iter().map(|(queue, id)| message_to(named(queue), id).into());
    let settles = accepts.iter().map(|it| (it.id, Settlement::Accept));
    (publishes.collect(), settles.collect())
}

/// A channel between a client and a leader.
#[derive(Default)]
struct Wire {
    /// Tells the channels of one client apart; none is open without it.
    open: Option<u64>,
    to_leader: VecDeque<ToLeader>,
    from_leader: VecDeque<FromLeader>,
}

/// One life of an ingress node, with one client's connection.
pub(super) struct Node {
    numbers: Numbers,
    connection: Connection,
    clients: Vec<ShardClient<Asker, ConsumerId>>,
    wires: Vec<Wire>,
    inquiries: Vec<Inquiry>,
    pub(super) outcomes: BTreeMap<OpTag, Outcome>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) detached: Vec<ConsumerId>,
    pub(super) listed: BTreeMap<OpTag, Vec<BranchInfo>>,
}

impl Node {
    /// How often leaders on the node have asked after a transaction, or carried a decision out.
    pub(super) fn inquiries_made(&self) -> usize {
        self.inquiries.len()
    }

    fn new(node: usize, incarnation: u64) -> Self {
        let session = SessionId { node: node as u64, incarnation };
        Self {
            numbers: Numbers { session, next: Cell::new(0) },
            connection: Connection::default(),
            clients: (0..SLOTS).map(|_| ShardClient::new(IN_DOUBT_AFTER)).collect(),
            wires: (0..SLOTS).map(|_| Wire::default()).collect(),
            inquiries: Vec::new(),
            outcomes: BTreeMap::new(),
            deliveries: Vec::new(),
            detached: Vec::new(),
            listed: BTreeMap::new(),
        }
    }
}

/// Messages that are not stored, on their way to a leader over a channel that their node has given up.
struct Adrift {
    node: usize,
    slot: u32,
    term: u64,
    messages: Vec<Arc<Message>>,
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) budget: Budget,
    pub(super) nodes: Vec<Node>,
    pub(super) shards: Vec<Shard>,
    adrift: Vec<Adrift>,
    next_tag: u64,
    next_channel: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            budget: Budget { limit: 1 << 20, used: 0 },
            nodes: (0..NODES).map(|node| Node::new(node, 1)).collect(),
            shards: (0..SLOTS).map(|_| Shard::new()).collect(),
            adrift: Vec::new(),
            next_tag: 1,
            next_channel: 1,
        }
    }

    // ---- what clients do ------------------------------------------------------------------------

    pub(super) fn submit(
        &mut self,
        node: usize,
        operation: impl FnOnce(OpTag) -> Operation,
    ) -> OpTag {
        let tag = OpTag(self.next_tag);
        self.next_tag += 1;
        let Node { connection, numbers, .. } = &mut self.nodes[node];
        connection.handle_operation(operation(tag), numbers);
        self.hand_on(node);
        tag
    }

    pub(super) fn publish(&mut self, node: usize, queue: &str, id: &str, stored: bool) -> OpTag {
        let message = Arc::new(Message { persistent: stored, ..message_to(named(queue), id) });
        self.submit(node, |tag| Operation::Publish { tag, message })
    }

    pub(super) fn subscribe(&mut self, node: usize, queue: &str, prefetch: u32) -> OpTag {
        let subscription = Subscription::new(named(queue), prefetch);
        self.subscribe_as(node, 0, subscription)
    }

    pub(super) fn subscribe_as(
        &mut self,
        node: usize,
        consumer: u64,
        subscription: Subscription,
    ) -> OpTag {
        let consumer = ConsumerId(consumer);
        self.submit(node, |tag| Operation::Subscribe { tag, consumer, subscription })
    }

    pub(super) fn unsubscribe(&mut self, node: usize, consumer: u64) -> OpTag {
        let (consumer, parting) = (ConsumerId(consumer), Parting::Released);
        self.submit(node, |tag| Operation::Unsubscribe { tag, consumer, parting })
    }

    pub(super) fn forget(&mut self, node: usize, durable: Durable) -> OpTag {
        self.submit(node, |tag| Operation::Forget { tag, durable })
    }

    pub(super) fn set_prefetch(&mut self, node: usize, prefetch: u32) -> OpTag {
        let consumer = ConsumerId(0);
        self.submit(node, |tag| Operation::SetPrefetch { tag, consumer, prefetch })
    }

    pub(super) fn accept(&mut self, node: usize, deliveries: &[Delivery]) -> OpTag {
        let deliveries = deliveries.iter().map(|delivery| delivery.id).collect();
        let how = Settlement::Accept;
        self.submit(node, |tag| Operation::Settle { tag, deliveries, how, awaited: true })
    }

    /// As a client does that does not wait for the outcome.
    pub(super) fn settle(&mut self, node: usize, deliveries: &[Delivery], how: Settlement) {
        let deliveries = deliveries.iter().map(|delivery| delivery.id).collect();
        self.submit(node, |tag| Operation::Settle { tag, deliveries, how, awaited: false });
    }

    pub(super) fn commit(
        &mut self,
        node: usize,
        publishes: &[(&str, &str)],
        accepts: &[Delivery],
    ) -> OpTag {
        let (publishes, settles) = work(publishes, accepts);
        self.submit(node, |tag| Operation::Commit { tag, publishes, settles })
    }

    pub(super) fn prepare(
        &mut self,
        node: usize,
        xid: &Xid,
        publishes: &[(&str, &str)],
        accepts: &[Delivery],
    ) -> OpTag {
        let ((publishes, settles), xid) = (work(publishes, accepts), xid.clone());
        self.submit(node, |tag| Operation::Prepare { tag, xid, publishes, settles })
    }

    pub(super) fn resolve(&mut self, node: usize, xid: &Xid, commit: bool, by: Resolver) -> OpTag {
        let xid = xid.clone();
        self.submit(node, |tag| Operation::Resolve { tag, xid, commit, by })
    }

    pub(super) fn recover(&mut self, node: usize) -> OpTag {
        self.submit(node, |tag| Operation::Recover { tag })
    }

    /// The branches that are prepared, when everything has healed.
    pub(super) fn branches(&mut self, node: usize) -> Vec<BranchInfo> {
        let tag = self.recover(node);
        self.settle_down();
        assert_eq!(self.outcome(node, tag), Some(&Ok(())));
        self.nodes[node].listed.remove(&tag).expect("a list comes before the outcome")
    }

    // ---- what the ways between them do ----------------------------------------------------------

    /// A node's client of a shard does what it wants to do.
    pub(super) fn run_client(&mut self, node: usize, slot: u32) {
        let now = self.now;
        let shard = &self.shards[slot as usize];
        let it = &mut self.nodes[node];
        let client = &mut it.clients[slot as usize];
        client.handle_timeout(now);
        let wire = &mut it.wires[slot as usize];
        if !client.has_channel() {
            *wire = Wire::default();
        }
        if client.poll_open(now, &[1], || None).is_some() {
            if shard.has_leader {
                wire.open = Some(self.next_channel);
                self.next_channel += 1;
                // The leader leaves the channel before.
                self.adrift.retain(|it| (it.node, it.slot) != (node, slot));
                wire.from_leader.push_back(FromLeader::Serving { term: shard.term });
            } else {
                client.handle_unreachable(now);
            }
        }
        if wire.open.is_some() {
            wire.to_leader.extend(std::iter::from_fn(|| client.poll_transmit()));
        }
        self.take_events(node, slot);
    }

    fn take_events(&mut self, node: usize, slot: u32) {
        let it = &mut self.nodes[node];
        let mut resolved = Vec::new();
        while let Some(event) = it.clients[slot as usize].poll_event() {
            match event {
                Event::Answered(Asker::Client(part), outcome) => {
                    it.connection.handle_answered(part, outcome);
                }
                Event::Answered(Asker::Inquiry(number), outcome) => {
                    resolved.push((number, outcome));
                }
                Event::Ended(Asker::Client(part), result) => {
                    it.connection.handle_ended(part, result);
                }
                Event::Ended(Asker::Inquiry(_), _) => panic!("an inquiry is made of commands"),
                Event::Delivered(consumer, channel, delivered) => {
                    it.connection.handle_delivered(consumer, slot, channel, delivered);
                }
                Event::Held(..) => panic!("no queue is bounded"),
                Event::BrowseEnd(_) => panic!("nobody browses"),
                Event::LeaderLost(consumer) => it.connection.handle_leader_lost(consumer, slot),
                Event::Detached(consumer, why) => it.connection.handle_detached(consumer, why),
            }
        }
        for (number, outcome) in resolved {
            if self.nodes[node].inquiries[number].handle_outcome(&outcome) {
                self.inquire(node, number);
            }
        }
        self.hand_on(node);
    }

    fn inquire(&mut self, node: usize, number: usize) {
        let (slot, command) = self.nodes[node].inquiries[number].command();
        let (holders, asker) = (Vec::new(), Asker::Inquiry(number));
        let request = Request::Command { command, holders, urgent: true, asker };
        self.nodes[node].clients[slot as usize].handle_request(self.now, request, self.budget);
    }

    fn hand_on(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        let mut touched = Vec::new();
        while let Some((slot, request)) = it.connection.poll_request() {
            let request = request.map(Asker::Client, |consumer| consumer);
            it.clients[slot as usize].handle_request(self.now, request, self.budget);
            touched.push(slot);
        }
        while let Some(event) = it.connection.poll_event() {
            match event {
                ConnectionEvent::Outcome(tag, outcome) => {
                    assert!(it.outcomes.insert(tag, outcome).is_none(), "{tag:?} ended twice");
                }
                ConnectionEvent::Held(..) => panic!("no queue is bounded"),
                ConnectionEvent::Delivery(delivery) => it.deliveries.push(delivery),
                ConnectionEvent::Detached(consumer, _) => it.detached.push(consumer),
                ConnectionEvent::BrowseEnd(_) => panic!("nobody browses"),
                ConnectionEvent::Branches(tag, found) => _ = it.listed.insert(tag, found),
            }
        }
        // Some of it may have ended at once.
        for slot in touched {
            self.take_events(node, slot);
        }
    }

    /// The leader takes in so many messages of a node.
    pub(super) fn carry(&mut self, node: usize, slot: u32, count: usize) {
        for _ in 0..count {
            let wire = &mut self.nodes[node].wires[slot as usize];
            let (Some(channel), Some(message)) = (wire.open, wire.to_leader.pop_front()) else {
                break;
            };
            let session = self.nodes[node].numbers.session;
            let answer = self.shards[slot as usize].handle(session, node, channel, message);
            self.nodes[node].wires[slot as usize].from_leader.extend(answer);
        }
        self.dispatch(slot);
    }

    /// So many of a shard's proposals are committed and applied, in one entry.
    pub(super) fn commit_entry(&mut self, slot: u32, count: usize) {
        let answers = self.shards[slot as usize].commit_entry(count);
        for (node, channel, outcome) in answers {
            let wire = &mut self.nodes[node].wires[slot as usize];
            if wire.open == Some(channel) {
                wire.from_leader.push_back(FromLeader::Outcomes(vec![outcome]));
            }
        }
        self.dispatch(slot);
    }

    fn dispatch(&mut self, slot: u32) {
        let shard = &mut self.shards[slot as usize];
        while let Some(delivery) = shard.dispatcher.poll_delivery(&shard.state, WALL) {
            let Content::Here(message) = delivery.content else { panic!("all is in memory") };
            let delivered = Delivered {
                consumer: delivery.consumer.number,
                key: delivery.key,
                message,
                redelivered: delivery.redelivered,
                redelivery_count: delivery.redelivery_count,
                first_of_group: false,
                browsed: None,
            };
            let wire = &mut self.nodes[delivery.consumer.node as usize].wires[slot as usize];
            wire.from_leader.push_back(FromLeader::Deliver(delivered));
        }
    }

    /// A node's client takes in so many messages of the leader.
    pub(super) fn answer(&mut self, node: usize, slot: u32, count: usize) {
        for _ in 0..count {
            let it = &mut self.nodes[node];
            let Some(message) = it.wires[slot as usize].from_leader.pop_front() else { break };
            let said = it.clients[slot as usize].handle_said(self.now, Some(message));
            if said.is_err() || !it.clients[slot as usize].has_channel() {
                self.close(node, slot);
            }
        }
        self.take_events(node, slot);
    }

    /// What a leader said last comes twice, or before what it said just before that.
    pub(super) fn mangle(&mut self, node: usize, slot: u32, twice: bool) {
        let said = &mut self.nodes[node].wires[slot as usize].from_leader;
        let is_outcomes = |it: &FromLeader| matches!(it, FromLeader::Outcomes(_));
        match said.len() {
            0 => {}
            last if twice && is_outcomes(&said[last - 1]) => said.push_back(said[last - 1].clone()),
            last if last > 1 && is_outcomes(&said[last - 1]) && is_outcomes(&said[last - 2]) => {
                said.swap(last - 1, last - 2);
            }
            _ => {}
        }
    }

    /// Each topic `tN` has a durable subscription, which nobody consumes.
    pub(super) fn stand_everywhere(&mut self) {
        for slot in 0..SLOTS {
            let durable = Durable::new("c", &format!("s{slot}")).unwrap();
            let topic = format!("t{slot}").into();
            let terms = Terms { topic, selector: None, no_local: false };
            self.shards[slot as usize].make(Command::Subscribe { durable, terms });
        }
    }

    // ---- what goes wrong ------------------------------------------------------------------------

    /// A node gives up a link. What is not stored and on its way may arrive later.
    pub(super) fn cut(&mut self, node: usize, slot: u32) {
        let term = self.shards[slot as usize].term;
        let wire = &mut self.nodes[node].wires[slot as usize];
        if wire.open.is_some() {
            let messages = wire.to_leader.drain(..).filter_map(|said| match said {
                ToLeader::Publish { message, .. } => Some(message),
                _ => None,
            });
            let messages = messages.collect();
            self.adrift.push(Adrift { node, slot, term, messages });
            self.close(node, slot);
            let said = self.nodes[node].clients[slot as usize].handle_said(self.now, None);
            assert_eq!(said, Ok(()));
            self.take_events(node, slot);
        }
    }

    /// What is on its way to a shard's leader over channels that were given up arrives; their names.
    pub(super) fn arrive(&mut self, slot: u32) -> Vec<Arc<str>> {
        let shard = &mut self.shards[slot as usize];
        let mut arrived = Vec::new();
        for it in self.adrift.extract_if(.., |it| it.slot == slot) {
            if !shard.has_leader || it.term != shard.term {
                continue;
            }
            for message in it.messages {
                arrived.push(message.id.clone());
                shard.dispatcher.handle_volatile(WALL, message).expect("there is room");
            }
        }
        self.dispatch(slot);
        arrived
    }

    /// The leader hears that a channel is gone.
    fn close(&mut self, node: usize, slot: u32) {
        self.nodes[node].wires[slot as usize] = Wire::default();
        let dispatcher = &mut self.shards[slot as usize].dispatcher;
        let consumers: Vec<ConsumerKey> = dispatcher.consumers().map(|(key, _)| key).collect();
        for key in consumers.into_iter().filter(|key| key.node == node as u64) {
            dispatcher.detach_lost(key);
        }
        self.dispatch(slot);
    }

    /// The leader is gone. The first `kept` of its proposals are committed by the next one, the
    /// others are lost; its clients hear of neither.
    pub(super) fn lose_leader(&mut self, slot: u32, kept: usize) {
        self.shards[slot as usize].end_term(kept);
        for node in 0..NODES {
            if self.nodes[node].wires[slot as usize].open.is_some() {
                self.nodes[node].wires[slot as usize] = Wire::default();
                let said = self.nodes[node].clients[slot as usize].handle_said(self.now, None);
                assert_eq!(said, Ok(()));
                self.take_events(node, slot);
            }
        }
        self.shards[slot as usize].begin_term();
    }

    pub(super) fn elect(&mut self, slot: u32) {
        self.shards[slot as usize].has_leader = true;
    }

    /// A node dies and comes back, with a client that knows nothing of the one before.
    pub(super) fn restart(&mut self, node: usize) {
        for slot in 0..SLOTS {
            self.close(node, slot);
        }
        let incarnation = self.nodes[node].numbers.session.incarnation + 1;
        self.nodes[node] = Node::new(node, incarnation);
    }

    /// A leader, which is on a node, looks for transactions that nobody ends.
    pub(super) fn look(&mut self, slot: u32, node: usize) {
        let Shard { doubts, state, .. } = &mut self.shards[slot as usize];
        for inquiry in doubts.look(self.now, IN_DOUBT_AFTER, slot, state) {
            self.nodes[node].inquiries.push(inquiry);
            self.inquire(node, self.nodes[node].inquiries.len() - 1);
        }
    }

    // ---- the rest -------------------------------------------------------------------------------

    /// Everybody does what he has to do, once.
    pub(super) fn turn(&mut self) {
        self.now += Duration::from_millis(300);
        for slot in 0..SLOTS {
            for node in 0..NODES {
                self.run_client(node, slot);
                self.carry(node, slot, usize::MAX);
            }
            self.commit_entry(slot, usize::MAX);
            for node in 0..NODES {
                self.answer(node, slot, usize::MAX);
            }
        }
    }

    /// Everything heals, and all that can happen happens.
    pub(super) fn settle_down(&mut self) {
        for slot in 0..SLOTS {
            self.elect(slot);
        }
        for _ in 0..40 {
            self.turn();
            for slot in 0..SLOTS {
                self.look(slot, slot as usize % NODES);
            }
        }
        for node in &self.nodes {
            let waiting: usize = node.clients.iter().map(ShardClient::waiting_bytes).sum();
            assert_eq!(waiting, 0, "all is answered");
        }
    }

    /// How often a message has entered its queue.
    pub(super) fn entered(&self, id: &str) -> usize {
        self.shards.iter().flat_map(|shard| &shard.entered).filter(|it| &***it == id).count()
    }

    /// Whether a message has left its queue for good.
    pub(super) fn has_left(&self, id: &str) -> bool {
        self.shards.iter().flat_map(|shard| &shard.left).any(|it| &**it == id)
    }

    pub(super) fn outcome(&self, node: usize, tag: OpTag) -> Option<&Outcome> {
        self.nodes[node].outcomes.get(&tag)
    }

    /// How many messages of a shard consumers hold, as its leader counts.
    pub(super) fn in_flight(&self, slot: u32) -> u32 {
        let dispatcher = &self.shards[slot as usize].dispatcher;
        let keys = dispatcher.consumers().map(|(key, _)| key);
        keys.filter_map(|key| dispatcher.in_flight(key)).sum()
    }

    /// What all shards' clients of a node keep.
    pub(super) fn waiting(&self, node: usize) -> usize {
        self.nodes[node].clients.iter().map(ShardClient::waiting_bytes).sum()
    }
}
