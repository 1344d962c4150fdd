//! One STOMP 1.2 connection from the client's side.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use paceline_runtime::{net, task, time};
use paceline_scenario::STOMP_PORT;
use paceline_wire::stomp::{Command, Decoder, Frame, HEART_BEAT, Limits, Version, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use crate::workload::ids::ConnectionId;

/// How long connecting, and then the answer to CONNECT, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often each side promises to be heard.
pub const HEART_BEAT_EVERY: Duration = Duration::from_secs(5);
/// A server that is silent for so long is given up.
pub const SILENCE: Duration = Duration::from_secs(12);

/// A connection to one node. What is sent is queued and written by a task of its own, so that a
/// client that waits to be read never stops reading.
pub struct Connection {
    /// Unique over the run.
    pub id: ConnectionId,
    reader: net::OwnedReadHalf,
    decoder: Decoder,
    input: BytesMut,
    /// What is to be written; nothing means that nothing will be any more.
    output: mpsc::UnboundedSender<Option<Bytes>>,
    writer: task::JoinHandle<()>,
    last_heard: time::Instant,
}

impl Connection {
    /// Connects to a node by name, as far as CONNECTED.
    pub async fn open(id: ConnectionId, node: &str) -> io::Result<Self> {
        time::timeout(CONNECT_TIMEOUT, Self::connect(id, node))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn connect(id: ConnectionId, node: &str) -> io::Result<Self> {
        let address = net::resolve(&format!("{node}:{STOMP_PORT}")).await?;
        let stream = net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (output, queue) = mpsc::unbounded_channel();
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_version(Version::V1_2);
        let mut connection = Self {
            id,
            reader,
            decoder,
            input: BytesMut::new(),
            output,
            writer: task::spawn(write_all(writer, queue)),
            last_heard: time::Instant::now(),
        };
        let every = HEART_BEAT_EVERY.as_millis();
        connection.send(
            &Frame::new(Command::Connect)
                .with(header::ACCEPT_VERSION, "1.2")
                .with(header::HOST, "paceline")
                .with(header::HEART_BEAT, format!("{every},{every}")),
        );
        let answer = connection.receive().await?;
        if answer.command != Command::Connected {
            return Err(io::Error::other(reason(&answer)));
        }
        Ok(connection)
    }

    /// Queues a frame. A connection that is gone shows when it is read.
    pub fn send(&self, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(Version::V1_2, &mut bytes);
        let _ = self.output.send(Some(bytes.freeze()));
    }

    /// Says nothing from now on, not even heart-beats, and reads nothing, but leaves the connection
    /// open: as after the machine has gone, from which no word comes that it has.
    pub fn fall_silent(&self) {
        let _ = self.output.send(None);
    }

    /// Takes its leave in good order: what it has sent before is carried out, and the server is told
    /// that this is the end.
    pub async fn leave(&mut self) -> io::Result<()> {
        const RECEIPT: &str = "leave";
        self.send(&Frame::new(Command::Disconnect).with(header::RECEIPT, RECEIPT));
        loop {
            let frame = self.receive().await?;
            match frame.command {
                Command::Receipt
                    if frame
                        .header(header::RECEIPT_ID)
                        .is_some_and(|id| id.as_str() == RECEIPT) =>
                {
                    return Ok(());
                }
                // What crossed with the wish to leave.
                Command::Receipt | Command::Message => {}
                _ => return Err(io::Error::other(reason(&frame))),
            }
        }
    }

    /// The next frame, within the time a silent server is given. May be dropped while it waits.
    pub async fn receive(&mut self) -> io::Result<Frame> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            let read = self.reader.read_buf(&mut self.input);
            match time::timeout_at(self.last_heard + SILENCE, read).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(_)) => self.last_heard = time::Instant::now(),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Writes what is queued, as much as there is at a time, and heart-beats when there is nothing.
async fn write_all(
    mut socket: net::OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Option<Bytes>>,
) {
    let mut chunk = BytesMut::new();
    let mut is_silent = false;
    loop {
        match time::timeout(HEART_BEAT_EVERY * 4 / 5, queue.recv()).await {
            Ok(Some(Some(bytes))) => {
                chunk.extend_from_slice(&bytes);
                while chunk.len() < 64 * 1024
                    && !is_silent
                    && let Ok(next) = queue.try_recv()
                {
                    is_silent = next.is_none();
                    chunk.extend_from_slice(&next.unwrap_or_default());
                }
            }
            Ok(Some(None)) => is_silent = true,
            Ok(None) => return,
            Err(_) => chunk.extend_from_slice(HEART_BEAT),
        }
        // A broken socket shows at the reading side.
        if socket.write_all(&chunk).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        chunk.clear();
        if is_silent {
            // The socket stays open as long as its connection is there.
            return std::future::pending().await;
        }
    }
}

/// What an unexpected frame says.
pub fn reason(frame: &Frame) -> String {
    match frame.header(header::MESSAGE) {
        Some(message) => format!("{}: {message}", frame.command.as_str()),
        None => format!("an unexpected {} frame", frame.command.as_str()),
    }
}

/// Waits longer after each failure in a row.
#[derive(Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// Connecting worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        let delay = Duration::from_millis(50) * 2u32.pow(self.failures.min(4));
        self.failures += 1;
        time::sleep(delay).await;
    }
}
