//! Simulated disks, one per node, with the names of the native module.
//!
//! What is durable when is told in `image`. On top of it come the time that operations take and
//! the faults a disk can have. A killed process loses nothing that it wrote, since the page cache
//! outlives it; a power cut loses what was not synced.

mod image;

use super::random::derive;
use super::time::sleep;
use super::timers::{self, Nanos};
use super::trace::digest;
use super::{Simulation, context};
use crate::latency::Latency;
pub use crate::open_options::OpenOptions;
use bytes::Bytes;
use image::{EBADF, EINVAL, EIO, ENOENT, ENOSPC, Entry, Image, InodeId, normal, system_error};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a disk behaves while it is healthy.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskConfig {
    /// How long a read takes, beyond what bandwidth demands.
    pub read: Latency,
    /// How long a write into the page cache takes, and any change of names.
    pub write: Latency,
    /// How long a sync takes, beyond what bandwidth demands.
    pub sync: Latency,
    /// Bytes per second of reads and syncs.
    pub bandwidth: u64,
    /// Bytes that fit; none for no limit.
    pub capacity: Option<u64>,
    /// Bytes that reach the disk together or not at all.
    pub block: u64,
}

impl Default for DiskConfig {
    /// A data-centre SSD: syncs take 0.4 ms on average, 3 ms at the 99th percentile; 1 GB/s.
    fn default() -> Self {
        let micros = Duration::from_micros;
        DiskConfig {
            read: Latency::constant(micros(20)),
            write: Latency::constant(micros(3)),
            sync: Latency::new(micros(100), micros(400), micros(3_000)),
            bandwidth: 1_000_000_000,
            capacity: None,
            block: 512,
        }
    }
}

/// What is wrong with a disk; the default is nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskFault {
    /// How many times longer everything takes.
    pub slowness: f64,
    /// The probability that a sync fails with EIO. What it should have written is lost.
    pub failing_syncs: f64,
    /// The probability that a read fails with EIO.
    pub failing_reads: f64,
    /// The probability that a write fails with EIO.
    pub failing_writes: f64,
    /// The probability that a read returns one wrong byte.
    pub corrupt_reads: f64,
    /// Whether everything that needs more space fails with ENOSPC.
    pub full: bool,
}

impl Default for DiskFault {
    fn default() -> Self {
        DiskFault {
            slowness: 1.0,
            failing_syncs: 0.0,
            failing_reads: 0.0,
            failing_writes: 0.0,
            corrupt_reads: 0.0,
            full: false,
        }
    }
}

/// What a node's disk has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes written to files.
    pub bytes_written: u64,
    /// Bytes read from files.
    pub bytes_read: u64,
    /// Syncs of files and directories.
    pub syncs: u64,
    /// Bytes in all files.
    pub used: u64,
}

/// A write into the page cache that takes no longer than this, in nanoseconds, is not waited for.
const WRITE_GRACE: Nanos = 20_000;

/// All disks of the world, by node.
pub(crate) struct Disks {
    all: Vec<Disk>,
}

struct Disk {
    config: DiskConfig,
    fault: DiskFault,
    image: Image,
    /// When the device will be done with what it was asked so far.
    free_at: Nanos,
    /// What writes into the page cache took of which nobody waited for, until the device is next used.
    owed: Nanos,
    locks: BTreeSet<PathBuf>,
    /// Bumped when the process ends, so that a stale handle touches nothing.
    generation: u64,
    rng: ChaCha8Rng,
    done: DiskUse,
}

impl Disks {
    pub(crate) fn new() -> Disks {
        Disks { all: Vec::new() }
    }

    pub(crate) fn add(&mut self, seed: u64, config: DiskConfig) {
        let number = (self.all.len() as u64).to_le_bytes();
        self.all.push(Disk {
            config,
            fault: DiskFault::default(),
            image: Image::new(),
            free_at: 0,
            owed: 0,
            locks: BTreeSet::new(),
            generation: 0,
            rng: derive(seed, &[b"disk", &number]),
            done: DiskUse::default(),
        });
    }

    pub(crate) fn set_fault(&mut self, node: usize, fault: DiskFault) {
        self.all[node].fault = fault;
    }

    pub(crate) fn done(&self, node: usize) -> DiskUse {
        let disk = &self.all[node];
        DiskUse { used: disk.image.used(), ..disk.done }
    }

    pub(crate) fn damage(&mut self, node: usize, path: &Path, offset: u64, mask: u8) -> bool {
        self.all[node].image.damage(&normal(path), offset, mask)
    }

    pub(crate) fn appends(&self, node: usize, path: &Path) -> Vec<Range<u64>> {
        self.all[node].image.appends(&normal(path))
    }

    pub(crate) fn peek(&self, node: usize, path: &Path, range: Range<u64>) -> Bytes {
        self.all[node].image.peek(&normal(path), range)
    }

    pub(crate) fn spoil(&mut self, node: usize, path: &Path, offset: u64, bytes: &[u8]) {
        self.all[node].image.spoil(&normal(path), offset, bytes);
    }

    pub(crate) fn empty(&mut self, node: usize) {
        let disk = &mut self.all[node];
        disk.generation += 1;
        disk.image = Image::new();
    }

    pub(crate) fn files(&self, node: usize, dir: &Path) -> Vec<(PathBuf, u64)> {
        self.all[node].image.files(&normal(dir))
    }

    pub(crate) fn process_gone(&mut self, node: usize, power_cut: bool) {
        let disk = &mut self.all[node];
        disk.generation += 1;
        disk.locks.clear();
        disk.free_at = 0;
        disk.owed = 0;
        if power_cut {
            disk.image.power_cut(&mut disk.rng, disk.config.block.max(1));
        }
    }
}

impl Disk {
    fn happens(&mut self, probability: f64) -> bool {
        // No draw for what never happens, so that a fault changes nothing before it begins.
        probability > 0.0
            && ((self.rng.next_u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    fn slowed(&self, nanos: Nanos) -> Nanos {
        (nanos as f64 * self.fault.slowness) as Nanos
    }

    /// How long the device needs for `bytes` from now, its queue included.
    fn transfer(&mut self, now: Nanos, latency: Nanos, bytes: u64) -> Duration {
        let transfer = bytes * 1_000_000_000 / self.config.bandwidth.max(1);
        let end = self.free_at.max(now) + self.slowed(transfer) + std::mem::take(&mut self.owed);
        self.free_at = end;
        Duration::from_nanos(end - now + self.slowed(latency))
    }

    fn memory_time(&mut self) -> Duration {
        let latency = self.config.write.sample(&mut self.rng);
        Duration::from_nanos(self.slowed(latency))
    }

    /// How long to wait for a write into the page cache: not at all for a short one, whose time is
    /// added to what the device is next asked for, mostly the sync of what was written. A task that
    /// waits costs more than the write itself, and three microseconds tell nobody anything.
    fn cache_time(&mut self) -> Option<Duration> {
        let time = self.memory_time();
        let nanos = time.as_nanos() as Nanos;
        let waits = nanos > WRITE_GRACE;
        if !waits {
            self.owed += nanos;
        }
        waits.then_some(time)
    }

    fn has_room(&self, more: u64) -> bool {
        let fits = |capacity| self.image.used() + more <= capacity;
        more == 0 || !self.fault.full && self.config.capacity.is_none_or(fits)
    }
}

fn with_current<R>(f: impl FnOnce(&mut Disk) -> R) -> R {
    context::with(|sim| {
        let node = sim.nodes.current_index();
        f(&mut sim.disks.all[node])
    })
}

/// An open file. Clones share the one open file.
#[derive(Clone, Debug)]
pub struct File {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    node: usize,
    generation: u64,
    inode: InodeId,
    read: bool,
    write: bool,
}

impl Open {
    /// The disk, unless the process that opened the file is gone.
    fn disk<'a>(&self, sim: &'a mut Simulation) -> Option<&'a mut Disk> {
        let disk = &mut sim.disks.all[self.node];
        (disk.generation == self.generation).then_some(disk)
    }

    fn with<R>(&self, f: impl FnOnce(&mut Disk, Nanos) -> io::Result<R>) -> io::Result<R> {
        context::with(|sim| {
            let now = timers::now();
            match self.disk(sim) {
                Some(disk) => f(disk, now),
                None => Err(system_error(EBADF)),
            }
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        context::try_with(|sim| {
            if let Some(disk) = self.disk(sim) {
                disk.image.close(self.inode);
            }
        });
    }
}

impl File {
    /// Opens the file at `path` on the current node's disk.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::OpenOptions::open`].
    pub async fn open(path: impl AsRef<Path>, options: &OpenOptions) -> io::Result<File> {
        let path = normal(path.as_ref());
        let OpenOptions { read, write, create, create_new, truncate } = *options;
        let changes = create || create_new || truncate;
        if !write && (changes || !read) {
            return Err(system_error(EINVAL));
        }
        sleep(with_current(Disk::memory_time)).await;
        context::with(|sim| {
            let node = sim.nodes.current_index();
            let disk = &mut sim.disks.all[node];
            let inode = disk.image.open(&path, create, create_new, truncate)?;
            let open = Open { node, generation: disk.generation, inode, read, write };
            Ok(File { open: Arc::new(open) })
        })
    }

    /// Writes all of `buf` at `offset`. The bytes are durable only after a sync.
    ///
    /// # Errors
    ///
    /// `StorageFull` when the disk is; a part of the bytes may have been written.
    pub async fn write_all_at(&self, buf: Bytes, offset: u64) -> io::Result<()> {
        if let Some(time) = self.open.with(|disk, _| Ok(disk.cache_time()))? {
            sleep(time).await;
        }
        let (len, hash) = (buf.len() as u64, digest(&buf));
        self.open.with(|disk, _| {
            if !self.open.write {
                return Err(system_error(EBADF));
            }
            if disk.happens(disk.fault.failing_writes) {
                return Err(system_error(EIO));
            }
            let more = (offset + len).saturating_sub(disk.image.len(self.open.inode));
            if !disk.has_room(more) {
                // As much as does not need more room is written, as a real disk does.
                let fits = buf.len() - more.min(len) as usize;
                if fits > 0 {
                    disk.image.write(self.open.inode, offset, buf.slice(..fits));
                }
                return Err(system_error(ENOSPC));
            }
            disk.done.bytes_written += len;
            if len > 0 {
                disk.image.write(self.open.inode, offset, buf);
            }
            Ok(())
        })?;
        self.record(16, &[offset, len, hash]);
        Ok(())
    }

    /// Reads up to `len` bytes at `offset`: fewer only where the file ends.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let time = self.open.with(|disk, now| {
            let latency = disk.config.read.sample(&mut disk.rng);
            let there = disk.image.len(self.open.inode).saturating_sub(offset).min(len as u64);
            Ok(disk.transfer(now, latency, there))
        })?;
        sleep(time).await;
        self.open.with(|disk, _| {
            if !self.open.read {
                return Err(system_error(EBADF));
            }
            if disk.happens(disk.fault.failing_reads) {
                return Err(system_error(EIO));
            }
            let bytes = disk.image.read(self.open.inode, offset, len);
            disk.done.bytes_read += bytes.len() as u64;
            if !bytes.is_empty() && disk.happens(disk.fault.corrupt_reads) {
                let mut wrong = bytes.to_vec();
                let at = disk.rng.next_u64() as usize % wrong.len();
                wrong[at] ^= 1 << (disk.rng.next_u32() % 8);
                return Ok(wrong.into());
            }
            Ok(bytes)
        })
    }

    /// Makes the file's bytes and length durable, not its name: see [`sync_dir`].
    ///
    /// What is written while the sync is under way is not part of it.
    ///
    /// # Errors
    ///
    /// After an error nothing may be assumed about what is durable; trying again proves nothing.
    pub async fn sync_data(&self) -> io::Result<()> {
        let (time, mark) = self.open.with(|disk, now| {
            let (bytes, mark) = disk.image.begin_sync(self.open.inode);
            let latency = disk.config.sync.sample(&mut disk.rng);
            Ok((disk.transfer(now, latency, bytes), mark))
        })?;
        sleep(time).await;
        let succeeds = self.open.with(|disk, _| {
            disk.done.syncs += 1;
            let succeeds = !disk.happens(disk.fault.failing_syncs);
            disk.image.end_sync(self.open.inode, mark, succeeds);
            Ok(succeeds)
        })?;
        self.record(17, &[mark, u64::from(succeeds)]);
        if succeeds { Ok(()) } else { Err(system_error(EIO)) }
    }

    /// Makes the file's bytes and metadata durable, not its name: see [`sync_dir`].
    ///
    /// # Errors
    ///
    /// As for [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.sync_data().await
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn len(&self) -> io::Result<u64> {
        self.open.with(|disk, _| Ok(disk.image.len(self.open.inode)))
    }

    /// Whether the file has no bytes.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len().await? == 0)
    }

    /// Cuts the file to `len` bytes, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// `StorageFull` when the disk is.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        let time = self.open.with(|disk, _| Ok(disk.memory_time()))?;
        sleep(time).await;
        self.open.with(|disk, _| {
            if !self.open.write {
                return Err(system_error(EINVAL));
            }
            if !disk.has_room(len.saturating_sub(disk.image.len(self.open.inode))) {
                return Err(system_error(ENOSPC));
            }
            disk.image.set_len(self.open.inode, len);
            Ok(())
        })?;
        self.record(18, &[len]);
        Ok(())
    }

    fn record(&self, what: u8, numbers: &[u64]) {
        context::with(|sim| {
            let now = timers::now();
            sim.recorder.record(now, what, &[self.open.node as u64, self.open.inode]);
            sim.recorder.record(now, what, numbers);
        });
    }
}

/// Makes the directory `path` and all its missing parents.
///
/// # Errors
///
/// Those of [`std::fs::create_dir_all`].
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = normal(path.as_ref());
    sleep(with_current(Disk::memory_time)).await;
    with_current(|disk| disk.image.create_dir_all(&path))
}

/// The names in the directory `path`, sorted.
///
/// # Errors
///
/// Those of [`std::fs::read_dir`].
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<String>> {
    let path = normal(path.as_ref());
    sleep(with_current(Disk::memory_time)).await;
    with_current(|disk| disk.image.list(&path))
}

/// Removes the file at `path`. Durable only after [`sync_dir`] of its directory.
///
/// # Errors
///
/// Those of [`std::fs::remove_file`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = normal(path.as_ref());
    sleep(with_current(Disk::memory_time)).await;
    with_current(|disk| disk.image.remove_file(&path))
}

/// Renames the file `from` to `to`, replacing what was there. Durable only after [`sync_dir`].
///
/// # Errors
///
/// Those of [`std::fs::rename`]. Directories cannot be renamed here.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (normal(from.as_ref()), normal(to.as_ref()));
    sleep(with_current(Disk::memory_time)).await;
    with_current(|disk| disk.image.rename(&from, &to))
}

/// Makes the names in the directory `path` durable: files made, removed and renamed there.
///
/// # Errors
///
/// As for [`File::sync_data`].
pub async fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = normal(path.as_ref());
    let time = context::with(|sim| {
        let now = timers::now();
        let node = sim.nodes.current_index();
        let disk = &mut sim.disks.all[node];
        let latency = disk.config.sync.sample(&mut disk.rng);
        disk.transfer(now, latency, 0)
    });
    sleep(time).await;
    with_current(|disk| {
        disk.done.syncs += 1;
        if disk.happens(disk.fault.failing_syncs) {
            return Err(system_error(EIO));
        }
        disk.image.sync_names(&path)
    })
}

/// Whether there is a file or directory at `path`.
///
/// # Errors
///
/// Never.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = normal(path.as_ref());
    with_current(|disk| Ok(disk.image.entry(&path).is_some()))
}

/// The right to be the only process that uses a directory; dropping it gives it back.
#[derive(Debug)]
pub struct DirLock {
    node: usize,
    generation: u64,
    path: PathBuf,
}

impl DirLock {
    /// The file that a real lock is on; here it is only made.
    const FILE: &'static str = "lock";

    /// Takes the exclusive lock of the directory `path`, which must exist.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is held already, by this process or another.
    pub async fn acquire(path: impl AsRef<Path>) -> io::Result<DirLock> {
        let path = normal(path.as_ref());
        sleep(with_current(Disk::memory_time)).await;
        context::with(|sim| {
            let node = sim.nodes.current_index();
            let disk = &mut sim.disks.all[node];
            if disk.image.entry(&path) != Some(Entry::Directory) {
                return Err(system_error(ENOENT));
            }
            let file = disk.image.open(&path.join(DirLock::FILE), true, false, false)?;
            disk.image.close(file);
            if !disk.locks.insert(path.clone()) {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!("{} is in use by another process", path.display()),
                ));
            }
            Ok(DirLock { node, generation: disk.generation, path })
        })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        context::try_with(|sim| {
            let disk = &mut sim.disks.all[self.node];
            if disk.generation == self.generation {
                disk.locks.remove(&self.path);
            }
        });
    }
}
