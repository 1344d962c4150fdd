//! What all groups of a node want written in one turn: one append, one sync.

use bytes::Bytes;
use paceline_consensus::{Entry, Index, Message};
use paceline_store::{GroupId, Journal, JournalError};

use super::encoding;

/// One thing to write.
enum Write {
    Vote(Bytes),
    /// The log ends, or begins anew, before this entry.
    Truncate(Index),
    /// The log begins anew here; of the entries that are kept, these go.
    ReplaceLog {
        start: Index,
        mark: Bytes,
        dead: Vec<u64>,
    },
    Append(Entry),
    EndRepair,
}

/// Who is told that everything up to here is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A group's replica, of its ready of this number.
    Ready(u32, u64),
    /// A group, of the end of its repair.
    Repaired(u32),
}

/// What is done when a turn's writes are on the disk.
#[derive(Debug, Default)]
pub struct Then {
    /// Who is told.
    pub awaited: Vec<Awaited>,
    /// To whom of which group what is sent.
    pub send: Vec<(u64, u32, Message)>,
}

/// See the module.
#[derive(Default)]
pub struct Writes {
    writes: Vec<(u32, Write)>,
    then: Then,
}

impl Writes {
    /// A vote.
    pub fn vote(&mut self, group: u32, vote: Bytes) {
        self.writes.push((group, Write::Vote(vote)));
    }

    /// The log is cut: this entry goes, and all behind it.
    pub fn truncate(&mut self, group: u32, from: Index) {
        self.writes.push((group, Write::Truncate(from)));
    }

    /// A snapshot that is on the disk stands for the whole log, which begins anew at `start`.
    pub fn replace_log(&mut self, group: u32, start: Index, mark: Bytes, dead: Vec<u64>) {
        self.writes.push((group, Write::ReplaceLog { start, mark, dead }));
    }

    /// The log's next entry.
    pub fn append(&mut self, group: u32, entry: Entry) {
        self.writes.push((group, Write::Append(entry)));
    }

    /// The group is whole again.
    pub fn end_repair(&mut self, group: u32) {
        self.writes.push((group, Write::EndRepair));
        self.then.awaited.push(Awaited::Repaired(group));
    }

    /// Tells the group's replica of its ready when this is on the disk.
    pub fn wait(&mut self, group: u32, ready: u64) {
        self.then.awaited.push(Awaited::Ready(group, ready));
    }

    /// Sends a word when this is on the disk.
    pub fn then_send(&mut self, to: u64, group: u32, message: Message) {
        self.then.send.push((to, group, message));
    }

    /// Whether there is nothing to write, and nothing that waits for what was.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.then.awaited.is_empty() && self.then.send.is_empty()
    }

    /// Gives everything to the journal, which calls `done` when it is on the disk.
    ///
    /// # Errors
    /// When the journal takes nothing more.
    pub fn submit(
        &mut self,
        journal: &Journal,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) -> Result<Then, JournalError> {
        journal.write(
            |journal| {
                for (group, write) in self.writes.drain(..) {
                    let group = GroupId(group.into());
                    match write {
                        Write::Vote(vote) => journal.save_vote(group, vote)?,
                        Write::Truncate(from) => journal.truncate(group, from)?,
                        Write::ReplaceLog { start, mark, dead } => {
                            journal.replace_log(group, start, mark, &dead)?;
                        }
                        Write::Append(entry) => journal.append(group, entry.id.index, |out| {
                            encoding::encode_into(&entry, out)
                        })?,
                        Write::EndRepair => journal.end_repair(group)?,
                    }
                }
                Ok(())
            },
            done,
        )?;
        Ok(std::mem::take(&mut self.then))
    }
}
