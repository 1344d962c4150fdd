//! One established connection between two nodes: its reader, its writer, and the requests and
//! streams that share it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use paceline_runtime::{
    alarm::Alarm,
    cpu,
    net::TcpStream,
    task,
    time::{self, Instant},
};
use paceline_wire::link::{self as wire, BodyKind, Frame, FrameError, Hello, MAX_HELLO_BYTES};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::oneshot,
};

use super::{
    Identity, LinkError, PeerId, Service, Timings, outbox::Lane, shared::Shared, stream::Stream,
};
use crate::costs;

/// How much a reader asks the socket for at a time.
const READ_BYTES: usize = 64 << 10;

/// A connection that this node has dialled: it asks, the peer answers.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    peer: PeerId,
    openwire: String,
}

impl Connection {
    /// Who is at the other end.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where OpenWire clients are to reach whoever is at the other end, a `host:port`.
    pub fn openwire(&self) -> Option<&str> {
        Some(&*self.openwire).filter(|address| !address.is_empty())
    }

    /// How many bytes wait to be written, since the peer does not read as fast as they come.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.outbox.bytes()
    }

    /// Says something that is not answered.
    ///
    /// # Errors
    /// [`LinkError::Closed`] when the connection has ended. Otherwise it may be lost, too.
    pub fn tell<T: Serialize>(&self, value: &T) -> Result<(), LinkError> {
        self.shared
            .outbox
            .push(Lane::Urgent, |out| {
                wire::encode_value(BodyKind::Notice, self.shared.epoch(), 0, value, out)
            })
            .ok_or(LinkError::Closed)??;
        Ok(())
    }

    /// Sends a request and waits for the answer's bytes. Dropping the future forgets the answer.
    ///
    /// # Errors
    /// [`LinkError::Closed`] when the connection ends first; the request may have been carried out.
    pub async fn request<T: Serialize>(&self, value: &T) -> Result<Bytes, LinkError> {
        let id = self.shared.next_id();
        let (answer, answered) = oneshot::channel();
        self.shared
            .with_tables(|tables| tables.requests.insert(id, answer))
            .ok_or(LinkError::Closed)?;
        let _forget = Forget { shared: &self.shared, id };
        self.shared
            .outbox
            .push(Lane::Urgent, |out| {
                wire::encode_value(BodyKind::Request, self.shared.epoch(), id, value, out)
            })
            .ok_or(LinkError::Closed)??;
        answered.await.map_err(|_| LinkError::Closed)
    }

    /// Opens a stream; `value` says what for.
    ///
    /// # Errors
    /// [`LinkError::Closed`] when the connection has ended.
    pub fn open<T: Serialize>(&self, value: &T) -> Result<Stream, LinkError> {
        let id = self.shared.next_id();
        let (stream, registered) = Stream::new(id, self.shared.clone());
        self.shared
            .with_tables(|tables| tables.streams.insert(id, registered))
            .ok_or(LinkError::Closed)?;
        self.shared
            .outbox
            .push(Lane::Bulk, |out| {
                wire::encode_value(BodyKind::Open, self.shared.epoch(), id, value, out)
            })
            .ok_or(LinkError::Closed)??;
        Ok(stream)
    }
}

struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.with_tables(|tables| tables.requests.remove(&self.id));
    }
}

/// Answers one request. Dropping it unused leaves the peer waiting until its own timeout.
#[derive(Debug)]
pub struct Reply {
    shared: Arc<Shared>,
    id: u64,
}

impl Reply {
    /// Sends the answer. A peer that is gone gets none.
    pub fn send<T: Serialize>(self, value: &T) {
        let result = self.shared.outbox.push(Lane::Urgent, |out| {
            wire::encode_value(BodyKind::Response, self.shared.epoch(), self.id, value, out)
        });
        if let Some(Err(error)) = result {
            tracing::error!(%error, "cannot answer a request of a peer");
        }
    }
}

/// Exchanges hellos on a connection that this node dialled and runs it until it ends. `up` is
/// called with the connection once it is usable.
pub(super) async fn run_dialled(
    socket: TcpStream,
    identity: &Identity,
    expected: u64,
    timings: &Timings,
    up: impl FnOnce(Arc<Connection>),
) -> Result<(), LinkError> {
    let (mut reader, mut writer) = socket.into_split();
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let (epoch, hello) =
        exchange_hellos(&mut reader, &mut writer, &mut input, (identity, expected), timings)
            .await?;
    if hello.node != expected {
        identity.check(epoch, &hello)?;
        return Err(LinkError::OtherNode { expected, found: hello.node });
    }
    let admitted = identity.admit(epoch, &hello).await?;
    let shared = Arc::new(Shared::new(identity, &hello));
    let (peer, openwire) = (admitted.peer(), hello.openwire);
    let _close = CloseOnDrop(shared.clone());
    up(Arc::new(Connection { shared: shared.clone(), peer, openwire }));
    let _ping = AbortOnDrop(task::spawn(ping(shared.clone(), timings.ping_every)));
    tokio::select! {
        biased;
        () = admitted.outlived() => Err(LinkError::Closed),
        ended = run(reader, writer, input, shared, timings, |_, _| Err(LinkError::Unexpected)) => ended,
    }
}

/// Exchanges hellos on a connection that a peer dialled and serves it until it ends. `who` dials is at
/// first its address; its name is added.
pub(super) async fn run_accepted<S: Service>(
    socket: TcpStream,
    who: &mut String,
    identity: &Identity,
    timings: &Timings,
    service: &Arc<S>,
) -> Result<(), LinkError> {
    let (mut reader, mut writer) = socket.into_split();
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let (epoch, hello) = time::timeout(timings.connect, async {
        let hello = receive_hello(&mut reader, &mut input).await;
        // Answered even when it does not fit, so that the peer can say why.
        match &hello {
            Ok((_, hello)) => send_hello(&mut writer, identity, hello.node).await?,
            Err(LinkError::Frame(FrameError::Version(_))) => {
                send_hello(&mut writer, identity, 0).await?;
            }
            Err(_) => {}
        }
        hello
    })
    .await
    .map_err(|_| LinkError::Timeout)??;
    if !hello.name.is_empty() {
        *who = format!("{} at {who}", hello.name);
    }
    let admitted = identity.admit(epoch, &hello).await?;
    identity.refusals.clear(who);
    let peer = admitted.peer();
    let shared = Arc::new(Shared::new(identity, &hello));
    let _close = CloseOnDrop(shared.clone());
    let serve = |frame: Frame, shared: &Arc<Shared>| {
        match frame {
            Frame::Notice { body } => service.notice(peer, body),
            Frame::Request { id, body } => {
                service.request(peer, body, Reply { shared: shared.clone(), id });
            }
            Frame::Open { stream, body } => {
                let (end, registered) = Stream::new(stream, shared.clone());
                shared.with_tables(|tables| tables.streams.insert(stream, registered));
                service.open(peer, body, end);
            }
            _ => return Err(LinkError::Unexpected),
        }
        Ok(())
    };
    tokio::select! {
        biased;
        () = admitted.outlived() => Err(LinkError::Closed),
        ended = run(reader, writer, input, shared, timings, serve) => ended,
    }
}

/// Reads and writes until either fails.
async fn run<R, W>(
    reader: R,
    writer: W,
    input: BytesMut,
    shared: Arc<Shared>,
    timings: &Timings,
    serve: impl FnMut(Frame, &Arc<Shared>) -> Result<(), LinkError>,
) -> Result<(), LinkError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let writing = task::spawn(write(writer, shared.clone()));
    let _writing = AbortOnDrop(writing);
    read(reader, input, &shared, timings, serve).await
}

/// Ends whatever still uses a connection.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct AbortOnDrop<T>(task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    mut input: BytesMut,
    shared: &Arc<Shared>,
    timings: &Timings,
    mut serve: impl FnMut(Frame, &Arc<Shared>) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    let mut silence = Alarm::default();
    loop {
        let mut frames = 0;
        while let Some((epoch, frame)) = wire::decode(&mut input)? {
            frames += 1;
            shared.hear(epoch);
            match frame {
                Frame::Ping => {
                    shared.push(Lane::Urgent, &Frame::Pong);
                }
                Frame::Pong => {}
                Frame::Response { id, body } => {
                    let waiting = shared.with_tables(|tables| tables.requests.remove(&id));
                    if let Some(answer) = waiting.flatten() {
                        // The asker may have given up.
                        let _ = answer.send(body);
                    }
                }
                Frame::Data { stream, body } => shared.handle_data(stream, body),
                Frame::Credit { stream, bytes } => {
                    shared.with_tables(|tables| {
                        if let Some(entry) = tables.streams.get(&stream) {
                            entry.window.widen(bytes, |encode| {
                                match shared.outbox.push(Lane::Bulk, encode) {
                                    Some(Ok(bytes)) => bytes,
                                    Some(Err(error)) => {
                                        tracing::error!(%error, "cannot send what has waited");
                                        0
                                    }
                                    None => 0,
                                }
                            });
                        }
                    });
                }
                Frame::Close { stream } => {
                    shared.forget_stream(stream);
                }
                Frame::Hello(_) => return Err(LinkError::Unexpected),
                other @ (Frame::Notice { .. } | Frame::Request { .. } | Frame::Open { .. }) => {
                    serve(other, shared)?
                }
            }
        }
        if frames > 0 {
            cpu::charge(costs::LINK_FRAME * frames).await;
        }
        input.reserve(READ_BYTES);
        let given_up = Instant::now() + timings.silent_after;
        let read = loop {
            silence.arm(Some(given_up));
            tokio::select! {
                biased;
                read = reader.read_buf(&mut input) => break read,
                () = silence.ring() => {
                    if given_up <= Instant::now() {
                        return Err(LinkError::Timeout);
                    }
                }
            }
        };
        if read? == 0 {
            return Err(LinkError::Closed);
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W, shared: Arc<Shared>) {
    while let Some(piece) = shared.outbox.next().await {
        if writer.write_all(&piece).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    // Ends the connection's users at once; the reader learns of it from the socket or by silence.
    shared.close();
    let _ = writer.shutdown().await;
}

async fn ping(shared: Arc<Shared>, every: time::Duration) {
    loop {
        time::sleep(every).await;
        if !shared.push(Lane::Urgent, &Frame::Ping) {
            return;
        }
    }
}

/// Exchanges hellos on a connection that this side dialled, and no more.
pub(super) async fn greet(
    socket: TcpStream,
    identity: &Identity,
    timings: &Timings,
) -> Result<Hello, LinkError> {
    let (mut reader, mut writer) = socket.into_split();
    let mut input = BytesMut::new();
    let exchange = exchange_hellos(&mut reader, &mut writer, &mut input, (identity, 0), timings);
    Ok(exchange.await?.1)
}

async fn exchange_hellos<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut R,
    writer: &mut W,
    input: &mut BytesMut,
    (identity, to): (&Identity, u64),
    timings: &Timings,
) -> Result<(u64, Hello), LinkError> {
    let exchange = async {
        send_hello(writer, identity, to).await?;
        receive_hello(reader, input).await
    };
    time::timeout(timings.connect, exchange).await.map_err(|_| LinkError::Timeout)?
}

async fn send_hello<W: AsyncWrite + Unpin>(
    writer: &mut W,
    identity: &Identity,
    to: u64,
) -> Result<(), LinkError> {
    let mut out = BytesMut::new();
    wire::encode(identity.epoch(), &Frame::Hello(identity.hello(to)), &mut out);
    writer.write_all(&out).await?;
    writer.flush().await?;
    Ok(())
}

async fn receive_hello<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut BytesMut,
) -> Result<(u64, Hello), LinkError> {
    loop {
        match wire::decode(input)? {
            Some((epoch, Frame::Hello(hello))) => return Ok((epoch, hello)),
            Some(_) => return Err(LinkError::Unexpected),
            None if input.len() > MAX_HELLO_BYTES => return Err(LinkError::Unexpected),
            None => {}
        }
        if reader.read_buf(input).await? == 0 {
            return Err(LinkError::Closed);
        }
    }
}
