//! How a node that begins no cluster becomes a member of one.

use paceline_membership::{Change, View};
use paceline_runtime::time::{self, Duration};

use super::{
    NodeError,
    operator::{self, OperatorError},
};
use crate::{
    cluster::Cluster,
    config::NodeConfig,
    identity::{ClaimError, IdentityFile},
};

/// How long after nobody could be asked somebody is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Asks nodes of the cluster to take this one in, until one has. Interrupted, and asked again, it is
/// the same node.
///
/// # Errors
/// If the cluster will not have it, or the disk fails.
pub(super) async fn join(
    config: &NodeConfig,
    identity_file: &IdentityFile,
) -> Result<Cluster, NodeError> {
    let change = Change::Join {
        name: config.node.name.clone(),
        link: config.link(),
        zone: config.node.zone.clone(),
        weight: config.node.weight,
        mark: identity_file.mark().expect("a node that joins has one"),
    };
    let mut said = String::new();
    for address in config.cluster.join.iter().cycle() {
        match ask(&config.cluster.name, address, &change).await {
            Ok((cluster, view)) => {
                let number = view.id_of(&config.node.name).expect("it was taken in").0;
                let joined = identity_file.joined(number, &cluster.definition()).await;
                let path = config.node.data_dir.clone();
                joined.map_err(|error| ClaimError::Io { path, error })?;
                tracing::info!(cluster = %cluster.name, number, "this node has joined");
                return Ok(cluster);
            }
            Err(error) if !error.is_passing() => {
                let (address, reason) = (address.clone(), error.to_string());
                return Err(NodeError::NotTakenIn { address, reason });
            }
            Err(error) => {
                let error = error.to_string();
                if error != said {
                    tracing::warn!(address, error, "this node waits to be taken in");
                    said = error;
                }
                time::sleep(ASK_AGAIN_AFTER).await;
            }
        }
    }
    unreachable!("a cycle has no end")
}

/// `cluster` is empty of one whose name is not known.
async fn ask(
    cluster: &str,
    address: &str,
    change: &Change,
) -> Result<(Cluster, View), OperatorError> {
    let there = match cluster {
        "" => operator::name_of(address).await?,
        name => name.to_owned(),
    };
    let cluster = there.as_str();
    let view = operator::change(cluster, address, change).await?;
    let mut definition = operator::definition(cluster, address).await?;
    if definition.view.epoch() < view.epoch() {
        definition.view = view.clone();
    }
    Ok((Cluster::known(definition), view))
}
