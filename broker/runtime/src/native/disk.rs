//! Files: positional reads and writes on tokio's blocking pool.
//!
//! A future that is dropped does not take back an operation that has begun.

pub use crate::open_options::OpenOptions;
use bytes::Bytes;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An open file. Clones share the one open file.
#[derive(Clone, Debug)]
pub struct File {
    file: Arc<fs::File>,
}

impl File {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::OpenOptions::open`].
    pub async fn open(path: impl AsRef<Path>, options: &OpenOptions) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        let options = *options;
        let file = blocking(move || {
            fs::OpenOptions::new()
                .read(options.read)
                .write(options.write)
                .create(options.create)
                .create_new(options.create_new)
                .truncate(options.truncate)
                .open(path)
        })
        .await?;
        Ok(File { file: Arc::new(file) })
    }

    /// Writes all of `buf` at `offset`. The bytes are durable only after a sync.
    ///
    /// # Errors
    ///
    /// `StorageFull` when the disk is; a part of the bytes may have been written.
    pub async fn write_all_at(&self, buf: Bytes, offset: u64) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.write_all_at(&buf, offset)).await
    }

    /// Reads up to `len` bytes at `offset`: fewer only where the file ends.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = self.file.clone();
        blocking(move || {
            let mut buf = vec![0; len];
            let mut filled = 0;
            while filled < len {
                match file.read_at(&mut buf[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            buf.truncate(filled);
            Ok(Bytes::from(buf))
        })
        .await
    }

    /// Makes the file's bytes and length durable, not its name: see [`sync_dir`].
    ///
    /// # Errors
    ///
    /// After an error nothing may be assumed about what is durable; trying again proves nothing.
    pub async fn sync_data(&self) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.sync_data()).await
    }

    /// Makes the file's bytes and metadata durable, not its name: see [`sync_dir`].
    ///
    /// # Errors
    ///
    /// As for [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.sync_all()).await
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn len(&self) -> io::Result<u64> {
        let file = self.file.clone();
        blocking(move || Ok(file.metadata()?.len())).await
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
    /// Those of the device.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.set_len(len)).await
    }
}

/// Makes the directory `path` and all its missing parents.
///
/// # Errors
///
/// Those of [`std::fs::create_dir_all`].
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || fs::create_dir_all(path)).await
}

/// The names in the directory `path`, sorted. Names that are not UTF-8 are left out.
///
/// # Errors
///
/// Those of [`std::fs::read_dir`].
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<String>> {
    let path = path.as_ref().to_owned();
    blocking(move || {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    })
    .await
}

/// Removes the file at `path`. Durable only after [`sync_dir`] of its directory.
///
/// # Errors
///
/// Those of [`std::fs::remove_file`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || fs::remove_file(path)).await
}

/// Renames `from` to `to`, replacing what was there. Durable only after [`sync_dir`].
///
/// # Errors
///
/// Those of [`std::fs::rename`].
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking(move || fs::rename(from, to)).await
}

/// Makes the names in the directory `path` durable: files made, removed and renamed there.
///
/// # Errors
///
/// As for [`File::sync_data`].
pub async fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || fs::File::open(path)?.sync_all()).await
}

/// Whether there is a file or directory at `path`.
///
/// # Errors
///
/// If it cannot be told.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    blocking(move || fs::exists(path)).await
}

/// The right to be the only process that uses a directory; dropping it gives it back.
#[derive(Debug)]
pub struct DirLock {
    _file: fs::File,
}

impl DirLock {
    /// The file that is locked, in the directory.
    const FILE: &'static str = "lock";

    /// Takes the exclusive lock of the directory `path`, which must exist.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is held already, by this process or another.
    pub async fn acquire(path: impl AsRef<Path>) -> io::Result<DirLock> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let name = path.join(DirLock::FILE);
            let file =
                fs::OpenOptions::new().write(true).create(true).truncate(false).open(name)?;
            match file.try_lock() {
                Ok(()) => Ok(DirLock { _file: file }),
                Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!("{} is in use by another process", path.display()),
                )),
                Err(fs::TryLockError::Error(error)) => Err(error),
            }
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}
