//! What goes to the other nodes.

use std::{collections::BTreeMap, mem, sync::Arc};

use paceline_consensus::{Message, Payload, Word};

use crate::link::{Connection, Peers};

/// A word to the replica of a group.
pub type GroupWord = (u32, Message);

/// Notices are cut behind this many bytes, so that one with many entries does not delay those of
/// other groups for long.
pub const NOTICE_BYTES: usize = 1 << 20;

/// When so much waits to be written to a node, it is sent nothing more of any log: it is as if that was
/// lost, and goes again when the node answers. So memory is bounded, and what is said besides, and
/// arrives behind it, does not come too late.
const ROOM_BYTES: usize = 8 << 20;

/// What was gathered for a node.
#[derive(Debug, Default)]
struct Gathered {
    words: Vec<GroupWord>,
    bytes: usize,
}

/// Gathers what is said in one turn, so that what goes to one node leaves in one piece.
#[derive(Debug)]
pub struct Outbox {
    peers: Peers,
    waiting: BTreeMap<u64, Gathered>,
}

impl Outbox {
    /// An outbox to these nodes.
    pub fn new(peers: Peers) -> Self {
        Self { peers, waiting: BTreeMap::new() }
    }

    /// Sends it with the next [`Outbox::flush`].
    pub fn push(&mut self, to: u64, group: u32, message: Message) {
        let gathered = self.waiting.entry(to).or_default();
        gathered.bytes += bytes_of(&message);
        gathered.words.push((group, message));
    }

    /// Whether a node may be sent more of a log.
    pub fn has_room(&self, to: u64) -> bool {
        let gathered = self.waiting.get(&to).map_or(0, |gathered| gathered.bytes);
        let waiting = self.connection(to).map_or(0, |connection| connection.waiting_bytes());
        gathered + waiting < ROOM_BYTES
    }

    /// The link to a node, if there is one.
    pub fn connection(&self, to: u64) -> Option<Arc<Connection>> {
        self.peers.connection(to)
    }

    /// Sends everything. What is said to a node without a link is lost, as the protocol allows.
    pub fn flush(&mut self) {
        for (node, gathered) in &mut self.waiting {
            if gathered.words.is_empty() {
                continue;
            }
            let Gathered { words, .. } = mem::take(gathered);
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use paceline_consensus::{Entry, EntryId};
    use paceline_runtime::{net::TcpListener, task, time::Duration};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        cluster::Cluster,
        config::{ClusterConfig, Member, NodeConfig},
        identity::Claim,
        link::{self, Identity, PeerId, Reply, Service, Stream, Timings},
    };

    /// Takes what it is told and says nothing.
    struct Quiet;

    impl Service for Quiet {
        fn notice(self: &Arc<Self>, _from: PeerId, _body: Bytes) {}
        fn request(self: &Arc<Self>, _from: PeerId, _body: Bytes, _reply: Reply) {}
        fn open(self: &Arc<Self>, _from: PeerId, _body: Bytes, _stream: Stream) {}
    }

    async fn identity(node: u64, cluster: &ClusterConfig) -> (Identity, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::dev(dir.path().into());
        config.node.name = cluster.members[node as usize - 1].name.clone();
        config.cluster = cluster.clone();
        let file = Claim::take(&config).await.unwrap().identity_file;
        (Identity::member(&Cluster::of(cluster).unwrap(), node, &file), dir)
    }

    /// A megabyte of a log.
    fn entries() -> Message {
        let id = EntryId::new(1, 1);
        let entry = Entry { id, payload: Payload::Data(vec![0; 1 << 20].into()) };
        let (prev, stamp) = (EntryId::ZERO, Duration::ZERO);
        let word = Word::Append { prev, entries: vec![entry], commit: 0, stamp };
        Message { term: 1, word }
    }

    #[tokio::test]
    async fn a_node_that_does_not_read_is_sent_no_more_of_a_log_until_it_does() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let link = listener.local_addr().unwrap().to_string();
        let member =
            |name: &str| Member { name: name.into(), link: link.clone(), zone: None, weight: 1.0 };
        let cluster = ClusterConfig::new("test", vec![member("a"), member("b")]);
        let (a, _dir) = identity(1, &cluster).await;
        let (b, _dir) = identity(2, &cluster).await;
        task::spawn(link::serve(listener, b, Timings::default(), Arc::new(Quiet)));
        let peers = Peers::new(1, a, Timings::default());
        peers.follow(&Cluster::of(&cluster).unwrap().view());
        let mut outbox = Outbox::new(peers);
        while outbox.connection(2).is_none() {
            task::yield_now().await;
        }
        // Nothing is written while this does not wait.
        let mut sent = 0;
        while outbox.has_room(2) {
            outbox.push(2, 0, entries());
            sent += 1;
            if sent % 3 == 0 {
                outbox.flush();
            }
            assert!(sent <= 9, "there is no bound");
        }
        assert_eq!(sent, 8);
        outbox.flush();
        assert!(!outbox.has_room(2));
        while !outbox.has_room(2) {
            task::yield_now().await;
        }
        outbox.push(2, 0, entries());
        assert!(outbox.has_room(2), "what was gathered before has gone");
    }
}
