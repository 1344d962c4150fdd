//! Which message of a queue comes before which, and who was overtaken: in O(n log n).
//!
//! A queue whose messages are all different is first in, first out exactly if no message overtakes
//! another that certainly stood before it (Henzinger, Sezgin and Vafeiadis, *Aspect-oriented
//! linearizability proofs*, 2013). A message goes in at an unknown moment between being sent and
//! being vouched for, and comes out at the one at which its leader hands it out. So it is enough to
//! look at pairs, and of all that must come before a message only the one that comes out last
//! matters: a running maximum.

use std::time::Duration;

use crate::workload::operation::MessageId;

/// A moment, and a number that orders what happens at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(pub Duration, pub u32);

impl Turn {
    /// Before everything.
    pub const FIRST: Self = Self(Duration::ZERO, 0);
    /// After everything.
    pub const NEVER: Self = Self(Duration::MAX, u32::MAX);
}

/// The priorities there are.
const PRIORITIES: usize = 10;

/// One message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub id: MessageId,
    /// The higher, the earlier.
    pub priority: u8,
    /// When it was sent.
    pub sent: Duration,
    /// From when on it is certain that it stands in the queue, or never will; `None` if it never is.
    pub in_place: Option<Duration>,
    /// Its producer sent it behind all earlier ones of the same line.
    pub line: Option<u32>,
    /// When it came out, if it did.
    pub out: Option<Turn>,
    /// Whatever comes out before this, and must not come before this message, overtakes it.
    pub until: Turn,
}

/// Of all messages that came in so far, by priority: which must come out last.
#[derive(Debug, Default)]
struct Latest([Option<(Turn, usize)>; PRIORITIES]);

impl Latest {
    fn note(&mut self, entry: &Entry, index: usize) {
        for latest in &mut self.0[..=rank(entry)] {
            if latest.is_none_or(|(until, _)| until < entry.until) {
                *latest = Some((entry.until, index));
            }
        }
    }

    fn overtaken_by(&self, entry: &Entry) -> Option<usize> {
        let out = entry.out?;
        self.0[rank(entry)].filter(|(until, _)| out < *until).map(|(_, index)| index)
    }
}

fn rank(entry: &Entry) -> usize {
    usize::from(entry.priority).min(PRIORITIES - 1)
}

/// Each message that overtook another, with the one of these that came out last, as indices. The
/// entries of a line stand in the order they were sent.
pub fn overtaken(entries: &[Entry]) -> Vec<(usize, usize)> {
    let mut found: Vec<Option<usize>> = vec![None; entries.len()];
    let mut note = |overtaken: Option<usize>, by: usize| {
        let until = |index: Option<usize>| index.map(|index| entries[index].until);
        if until(overtaken) > until(found[by]) {
            found[by] = overtaken;
        }
    };

    let mut in_place: Vec<(Duration, usize)> =
        (0..).zip(entries).filter_map(|(index, it)| Some((it.in_place?, index))).collect();
    in_place.sort_unstable();
    let mut sent: Vec<usize> = (0..entries.len()).collect();
    sent.sort_by_key(|index| entries[*index].sent);
    let mut in_place = in_place.into_iter().peekable();
    let mut latest = Latest::default();
    for by in sent {
        let by_then = |(at, _): &(Duration, usize)| *at <= entries[by].sent;
        while let Some((_, index)) = in_place.next_if(by_then) {
            latest.note(&entries[index], index);
        }
        note(latest.overtaken_by(&entries[by]), by);
    }

    let mut lines: Vec<(u32, usize)> =
        (0..).zip(entries).filter_map(|(index, it)| Some((it.line?, index))).collect();
    lines.sort_unstable();
    for line in lines.chunk_by(|(one, _), (other, _)| one == other) {
        let mut latest = Latest::default();
        for &(_, index) in line {
            note(latest.overtaken_by(&entries[index]), index);
            latest.note(&entries[index], index);
        }
    }

    let pairs = found.into_iter().zip(0..);
    pairs.filter_map(|(overtaken, by)| Some((overtaken?, by))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: whether the entry at `first` must come out before that at `then`.
    fn precedes(entries: &[Entry], first: usize, then: usize) -> bool {
        let (a, b) = (&entries[first], &entries[then]);
        let in_line = a.line.is_some() && a.line == b.line && first < then;
        let in_time = a.in_place.is_some_and(|in_place| in_place <= b.sent);
        first != then && a.priority >= b.priority && (in_line || in_time)
    }

    fn overtakes(entries: &[Entry], first: usize, then: usize) -> bool {
        precedes(entries, first, then)
            && entries[then].out.is_some_and(|out| out < entries[first].until)
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let times = (0..30u64, proptest::option::of(0..12u64), proptest::option::of(0..40u32));
        let lines = (0..3u8, proptest::option::of(0..3u32), 0..4u8);
        (times, lines).prop_map(|((sent, took, out), (priority, line, fate))| {
            let sent = Duration::from_millis(sent);
            let out = out.map(|out| Turn(Duration::from_millis(out.into()), out));
            Entry {
                id: MessageId { producer: 0, sequence: 0 },
                priority,
                sent,
                in_place: took.map(|took| sent + Duration::from_millis(took)),
                line,
                out,
                until: match fate {
                    0 => Turn::FIRST,
                    _ => out.unwrap_or(if fate == 1 { Turn::NEVER } else { Turn::FIRST }),
                },
            }
        })
    }

    proptest! {
        #[test]
        fn the_running_maximum_finds_what_all_pairs_find(
            entries in proptest::collection::vec(entry(), 0..40),
        ) {
            let all = 0..entries.len();
            let by_definition: Vec<usize> = all
                .clone()
                .filter(|by| all.clone().any(|first| overtakes(&entries, first, *by)))
                .collect();
            let found = overtaken(&entries);
            let by: Vec<usize> = found.iter().map(|(_, by)| *by).collect();
            prop_assert_eq!(by, by_definition);
            for (first, by) in found {
                prop_assert!(overtakes(&entries, first, by));
                let last = all.clone().filter(|it| overtakes(&entries, *it, by));
                prop_assert!(last.map(|it| entries[it].until).max() == Some(entries[first].until));
            }
        }
    }
}
