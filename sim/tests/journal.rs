//! The journal on a simulated disk: whatever it has acknowledged survives power cuts, crashes and
//! failing syncs, and nothing that a power cut leaves is taken for damage.

#![cfg(madsim)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use paceline_runtime::{
    random,
    task::JoinSet,
    time::{self, Duration},
    world::{DiskFault, NodeConfig, World, WorldConfig},
};
use paceline_store::{Durable, Entry, Group, GroupId, Identity, Journal, JournalError, Options};
use rand::{Rng, RngExt};

const GROUPS: u64 = 6;

/// What one group was promised to be durable.
#[derive(Debug, Default)]
struct Promised {
    entries: BTreeMap<u64, Bytes>,
    /// What is kept below the log's start.
    start: u64,
    vote: u64,
    snapshot: u64,
    /// Makes every payload differ from all others.
    serial: u64,
}

type Ledger = Arc<Vec<Mutex<Promised>>>;

/// Entries that stay when they are purged.
fn is_kept(index: u64) -> bool {
    index.is_multiple_of(5)
}

/// The node's process: checks what the journal holds, then writes until something fails.
async fn process(ledger: Ledger) {
    let identity = Identity { node: 1, cluster: "test".to_owned() };
    let options = Options { segment_bytes: 16 << 10, ..Options::default() };
    let Ok((journal, recovered)) = Journal::open("/data", &identity, options).await else { return };
    assert_eq!(recovered.damage, [], "a crash damages nothing");
    let mut groups = JoinSet::new();
    for id in 0..GROUPS {
        let (group, ledger) = (journal.group(GroupId(id)), ledger.clone());
        groups.spawn(async move {
            let promised = &ledger[id as usize];
            check(&group, promised).await?;
            write(&group, promised).await
        });
    }
    while let Some(ended) = groups.join_next().await {
        if ended.expect("no check fails").is_err() {
            return;
        }
    }
}

async fn check(group: &Group, promised: &Mutex<Promised>) -> Result<(), JournalError> {
    let number = |bytes: &Bytes| bytes.as_ref().try_into().map_or(0, u64::from_le_bytes);
    let (entries, start) = {
        let promised = promised.lock().unwrap();
        assert!(number(&group.vote()) >= promised.vote, "a vote is lost");
        (promised.entries.clone(), promised.start)
    };
    let log = group.range();
    assert!(log.start >= start, "a purge is undone");
    for (index, payload) in entries {
        if index >= log.start || is_kept(index) {
            let found = group.read_entry(index).await.unwrap_or_else(|error| {
                panic!("entry {index} of group {}: {error}, log {log:?}", group.id())
            });
            assert_eq!(found, payload, "entry {index} of group {}", group.id());
        }
    }
    let snapshot = group.load_snapshot().await?;
    let promised = promised.lock().unwrap().snapshot;
    let found = snapshot.as_ref().map_or(0, |(root, _)| number(root));
    assert!(found >= promised, "snapshot {found} instead of {promised}");
    // The part of the snapshot before, and its own.
    let parts = snapshot.map_or(Vec::new(), |(_, parts)| parts);
    for (part, of) in parts.iter().rev().zip([Some(found), None]) {
        let part = group.load_part(*part).await?;
        let byte = of.map_or(part[0], |of| of as u8);
        assert!(part.iter().all(|it| *it == byte), "a mixed snapshot");
    }
    Ok(())
}

async fn write(group: &Group, promised: &Mutex<Promised>) -> Result<(), JournalError> {
    let mut rng = random::stream(&format!("group {}", group.id()));
    loop {
        time::sleep(Duration::from_micros(rng.random_range(0..3_000))).await;
        let log = group.range();
        match rng.random_range(0..20) {
            0 => {
                let vote = promised.lock().unwrap().serial + 1;
                promised.lock().unwrap().serial = vote;
                group.save_vote(Bytes::copy_from_slice(&vote.to_le_bytes()))?.await?;
                promised.lock().unwrap().vote = vote;
            }
            1 => {
                let from = log.end.saturating_sub(rng.random_range(0..4)).max(log.start);
                // From now on neither the old nor the new end is promised.
                promised.lock().unwrap().entries.split_off(&from);
                let truncated = group.truncate(from)?;
                if rng.random() {
                    truncated.await?;
                }
            }
            2 => {
                let start = log.end.saturating_sub(rng.random_range(0..10)).max(log.start);
                promised
                    .lock()
                    .unwrap()
                    .entries
                    .retain(|index, _| *index >= start || is_kept(*index));
                group.purge(start, Bytes::from_static(b"mark"), is_kept)?.await?;
                promised.lock().unwrap().start = start;
            }
            3 => {
                // Nothing is kept for ever, so that segments go.
                let dead: Vec<u64> = group.retained().into_iter().rev().skip(5).collect();
                dead.iter().for_each(|index| {
                    promised.lock().unwrap().entries.remove(index);
                });
                group.discard(&dead);
            }
            4 => {
                let number = promised.lock().unwrap().serial + 1;
                promised.lock().unwrap().serial = number;
                let before = group.load_snapshot().await?.map_or(Vec::new(), |(_, parts)| parts);
                let part = vec![number as u8; rng.random_range(1..3_000)];
                let (new, _durable) = group.put_parts(&[part.into()])?;
                let parts: Vec<u64> = before.last().copied().into_iter().chain(new).collect();
                group.save_snapshot(&number.to_le_bytes(), &parts)?.await?;
                promised.lock().unwrap().snapshot = number;
            }
            _ => {
                let mut entries = Vec::new();
                for index in log.end..log.end + rng.random_range(1..6) {
                    let serial = {
                        let mut promised = promised.lock().unwrap();
                        promised.serial += 1;
                        promised.serial
                    };
                    let mut payload = serial.to_le_bytes().to_vec();
                    payload.resize(8 + rng.random_range(0..900), serial as u8);
                    entries.push(Entry { index, payload: payload.into() });
                }
                group.append(&entries)?.await?;
                let entries = entries.into_iter().map(|entry| (entry.index, entry.payload));
                promised.lock().unwrap().entries.extend(entries);
            }
        }
    }
}

#[test]
fn what_was_acknowledged_survives_power_cuts_crashes_and_failing_syncs() {
    for seed in 0..4 {
        let outcome = World::run(seed, WorldConfig::default(), |world| async move {
            let ledger: Ledger = Arc::new((0..GROUPS).map(|_| Mutex::default()).collect());
            let node = world.add_node(NodeConfig::new("node"));
            let at_start = ledger.clone();
            world.start(node, move || process(at_start.clone()));
            let mut rng = random::stream("faults");
            for _ in 0..40 {
                time::sleep(Duration::from_micros(rng.random_range(1..300_000))).await;
                match rng.next_u32() % 5 {
                    0 => world.crash(node),
                    1 | 2 => {
                        let fault = DiskFault { failing_syncs: 0.2, ..Default::default() };
                        world.set_disk_fault(node, fault);
                        time::sleep(Duration::from_millis(50)).await;
                        world.set_disk_fault(node, DiskFault::default());
                        // Else what the sync has lost is still in memory at the next start.
                        if rng.random() {
                            world.power_cut(node);
                        } else {
                            world.crash(node);
                        }
                    }
                    _ => world.power_cut(node),
                }
                // Sometimes again while it recovers.
                world.restart(node);
                if rng.random() {
                    time::sleep(Duration::from_micros(rng.random_range(20_000..21_500))).await;
                    world.power_cut(node);
                    world.restart(node);
                }
            }
            time::sleep(Duration::from_secs(1)).await;
            ledger.iter().map(|group| group.lock().unwrap().serial).sum::<u64>()
        });
        match outcome {
            Ok(written) => assert!(written > 1_000, "seed {seed}: {written} writes"),
            Err(crash) => panic!("seed {seed}: {crash}"),
        }
    }
}

async fn is_there(durable: &mut Durable) -> bool {
    tokio::select! {
        biased;
        _ = durable => true,
        () = std::future::ready(()) => false,
    }
}

#[test]
fn who_waits_for_one_batch_does_not_wait_for_the_next() {
    let outcome = World::run(1, WorldConfig::default(), |world| async move {
        let node = world.add_node(NodeConfig::new("node"));
        let done = Arc::new(Mutex::new(false));
        let said = done.clone();
        world.start(node, move || {
            let said = said.clone();
            async move {
                let identity = Identity { node: 1, cluster: "test".to_owned() };
                let opened = Journal::open("/data", &identity, Options::default()).await;
                let group = opened.unwrap().0.group(GroupId(0));
                let entry = |index| [Entry { index, payload: Bytes::from_static(b"entry") }];
                let mut first = group.append(&entry(0)).unwrap();
                assert!(!is_there(&mut first).await, "it has not been written");
                // Enough for the writer to take it, far too little for the disk.
                time::sleep(Duration::from_nanos(100)).await;
                let mut second = group.append(&entry(1)).unwrap();
                assert!(!is_there(&mut first).await, "it is being written");
                first.await.unwrap();
                assert!(!is_there(&mut second).await, "it waits for the next batch");
                second.await.unwrap();
                *said.lock().unwrap() = true;
            }
        });
        time::sleep(Duration::from_secs(1)).await;
        *done.lock().unwrap()
    });
    assert!(outcome.unwrap(), "the node's process has failed");
}
