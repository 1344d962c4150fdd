//! What is at hand while a log entry is applied.

use std::collections::BTreeSet;

use super::{
    bodies::Buried,
    command::{Effect, MessageRef},
};
use crate::UnixMillis;

/// The application of one log entry, while it lasts.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) index: u64,
    pub(super) now: UnixMillis,
    /// Which command of the batch is being applied,
    pub(super) command: usize,
    /// the next part of it that names no message which is written in it,
    pub(super) next_part: usize,
    /// and which node sent it.
    pub(super) sender: Option<u64>,
    pub(super) view_changed: bool,
    pub(super) effects: Vec<Effect>,
    /// Log entries that may have lost their last reference.
    pub(super) touched: BTreeSet<u64>,
}

impl Step {
    /// A part of the command that names nothing yet.
    pub(super) fn take_part(&mut self) -> usize {
        self.next_part += 1;
        self.next_part - 1
    }
}

/// Where a message that enters a queue has its body.
#[derive(Clone, Copy)]
pub(super) enum Written {
    /// In the command being applied.
    Here,
    /// Earlier in the log.
    Earlier { at: MessageRef, buried: Option<Buried> },
}
