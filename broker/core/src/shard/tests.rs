//! Stories of one shard.

use paceline_membership::{Change, Founder, Layout};
use paceline_placement::StrategyKind;

mod rules;
mod standing;

use super::*;
use crate::{
    Message,
    rules::DEFAULT_MAX_REDELIVERIES,
    testing::{batch, message, publish},
};

const SESSION: SessionId = SessionId { node: 1, incarnation: 5 };

fn apply(state: &mut ShardState, commands: impl IntoIterator<Item = Command>) -> Applied {
    state.apply(state.applied() + 1, &batch(commands))
}

/// Applies one command as number `seq` of `session`.
fn send(state: &mut ShardState, session: SessionId, seq: u64, command: Command) -> Outcome {
    let mut batch = batch([command]);
    batch.commands[0].0 = Some(Origin { session, seq });
    state.apply(state.applied() + 1, &batch).outcomes.remove(0)
}

fn accept(message: MessageRef) -> Command {
    Command::Settle { settles: vec![(message, Settlement::Accept)] }
}

fn reject(message: MessageRef) -> Command {
    Command::Settle { settles: vec![(message, Settlement::Reject)] }
}

fn ready(applied: &Applied) -> Vec<MessageRef> {
    let ready = applied.effects.iter().filter_map(|effect| match effect {
        Effect::Ready { message, .. } => Some(*message),
        _ => None,
    });
    ready.collect()
}

/// A copy that knows only what a snapshot carries.
fn reborn(state: &ShardState) -> ShardState {
    let reborn = ShardState::restore(&state.snapshot()).unwrap();
    assert_eq!(reborn.digest(), state.digest());
    reborn
}

#[test]
fn a_message_enters_and_leaves_and_its_entry_is_freed_once() {
    let mut state = ShardState::new();
    let applied = state.apply(3, &batch([publish(message("q", "a"))]));
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert_eq!(applied.freed, [] as [u64; 0]);
    let first = MessageRef::new(3, 0, 0);
    assert_eq!(ready(&applied), [first]);
    assert_eq!(state.content(first), Some(Content::Here(message("q", "a").into())));
    assert_eq!(state.live_entries().collect::<Vec<_>>(), [3]);

    let applied = state.apply(4, &batch([accept(first)]));
    assert!(matches!(applied.effects[..], [Effect::Gone { message, .. }] if message == first));
    assert_eq!(applied.freed, [3, 4]);
    assert_eq!(state.live_entries().count(), 0);
    assert_eq!(state.counters(), Counters { entered: 1, accepted: 1, ..Counters::default() });
    // Settling again changes nothing.
    assert_eq!(state.apply(5, &batch([accept(first)])).freed, [5]);
}

#[test]
fn a_resent_command_is_applied_once() {
    let mut state = ShardState::new();
    assert_eq!(send(&mut state, SESSION, 1, Command::OpenSession), Outcome::Done);
    assert_eq!(send(&mut state, SESSION, 2, publish(message("q", "a"))), Outcome::Done);
    assert_eq!(send(&mut state, SESSION, 2, publish(message("q", "a"))), Outcome::Duplicate);
    assert_eq!(state.depth("q"), 1);
    assert_eq!(state.last_seq(SESSION), 2);
    assert_eq!(state.answered(Origin { session: SESSION, seq: 2 }), Some(Outcome::Duplicate));
    assert_eq!(state.answered(Origin { session: SESSION, seq: 3 }), None);
}

#[test]
fn a_hole_in_a_session_stops_it_until_it_is_filled() {
    let mut state = ShardState::new();
    let gap = Outcome::Gap { expected: 1 };
    assert_eq!(send(&mut state, SESSION, 2, publish(message("q", "b"))), gap);
    assert_eq!(send(&mut state, SESSION, 0, publish(message("q", "b"))), gap);
    assert_eq!(send(&mut state, SESSION, 1, publish(message("q", "a"))), Outcome::Done);
    assert_eq!(send(&mut state, SESSION, 2, publish(message("q", "b"))), Outcome::Done);
    let gap = Outcome::Gap { expected: 3 };
    assert_eq!(send(&mut state, SESSION, 4, publish(message("q", "d"))), gap);
    assert_eq!(send(&mut state, SESSION, 0, publish(message("q", "d"))), gap);
    assert_eq!(state.depth("q"), 2);
}

#[test]
fn a_new_life_of_a_node_supersedes_the_old_one() {
    let mut state = ShardState::new();
    send(&mut state, SESSION, 1, publish(message("q", "a")));
    let later = SessionId { incarnation: 6, ..SESSION };
    assert_eq!(send(&mut state, later, 1, Command::OpenSession), Outcome::Done);
    let late = publish(message("q", "b"));
    assert_eq!(send(&mut state, SESSION, 2, late.clone()), Outcome::Superseded);
    assert_eq!(send(&mut state, SESSION, 1, late.clone()), Outcome::Superseded);
    assert_eq!(send(&mut state, later, 2, late), Outcome::Done);
    assert_eq!(state.depth("q"), 2);
}

#[test]
fn a_resend_hears_the_refusal_it_missed() {
    let mut state = ShardState::new();
    let gone = MessageRef::new(77, 0, 0);
    let work = Work { publishes: vec![], settles: vec![(gone, Settlement::Accept)] };
    let refused = Outcome::Refused(Refused::MessageGone(gone));
    let command = Command::Transact { work };
    assert_eq!(send(&mut state, SESSION, 1, command.clone()), refused);
    let by_leader = Outcome::Refused(Refused::ByLeader("no".into()));
    assert_eq!(send(&mut state, SESSION, 2, Command::Refuse { reason: "no".into() }), by_leader);
    let mut state = reborn(&state);
    assert_eq!(send(&mut state, SESSION, 1, command), refused);
    // It is forgotten when no client can be waiting for it any more.
    for seq in 3..3 + SESSION_WINDOW {
        send(&mut state, SESSION, seq, Command::OpenSession);
    }
    assert_eq!(state.answered(Origin { session: SESSION, seq: 2 }), Some(Outcome::Duplicate));
}

#[test]
fn a_dead_letter_keeps_its_body_where_it_was_written() {
    let mut state = ShardState::new();
    let first = ready(&apply(&mut state, [publish(message("q", "a"))]))[0];
    for _ in 0..DEFAULT_MAX_REDELIVERIES {
        let applied = apply(&mut state, [reject(first)]);
        assert_eq!(applied.effects, [Effect::Returned { message: first, how: Settlement::Reject }]);
    }
    let applied = apply(&mut state, [reject(first)]);
    assert_eq!(applied.freed, [applied.index], "the body's entry is still needed");
    let dead = ready(&applied)[0];
    assert_eq!(dead.index, applied.index);
    assert_eq!((state.depth("q"), state.depth("DLQ.q")), (0, 1));
    assert_eq!(state.body_at(dead), Some(first));
    assert_eq!(state.live_entries().collect::<Vec<_>>(), [first.index]);
    assert_eq!(state.counters().dead_lettered, 1);

    // Evicted and loaded again, it still says what it is.
    let content = state.content(dead);
    assert!(state.evict(dead));
    assert_eq!(state.content(dead), Some(Content::Evicted(first)));
    assert!(state.load(dead, message("q", "a").into()));
    assert_eq!(state.content(dead), content);
    // Rejected again, as often as it may be, it stays.
    for _ in 0..300 {
        assert_eq!(apply(&mut state, [reject(dead)]).freed.len(), 1);
    }
    assert_eq!(state.depth("DLQ.q"), 1);
    assert_eq!(state.redeliveries(dead), Some(255), "the count saturates");
    assert_eq!(apply(&mut state, [accept(dead)]).freed[0], first.index);
}

#[test]
fn what_comes_too_late_is_counted_and_not_stored() {
    let mut state = ShardState::new();
    let late = Message { expires: Some(UnixMillis(1_000)), ..message("q", "a") };
    let soon = Message { expires: Some(UnixMillis(1_001)), ..message("q", "b") };
    let applied = apply(&mut state, [publish(late), publish(soon)]);
    assert_eq!(applied.outcomes, [Outcome::Done, Outcome::Done]);
    let soon = ready(&applied)[0];
    assert_eq!(soon.command(), 1);
    let counters = Counters { entered: 2, expired: 1, ..Counters::default() };
    assert_eq!(state.counters(), counters);
    let expire = |as_of| Command::Expire { as_of: UnixMillis(as_of), messages: vec![soon] };
    let applied = apply(&mut state, [expire(1_000)]);
    assert_eq!(applied.effects, [Effect::Kept { message: soon }]);
    // The leader has passed it over: that its clock was put back since changes nothing.
    let applied = state.apply(9, &Batch { now: UnixMillis(500), ..batch([expire(1_001)]) });
    assert!(matches!(applied.effects[..], [Effect::Gone { .. }]));
}

#[test]
fn a_transaction_in_one_shard_is_done_as_a_whole_or_not_at_all() {
    let mut state = ShardState::new();
    let first = ready(&apply(&mut state, [publish(message("q", "a"))]))[0];
    let transact = |settles: &[MessageRef]| Command::Transact {
        work: Work {
            publishes: vec![message("r", "b").into(), message("r", "c").into()],
            settles: settles.iter().map(|message| (*message, Settlement::Accept)).collect(),
        },
    };
    let gone = MessageRef::new(99, 0, 0);
    let applied = apply(&mut state, [transact(&[first, gone])]);
    assert_eq!(applied.outcomes, [Outcome::Refused(Refused::MessageGone(gone))]);
    let applied = apply(&mut state, [transact(&[first, first])]);
    assert_eq!(applied.outcomes, [Outcome::Refused(Refused::SettledTwice(first))]);
    assert_eq!((state.depth("q"), state.depth("r")), (1, 0));
    let applied = apply(&mut state, [transact(&[first])]);
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert_eq!((state.depth("q"), state.depth("r")), (0, 2));
    assert_eq!(ready(&applied).iter().map(|message| message.part()).collect::<Vec<_>>(), [0, 1]);
}

const TRANSACTION: TransactionId = TransactionId { session: SESSION, number: 1 };

/// A state with one message and a transaction that will settle it and publish another.
fn prepared() -> (ShardState, MessageRef) {
    let mut state = ShardState::new();
    let first = ready(&apply(&mut state, [publish(message("q", "a"))]))[0];
    let work = Work {
        publishes: vec![message("r", "b").into()],
        settles: vec![(first, Settlement::Accept)],
    };
    let prepare = Command::Prepare { transaction: TRANSACTION, coordinator: 3, work };
    let applied = apply(&mut state, [prepare.clone()]);
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert_eq!(applied.freed, [] as [u64; 0]);
    let applied = apply(&mut state, [prepare]);
    assert_eq!(applied.outcomes, [Outcome::Refused(Refused::AlreadyPrepared)]);
    (state, first)
}

#[test]
fn what_is_prepared_is_out_of_everybodys_reach_until_it_is_finished() {
    let (mut state, first) = prepared();
    let mut state = {
        assert_eq!(state.prepared().count(), 1);
        let locked = Outcome::Refused(Refused::MessageLocked(first));
        assert_eq!(apply(&mut state, [accept(first)]).outcomes, [locked]);
        apply(&mut state, [Command::Purge { queue: "q".into() }]);
        let expire = Command::Expire { as_of: UnixMillis(u64::MAX), messages: vec![first] };
        assert_eq!(apply(&mut state, [expire]).effects, [Effect::Kept { message: first }]);
        reborn(&state)
    };
    assert_eq!((state.depth("q"), state.depth("r")), (1, 0));
    assert_eq!(state.live_entries().collect::<Vec<_>>(), [1, 2]);

    let applied = apply(&mut state, [Command::Finish { transaction: TRANSACTION, commit: true }]);
    assert_eq!((state.depth("q"), state.depth("r")), (0, 1));
    assert_eq!(applied.freed, [1, applied.index], "entry 2 holds the body");
    let second = ready(&applied)[0];
    assert_eq!(second.index, applied.index);
    assert_eq!(state.body_at(second), Some(MessageRef::new(2, 0, 0)));
    assert_eq!(state.prepared().count(), 0);
    // Finishing again changes nothing.
    let applied = apply(&mut state, [Command::Finish { transaction: TRANSACTION, commit: false }]);
    assert_eq!((applied.outcomes, applied.effects), (vec![Outcome::Done], vec![]));
    assert_eq!(apply(&mut state, [accept(second)]).freed[0], 2);
}

#[test]
fn an_aborted_transaction_leaves_no_trace() {
    let (mut state, first) = prepared();
    let applied = apply(&mut state, [Command::Finish { transaction: TRANSACTION, commit: false }]);
    assert_eq!(applied.effects, [Effect::Kept { message: first }]);
    assert_eq!(applied.freed, [2, applied.index]);
    assert_eq!(apply(&mut state, [accept(first)]).outcomes, [Outcome::Done]);
}

#[test]
fn the_first_decision_stands_for_everybody_who_asks() {
    let mut state = ShardState::new();
    let decide = |commit, participants: &[u32]| Command::Decide {
        transaction: TRANSACTION,
        commit,
        participants: participants.to_vec(),
    };
    let forget = |participant| Command::Forget { transaction: TRANSACTION, participant };
    // A participant lost patience before the session decided.
    let ask = decide(false, &[]);
    let aborted = Outcome::Decided { commit: false };
    assert_eq!(send(&mut state, SESSION, 1, ask.clone()), aborted);
    assert_eq!(send(&mut state, SESSION, 2, decide(true, &[3, 4])), aborted);
    assert_eq!(send(&mut state, SESSION, 2, decide(true, &[3, 4])), aborted, "a resend");
    apply(&mut state, [forget(3)]);
    assert_eq!(state.tables.decisions.len(), 1);
    apply(&mut state, [forget(4)]);
    assert_eq!(state.tables.decisions.len(), 0);

    let committed = [Outcome::Decided { commit: true }];
    assert_eq!(apply(&mut state, [decide(true, &[3])]).outcomes, committed);
    assert_eq!(apply(&mut state, [ask.clone()]).outcomes, committed);
    // A new life of the node cannot make a commit forgotten, but an abort it can.
    let other = TransactionId { number: 2, ..TRANSACTION };
    apply(
        &mut state,
        [Command::Decide { transaction: other, commit: false, participants: vec![] }],
    );
    let later = SessionId { incarnation: 6, ..SESSION };
    send(&mut state, later, 1, Command::OpenSession);
    assert_eq!(state.tables.decisions.keys().collect::<Vec<_>>(), [&TRANSACTION]);
    assert_eq!(apply(&mut state, [ask]).outcomes, committed);
}

#[test]
fn only_an_empty_queue_is_deleted_and_its_counts_survive_it() {
    let mut state = ShardState::new();
    let delete = || Command::Delete { queue: "q".into() };
    let unknown = Outcome::Refused(Refused::UnknownQueue("q".into()));
    assert_eq!(apply(&mut state, [delete()]).outcomes, [unknown]);
    apply(&mut state, [publish(message("q", "a")), publish(message("r", "b"))]);
    let full = Outcome::Refused(Refused::NotEmpty { queue: "q".into(), depth: 1 });
    assert_eq!(apply(&mut state, [delete()]).outcomes, [full]);
    let purge = Command::Purge { queue: "q".into() };
    assert_eq!(apply(&mut state, [purge, delete()]).outcomes, [Outcome::Done, Outcome::Done]);
    let names: Vec<_> = state.queues().map(|queue| queue.name.to_string()).collect();
    assert_eq!(names, ["r"]);
    let counters = state.counters();
    assert_eq!((counters.entered, counters.purged, state.resident()), (2, 1, 1));
}

#[test]
fn bodies_come_and_go_without_changing_what_replicas_agree_on() {
    let mut state = ShardState::new();
    let texts: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    let log = batch(texts.iter().map(|text| publish(message("q", text))));
    state.apply(1, &log);
    let (digest, bytes) = (state.digest(), state.loaded_bytes());
    assert_eq!(state.evict_to(bytes / 2), 5);
    assert_eq!(state.digest(), digest);
    // The first to be delivered are the last to be dropped.
    assert!(matches!(state.content(MessageRef::new(1, 4, 0)), Some(Content::Here(_))));
    let last = MessageRef::new(1, 9, 0);
    assert_eq!(state.content(last), Some(Content::Evicted(last)));
    let written = log.message(last.offset).unwrap();
    assert!(state.load(last, written.clone()));
    assert!(!state.load(last, written.clone()), "it is there already");
    assert_eq!(state.content(last), Some(Content::Here(message("q", "9").into())));
    assert_eq!(state.digest(), digest);
    apply(&mut state, [accept(last)]);
    assert_eq!(state.evict_to(0), 5);
    assert_eq!(state.loaded_bytes(), 0);
}

#[test]
fn bytes_that_are_no_snapshot_are_refused_with_the_reason() {
    let (state, _) = prepared();
    let good = state.snapshot();
    let with = |rest: &[u8]| {
        let rest = rest.to_vec();
        ShardState::restore(&Snapshot { rest, ..good.clone() })
    };
    assert_eq!(with(&[]).unwrap_err(), RestoreError::Empty);
    let mut other = good.rest.clone();
    other[0] = 2;
    assert_eq!(with(&other).unwrap_err(), RestoreError::Version(2));
    for length in 1..good.rest.len() {
        assert!(with(&good.rest[..length]).is_err(), "cut at {length}");
    }
    for at in 1..good.rest.len() {
        let mut damaged = good.rest.clone();
        damaged[at] ^= 1;
        // Damage that still reads well is the storage's checksum's to find; it must not panic.
        let _ = with(&damaged);
    }
    let longer = [&good.rest[..], &[0]].concat();
    assert!(matches!(with(&longer), Err(RestoreError::Inconsistent(_))));

    let fewer = Snapshot { pieces: good.pieces[1..].to_vec(), ..good.clone() };
    assert!(matches!(ShardState::restore(&fewer), Err(RestoreError::Inconsistent(_))));
    let twice = [good.pieces.clone(), good.pieces.clone()].concat();
    let twice = Snapshot { pieces: twice, ..good.clone() };
    assert!(matches!(ShardState::restore(&twice), Err(RestoreError::Inconsistent(_))));
}

#[test]
fn a_piece_is_read_as_it_was_written() {
    let (state, _) = prepared();
    for piece in state.snapshot().pieces {
        let good = piece.encode();
        assert_eq!(Piece::decode(&good).unwrap().encode(), good);
        for length in 0..good.len() {
            assert!(Piece::decode(&good[..length]).is_err(), "cut at {length}");
        }
        assert!(Piece::decode(&[&good[..], &[0]].concat()).is_err());
        for at in 0..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            let damaged = Piece::decode(&damaged)
                .map(|piece| Snapshot { pieces: vec![piece], ..state.snapshot() });
            let _ = damaged.and_then(|snapshot| ShardState::restore(&snapshot));
        }
    }
}

#[test]
fn a_snapshot_stands_while_the_state_goes_on_and_shares_what_does_not_change() {
    let mut state = ShardState::new();
    for _ in 0..40 {
        apply(&mut state, (0..64).map(|_| publish(message("q", "m"))));
    }
    let before = state.snapshot();
    let (digest, live) = (state.digest(), state.live_entries().collect::<Vec<_>>());
    assert_eq!(before.pieces.len(), 5);
    apply(&mut state, [accept(MessageRef::new(20, 3, 0)), publish(message("q", "n"))]);
    assert_eq!(ShardState::restore(&before).unwrap().digest(), digest);
    assert_eq!(before.live_entries().unwrap(), live);
    let after = state.snapshot();
    assert_eq!(ShardState::restore(&after).unwrap().digest(), state.digest());
    let same = before.pieces.iter().zip(&after.pieces);
    let same = same.map(|(one, other)| one.address() == other.address());
    assert_eq!(same.collect::<Vec<_>>(), [true, true, false, true, true]);
    assert_eq!(after.pieces.len(), 6);
    assert_eq!(state.loaded_bytes() / 2560, message("q", "m").footprint());
}

#[test]
fn the_clusters_view_goes_from_one_epoch_to_a_later_one() {
    let founders = ["a", "b"].map(|name| Founder {
        name: name.into(),
        link: format!("{name}:1"),
        zone: None,
        weight: 1.0,
    });
    let layout = Layout { replicas: 1, slots: 4, strategy: StrategyKind::Slots };
    let first = View::founded(layout, founders).unwrap();
    let weigh = |view: &View, weight| {
        let change = Change::Weight { name: "a".into(), weight };
        Arc::new(view.changed(&change).unwrap().unwrap())
    };
    let second = weigh(&first, 2.0);
    let third = weigh(&second, 3.0);
    let mut state = ShardState::new();
    let before = state.digest();
    let mut offer = |view: &Arc<View>| {
        let applied = apply(&mut state, [Command::View { view: view.clone() }]);
        (applied.outcomes[0].clone(), applied.view)
    };
    let stale = |epoch| (Outcome::Refused(Refused::StaleView(Epoch(epoch))), None);
    assert_eq!(offer(&Arc::new(first)), stale(1), "so one asks for the present one");
    assert_eq!(offer(&second), (Outcome::Done, Some(second.clone())));
    assert_eq!(offer(&second), stale(2), "of two at once one starts over");
    assert_eq!(offer(&third), (Outcome::Done, Some(third.clone())));
    let again = ShardState::restore(&state.snapshot()).unwrap();
    assert_eq!((again.view(), again.digest()), (Some(&third), state.digest()));
    assert_ne!(state.digest(), before);
    let mut longer = state.snapshot();
    longer.rest.push(0);
    assert!(matches!(ShardState::restore(&longer), Err(RestoreError::Inconsistent(_))));
}

#[test]
fn a_pattern_cannot_be_sent_to() {
    let mut state = ShardState::new();
    let applied = apply(&mut state, [publish(message("q.*", "a"))]);
    assert_eq!(applied.outcomes, [Outcome::Refused(Refused::Pattern("q.*".into()))]);
    assert_eq!(state.queues().count(), 0);
}
