//! The system under test: two nodes' clients of one shard, and the shard with whoever leads it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use paceline_core::{
    Body, Destination, Message, UnixMillis,
    bounds::{Bound, Bounds, WhenFull},
    channel::{Delivered, FromLeader, ToLeader},
    dispatch::{Limits, MessageKey},
    ingress::{Budget, Event, Request, ShardClient},
    operation::{Settlement, Subscription},
    serving::{Output, Serving, Settings},
    shard::{Batch, Command, Effect, SessionId, ShardState},
};

const NODES: usize = 2;
const CONSUMER: u64 = 1;
const MAX_MESSAGES: u64 = 3;
const MAX_BYTES: u64 = 60;
const WALL: UnixMillis = UnixMillis(1_000);
const LONG: Duration = Duration::from_secs(1 << 30);
const BOUNDED: &str = "bounded";
const FREE: &str = "free";

#[derive(Clone, Debug)]
pub enum Op {
    Send {
        node: usize,
        bounded: bool,
        bytes: usize,
        stored: bool,
    },
    /// So much of what a node says arrives at the leader.
    Say {
        node: usize,
        count: usize,
    },
    /// So much of what the leader says arrives at a node.
    Hear {
        node: usize,
        count: usize,
    },
    /// What the leader has gathered is applied.
    Commit,
    /// The consumer of node 0 accepts so many of the messages it holds.
    Consume {
        count: usize,
    },
    /// A node's channel breaks.
    Cut {
        node: usize,
    },
    /// Another leader follows; whether what was proposed is in its log.
    FailOver {
        kept: bool,
    },
}

#[derive(Default)]
struct Wire {
    channel: Option<u64>,
    to_leader: VecDeque<ToLeader>,
    from_leader: VecDeque<FromLeader>,
}

struct Node {
    client: ShardClient<u64, u64>,
    wire: Wire,
    sent: u64,
    /// By asker: whether it is held.
    open: BTreeMap<u64, bool>,
    held: VecDeque<Delivered>,
}

pub struct World {
    now: Duration,
    state: ShardState,
    serving: Serving<()>,
    term: u64,
    index: u64,
    next_channel: u64,
    next_asker: u64,
    nodes: Vec<Node>,
    /// By node and queue, stored messages in the order in which they entered.
    entered: BTreeMap<(usize, bool), Vec<u64>>,
    /// Numbers of the same as they were sent.
    published: BTreeMap<(usize, bool), Vec<u64>>,
    volatile: Vec<Vec<u64>>,
}

fn bounds() -> Bounds {
    let bound = Bound {
        policy: "/queue/bounded".into(),
        max_messages: Some(MAX_MESSAGES),
        max_bytes: Some(MAX_BYTES),
        when_full: WhenFull::Block,
    };
    Bounds::new(vec![(Destination::queue(BOUNDED).unwrap(), Some(Arc::new(bound)))])
}

fn settings() -> Settings {
    Settings {
        slot: 0,
        batch_commands: 8,
        batch_bytes: 1 << 20,
        patience: Duration::ZERO,
        in_doubt_after: LONG,
        limits: Limits { bounds: Arc::new(bounds()), ..Limits::default() },
    }
}

impl World {
    pub fn new() -> Self {
        let node = || Node {
            client: ShardClient::new(LONG),
            wire: Wire::default(),
            sent: 0,
            open: BTreeMap::new(),
            held: VecDeque::new(),
        };
        let mut world = Self {
            now: Duration::ZERO,
            state: ShardState::new(),
            serving: Serving::new(settings(), ()),
            term: 1,
            index: 0,
            next_channel: 1,
            next_asker: 1,
            nodes: (0..NODES).map(|_| node()).collect(),
            entered: BTreeMap::new(),
            published: BTreeMap::new(),
            volatile: vec![Vec::new(); NODES],
        };
        world.serving.begin(&world.state, 1, world.now);
        let source = Destination::queue(">").unwrap();
        let subscription = Subscription::new(source, 2);
        let attach = Request::Attach { consumer: CONSUMER, subscription, sink: 0, asker: 0 };
        world.nodes[0].open.insert(0, false);
        world.ask(0, attach);
        world
    }

    pub fn step(&mut self, op: Op) {
        match op {
            Op::Send { node, bounded, bytes, stored } => self.send(node, bounded, bytes, stored),
            Op::Say { node, count } => self.say(node, count),
            Op::Hear { node, count } => self.hear(node, count),
            Op::Commit => self.commit(),
            Op::Consume { count } => self.consume(count),
            Op::Cut { node } => {
                if let Some(channel) = self.nodes[node].wire.channel {
                    self.serving.handle_closed(channel);
                    self.lose(node);
                }
            }
            Op::FailOver { kept } => self.fail_over(kept),
        }
        self.check();
    }

    /// Everything is carried on until nothing is left to do.
    pub fn settle_down(&mut self) {
        for _ in 0..2_000 {
            self.now += Duration::from_secs(1);
            for node in 0..NODES {
                self.say(node, 1_000);
                self.hear(node, 1_000);
            }
            self.commit();
            self.consume(1_000);
            self.check();
            let is_done = self.nodes.iter().all(|node| node.open.is_empty());
            if is_done && self.state.resident() == 0 && self.serving.volatile_bytes() == 0 {
                break;
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.open.is_empty(), "node {number} waits for {:?}", node.open);
            assert_eq!(node.client.waiting_bytes(), 0);
        }
        assert_eq!(self.entered, self.published, "in the order of each node, all of it once");
        assert_eq!(self.state.resident(), 0);
    }

    fn check(&self) {
        let (messages, bytes) = self.state.held(BOUNDED);
        assert!(messages <= MAX_MESSAGES && bytes <= MAX_BYTES, "{messages} of {bytes} bytes");
    }

    fn send(&mut self, node: usize, bounded: bool, bytes: usize, stored: bool) {
        let asker = self.next_asker;
        self.next_asker += 1;
        let it = &mut self.nodes[node];
        it.sent += 1;
        it.open.insert(asker, false);
        let message = Arc::new(Message {
            id: format!("{node}:{}", it.sent).into(),
            destination: Destination::queue(if bounded { BOUNDED } else { FREE }).unwrap(),
            persistent: stored,
            priority: 4,
            timestamp: WALL,
            expires: None,
            correlation_id: None,
            reply_to: None,
            content_type: None,
            properties: Vec::new(),
            body: Body::Binary(vec![b'x'; bytes].into()),
        });
        if stored {
            self.published.entry((node, bounded)).or_default().push(it.sent);
        }
        let request = match stored {
            true => {
                let (command, holders) = (Command::Publish { message }, Vec::new());
                Request::Command { command, holders, urgent: true, asker }
            }
            false => Request::Publish { message, asker },
        };
        self.ask(node, request);
    }

    fn ask(&mut self, node: usize, request: Request<u64, u64>) {
        let budget = Budget { limit: 1 << 30, used: 0 };
        self.nodes[node].client.handle_request(self.now, request, budget);
        self.work(node);
    }

    /// What follows for a node from what it was told.
    fn work(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !it.client.has_channel() {
            it.wire = Wire::default();
            if it.client.poll_open(self.now, &[0], || Some(0)).is_some() {
                let channel = self.next_channel;
                self.next_channel += 1;
                it.wire.channel = Some(channel);
                let session = SessionId { node: node as u64, incarnation: 1 };
                self.serving.handle_opened(channel, session);
            }
        }
        self.outputs();
        let it = &mut self.nodes[node];
        while let Some(message) = it.client.poll_transmit() {
            it.wire.to_leader.push_back(message);
        }
        let mut again = Vec::new();
        while let Some(event) = it.client.poll_event() {
            match event {
                Event::Held(asker, is_held) => *it.open.get_mut(&asker).unwrap() = is_held,
                Event::Answered(asker, outcome) => {
                    assert_eq!(it.open.remove(&asker), Some(false), "{asker}: {outcome:?}");
                }
                Event::Ended(asker, result) => {
                    assert_eq!(it.open.remove(&asker), Some(false), "{asker}: {result:?}");
                    assert_eq!(result, Ok(()));
                }
                Event::Delivered(_, channel, delivered) => {
                    if let MessageKey::Volatile(message) = delivered.key {
                        let (node, number) = delivered.message.id.split_once(':').unwrap();
                        let order = &mut self.volatile[node.parse::<usize>().unwrap()];
                        let number = number.parse().unwrap();
                        assert!(order.last().is_none_or(|last| *last < number), "{order:?}");
                        order.push(number);
                        again.push((channel, message));
                    } else {
                        it.held.push_back(delivered);
                    }
                }
                Event::Detached(consumer, why) => panic!("{consumer}: {why}"),
                Event::LeaderLost(_) => it.held.clear(),
                Event::BrowseEnd(_) => panic!("nobody browses"),
            }
        }
        for (channel, message) in again {
            let asker = self.next_asker;
            self.next_asker += 1;
            self.nodes[node].open.insert(asker, false);
            let (consumer, messages, how) = (CONSUMER, vec![message], Settlement::Accept);
            self.ask(node, Request::Settle { consumer, channel, messages, how, asker });
        }
    }

    fn say(&mut self, node: usize, count: usize) {
        self.nodes[node].client.handle_timeout(self.now);
        self.work(node);
        for _ in 0..count {
            let wire = &mut self.nodes[node].wire;
            let (Some(channel), Some(message)) = (wire.channel, wire.to_leader.pop_front()) else {
                break;
            };
            self.serving.handle_message(&self.state, channel, message, WALL);
            self.outputs();
        }
    }

    fn hear(&mut self, node: usize, count: usize) {
        for _ in 0..count {
            let it = &mut self.nodes[node];
            let Some(said) = it.wire.from_leader.pop_front() else { break };
            it.client.handle_said(self.now, Some(said)).unwrap();
            self.work(node);
        }
    }

    fn lose(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        it.wire = Wire::default();
        it.client.handle_said(self.now, None).unwrap();
        self.now += Duration::from_secs(1);
        self.work(node);
    }

    fn commit(&mut self) {
        if let Some(batch) = self.serving.poll_batch(WALL, self.now) {
            self.serving.proposed(self.index + 1);
            self.apply(&batch);
        }
        self.serving.dispatch(&self.state, 100, WALL);
        self.outputs();
    }

    fn apply(&mut self, batch: &Batch) {
        self.index += 1;
        let applied = self.state.apply(self.index, batch);
        for effect in &applied.effects {
            let Effect::Ready { message, name, .. } = effect else { continue };
            let written = batch.message(message.offset).expect("it was published here");
            let (node, number) = written.id.split_once(':').unwrap();
            let key = (node.parse().unwrap(), &**name == BOUNDED);
            self.entered.entry(key).or_default().push(number.parse().unwrap());
        }
        self.serving.handle_applied(&self.state, applied);
    }

    fn consume(&mut self, count: usize) {
        for _ in 0..count {
            let Some(delivered) = self.nodes[0].held.pop_front() else { break };
            let MessageKey::Stored(message) = delivered.key else { unreachable!() };
            let asker = self.next_asker;
            self.next_asker += 1;
            self.nodes[0].open.insert(asker, false);
            let command = Command::Settle { settles: vec![(message, Settlement::Accept)] };
            let holders = vec![CONSUMER];
            self.ask(0, Request::Command { command, holders, urgent: true, asker });
        }
    }

    fn fail_over(&mut self, kept: bool) {
        if let Some(batch) = self.serving.poll_batch(WALL, self.now) {
            self.serving.proposed(self.index + 1);
            if kept {
                // It is in the log, and nobody is told.
                self.serving.end(None);
                self.apply(&batch);
            }
        }
        self.serving.end(None);
        self.outputs();
        self.term += 1;
        self.state = ShardState::restore(&self.state.snapshot()).unwrap();
        self.serving = Serving::new(settings(), ());
        self.serving.begin(&self.state, self.term, self.now);
        for node in 0..NODES {
            if self.nodes[node].wire.channel.is_some() {
                self.lose(node);
            }
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.serving.poll_output() {
            match output {
                Output::Say { channel, message } => {
                    let mut nodes = self.nodes.iter_mut();
                    let node = nodes.find(|node| node.wire.channel == Some(channel));
                    if let Some(node) = node {
                        node.wire.from_leader.push_back(message);
                    }
                }
                Output::Read { message, .. } => {
                    // The body is the journal's; here its name is enough.
                    let destination = Destination::queue(FREE).unwrap();
                    let body = Arc::new(read_back(destination));
                    self.serving.handle_read(&self.state, message, Some(body));
                }
                Output::Resolve(_) => {}
            }
        }
    }
}

fn read_back(destination: Destination) -> Message {
    Message {
        id: "read".into(),
        destination,
        persistent: true,
        priority: 4,
        timestamp: WALL,
        expires: None,
        correlation_id: None,
        reply_to: None,
        content_type: None,
        properties: Vec::new(),
        body: Body::Binary(Vec::new().into()),
    }
}
