//! What all speakers have in common: a socket, who writes to it, and what has come over it.

use std::{future::Future, io, time::Duration};

use bytes::{Bytes, BytesMut};
use paceline_runtime::{
    alarm::Alarm,
    net::{self, OwnedReadHalf, TcpStream},
    time::{self, Instant},
};
use thiserror::Error;
use tokio::io::AsyncReadExt;

use crate::writing::Writing;

/// Why a connection is over.
#[derive(Debug, Error)]
pub enum Lost {
    /// It failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// The server has said nothing for too long.
    #[error("the server does not answer")]
    Silent,
}

/// What both sides promise each other.
///
/// A client with heart-beats writes from a task of its own, so that the server hears of it whatever
/// its owner does. One without writes while it is turned, and so costs one task less. Either way a
/// client that waits to be read never stops reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartBeat {
    /// How often each is heard.
    pub every: Duration,
    /// A server that is silent for so long is given up.
    pub silence: Duration,
}

/// Connects to `address`, a `host:port`.
pub(crate) async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = net::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What comes of `open`, if it comes in time.
pub(crate) async fn within<T, E: From<Lost>>(
    limit: Duration,
    open: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    time::timeout(limit, open).await.map_err(|_| E::from(Lost::Silent))?
}

/// A connection's bytes, both ways.
pub(crate) struct Socket {
    reader: OwnedReadHalf,
    /// What has come and was not decoded yet.
    pub(crate) input: BytesMut,
    read_bytes: usize,
    /// What is to be sent and was not handed on yet.
    pub(crate) out: BytesMut,
    writing: Writing,
    /// The silence after which the server is given up, if there is one, and when it was heard last.
    silence: Option<Duration>,
    last_heard: Instant,
    alarm: Alarm,
}

impl Socket {
    /// Each read has room for at least `read_bytes`. A heart-beat comes with the bytes that are one.
    pub(crate) fn new(
        stream: TcpStream,
        read_bytes: usize,
        heart_beat: Option<(HeartBeat, Bytes)>,
    ) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            input: BytesMut::new(),
            read_bytes,
            out: BytesMut::new(),
            silence: heart_beat.as_ref().map(|(it, _)| it.silence),
            writing: match heart_beat {
                Some((HeartBeat { every, .. }, bytes)) => Writing::by_task(writer, every, bytes),
                None => Writing::in_turn(writer),
            },
            last_heard: Instant::now(),
            alarm: Alarm::default(),
        }
    }

    /// Hands on what is to be sent, unless it is the owner's to write.
    pub(crate) fn hand_on(&mut self) {
        self.writing.take(&mut self.out);
    }

    /// Sends all, and reads nothing meanwhile.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.writing.flush(&mut self.out).await
    }

    /// Sends nothing more, and leaves the connection open.
    pub(crate) fn fall_silent(&mut self) {
        self.writing.fall_silent();
    }

    /// Sends or receives some bytes. Cancel-safe.
    pub(crate) async fn turn(&mut self) -> Result<(), Lost> {
        self.hand_on();
        self.input.reserve(self.read_bytes);
        let given_up = self.silence.map(|silence| self.last_heard + silence);
        self.alarm.arm(given_up);
        tokio::select! {
            biased;
            () = self.writing.write(&mut self.out), if self.writing.is_due(&self.out) => {}
            read = self.reader.read_buf(&mut self.input) => match read {
                Ok(0) => return Err(Lost::Closed),
                Ok(_) => self.last_heard = Instant::now(),
                Err(error) => return Err(error.into()),
            },
            () = self.alarm.ring() => {
                if given_up.is_some_and(|at| at <= Instant::now()) {
                    return Err(Lost::Silent);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.writing.end();
    }
}
