//! Who writes, and when.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use paceline_runtime::{alarm::Alarm, net::OwnedWriteHalf, task, time::Instant};
use tokio::{io::AsyncWriteExt, sync::mpsc};

/// About so many bytes are written at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) enum Writing {
    /// The client's owner, while it turns the client.
    InTurn {
        socket: OwnedWriteHalf,
        /// Nothing more is written: the owner wants to be silent, or writing has failed, and what
        /// the server said before it closed is still to be read.
        is_silent: bool,
    },
    /// A task, to which the bytes go at once.
    ByTask {
        /// What is to be written; nothing means that nothing will be any more.
        queue: mpsc::UnboundedSender<Option<Bytes>>,
        task: task::JoinHandle<()>,
    },
}

impl Writing {
    pub(crate) fn in_turn(socket: OwnedWriteHalf) -> Self {
        Self::InTurn { socket, is_silent: false }
    }

    /// By a task that is heard every so often: it says `heart_beat` when there is nothing else.
    pub(crate) fn by_task(socket: OwnedWriteHalf, every: Duration, heart_beat: Bytes) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        Self::ByTask { queue, task: task::spawn(write_all(socket, queued, every, heart_beat)) }
    }

    /// Hands over what is to be sent, unless it is the owner's to write.
    pub(crate) fn take(&self, out: &mut BytesMut) {
        if let Self::ByTask { queue, .. } = self
            && !out.is_empty()
        {
            // A broken socket shows at the reading side.
            let _ = queue.send(Some(out.split().freeze()));
        }
    }

    /// Whether it is the owner who has to write.
    pub(crate) fn is_due(&self, out: &BytesMut) -> bool {
        matches!(self, Self::InTurn { is_silent: false, .. }) && !out.is_empty()
    }

    /// Writes some bytes, if it is the owner who does. Cancel-safe.
    pub(crate) async fn write(&mut self, out: &mut BytesMut) {
        if let Self::InTurn { socket, is_silent } = self {
            *is_silent = !matches!(socket.write_buf(out).await, Ok(1..));
        }
    }

    /// Writes all, if it is the owner who does.
    pub(crate) async fn flush(&mut self, out: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::InTurn { socket, is_silent: false } => socket.write_all_buf(out).await,
            Self::InTurn { .. } | Self::ByTask { .. } => Ok(()),
        }
    }

    /// Nothing more is written, and the socket stays open.
    pub(crate) fn fall_silent(&mut self) {
        match self {
            Self::InTurn { is_silent, .. } => *is_silent = true,
            Self::ByTask { queue, .. } => _ = queue.send(None),
        }
    }

    /// Nothing more is written, and nothing keeps the socket open.
    pub(crate) fn end(&mut self) {
        if let Self::ByTask { task, .. } = self {
            task.abort();
        }
    }
}

/// Writes what is queued, as much as there is at a time, and heart-beats when there is nothing.
async fn write_all(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Option<Bytes>>,
    every: Duration,
    heart_beat: Bytes,
) {
    let mut chunk = BytesMut::new();
    let mut is_silent = false;
    let mut alarm = Alarm::default();
    let mut due = Instant::now() + every * 4 / 5;
    loop {
        alarm.arm(Some(due));
        let next = tokio::select! {
            biased;
            next = queue.recv() => Some(next),
            () = alarm.ring() => None,
        };
        match next {
            Some(Some(Some(bytes))) => {
                chunk.extend_from_slice(&bytes);
                while chunk.len() < CHUNK_BYTES
                    && !is_silent
                    && let Ok(next) = queue.try_recv()
                {
                    is_silent = next.is_none();
                    chunk.extend_from_slice(&next.unwrap_or_default());
                }
            }
            Some(Some(None)) => is_silent = true,
            Some(None) => return,
            None if Instant::now() < due => continue,
            None => chunk.extend_from_slice(&heart_beat),
        }
        // A broken socket shows at the reading side.
        if socket.write_all(&chunk).await.is_err() || socket.flush().await.is_err() {
            return;
        }
        chunk.clear();
        due = Instant::now() + every * 4 / 5;
        if is_silent {
            // The socket stays open as long as its connection is there.
            return std::future::pending().await;
        }
    }
}
