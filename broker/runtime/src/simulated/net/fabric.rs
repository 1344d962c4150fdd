//! The network between the nodes: who may reach whom, what is under way, what listens where.
//!
//! Connections are made here; what then goes over them is in `stream`.
//!
//! Nothing happens here by the clock alone. An event is scheduled when something is on the wire,
//! one per direction of a connection, and each event settles all that has arrived by then.

use super::link::{Link, LinkConfig, NetConfig};
use super::socket::{Phase, Socket, SocketId, Sockets};
use crate::simulated::random::derive;
use crate::simulated::timers::{self, Nanos, Timers};
use crate::simulated::trace::Recorder;
use crate::simulated::{Simulation, WorldEvent};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};

/// Something of the network that happens at its time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NetEvent {
    /// What this socket has on the wire may have arrived, or is sent again.
    Deliver(SocketId),
    /// This socket learns that its receiver has room again.
    Window(SocketId),
    /// The acknowledgements of this socket's bytes are tried again.
    Acknowledge(SocketId),
    /// This socket learns that nobody is there.
    Reset(SocketId),
    /// This socket's wish to connect arrives, for the n-th time.
    Syn(SocketId, u32),
    /// This socket learns that nobody listens.
    Refused(SocketId),
    /// The first socket learns that it is connected to the second.
    Established(SocketId, SocketId),
    /// This listener may accept the socket; tried for the n-th time.
    Accept(u64, SocketId, u32),
}

/// What the network needs of the world around it.
pub(crate) struct Io<'a> {
    pub(crate) now: Nanos,
    timers: &'a mut Timers,
    pub(super) recorder: &'a mut Recorder,
}

impl Io<'_> {
    pub(super) fn schedule(&mut self, at: Nanos, event: NetEvent) {
        self.timers.schedule(at, WorldEvent::Net(event));
    }
}

impl Simulation {
    /// Calls `f` with the network and what it needs.
    pub(crate) fn network<R>(&mut self, f: impl FnOnce(&mut Fabric, &mut Io<'_>) -> R) -> R {
        let now = timers::now();
        let mut io = Io { now, timers: &mut self.timers, recorder: &mut self.recorder };
        f(&mut self.net, &mut io)
    }

    pub(crate) fn handle_net_event(&mut self, now: Nanos, event: NetEvent) {
        let mut io = Io { now, timers: &mut self.timers, recorder: &mut self.recorder };
        self.net.handle(&mut io, event);
    }
}

/// A machine as the network sees it.
pub(super) struct Host {
    ip: IpAddr,
    powered: bool,
    pub(super) ports: BTreeSet<u16>,
    next_port: u16,
    pub(super) traffic: Traffic,
}

/// What a node has sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Chunks sent: at least one for each write.
    pub chunks_out: u64,
    /// Chunks received.
    pub chunks_in: u64,
}

struct Listener {
    node: usize,
    addr: SocketAddr,
    ready: VecDeque<SocketId>,
    waiting: Vec<Waker>,
}

/// A rule that keeps traffic from the first nodes from reaching the second.
struct Rule {
    from: BTreeSet<usize>,
    to: BTreeSet<usize>,
}

/// The first wait before a connect is tried again; each next one is twice as long.
const SYN_RETRY: Nanos = 1_000_000_000;
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

pub(crate) struct Fabric {
    seed: u64,
    pub(super) config: NetConfig,
    pub(super) hosts: Vec<Host>,
    by_ip: BTreeMap<IpAddr, usize>,
    /// By sender, then by receiver; made when first used.
    links: Vec<Vec<Option<Box<Link>>>>,
    rules: BTreeMap<u64, Rule>,
    next_rule: u64,
    pub(super) sockets: Sockets,
    listeners: BTreeMap<u64, Listener>,
    next_listener: u64,
    pub(super) reads: ChaCha8Rng,
}

impl Fabric {
    pub(crate) fn new(seed: u64, config: NetConfig) -> Fabric {
        Fabric {
            seed,
            config,
            hosts: Vec::new(),
            by_ip: BTreeMap::new(),
            links: Vec::new(),
            rules: BTreeMap::new(),
            next_rule: 1,
            sockets: Sockets::default(),
            listeners: BTreeMap::new(),
            next_listener: 1,
            reads: derive(seed, &[b"reads"]),
        }
    }

    pub(crate) fn add_host(&mut self, ip: IpAddr) {
        let previous = self.by_ip.insert(ip, self.hosts.len());
        assert!(previous.is_none(), "two nodes have the address {ip}");
        self.hosts.push(Host {
            ip,
            powered: true,
            ports: BTreeSet::new(),
            next_port: FIRST_EPHEMERAL_PORT,
            traffic: Traffic::default(),
        });
    }

    pub(crate) fn host_of(&self, ip: IpAddr) -> Option<usize> {
        self.by_ip.get(&ip).copied()
    }

    pub(crate) fn traffic(&self, node: usize) -> Traffic {
        self.hosts[node].traffic
    }

    pub(crate) fn open_sockets(&self) -> usize {
        self.sockets.len()
    }

    // Faults.

    /// Keeps what `from` sends from reaching `to` until the rule is lifted.
    pub(crate) fn block(&mut self, from: BTreeSet<usize>, to: BTreeSet<usize>) -> u64 {
        let id = self.next_rule;
        self.next_rule += 1;
        self.rules.insert(id, Rule { from, to });
        id
    }

    pub(crate) fn unblock(&mut self, id: u64) {
        self.rules.remove(&id);
    }

    pub(crate) fn unblock_all(&mut self) {
        self.rules.clear();
    }

    /// Sets how one direction behaves from now on; none for the default.
    pub(crate) fn set_link(&mut self, from: usize, to: usize, config: Option<LinkConfig>) {
        let config = config.unwrap_or_else(|| self.default_link(from, to));
        self.link(from, to).config = config;
    }

    /// Sets how all links without settings of their own behave; those made before keep theirs.
    pub(crate) fn set_default_link(&mut self, config: LinkConfig) {
        for (from, links) in self.links.iter_mut().enumerate() {
            for (to, link) in links.iter_mut().enumerate() {
                if let Some(link) = link.as_mut().filter(|link| link.config == self.config.link)
                    && from != to
                {
                    link.config = config.clone();
                }
            }
        }
        self.config.link = config;
    }

    fn default_link(&self, from: usize, to: usize) -> LinkConfig {
        if from == to { self.config.loopback.clone() } else { self.config.link.clone() }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        if self.links.len() < self.hosts.len() {
            self.links.resize_with(self.hosts.len(), Vec::new);
        }
        let links = &mut self.links[from];
        if links.len() < self.hosts.len() {
            links.resize_with(self.hosts.len(), || None);
        }
        let (seed, config) = (self.seed, &self.config);
        links[to].get_or_insert_with(|| {
            let own = if from == to { &config.loopback } else { &config.link };
            Box::new(Link::new(seed, from, to, own.clone()))
        })
    }

    /// Whether what `from` sends reaches the machine `to`.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.hosts[to].powered
            && (self.rules.is_empty()
                || from == to
                || !self
                    .rules
                    .values()
                    .any(|rule| rule.from.contains(&from) && rule.to.contains(&to)))
    }

    /// When something sent now arrives.
    pub(super) fn travel(&mut self, now: Nanos, from: usize, to: usize, len: usize) -> Nanos {
        let first = self.config.retransmit_first.as_nanos() as Nanos;
        self.link(from, to).send(now, len, first)
    }

    pub(crate) fn power_on(&mut self, node: usize) {
        self.hosts[node].powered = true;
    }

    /// The node's process is gone. The kernel closes its sockets, unless the power is cut too.
    pub(crate) fn process_gone(&mut self, io: &mut Io<'_>, node: usize, power_cut: bool) {
        let listeners = self.listeners.iter().filter(|(_, listener)| listener.node == node);
        for id in listeners.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close_listener(io, id);
        }
        for id in self.sockets.of_node(node) {
            if power_cut {
                self.forget(io, id);
            } else {
                self.close(io, id);
            }
        }
        if power_cut {
            self.hosts[node].powered = false;
        }
    }

    pub(crate) fn handle(&mut self, io: &mut Io<'_>, event: NetEvent) {
        match event {
            NetEvent::Deliver(id) => self.deliver(io, id),
            NetEvent::Window(id) => self.window_opens(io, id),
            NetEvent::Acknowledge(id) => self.acknowledge(io, id),
            NetEvent::Reset(id) => self.reset_arrives(io, id),
            NetEvent::Syn(id, attempt) => self.syn_arrives(io, id, attempt),
            NetEvent::Refused(id) => self.break_off(io, id, io::ErrorKind::ConnectionRefused),
            NetEvent::Established(id, server) => self.established(io, id, server),
            NetEvent::Accept(listener, id, attempt) => self.accept_ready(io, listener, id, attempt),
        }
    }

    // Listeners.

    pub(crate) fn bind(&mut self, node: usize, addr: SocketAddr) -> io::Result<(u64, SocketAddr)> {
        let host = &self.hosts[node];
        let ip = addr.ip();
        if !(ip.is_unspecified() || ip.is_loopback() || ip == host.ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let taken = |port: u16| {
            self.listeners.values().any(|other| {
                let theirs = other.addr.ip();
                other.node == node
                    && other.addr.port() == port
                    && (theirs == ip || theirs.is_unspecified() || ip.is_unspecified())
            })
        };
        let port = match addr.port() {
            0 => self.free_port(node),
            port if taken(port) => return Err(io::ErrorKind::AddrInUse.into()),
            port => port,
        };
        self.hosts[node].ports.insert(port);
        let id = self.next_listener;
        self.next_listener += 1;
        let addr = SocketAddr::new(ip, port);
        let listener = Listener { node, addr, ready: VecDeque::new(), waiting: Vec::new() };
        self.listeners.insert(id, listener);
        Ok((id, addr))
    }

    fn free_port(&mut self, node: usize) -> u16 {
        let host = &mut self.hosts[node];
        for _ in FIRST_EPHEMERAL_PORT..=u16::MAX {
            let port = host.next_port;
            host.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            if host.ports.insert(port) {
                return port;
            }
        }
        panic!("a node has more than {} connections", u16::MAX - FIRST_EPHEMERAL_PORT)
    }

    pub(crate) fn poll_accept(
        &mut self,
        id: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(SocketId, SocketAddr, SocketAddr)>> {
        let Some(listener) = self.listeners.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while let Some(id) = listener.ready.pop_front() {
            if let Some(socket) = self.sockets.get(id) {
                return Poll::Ready(Ok((id, socket.local, socket.remote)));
            }
        }
        if !listener.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            listener.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(crate) fn close_listener(&mut self, io: &mut Io<'_>, id: u64) {
        let Some(listener) = self.listeners.remove(&id) else { return };
        self.hosts[listener.node].ports.remove(&listener.addr.port());
        for socket in listener.ready {
            self.set_zero_linger(socket);
            self.close(io, socket);
        }
        listener.waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn listener_at(&self, node: usize, addr: SocketAddr) -> Option<u64> {
        let listens = |listener: &&Listener| {
            let ip = listener.addr.ip();
            listener.node == node
                && listener.addr.port() == addr.port()
                && (ip == addr.ip() || ip.is_unspecified())
        };
        self.listeners.iter().find(|(_, listener)| listens(listener)).map(|(id, _)| *id)
    }

    // Connecting.

    pub(crate) fn connect(&mut self, io: &mut Io<'_>, node: usize, remote: SocketAddr) -> SocketId {
        let ip = if remote.ip().is_loopback() { remote.ip() } else { self.hosts[node].ip };
        let peer_node =
            if remote.ip().is_loopback() { Some(node) } else { self.host_of(remote.ip()) };
        let local = SocketAddr::new(ip, self.free_port(node));
        // An address that nobody has is a black hole: the node stands in for its own peer, but
        // the attempt number says that nothing ever arrives.
        let phase = Phase::Connecting(io.now);
        let socket = Socket::new(node, peer_node.unwrap_or(node), local, remote, phase);
        let id = self.sockets.insert(socket);
        match peer_node {
            Some(peer) => {
                let arrival = self.travel(io.now, node, peer, 0);
                io.schedule(arrival, NetEvent::Syn(id, 0));
            }
            None => {
                let timeout = self.config.connect_timeout.as_nanos() as Nanos;
                io.schedule(io.now + timeout, NetEvent::Syn(id, u32::MAX));
            }
        }
        id
    }

    pub(crate) fn poll_connected(
        &mut self,
        id: SocketId,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let Some(socket) = self.sockets.get_mut(id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(error) = socket.error.take() {
            return Poll::Ready(Err(error.into()));
        }
        match socket.phase {
            Phase::Open => Poll::Ready(Ok(socket.local)),
            Phase::Dead => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Phase::Connecting(_) => {
                socket.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn syn_arrives(&mut self, io: &mut Io<'_>, id: SocketId, attempt: u32) {
        let Some(socket) = self.sockets.get(id) else { return };
        let Phase::Connecting(since) = socket.phase else { return };
        let (node, peer_node) = (socket.node, socket.peer_node);
        let (local, remote) = (socket.local, socket.remote);
        let deadline = since + self.config.connect_timeout.as_nanos() as Nanos;
        let answered = self.reaches(node, peer_node) && self.reaches(peer_node, node);
        let listener = self.listener_at(peer_node, remote);
        let full = listener
            .is_some_and(|listener| self.listeners[&listener].ready.len() >= self.config.backlog);
        if attempt == u32::MAX || io.now >= deadline {
            self.break_off(io, id, io::ErrorKind::TimedOut);
        } else if !answered || full {
            let again = io.now + (SYN_RETRY << attempt.min(20));
            io.schedule(again.min(deadline), NetEvent::Syn(id, attempt + 1));
        } else if listener.is_none() {
            let arrival = self.travel(io.now, peer_node, node, 0);
            io.schedule(arrival, NetEvent::Refused(id));
        } else {
            let mut server = Socket::new(peer_node, node, remote, local, Phase::Open);
            server.peer = Some(id);
            let server = self.sockets.insert(server);
            let arrival = self.travel(io.now, peer_node, node, 0);
            io.schedule(arrival, NetEvent::Established(id, server));
        }
    }

    fn established(&mut self, io: &mut Io<'_>, id: SocketId, server: SocketId) {
        let client = self.sockets.get_mut(id).filter(|s| matches!(s.phase, Phase::Connecting(_)));
        let Some(client) = client else {
            // The client has gone meanwhile.
            self.forget(io, server);
            return;
        };
        client.phase = Phase::Open;
        client.peer = Some(server);
        client.wake_writer();
        let (node, peer_node) = (client.node, client.peer_node);
        let arrival = self.travel(io.now, node, peer_node, 0);
        io.recorder.record(io.now, 2, &[node as u64, peer_node as u64]);
        match self.sockets.get(server).map(|socket| socket.local) {
            Some(addr) => {
                let listener = self.listener_at(peer_node, addr).unwrap_or(0);
                io.schedule(arrival, NetEvent::Accept(listener, server, 0));
            }
            None => io.schedule(arrival, NetEvent::Reset(id)),
        }
    }

    fn accept_ready(&mut self, io: &mut Io<'_>, listener: u64, id: SocketId, attempt: u32) {
        let Some(socket) = self.sockets.get(id) else { return };
        let (node, peer_node) = (socket.node, socket.peer_node);
        if !self.reaches(peer_node, node) && attempt < 5 {
            let again = io.now + (SYN_RETRY << attempt);
            io.schedule(again, NetEvent::Accept(listener, id, attempt + 1));
            return;
        }
        match self.listeners.get_mut(&listener) {
            Some(listener) => {
                listener.ready.push_back(id);
                std::mem::take(&mut listener.waiting).into_iter().for_each(Waker::wake);
            }
            None => {
                self.set_zero_linger(id);
                self.close(io, id);
            }
        }
    }
}

/// The address of the world itself, on which no process runs.
pub(crate) const WORLD_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 255, 255, 254));
