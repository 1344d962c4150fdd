//! Measures appends per second, each awaited until it is synced, by 1 and by 64 writers of a group
//! each. Run it on the disk that counts:
//!
//! ```text
//! cargo run --release -p paceline-store --example appends -- /var/tmp 5
//! ```

use std::path::PathBuf;

use bytes::Bytes;
use paceline_runtime::{
    disk::{self, File, OpenOptions},
    task::JoinSet,
    time::{Duration, Instant},
};
use paceline_store::{Entry, GroupId, Identity, Journal, Options};

const PAYLOAD_BYTES: usize = 300;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir_in(parent).expect("a directory to write in");
    let path = dir.path().to_owned();
    let duration = Duration::from_secs(seconds);
    paceline_runtime::block_on(async move {
        let syncs = raw_syncs(path.join("raw"), duration).await;
        println!(
            "the disk alone: {syncs:.0} writes of {PAYLOAD_BYTES} bytes with fdatasync per second"
        );
        for writers in [1, 64] {
            let rate = appends(path.join(format!("{writers}")), writers, duration).await;
            println!(
                "{writers:>2} writers: {rate:.0} synced appends of {PAYLOAD_BYTES} bytes per second"
            );
        }
    });
}

/// What one writer could reach at best.
async fn raw_syncs(path: PathBuf, duration: Duration) -> f64 {
    let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
    let file = File::open(&path, &options).await.expect("a file to write to");
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < duration {
        let offset = count * PAYLOAD_BYTES as u64;
        file.write_all_at(Bytes::from(vec![7; PAYLOAD_BYTES]), offset).await.expect("written");
        file.sync_data().await.expect("synced");
        count += 1;
    }
    disk::remove_file(path).await.expect("removed");
    count as f64 / began.elapsed().as_secs_f64()
}

async fn appends(dir: PathBuf, writers: u64, duration: Duration) -> f64 {
    let identity = Identity { node: 1, cluster: "bench".to_owned() };
    let (journal, _) =
        Journal::open(dir, &identity, Options::default()).await.expect("the journal opens");
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let group = journal.group(GroupId(writer));
        tasks.spawn(async move {
            let payload = Bytes::from(vec![7; PAYLOAD_BYTES]);
            let mut index = 0;
            while began.elapsed() < duration {
                let entry = Entry { index, payload: payload.clone() };
                group.append(&[entry]).expect("appended").await.expect("synced");
                index += 1;
            }
            index
        });
    }
    let mut count = 0;
    while let Some(appended) = tasks.join_next().await {
        count += appended.expect("no writer fails");
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    journal.close().await.expect("closed");
    rate
}
