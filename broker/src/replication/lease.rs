//! How long a shard's leader may still believe that it leads.
//!
//! A follower that hears from its leader refuses to vote for anybody else for a while. So a leader
//! that a majority has heard within that while is the only one, and may hand out messages; one that
//! cannot say so must stop, since the others may have chosen another. The time counts from when the
//! leader *sent* what the followers answered, which is before they heard it.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use openraft::Vote;
use paceline_runtime::time::Instant;

/// One group's lease on this node. Fed by the group's network, asked by its leader task.
#[derive(Debug)]
pub struct Lease {
    /// The other voters.
    others: usize,
    duration: Duration,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    vote: Option<Vote<u64>>,
    /// When that was sent which a follower answered last.
    sent: BTreeMap<u64, Instant>,
}

impl Lease {
    /// A lease of a group with so many other voters. `duration` must be shorter than the time for
    /// which a follower that heard from its leader refuses its vote, by more than clocks may drift.
    pub fn new(others: usize, duration: Duration) -> Self {
        Self { others, duration, heard: Mutex::default() }
    }

    /// How long after it was sent an answered message counts.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// A follower has answered what was sent at `sent` under `vote`, and had not refused `vote`.
    pub fn acknowledged(&self, follower: u64, vote: Vote<u64>, sent: Instant) {
        let mut heard = self.heard.lock().expect("no holder panics");
        if heard.vote != Some(vote) {
            if heard.vote > Some(vote) {
                return;
            }
            *heard = Heard { vote: Some(vote), sent: BTreeMap::new() };
        }
        let last = heard.sent.entry(follower).or_insert(sent);
        *last = sent.max(*last);
    }

    /// Until when the leader with this vote is the only one; `None` if no majority has answered it.
    /// A group without other voters has no end.
    pub fn valid_until(&self, vote: Vote<u64>) -> Option<Until> {
        let needed = self.others.div_ceil(2);
        if needed == 0 {
            return Some(Until::Forever);
        }
        let heard = self.heard.lock().expect("no holder panics");
        if heard.vote != Some(vote) {
            return None;
        }
        let mut sent: Vec<Instant> = heard.sent.values().copied().collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        sent.get(needed - 1).map(|&sent| Until::At(sent + self.duration))
    }

    /// Whether the leader with this vote may act as one now.
    pub fn is_valid(&self, vote: Vote<u64>) -> bool {
        match self.valid_until(vote) {
            None => false,
            Some(Until::Forever) => true,
            Some(Until::At(end)) => Instant::now() < end,
        }
    }
}

/// A lease's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Nobody else could be chosen.
    Forever,
    /// It ends unless followers answer again.
    At(Instant),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_decides_by_its_slowest_member() {
        let lease = Lease::new(4, Duration::from_secs(1));
        let vote = Vote::new_committed(1, 1);
        let start = Instant::now();
        let later = |millis| start + Duration::from_millis(millis);
        assert_eq!(lease.valid_until(vote), None);
        lease.acknowledged(2, vote, later(5));
        assert_eq!(lease.valid_until(vote), None, "two of five are no majority");
        lease.acknowledged(3, vote, later(7));
        assert_eq!(lease.valid_until(vote), Some(Until::At(later(1005))));
        lease.acknowledged(4, vote, later(6));
        assert_eq!(lease.valid_until(vote), Some(Until::At(later(1006))));
        lease.acknowledged(3, vote, later(2));
        assert_eq!(lease.valid_until(vote), Some(Until::At(later(1006))), "late answers are old");
    }

    #[test]
    fn another_term_begins_anew_and_an_old_one_counts_no_more() {
        let lease = Lease::new(2, Duration::from_secs(1));
        let (old, new) = (Vote::new_committed(1, 1), Vote::new_committed(3, 1));
        lease.acknowledged(2, old, Instant::now());
        assert!(lease.is_valid(old));
        lease.acknowledged(3, new, Instant::now());
        assert!(lease.is_valid(new) && !lease.is_valid(old));
        lease.acknowledged(2, old, Instant::now());
        assert!(lease.is_valid(new) && !lease.is_valid(old));
    }

    #[test]
    fn a_single_voter_needs_nobody() {
        assert!(Lease::new(0, Duration::ZERO).is_valid(Vote::new_committed(1, 1)));
        assert!(!Lease::new(1, Duration::from_secs(1)).is_valid(Vote::new_committed(1, 1)));
    }
}
