//! When waiting messages end by themselves.
//!
//! Only messages that may be delivered are watched: one in flight is its consumer's, however long
//! that takes. A stored message is taken off the lane at its time and ends when the log says so; a
//! volatile one ends at once.

use super::{Dispatcher, Standing, is_there, types::MessageKey};
use crate::{
    UnixMillis,
    shard::{MessageRef, ShardState},
};
use paceline_reached::{Point, reached};

impl Dispatcher {
    /// When [`Dispatcher::handle_timeout`] wants to be called, by the wall clock.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        self.expiry.first().map(|(at, _)| *at)
    }

    /// Ends the waiting messages whose time is over at `now`: afterwards
    /// [`Dispatcher::poll_command`] may have something to replicate.
    pub fn handle_timeout(&mut self, state: &ShardState, now: UnixMillis) {
        while let Some((at, key)) = self.expiry.first().copied()
            && at <= now
        {
            self.expiry.pop_first();
            match key {
                MessageKey::Stored(message) => self.expire_stored(message, now),
                MessageKey::Volatile(id) => {
                    let entry = self.remove_volatile(id.number);
                    reached(Point::VolatileExpired);
                    self.counters.expired += 1;
                    let lane = self.lanes.get_mut(&entry.lane).expect("its lane exists");
                    let position = entry.position(id.number);
                    lane.note_gone(entry.priority(), position, |item| {
                        is_there(state, &self.volatile, item)
                    });
                    self.drop_if_idle(entry.lane);
                }
            }
        }
    }

    /// A message is met whose time is over.
    pub(super) fn expire(&mut self, standing: &Standing, now: UnixMillis) {
        match standing.key {
            MessageKey::Stored(message) => {
                self.forget_expiry(standing.expires, standing.key);
                self.expire_stored(message, now);
            }
            MessageKey::Volatile(id) => {
                self.remove_volatile(id.number);
                self.counters.expired += 1;
            }
        }
    }

    /// From now on the message is not delivered, unless a transaction holds it.
    pub(super) fn expire_stored(&mut self, message: MessageRef, now: UnixMillis) {
        self.expired_as_of = self.expired_as_of.max(now);
        if self.expiring.insert(message) {
            self.to_expire.push_back(message);
        }
    }

    pub(super) fn note_expiry(&mut self, at: Option<UnixMillis>, key: MessageKey) {
        if let Some(at) = at {
            self.expiry.insert((at, key));
        }
    }

    pub(super) fn forget_expiry(&mut self, at: Option<UnixMillis>, key: MessageKey) {
        if let Some(at) = at {
            self.expiry.remove(&(at, key));
        }
    }
}
