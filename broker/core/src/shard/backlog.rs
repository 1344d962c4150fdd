//! Messages by name, in runs that copies share.
//!
//! A copy of a backlog costs a pointer for each run and no message: two copies share their runs, and
//! whichever changes one first makes its own of that. So a snapshot is a copy, taken at once and
//! written aside, and a run that is the same one as in the snapshot before need not be written again.
//!
//! Names ascend as the log does, so a run is filled at its end and not split; where runs begin follows
//! from what was put in and taken out, and is the same on all replicas.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};

use super::command::MessageRef;

/// A run of so many messages is followed by another: 16 KiB of them, which is what the first change
/// after a snapshot copies.
pub(super) const RUN: usize = 512;

/// Messages that follow each other, in order; never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run<V>(VecDeque<(MessageRef, V)>);

impl<V> Run<V> {
    fn place(&self, message: MessageRef) -> Result<usize, usize> {
        self.0.binary_search_by_key(&message, |(name, _)| *name)
    }

    /// Its messages.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&MessageRef, &V)> {
        self.0.iter().map(|(message, value)| (message, value))
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Backlog<V> {
    /// By a name that is not above that of the run's first message, and above all before it.
    runs: BTreeMap<MessageRef, Arc<Run<V>>>,
    len: usize,
}

impl<V> Default for Backlog<V> {
    fn default() -> Self {
        Self { runs: BTreeMap::new(), len: 0 }
    }
}

impl<V: Clone> Backlog<V> {
    /// One of these runs. `None` if they are empty, or not in order.
    pub(super) fn of_runs(runs: impl IntoIterator<Item = Arc<Run<V>>>) -> Option<Self> {
        let mut backlog = Self::default();
        let mut last = None;
        for run in runs {
            let (first, _) = run.0.front()?;
            for (message, _) in &run.0 {
                if last.replace(*message) >= Some(*message) {
                    return None;
                }
            }
            backlog.len += run.0.len();
            backlog.runs.insert(*first, run);
        }
        Some(backlog)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Arc<Run<V>>> {
        self.runs.values()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn run(&self, message: MessageRef) -> Option<&Arc<Run<V>>> {
        self.runs.range(..=message).next_back().map(|(_, run)| run)
    }

    pub(super) fn get(&self, message: MessageRef) -> Option<&V> {
        let run = self.run(message)?;
        let place = run.place(message).ok()?;
        Some(&run.0[place].1)
    }

    pub(super) fn contains(&self, message: MessageRef) -> bool {
        self.get(message).is_some()
    }

    pub(super) fn get_mut(&mut self, message: MessageRef) -> Option<&mut V> {
        let (_, run) = self.runs.range_mut(..=message).next_back()?;
        let place = run.place(message).ok()?;
        Some(&mut Arc::make_mut(run).0[place].1)
    }

    /// Whether it was not there.
    pub(super) fn insert(&mut self, message: MessageRef, value: V) -> bool {
        let run = match self.runs.range_mut(..=message).next_back() {
            Some((_, run)) => run,
            None => self.runs.entry(message).or_insert_with(|| Arc::new(Run(VecDeque::new()))),
        };
        let Err(place) = run.place(message) else { return false };
        if place == run.0.len() && place >= RUN {
            let next = Run(VecDeque::from([(message, value)]));
            self.runs.insert(message, Arc::new(next));
        } else {
            Arc::make_mut(run).0.insert(place, (message, value));
        }
        self.len += 1;
        true
    }

    pub(super) fn remove(&mut self, message: MessageRef) -> Option<V> {
        let (first, run) = self.runs.range_mut(..=message).next_back()?;
        let place = run.place(message).ok()?;
        self.len -= 1;
        if run.0.len() == 1 {
            let first = *first;
            let run = self.runs.remove(&first)?;
            return Some(run.0[0].1.clone());
        }
        let Run(run) = Arc::make_mut(run);
        let (_, value) = run.remove(place)?;
        if run.len() * 4 <= run.capacity() {
            run.shrink_to(run.len() * 2);
        }
        Some(value)
    }

    /// Whether there is one in the range.
    pub(super) fn any_in(&self, range: RangeInclusive<MessageRef>) -> bool {
        let first = *range.start();
        let in_run = self.run(first).and_then(|run| {
            let (Ok(place) | Err(place)) = run.place(first);
            run.0.get(place)
        });
        let next = || {
            let (_, run) = self.runs.range(first..).next()?;
            run.0.front()
        };
        in_run.or_else(next).is_some_and(|(message, _)| range.contains(message))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&MessageRef, &V)> {
        self.runs.values().flat_map(|run| run.iter())
    }

    /// The same without those before a name.
    pub(super) fn iter_from(&self, first: MessageRef) -> impl Iterator<Item = (&MessageRef, &V)> {
        let run = self.runs.range(..=first).next_back().map_or(first, |(name, _)| *name);
        let runs = self.runs.range(run..).map(|(_, run)| run);
        runs.flat_map(|run| run.iter()).skip_while(move |(message, _)| **message < first)
    }
}

/// As a map: where runs begin is not told.
impl<V: Clone + Serialize> Serialize for Backlog<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(self.len))?;
        for (message, value) in self.iter() {
            map.serialize_entry(message, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(index: u64) -> MessageRef {
        MessageRef { index, offset: 0 }
    }

    fn filled(messages: u64) -> Backlog<u64> {
        let mut backlog = Backlog::default();
        (0..messages).for_each(|index| assert!(backlog.insert(name(index), index)));
        backlog
    }

    #[test]
    fn a_copy_stands_and_shares_what_did_not_change() {
        let mut backlog = filled(4 * RUN as u64);
        let copy = backlog.clone();
        *backlog.get_mut(name(RUN as u64)).unwrap() = 7;
        assert_eq!(backlog.remove(name(0)), Some(0));
        assert_eq!(
            (copy.get(name(0)), copy.get(name(RUN as u64))),
            (Some(&0), Some(&(RUN as u64)))
        );
        let shared = backlog.runs().zip(copy.runs()).map(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.collect::<Vec<_>>(), [false, false, true, true]);
    }

    #[test]
    fn a_look_at_what_is_not_there_copies_nothing() {
        let mut backlog = filled(3);
        let copy = backlog.clone();
        assert_eq!(backlog.get_mut(name(9)), None);
        assert_eq!(backlog.remove(name(9)), None);
        assert!(!backlog.insert(name(1), 9));
        assert!(Arc::ptr_eq(backlog.runs().next().unwrap(), copy.runs().next().unwrap()));
    }

    #[test]
    fn what_has_gone_gives_its_memory_back() {
        let mut backlog = filled(10 * RUN as u64);
        for index in (0..10 * RUN as u64).filter(|index| index % RUN as u64 != 9) {
            backlog.remove(name(index));
        }
        assert_eq!(backlog.len(), 10);
        let room: usize = backlog.runs().map(|run| run.0.capacity()).sum();
        assert!(room <= 10 * 8, "{room}");
    }

    #[test]
    fn runs_that_are_not_in_order_are_none() {
        let runs: Vec<_> = filled(2 * RUN as u64).runs().cloned().collect();
        assert!(Backlog::of_runs(runs.iter().cloned()).is_some());
        assert!(Backlog::of_runs(runs.iter().rev().cloned()).is_none());
        assert!(Backlog::of_runs([runs[0].clone(), runs[0].clone()]).is_none());
        assert!(Backlog::of_runs([Arc::new(Run::<u64>(VecDeque::new()))]).is_none());
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Behind the last by so much, so many.
        Push(u64, u64),
        Remove(u64),
        Change(u64),
        Copy,
        Reborn,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            2 => (1u64..4, 1u64..700).prop_map(|(step, count)| Op::Push(step, count)),
            8 => (0u64..3000).prop_map(Op::Remove),
            2 => (0u64..3000).prop_map(Op::Change),
            1 => Just(Op::Copy),
            1 => Just(Op::Reborn),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_map(ops in prop::collection::vec(op(), 1..200)) {
            let (mut backlog, mut map) = (Backlog::default(), BTreeMap::new());
            let mut copies = Vec::new();
            let mut last = 0;
            for op in ops {
                match op {
                    Op::Push(step, count) => for _ in 0..count {
                        last += step;
                        prop_assert!(backlog.insert(name(last), last));
                        map.insert(name(last), last);
                    },
                    Op::Remove(at) => prop_assert_eq!(backlog.remove(name(at)), map.remove(&name(at))),
                    Op::Change(at) => {
                        let (one, other) = (backlog.get_mut(name(at)), map.get_mut(&name(at)));
                        prop_assert_eq!(&one, &other);
                        for value in one.into_iter().chain(other) {
                            *value += 1;
                        }
                    }
                    Op::Copy => copies.push((backlog.clone(), map.clone())),
                    Op::Reborn => backlog = Backlog::of_runs(backlog.runs().cloned()).unwrap(),
                }
                let range = name(last / 2)..=name(last / 2 + 5);
                prop_assert_eq!(backlog.any_in(range.clone()), map.range(range).next().is_some());
            }
            copies.push((backlog, map));
            for (backlog, map) in copies {
                prop_assert!(backlog.iter().eq(map.iter()));
                prop_assert_eq!(backlog.len(), map.len());
                prop_assert!(map.iter().all(|(message, value)| backlog.get(*message) == Some(value)));
            }
        }
    }
}
