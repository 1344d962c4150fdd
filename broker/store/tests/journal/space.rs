//! Disk space comes back, and nothing live goes with it.

use std::time::Duration;

use bytes::Bytes;
use paceline_runtime::time;
use paceline_store::{Entry, GroupId, Journal};
use proptest::prelude::*;

use crate::{
    disk::{open, with_dir},
    model::{Model, apply, holds, observe, op},
};

fn entry(index: u64) -> Entry {
    Entry { index, payload: Bytes::from(vec![index as u8 | 1; 300]) }
}

async fn until_below(journal: &Journal, bytes: u64) {
    for _ in 0..500 {
        if journal.usage().bytes < bytes {
            return;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the journal does not shrink: {:?}", journal.usage());
}

#[test]
fn dead_segments_go_and_the_live_rest_of_others_is_copied_forward() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        let (busy, idle) = (journal.group(GroupId(1)), journal.group(GroupId(2)));
        idle.append(&[entry(0)]).unwrap().await.unwrap();
        idle.save_vote(Bytes::from_static(b"idle vote")).unwrap().await.unwrap();
        let (parts, durable) = idle.put_parts(&[Bytes::from_static(b"part")]).unwrap();
        durable.await.unwrap();
        idle.save_snapshot(b"idle snapshot", &parts).unwrap().await.unwrap();
        for index in 0..400 {
            busy.append(&[entry(index)]).unwrap().await.unwrap();
        }
        let full = journal.usage();
        assert!(full.segments > 20, "{full:?}");
        // Keeps one entry in an early segment.
        busy.purge(399, Bytes::from_static(b"398"), |index| index == 30).unwrap().await.unwrap();
        until_below(&journal, full.bytes / 8).await;
        for reopened in [false, true] {
            let journal = if reopened {
                journal.close().await.unwrap();
                open(&dir).await.0
            } else {
                journal.clone()
            };
            let (busy, idle) = (journal.group(GroupId(1)), journal.group(GroupId(2)));
            assert_eq!(busy.range(), 399..400);
            assert_eq!(busy.read_entry(30).await.unwrap(), entry(30).payload);
            assert_eq!(busy.read_entry(399).await.unwrap(), entry(399).payload);
            assert_eq!(idle.read(0..9, u64::MAX).await.unwrap(), [entry(0)]);
            assert_eq!(idle.vote(), "idle vote");
            let snapshot = idle.load_snapshot().await.unwrap().unwrap();
            assert_eq!(snapshot, (Bytes::from_static(b"idle snapshot"), parts.clone()));
            assert_eq!(idle.load_part(parts[0]).await.unwrap(), "part");
            assert!(journal.usage().bytes < full.bytes / 8);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Compaction runs all the while, since segments are small; whatever it deletes, in whatever
    /// order, what comes back after a restart is what was there.
    #[test]
    fn whatever_is_done_and_deleted_a_restart_changes_nothing(
        rounds in prop::collection::vec(prop::collection::vec(op(), 1..80), 1..4),
    ) {
        with_dir(|dir| async move {
            let mut states = vec![Model::new()];
            let mut serial = 0;
            for ops in rounds {
                let (journal, recovered) = open(&dir).await;
                assert_eq!(recovered.damage, []);
                let found = observe(&journal).await;
                assert!(holds(&found, states.last().unwrap()), "{found:#?}\n{states:#?}");
                for op in ops {
                    apply(&journal, &mut states, &mut serial, &op).await.expect("durable");
                    states.drain(..states.len() - 1);
                }
                time::sleep(Duration::from_millis(5)).await;
                let found = observe(&journal).await;
                assert!(holds(&found, states.last().unwrap()), "{found:#?}\n{states:#?}");
                journal.close().await.expect("closed");
            }
            let (journal, recovered) = open(&dir).await;
            assert_eq!(recovered.damage, []);
            let found = observe(&journal).await;
            assert!(holds(&found, states.last().unwrap()), "{found:#?}\n{states:#?}");
            journal.close().await.expect("closed");
        });
    }
}
