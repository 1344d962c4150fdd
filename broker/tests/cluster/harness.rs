//! A cluster of routers and a client that speaks operations.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use paceline::{
    config::{ClusterConfig, Member, NodeConfig, Policy},
    identity::Claim,
    node::{NodeError, Replicas, status::ShardRole},
    replication::Input,
    router::{ConnectionEvent, ConnectionHandle, Router},
};
use paceline_core::{
    Body, Destination, Message, UnixMillis,
    operation::{
        ConsumerId, Delivery, DeliveryId, OpTag, Operation, Outcome, Parting, Settlement,
        Subscription,
    },
    shard::{MessageRef, Table},
};
use paceline_runtime::{net::TcpListener, time};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longer than any failover.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    config: NodeConfig,
    address: SocketAddr,
    replicas: Option<Arc<Replicas>>,
    claim: Option<Claim>,
    _dir: TempDir,
}

impl Node {
    async fn start(&mut self, listener: TcpListener) {
        self.claim = None;
        let claim = Claim::take(&self.config).await.unwrap();
        let (identity_file, cluster) =
            (claim.identity_file.clone(), claim.cluster.clone().unwrap());
        self.claim = Some(claim);
        let replicas = Replicas::start(&self.config, &cluster, identity_file, listener, None);
        self.replicas = Some(replicas.await.unwrap());
    }
}

impl Cluster {
    pub async fn start(nodes: usize) -> Self {
        Self::with_policies(nodes, &[]).await
    }

    pub async fn with_policies(nodes: usize, policies: &[Policy]) -> Self {
        let mut listeners = Vec::new();
        let mut members = Vec::new();
        for number in 0..nodes {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
            members.push(Member {
                name: format!("n{number}"),
                link: listener.local_addr().unwrap().to_string(),
                zone: None,
                weight: 1.0,
            });
            listeners.push(listener);
        }
        let mut cluster = Self { nodes: Vec::new() };
        for (number, listener) in listeners.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let mut config = NodeConfig::dev(dir.path().join("data"));
            config.node.name = format!("n{number}");
            config.cluster = ClusterConfig {
                slots: 8.max(nodes as u32),
                ..ClusterConfig::new("test", members.clone())
            };
            // So that transactions are asked after soon.
            config.replication.operation_timeout = Duration::from_millis(1_500);
            config.limits.waiting = 1 << 20;
            config.limits.memory = 1 << 20;
            config.policies = policies.to_vec();
            let address = listener.local_addr().unwrap();
            let mut node = Node { config, address, replicas: None, claim: None, _dir: dir };
            node.start(listener).await;
            cluster.nodes.push(node);
        }
        cluster
    }

    pub fn router(&self, node: usize) -> Router {
        self.nodes[node].replicas.as_ref().expect("it runs").router().clone()
    }

    /// Bytes of memory that messages take on a node.
    pub async fn memory(&self, node: usize) -> u64 {
        self.nodes[node].replicas.as_ref().expect("it runs").status(false).await.memory_bytes
    }

    /// Where a node is reached by the others.
    pub fn address(&self, node: usize) -> String {
        self.nodes[node].address.to_string()
    }

    /// In what the policies of a node's file differ from the cluster's.
    pub async fn other_policies(&self, node: usize) -> Vec<String> {
        self.nodes[node].replicas.as_ref().expect("it runs").status(false).await.other_policies
    }

    /// Asks a node to stop in good order.
    pub async fn shut_down(&mut self, node: usize) {
        let replicas = self.nodes[node].replicas.take().expect("it runs");
        replicas.stop().await;
    }

    /// The slots that a node leads, and their terms, once it leads any.
    pub async fn shards_led_by(&self, node: usize) -> Vec<(u32, u64)> {
        let replicas = self.nodes[node].replicas.as_ref().expect("it runs");
        loop {
            let shards = replicas.status(false).await.shards.into_iter();
            let led: Vec<_> = shards
                .filter(|shard| shard.role == ShardRole::Leader)
                .map(|shard| (shard.slot, shard.term))
                .collect();
            if !led.is_empty() {
                return led;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The latest term that any node which runs knows of.
    pub async fn latest_term(&self, slot: u32) -> u64 {
        let mut latest = 0;
        for node in self.nodes.iter().filter_map(|node| node.replicas.as_ref()) {
            let shards = node.status(false).await.shards.into_iter();
            let terms = shards.filter(|shard| shard.slot == slot).map(|shard| shard.term);
            latest = terms.max().unwrap_or(0).max(latest);
        }
        latest
    }

    fn any(&self) -> &Arc<Replicas> {
        self.nodes.iter().find_map(|node| node.replicas.as_ref()).expect("one runs")
    }

    /// The slot of a queue.
    pub fn slot_of(&self, queue: &str) -> u32 {
        self.any().cluster().slot_of(&Destination::queue(queue).unwrap())
    }

    /// A slot that a queue is not in.
    pub fn other_slot(&self, queue: &str) -> u32 {
        (self.slot_of(queue) + 1) % self.any().cluster().slots()
    }

    /// The messages of a slot's queues, as each node has it that holds the slot.
    pub async fn depths(&self, slot: u32) -> Vec<usize> {
        let mut depths = Vec::new();
        for node in self.nodes.iter().filter_map(|node| node.replicas.as_ref()) {
            depths.push(node.shards().entries(slot, Table::Messages, 0).await.len());
        }
        depths
    }

    /// The name of the one message in a slot.
    pub async fn only_message(&self, slot: u32) -> MessageRef {
        for node in self.nodes.iter().filter_map(|node| node.replicas.as_ref()) {
            let entries = node.shards().entries(slot, Table::Messages, 0).await;
            if let Some(entry) = entries.first() {
                let parts: Vec<u64> = entry.key.split('.').map(|it| it.parse().unwrap()).collect();
                return MessageRef::new(parts[0], parts[1] as usize, parts[2] as usize);
            }
        }
        panic!("slot {slot} is empty");
    }

    /// Waits until no node keeps a decision of a transaction in a slot.
    pub async fn decisions_forgotten(&self, slot: u32) {
        let forgotten = async {
            for node in self.nodes.iter().filter_map(|node| node.replicas.as_ref()) {
                while !node.shards().entries(slot, Table::Decisions, 0).await.is_empty() {
                    time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        time::timeout(PATIENCE, forgotten).await.expect("it is forgotten");
    }

    /// Ends what drives a node's replicas, and waits until the node knows.
    pub async fn stop_driving(&self, node: usize) -> NodeError {
        let replicas = self.nodes[node].replicas.as_ref().expect("it runs");
        replicas.shards().tell(Input::Stop);
        time::timeout(PATIENCE, replicas.failed()).await.expect("it knows")
    }

    /// Ends a node without a word to the others.
    pub async fn halt(&mut self, node: usize) {
        let replicas = self.nodes[node].replicas.take().expect("it runs");
        replicas.halt().await;
    }

    /// Starts a node again, on what it has on its disk.
    pub async fn restart(&mut self, node: usize) {
        if self.nodes[node].replicas.is_some() {
            self.halt(node).await;
        }
        let node = &mut self.nodes[node];
        let listener = loop {
            match TcpListener::bind(node.address).await {
                Ok(listener) => break listener,
                Err(_) => time::sleep(Duration::from_millis(20)).await,
            }
        };
        node.start(listener).await;
    }

    /// At its next start the node goes on with what is left of shards that most have lost.
    pub fn accept_loss(&mut self, node: usize) {
        self.nodes[node].config.accept_loss = true;
    }

    /// Takes everything from a stopped node's disk.
    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    pub fn empty_disk(&self, node: usize) {
        assert!(self.nodes[node].replicas.is_none(), "it is stopped");
        std::fs::remove_dir_all(&self.nodes[node].config.node.data_dir).unwrap();
    }

    /// A copy of a stopped node's disk.
    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    pub fn copy_of_disk(&self, node: usize) -> Vec<(PathBuf, Vec<u8>)> {
        assert!(self.nodes[node].replicas.is_none(), "it is stopped");
        let data_dir = &self.nodes[node].config.node.data_dir;
        let dirs = [data_dir.clone(), data_dir.join("journal")];
        let files = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
        let paths = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// Puts a copy in the place of what a stopped node has on its disk.
    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    pub fn put_back_disk(&self, node: usize, copy: &[(PathBuf, Vec<u8>)]) {
        self.empty_disk(node);
        for (path, bytes) in copy {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Waits until others have told a node that it has forgotten, and starts it as one that has, as
    /// [`paceline::node::run`] does.
    pub async fn told(&mut self, node: usize) {
        let replicas = self.nodes[node].replicas.as_ref().expect("it runs");
        let told = time::timeout(PATIENCE, replicas.failed()).await.expect("it is told");
        let NodeError::Forgotten { life, .. } = told else { panic!("{told}") };
        let groups = replicas.cluster().view().groups();
        self.halt(node).await;
        let identity_file =
            self.nodes[node].claim.as_ref().expect("it is held").identity_file.clone();
        identity_file.forget(life, 0..groups).await.unwrap();
        self.restart(node).await;
    }

    /// Flips bytes in the middle of what a stopped node has on its disk, enough to hit the header
    /// of a record.
    pub fn damage(&self, node: usize) {
        let mut bytes = self.journal_bytes(node);
        let middle = bytes.len() / 2;
        bytes[middle..middle + 600].iter_mut().for_each(|byte| *byte ^= 0xA5);
        self.put_back(node, &bytes);
    }

    /// What stands in a stopped node's journal, which is one segment.
    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    pub fn journal_bytes(&self, node: usize) -> Vec<u8> {
        std::fs::read(self.segment(node)).unwrap()
    }

    /// Overwrites a stopped node's journal.
    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    pub fn put_back(&self, node: usize, bytes: &[u8]) {
        std::fs::write(self.segment(node), bytes).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "the disk of a node that does not run")]
    fn segment(&self, node: usize) -> PathBuf {
        let node = &self.nodes[node];
        assert!(node.replicas.is_none(), "it is stopped");
        let files = std::fs::read_dir(node.config.node.data_dir.join("journal")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let mut paths = paths.filter(|path| path.extension().is_some_and(|it| it == "segment"));
        let path = paths.next().expect("a node has a journal");
        assert!(paths.next().is_none(), "one segment");
        path
    }

    /// What a node says of each of its shards.
    pub async fn roles(&self, node: usize) -> Vec<ShardRole> {
        let replicas = self.nodes[node].replicas.as_ref().expect("it runs");
        replicas.status(false).await.shards.into_iter().map(|shard| shard.role).collect()
    }

    /// Waits until a node runs all its shards and repairs none.
    pub async fn repaired(&self, node: usize) {
        let groups = self.any().cluster().view().groups() as usize;
        let is_whole = async {
            loop {
                let roles = self.roles(node).await;
                if roles.len() == groups && roles.iter().all(|role| *role != ShardRole::Repairing) {
                    return;
                }
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, is_whole).await.expect("it is repaired");
    }

    pub async fn stop(self) {
        for node in self.nodes {
            if let Some(replicas) = node.replicas {
                replicas.stop().await;
            }
        }
    }
}

pub struct Client {
    handle: ConnectionHandle,
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
    next_tag: u64,
    outcomes: BTreeMap<OpTag, Outcome>,
    deliveries: VecDeque<Delivery>,
}

fn message(destination: &str, body: &str, persistent: bool) -> Arc<Message> {
    Arc::new(Message {
        id: body.into(),
        destination: Destination::parse(destination).unwrap(),
        persistent,
        priority: 4,
        timestamp: UnixMillis(0),
        expires: None,
        correlation_id: None,
        reply_to: None,
        content_type: None,
        properties: Vec::new(),
        body: Body::Text(Bytes::copy_from_slice(body.as_bytes())),
    })
}

impl Client {
    pub fn new(router: Router) -> Self {
        let (handle, events) = router.connect();
        let (outcomes, deliveries) = (BTreeMap::new(), VecDeque::new());
        Self { handle, events, next_tag: 1, outcomes, deliveries }
    }

    async fn submit(&mut self, operation: impl FnOnce(OpTag) -> Operation) -> Outcome {
        let tag = self.begin(operation);
        self.outcome(tag).await
    }

    fn begin(&mut self, operation: impl FnOnce(OpTag) -> Operation) -> OpTag {
        let tag = OpTag(self.next_tag);
        self.next_tag += 1;
        self.handle.submit(operation(tag));
        tag
    }

    /// Sends a stored message and does not wait for its outcome.
    pub fn begin_publish(&mut self, queue: &str, body: &str) -> OpTag {
        let message = message(&format!("/queue/{queue}"), body, true);
        self.begin(|tag| Operation::Publish { tag, message })
    }

    /// How something that was begun has ended.
    pub async fn outcome(&mut self, tag: OpTag) -> Outcome {
        let answered = async {
            loop {
                if let Some(outcome) = self.outcomes.remove(&tag) {
                    return outcome;
                }
                self.take_event().await;
            }
        };
        time::timeout(PATIENCE, answered).await.expect("every operation is answered")
    }

    async fn take_event(&mut self) {
        match self.events.recv().await.expect("the router lives") {
            ConnectionEvent::Outcome(tag, outcome) => {
                assert!(self.outcomes.insert(tag, outcome).is_none(), "answered twice");
            }
            ConnectionEvent::Held(..)
            | ConnectionEvent::BrowseEnd(_)
            | ConnectionEvent::Branches(..) => {}
            ConnectionEvent::Delivery(delivery) => self.deliveries.push_back(delivery),
            ConnectionEvent::Detached(consumer, why) => panic!("{consumer:?}: {why}"),
        }
    }

    /// Sends a message and does not wait.
    pub fn begin_send(&mut self, destination: &str, body: &str, persistent: bool) -> OpTag {
        let message = message(destination, body, persistent);
        self.begin(|tag| Operation::Publish { tag, message })
    }

    pub async fn publish(&mut self, queue: &str, body: &str) -> Outcome {
        self.send(&format!("/queue/{queue}"), body, true).await
    }

    pub async fn send(&mut self, destination: &str, body: &str, persistent: bool) -> Outcome {
        let message = message(destination, body, persistent);
        self.submit(|tag| Operation::Publish { tag, message }).await
    }

    pub async fn subscribe(&mut self, consumer: u64, source: &str, prefetch: u32) -> Outcome {
        let consumer = ConsumerId(consumer);
        let source = Destination::parse(source).unwrap();
        let subscription = Subscription::new(source, prefetch);
        self.submit(|tag| Operation::Subscribe { tag, consumer, subscription }).await
    }

    /// The consumer ends, having died of a delivery if one is given.
    pub async fn unsubscribe(&mut self, consumer: u64, failed: Option<DeliveryId>) -> Outcome {
        let consumer = ConsumerId(consumer);
        let parting = failed.map_or(Parting::Released, Parting::Died);
        self.submit(|tag| Operation::Unsubscribe { tag, consumer, parting }).await
    }

    pub async fn settle(&mut self, deliveries: &[DeliveryId], how: Settlement) -> Outcome {
        let deliveries = deliveries.to_vec();
        self.submit(|tag| Operation::Settle { tag, deliveries, how, awaited: true }).await
    }

    pub async fn commit(&mut self, publishes: &[(&str, &str)], accepts: &[DeliveryId]) -> Outcome {
        let publishes = publishes
            .iter()
            .map(|(queue, body)| message(&format!("/queue/{queue}"), body, true))
            .collect();
        let settles = accepts.iter().map(|id| (*id, Settlement::Accept)).collect();
        self.submit(|tag| Operation::Commit { tag, publishes, settles }).await
    }

    pub async fn delivery(&mut self) -> Delivery {
        self.delivery_within(PATIENCE).await.expect("a message comes")
    }

    pub async fn delivery_within(&mut self, patience: Duration) -> Option<Delivery> {
        let delivered = async {
            while self.deliveries.is_empty() {
                self.take_event().await;
            }
        };
        time::timeout(patience, delivered).await.ok()?;
        self.deliveries.pop_front()
    }

    pub async fn nothing_more(&mut self) {
        let more = self.delivery_within(Duration::from_millis(200)).await;
        assert!(more.is_none(), "{more:?}");
    }
}
