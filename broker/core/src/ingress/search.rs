//! Finding the leader of a shard: by what others say, else by asking the nodes of its row in turn.

use std::time::Duration;

/// The first pause after nobody was found; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long a node may take to say whether it leads the shard.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody was asked, or nobody led; from then on somebody may be asked.
    Pausing { until: Duration },
    /// A node was asked and has not answered.
    Asking { until: Duration },
    /// The leader takes what is said.
    Found,
}

/// One client's search. Times count from any beginning.
#[derive(Debug)]
pub(super) struct Search {
    state: State,
    hint: Option<u64>,
    /// 0 for whoever is said to lead, then the places of the row from 1.
    turn: usize,
    pause: Duration,
    /// Whether the next try follows a hint, so that no pause is needed before it.
    fresh_hint: bool,
}

impl Search {
    pub(super) fn new() -> Self {
        Self {
            state: State::Pausing { until: Duration::ZERO },
            hint: None,
            turn: 0,
            pause: FIRST_PAUSE,
            fresh_hint: false,
        }
    }

    /// Whom to ask now, if it is time to. `known` says who leads as far as this node knows.
    pub(super) fn poll_open(
        &mut self,
        now: Duration,
        row: &[u64],
        known: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        match self.state {
            State::Pausing { until } if until <= now => {}
            _ => return None,
        }
        self.state = State::Asking { until: now + ANSWER_WITHIN };
        let turn = self.turn;
        self.turn = if turn >= row.len() { 0 } else { turn + 1 };
        if turn == 0
            && let Some(node) = self.hint.take().or_else(known)
        {
            return Some(node);
        }
        row.get(turn.saturating_sub(1)).copied()
    }

    /// Somebody who does not lead has said who does, or that he does not know.
    pub(super) fn hint(&mut self, leader: Option<u64>) {
        self.fresh_hint = leader.is_some() && self.hint != leader;
        self.hint = leader;
    }

    pub(super) fn handle_found(&mut self) {
        self.state = State::Found;
        self.pause = FIRST_PAUSE;
        self.turn = 0;
    }

    /// Who was asked does not lead or does not answer, or who led does so no more.
    pub(super) fn handle_lost(&mut self, now: Duration) {
        if std::mem::take(&mut self.fresh_hint) {
            self.turn = 0;
            self.state = State::Pausing { until: now };
            return;
        }
        self.state = State::Pausing { until: now + self.pause };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    pub(super) fn is_found(&self) -> bool {
        self.state == State::Found
    }

    pub(super) fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// Until when an answer or the next question is awaited.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Pausing { until } | State::Asking { until } => Some(until),
            State::Found => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [u64; 3] = [4, 7, 9];
    const ZERO: Duration = Duration::ZERO;

    /// Asks until somebody is asked; moves the time there.
    fn ask(search: &mut Search, now: &mut Duration, known: Option<u64>) -> u64 {
        *now = search.deadline().unwrap().max(*now);
        search.poll_open(*now, &ROW, || known).unwrap()
    }

    #[test]
    fn whoever_is_known_is_asked_and_then_the_row_in_turn() {
        let (mut search, mut now) = (Search::new(), ZERO);
        for expected in [9, 4, 7, 9, 9, 4] {
            assert_eq!(ask(&mut search, &mut now, Some(9)), expected);
            assert_eq!(search.poll_open(now, &ROW, || None), None, "one question at a time");
            search.handle_lost(now);
        }
        let mut search = Search::new();
        for expected in [4, 4, 7, 9, 4] {
            assert_eq!(ask(&mut search, &mut now, None), expected);
            search.handle_lost(now);
        }
    }

    #[test]
    fn a_hint_is_followed_at_once_and_only_once() {
        let (mut search, mut now) = (Search::new(), ZERO);
        ask(&mut search, &mut now, None);
        search.hint(Some(7));
        search.handle_lost(now);
        assert_eq!(search.poll_open(now, &ROW, || Some(9)), Some(7));
        // Two nodes that point at each other do not keep it from pausing.
        search.hint(None);
        search.handle_lost(now);
        assert_eq!(search.poll_open(now, &ROW, || Some(9)), None);
    }

    #[test]
    fn pauses_double_up_to_a_bound_until_a_leader_is_found() {
        let (mut search, mut now) = (Search::new(), ZERO);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            ask(&mut search, &mut now, None);
            search.handle_lost(now);
            pauses.push((search.deadline().unwrap() - now).as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 250, 250]);
        ask(&mut search, &mut now, None);
        search.handle_found();
        assert_eq!((search.is_found(), search.deadline()), (true, None));
        search.handle_lost(now);
        assert_eq!(search.deadline(), Some(now + FIRST_PAUSE));
    }
}
