//! One client's connection: the task that stands between a socket, a session and the router.
//!
//! All decisions are the session's. The task only moves bytes, operations, outcomes and
//! deliveries, and holds the socket back where the session or the cluster is full. One task does
//! all of it, so a client that does not read holds up nobody but itself: its deliveries stop at its
//! prefetch.

mod linger;
mod receiving;

#[cfg(test)]
mod tests;

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use paceline_core::{
    UnixMillis,
    operation::Operation,
    presence::Announcement,
    session::{Brokers, Now, Session},
};
use paceline_membership::Policies;
use paceline_runtime::{
    alarm::Alarm,
    cpu,
    net::{OwnedReadHalf, OwnedWriteHalf, TcpStream},
    time::{self, Instant},
};
use paceline_wire::Expected;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, watch},
};

pub(crate) use self::receiving::Receiving;
use self::receiving::{Plan, Share};
use crate::{
    policy,
    router::{ConnectionEvent, ConnectionHandle},
};

/// What is read at a time: little at first, since most connections are idle.
const MIN_READ_BYTES: usize = 4 * 1024;
/// See [`MIN_READ_BYTES`].
const MAX_READ_BYTES: usize = 64 * 1024;

/// A larger buffer of bytes to write goes when all is written.
const KEPT_BYTES: usize = 256 * 1024;

/// Events taken in before bytes are written: their answers travel in one write.
const EVENTS_AT_ONCE: usize = 256;

/// How long a session's last bytes may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What taking in or giving out one frame costs in processor time, for the simulated world's cores.
const FRAME_COST: Duration = Duration::from_nanos(1_500);

/// What a drained connection's client is told.
const GOING_AWAY: &str = "this node is shutting down; connect to another one";

/// The way into the cluster as a connection uses it: [`ConnectionHandle`], or its twin in tests.
pub(crate) trait Cluster: Send + Sync {
    /// See [`ConnectionHandle::submit`].
    fn submit(&self, operation: Operation);
    /// See [`ConnectionHandle::announce`].
    fn announce(&self, said: Announcement);
    /// See [`ConnectionHandle::ready`].
    fn ready(&self) -> impl Future<Output = ()> + Send;
}

impl Cluster for ConnectionHandle {
    fn submit(&self, operation: Operation) {
        ConnectionHandle::submit(self, operation);
    }

    fn announce(&self, said: Announcement) {
        ConnectionHandle::announce(self, said);
    }

    async fn ready(&self) {
        ConnectionHandle::ready(self).await;
    }
}

/// What all clients' connections of a node have in common, whatever they speak.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// What holds for some destinations only.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Memory for frames that are being received.
    pub receiving: Arc<Receiving>,
}

/// Serves one client until its session or its connection ends.
///
/// `name` is the session's, for logs. The session is shut down when the other side of `node`, which
/// tells of the nodes there are, is dropped. However the connection ends, dropping `cluster` releases everything that it held.
pub(crate) async fn serve<S: Session, C: Cluster>(
    stream: TcpStream,
    session: S,
    name: &str,
    common: Common,
    (cluster, events): (C, mpsc::UnboundedReceiver<ConnectionEvent>),
    node: mpsc::UnboundedReceiver<Arc<Brokers>>,
) {
    let Common { policies, receiving } = common;
    let mut connection = Connection {
        session,
        share: Share::new(receiving),
        policies,
        began: Instant::now(),
        cluster,
        events,
        out: BytesMut::new(),
        out_bytes: 0,
        read_bytes: MIN_READ_BYTES,
        frames: 0,
    };
    match connection.run(stream, node).await {
        Ok((reader, writer)) => {
            // Consumers are detached before the socket is closed: the client may come back at once.
            drop(connection);
            match linger::close(reader, writer).await {
                Ok(()) => tracing::debug!(session = name, "closed"),
                Err(error) => tracing::debug!(session = name, %error, "could not be closed"),
            }
        }
        Err(error) => {
            tracing::debug!(session = name, %error, "the connection broke");
            let now = connection.now();
            connection.session.handle_lost(now);
            connection.submit();
        }
    }
}

struct Connection<S, C> {
    session: S,
    share: Share,
    policies: watch::Receiver<Arc<Policies>>,
    began: Instant,
    cluster: C,
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
    /// Bytes being written.
    out: BytesMut,
    /// How many there were when they were handed out.
    out_bytes: usize,
    read_bytes: usize,
    /// Operations and deliveries since the processor was last charged.
    frames: u32,
}

impl<S: Session, C: Cluster> Connection<S, C> {
    /// Serves the client until its session is over and all is written; then the socket is to be
    /// closed.
    async fn run(
        &mut self,
        stream: TcpStream,
        mut node: mpsc::UnboundedReceiver<Arc<Brokers>>,
    ) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        // Whether the cluster has room for what may be read next.
        let mut is_cleared = false;
        let mut is_draining = false;
        let mut flush_until = None;
        let mut alarm = Alarm::default();
        loop {
            self.hand_out();
            cpu::charge(FRAME_COST * std::mem::take(&mut self.frames)).await;
            // Mostly the socket takes all of it.
            while !self.out.is_empty()
                && let Some(written) = at_once(write(&mut writer, &mut self.out)).await
            {
                self.handle_written(written?)?;
                self.hand_out();
            }
            if self.session.is_closed() {
                if self.out.is_empty() {
                    break;
                }
                flush_until.get_or_insert_with(|| Instant::now() + FLUSH_TIMEOUT);
            }
            let may_read = self.session.wants_input();
            let room = self.make_room(may_read);
            if may_read && !is_cleared && at_once(self.cluster.ready()).await.is_some() {
                is_cleared = true;
                self.session.handle_held_back(self.now());
            }
            let reads = may_read && is_cleared && !self.share.is_waiting();
            self.share.reads(reads);
            let deadline = match self.session.poll_timeout() {
                Some(after) => Some(self.began + after),
                None => flush_until,
            };
            let deadline = deadline.into_iter().chain(self.share.deadline()).min();
            let is_due = deadline.is_some_and(|at| at <= Instant::now());
            alarm.arm(deadline);
            // Biased, so that a run can be repeated. Nothing starves all the same: writing ends when
            // all is written, reading when the session or the cluster is full. What can be read is
            // read before a deadline is judged: a client is not dead because this task was late.
            tokio::select! {
                biased;
                told = node.recv(), if !is_draining => match told {
                    Some(brokers) => self.session.handle_brokers(&brokers),
                    None => {
                        is_draining = true;
                        self.session.shut_down(self.now(), GOING_AWAY);
                    }
                },
                written = write(&mut writer, &mut self.out), if !self.out.is_empty() => {
                    self.handle_written(written?)?;
                }
                () = self.cluster.ready(), if may_read && !is_cleared => {
                    is_cleared = true;
                    self.session.handle_held_back(self.now());
                }
                () = self.share.granted(), if self.share.is_waiting() => {
                    self.session.handle_held_back(self.now());
                }
                read = read(&mut reader, self.session.input(), room), if reads => {
                    is_cleared = false;
                    self.share.received();
                    self.handle_read(read?);
                    if is_due {
                        self.handle_timeout(true, flush_until)?;
                    }
                }
                () = std::future::ready(()), if is_due => {
                    self.handle_timeout(reads, flush_until)?;
                }
                event = self.events.recv() => match event {
                    Some(event) => self.handle_events(event),
                    None => return Err(io::Error::other("the router is gone")),
                },
                () = alarm.ring() => {}
            }
        }
        Ok((reader, writer))
    }

    fn now(&self) -> Now {
        Now { elapsed: self.began.elapsed(), wall: UnixMillis(time::wall_clock().0) }
    }

    /// Submits what the session asks for and takes what it has to send.
    fn hand_out(&mut self) {
        // Twice at most: what is handed out for sending may settle deliveries.
        loop {
            self.submit();
            if !self.out.is_empty() {
                break;
            }
            let now = self.now();
            if !self.session.poll_transmit(now, &mut self.out) {
                break;
            }
            self.out_bytes = self.out.len();
        }
    }

    fn submit(&mut self) {
        while let Some(mut operation) = self.session.poll_operation() {
            self.frames += 1;
            policy::apply(&self.policies.borrow(), &mut operation);
            self.cluster.submit(operation);
        }
        while let Some(said) = self.session.poll_announcement() {
            self.cluster.announce(said);
        }
    }

    /// How many bytes to make room for before the next read. Reserves them where that is necessary,
    /// and lets go of what a frame that has ended came in.
    fn make_room(&mut self, may_read: bool) -> usize {
        let have = self.session.input().len();
        let plan = match self.session.expected() {
            Some(expected) if may_read => Plan::new(have, expected, self.read_bytes),
            // In the middle of a frame, which keeps what it has.
            Some(Expected::Exactly(_) | Expected::UpTo(_)) => return 0,
            Some(Expected::Head(_)) | None => Plan::NOTHING,
        };
        if self.share.ask(plan) {
            self.session.shrink_input();
        }
        plan.room
    }

    fn handle_written(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if self.out.is_empty() && self.out_bytes > KEPT_BYTES {
            self.out = BytesMut::new();
        }
        Ok(())
    }

    fn handle_read(&mut self, read: usize) {
        let now = self.now();
        if read == 0 {
            self.session.handle_eof(now);
            return;
        }
        self.read_bytes = match read {
            _ if read >= self.read_bytes => (self.read_bytes * 2).min(MAX_READ_BYTES),
            _ if read < self.read_bytes / 4 => (self.read_bytes / 2).max(MIN_READ_BYTES),
            _ => self.read_bytes,
        };
        self.session.handle_input(now);
    }

    fn handle_events(&mut self, first: ConnectionEvent) {
        let now = self.now();
        let more = std::iter::from_fn(|| self.events.try_recv().ok());
        for event in std::iter::once(first).chain(more).take(EVENTS_AT_ONCE) {
            match event {
                ConnectionEvent::Outcome(tag, outcome) => {
                    self.session.handle_outcome(now, tag, outcome);
                }
                ConnectionEvent::Held(tag, is_held) => self.session.handle_held(now, tag, is_held),
                ConnectionEvent::Detached(consumer, why) => {
                    self.session.handle_detached(now, consumer, &why);
                }
                ConnectionEvent::Delivery(delivery) => {
                    self.frames += 1;
                    self.session.handle_delivery(delivery);
                }
                ConnectionEvent::BrowseEnd(consumer) => self.session.handle_browse_end(consumer),
                ConnectionEvent::Branches(_, found) => self.session.handle_branches(found),
            }
        }
    }

    fn handle_timeout(&mut self, is_reading: bool, flush_until: Option<Instant>) -> io::Result<()> {
        if flush_until.is_some_and(|at| at <= Instant::now()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
        }
        let now = self.now();
        if let Some(why) = self.share.overdue() {
            self.session.shut_down(now, &why);
        }
        if !is_reading {
            self.session.handle_held_back(now);
        }
        self.session.handle_timeout(now);
        Ok(())
    }
}

/// What comes of a future without waiting, if anything does.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Writes once.
async fn write(writer: &mut (impl AsyncWriteExt + Unpin), out: &mut BytesMut) -> io::Result<usize> {
    writer.write_buf(out).await
}

/// Reads once; 0 is the end of the stream.
async fn read(
    reader: &mut (impl AsyncReadExt + Unpin),
    input: &mut BytesMut,
    bytes: usize,
) -> io::Result<usize> {
    input.reserve(bytes);
    reader.read_buf(input).await
}
