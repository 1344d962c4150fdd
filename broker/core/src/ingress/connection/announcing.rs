//! What is there of a connection, of which who listens is told.

use super::{Connection, Directory, Request};
use crate::presence::Announcement;

impl Connection {
    /// The client has something that who listens is told of, or has it no longer.
    pub fn handle_announcement(&mut self, said: Announcement, directory: &impl Directory) {
        match said {
            Announcement::Here(id, presence) => {
                let (number, slot) =
                    (directory.next_consumer(), directory.slot_of(presence.topic()));
                self.present.insert(id, (number, slot));
                self.request(slot, Request::Announce { number, presence });
            }
            Announcement::Gone(id) => {
                if let Some((number, slot)) = self.present.remove(&id) {
                    self.request(slot, Request::Withdraw { number });
                }
            }
        }
    }

    /// The client is gone, and with it all that was there of it.
    pub(super) fn withdraw_all(&mut self) {
        for (number, slot) in std::mem::take(&mut self.present).into_values() {
            self.request(slot, Request::Withdraw { number });
        }
    }
}
