//! The snapshot of a group in the journal: in parts, of which the next one writes only what is new.

use std::collections::BTreeMap;

use bytes::Bytes;
use paceline_consensus::{EntryId, Membership};
use paceline_core::shard::{Piece, RestoreError, Snapshot};
use paceline_reached::{Point, reached};
use paceline_store::{Group, JournalError};
use serde::{Deserialize, Serialize};

use super::encoding::{StorageError, decode, encode};

/// What is small of a state is cut into parts of so many bytes.
const REST_BYTES: usize = 256 << 10;

/// About so much is written at once, so that other groups' entries fit in between.
const WRITE_BYTES: usize = 256 << 10;

/// The name of a part by what it holds, on all nodes: the beginning of its BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hash([u8; 16]);

impl Hash {
    /// Of a part's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let [hash @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            *blake3::hash(bytes).as_bytes();
        Self(hash)
    }
}

/// What a part holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Some of what is small.
    Rest(Bytes),
    /// Messages, shared with states and other snapshots.
    Piece(Piece),
}

impl Content {
    /// What [`Content::encode`] gave; whether it is of the rest or a piece its place says.
    ///
    /// # Errors
    /// If the bytes are no piece.
    pub fn decode(is_rest: bool, bytes: &Bytes) -> Result<Self, RestoreError> {
        match is_rest {
            true => Ok(Self::Rest(bytes.clone())),
            false => Piece::decode(bytes).map(Self::Piece),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Rest(bytes) => bytes.clone(),
            Self::Piece(piece) => piece.encode().into(),
        }
    }
}

/// What parts hold together: first the rest, then the pieces.
pub fn assemble<'a>(contents: impl IntoIterator<Item = &'a Content>) -> Snapshot {
    let (mut rest, mut pieces) = (Vec::new(), Vec::new());
    for content in contents {
        match content {
            Content::Rest(bytes) => rest.extend_from_slice(bytes),
            Content::Piece(piece) => pieces.push(piece.clone()),
        }
    }
    Snapshot { rest, pieces }
}

/// A part in the journal.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub hash: Hash,
    /// What it holds.
    pub content: Content,
    /// Its number there.
    number: u64,
}

/// A snapshot in the journal, with what it holds: its messages are in memory anyway, most of them.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The last entry that it stands for; zero of the state that a group begins with.
    pub last: EntryId,
    /// Who took part then.
    pub membership: Membership,
    /// Of how many parts the rest is, which stand before the pieces.
    pub rest: u32,
    /// All of it.
    pub parts: Vec<Part>,
}

/// The root of a snapshot in the journal, which names the parts beside it.
#[derive(Serialize, Deserialize)]
struct Root {
    last: EntryId,
    membership: Membership,
    rest: u32,
    hashes: Vec<Hash>,
}

impl Saved {
    /// What it holds.
    pub fn snapshot(&self) -> Snapshot {
        assemble(self.parts.iter().map(|part| &part.content))
    }

    /// The one in the journal.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn load(group: &Group) -> Result<Option<Self>, StorageError> {
        let Some((root, numbers)) = group.load_snapshot().await? else { return Ok(None) };
        let Root { last, membership, rest, hashes } = decode(&root, "the snapshot")?;
        let mut parts = Vec::with_capacity(hashes.len());
        for (place, (hash, number)) in (0..).zip(hashes.into_iter().zip(numbers)) {
            let content = Content::decode(place < rest, &group.load_part(number).await?)?;
            parts.push(Part { hash, content, number });
        }
        Ok(Some(Self { last, membership, rest, parts }))
    }

    /// Writes the state as it was when `last` was applied, in the place of this snapshot. Pieces that
    /// are in this one are not written again. Until all is on the disk, this one stands.
    ///
    /// # Errors
    /// As for every write.
    pub async fn replace(
        &self,
        group: &Group,
        last: EntryId,
        membership: Membership,
        snapshot: &Snapshot,
    ) -> Result<Self, JournalError> {
        let pieces = self.parts.iter().filter_map(|part| match &part.content {
            Content::Piece(piece) => Some((piece.address(), part)),
            Content::Rest(_) => None,
        });
        let known: BTreeMap<usize, &Part> = pieces.collect();
        let mut parts = Writer { group, parts: Vec::new(), waiting: Vec::new(), bytes: 0 };
        let rest = Bytes::copy_from_slice(&snapshot.rest);
        let mut from = 0;
        while from < rest.len() {
            let upto = rest.len().min(from + REST_BYTES);
            parts.put(Content::Rest(rest.slice(from..upto))).await?;
            from = upto;
        }
        let rest = parts.parts.len() as u32;
        for piece in &snapshot.pieces {
            match known.get(&piece.address()) {
                Some(part) => {
                    reached(Point::SnapshotShared);
                    parts.parts.push((*part).clone());
                }
                None => parts.put(Content::Piece(piece.clone())).await?,
            }
        }
        parts.flush().await?;
        let parts = parts.parts;
        let hashes = parts.iter().map(|part| part.hash).collect();
        let root = Root { last, membership, rest, hashes };
        let numbers: Vec<u64> = parts.iter().map(|part| part.number).collect();
        group.save_snapshot(&encode(&root), &numbers)?.await?;
        Ok(Self { last, membership: root.membership, rest, parts })
    }
}

/// Gathers parts and writes those that are new.
struct Writer<'a> {
    group: &'a Group,
    parts: Vec<Part>,
    /// Those that are not written, and where they stand among the parts.
    waiting: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl Writer<'_> {
    async fn put(&mut self, content: Content) -> Result<(), JournalError> {
        let bytes = content.encode();
        self.bytes += bytes.len();
        let hash = Hash::of(&bytes);
        self.waiting.push((self.parts.len(), bytes));
        self.parts.push(Part { hash, content, number: 0 });
        if self.bytes >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), JournalError> {
        let (places, bytes): (Vec<usize>, Vec<Bytes>) = self.waiting.drain(..).unzip();
        self.bytes = 0;
        let (numbers, durable) = self.group.put_parts(&bytes)?;
        for (place, number) in places.into_iter().zip(numbers) {
            self.parts[place].number = number;
        }
        durable.await
    }
}

#[cfg(test)]
mod tests {
    use paceline_consensus::NodeId;
    use paceline_core::{
        Body, Destination, Message, UnixMillis,
        operation::Settlement,
        shard::{Batch, Command, MessageRef, ShardState},
    };
    use paceline_store::{GroupId, Identity, Journal, Options};

    use super::*;

    /// Of a queue, so many messages in each entry.
    const A_BATCH: u64 = 64;

    fn publish(state: &mut ShardState, entries: u64) {
        let message = Message {
            id: "m".into(),
            destination: Destination::queue("q").unwrap(),
            persistent: true,
            priority: 4,
            timestamp: UnixMillis(0),
            expires: None,
            correlation_id: None,
            reply_to: None,
            content_type: None,
            properties: Vec::new(),
            body: Body::Text(vec![b'x'; 40].into()),
        };
        let command = (None, Command::Publish { message: message.into() });
        let batch = Batch { now: UnixMillis(1), commands: vec![command; A_BATCH as usize] };
        for _ in 0..entries {
            state.apply(state.applied() + 1, &batch);
        }
    }

    fn settle(state: &mut ShardState, messages: impl IntoIterator<Item = MessageRef>) {
        let settles = messages.into_iter().map(|message| (message, Settlement::Accept)).collect();
        let commands = vec![(None, Command::Settle { settles })];
        state.apply(state.applied() + 1, &Batch { now: UnixMillis(1), commands });
    }

    async fn journal(dir: &std::path::Path) -> (Journal, Group) {
        let identity = Identity { node: 1, cluster: "test".to_owned() };
        let (journal, _) = Journal::open(dir, &identity, Options::default()).await.unwrap();
        let group = journal.group(GroupId(1));
        (journal, group)
    }

    async fn save(group: &Group, before: &Saved, state: &ShardState) -> Saved {
        let last = EntryId::new(1, state.applied());
        let members = Membership::of([NodeId(1)]);
        before.replace(group, last, members, &state.snapshot()).await.unwrap()
    }

    fn numbers(saved: &Saved) -> Vec<u64> {
        saved.parts.iter().map(|part| part.number).collect()
    }

    #[tokio::test]
    async fn what_did_not_change_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, group) = journal(dir.path()).await;
        let mut state = ShardState::new();
        publish(&mut state, 80);
        let first = save(&group, &Saved::default(), &state).await;
        assert_eq!(first.parts.len(), 1 + 10);
        settle(&mut state, [MessageRef::new(20, 3, 0)]);
        let second = save(&group, &first, &state).await;
        let same =
            numbers(&first).into_iter().zip(numbers(&second)).map(|(one, other)| one == other);
        let changed = |at| at == 0 || at == 3;
        assert!(same.enumerate().all(|(at, same)| same != changed(at)));
        publish(&mut state, 8);
        let third = save(&group, &second, &state).await;
        assert_eq!(numbers(&second)[1..], numbers(&third)[1..11]);

        // It is what is there after a restart, and the next one goes on from it.
        let digest = state.digest();
        journal.close().await.unwrap();
        drop((journal, group));
        let (_journal, group) = self::journal(dir.path()).await;
        let loaded = Saved::load(&group).await.unwrap().unwrap();
        assert_eq!((loaded.last, &loaded.membership), (third.last, &third.membership));
        assert_eq!(numbers(&loaded), numbers(&third));
        let mut state = ShardState::restore(&loaded.snapshot()).unwrap();
        assert_eq!(state.digest(), digest);
        settle(&mut state, [MessageRef::new(20, 4, 0)]);
        let fourth = save(&group, &loaded, &state).await;
        assert_eq!(numbers(&fourth)[4..], numbers(&third)[4..]);
        assert_ne!(numbers(&fourth)[3], numbers(&third)[3]);
    }

    #[tokio::test]
    async fn one_that_was_not_finished_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, group) = journal(dir.path()).await;
        let mut state = ShardState::new();
        publish(&mut state, 80);
        let first = save(&group, &Saved::default(), &state).await;
        let digest = state.digest();
        publish(&mut state, 80);
        let piece = state.snapshot().pieces[15].encode();
        let (_, durable) = group.put_parts(&[piece.into()]).unwrap();
        durable.await.unwrap();
        journal.close().await.unwrap();
        drop((journal, group));
        let (_journal, group) = self::journal(dir.path()).await;
        let loaded = Saved::load(&group).await.unwrap().unwrap();
        assert_eq!(numbers(&loaded), numbers(&first));
        assert_eq!(ShardState::restore(&loaded.snapshot()).unwrap().digest(), digest);
    }

    #[tokio::test]
    async fn a_part_has_one_name_on_all_nodes() {
        let (dir, mut one, mut other) =
            (tempfile::tempdir().unwrap(), ShardState::new(), ShardState::new());
        let (_journal, group) = journal(dir.path()).await;
        publish(&mut one, 80);
        publish(&mut other, 10);
        // Be there snapshots in between or not.
        let saved = save(&group, &Saved::default(), &other).await;
        let mut other = ShardState::restore(&saved.snapshot()).unwrap();
        publish(&mut other, 70);
        other.evict_to(0);
        let one = save(&group, &Saved::default(), &one).await;
        let other = save(&group, &Saved::default(), &other).await;
        let names = |saved: &Saved| saved.parts.iter().map(|part| part.hash).collect::<Vec<_>>();
        assert_eq!(names(&one), names(&other));
    }
}
