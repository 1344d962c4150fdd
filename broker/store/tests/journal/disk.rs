//! Directories and files for tests, through the seam.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use paceline_runtime::disk::{self, File, OpenOptions};
use paceline_store::{Identity, Journal, Options, Recovered};

/// Runs a test's future with a directory of its own.
pub fn with_dir<F, Fut>(test: F)
where
    F: FnOnce(PathBuf) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("node");
    paceline_runtime::block_on(test(path));
}

pub fn identity() -> Identity {
    Identity { node: 1, cluster: "test".to_owned() }
}

pub fn options() -> Options {
    Options { segment_bytes: 4096, ..Options::default() }
}

pub async fn open(dir: &Path) -> (Journal, Recovered) {
    Journal::open(dir, &identity(), options()).await.expect("the journal opens")
}

/// None if there is no such file.
async fn read_file(path: &Path) -> Option<Bytes> {
    let options = OpenOptions { read: true, ..OpenOptions::default() };
    let file = match File::open(path, &options).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        opened => opened.expect("the file opens"),
    };
    let length = file.len().await.expect("the file has a length");
    Some(file.read_at(0, length as usize).await.expect("the file is read"))
}

pub async fn write_file(path: &Path, bytes: &[u8]) {
    let options =
        OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(path, &options).await.expect("the file is made");
    file.write_all_at(Bytes::copy_from_slice(bytes), 0).await.expect("the file is written");
}

/// The journal's files: the identity, then the segments in order. A segment in which nothing lives
/// may go while this looks.
pub async fn files(dir: &Path) -> Vec<(String, Bytes)> {
    let mut files = Vec::new();
    for name in disk::read_dir(dir).await.expect("the directory is read") {
        if name == "identity" || name.ends_with(".segment") {
            let bytes = read_file(&dir.join(&name)).await;
            files.extend(bytes.map(|bytes| (name, bytes)));
        }
    }
    sort(&mut files);
    files
}

/// Into the order that [`files`] has.
pub fn sort(files: &mut [(String, Bytes)]) {
    files.sort_by_key(|(name, _)| (name != "identity", name.clone()));
}

/// Puts `files` into `dir`, and nothing else.
pub async fn restore(dir: &Path, files: &[(String, Bytes)]) {
    disk::create_dir_all(dir).await.expect("the directory is made");
    for name in disk::read_dir(dir).await.expect("the directory is read") {
        if name.ends_with(".segment") {
            disk::remove_file(dir.join(name)).await.expect("the file is removed");
        }
    }
    for (name, bytes) in files {
        write_file(&dir.join(name), bytes).await;
    }
}
