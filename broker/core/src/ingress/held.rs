//! Messages for which their queue had no room: they wait here, in the order in which they came,
//! until the shard's leader says that there is some.
//!
//! None overtakes another. When a message comes back, all of its queue that follow it here wait
//! behind it; those that are under way come back too, since the shard takes none of this node's until
//! the first one is sent again ([`Command::PublishWithin`]). When all of them are back the leader is
//! asked for room, and as many go as it speaks of.
//!
//! [`Command::PublishWithin`]: crate::shard::Command::PublishWithin

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    Message,
    bounds::{QueueFull, Room, Size},
};

/// A message that waits.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) message: Arc<Message>,
    pub(super) bytes: usize,
    pub(super) asker: T,
}

/// How far things have come that are numbered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Of commands.
    pub(super) seq: u64,
    /// Of questions.
    pub(super) question: u64,
}

/// What is to be said to the leader.
#[derive(Debug)]
pub(super) enum Step<T> {
    /// [`ToLeader::AwaitRoom`](crate::channel::ToLeader::AwaitRoom); again when another message has
    /// become the first, or none is left.
    Ask { queue: Arc<str>, size: u64 },
    /// These again, and then [`Held::sent`].
    Send { queue: Arc<str>, why: QueueFull, messages: Vec<Kept<T>> },
}

/// What waits for one queue.
#[derive(Debug)]
struct Line<T> {
    /// What has come back since some were sent; stands before the rest.
    returned: VecDeque<(Kept<T>, Duration)>,
    /// With the time since when each waits.
    rest: VecDeque<(Kept<T>, Duration)>,
    /// What is answered when nothing for the queue is under way.
    sent: Mark,
    /// Room for how many bytes the leader was asked for, and what it said.
    asked: Option<u64>,
    room: Option<Room>,
    /// The leader may not have answered all that it was asked, since the first message was given up when
    /// it answered already.
    is_awaited: bool,
    /// When there was room last.
    moved_at: Duration,
    why: QueueFull,
}

impl<T> Line<T> {
    fn overdue_at(&self, timeout: Duration) -> Option<Duration> {
        let (_, since) = self.returned.front().or(self.rest.front())?;
        Some(self.moved_at.max(*since) + timeout)
    }
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Held<T> {
    lines: BTreeMap<Arc<str>, Line<T>>,
    bytes: usize,
    /// A message is given up when there was no room for so long.
    timeout: Duration,
}

impl<T> Held<T> {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { lines: BTreeMap::new(), bytes: 0, timeout }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What all that waits takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Why a message for the queue has to wait behind others.
    pub(super) fn why(&self, queue: &str) -> Option<&QueueFull> {
        self.lines.get(queue).map(|line| &line.why)
    }

    /// A message that waits behind the others of its queue, of which there are some.
    pub(super) fn push(&mut self, now: Duration, kept: Kept<T>) {
        let line = self.lines.get_mut(&kept.message.destination.name).expect("others wait");
        self.bytes += kept.bytes;
        line.rest.push_back((kept, now));
    }

    /// A message comes back, since its queue has no room. `sent` is as far as anything was sent.
    pub(super) fn give_back(&mut self, now: Duration, kept: Kept<T>, why: QueueFull, sent: Mark) {
        self.bytes += kept.bytes;
        let queue = kept.message.destination.name.clone();
        let line = self.lines.entry(queue).or_insert_with(|| Line {
            returned: VecDeque::new(),
            rest: VecDeque::new(),
            sent,
            asked: None,
            room: None,
            is_awaited: false,
            moved_at: now,
            why: why.clone(),
        });
        line.why = why;
        line.returned.push_back((kept, now));
    }

    /// The leader has said that there is room.
    pub(super) fn handle_room(&mut self, now: Duration, queue: &str, room: Room) {
        if let Some(line) = self.lines.get_mut(queue).filter(|line| line.asked.is_some()) {
            line.room = Some(room);
            line.moved_at = now;
        }
    }

    /// The leader is gone, and with it what it was asked.
    pub(super) fn handle_lost(&mut self) {
        for line in self.lines.values_mut() {
            (line.asked, line.room, line.is_awaited) = (None, None, false);
        }
    }

    /// What to say next to the leader, where `open` are the first command and question that are not
    /// answered.
    pub(super) fn poll(&mut self, open: Mark) -> Option<Step<T>> {
        let Self { lines, bytes, .. } = self;
        lines.retain(|_, line| {
            let waits = !(line.returned.is_empty() && line.rest.is_empty());
            waits || !line.sent.is_before(open) || line.asked.is_some() || line.is_awaited
        });
        for (queue, line) in lines.iter_mut() {
            if !line.sent.is_before(open) {
                continue;
            }
            while let Some(last) = line.returned.pop_back() {
                line.rest.push_front(last);
            }
            let Some((first, _)) = line.rest.front() else {
                (line.asked, line.is_awaited) = (None, false);
                return Some(Step::Ask { queue: queue.clone(), size: 0 });
            };
            if let Some(room) = line.room.take() {
                line.asked = None;
                let messages = line.take(room);
                *bytes -= messages.iter().map(|kept| kept.bytes).sum::<usize>();
                return Some(Step::Send { queue: queue.clone(), why: line.why.clone(), messages });
            }
            let size = Size::of(&first.message).bytes();
            if line.asked != Some(size) {
                line.is_awaited |= line.asked.is_some();
                line.asked = Some(size);
                return Some(Step::Ask { queue: queue.clone(), size });
            }
        }
        None
    }

    /// What was polled was sent, and so far everything.
    pub(super) fn sent(&mut self, queue: &str, sent: Mark) {
        self.lines.get_mut(queue).expect("it was polled").sent = sent;
    }

    /// When [`Held::poll_overdue`] is to be called.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.lines.values().filter_map(|line| line.overdue_at(self.timeout)).min()
    }

    /// A message that has waited too long, and why.
    pub(super) fn poll_overdue(&mut self, now: Duration) -> Option<(Kept<T>, String)> {
        let timeout = self.timeout;
        let mut lines = self.lines.values_mut();
        let line = lines.find(|line| line.overdue_at(timeout).is_some_and(|at| at <= now))?;
        let (kept, _) = line.returned.pop_front().or_else(|| line.rest.pop_front())?;
        self.bytes -= kept.bytes;
        Some((kept, format!("{}; there was no room for {timeout:?}", line.why)))
    }
}

impl<T> Line<T> {
    /// As many as there is room for, and one at least.
    fn take(&mut self, room: Room) -> Vec<Kept<T>> {
        let mut left = room.bytes;
        let mut taken = Vec::new();
        while let Some((kept, _)) = self.rest.front() {
            let size = Size::of(&kept.message).bytes();
            if !taken.is_empty() && (taken.len() as u64 >= room.messages || size > left) {
                break;
            }
            left = left.saturating_sub(size);
            taken.extend(self.rest.pop_front().map(|(kept, _)| kept));
        }
        taken
    }
}

impl Mark {
    /// Whether everything up to here is answered, where `open` are the first that are not.
    fn is_before(self, open: Mark) -> bool {
        self.seq < open.seq && self.question < open.question
    }
}
