//! Home shards and participants by themselves; whole courses are in the tests of `ingress`.

use super::*;
use crate::{
    shard::{Batch, MessageRef, SessionId, TransactionId},
    testing::{batch, message},
};

fn transaction(number: u64) -> TransactionId {
    TransactionId { session: SessionId { node: 1, incarnation: 1 }, number }
}

fn xid(number: u64) -> Xid {
    Xid::new(1, &number.to_be_bytes(), b"").unwrap()
}

fn apply(state: &mut ShardState, command: Command) -> Outcome {
    let index = state.applied() + 1;
    state.apply(index, &batch([command])).outcomes.pop().unwrap()
}

fn prepare(number: u64, bytes: usize) -> Command {
    let text = "x".repeat(bytes);
    let work = Work { publishes: vec![message("q", &text).into()], settles: Vec::new() };
    Command::PrepareBranch { transaction: transaction(number), home: 3, work }
}

fn enter(number: u64) -> Command {
    let participants = vec![4, 5];
    Command::EnterBranch { xid: xid(number), transaction: transaction(number), participants }
}

fn refused(why: BranchRefused) -> Outcome {
    Outcome::Refused(Refused::Branch(why))
}

fn resolve(number: u64, commit: bool) -> Command {
    Command::ResolveBranch { xid: xid(number), commit, by: Resolver::Manager }
}

#[test]
fn a_snapshot_keeps_branches_and_their_parts() {
    let mut state = ShardState::new();
    for command in [enter(1), enter(2), resolve(2, true), prepare(3, 100)] {
        apply(&mut state, command);
    }
    let mut restored = ShardState::restore(&state.snapshot()).unwrap();
    assert_eq!(restored.digest(), state.digest());
    for state in [&mut state, &mut restored] {
        assert_eq!(state.branches().map(|it| it.xid).collect::<Vec<_>>(), [xid(1)]);
        assert_eq!(state.decided().filter(|it| it.is_branch && it.commit).count(), 2);
        assert!(state.prepared().all(|it| it.is_branch && it.coordinator == 3));
        let ask = |number| {
            let transaction = transaction(number);
            Command::Decide { transaction, commit: false, participants: Vec::new() }
        };
        assert_eq!(apply(state, ask(1)), Outcome::Entered);
        assert_eq!(apply(state, ask(2)), Outcome::Entered, "its home shard sees to it");
        assert_eq!(apply(state, ask(9)), Outcome::Decided { commit: false });
        assert_eq!(apply(state, enter(9)), refused(BranchRefused::GivenUp));
        assert_eq!(
            state.derived.branches.bytes,
            state.tables.prepared[&transaction(3)].footprint()
        );
    }
    assert_eq!(restored.digest(), state.digest());
}

#[test]
fn a_record_goes_when_all_parts_have_carried_it_out() {
    let mut state = ShardState::new();
    apply(&mut state, enter(1));
    let forget = |participant| Command::Forget { transaction: transaction(1), participant };
    // One that has not ended is not forgotten, whoever says so.
    apply(&mut state, forget(4));
    let participants = vec![4, 5];
    let resolved = Outcome::Resolved { transaction: transaction(1), participants };
    assert_eq!(apply(&mut state, resolve(1, true)), resolved);
    assert_eq!(apply(&mut state, resolve(1, true)), resolved, "said again");
    let by = Resolver::Manager;
    let ended = refused(BranchRefused::Ended { commit: true, by });
    assert_eq!(apply(&mut state, resolve(1, false)), ended);
    assert_eq!(apply(&mut state, enter(1)), refused(BranchRefused::Exists));
    apply(&mut state, forget(4));
    assert_eq!(state.decided().map(|it| it.participant).collect::<Vec<_>>(), [5]);
    apply(&mut state, forget(5));
    assert_eq!(state.tables.branches.len(), 0);
    assert_eq!(apply(&mut state, resolve(1, true)), refused(BranchRefused::Unknown));
    assert_eq!(apply(&mut state, enter(1)), Outcome::Done, "the name is free again");
}

#[test]
fn what_is_prepared_is_bounded() {
    let mut state = ShardState::new();
    // One alone is taken, whatever it takes.
    assert_eq!(apply(&mut state, prepare(1, MAX_BRANCH_BYTES)), Outcome::Done);
    let full = refused(BranchRefused::TooLarge(MAX_BRANCH_BYTES));
    assert_eq!(apply(&mut state, prepare(2, 1)), full);
    apply(&mut state, Command::Finish { transaction: transaction(1), commit: false });
    assert_eq!(apply(&mut state, prepare(2, 1)), Outcome::Done);
    apply(&mut state, Command::GiveBack { transaction: transaction(2) });
    assert_eq!(state.derived.branches.bytes, 0);

    let commands = (0..MAX_BRANCHES as u64).map(|number| (None, enter(number)));
    let many = Batch { now: UnixMillis(1), commands: commands.collect() };
    let index = state.applied() + 1;
    assert!(state.apply(index, &many).outcomes.iter().all(|it| *it == Outcome::Done));
    let full = refused(BranchRefused::TooMany(MAX_BRANCHES));
    assert_eq!(apply(&mut state, enter(MAX_BRANCHES as u64)), full);
}

#[test]
fn what_is_given_back_counts_as_released() {
    let mut state = ShardState::new();
    apply(&mut state, crate::testing::publish(message("q", "m")));
    let at = MessageRef::new(1, 0, 0);
    let settles = vec![(at, crate::operation::Settlement::Accept)];
    let work = Work { publishes: Vec::new(), settles };
    let transaction = transaction(1);
    apply(&mut state, Command::PrepareBranch { transaction, home: 3, work });
    assert!(state.is_locked(at));
    apply(&mut state, Command::GiveBack { transaction });
    assert!(!state.is_locked(at) && state.contains(at));
    assert_eq!(state.redeliveries(at), Some(1));
}
