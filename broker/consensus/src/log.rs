//! What a replica knows of its log without holding any of it: the term of each entry, and the
//! memberships that it names.

use std::collections::VecDeque;

use crate::types::{EntryId, Index, Membership, Term};

/// The shape of a log. Entries of one term stand together, so that it is small however long the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The last entry that is not in the log any more: a snapshot stands for it.
    base: EntryId,
    /// First index and term of each run of entries of one term, in order; behind `base`.
    runs: VecDeque<(Index, Term)>,
    last: Index,
    /// Who took part at the base, and from each entry on that says so.
    memberships: VecDeque<(Index, Membership)>,
}

impl Log {
    /// A log that begins behind `base`, where these took part.
    pub fn new(base: EntryId, membership: Membership) -> Self {
        let memberships = VecDeque::from([(base.index, membership)]);
        Self { base, runs: VecDeque::new(), last: base.index, memberships }
    }

    /// The last entry that a snapshot stands for.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry.
    pub fn last(&self) -> EntryId {
        match self.runs.back() {
            Some((_, term)) => EntryId::new(*term, self.last),
            None => self.base,
        }
    }

    /// The term of an entry that is in the log or is its base; index 0 has term 0.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last {
            return None;
        }
        let run = self.runs.partition_point(|(first, _)| *first <= index);
        run.checked_sub(1).map(|run| self.runs[run].1)
    }

    /// The name of an entry that is in the log or is its base.
    pub fn id(&self, index: Index) -> Option<EntryId> {
        self.term(index).map(|term| EntryId::new(term, index))
    }

    /// Whether the log holds this entry, or a snapshot stands for it as its last.
    pub fn has(&self, id: EntryId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// The last entry at or before `index` with a term of at most `term`: where a log that has
    /// `term` at `index` can still agree with this one. None if that is before the base.
    pub fn agrees_until(&self, index: Index, term: Term) -> Option<EntryId> {
        let mut index = index.min(self.last);
        loop {
            let id = self.id(index)?;
            if id.term <= term {
                return Some(id);
            }
            let run = self.runs.partition_point(|(first, _)| *first <= index);
            index = match run.checked_sub(1) {
                Some(run) => self.runs[run].0 - 1,
                // The base's own term is too high.
                None => return None,
            };
        }
    }

    /// Who takes part now: the latest entry that says so counts, committed or not.
    pub fn membership(&self) -> &Membership {
        &self.memberships.back().expect("there is one at the base").1
    }

    /// Where the membership was set.
    pub fn membership_at(&self) -> Index {
        self.memberships.back().expect("there is one at the base").0
    }

    /// An entry of which is known that as of it the membership stood: the one that set it, or the base
    /// if a snapshot stands for that one.
    pub fn membership_known_at(&self) -> Option<EntryId> {
        self.id(self.membership_at().max(self.base.index))
    }

    /// Who took part as of an entry.
    pub fn membership_as_of(&self, index: Index) -> &Membership {
        let of = self.memberships.partition_point(|(at, _)| *at <= index);
        &self.memberships[of.saturating_sub(1)].1
    }

    /// Who took part as of an entry, and every later membership.
    pub fn memberships_from(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let of = self.memberships.partition_point(|(at, _)| *at <= index);
        self.memberships.range(of.saturating_sub(1)..).map(|(_, membership)| membership)
    }

    /// Appends an entry's name.
    ///
    /// # Panics
    ///
    /// If it does not follow the last one.
    pub fn append(&mut self, id: EntryId, membership: Option<&Membership>) {
        assert_eq!(id.index, self.last + 1, "entries follow one another");
        assert!(id.term >= self.last().term, "terms do not go back");
        if self.runs.back().is_none_or(|(_, term)| *term != id.term) {
            self.runs.push_back((id.index, id.term));
        }
        self.last = id.index;
        if let Some(membership) = membership {
            self.memberships.push_back((id.index, membership.clone()));
        }
    }

    /// Drops the entries from `index` on.
    pub fn truncate(&mut self, index: Index) {
        assert!(index > self.base.index, "what a snapshot stands for stays");
        self.last = self.last.min(index - 1);
        while self.runs.back().is_some_and(|(first, _)| *first > self.last) {
            self.runs.pop_back();
        }
        while self.memberships.len() > 1
            && self.memberships.back().is_some_and(|(at, _)| *at > self.last)
        {
            self.memberships.pop_back();
        }
    }

    /// A snapshot now stands for the entries up to `index`, which is in the log.
    pub fn compact(&mut self, index: Index) {
        let Some(base) = self.id(index).filter(|base| base.index > self.base.index) else { return };
        while self.runs.get(1).is_some_and(|(first, _)| *first <= index + 1) {
            self.runs.pop_front();
        }
        match self.runs.front_mut() {
            Some(_) if index == self.last => self.runs.clear(),
            Some((first, _)) => *first = (*first).max(index + 1),
            None => {}
        }
        while self.memberships.get(1).is_some_and(|(at, _)| *at <= index) {
            self.memberships.pop_front();
        }
        self.base = base;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::NodeId;

    #[test]
    fn memberships_come_back_when_entries_go() {
        let of = |ids: &[u64]| Membership::of(ids.iter().map(|id| NodeId(*id)));
        let mut log = Log::new(EntryId::ZERO, of(&[1]));
        log.append(EntryId::new(1, 1), None);
        log.append(EntryId::new(1, 2), Some(&of(&[1, 2])));
        log.append(EntryId::new(1, 3), Some(&of(&[1, 2, 3])));
        assert_eq!(log.membership_as_of(2), &of(&[1, 2]));
        log.truncate(3);
        assert_eq!(log.membership(), &of(&[1, 2]));
        log.compact(2);
        assert_eq!((log.membership(), log.membership_at()), (&of(&[1, 2]), 2));
        assert_eq!(log.last(), EntryId::new(1, 2));
        log.append(EntryId::new(3, 3), None);
        assert_eq!(log.membership_known_at(), Some(EntryId::new(1, 2)));
        log.compact(3);
        assert_eq!(log.membership_at(), 2);
        assert_eq!(log.membership_known_at(), Some(EntryId::new(3, 3)));
    }

    proptest! {
        /// The same steps on a list of terms.
        #[test]
        fn it_is_a_list_of_terms(steps in prop::collection::vec((0u8..4, 0u64..20), 0..60)) {
            let mut log = Log::new(EntryId::ZERO, Membership::default());
            let mut terms: Vec<Term> = vec![0];
            let mut base = 0;
            for (step, argument) in steps {
                match step {
                    0 | 1 => {
                        let term = terms[terms.len() - 1] + u64::from(step == 1 && argument < 6);
                        terms.push(term.max(1));
                        log.append(EntryId::new(term.max(1), terms.len() as u64 - 1), None);
                    }
                    2 if argument as usize > base => {
                        terms.truncate((argument as usize).max(base + 1));
                        log.truncate(argument);
                    }
                    _ => {
                        if (argument as usize) < terms.len() {
                            base = base.max(argument as usize);
                        }
                        log.compact(argument);
                    }
                }
                prop_assert_eq!(log.last().index, terms.len() as u64 - 1);
                prop_assert_eq!(log.base().index, base as u64);
                for index in 0..terms.len() + 3 {
                    let expected = terms.get(index).copied().filter(|_| index >= base);
                    prop_assert_eq!(log.term(index as u64), expected);
                    for term in 0..6 {
                        let until = (base..terms.len().min(index + 1)).rev();
                        let expected = until.clone().find(|at| terms[*at] <= term);
                        let found = log.agrees_until(index as u64, term).map(|id| id.index);
                        if index >= base {
                            prop_assert_eq!(found, expected.map(|at| at as u64));
                        }
                    }
                }
            }
        }
    }
}
