//! Commands that wait to be proposed together.

use std::collections::VecDeque;

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
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    commands: VecDeque<(Option<Origin>, Command)>,
    targets: VecDeque<Target>,
}

impl Gathered {
    pub fn push(&mut self, origin: Option<Origin>, command: Command, target: Target) {
        self.commands.push_back((origin, command));
        self.targets.push_back(target);
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
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
        (Batch { now, commands }, self.targets.drain(..count).collect())
    }
}
