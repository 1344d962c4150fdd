//! Writing, reading back, closing, opening again; and who may open.

use bytes::Bytes;
use paceline_runtime::disk;
use paceline_store::{Entry, GroupId, Identity, Journal, JournalError, Recovered};

use crate::disk::{identity, open, options, with_dir};

fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |index| Entry { index, payload: Bytes::from(format!("entry {index}")) };
    range.map(entry).collect()
}

#[test]
fn entries_votes_and_snapshots_survive_closing() {
    with_dir(|dir| async move {
        let (journal, recovered) = open(&dir).await;
        assert_eq!(recovered, Recovered { number: recovered.number, ..Default::default() });
        let group = journal.group(GroupId(7));
        let appended = group.append(&entries(0..100)).unwrap();
        assert_eq!(group.read(10..20, u64::MAX).await.unwrap(), entries(10..20), "not synced yet");
        appended.await.unwrap();
        group.save_vote(Bytes::from_static(b"vote")).unwrap().await.unwrap();
        let part = |byte| Bytes::from(vec![byte; 1 << 20]);
        let (old, durable) = group.put_parts(&[part(1), part(2)]).unwrap();
        durable.await.unwrap();
        group.save_snapshot(b"an older one", &old).unwrap().await.unwrap();
        let (new, _durable) = group.put_parts(&[part(3), part(4)]).unwrap();
        let parts = [new[1], old[0]];
        group.save_snapshot(b"root", &parts).unwrap().await.unwrap();
        assert!(matches!(group.load_part(old[1]).await, Err(JournalError::Missing { .. })));
        let (_, unfinished) = group.put_parts(&[part(5)]).unwrap();
        unfinished.await.unwrap();
        group.hint_committed(Bytes::from_static(b"committed"));
        journal.close().await.unwrap();
        assert!(matches!(group.append(&entries(100..101)), Err(JournalError::Closed)));

        let (journal, recovered) = open(&dir).await;
        assert_eq!(recovered.groups, [GroupId(7)]);
        assert_eq!((recovered.cut, recovered.damage), (None, Vec::new()));
        let group = journal.group(GroupId(7));
        assert_eq!(group.range(), 0..100);
        assert_eq!(group.read(0..1000, u64::MAX).await.unwrap(), entries(0..100));
        assert_eq!(group.read(50..1000, 1).await.unwrap(), entries(50..51), "at least one");
        assert_eq!(group.read_entry(33).await.unwrap(), "entry 33");
        assert!(matches!(group.read_entry(100).await, Err(JournalError::Missing { .. })));
        assert_eq!(group.vote(), "vote");
        assert_eq!(group.committed(), "committed");
        let snapshot = group.load_snapshot().await.unwrap();
        assert_eq!(snapshot, Some((Bytes::from_static(b"root"), parts.to_vec())));
        assert_eq!(group.load_part(parts[0]).await.unwrap(), part(4));
        assert_eq!(group.load_part(parts[1]).await.unwrap(), part(1));
        let used = journal.usage();
        assert!(used.live < 3 << 20, "what nothing names is not live: {used:?}");
        let (next, _) = group.put_parts(&[part(6)]).unwrap();
        assert!(next[0] > new[1] + 2, "no number is used again");
        assert_eq!(journal.group(GroupId(8)).load_snapshot().await.unwrap(), None);
    });
}

#[test]
fn a_purge_keeps_what_it_is_told_to() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        let group = journal.group(GroupId(1));
        group.append(&entries(0..10)).unwrap().await.unwrap();
        group
            .purge(8, Bytes::from_static(b"7"), |index| index == 3 || index == 5)
            .unwrap()
            .await
            .unwrap();
        assert_eq!(group.range(), 8..10);
        assert_eq!(group.retained(), [3, 5]);
        assert_eq!(group.read_entry(3).await.unwrap(), "entry 3");
        assert!(group.read_entry(4).await.is_err());
        group.discard(&[3, 9]);
        assert!(group.read_entry(3).await.is_err());
        // Beyond the end, as after the installation of a snapshot.
        group.retain(&entries(15..16)).unwrap().await.unwrap();
        group.purge(21, Bytes::from_static(b"20"), |index| index == 15).unwrap().await.unwrap();
        assert_eq!((group.range(), group.retained()), (21..21, vec![5, 15]));
        group.sweep(|index| index == 15);
        group.append(&entries(21..23)).unwrap().await.unwrap();
        journal.close().await.unwrap();

        let (journal, recovered) = open(&dir).await;
        assert_eq!(recovered.damage, []);
        let group = journal.group(GroupId(1));
        assert_eq!((group.range(), group.purged()), (21..23, Bytes::from_static(b"20")));
        assert_eq!(group.read_entry(15).await.unwrap(), "entry 15");
    });
}

#[test]
fn a_directory_is_refused_to_others() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        let error = Journal::open(&dir, &identity(), options()).await.err().unwrap();
        assert!(matches!(error, JournalError::InUse { .. }), "{error}");
        journal.close().await.unwrap();
        let other_node = Identity { node: 2, ..identity() };
        let other_cluster = Identity { cluster: "other".to_owned(), ..identity() };
        for other in [other_node, other_cluster] {
            let error = Journal::open(&dir, &other, options()).await.err().unwrap();
            assert!(error.to_string().contains("belongs to node 1 of cluster `test`"), "{error}");
        }
        disk::remove_file(dir.join("identity")).await.unwrap();
        let (error, _) = match Journal::open(&dir, &identity(), options()).await {
            Ok(_) => return, // Nothing was ever written: a new journal.
            Err(error) => (error, ()),
        };
        panic!("an empty directory is new: {error}");
    });
}

#[test]
fn segments_without_their_identity_are_refused() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        journal.group(GroupId(1)).append(&entries(0..1)).unwrap().await.unwrap();
        journal.close().await.unwrap();
        disk::remove_file(dir.join("identity")).await.unwrap();
        let error = Journal::open(&dir, &identity(), options()).await.err().unwrap();
        assert!(error.to_string().contains("the identity file is missing"), "{error}");
    });
}

#[test]
fn a_record_too_large_is_refused_and_harms_nothing() {
    with_dir(|dir| async move {
        let (journal, _) = open(&dir).await;
        let group = journal.group(GroupId(1));
        let huge = Entry { index: 0, payload: Bytes::from(vec![0; (256 << 20) + 1]) };
        assert!(matches!(group.append(&[huge]), Err(JournalError::TooLarge { .. })));
        group.append(&entries(0..1)).unwrap().await.unwrap();
        journal.close().await.unwrap();
        let (journal, _) = open(&dir).await;
        assert_eq!(journal.group(GroupId(1)).range(), 0..1);
    });
}
