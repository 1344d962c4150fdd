//! Commands that wait to be proposed together.

use std::{collections::VecDeque, time::Duration};

use paceline_reached::{Point, reached};

use crate::{
    UnixMillis,
    dispatch::ConsumerKey,
    operation::Settlement,
    shard::{Batch, Command, MessageRef, Origin, TransactionId},
};

/// Deliveries that end, how, and whose they are.
pub(super) type Settles = Vec<(MessageRef, Settlement, ConsumerKey)>;

/// Who is to hear how a command ended.
#[derive(Debug)]
pub(super) enum Target {
    /// A client.
    Client {
        /// Its channel.
        channel: u64,
        /// The command's number.
        seq: u64,
        /// What the command settles, and for whom.
        settles: Settles,
        /// The transaction in which it does, if only the end of that settles it.
        prepares: Option<TransactionId>,
    },
    /// The dispatcher, which asked for it.
    Dispatcher(Command),
    /// Nobody: the leader wants it so.
    Leader,
    /// Nobody but this leader, which has a message delivered that was written there.
    Due(MessageRef),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    commands: VecDeque<(Option<Origin>, Command)>,
    targets: VecDeque<Target>,
    /// Whether one of them is not to wait.
    urgent: bool,
    /// Since when they have been waiting, as far as that was looked at.
    since: Option<Duration>,
}

/// So many commands wait for no others.
const ENOUGH: usize = 64;

impl Gathered {
    /// One command more, which may wait for others unless it is `urgent`.
    pub fn push(&mut self, origin: Option<Origin>, command: Command, target: Target, urgent: bool) {
        if urgent && !self.urgent && !self.commands.is_empty() {
            reached(Point::EntryShared);
        }
        self.urgent |= urgent;
        self.commands.push_back((origin, command));
        self.targets.push_back(target);
    }

    /// None of what is here may wait any longer.
    pub fn hurry(&mut self) {
        if !self.commands.is_empty() && !self.urgent {
            reached(Point::Hurried);
            self.urgent = true;
        }
    }

    /// Whether there is something to take now: something urgent, or much, or something that has
    /// been waiting for `patience`; then all that is here goes.
    pub fn is_due(&mut self, now: Duration, patience: Duration) -> bool {
        if self.commands.is_empty() {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if !self.urgent && now >= since + patience {
            reached(Point::PatienceEnded);
            self.urgent = true;
        }
        self.urgent |= self.commands.len() >= ENOUGH;
        self.urgent
    }

    /// When [`Gathered::is_due`] is to be asked again though nothing comes; `None` where it was due
    /// before, and nobody took it.
    pub fn due_at(&self, now: Duration, patience: Duration) -> Option<Duration> {
        Some(self.since? + patience).filter(|at| *at > now)
    }

    /// Whether something here has been waiting for `patience` by now.
    pub fn has_waited(&self, now: Duration, patience: Duration) -> bool {
        self.since.is_some_and(|since| now >= since + patience)
    }

    /// The next batch within the bounds; at least one command if there is any.
    pub fn take(
        &mut self,
        max_commands: usize,
        max_bytes: usize,
        now: UnixMillis,
    ) -> (Batch, Vec<Target>) {
        let mut bytes = 0;
        let fitting = self.commands.iter().take(max_commands).take_while(|(_, command)| {
            let first = bytes == 0;
            bytes += command.footprint();
            first || bytes <= max_bytes
        });
        let count = fitting.count();
        let commands = self.commands.drain(..count).collect();
        if self.commands.is_empty() {
            (self.urgent, self.since) = (false, None);
        }
        (Batch { now, commands }, self.targets.drain(..count).collect())
    }
}
