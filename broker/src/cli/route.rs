//! `paceline route`

use anyhow::Result;
use clap::Args;
use paceline_core::Destination;
use paceline_runtime::say;
use serde_json::json;

use super::{cluster::ClusterArgs, status::Answers};

/// Say where a destination lives: its hash, its slot, and the nodes that hold it.
///
/// All but the leader is computed from the configuration alone, as any client can do it:
/// slot = hash(name xor salt) mod slots, where the salt is repeated over the name and the hash is
/// the first 8 bytes of a digest such as MD5's, read little-endian; docs/slots.md has programs in
/// Python and Java that agree. The leader is asked of the nodes; it is an error when none answers.
#[derive(Debug, Args)]
pub(super) struct Route {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The destination: a bare name, /queue/NAME or /topic/NAME. Queue and topic of one name live
    /// together.
    name: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Route {
    pub(super) async fn run(self) -> Result<()> {
        let definition = self.cluster.load().await?;
        let hash_function = definition.hash;
        let destination = match self.name.starts_with('/') || self.name.contains("://") {
            true => Destination::parse(&self.name)?,
            false => Destination::queue(&self.name)?,
        };
        anyhow::ensure!(!destination.is_pattern(), "a pattern covers all slots");
        let answers = Answers::gather(definition, false).await?;
        let cluster = &answers.cluster;
        let hash = cluster.key_of(&destination.name);
        let slot = cluster.slot_of(&destination);
        let row: Vec<String> =
            cluster.row(slot).into_iter().filter_map(|node| cluster.name_of(node)).collect();
        let leader = answers.leader_of(slot);
        if self.json {
            let hash = format!("{hash:016x}");
            say!(
                "{}",
                json!({
                    "name": self.name, "hash": hash, "slot": slot, "row": row, "leader": leader,
                })
            );
            return answers.ensure_any();
        }
        say!("name   {}", &*destination.name);
        say!("hash   {hash:016x} ({})", hash_function.name());
        say!("slot   {slot} of {}", cluster.slots());
        say!("row    {}", row.join(", "));
        say!("leader {}", leader.unwrap_or("unknown: no node that answers knows one"));
        answers.ensure_any()
    }
}
