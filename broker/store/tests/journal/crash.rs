//! Whatever a crash or the years leave of the files, recovery gives back everything that was
//! acknowledged, or says whose it has lost.

use bytes::Bytes;
use paceline_store::{
    Entry, GroupId, Journal, JournalError, Options, Recovered,
    format::{Kind, RecordHeader, SEGMENT_HEADER_BYTES, Salt, SegmentHeader},
};
use proptest::prelude::*;

use crate::{
    disk::{files, identity, open, options, restore, sort, with_dir, write_file},
    model::{Model, Op, apply, holds, observe, op},
};

type Files = Vec<(String, Bytes)>;

/// A journal's files, after a run of operations of which only the first part was acknowledged.
struct Aftermath {
    /// Those that were there when the last acknowledgement came, and those since.
    files: Files,
    /// Length of the last file when the last acknowledgement came.
    acknowledged: usize,
    /// What the journal held at that time, and after each record since.
    states: Vec<Model>,
}

async fn run(dir: &std::path::Path, acknowledged: &[Op], pending: &[Op], close: bool) -> Aftermath {
    // What was copied forward in between would be neither acknowledged nor pending.
    let options = Options { compact_below_percent: 0, ..options() };
    let (journal, _) = Journal::open(dir, &identity(), options).await.expect("the journal opens");
    let mut states = vec![Model::new()];
    let mut serial = 0;
    for op in acknowledged {
        apply(&journal, &mut states, &mut serial, op).await.expect("durable");
    }
    states.drain(..states.len() - 1);
    let before = files(dir).await;
    let mut waiting = Vec::new();
    for op in pending {
        waiting.push(apply(&journal, &mut states, &mut serial, op));
    }
    for durable in waiting {
        durable.await.expect("durable");
    }
    if close {
        journal.close().await.expect("closed");
    }
    let mut files = files(dir).await;
    let last = files.last().map(|(name, _)| name.clone());
    let same_file = before.last().filter(|(name, _)| Some(name) == last.as_ref());
    let acknowledged = same_file.map_or(0, |(_, bytes)| bytes.len());
    // Segments that what was pending has emptied are gone by now, but were there at every cut.
    let gone = |name: &String| files.iter().all(|(other, _)| other != name);
    let gone: Vec<_> = before.into_iter().filter(|(name, _)| gone(name)).collect();
    files.extend(gone);
    sort(&mut files);
    Aftermath { files, acknowledged, states }
}

/// Opens a copy of `files` whose last one has become `last`.
async fn recover(dir: &std::path::Path, files: &Files, last: &[u8]) -> (Model, Recovered) {
    let mut files = files.clone();
    files.last_mut().expect("there are files").1 = Bytes::copy_from_slice(last);
    restore(dir, &files).await;
    let (journal, recovered) = open(dir).await;
    let damaged = journal.groups().iter().any(|id| journal.group(*id).damage().is_some());
    let found = if damaged { Model::new() } else { observe(&journal).await };
    journal.close().await.expect("closed");
    // A second recovery finds what the first one left. Now and then is often enough.
    if !last.len().is_multiple_of(8) {
        return (found, recovered);
    }
    let (journal, again) = open(dir).await;
    assert_eq!(again.damage, recovered.damage);
    assert_eq!(again.cut, None);
    if !damaged {
        assert!(holds(&observe(&journal).await, &found));
    }
    journal.close().await.expect("closed");
    (found, recovered)
}

/// Where the last batch begins.
fn last_batch(bytes: &[u8]) -> usize {
    let header = SegmentHeader::decode(bytes).expect("a segment header");
    let salt = Salt::new(header.journal, header.segment);
    let (mut at, mut last) = (SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
    while let Some(header) = RecordHeader::decode(&bytes[at..], salt, at as u64) {
        if header.kind == Kind::Batch {
            last = at;
        }
        at += header.record_bytes();
    }
    assert_eq!(at, bytes.len(), "all of the file is records");
    last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_at_any_byte_leaves_a_prefix_with_everything_acknowledged(
        acknowledged in prop::collection::vec(op(), 0..30),
        pending in prop::collection::vec(op(), 1..5),
    ) {
        with_dir(|dir| async move {
            let after = run(&dir, &acknowledged, &pending, false).await;
            let copy = dir.with_file_name("copy");
            let (_, last) = after.files.last().unwrap();
            let mut longest = 0;
            for cut in after.acknowledged..=last.len() {
                let (found, recovered) = recover(&copy, &after.files, &last[..cut]).await;
                assert_eq!(recovered.damage, [], "cut at {cut}");
                let state = after.states.iter().rposition(|state| holds(&found, state));
                let state = state.unwrap_or_else(|| panic!("cut at {cut}: {found:#?}"));
                assert!(state >= longest, "more bytes, less found, at {cut}");
                longest = state;
            }
            assert_eq!(longest, after.states.len() - 1, "uncut, all of it is there");
        });
    }

    #[test]
    fn sectors_lost_from_the_last_batch_leave_a_prefix(
        acknowledged in prop::collection::vec(op(), 1..20),
        length in 600usize..2500,
        lost: u8,
    ) {
        with_dir(move |dir| async move {
            let pending = [Op::Append { group: 0, lengths: vec![length, 9, length / 2] }];
            let after = run(&dir, &acknowledged, &pending, false).await;
            let (_, last) = after.files.last().unwrap();
            let from = last_batch(last);
            let mut torn = last.to_vec();
            for sector in from / 512..last.len().div_ceil(512) {
                if lost & (1 << (sector % 8)) != 0 {
                    let range = (sector * 512).max(from)..((sector + 1) * 512).min(last.len());
                    torn[range].fill(0);
                }
            }
            let copy = dir.with_file_name("copy");
            let (found, recovered) = recover(&copy, &after.files, &torn).await;
            assert_eq!(recovered.damage, []);
            assert!(after.states.iter().any(|state| holds(&found, state)), "{found:#?}");
        });
    }
}

/// Flips bits all over the files; `scan.rs` tries every one.
async fn rot(ops: Vec<Op>, dir: std::path::PathBuf) {
    let after = run(&dir, &ops, &[], true).await;
    let copy = dir.with_file_name("copy");
    let wanted = after.states.last().unwrap();
    let segments = after.files.iter().filter(|(name, _)| name.ends_with(".segment")).count();
    for at in after.files.len() - segments..after.files.len() {
        let is_last = at + 1 == after.files.len();
        let length = after.files[at].1.len();
        // The mark at the very end says nothing itself, so nothing is lost with it.
        let marked = if is_last { last_batch(&after.files[at].1) } else { length };
        for byte in (at % 11..length).step_by(11) {
            let mut files = after.files.clone();
            let mut bytes = files[at].1.to_vec();
            bytes[byte] ^= 1 << (byte % 8);
            files[at].1 = Bytes::from(bytes);
            restore(&copy, &files).await;
            let (journal, recovered) = open(&copy).await;
            let loud = !recovered.damage.is_empty();
            assert!(loud || byte < SEGMENT_HEADER_BYTES || byte >= marked, "{at}: byte {byte}");
            if byte >= SEGMENT_HEADER_BYTES && byte < marked {
                assert_eq!(recovered.cut, None, "{at}: what was acknowledged is never cut, {byte}");
            }
            // Groups that are not named have lost nothing.
            let hurt: Vec<_> = journal
                .groups()
                .into_iter()
                .filter(|id| journal.group(*id).damage().is_some())
                .map(|id| id.0)
                .collect();
            if hurt.len() < journal.groups().len() && hurt.is_empty() {
                assert!(holds(&observe(&journal).await, wanted), "{at}: byte {byte}");
            }
            for id in journal.groups().into_iter().filter(|id| !hurt.contains(&id.0)) {
                let group = journal.group(id);
                let wanted = &wanted[&id.0];
                let log = group.read(group.range(), u64::MAX).await.expect("read");
                assert!(
                    log.iter().map(|entry| &entry.payload).eq(&wanted.log),
                    "{at}: byte {byte} hurt group {id} and nobody said so"
                );
                assert_eq!(group.vote(), wanted.vote, "{at}: byte {byte}");
            }
            journal.close().await.expect("closed");
        }
    }
}

#[test]
fn rot_in_what_was_synced_is_never_passed_over() {
    with_dir(|dir| async move {
        let mut ops = Vec::new();
        for round in 0..5 {
            for group in 0..3 {
                ops.push(Op::Append { group, lengths: vec![40, 70 + round * 10] });
                ops.push(Op::Vote { group, vote: round as u8 + 1 });
            }
            ops.push(Op::Truncate { group: 1, back: 1 });
            ops.push(Op::Purge { group: 2, leave: 1, keep_every: 2 });
        }
        rot(ops, dir).await;
    });
}

#[test]
fn rot_in_the_last_batch_is_told_from_a_torn_write() {
    with_dir(|dir| async move {
        let ops: Vec<_> = (0..4).map(|group| Op::Append { group, lengths: vec![60, 50] }).collect();
        // Not closed: nothing stands behind the last batch.
        let after = run(&dir, &ops, &[], false).await;
        let copy = dir.with_file_name("copy");
        let (_, last) = after.files.last().unwrap();
        for byte in last_batch(last)..last.len() {
            let mut bytes = last.to_vec();
            bytes[byte] ^= 0x10;
            let (_, recovered) = recover(&copy, &after.files, &bytes).await;
            assert!(!recovered.damage.is_empty(), "byte {byte} was taken for torn");
        }
    });
}

#[test]
fn a_finished_segment_that_lost_its_end_is_noticed() {
    with_dir(|dir| async move {
        let op = Op::Append { group: 1, lengths: vec![100] };
        let after = run(&dir, &vec![op; 40], &[], true).await;
        let (_, first) = &after.files[1];
        // Between two batches, where nothing within the file is amiss.
        let mut files = after.files.clone();
        files[1].1 = first.slice(..last_batch(first));
        let copy = dir.with_file_name("copy");
        restore(&copy, &files).await;
        let (_, recovered) = open(&copy).await;
        assert!(recovered.damage.iter().any(|damage| damage.group.is_none()), "{recovered:?}");
    });
}

#[test]
fn a_damaged_group_takes_no_writes_until_it_is_reset_and_others_go_on() {
    with_dir(|dir| async move {
        let ops = [
            Op::Append { group: 1, lengths: vec![100] },
            Op::Append { group: 2, lengths: vec![100] },
            Op::Append { group: 1, lengths: vec![10] },
        ];
        let after = run(&dir, &ops, &[], true).await;
        let (name, bytes) = after.files.last().unwrap();
        let mut bytes = bytes.to_vec();
        // Within the payload of the first record, behind the headers of segment and batch.
        bytes[64 + 32 + 32 + 50] ^= 1;
        let path = dir.join(name);
        crate::disk::write_file(&path, &bytes).await;
        let (journal, recovered) = open(&dir).await;
        assert_eq!(recovered.damage.len(), 1);
        let (one, two) =
            (journal.group(paceline_store::GroupId(1)), journal.group(paceline_store::GroupId(2)));
        let damage = one.damage().expect("group 1 is damaged").to_string();
        assert!(damage.contains("repair it from its peers"), "{damage}");
        assert!(one.save_vote(Bytes::from_static(b"no")).is_err());
        assert_eq!(two.damage(), None);
        two.save_vote(Bytes::from_static(b"yes")).unwrap().await.unwrap();
        one.reset(Bytes::new()).unwrap().await.unwrap();
        assert_eq!(one.damage(), None);
        one.save_vote(Bytes::from_static(b"again")).unwrap().await.unwrap();
        journal.close().await.unwrap();
        let (journal, recovered) = open(&dir).await;
        assert_eq!(recovered.damage, [], "the rot is still there, but it hurts nobody now");
        assert_eq!(journal.group(paceline_store::GroupId(1)).vote(), "again");
    });
}

#[test]
fn a_record_that_changed_on_the_disk_ends_the_journal_when_it_is_read() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        let (good, bad) = (journal.group(GroupId(1)), journal.group(GroupId(2)));
        for group in [&good, &bad] {
            let payload = Bytes::from_static(b"an entry");
            group.append(&[Entry { index: 0, payload }]).unwrap().await.unwrap();
        }
        let (name, bytes) = files(&dir).await.pop().unwrap();
        let mut bytes = bytes.to_vec();
        let last = bytes.windows(8).rposition(|window| window == b"an entry").unwrap();
        bytes[last] ^= 1;
        write_file(&dir.join(name), &bytes).await;
        good.read_entry(0).await.unwrap();
        assert!(matches!(bad.read_entry(0).await, Err(JournalError::Damaged(_))));
        assert!(matches!(journal.ended().await, Some(JournalError::Poisoned(_))));
        let next = Entry { index: 1, payload: Bytes::new() };
        assert!(matches!(good.append(&[next]), Err(JournalError::Poisoned(_))));
    });
}
