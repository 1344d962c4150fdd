//! What is on a disk, as processes see it and as it would be found after a power cut.
//!
//! A file is an inode; names are kept apart from it. Each has a cached state, which processes
//! see, and a durable one. Writes go to the cache; a sync makes durable what was written before
//! it began, and for names that is the sync of their directory. When the power goes, whatever was
//! not synced may have reached the disk all the same, in part and in pieces of a block: the seed
//! decides.

use bytes::Bytes;
use rand::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

pub(super) type InodeId = u64;

/// So many of the latest appending writes to a file are known.
const APPENDS_KEPT: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File(InodeId),
}

/// A change to a file that has not been synced.
#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Bytes },
    Cut { len: u64 },
}

/// A change to the names that has not been synced: at this path there is now this, or nothing.
#[derive(Debug)]
struct Naming {
    path: PathBuf,
    entry: Option<Entry>,
    /// Where a rename took it from; both halves happen together.
    from: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: VecDeque<(u64, Change)>,
    /// Where the writes that made the file longer stand, in order: what a disk may have lost.
    appends: VecDeque<Range<u64>>,
    opened: u32,
}

/// The contents of a disk.
#[derive(Debug)]
pub(super) struct Image {
    inodes: BTreeMap<InodeId, Inode>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    unsynced_names: Vec<Naming>,
    next_inode: InodeId,
    next_change: u64,
    used: u64,
}

/// The errors are those of the system, so that their kinds agree with a real disk's.
pub(super) fn system_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
pub(super) const ENOENT: i32 = 2;
pub(super) const EIO: i32 = 5;
pub(super) const EBADF: i32 = 9;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
pub(super) const EINVAL: i32 = 22;
pub(super) const ENOSPC: i32 = 28;

impl Image {
    pub(super) fn new() -> Image {
        let names = BTreeMap::from([(PathBuf::from("/"), Entry::Directory)]);
        Image {
            inodes: BTreeMap::new(),
            durable_names: names.clone(),
            names,
            unsynced_names: Vec::new(),
            next_inode: 1,
            next_change: 0,
            used: 0,
        }
    }

    /// Bytes in all files.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    // Names.

    pub(super) fn entry(&self, path: &Path) -> Option<Entry> {
        self.names.get(path).copied()
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            match self.entry(ancestor) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(system_error(ENOTDIR)),
                None => self.name(ancestor.to_owned(), Some(Entry::Directory), None),
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.directory(path)?;
        let inside = self.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        match self.entry(path) {
            Some(Entry::File(_)) => self.name(path.to_owned(), None, None),
            Some(Entry::Directory) => return Err(system_error(EISDIR)),
            None => return Err(system_error(ENOENT)),
        }
        self.drop_unreferenced();
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let entry = self.entry(from).ok_or_else(|| system_error(ENOENT))?;
        self.directory(to.parent().ok_or_else(|| system_error(EINVAL))?)?;
        match (entry, self.entry(to)) {
            // Directories keep their path here; nothing renames one.
            (Entry::Directory, _) => return Err(system_error(EINVAL)),
            (Entry::File(_), Some(Entry::Directory)) => return Err(system_error(EISDIR)),
            (Entry::File(_), _) => {}
        }
        if from != to {
            self.name(to.to_owned(), Some(entry), Some(from.to_owned()));
        }
        self.drop_unreferenced();
        Ok(())
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_names(&mut self, path: &Path) -> io::Result<()> {
        self.directory(path)?;
        let mut rest = Vec::new();
        for naming in std::mem::take(&mut self.unsynced_names) {
            let touches = |name: &Path| name == path || name.parent() == Some(path);
            if touches(&naming.path) || naming.from.as_deref().is_some_and(touches) {
                naming.apply(&mut self.durable_names);
            } else {
                rest.push(naming);
            }
        }
        self.unsynced_names = rest;
        self.drop_unreferenced();
        Ok(())
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        match self.entry(path) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(system_error(ENOTDIR)),
            None => Err(system_error(ENOENT)),
        }
    }

    fn name(&mut self, path: PathBuf, entry: Option<Entry>, from: Option<PathBuf>) {
        let naming = Naming { path, entry, from };
        naming.apply(&mut self.names);
        self.unsynced_names.push(naming);
    }

    // Files.

    /// The file at `path`, made if it is missing and `create` says so, refused if it is there and
    /// `create_new` says so.
    pub(super) fn open(
        &mut self,
        path: &Path,
        create: bool,
        create_new: bool,
        truncate: bool,
    ) -> io::Result<InodeId> {
        let id = match self.entry(path) {
            Some(Entry::Directory) => return Err(system_error(EISDIR)),
            Some(Entry::File(_)) if create_new => return Err(system_error(EEXIST)),
            Some(Entry::File(id)) => id,
            None if create || create_new => {
                self.directory(path.parent().ok_or_else(|| system_error(EINVAL))?)?;
                let id = self.next_inode;
                self.next_inode += 1;
                self.inodes.insert(id, Inode::default());
                self.name(path.to_owned(), Some(Entry::File(id)), None);
                id
            }
            None => return Err(system_error(ENOENT)),
        };
        if truncate && self.len(id) > 0 {
            self.set_len(id, 0);
        }
        self.inode(id).opened += 1;
        Ok(id)
    }

    pub(super) fn close(&mut self, id: InodeId) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.opened = inode.opened.saturating_sub(1);
            if inode.opened == 0 {
                self.drop_unreferenced();
            }
        }
    }

    pub(super) fn len(&self, id: InodeId) -> u64 {
        self.inodes.get(&id).map_or(0, |inode| inode.cached.len() as u64)
    }

    pub(super) fn read(&self, id: InodeId, offset: u64, len: usize) -> Bytes {
        let Some(inode) = self.inodes.get(&id) else { return Bytes::new() };
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.cached.len());
        let end = begin.saturating_add(len).min(inode.cached.len());
        Bytes::copy_from_slice(&inode.cached[begin..end])
    }

    pub(super) fn write(&mut self, id: InodeId, offset: u64, bytes: Bytes) {
        let before = self.len(id);
        let inode = self.inodes.get_mut(&id).expect("an open file has an inode");
        overwrite(&mut inode.cached, offset, &bytes);
        if inode.cached.len() as u64 > before {
            if inode.appends.len() == APPENDS_KEPT {
                inode.appends.pop_front();
            }
            inode.appends.push_back(offset..inode.cached.len() as u64);
        }
        self.used += inode.cached.len() as u64 - before;
        inode.dirty.push_back((self.next_change, Change::Write { offset, bytes }));
        self.next_change += 1;
    }

    pub(super) fn set_len(&mut self, id: InodeId, len: u64) {
        let before = self.len(id);
        let inode = self.inodes.get_mut(&id).expect("an open file has an inode");
        inode.cached.resize(len as usize, 0);
        inode.keep_appends_within();
        self.used = self.used + len - before;
        inode.dirty.push_back((self.next_change, Change::Cut { len }));
        self.next_change += 1;
    }

    /// Begins a sync: how many bytes it has to write, and the mark with which to end it.
    pub(super) fn begin_sync(&self, id: InodeId) -> (u64, u64) {
        let dirty = self.inodes.get(&id).into_iter().flat_map(|inode| &inode.dirty);
        let bytes = dirty.map(|(_, change)| match change {
            Change::Write { bytes, .. } => bytes.len() as u64,
            Change::Cut { .. } => 0,
        });
        (bytes.sum(), self.next_change)
    }

    /// Ends the sync that began with `mark`. One that fails leaves its changes in the cache only,
    /// and no later sync writes them: that is how Linux treats a failed write-back.
    pub(super) fn end_sync(&mut self, id: InodeId, mark: u64, succeeds: bool) {
        let Some(inode) = self.inodes.get_mut(&id) else { return };
        while inode.dirty.front().is_some_and(|(number, _)| *number < mark) {
            let (_, change) = inode.dirty.pop_front().expect("it has a front");
            if succeeds {
                change.apply(&mut inode.durable);
            }
        }
    }

    /// The files in a directory and how long they are, by name.
    pub(super) fn files(&self, dir: &Path) -> Vec<(PathBuf, u64)> {
        let inside = self.names.iter().filter(|(name, _)| name.parent() == Some(dir));
        let file = |(name, entry): (&PathBuf, &Entry)| match entry {
            Entry::File(id) => Some((name.clone(), self.len(*id))),
            Entry::Directory => None,
        };
        inside.filter_map(file).collect()
    }

    /// Turns the bits `mask` of one byte over, in the cache and on the disk; false if the file
    /// has no such byte.
    pub(super) fn damage(&mut self, path: &Path, offset: u64, mask: u8) -> bool {
        let Some(Entry::File(id)) = self.entry(path) else { return false };
        let inode = self.inode(id);
        if let Some(byte) = inode.durable.get_mut(offset as usize) {
            *byte ^= mask;
        }
        match inode.cached.get_mut(offset as usize) {
            Some(byte) => *byte ^= mask,
            None => return false,
        }
        true
    }

    /// Where the latest writes that made a file longer stand, as far as they are still there.
    pub(super) fn appends(&self, path: &Path) -> Vec<Range<u64>> {
        let Some(Entry::File(id)) = self.entry(path) else { return Vec::new() };
        self.inodes.get(&id).map_or_else(Vec::new, |inode| inode.appends.iter().cloned().collect())
    }

    /// What stands in a file, as far as it goes.
    pub(super) fn peek(&self, path: &Path, range: Range<u64>) -> Bytes {
        let Some(Entry::File(id)) = self.entry(path) else { return Bytes::new() };
        self.read(id, range.start, range.end.saturating_sub(range.start) as usize)
    }

    /// Puts other bytes in place of some, in the cache and on the disk, where the file has them.
    pub(super) fn spoil(&mut self, path: &Path, offset: u64, bytes: &[u8]) {
        let Some(Entry::File(id)) = self.entry(path) else { return };
        let inode = self.inode(id);
        for content in [&mut inode.durable, &mut inode.cached] {
            let begin = content.len().min(offset as usize);
            let end = content.len().min(begin + bytes.len());
            content[begin..end].copy_from_slice(&bytes[..end - begin]);
        }
    }

    /// The power goes and comes back: what was not synced is lost, wholly or in part.
    pub(super) fn power_cut(&mut self, rng: &mut impl Rng, block: u64) {
        // The names' changes reach the disk in order, as in a journalling file system, so a
        // number of the first ones survive.
        let survivors = below(rng, self.unsynced_names.len() as u64 + 1) as usize;
        let unsynced = std::mem::take(&mut self.unsynced_names);
        for naming in unsynced.into_iter().take(survivors) {
            naming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        for inode in self.inodes.values_mut() {
            // Nothing, half, or everything of a file's unsynced blocks.
            let chance = below(rng, 3);
            for (_, change) in std::mem::take(&mut inode.dirty) {
                change.apply_in_part(&mut inode.durable, rng, chance, block);
            }
            inode.cached = inode.durable.clone();
            inode.keep_appends_within();
            inode.opened = 0;
        }
        self.drop_unreferenced();
        self.used = self.inodes.values().map(|inode| inode.cached.len() as u64).sum();
    }

    fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("a name has an inode")
    }

    /// Forgets files that nothing refers to any more.
    fn drop_unreferenced(&mut self) {
        let named = |names: &BTreeMap<PathBuf, Entry>, id| {
            names.values().any(|entry| *entry == Entry::File(id))
        };
        let (names, durable, unsynced) = (&self.names, &self.durable_names, &self.unsynced_names);
        let used = &mut self.used;
        self.inodes.retain(|id, inode| {
            let keep = inode.opened > 0
                || named(names, *id)
                || named(durable, *id)
                || unsynced.iter().any(|naming| naming.entry == Some(Entry::File(*id)));
            if !keep {
                *used -= (inode.cached.len() as u64).min(*used);
            }
            keep
        });
    }
}

impl Inode {
    /// Forgets the writes that a cut has taken away.
    fn keep_appends_within(&mut self) {
        let len = self.cached.len() as u64;
        self.appends.retain(|range| range.end <= len);
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        match self.entry {
            Some(entry) => {
                names.insert(self.path.clone(), entry);
            }
            None => {
                names.remove(&self.path);
            }
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => overwrite(content, *offset, bytes),
            Change::Cut { len } => content.resize(*len as usize, 0),
        }
    }

    /// Applies those blocks that the seed lets survive, each with `chance` in two.
    fn apply_in_part(&self, content: &mut Vec<u8>, rng: &mut impl Rng, chance: u64, block: u64) {
        match self {
            Change::Cut { .. } if below(rng, 2) < chance => self.apply(content),
            Change::Cut { .. } => {}
            Change::Write { offset, bytes } => {
                let mut at = *offset;
                let end = offset + bytes.len() as u64;
                while at < end {
                    let next = ((at / block + 1) * block).min(end);
                    if below(rng, 2) < chance {
                        let part = (at - offset) as usize..(next - offset) as usize;
                        overwrite(content, at, &bytes[part]);
                    }
                    at = next;
                }
            }
        }
    }
}

fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let begin = offset as usize;
    let end = begin + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[begin..end].copy_from_slice(bytes);
}

fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// The path as the image knows it: absolute, without `.` and `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}
