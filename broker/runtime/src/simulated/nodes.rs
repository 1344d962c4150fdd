//! The machines of a world and the processes on them: what is known of each, and their lives.

use super::WorldEvent;
use super::context;
use super::cpu::Cores;
use super::executor;
use super::timers::{self, Nanos};
use crate::clock::UnixMillis;
use crate::events::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// What a node runs, made anew at each start.
pub(crate) type Process = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// In which condition a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The machine runs; so does its process, if it was given one.
    Up,
    /// The machine runs, its process does not.
    Down,
    /// The machine has no power.
    Off,
}

pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) ip: IpAddr,
    pub(crate) condition: Condition,
    pub(crate) paused: bool,
    /// How often a process has been started.
    pub(crate) incarnation: u32,
    pub(crate) process: Option<Process>,
    pub(crate) cores: Cores,
    pub(crate) wall_clock: WallClock,
    pub(crate) shutdown: watch::Sender<bool>,
    /// How often each label of a random stream was asked for in this incarnation.
    pub(crate) streams: BTreeMap<String, u32>,
    /// Told when a process ends, whatever the reason.
    pub(crate) ended: watch::Sender<u32>,
}

impl Node {
    pub(crate) fn new(name: &str, ip: IpAddr, cores: usize, start: UnixMillis) -> Node {
        Node {
            name: name.into(),
            ip,
            condition: Condition::Up,
            paused: false,
            incarnation: 0,
            process: None,
            cores: Cores::new(cores),
            wall_clock: WallClock::new(start),
            shutdown: watch::channel(false).0,
            streams: BTreeMap::new(),
            ended: watch::channel(0).0,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.condition == Condition::Up
    }
}

/// All nodes by number; number 0 is the world itself, whose main future is not on any machine.
#[derive(Default)]
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    by_name: BTreeMap<Arc<str>, usize>,
}

impl Nodes {
    pub(crate) fn add(&mut self, node: Node) -> usize {
        let index = self.all.len();
        let previous = self.by_name.insert(node.name.clone(), index);
        assert!(previous.is_none(), "two nodes are named {:?}", node.name);
        executor::add_host(&node.name);
        self.all.push(node);
        index
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The node on which the running task is.
    pub(crate) fn current_index(&self) -> usize {
        executor::node()
    }

    pub(crate) fn current(&self) -> &Node {
        &self.all[executor::node()]
    }

    pub(crate) fn current_mut(&mut self) -> &mut Node {
        &mut self.all[executor::node()]
    }
}

/// A wall clock with an error: virtual time, faster or slower by a drift, plus an offset.
pub(crate) struct WallClock {
    /// What the clock showed at `since`, in nanoseconds since the epoch.
    shown: i128,
    since: Nanos,
    /// Parts per million by which it runs too fast.
    drift_ppm: f64,
}

impl WallClock {
    fn new(start: UnixMillis) -> WallClock {
        WallClock { shown: start.0 as i128 * 1_000_000, since: 0, drift_ppm: 0.0 }
    }

    fn nanos(&self, now: Nanos) -> i128 {
        let passed = now - self.since;
        let error = (passed as f64 * self.drift_ppm / 1e6) as i128;
        self.shown + passed as i128 + error
    }

    pub(crate) fn read(&self, now: Nanos) -> UnixMillis {
        UnixMillis((self.nanos(now).max(0) / 1_000_000) as u64)
    }

    pub(crate) fn jump(&mut self, now: Nanos, by_millis: i64) {
        self.shown = self.nanos(now) + by_millis as i128 * 1_000_000;
        self.since = now;
    }

    pub(crate) fn drift(&mut self, now: Nanos, ppm: f64) {
        self.shown = self.nanos(now);
        self.since = now;
        self.drift_ppm = ppm;
    }
}

/// Something in the life of a node that happens at its time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeEvent {
    /// The process starts.
    Boot(usize),
    /// The process of this incarnation has returned.
    Exit(usize, u32),
}

impl NodeEvent {
    /// Must be called while the world is not borrowed.
    pub(crate) fn happen(self) {
        match self {
            NodeEvent::Boot(index) => boot(index),
            NodeEvent::Exit(index, incarnation) => {
                let current = context::with(|sim| sim.nodes.all[index].incarnation);
                if current == incarnation {
                    stop(index, Stop::Exit);
                }
            }
        }
    }
}

/// Gives the machine power if it has none, and starts the process if it does not run.
pub(crate) fn boot(index: usize) {
    let Some((incarnation, process)) = context::with(|sim| {
        let node = &mut sim.nodes.all[index];
        if node.condition == Condition::Up && (node.incarnation > 0 || node.process.is_none()) {
            return None; // Asked for twice: it runs already.
        }
        node.condition = Condition::Up;
        node.incarnation += 1;
        node.streams.clear();
        node.shutdown = watch::channel(false).0;
        sim.net.power_on(index);
        Some((node.incarnation, node.process.clone()))
    }) else {
        return;
    };
    super::trace::emit_for(index, "node_start", &[]);
    let Some(process) = process else { return };
    let main = async move {
        process().await;
        context::with(|sim| {
            let exit = WorldEvent::Node(NodeEvent::Exit(index, incarnation));
            sim.timers.schedule(timers::now(), exit);
        });
    };
    executor::spawn(index, Box::pin(main));
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its main future returned.
    Exit,
    /// It was killed: the kernel closes its sockets, the page cache survives.
    Crash,
    /// The machine lost power: nobody is told, unsynced bytes are lost.
    PowerCut,
}

/// Ends the node's process. Nothing happens to a machine that is in that condition already.
pub(crate) fn stop(index: usize, how: Stop) {
    let stopped = context::with(|sim| {
        let now = timers::now();
        let node = &mut sim.nodes.all[index];
        let next = if how == Stop::PowerCut { Condition::Off } else { Condition::Down };
        if node.condition == Condition::Off || node.condition == next {
            return None;
        }
        let was_up = node.condition == Condition::Up;
        node.paused = false;
        Some((next, was_up, now))
    });
    let Some((next, was_up, now)) = stopped else { return };
    let kind = match how {
        Stop::Exit => "node_exit",
        Stop::Crash => "node_crash",
        Stop::PowerCut => "node_power_cut",
    };
    super::trace::emit_for(index, kind, &[]);
    if was_up {
        executor::kill(index);
    }
    context::with(|sim| {
        let node = &mut sim.nodes.all[index];
        node.condition = next;
        node.cores.clear(now);
        node.ended.send_replace(node.incarnation);
        sim.disks.process_gone(index, how == Stop::PowerCut);
        sim.network(|net, io| net.process_gone(io, index, how == Stop::PowerCut));
    });
}

/// Freezes the node's tasks, or lets them go on.
pub(crate) fn set_paused(index: usize, paused: bool) {
    let changed = context::with(|sim| {
        let node = &mut sim.nodes.all[index];
        let changed = node.condition == Condition::Up && node.paused != paused;
        node.paused ^= changed;
        changed
    });
    if !changed {
        return;
    }
    super::trace::emit_for(index, "node_pause", &[("paused", Value::Bool(paused))]);
    if paused {
        executor::pause(index);
    } else {
        executor::resume(index);
    }
}
