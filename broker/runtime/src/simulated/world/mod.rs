//! Builds and drives a simulated world: machines, processes, links, disks, faults and read-outs.
//!
//! [`World::run`] makes the world and runs one future in it, the scenario, which is on no machine
//! and is told nothing less than everything: it adds nodes, starts processes on them, injects
//! faults, waits, and reads the outcome. All methods take effect at the present virtual time and
//! none of them waits unless it is async.
//!
//! ```
//! # #[cfg(madsim)] {
//! use paceline_runtime::world::{NodeConfig, World, WorldConfig};
//! use paceline_runtime::{net, time};
//!
//! let outcome = World::run(7, WorldConfig::default(), |world| async move {
//!     let server = world.add_node(NodeConfig::new("server"));
//!     world.start(server, || async {
//!         let listener = net::TcpListener::bind("0.0.0.0:80".parse().unwrap()).await.unwrap();
//!         while listener.accept().await.is_ok() {}
//!     });
//!     let client = world.add_node(NodeConfig::new("client"));
//!     let connected = world.spawn_on(client, async {
//!         let server = net::resolve("server:80").await?;
//!         net::TcpStream::connect(server).await.map(drop)
//!     });
//!     time::sleep(time::Duration::from_millis(10)).await;
//!     connected.await.unwrap()
//! });
//! outcome.unwrap().unwrap();
//! # }
//! ```

mod crash;

pub use super::cpu::GRACE as CPU_GRACE;
pub use super::disk::{DiskConfig, DiskFault, DiskUse};
pub use super::net::fabric::Traffic;
pub use super::net::link::{LinkConfig, NetConfig};
pub use super::trace::Fingerprint;
pub use crate::latency::Latency;
pub use crash::Crash;

use super::context::{self, install};
use super::disk::Disks;
use super::executor::Executor;
use super::net::fabric::{Fabric, WORLD_IP};
use super::nodes::{self, Condition, Node, NodeEvent, Nodes, Stop};
use super::task::{self, JoinHandle};
use super::timers::{self, Timers};
use super::trace::{Recorder, emit_for};
use super::{Simulation, WorldEvent};
use crate::clock::UnixMillis;
use crate::events::{Event, Value};
use bytes::Bytes;
use std::future::Future;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Names a node of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// Names a partition, to lift it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u64);

/// What holds for the whole world.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// The network.
    pub net: NetConfig,
    /// What correct wall clocks show when the world begins.
    pub start: UnixMillis,
    /// How long a machine takes from the order to restart until its process runs.
    pub boot: Duration,
    /// Virtual time after which the run is given up as a crash; none for no limit.
    pub time_limit: Option<Duration>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        WorldConfig {
            net: NetConfig::default(),
            // 2025-01-01T00:00:00Z
            start: UnixMillis(1_735_689_600_000),
            boot: Duration::from_millis(20),
            time_limit: None,
        }
    }
}

/// A machine to be added.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    name: String,
    ip: Option<IpAddr>,
    cores: usize,
    disk: DiskConfig,
    clock_offset_ms: i64,
    clock_drift_ppm: f64,
}

impl NodeConfig {
    /// A machine with this name, which others can resolve, an address of its own choice, two
    /// cores, a default disk and a correct clock.
    pub fn new(name: impl Into<String>) -> NodeConfig {
        NodeConfig {
            name: name.into(),
            ip: None,
            cores: 2,
            disk: DiskConfig::default(),
            clock_offset_ms: 0,
            clock_drift_ppm: 0.0,
        }
    }

    /// Gives it this address.
    pub fn ip(mut self, ip: IpAddr) -> NodeConfig {
        self.ip = Some(ip);
        self
    }

    /// Gives it so many cores.
    pub fn cores(mut self, cores: usize) -> NodeConfig {
        self.cores = cores;
        self
    }

    /// Gives it this disk.
    pub fn disk(mut self, disk: DiskConfig) -> NodeConfig {
        self.disk = disk;
        self
    }

    /// Gives it a wall clock that is wrong: ahead by so many milliseconds, and faster by so many
    /// parts per million.
    pub fn clock(mut self, offset_ms: i64, drift_ppm: f64) -> NodeConfig {
        self.clock_offset_ms = offset_ms;
        self.clock_drift_ppm = drift_ppm;
        self
    }
}

/// What a node has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Work charged to its cores, over all of them.
    pub cpu_busy: Duration,
    /// How many cores it has.
    pub cores: usize,
    /// What it sent and received.
    pub traffic: Traffic,
    /// What its disk did.
    pub disk: DiskUse,
    /// How often its process was started.
    pub starts: u32,
}

/// A simulated world, from the scenario's point of view. Copies are the same world. It is bound to
/// the thread on which the world runs.
#[derive(Clone, Copy, Debug)]
pub struct World {
    boot: Duration,
    start: UnixMillis,
    _thread: PhantomData<*const ()>,
}

impl World {
    /// Runs the scenario in a new world with this seed and returns its output.
    ///
    /// The world runs on a thread of its own, because the standard library's hash maps take their
    /// keys once per thread, and here from the seed. The whole world ends when the scenario does.
    ///
    /// # Errors
    ///
    /// [`Crash`] when any task panics, on whatever node, when nothing can happen any more, or when
    /// the time limit has passed.
    pub fn run<F, Fut, T>(seed: u64, config: WorldConfig, scenario: F) -> Result<T, Crash>
    where
        F: FnOnce(World) -> Fut + Send,
        Fut: Future<Output = T>,
        T: Send,
    {
        crash::install_hook();
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name(format!("world {seed}"))
                .stack_size(64 << 20)
                .spawn_scoped(scope, move || crash::catch(|| run_here(seed, config, scenario)))
                .expect("the system refuses a thread")
                .join()
                .expect("panics of the world are caught")
        })
    }

    // Building.

    /// Adds a machine, powered and without a process.
    ///
    /// # Panics
    ///
    /// If its name or address is taken.
    pub fn add_node(&self, config: NodeConfig) -> NodeId {
        context::with(|sim| {
            let number = sim.nodes.all.len() as u32;
            let default = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number);
            let ip = config.ip.unwrap_or(default.into());
            let now = timers::now();
            let mut node = Node::new(&config.name, ip, config.cores, self.start);
            node.wall_clock.jump(now, (now / 1_000_000) as i64 + config.clock_offset_ms);
            node.wall_clock.drift(now, config.clock_drift_ppm);
            sim.net.add_host(ip);
            sim.disks.add(sim.seed, config.disk);
            NodeId(sim.nodes.add(node))
        })
    }

    /// Gives the node its process and starts it. `process` is called again at every restart; when
    /// the future that it returns ends, the process has exited and all its tasks go with it.
    ///
    /// # Panics
    ///
    /// If the node has a process that runs.
    pub fn start<F, Fut>(&self, node: NodeId, process: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        context::with(|sim| {
            let node = &mut sim.nodes.all[node.0];
            let runs = node.condition == Condition::Up && node.process.is_some();
            assert!(!runs, "{} runs a process", node.name);
            node.process = Some(Arc::new(move || Box::pin(process())));
            node.incarnation = if node.condition == Condition::Up { 0 } else { node.incarnation };
        });
        nodes::boot(node.0);
    }

    /// Runs one future on the node, beside its process or without one: a client, say. It is gone
    /// when the node crashes and is not started again.
    ///
    /// # Panics
    ///
    /// If the node is down.
    pub fn spawn_on<F>(&self, node: NodeId, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        context::with(|sim| {
            let node = &sim.nodes.all[node.0];
            assert!(node.condition == Condition::Up, "{} is down", node.name);
        });
        task::spawn_on(node.0, future)
    }

    /// Runs one future beside the scenario, on no machine: something that injects faults, say.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn_on(0, future)
    }

    // Faults of nodes.

    /// Kills the node's process. Its kernel closes the sockets: peers read the end of the stream,
    /// or a reset where bytes were left unread. What was written to disk stays.
    pub fn crash(&self, node: NodeId) {
        nodes::stop(node.0, Stop::Crash);
    }

    /// Cuts the node's power. Peers are told nothing, and what was not synced is lost.
    pub fn power_cut(&self, node: NodeId) {
        nodes::stop(node.0, Stop::PowerCut);
    }

    /// Starts a node that is down again; it runs after the boot time. Nothing happens to one that
    /// is up.
    pub fn restart(&self, node: NodeId) {
        context::with(|sim| {
            let at = timers::now() + self.boot.as_nanos() as u64;
            sim.timers.schedule(at, WorldEvent::Node(NodeEvent::Boot(node.0)));
        });
    }

    /// Freezes the node's tasks: its kernel still answers, nobody reads.
    pub fn pause(&self, node: NodeId) {
        nodes::set_paused(node.0, true);
    }

    /// Lets a frozen node go on.
    pub fn resume(&self, node: NodeId) {
        nodes::set_paused(node.0, false);
    }

    /// Asks the node's process to stop in good order, as SIGTERM does.
    pub fn request_shutdown(&self, node: NodeId) {
        emit_for(node.0, "node_stop", &[]);
        context::with(|sim| sim.nodes.all[node.0].shutdown.send_replace(true));
    }

    /// Waits until the node's present process has ended; at once if there is none.
    pub async fn ended(&self, node: NodeId) {
        let (mut ended, incarnation) = context::with(|sim| {
            let node = &sim.nodes.all[node.0];
            (node.ended.subscribe(), node.incarnation)
        });
        let _ = ended.wait_for(|ended| *ended >= incarnation).await;
    }

    /// Whether the node has power and its process, if it was given one, has not ended. A paused
    /// node is up.
    pub fn is_up(&self, node: NodeId) -> bool {
        context::with(|sim| sim.nodes.all[node.0].condition == Condition::Up)
    }

    /// Lets the node's cores take so many times longer from now on.
    pub fn set_cpu_slowness(&self, node: NodeId, slowness: f64) {
        self.note(node, "fault_cpu", (slowness * 1000.0) as i64);
        context::with(|sim| sim.nodes.all[node.0].cores.slowness = slowness);
    }

    /// Moves the node's wall clock by so many milliseconds.
    pub fn jump_clock(&self, node: NodeId, by_millis: i64) {
        self.note(node, "fault_clock", by_millis);
        context::with(|sim| {
            let now = timers::now();
            sim.nodes.all[node.0].wall_clock.jump(now, by_millis);
        });
    }

    /// Lets the node's wall clock run faster by so many parts per million from now on.
    pub fn set_clock_drift(&self, node: NodeId, ppm: f64) {
        self.note(node, "fault_drift", (ppm * 1000.0) as i64);
        context::with(|sim| {
            let now = timers::now();
            sim.nodes.all[node.0].wall_clock.drift(now, ppm);
        });
    }

    // Faults of disks.

    /// Gives the node's disk these faults, in place of those it had; the default heals it.
    pub fn set_disk_fault(&self, node: NodeId, fault: DiskFault) {
        self.note(node, "fault_disk", 0);
        context::with(|sim| sim.disks.set_fault(node.0, fault));
    }

    /// Turns over the bits `mask` of one byte of a file; false if there is no such byte.
    pub fn damage_file(&self, node: NodeId, path: impl AsRef<Path>, offset: u64, mask: u8) -> bool {
        self.note(node, "fault_damage", offset as i64);
        context::with(|sim| sim.disks.damage(node.0, path.as_ref(), offset, mask))
    }

    /// The files in a directory of the node's disk and their lengths, as processes see them, by
    /// name; none if there is no such directory.
    pub fn files(&self, node: NodeId, dir: impl AsRef<Path>) -> Vec<(PathBuf, u64)> {
        context::with(|sim| sim.disks.files(node.0, dir.as_ref()))
    }

    /// Where the latest writes that made a file longer stand, in the order written.
    pub fn appends(&self, node: NodeId, path: impl AsRef<Path>) -> Vec<Range<u64>> {
        context::with(|sim| sim.disks.appends(node.0, path.as_ref()))
    }

    /// What stands in a file, as processes see it, as far as the file goes.
    pub fn peek_file(&self, node: NodeId, path: impl AsRef<Path>, range: Range<u64>) -> Bytes {
        context::with(|sim| sim.disks.peek(node.0, path.as_ref(), range))
    }

    /// Puts `bytes` in place of what a file has at `offset`, though nobody has written them there:
    /// as after a write that was lost or went astray. The file does not become longer.
    pub fn spoil_file(&self, node: NodeId, path: impl AsRef<Path>, offset: u64, bytes: &[u8]) {
        self.note(node, "fault_spoil", offset as i64);
        context::with(|sim| sim.disks.spoil(node.0, path.as_ref(), offset, bytes));
    }

    /// Takes everything from the node's disk, as if it were another one. Its process must be down.
    ///
    /// # Panics
    /// When it is not.
    pub fn empty_disk(&self, node: NodeId) {
        assert!(!self.is_up(node), "files of a process that runs cannot go");
        self.note(node, "fault_empty_disk", 0);
        context::with(|sim| sim.disks.empty(node.0));
    }

    // Faults of the network.

    /// Keeps what any of `from` sends from reaching any of `to`, one way, until it is lifted.
    /// Connections stay: what is sent meanwhile is sent again, and given up in the end.
    pub fn block(&self, from: &[NodeId], to: &[NodeId]) -> PartitionId {
        let id = context::with(|sim| {
            let set = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
            sim.net.block(set(from), set(to))
        });
        emit_for(0, "partition", &[("id", Value::U64(id))]);
        PartitionId(id)
    }

    /// Cuts `a` and `b` off from each other, both ways.
    pub fn partition(&self, a: &[NodeId], b: &[NodeId]) -> [PartitionId; 2] {
        [self.block(a, b), self.block(b, a)]
    }

    /// Lifts a partition; nothing happens if that was done.
    pub fn heal(&self, partition: PartitionId) {
        emit_for(0, "heal", &[("id", Value::U64(partition.0))]);
        context::with(|sim| sim.net.unblock(partition.0));
    }

    /// Lifts all partitions.
    pub fn heal_all(&self) {
        emit_for(0, "heal_all", &[]);
        context::with(|sim| sim.net.unblock_all());
    }

    /// Sets how one direction between two nodes behaves from now on; none for the default.
    pub fn set_link(&self, from: NodeId, to: NodeId, link: Option<LinkConfig>) {
        self.note(from, "fault_link", to.0 as i64);
        context::with(|sim| sim.net.set_link(from.0, to.0, link));
    }

    /// Sets how all links behave that have no settings of their own.
    pub fn set_default_link(&self, link: LinkConfig) {
        context::with(|sim| sim.net.set_default_link(link));
    }

    // Read-outs.

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(timers::now())
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        context::with(|sim| sim.seed)
    }

    /// What correct wall clocks show.
    pub fn wall_clock(&self) -> UnixMillis {
        UnixMillis(self.start.0 + self.now().as_millis() as u64)
    }

    /// All nodes, in the order in which they were added.
    pub fn nodes(&self) -> Vec<NodeId> {
        context::with(|sim| (1..sim.nodes.all.len()).map(NodeId).collect())
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        context::with(|sim| sim.nodes.by_name(name).map(NodeId))
    }

    /// The node's name.
    pub fn name(&self, node: NodeId) -> Arc<str> {
        context::with(|sim| sim.nodes.all[node.0].name.clone())
    }

    /// The node's address.
    pub fn ip(&self, node: NodeId) -> IpAddr {
        context::with(|sim| sim.nodes.all[node.0].ip)
    }

    /// What the node has done so far.
    pub fn stats(&self, node: NodeId) -> NodeStats {
        context::with(|sim| {
            let state = &sim.nodes.all[node.0];
            NodeStats {
                cpu_busy: Duration::from_nanos(state.cores.busy),
                cores: state.cores.count(),
                traffic: sim.net.traffic(node.0),
                disk: sim.disks.done(node.0),
                starts: state.incarnation,
            }
        })
    }

    /// How many sockets the whole world has.
    pub fn open_sockets(&self) -> usize {
        context::with(|sim| sim.net.open_sockets())
    }

    /// How many events have entered the log.
    pub fn logged_events(&self) -> u64 {
        context::with(|sim| sim.recorder.events)
    }

    /// The hash of all that has happened so far.
    pub fn fingerprint(&self) -> Fingerprint {
        context::with(|sim| sim.recorder.fingerprint())
    }

    /// Calls `listener` for every event that a node emits or the world makes from now on. It may
    /// read from the world but must not change it, nor emit events.
    pub fn subscribe(&self, listener: impl FnMut(&Event<'_>) + Send + 'static) {
        super::trace::listen(Box::new(listener));
    }

    fn note(&self, node: NodeId, kind: &str, amount: i64) {
        emit_for(node.0, kind, &[("amount", Value::I64(amount))]);
    }
}

fn run_here<F, Fut, T>(seed: u64, config: WorldConfig, scenario: F) -> T
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = T>,
{
    // What does not go through the seam all the same, madsim answers: it seeds the keys of the
    // standard library's hash maps and what asks the system for entropy, stops the system's clocks,
    // and refuses threads.
    let runtime = madsim::runtime::Runtime::with_seed_and_config(seed, Default::default());
    runtime.block_on(async {
        let executor = Executor::new(seed, config.time_limit.map(|limit| limit.as_nanos() as u64));
        let mut simulation = Box::new(Simulation {
            seed,
            timers: Timers::default(),
            nodes: Nodes::default(),
            net: Fabric::new(seed, config.net),
            disks: Disks::new(),
            recorder: Recorder::new(seed),
        });
        simulation.nodes.add(Node::new("world", WORLD_IP, 1, config.start));
        simulation.net.add_host(WORLD_IP);
        simulation.disks.add(seed, DiskConfig::default());
        // Declared after the executor, so that the world is taken away before the tasks are.
        let _installed = install(simulation);
        let world = World { boot: config.boot, start: config.start, _thread: PhantomData };
        executor.run(scenario(world))
    })
}
