//! Other policies while a leader serves.

use std::sync::Arc;

use paceline_reached::{Point, reached};

use super::{Serving, Term, Told, gathered::Target};
use crate::{
    bounds::Bounds,
    rules::Rules,
    shard::{Command, ShardState},
};

impl<T: Told> Serving<T> {
    /// From now on these are the policies. Whoever waits for room is told if there is some now; what
    /// they say of messages that nobody consumes counts when it is applied.
    pub fn set_policies(&mut self, state: &ShardState, bounds: Arc<Bounds>, rules: Arc<Rules>) {
        let limits = &mut self.settings.limits;
        (limits.bounds, limits.rules) = (bounds.clone(), rules.clone());
        if let Some(term) = &mut self.term {
            term.dispatcher.set_policies(bounds, rules.clone());
            term.have_rules(rules);
            self.find_room(state);
        }
    }
}

impl Term {
    /// Sees to it that these rules stand in the state, behind what is under way.
    pub(super) fn have_rules(&mut self, rules: Arc<Rules>) {
        if self.rules == rules {
            return;
        }
        reached(Point::RulesWritten);
        self.rules = rules.clone();
        self.gathered.push(None, Command::Rules { rules }, Target::Leader, true);
    }
}
