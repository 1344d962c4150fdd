//! The twin of the simulated world: the same verbs, done to processes of this machine and to the proxies
//! between them.

use std::{
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use paceline::config::NodeConfig;
use paceline_runtime::{
    net::TcpListener,
    task::{self, JoinHandle},
};

use super::{
    machines::{Machine, News},
    network::{LinkConfig, Network, NodeId, PartitionId},
    places::{Places, on_loopback},
    proxy::{self, Callers, Door},
};

/// The world of a run. Copies are the same world; it lasts as long as the process, and its nodes until
/// [`World::end`].
#[derive(Clone, Copy)]
pub struct World(&'static Inner);

struct Inner {
    began: Instant,
    network: Network,
    names: Vec<String>,
    places: Places,
    /// In the order of the nodes.
    machines: Vec<Mutex<Machine>>,
}

/// There is none, and no words for it: what processes do is not reproduced.
pub struct Fingerprint;

impl fmt::Display for Fingerprint {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl World {
    /// Opens the doors of nodes of these names, which are to run this program and keep their files in
    /// this folder; none is started. Must be called inside the runtime.
    ///
    /// # Errors
    /// Ports that were free are not.
    pub async fn new(
        names: Vec<String>,
        program: &Path,
        folder: &Path,
        link: LinkConfig,
        seed: u64,
    ) -> io::Result<Self> {
        let places = Places::find(&names, folder)?;
        let machine = |name: &String| Mutex::new(Machine::new(program, &places.of(name).folder));
        let machines = names.iter().map(machine).collect();
        let network = Network::new(names.len(), link, seed);
        let inner = Inner { began: Instant::now(), network, places, machines, names };
        let inner: &'static Inner = Box::leak(Box::new(inner));
        for (number, name) in inner.names.iter().enumerate() {
            let (own, door) = (inner.places.of(name).own, inner.places.of(name).door);
            for (behind, at, callers) in [
                (own.stomp, door.stomp, Callers::Clients),
                (own.openwire, door.openwire, Callers::Clients),
                (own.link, door.link, Callers::Nodes),
            ] {
                let listener = TcpListener::bind(on_loopback(at)).await?;
                let door = Door { node: NodeId(number), behind: on_loopback(behind), callers };
                proxy::serve(listener, door, &inner.network);
            }
        }
        Ok(Self(inner))
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> Vec<NodeId> {
        (0..self.0.names.len()).map(NodeId).collect()
    }

    /// All clients together.
    pub fn clients(&self) -> NodeId {
        self.0.network.clients()
    }

    /// Where everybody is.
    pub fn places(&self) -> &'static Places {
        &self.0.places
    }

    fn machine(&self, node: NodeId) -> MutexGuard<'static, Machine> {
        self.0.machines[node.0].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the world began.
    pub fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// None: no seed decides what processes do.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint
    }

    /// The nodes' events are not heard.
    pub fn logged_events(&self) -> u64 {
        0
    }

    /// Runs a client, or somebody else who is no node.
    pub fn spawn_on<F>(&self, _: NodeId, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(future)
    }

    /// Runs something beside the scenario.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(future)
    }

    /// Starts a node for the first time; at each start it reads what `config` says then.
    ///
    /// # Panics
    /// The process cannot be started.
    pub fn start(&self, node: NodeId, config: impl Fn() -> NodeConfig + Send + Sync + 'static) {
        let places = self.places();
        self.machine(node).configure(move || places.fit(config()));
        self.restart(node);
    }

    /// Starts a node that is down again. Nothing happens to one that is up.
    ///
    /// # Panics
    /// The process cannot be started.
    pub fn restart(&self, node: NodeId) {
        let started = self.machine(node).start();
        started.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.0.names[node.0]));
    }

    /// Whether the node's process is there.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.machine(node).is_up()
    }

    /// Kills the node's process. What it wrote the operating system has.
    pub fn crash(&self, node: NodeId) {
        self.machine(node).kill();
    }

    /// Kills the node's process, and everything on its disk is gone.
    pub fn destroy(&self, node: NodeId) {
        let mut machine = self.machine(node);
        machine.kill();
        machine.wipe();
    }

    /// Halts the node's process.
    pub fn pause(&self, node: NodeId) {
        self.machine(node).signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self, node: NodeId) {
        self.machine(node).signal("CONT");
    }

    /// Asks the node's process to end.
    pub fn request_shutdown(&self, node: NodeId) {
        self.machine(node).signal("TERM");
    }

    /// What has happened to the node's process that was not told before.
    pub fn news(&self, node: NodeId) -> Option<News> {
        self.machine(node).news()
    }

    /// What its processes have used of processors.
    pub fn cpu_used(&self, node: NodeId) -> Duration {
        self.machine(node).used()
    }

    /// How many bytes have come to it, and gone from it.
    pub fn traffic(&self, node: NodeId) -> (u64, u64) {
        self.0.network.traffic(node)
    }

    /// Holds everything that any of the first send to any of the others.
    pub fn block(&self, from: &[NodeId], to: &[NodeId]) -> PartitionId {
        self.0.network.block(from, to)
    }

    /// The same in both directions.
    pub fn partition(&self, some: &[NodeId], others: &[NodeId]) -> [PartitionId; 2] {
        self.0.network.partition(some, others)
    }

    /// Lets go what this has held.
    pub fn heal(&self, cut: PartitionId) {
        self.0.network.heal(cut);
    }

    /// Lets go everything.
    pub fn heal_all(&self) {
        self.0.network.heal_all();
    }

    /// Makes one way like this, or like all others.
    pub fn set_link(&self, from: NodeId, to: NodeId, link: Option<LinkConfig>) {
        self.0.network.set_link(from, to, link);
    }

    /// Kills all nodes, for good: a supervisor may still be about to start one.
    pub fn end(&self) {
        self.nodes().into_iter().for_each(|node| self.machine(node).end());
    }
}

/// Ends the nodes of a world when it goes, whichever way.
pub struct Ending(pub World);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What nodes leave behind: their files, gone when this is dropped unless they are to be kept.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one, for this run alone.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let name = |number| format!("paceline-real-{}-{number}", std::process::id());
        for number in 0.. {
            let path = std::env::temp_dir().join(name(number));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Somebody of that number has kept his.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("some number is free")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it where it is.
    pub fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // Left-over files in the temporary directory harm nobody.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
