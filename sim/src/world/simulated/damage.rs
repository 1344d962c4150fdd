//! A journal on a disk that does not keep what it was given: bits turn over, writes are lost though
//! they were synced, or stand where they do not belong.
//!
//! A write is lost or goes astray only where two later ones of the journal stand behind it. What
//! was written last and is missing as a whole nobody can tell from what a power cut tore, and a
//! broker that is told of a sync that never was cannot keep its promises; see docs/known-issues.md.

use std::{ops::Range, path::PathBuf};

use paceline_runtime::world::{NodeId, World};
use rand::{Rng, RngExt};

/// Bytes that a disk writes together; what goes astray does so by a number of these.
const SECTOR: u64 = 512;
/// So many of the last writes are spared. Of two one is whole, whatever became of the last.
const SPARED: usize = 2;

/// The journal of one node that is down.
pub struct Journal {
    world: World,
    node: NodeId,
    dir: PathBuf,
}

/// A write that made a segment longer.
type Write = (PathBuf, Range<u64>);

impl Journal {
    /// The journal in this directory of the node's disk.
    pub fn new(world: World, node: NodeId, dir: PathBuf) -> Self {
        Self { world, node, dir }
    }

    /// The segments in the order written, and how long they are.
    fn segments(&self) -> Vec<(PathBuf, u64)> {
        let files = self.world.files(self.node, &self.dir).into_iter();
        files.filter(|(path, _)| path.extension().is_some_and(|it| it == "segment")).collect()
    }

    /// The latest writes, in order.
    fn writes(&self) -> Vec<Write> {
        let segments = self.segments().into_iter();
        segments
            .flat_map(|(path, _)| {
                let writes = self.world.appends(self.node, &path);
                writes.into_iter().map(move |range| (path.clone(), range))
            })
            .collect()
    }

    /// Turns over a bit of the journal, or of what was written last; any of them with the same
    /// chance.
    pub fn rot(&self, tail: bool, random: &mut impl Rng) {
        let pieces: Vec<Write> = if tail {
            self.writes().pop().into_iter().collect()
        } else {
            self.segments().into_iter().map(|(path, length)| (path, 0..length)).collect()
        };
        let bytes: u64 = pieces.iter().map(|(_, range)| range.end - range.start).sum();
        if bytes == 0 {
            return;
        }
        let mut at = random.random_range(0..bytes);
        let mask = 1 << random.random_range(0..8);
        for (path, range) in pieces {
            let length = range.end - range.start;
            if at < length {
                let is_there = self.world.damage_file(self.node, path, range.start + at, mask);
                assert!(is_there, "it was within");
                return;
            }
            at -= length;
        }
    }

    /// Undoes a write. Where it stands there is nothing, as before.
    pub fn lose(&self, random: &mut impl Rng) {
        if let Some((write, _)) = self.draw(random) {
            self.undo(&write);
        }
    }

    /// Moves a write by some sectors, within its segment or into another, over what stands there.
    pub fn misdirect(&self, random: &mut impl Rng) {
        let Some((write, spared)) = self.draw(random) else { return };
        let (path, range) = &write;
        let bytes = self.world.peek_file(self.node, path, range.clone());
        let segments = self.segments();
        let (target, length) = &segments[random.random_range(0..segments.len())];
        // Not over what is spared, nor over the segment's header, in whose place another's would
        // make the file another one.
        let spared = spared.iter().filter(|(path, _)| path == target);
        let end = spared.map(|(_, range)| range.start).min().unwrap_or(*length);
        let first = range.start % SECTOR + SECTOR;
        let offset = first + random.random_range(0..=end / SECTOR) * SECTOR;
        self.undo(&write);
        if offset < end && (target, offset) != (path, range.start) {
            let fits = bytes.len().min((end - offset) as usize);
            self.world.spoil_file(self.node, target, offset, &bytes[..fits]);
        }
    }

    /// One of the writes that are not spared, and those that are.
    fn draw(&self, random: &mut impl Rng) -> Option<(Write, Vec<Write>)> {
        let mut writes = self.writes();
        let spared = writes.split_off(writes.len().saturating_sub(SPARED));
        let number = (!writes.is_empty()).then(|| random.random_range(0..writes.len()))?;
        Some((writes.swap_remove(number), spared))
    }

    fn undo(&self, (path, range): &Write) {
        let nothing = vec![0; (range.end - range.start) as usize];
        self.world.spoil_file(self.node, path, range.start, &nothing);
    }
}
