//! Finds in what two replicas differ, by asking their nodes: the tables, and in each the first entry.

use paceline_core::shard::{Table, TableEntry};
use serde::de::DeserializeOwned;

use crate::{
    link::{self, Identity, LinkError, Timings},
    replication::{protocol::Request, status::Tables},
};

/// The most answers with entries of one table that are asked for.
const PAGES: usize = 50;

/// A node that can be asked.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// Where it listens for links.
    pub address: String,
}

/// A table in which two replicas differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub table: Table,
    /// The first entry of one that the other has not, in its place; `None` behind its last one.
    pub one: Option<TableEntry>,
    /// What the other has there.
    pub other: Option<TableEntry>,
}

impl Difference {
    /// Such as ``queues at 3: n1 has `…`, n2 has `…` ``.
    pub fn in_words(&self, one: &str, other: &str) -> String {
        let table = self.table;
        match (&self.one, &self.other) {
            (Some(a), Some(b)) if a.key == b.key => {
                let key = &a.key;
                format!("{table} at {key}: {one} has `{}`, {other} has `{}`", a.value, b.value)
            }
            (Some(a), Some(b)) => format!(
                "{table}: {one} has {} (`{}`) where {other} has {} (`{}`)",
                a.key, a.value, b.key, b.value
            ),
            (Some(a), None) => format!("{table}: only {one} has {} (`{}`)", a.key, a.value),
            (None, Some(b)) => format!("{table}: only {other} has {} (`{}`)", b.key, b.value),
            (None, None) => format!("{table}, far behind"),
        }
    }
}

/// In what the replicas of a group on two nodes differ. Nothing if they have not applied the same
/// entries, for then they are meant to.
///
/// # Errors
/// If one of the nodes does not answer.
pub async fn differences(
    cluster: &str,
    group: u32,
    one: &Target,
    other: &Target,
) -> Result<Vec<Difference>, LinkError> {
    let asked = Request::Tables { group };
    let tables: Tables = ask(cluster, one, &asked).await?;
    let others: Tables = ask(cluster, other, &asked).await?;
    let mut differences = Vec::new();
    if tables.applied != others.applied {
        return Ok(differences);
    }
    for table in Table::ALL {
        let digest_of =
            |tables: &Tables| tables.digests.iter().find(|it| it.0 == table).map(|it| it.1);
        if digest_of(&tables) != digest_of(&others) {
            differences.push(first_in(cluster, group, table, one, other).await?);
        }
    }
    Ok(differences)
}

async fn first_in(
    cluster: &str,
    group: u32,
    table: Table,
    one: &Target,
    other: &Target,
) -> Result<Difference, LinkError> {
    let mut skip = 0;
    for _ in 0..PAGES {
        let asked = Request::Entries { group, table, skip };
        let entries: Vec<TableEntry> = ask(cluster, one, &asked).await?;
        let others: Vec<TableEntry> = ask(cluster, other, &asked).await?;
        if let Some((one, other)) = first_difference(&entries, &others) {
            return Ok(Difference { table, one: one.cloned(), other: other.cloned() });
        }
        if entries.is_empty() {
            break;
        }
        skip += entries.len() as u64;
    }
    Ok(Difference { table, one: None, other: None })
}

fn first_difference<'a>(
    entries: &'a [TableEntry],
    others: &'a [TableEntry],
) -> Option<(Option<&'a TableEntry>, Option<&'a TableEntry>)> {
    let longest = entries.len().max(others.len());
    let both = (0..longest).map(|at| (entries.get(at), others.get(at)));
    both.into_iter().find(|(one, other)| {
        let known = |entry: &Option<&TableEntry>| entry.map(|it| (it.key.clone(), it.digest));
        known(one) != known(other)
    })
}

async fn ask<T: DeserializeOwned>(
    cluster: &str,
    target: &Target,
    request: &Request,
) -> Result<T, LinkError> {
    // Not a member: number 0 is nobody's.
    let identity = Identity::visitor(cluster);
    let timings = Timings::default();
    let answer = link::ask(target.number, &target.address, &identity, &timings, request).await?;
    postcard::from_bytes(&answer).map_err(|_| LinkError::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> TableEntry {
        let digest = [value.len() as u8; 32];
        TableEntry { key: key.into(), value: value.into(), digest }
    }

    fn told(entries: &[TableEntry], others: &[TableEntry]) -> Option<String> {
        let (one, other) = first_difference(entries, others)?;
        let (one, other) = (one.cloned(), other.cloned());
        Some(Difference { table: Table::Queues, one, other }.in_words("n1", "n2"))
    }

    #[test]
    fn the_first_entry_that_differs_is_named() {
        let [a, b, longer] = [entry("1", "x"), entry("2", "x"), entry("2", "xy")];
        let (ab, a_longer) = ([a.clone(), b.clone()], [a.clone(), longer]);
        assert_eq!(told(&ab, &ab), None);
        assert_eq!(told(&ab, &a_longer).unwrap(), "queues at 2: n1 has `x`, n2 has `xy`");
        assert_eq!(told(&ab, &ab[..1]).unwrap(), "queues: only n1 has 2 (`x`)");
        assert_eq!(told(&ab[1..], &ab).unwrap(), "queues: n1 has 2 (`x`) where n2 has 1 (`x`)");
    }
}
