//! Where two replicas differ: digests of each table, and the entries of one.
//!
//! That replicas differ their [digests](ShardState::digest) say. Somebody who wants to know in what
//! asks for the digests of the tables, and for the entries of those that differ.

use std::fmt::{self, Debug, Write};

use postcard::to_io;
use serde::{Deserialize, Serialize};

use super::{ShardState, TransactionId};

/// The tables that a state consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Table {
    /// The last entry applied, and what counts up.
    Counters,
    /// What is known of the nodes that send, so that nothing is applied twice.
    Sessions,
    /// The queues.
    Queues,
    /// Their messages.
    Messages,
    /// Messages whose bodies were written elsewhere: dead letters, and those of transactions.
    Moved,
    /// Transactions that wait for their decision.
    Prepared,
    /// Decisions that somebody may ask for.
    Decisions,
    /// The cluster's view, in the metadata shard.
    View,
    /// Messages that are not due yet.
    Waiting,
    /// Producers, and what they have sent.
    Producers,
    /// Durable subscriptions, and queues that take part in topics.
    Standings,
    /// Which messages are members of groups.
    Groups,
    /// Branches of distributed transactions.
    Branches,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Counters,
        Self::Sessions,
        Self::Queues,
        Self::Messages,
        Self::Moved,
        Self::Prepared,
        Self::Decisions,
        Self::View,
        Self::Waiting,
        Self::Producers,
        Self::Standings,
        Self::Groups,
        Self::Branches,
    ];
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counters => "counters",
            Self::Sessions => "sessions",
            Self::Queues => "queues",
            Self::Messages => "messages",
            Self::Moved => "moved messages",
            Self::Prepared => "prepared transactions",
            Self::Decisions => "decisions",
            Self::View => "view",
            Self::Waiting => "waiting messages",
            Self::Producers => "producers",
            Self::Standings => "durable subscriptions and virtual topics",
            Self::Groups => "groups",
            Self::Branches => "branches of distributed transactions",
        })
    }
}

/// One entry of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its key.
    pub key: String,
    /// What it says, cut where it is long.
    pub value: String,
    /// A hash of all that it says.
    pub digest: [u8; 32],
}

/// The most characters of a value that are told.
const TOLD: usize = 200;

impl ShardState {
    /// A hash of one table; equal where [`ShardState::digest`] is.
    pub fn table_digest(&self, table: Table) -> [u8; 32] {
        let tables = &self.tables;
        match table {
            Table::Counters => {
                digest(&(tables.applied, tables.next_queue, &tables.deleted, &tables.rules))
            }
            Table::Sessions => digest(&tables.sessions),
            Table::Queues => digest(&tables.queues),
            Table::Messages => digest(&tables.messages),
            Table::Moved => digest(&tables.moved),
            Table::Prepared => digest(&tables.prepared),
            Table::Decisions => digest(&tables.decisions),
            Table::View => digest(&self.view.as_deref()),
            Table::Waiting => digest(&self.tables.waiting),
            Table::Producers => digest(&self.tables.producers),
            Table::Standings => digest(&self.tables.standings),
            Table::Groups => digest(&self.tables.members),
            Table::Branches => digest(&self.tables.branches),
        }
    }

    /// At most `most` entries of a table, in the order of their keys, without the first `skip`.
    pub fn table_entries(&self, table: Table, skip: usize, most: usize) -> Vec<TableEntry> {
        let tables = &self.tables;
        let page = Page { skip, most };
        match table {
            Table::Counters => {
                let counters = [
                    entry("applied", &tables.applied),
                    entry("next queue", &tables.next_queue),
                    entry("deleted queues", &tables.deleted),
                    entry("rules of policies", &tables.rules),
                ];
                counters.into_iter().skip(skip).take(most).collect()
            }
            Table::Sessions => {
                page.of(&tables.sessions, |node, it| entry(format!("node {node}"), it))
            }
            Table::Queues => page.of(&tables.queues, |id, it| entry(id.0.to_string(), it)),
            Table::Messages => {
                page.of(tables.messages.iter(), |message, it| entry(message.to_string(), it))
            }
            Table::Moved => {
                page.of(tables.moved.iter(), |message, it| entry(message.to_string(), it))
            }
            Table::Prepared => page.of(&tables.prepared, |id, it| entry(name(id), it)),
            Table::Decisions => page.of(&tables.decisions, |id, it| entry(name(id), it)),
            Table::View => {
                let view = self.view.as_deref().map(|view| entry("view", view));
                view.into_iter().skip(skip).take(most).collect()
            }
            Table::Waiting => page.of(&self.tables.waiting, |waiting, it| {
                entry(format!("{} at {}", waiting.at, waiting.due.0), it)
            }),
            Table::Producers => page.of(&self.tables.producers, |name, it| entry(&**name, it)),
            Table::Standings => {
                let queues = self.tables.standings.queues.iter();
                let queues = queues.map(|(id, it)| entry(format!("queue {}", id.0), it));
                let known = self.tables.standings.known.iter();
                let known = known.map(|(durable, topics)| entry(durable.to_string(), topics));
                queues.chain(known).skip(skip).take(most).collect()
            }
            Table::Groups => {
                let members = self.tables.members.iter();
                let members = members.map(|(message, it)| entry(message.to_string(), it));
                members.skip(skip).take(most).collect()
            }
            Table::Branches => page.of(&tables.branches, |xid, it| entry(xid.to_string(), it)),
        }
    }
}

/// Some entries of a table.
#[derive(Clone, Copy)]
struct Page {
    skip: usize,
    most: usize,
}

impl Page {
    fn of<'a, K: 'a, V: 'a>(
        self,
        table: impl IntoIterator<Item = (&'a K, &'a V)>,
        entry: impl Fn(&K, &V) -> TableEntry,
    ) -> Vec<TableEntry> {
        let page = table.into_iter().skip(self.skip).take(self.most);
        page.map(|(key, value)| entry(key, value)).collect()
    }
}

fn name(transaction: &TransactionId) -> String {
    let session = transaction.session;
    format!("{} of life {} of node {}", transaction.number, session.incarnation, session.node)
}

fn digest(value: &impl Serialize) -> [u8; 32] {
    let hasher = to_io(value, blake3::Hasher::new()).expect("tables are serializable");
    *hasher.finalize().as_bytes()
}

fn entry(key: impl Into<String>, value: &(impl Serialize + Debug)) -> TableEntry {
    let mut text = Cut(String::new());
    // It fails where there is more than is told.
    if write!(text, "{value:?}").is_err() {
        text.0.push('…');
    }
    TableEntry { key: key.into(), value: text.0, digest: digest(value) }
}

/// A text that takes no more than is told.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitting = text.char_indices().map(|(at, _)| at);
        match fitting.chain([text.len()]).nth(TOLD - self.0.chars().count()) {
            Some(end) if end < text.len() => {
                self.0.push_str(&text[..end]);
                Err(fmt::Error)
            }
            _ => {
                self.0.push_str(text);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{Batch, Command, Origin, SessionId};

    fn state(last: u64) -> ShardState {
        let mut state = ShardState::new();
        let session = SessionId { node: 3, incarnation: 1 };
        for seq in 1..=last {
            let command = (Some(Origin { session, seq }), Command::OpenSession);
            let batch = Batch { now: crate::UnixMillis(1), commands: vec![command] };
            state.apply(seq, &batch);
        }
        state
    }

    #[test]
    fn what_differs_has_another_digest_and_the_rest_has_the_same() {
        let (one, other) = (state(4), state(5));
        let differs: Vec<Table> = Table::ALL
            .into_iter()
            .filter(|table| one.table_digest(*table) != other.table_digest(*table))
            .collect();
        assert_eq!(differs, [Table::Counters, Table::Sessions]);
        let entries = |state: &ShardState| state.table_entries(Table::Sessions, 0, 9);
        assert_eq!(entries(&one)[0].key, "node 3");
        assert!(entries(&one)[0].value.contains("last: 4"), "{}", entries(&one)[0].value);
        assert_ne!(entries(&one)[0].digest, entries(&other)[0].digest);
        assert_eq!(one.table_entries(Table::Counters, 1, 1)[0].key, "next queue");
        assert_eq!(one.table_entries(Table::Sessions, 1, 9), []);
    }

    #[test]
    fn a_long_value_is_cut_and_its_digest_covers_all() {
        let long = |end: &str| entry("k", &format!("{}{end}", "ä".repeat(TOLD)));
        assert_eq!(long("x").value, long("y").value);
        assert!(long("x").value.ends_with("ä…"));
        assert_ne!(long("x").digest, long("y").digest);
    }
}
