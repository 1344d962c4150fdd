//! How the nodes of a group become those of its row: one copy at a time, each added before another
//! one goes, and never so that those who decide could not.

use std::collections::BTreeSet;

use paceline_consensus::{Membership, NodeId};
use paceline_events::emit;
use paceline_reached::{Point, reached};
use paceline_runtime::time::Duration;

use super::Group;
use crate::replication::{status::Holders, turn::Turn};

impl Group {
    /// As a leader: brings the group's membership nearer to its row.
    pub(super) fn look_after_members(&mut self, turn: &mut Turn) {
        let log = self.replica.log();
        let at = log.membership_at();
        self.is_moving = false;
        if self.serving.term().is_none() || self.settled == Some(at) {
            return;
        }
        let membership = log.membership();
        let comes = |node: &NodeId| {
            self.row.contains(&node.0) && self.standing(*node, turn) != Standing::Away
        };
        self.is_moving = membership.learners.iter().any(comes);
        if membership.is_joint() || at > self.replica.commit() || self.handing_over {
            return;
        }
        if at == 0 {
            // From here on the log says by itself who began it, to those who come later as well.
            let Membership { voters, learners, .. } = membership.clone();
            let _ = self.replica.propose_membership(voters, learners);
            return;
        }
        let row: Vec<NodeId> = self.row.iter().copied().map(NodeId).collect();
        let may_add = self.is_moving || turn.moving < self.settings.moves;
        let standing = |node| self.standing(node, turn);
        let step = next_step(NodeId(self.node), &row, membership, standing, may_add);
        let is_row = membership.learners.is_empty()
            && membership.voters.len() == row.len()
            && row.iter().all(|node| membership.voters.contains(node));
        match step {
            None if is_row => self.settled = Some(at),
            None => {}
            Some(Step::HandOver(heir)) => self.begin_hand_over(heir.0, turn.now),
            Some(Step::Change { voters, learners }) => {
                let before = membership.clone();
                if self.replica.propose_membership(voters.clone(), learners.clone()).is_err() {
                    return;
                }
                let shard = u64::from(self.slot);
                for node in learners.difference(&before.members()) {
                    self.added = Some((*node, turn.now));
                    reached(Point::ReplicaAdded);
                    emit!(ReplicaAdded { shard, node: node.0 });
                }
                for node in voters.difference(&before.voters) {
                    reached(Point::ReplicaPromoted);
                    emit!(ReplicaPromoted { shard, node: node.0 });
                }
                self.is_moving = !learners.is_empty();
                tracing::debug!(slot = self.slot, ?voters, ?learners, "its members change");
            }
        }
    }

    fn standing(&self, node: NodeId, turn: &Turn) -> Standing {
        if turn.outbox.connection(node.0).is_none() {
            return Standing::Away;
        }
        let patience = self.replica.config().patience;
        let added = self.added.filter(|(added, _)| *added == node).map(|(_, at)| at);
        match self.replica.progress(node) {
            Some((_, Some(heard))) if heard + patience <= turn.now => Standing::Away,
            // It is there, but its replica does not run.
            Some((_, None)) if added.is_some_and(|at| at + ANSWERS_WITHIN <= turn.now) => {
                Standing::Away
            }
            // Who is to decide has to know who decides, too.
            Some((stored, Some(_)))
                if stored >= self.replica.log().membership_at()
                    && self.is_nearly_up_to_date(stored) =>
            {
                Standing::UpToDate
            }
            _ => Standing::Behind,
        }
    }

    /// Who has the log, if no change of that is under way.
    pub fn holders(&self) -> Option<Holders> {
        let log = self.replica.log();
        let id = log
            .membership_known_at()
            .filter(|id| (1..=self.replica.commit()).contains(&id.index))?;
        Some(Holders { at: id, members: log.membership().members() })
    }

    /// Whether this node's copy may go, as another one knows of these holders: this node is none of
    /// them, nor has its own log made it one since. It is out of use then, and nothing is written to it
    /// any more.
    pub fn may_go(&self, holders: &Holders) -> bool {
        let (log, me) = (self.replica.log(), NodeId(self.node));
        let since =
            log.membership_at() > holders.at.index && log.membership().members().contains(&me);
        // Whoever follows a leader is a member of its group, or was one just now: it may be one again.
        let is_out = !holders.members.contains(&me) && !since && self.leader().is_none();
        is_out && !self.is_busy()
    }

    /// Whether something of it is being read or written aside.
    fn is_busy(&self) -> bool {
        self.snapshotting || self.ending_repair || self.reading || !self.sending.is_empty()
    }
}

/// A node on which a new copy is to be filled has so long to open it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How another node stands, as the leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not to be reached, or silent for some time.
    Away,
    /// There, and lacks more than can be caught up with at once.
    Behind,
    /// There, and nearly up to date.
    UpToDate,
}

/// What the leader does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These take part from now on.
    Change {
        /// Who decides.
        voters: BTreeSet<NodeId>,
        /// Who is brought up to date.
        learners: BTreeSet<NodeId>,
    },
    /// Somebody of the row is to lead, since this node has to go.
    HandOver(NodeId),
}

/// The next step from a membership, of which no change is under way, to the row; none if there is
/// none, or none now. `may_add` says whether one more copy may be begun.
pub fn next_step(
    me: NodeId,
    row: &[NodeId],
    membership: &Membership,
    standing: impl Fn(NodeId) -> Standing,
    may_add: bool,
) -> Option<Step> {
    let Membership { voters, learners, .. } = membership;
    let is_there = |node: &NodeId| *node == me || standing(*node) != Standing::Away;
    let can_decide = |voters: &BTreeSet<NodeId>| {
        voters.iter().filter(|node| is_there(node)).count() > voters.len() / 2
    };
    let missing = || row.iter().copied().filter(|node| !voters.contains(node));
    // Those who are away go first.
    let excess = voters.iter().copied().filter(|node| *node != me && !row.contains(node));
    let goes = excess.min_by_key(|node| is_there(node));
    let wanted: BTreeSet<NodeId> = learners.iter().copied().filter(|it| row.contains(it)).collect();

    let ready =
        missing().find(|node| learners.contains(node) && standing(*node) == Standing::UpToDate);
    if let Some(comes) = ready {
        let mut next = voters.clone();
        next.insert(comes);
        if let Some(goes) = goes.filter(|_| next.len() > row.len()) {
            next.remove(&goes);
        }
        let learners = wanted.into_iter().filter(|node| *node != comes).collect();
        return can_decide(&next).then_some(Step::Change { voters: next, learners });
    }
    if missing().any(|node| learners.contains(&node) && is_there(&node)) {
        return None;
    }
    if let Some(comes) = missing().find(is_there) {
        let learners = BTreeSet::from([comes]);
        return may_add.then(|| Step::Change { voters: voters.clone(), learners });
    }
    if missing().next().is_some() {
        return None;
    }
    if let Some(goes) = goes {
        let mut next = voters.clone();
        next.remove(&goes);
        return can_decide(&next).then_some(Step::Change { voters: next, learners: wanted });
    }
    if !row.contains(&me) {
        let heir = row.iter().copied().find(|node| standing(*node) == Standing::UpToDate);
        return heir.map(Step::HandOver);
    }
    (wanted != *learners).then(|| Step::Change { voters: voters.clone(), learners: wanted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn row(nodes: &[u64]) -> Vec<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn of(voters: &[u64], learners: &[u64]) -> Membership {
        Membership { voters: set(voters), outgoing: BTreeSet::new(), learners: set(learners) }
    }

    fn change(voters: &[u64], learners: &[u64]) -> Option<Step> {
        Some(Step::Change { voters: set(voters), learners: set(learners) })
    }

    /// All but these are up to date.
    fn step(me: u64, to: &[u64], from: &Membership, away: &[u64], behind: &[u64]) -> Option<Step> {
        let standing = |node: NodeId| match (away.contains(&node.0), behind.contains(&node.0)) {
            (true, _) => Standing::Away,
            (_, true) => Standing::Behind,
            _ => Standing::UpToDate,
        };
        next_step(NodeId(me), &row(to), from, standing, true)
    }

    #[test]
    fn a_copy_comes_before_another_goes() {
        let to = [2, 3, 4];
        assert_eq!(step(2, &to, &of(&[1, 2, 3], &[]), &[], &[4]), change(&[1, 2, 3], &[4]));
        assert_eq!(step(2, &to, &of(&[1, 2, 3], &[4]), &[], &[4]), None, "it is on its way");
        assert_eq!(step(2, &to, &of(&[1, 2, 3], &[4]), &[], &[]), change(&[2, 3, 4], &[]));
        assert_eq!(step(2, &to, &of(&[2, 3, 4], &[]), &[], &[]), None);
    }

    #[test]
    fn a_dead_node_is_replaced() {
        let to = [1, 2, 4];
        assert_eq!(step(1, &to, &of(&[1, 2, 3], &[]), &[3], &[4]), change(&[1, 2, 3], &[4]));
        assert_eq!(step(1, &to, &of(&[1, 2, 3], &[4]), &[3], &[]), change(&[1, 2, 4], &[]));
    }

    #[test]
    fn a_leader_that_goes_hands_over_last() {
        let to = [2, 3, 4];
        assert_eq!(step(1, &to, &of(&[1, 2, 3], &[4]), &[], &[]), change(&[1, 2, 3, 4], &[]));
        let handing_over = Some(Step::HandOver(NodeId(3)));
        assert_eq!(step(1, &to, &of(&[1, 2, 3, 4], &[]), &[], &[2]), handing_over);
        assert_eq!(step(3, &to, &of(&[1, 2, 3, 4], &[]), &[], &[]), change(&[2, 3, 4], &[]));
    }

    #[test]
    fn one_copy_moves_by_way_of_two() {
        assert_eq!(step(1, &[2], &of(&[1], &[]), &[], &[2]), change(&[1], &[2]));
        assert_eq!(step(1, &[2], &of(&[1], &[2]), &[], &[]), change(&[1, 2], &[]));
        assert_eq!(step(1, &[2], &of(&[1, 2], &[]), &[], &[]), Some(Step::HandOver(NodeId(2))));
        assert_eq!(step(2, &[2], &of(&[1, 2], &[]), &[], &[]), change(&[2], &[]));
    }

    #[test]
    fn who_is_away_is_not_waited_for_where_another_can_come() {
        let from = of(&[1, 2, 3], &[4]);
        assert_eq!(step(1, &[1, 4, 5], &from, &[4], &[5]), change(&[1, 2, 3], &[5]));
        assert_eq!(step(1, &[1, 2, 4], &from, &[4], &[]), None);
    }

    #[test]
    fn those_who_decide_can() {
        assert_eq!(step(1, &[1, 2], &of(&[1, 2, 3], &[]), &[2], &[]), None, "1 alone cannot");
        assert_eq!(step(1, &[1, 2], &of(&[1, 2, 3], &[]), &[3], &[]), change(&[1, 2], &[]));
        assert_eq!(
            step(1, &[1, 2, 4], &of(&[1, 2, 3], &[4]), &[2, 3], &[]),
            change(&[1, 2, 4], &[])
        );
        assert_eq!(step(1, &[1, 2], &of(&[1, 2], &[9]), &[], &[]), change(&[1, 2], &[]));
    }

    #[test]
    fn no_copy_is_begun_where_none_may_be() {
        let none = |_| Standing::UpToDate;
        assert_eq!(next_step(NodeId(1), &row(&[1, 2]), &of(&[1], &[]), none, false), None);
    }

    proptest! {
        /// With everybody there, the row is reached by as many copies as it lacks, and a leader that
        /// goes does so once.
        #[test]
        fn the_row_is_reached_by_as_few_copies_as_can_be(
            from in proptest::collection::btree_set(1u64..8, 1..5),
            to in proptest::sample::subsequence((1u64..8).collect::<Vec<_>>(), 1..5).prop_shuffle(),
        ) {
            let from: Vec<u64> = from.into_iter().collect();
            let (mut membership, mut me) = (of(&from, &[]), from[0]);
            let (mut copies, mut handed_over) = (0, 0);
            while let Some(step) = step(me, &to, &membership, &[], &[]) {
                match step {
                    Step::Change { voters, learners } => {
                        copies += learners.difference(&membership.learners).count();
                        let majority = voters.len() / 2 + 1;
                        prop_assert!(voters.intersection(&membership.voters).count() + 1 >= majority);
                        prop_assert!(voters.contains(&NodeId(me)), "nobody removes itself");
                        membership = Membership { voters, learners, ..Membership::default() };
                    }
                    Step::HandOver(heir) => {
                        (me, handed_over) = (heir.0, handed_over + 1);
                        prop_assert!(membership.voters.contains(&heir));
                    }
                }
            }
            prop_assert_eq!(membership, of(&to, &[]));
            prop_assert_eq!(copies, to.iter().filter(|node| !from.contains(node)).count());
            prop_assert_eq!(handed_over, usize::from(!to.contains(&from[0])));
        }
    }
}
