//! What goes over a connection: bytes, their acknowledgement, the end of them, and resets.
//!
//! This is TCP as far as applications can tell: in order, with buffers that fill up on both sides,
//! sent again when the way is blocked and given up after a time. What no application can observe
//! is left out: sequence numbers, acknowledgements of their own (unless their way is blocked),
//! congestion control.

use super::fabric::{Fabric, Io, NetEvent};
use super::socket::{Item, Phase, Segment, SocketId};
use crate::simulated::timers::Nanos;
use crate::simulated::trace::digest;
use bytes::Bytes;
use rand::Rng;
use std::io;
use std::task::{Context, Poll};

/// Largest chunk that travels as one.
const CHUNK: usize = 64 * 1024;

impl Fabric {
    pub(crate) fn poll_write(
        &mut self,
        io: &mut Io<'_>,
        id: SocketId,
        bufs: &[io::IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let send_buffer = self.config.send_buffer;
        let Some(socket) = self.sockets.get_mut(id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if let Some(error) = socket.error.take() {
            return Poll::Ready(Err(error.into()));
        }
        if socket.phase == Phase::Dead || socket.fin_queued {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = send_buffer.saturating_sub(socket.buffered);
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            socket.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = wanted.min(room);
        socket.unsent.push_back(gather(bufs, taken));
        socket.buffered += taken;
        self.transmit(io, id);
        Poll::Ready(Ok(taken))
    }

    /// No more data will be written.
    pub(crate) fn shutdown(&mut self, io: &mut Io<'_>, id: SocketId) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(id) else { return Ok(()) };
        if socket.phase != Phase::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !socket.fin_queued {
            socket.fin_queued = true;
            self.transmit(io, id);
        }
        Ok(())
    }

    /// Puts on the wire what the receiver has room for.
    pub(super) fn transmit(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get(id) else { return };
        if socket.phase != Phase::Open {
            return;
        }
        let (node, peer_node) = (socket.node, socket.peer_node);
        let held =
            socket.peer.and_then(|peer| self.sockets.get(peer)).map_or(0, |p| p.received_bytes);
        let mut room = self.config.receive_buffer.saturating_sub(held + socket.wire_bytes);
        loop {
            let Some(socket) = self.sockets.get_mut(id) else { return };
            let item = match socket.unsent.front_mut() {
                Some(_) if room == 0 => {
                    socket.window_closed = true;
                    break;
                }
                Some(front) if front.len() > room.min(CHUNK) => {
                    Item::Data(front.split_to(room.min(CHUNK)))
                }
                Some(_) => Item::Data(socket.unsent.pop_front().expect("it has a front")),
                None if socket.fin_queued && !socket.fin_sent => {
                    socket.fin_sent = true;
                    Item::Fin
                }
                None => break,
            };
            let len = if let Item::Data(bytes) = &item { bytes.len() } else { 0 };
            room -= len;
            socket.wire_bytes += len;
            let traffic = &mut self.hosts[node].traffic;
            traffic.bytes_out += len as u64;
            traffic.chunks_out += u64::from(len > 0);
            self.send(io, id, node, peer_node, len, item);
        }
        self.schedule_delivery(io, id);
    }

    fn send(
        &mut self,
        io: &mut Io<'_>,
        id: SocketId,
        node: usize,
        peer: usize,
        len: usize,
        item: Item,
    ) {
        let arrival = self.travel(io.now, node, peer, len);
        let Some(socket) = self.sockets.get_mut(id) else { return };
        socket.wire.push_back(Segment { arrival, item });
    }

    fn schedule_delivery(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if let (Some(front), false) = (socket.wire.front(), socket.delivery_scheduled) {
            socket.delivery_scheduled = true;
            let at = front.arrival.max(io.now);
            io.schedule(at, NetEvent::Deliver(id));
        }
    }

    // Arriving.

    pub(super) fn deliver(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        socket.delivery_scheduled = false;
        if socket.phase == Phase::Dead || socket.wire.is_empty() {
            return;
        }
        let (node, peer_node, peer) = (socket.node, socket.peer_node, socket.peer);
        if !self.reaches(node, peer_node) {
            return self.stall(io, id);
        }
        let returns = self.reaches(peer_node, node);
        let socket = self.sockets.get_mut(id).expect("it was there");
        socket.attempts = 0;
        socket.stalled_since = None;
        while let Some(socket) = self.sockets.get_mut(id) {
            if socket.wire.front().is_none_or(|front| front.arrival > io.now) {
                break;
            }
            let segment = socket.wire.pop_front().expect("it has a front");
            match segment.item {
                Item::Data(bytes) => {
                    socket.wire_bytes -= bytes.len();
                    let len = bytes.len();
                    if !self.receive(io, peer_node, peer, bytes) {
                        return self.answer_reset(io, id, returns);
                    }
                    self.arrived(io, id, len, returns);
                }
                Item::Fin => {
                    let expected = socket.orphan || socket.fin_received;
                    match peer.and_then(|peer| self.sockets.get_mut(peer)) {
                        Some(peer) => {
                            peer.fin_received = true;
                            peer.wake_reader();
                        }
                        None if expected => {}
                        None => return self.answer_reset(io, id, returns),
                    }
                    io.recorder.record(io.now, 3, &[node as u64, peer_node as u64]);
                }
                Item::Reset => {
                    io.recorder.record(io.now, 4, &[node as u64, peer_node as u64]);
                    if let Some(peer) = peer {
                        self.reset_arrives(io, peer);
                    }
                }
            }
        }
        self.schedule_delivery(io, id);
        self.forget_if_done(io, id);
    }

    /// Hands bytes to the receiving socket; false if there is none any more.
    fn receive(
        &mut self,
        io: &mut Io<'_>,
        node: usize,
        id: Option<SocketId>,
        bytes: Bytes,
    ) -> bool {
        let receiver = id.and_then(|id| self.sockets.get_mut(id));
        let Some(receiver) = receiver.filter(|socket| socket.phase != Phase::Dead) else {
            return false;
        };
        if receiver.orphan {
            // Nobody will read this, and Linux then gives up what is left to be sent, too.
            receiver.unsent.clear();
            receiver.fin_sent = true;
            return false;
        }
        io.recorder.record(
            io.now,
            1,
            &[(receiver.peer_node as u64) << 32 | node as u64, bytes.len() as u64, digest(&bytes)],
        );
        receiver.received_bytes += bytes.len();
        let traffic = &mut self.hosts[node].traffic;
        traffic.bytes_in += bytes.len() as u64;
        traffic.chunks_in += 1;
        receiver.received.push_back(bytes);
        receiver.wake_reader();
        true
    }

    /// `len` bytes of this socket are with the receiver; the send buffer is free of them once
    /// that is acknowledged, which takes no time unless the way back is blocked.
    fn arrived(&mut self, io: &mut Io<'_>, id: SocketId, len: usize, returns: bool) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if returns && socket.unacknowledged == 0 {
            socket.buffered -= len;
            socket.wake_writer();
            return;
        }
        if socket.unacknowledged == 0 {
            socket.unacknowledged_since = io.now;
            let first = self.config.retransmit_first.as_nanos() as Nanos;
            io.schedule(io.now + first, NetEvent::Acknowledge(id));
        }
        socket.unacknowledged += len;
    }

    pub(super) fn acknowledge(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get(id).filter(|s| s.unacknowledged > 0) else { return };
        let waited = io.now - socket.unacknowledged_since;
        if self.reaches(socket.node, socket.peer_node)
            && self.reaches(socket.peer_node, socket.node)
        {
            let socket = self.sockets.get_mut(id).expect("it was there");
            socket.buffered -= std::mem::take(&mut socket.unacknowledged);
            socket.wake_writer();
        } else if waited >= self.config.retransmit_timeout.as_nanos() as Nanos {
            self.break_off(io, id, io::ErrorKind::TimedOut);
        } else {
            let timeout = self.config.retransmit_timeout.as_nanos() as Nanos;
            let wait = waited.max(1_000_000).min(timeout - waited);
            io.schedule(io.now + wait, NetEvent::Acknowledge(id));
        }
    }

    /// The front of the wire did not get through: it is sent again later, or given up.
    fn stall(&mut self, io: &mut Io<'_>, id: SocketId) {
        let first = self.config.retransmit_first.as_nanos() as Nanos;
        let timeout = self.config.retransmit_timeout.as_nanos() as Nanos;
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if matches!(socket.wire.back(), Some(Segment { item: Item::Reset, .. })) {
            // A reset is sent once, and whoever sent it has forgotten the connection.
            return self.forget(io, id);
        }
        let since = *socket.stalled_since.get_or_insert(io.now);
        let deadline = since + timeout;
        if io.now >= deadline {
            return self.break_off(io, id, io::ErrorKind::TimedOut);
        }
        let wait = first << socket.attempts.min(20);
        socket.attempts += 1;
        socket.delivery_scheduled = true;
        io.schedule((io.now + wait).min(deadline), NetEvent::Deliver(id));
    }

    /// Data reached a machine that knows no such connection: it answers with a reset.
    pub(super) fn answer_reset(&mut self, io: &mut Io<'_>, id: SocketId, returns: bool) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let (node, peer_node) = (socket.node, socket.peer_node);
        if returns {
            let arrival = self.travel(io.now, peer_node, node, 0);
            io.schedule(arrival, NetEvent::Reset(id));
        } else {
            // The answer is lost: the sender waits in vain and gives up in the end.
            let timeout = self.config.retransmit_timeout.as_nanos() as Nanos;
            io.schedule(io.now + timeout, NetEvent::Reset(id));
        }
        self.schedule_delivery(io, id);
    }

    pub(super) fn reset_arrives(&mut self, io: &mut Io<'_>, id: SocketId) {
        // As Linux does: after the other side's FIN a reset reads as a broken pipe.
        let closed = self.sockets.get(id).is_some_and(|socket| socket.fin_received);
        let kind = if closed { io::ErrorKind::BrokenPipe } else { io::ErrorKind::ConnectionReset };
        self.break_off(io, id, kind);
    }

    /// The connection is over on this side; the application learns of it with `kind`.
    pub(super) fn break_off(&mut self, io: &mut Io<'_>, id: SocketId, kind: io::ErrorKind) {
        let Some(socket) = self.sockets.get_mut(id).filter(|s| s.phase != Phase::Dead) else {
            return;
        };
        io.recorder.record(io.now, 5, &[socket.node as u64, socket.peer_node as u64, kind as u64]);
        socket.phase = Phase::Dead;
        socket.error = Some(kind);
        socket.unsent.clear();
        socket.wire.clear();
        socket.wire_bytes = 0;
        socket.unacknowledged = 0;
        socket.wake_reader();
        socket.wake_writer();
        let (orphan, peer) = (socket.orphan, socket.peer);
        self.open_window_of(io, peer);
        if orphan {
            self.forget(io, id);
        }
    }

    // Reading.

    /// Copies received bytes into `buf` and says how many; zero means that no more will come.
    pub(crate) fn poll_read(
        &mut self,
        io: &mut Io<'_>,
        id: SocketId,
        buf: &mut tokio::io::ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(socket) = self.sockets.get_mut(id) else { return Poll::Ready(Ok(())) };
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if socket.received_bytes == 0 {
            return match socket.error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None if socket.fin_received || socket.phase == Phase::Dead => Poll::Ready(Ok(())),
                None => {
                    match &mut socket.reader {
                        Some(waker) => waker.clone_from(cx.waker()),
                        empty => *empty = Some(cx.waker().clone()),
                    }
                    Poll::Pending
                }
            };
        }
        let mut wanted = socket.received_bytes.min(buf.remaining());
        if wanted > 1 && self.config.short_read > 0.0 {
            let draw = self.reads.next_u64();
            if ((draw >> 32) as f64) < self.config.short_read * (1u64 << 32) as f64 {
                wanted = 1 + (draw as u32 as usize) % (wanted - 1);
            }
        }
        socket.received_bytes -= wanted;
        while wanted > 0 {
            let front = socket.received.front_mut().expect("as many bytes as were counted");
            if front.len() <= wanted {
                wanted -= front.len();
                buf.put_slice(front);
                socket.received.pop_front();
            } else {
                buf.put_slice(&front.split_to(wanted));
                wanted = 0;
            }
        }
        let room = self.config.receive_buffer.saturating_sub(socket.received_bytes);
        let (node, peer_node, peer) = (socket.node, socket.peer_node, socket.peer);
        if room >= self.config.receive_buffer / 4
            && let Some(id) = peer
            && let Some(sender) = self.sockets.get_mut(id)
            && sender.window_closed
        {
            sender.window_closed = false;
            let arrival = self.travel(io.now, node, peer_node, 0);
            io.schedule(arrival, NetEvent::Window(id));
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn window_opens(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get(id) else { return };
        if self.reaches(socket.peer_node, socket.node) {
            self.transmit(io, id);
        } else {
            let first = self.config.retransmit_first.as_nanos() as Nanos;
            io.schedule(io.now + first, NetEvent::Window(id));
        }
    }

    /// Lets a sender that waits for room find out that its receiver is gone.
    fn open_window_of(&mut self, io: &mut Io<'_>, id: Option<SocketId>) {
        let Some(id) = id else { return };
        if let Some(sender) = self.sockets.get_mut(id).filter(|sender| sender.window_closed) {
            sender.window_closed = false;
            io.schedule(io.now, NetEvent::Window(id));
        }
    }

    // Closing.

    pub(crate) fn set_zero_linger(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.zero_linger = true;
        }
    }

    /// The application has let go of the socket. As Linux does: with bytes unread the connection
    /// is reset; otherwise what was written is still delivered, then the end of it.
    pub(crate) fn close(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id).filter(|socket| !socket.orphan) else { return };
        socket.orphan = true;
        socket.reader = None;
        socket.writer = None;
        if socket.phase != Phase::Open {
            return self.forget(io, id);
        }
        let (node, peer_node) = (socket.node, socket.peer_node);
        if socket.zero_linger || socket.received_bytes > 0 {
            socket.unsent.clear();
            socket.received.clear();
            socket.received_bytes = 0;
            socket.fin_queued = true;
            socket.fin_sent = true;
            let peer = socket.peer;
            self.send(io, id, node, peer_node, 0, Item::Reset);
            self.schedule_delivery(io, id);
            self.open_window_of(io, peer);
        } else {
            socket.fin_queued = true;
            self.transmit(io, id);
        }
        self.forget_if_done(io, id);
    }

    fn forget_if_done(&mut self, io: &mut Io<'_>, id: SocketId) {
        if self.sockets.get(id).is_some_and(|s| s.orphan && s.fin_sent && s.is_drained()) {
            self.forget(io, id);
        }
    }

    /// Removes a socket without a word to the other side.
    pub(super) fn forget(&mut self, io: &mut Io<'_>, id: SocketId) {
        let Some(socket) = self.sockets.remove(id) else { return };
        let listening = self.listener_at(socket.node, socket.local).is_some();
        if !listening {
            self.hosts[socket.node].ports.remove(&socket.local.port());
        }
        self.open_window_of(io, socket.peer);
    }
}

/// The first `len` bytes of `bufs` in one piece.
fn gather(bufs: &[io::IoSlice<'_>], len: usize) -> Bytes {
    if let Some(first) = bufs.first()
        && first.len() >= len
    {
        return Bytes::copy_from_slice(&first[..len]);
    }
    let mut gathered = Vec::with_capacity(len);
    for buf in bufs {
        let rest = len - gathered.len();
        gathered.extend_from_slice(&buf[..buf.len().min(rest)]);
    }
    gathered.into()
}
