//! What a leader knows of each of the others.

use std::{collections::VecDeque, mem, time::Duration};

use crate::types::Index;

/// Entries that were sent: when, and the last of them.
pub(crate) type Sent = (Duration, Index);

/// How entries are sent to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It is not known where the logs part: one message at a time tries.
    Probing(Option<Sent>),
    /// The logs agree: what comes is sent without waiting for answers.
    Streaming(VecDeque<Sent>),
    /// It is being sent a snapshot.
    Snapshot,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Up to here the other has the leader's entries on its disk.
    pub stored: Index,
    /// The first entry to send next.
    pub next: Index,
    pub sending: Sending,
    /// When the latest message was sent that it has answered: from then on it is with this leader,
    pub heard: Option<Duration>,
    /// for so long.
    pub promise: Duration,
    /// It is sent no entries before.
    pub held_until: Duration,
}

impl Progress {
    /// Of one whose log may agree up to `next`.
    pub fn new(next: Index) -> Self {
        Self {
            stored: 0,
            next,
            sending: Sending::Probing(None),
            heard: None,
            promise: Duration::MAX,
            held_until: Duration::ZERO,
        }
    }

    /// It has answered what was sent at `stamp`, and promised to keep to this leader for so long.
    /// Whether that is another time than before.
    pub fn answered(&mut self, stamp: Duration, promise: Duration) -> bool {
        if self.heard.is_some_and(|heard| heard > stamp) {
            return false;
        }
        self.heard = Some(stamp);
        mem::replace(&mut self.promise, promise) != promise
    }

    /// For how long after it was heard a leader may serve that has this lease, and wants to end before
    /// its followers look for another one. By another configuration they may do so earlier.
    pub fn lease(&self, lease: Duration) -> Duration {
        if self.promise > lease { lease } else { self.promise * 7 / 8 }
    }

    /// Whether entries may be sent now, with so many messages under way at most.
    pub fn may_send(&self, window: usize) -> bool {
        match &self.sending {
            Sending::Probing(under_way) => under_way.is_none(),
            Sending::Streaming(under_way) => under_way.len() < window,
            Sending::Snapshot => false,
        }
    }

    /// Entries up to `upto`, or only a question, were sent.
    pub fn sent(&mut self, stamp: Duration, upto: Index) {
        match &mut self.sending {
            Sending::Probing(under_way) => *under_way = Some((stamp, upto)),
            Sending::Streaming(under_way) => {
                under_way.push_back((stamp, upto));
                self.next = upto + 1;
            }
            Sending::Snapshot => {}
        }
    }

    /// In answer to what was sent at `stamp`: the other has stored everything up to `upto`, and its
    /// log agrees up to `agrees`, as far as can be told. What was sent before and is not in that log
    /// was lost on the way; what is in it and not stored waits for the other's disk.
    pub fn stored(&mut self, stamp: Duration, upto: Index, agrees: Index) {
        self.stored = self.stored.max(upto);
        let is_lost = |(sent, index): &Sent| *sent < stamp && *index > agrees;
        match &mut self.sending {
            Sending::Probing(under_way) => {
                let pending = under_way.filter(|sent| !is_lost(sent) && sent.1 > upto);
                if upto + 1 >= self.next {
                    self.next = pending.map_or(upto, |(_, index)| index) + 1;
                    self.sending = Sending::Streaming(pending.into_iter().collect());
                } else {
                    *under_way = pending;
                }
            }
            Sending::Streaming(under_way) => {
                under_way.retain(|(_, index)| *index > self.stored);
                if under_way.iter().any(is_lost) {
                    self.next = agrees.max(self.stored) + 1;
                    self.sending = Sending::Probing(None);
                }
            }
            Sending::Snapshot => {}
        }
        self.next = self.next.max(self.stored + 1);
    }

    /// The logs agree up to `upto` at most.
    pub fn conflict(&mut self, upto: Index) {
        self.next = upto.max(self.stored) + 1;
        self.sending = Sending::Probing(None);
    }
}
