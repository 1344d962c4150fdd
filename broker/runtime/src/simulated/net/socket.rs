//! One end of a connection, and the table of all of them.

use crate::simulated::timers::Nanos;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

/// Names a socket; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SocketId {
    index: u32,
    generation: u32,
}

/// What travels from one socket to the other.
#[derive(Debug)]
pub(super) enum Item {
    Data(Bytes),
    /// No more data will follow.
    Fin,
    /// The connection is broken off.
    Reset,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) arrival: Nanos,
    pub(super) item: Item,
}

/// How far a connect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first packet was sent at this time, nothing has come back.
    Connecting(Nanos),
    Open,
    /// Broken or refused: the network forgets it, the application has yet to notice.
    Dead,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) node: usize,
    pub(super) peer_node: usize,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) peer: Option<SocketId>,
    pub(super) phase: Phase,
    /// The application has let go of it; the kernel still delivers what was written.
    pub(super) orphan: bool,
    /// Closing it resets the connection.
    pub(super) zero_linger: bool,
    /// Reported to the application once.
    pub(super) error: Option<io::ErrorKind>,

    // Outgoing.
    /// Accepted from the application, not sent: the receiver has no room.
    pub(super) unsent: VecDeque<Bytes>,
    /// Sent, not arrived.
    pub(super) wire: VecDeque<Segment>,
    pub(super) wire_bytes: usize,
    /// Bytes that occupy the send buffer: unsent, on the wire, or not acknowledged.
    pub(super) buffered: usize,
    /// Arrived, but the acknowledgement cannot come back.
    pub(super) unacknowledged: usize,
    pub(super) unacknowledged_since: Nanos,
    pub(super) fin_queued: bool,
    pub(super) fin_sent: bool,
    /// An event is scheduled that looks at the front of `wire`.
    pub(super) delivery_scheduled: bool,
    /// How often the front of `wire` was sent in vain, and since when.
    pub(super) attempts: u32,
    pub(super) stalled_since: Option<Nanos>,
    pub(super) window_closed: bool,
    pub(super) writer: Option<Waker>,

    // Incoming.
    pub(super) received: VecDeque<Bytes>,
    pub(super) received_bytes: usize,
    pub(super) fin_received: bool,
    pub(super) reader: Option<Waker>,
}

impl Socket {
    pub(super) fn new(
        node: usize,
        peer_node: usize,
        local: SocketAddr,
        remote: SocketAddr,
        phase: Phase,
    ) -> Socket {
        Socket {
            node,
            peer_node,
            local,
            remote,
            peer: None,
            phase,
            orphan: false,
            zero_linger: false,
            error: None,
            unsent: VecDeque::new(),
            wire: VecDeque::new(),
            wire_bytes: 0,
            buffered: 0,
            unacknowledged: 0,
            unacknowledged_since: 0,
            fin_queued: false,
            fin_sent: false,
            delivery_scheduled: false,
            attempts: 0,
            stalled_since: None,
            window_closed: false,
            writer: None,
            received: VecDeque::new(),
            received_bytes: 0,
            fin_received: false,
            reader: None,
        }
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Nothing of it is left to be sent.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent.is_empty() && self.wire.is_empty()
    }
}

/// All sockets of the world. Iteration is in the order of their slots, the same in every run.
#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<(u32, Option<Box<Socket>>)>,
    free: Vec<u32>,
}

impl Sockets {
    pub(super) fn insert(&mut self, socket: Socket) -> SocketId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.1 = Some(Box::new(socket));
        SocketId { index, generation: slot.0 }
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.0 == id.generation { slot.1.as_deref() } else { None }
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.0 == id.generation { slot.1.as_deref_mut() } else { None }
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Box<Socket>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.0 != id.generation {
            return None;
        }
        let socket = slot.1.take()?;
        slot.0 = slot.0.wrapping_add(1);
        self.free.push(id.index);
        Some(socket)
    }

    /// The sockets of one node.
    pub(super) fn of_node(&self, node: usize) -> Vec<SocketId> {
        let ids = self.slots.iter().enumerate().filter_map(|(index, (generation, socket))| {
            let socket = socket.as_ref()?;
            let id = SocketId { index: index as u32, generation: *generation };
            (socket.node == node).then_some(id)
        });
        ids.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
