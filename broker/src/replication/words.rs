//! What goes to the other nodes.

use std::{collections::BTreeMap, mem, sync::Arc};

use paceline_consensus::{Message, Payload, Word};

use crate::link::{Connection, Peers};

/// A word to the replica of a group.
pub type GroupWord = (u32, Message);

/// Notices are cut behind this many bytes, so that one with many entries does not delay those of
/// other groups for long.
pub const NOTICE_BYTES: usize = 1 << 20;

/// Gathers what is said in one turn, so that what goes to one node leaves in one piece.
#[derive(Debug)]
pub struct Outbox {
    peers: Peers,
    waiting: BTreeMap<u64, Vec<GroupWord>>,
}

impl Outbox {
    /// An outbox to these nodes.
    pub fn new(peers: Peers) -> Self {
        Self { peers, waiting: BTreeMap::new() }
    }

    /// Sends it with the next [`Outbox::flush`].
    pub fn push(&mut self, to: u64, group: u32, message: Message) {
        self.waiting.entry(to).or_default().push((group, message));
    }

    /// The link to a node, if there is one.
    pub fn connection(&self, to: u64) -> Option<Arc<Connection>> {
        self.peers.connection(to)
    }

    /// Sends everything. What is said to a node without a link is lost, as the protocol allows.
    pub fn flush(&mut self) {
        for (node, waiting) in &mut self.waiting {
            if waiting.is_empty() {
                continue;
            }
            let words = mem::take(waiting);
            let Some(connection) = self.peers.connection(*node) else { continue };
            let mut rest = &words[..];
            while !rest.is_empty() {
                let mut bytes = 0;
                let fits = rest.iter().take_while(|(_, message)| {
                    let first = bytes == 0;
                    bytes += bytes_of(message);
                    first || bytes <= NOTICE_BYTES
                });
                let (notice, later) = rest.split_at(fits.count());
                if let Err(error) = connection.tell(&notice) {
                    tracing::debug!(node, %error, "words to a peer are lost");
                    break;
                }
                rest = later;
            }
        }
    }
}

fn bytes_of(message: &Message) -> usize {
    let Word::Append { entries, .. } = &message.word else { return 64 };
    let data = entries.iter().map(|entry| match &entry.payload {
        Payload::Data(data) => data.len(),
        _ => 0,
    });
    64 + entries.len() * 16 + data.sum::<usize>()
}
