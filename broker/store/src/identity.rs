//! Whose data directory this is, so that a node never starts on another's.

use std::path::Path;

use bytes::Bytes;
use paceline_runtime::disk::{self, File, OpenOptions};

use crate::{error::JournalError, format};

const FILE: &str = "identity";
const TITLE: &str = "paceline journal";

/// The longest identity file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// The node and the cluster that a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's number in its cluster.
    pub node: u64,
    /// The cluster's name, one line.
    pub cluster: String,
}

/// Reads the identity file, or writes it when the directory is new. Returns the journal's number:
/// random, it tells this journal's records from those of any other.
pub(crate) async fn establish(
    dir: &Path,
    identity: &Identity,
    has_segments: bool,
    new_number: impl FnOnce() -> u64,
) -> Result<u64, JournalError> {
    let path = dir.join(FILE);
    let io = |action| move |error| JournalError::io(action, dir.join(FILE), error);
    let unreadable =
        |reason: &str| JournalError::Unreadable { path: dir.join(FILE), reason: reason.to_owned() };
    if !disk::exists(&path).await.map_err(io("look for"))? {
        if has_segments {
            return Err(unreadable(
                "the identity file is missing though there are segments; restore it, or empty \
                 the directory so that this node is repaired from its peers",
            ));
        }
        let number = new_number();
        write(dir, &render(identity, number)).await?;
        return Ok(number);
    }
    let options = OpenOptions { read: true, ..OpenOptions::default() };
    let file = File::open(&path, &options).await.map_err(io("open"))?;
    let length = file.len().await.map_err(io("read"))?.min(MAX_BYTES);
    let bytes = file.read_at(0, length as usize).await.map_err(io("read"))?;
    let (found, number) = parse(&bytes).map_err(|reason| unreadable(&reason))?;
    if found != *identity {
        return Err(JournalError::ForeignDirectory {
            path: dir.to_owned(),
            node: identity.node,
            cluster: identity.cluster.clone(),
            found_node: found.node,
            found_cluster: found.cluster,
        });
    }
    Ok(number)
}

/// Writes beside, syncs, then renames: the file is there whole or not at all.
async fn write(dir: &Path, text: &str) -> Result<(), JournalError> {
    let (path, draft) = (dir.join(FILE), dir.join("identity.new"));
    let io = |action| {
        let draft = draft.clone();
        move |error| JournalError::io(action, draft, error)
    };
    let options =
        OpenOptions { write: true, create: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(&draft, &options).await.map_err(io("create"))?;
    file.write_all_at(Bytes::copy_from_slice(text.as_bytes()), 0).await.map_err(io("write"))?;
    file.sync_all().await.map_err(io("sync"))?;
    disk::rename(&draft, &path).await.map_err(io("rename"))?;
    disk::sync_dir(dir).await.map_err(|error| JournalError::io("sync", dir, error))
}

fn render(identity: &Identity, number: u64) -> String {
    let body = format!(
        "{TITLE} {}\ncluster {}\nnode {}\njournal {number:016x}\n",
        format::VERSION,
        identity.cluster.replace(['\n', '\r'], " "),
        identity.node,
    );
    let crc = crc32c::crc32c(body.as_bytes());
    format!("{body}crc32c {crc:08x}\n")
}

fn parse(bytes: &[u8]) -> Result<(Identity, u64), String> {
    let damaged = || "the identity file is damaged; restore it from a copy".to_owned();
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let version = text
        .strip_prefix(TITLE)
        .and_then(|rest| rest.lines().next()?.trim().parse::<u32>().ok())
        .ok_or_else(damaged)?;
    if version != format::VERSION {
        return Err(format!(
            "the journal has format {version}, this program reads format {}",
            format::VERSION
        ));
    }
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(damaged)
    };
    let cluster = field("cluster")?.to_owned();
    let node = field("node")?.parse().map_err(|_| damaged())?;
    let number = u64::from_str_radix(field("journal")?, 16).map_err(|_| damaged())?;
    let identity = Identity { node, cluster };
    if render(&identity, number) != text {
        return Err(damaged());
    }
    Ok((identity, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_written_and_never_with_a_flaw() {
        let identity = Identity { node: 3, cluster: "east of Eden".to_owned() };
        let text = render(&identity, 0x1234);
        assert_eq!(parse(text.as_bytes()), Ok((identity, 0x1234)));
        for at in 0..text.len() {
            let mut rotten = text.clone().into_bytes();
            rotten[at] ^= 1;
            assert!(parse(&rotten).is_err(), "byte {at}");
            assert!(parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }
}
