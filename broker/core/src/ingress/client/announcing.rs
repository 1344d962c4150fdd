//! What is there at this node's clients, of which a shard's leader tells who listens.

use super::ShardClient;
use crate::{channel::ToLeader, presence::Presence};

/// What is there.
#[derive(Debug)]
pub(super) struct Announced {
    presence: Presence,
    /// The term of the leader that was told last.
    told_in: Option<u64>,
}

impl<T: Clone, S: Clone> ShardClient<T, S> {
    pub(super) fn announce(&mut self, number: u64, presence: Presence) {
        self.announced.insert(number, Announced { presence, told_in: None });
        if self.search.is_found() {
            self.say_present(number);
        }
    }

    pub(super) fn withdraw(&mut self, number: u64) {
        let Some(known) = self.announced.get(&number) else { return };
        match known.told_in {
            _ if self.search.is_found() => {
                self.announced.remove(&number);
                self.output.push_back(ToLeader::Withdraw { number });
            }
            // The next leader is to tell those who were told that it is there.
            Some(_) => _ = self.departed.insert(number),
            None => _ = self.announced.remove(&number),
        }
    }

    /// Another leader, or the same one over another channel, is to know.
    pub(super) fn say_all_present(&mut self) {
        for number in self.announced.keys().copied().collect::<Vec<_>>() {
            self.say_present(number);
        }
        for number in std::mem::take(&mut self.departed) {
            self.withdraw(number);
        }
    }

    fn say_present(&mut self, number: u64) {
        let term = self.term;
        let Some(known) = self.announced.get_mut(&number) else { return };
        // A leader whose channel has ended has said that it was gone.
        let is_news = known.told_in.is_none_or(|told_in| told_in == term);
        known.told_in = Some(term);
        let presence = known.presence.clone();
        self.output.push_back(ToLeader::Announce { number, presence, is_news });
    }
}
