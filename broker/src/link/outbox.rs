//! What waits to be written to one connection.
//!
//! Whoever has something to say encodes it straight into a buffer that the writer task takes whole,
//! so that many small frames leave in one write. There are two lanes: Raft's requests and answers
//! overtake the data of streams, so that neither a snapshot nor a slow consumer delays a heartbeat.

use std::{collections::VecDeque, sync::Mutex};

use bytes::BytesMut;
use tokio::sync::Notify;

/// A lane's buffer is handed to the writer in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

/// More than this waiting means that the peer has stopped reading while we kept answering it; the
/// connection is given up. Streams are bounded by their own flow control long before.
const MAX_WAITING_BYTES: usize = 512 << 20;

/// Which of the two queues a frame joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Goes first.
    Urgent,
    /// Goes when nothing urgent waits; in order with the rest of its lane.
    Bulk,
}

#[derive(Debug, Default)]
struct Queue {
    full: VecDeque<BytesMut>,
    open: BytesMut,
}

impl Queue {
    fn take(&mut self) -> Option<BytesMut> {
        if let Some(piece) = self.full.pop_front() {
            return Some(piece);
        }
        if self.open.is_empty() { None } else { Some(self.open.split()) }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    urgent: Queue,
    bulk: Queue,
    bytes: usize,
    closed: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Outbox {
    /// Lets `write` append whole frames. Gives `None`, without calling it, when the connection is
    /// closed.
    pub fn push<R>(&self, lane: Lane, write: impl FnOnce(&mut BytesMut) -> R) -> Option<R> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        if waiting.closed {
            return None;
        }
        let queue = match lane {
            Lane::Urgent => &mut waiting.urgent,
            Lane::Bulk => &mut waiting.bulk,
        };
        let before = queue.open.len();
        let result = write(&mut queue.open);
        let added = queue.open.len() - before;
        if queue.open.len() >= PIECE_BYTES {
            let piece = queue.open.split();
            queue.full.push_back(piece);
        }
        waiting.bytes += added;
        if waiting.bytes > MAX_WAITING_BYTES {
            waiting.closed = true;
            let mebibytes = waiting.bytes >> 20;
            tracing::warn!(
                mebibytes,
                "a link is given up: so much waits that its peer does not read"
            );
        }
        drop(waiting);
        self.wake.notify_one();
        Some(result)
    }

    /// The next piece to write; `None` once closed. Only the writer task calls it.
    pub async fn next(&self) -> Option<BytesMut> {
        loop {
            {
                let mut waiting = self.waiting.lock().expect("no holder panics");
                if waiting.closed {
                    return None;
                }
                let piece = waiting.urgent.take().or_else(|| waiting.bulk.take());
                if let Some(piece) = piece {
                    waiting.bytes -= piece.len();
                    return Some(piece);
                }
            }
            self.wake.notified().await;
        }
    }

    /// How many bytes wait to be written.
    pub fn bytes(&self) -> usize {
        self.waiting.lock().expect("no holder panics").bytes
    }

    /// Refuses further frames and ends the writer.
    pub fn close(&self) {
        self.waiting.lock().expect("no holder panics").closed = true;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &Outbox, lane: Lane, bytes: &[u8]) {
        outbox.push(lane, |out| out.extend_from_slice(bytes)).unwrap();
    }

    #[tokio::test]
    async fn small_frames_leave_together_and_urgent_ones_first() {
        let outbox = Outbox::default();
        put(&outbox, Lane::Bulk, b"slow");
        put(&outbox, Lane::Urgent, b"a");
        put(&outbox, Lane::Urgent, b"b");
        assert_eq!(outbox.next().await.unwrap(), &b"ab"[..]);
        put(&outbox, Lane::Bulk, b"er");
        assert_eq!(outbox.next().await.unwrap(), &b"slower"[..]);
        outbox.close();
        assert!(outbox.next().await.is_none());
        assert!(outbox.push(Lane::Bulk, |_| ()).is_none());
    }

    #[tokio::test]
    async fn a_backlog_leaves_in_pieces_that_urgent_frames_overtake() {
        let outbox = Outbox::default();
        for _ in 0..4 {
            put(&outbox, Lane::Bulk, &[0; PIECE_BYTES]);
        }
        assert_eq!(outbox.next().await.unwrap().len(), PIECE_BYTES);
        put(&outbox, Lane::Urgent, b"now");
        assert_eq!(outbox.next().await.unwrap(), &b"now"[..]);
        assert_eq!(outbox.next().await.unwrap().len(), PIECE_BYTES);
    }
}
