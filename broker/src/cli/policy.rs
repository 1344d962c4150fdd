//! `paceline policy`

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use paceline_core::Destination;
use paceline_membership::{Change, Durability, Epoch, Expired, Policies, Policy, View, WhenFull};
use paceline_runtime::{
    say,
    time::{self, Instant},
};
use serde_json::{Value, json};

use super::{cluster::ClusterArgs, reached::Reached, table};
use crate::config::{self, units};

/// How often is looked which nodes know of a change.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A node that has not heard of a change by then is not linked to the others.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Say what holds for some destinations only, and change it while the cluster works.
///
/// The cluster has one list of policies, the same on all nodes; of those that cover a destination the
/// first one counts, as a whole. It begins with the [[policy]] entries of the nodes that begin the
/// cluster; from then on only these commands change it, and what the nodes' files say does not count.
/// Nodes follow a change at once, without a restart. Every command can be given again: it does nothing
/// that is done already.
#[derive(Debug, Args)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    action: Action,
}

// A doc comment on a variant would take the place of the command's own, longer one in its help.
#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Set(Set),
    Remove(Remove),
    Apply(Apply),
}

/// List the cluster's policies, in the order in which they count.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// Set the policy of a destination, or of all that a pattern covers.
///
/// It takes the place of the policy of the same destination as a whole: what is not named here is as if
/// there were no policy. If there was none, it stands behind all others, or where --before says.
///
/// A queue that holds more than it may from now on keeps it, and takes nothing more until there is room.
#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// /queue/NAME or /topic/NAME; `*` stands for one part of the name, a final `>` for all further
    /// ones.
    destination: Destination,
    /// How many messages a queue may hold, in flight or not, or may wait for a topic's subscriber.
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// How many bytes of them, such as 64MiB.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    max_bytes: Option<u64>,
    /// What becomes of more: of a queue `block` if left out, so that it waits at the node of its
    /// producer; of a topic `drop-oldest`.
    #[arg(long, value_parser = when_full())]
    when_full: Option<WhenFull>,
    /// Where persistent messages are kept before they are acknowledged: on the disks of a majority, or
    /// in the memory of one node.
    #[arg(long, value_parser = durability(), default_value = "synced")]
    durability: Durability,
    /// How often a message that was rejected is delivered again before it goes to the dead-letter queue;
    /// 0 for never. 6 if left out.
    #[arg(long, value_name = "N")]
    max_redeliveries: Option<u8>,
    /// What becomes of a stored message whose time is over. `drop` if left out.
    #[arg(long, value_parser = expired())]
    expired: Option<Expired>,
    /// Have it stand before the policy of this destination.
    #[arg(long, value_name = "DESTINATION")]
    before: Option<Destination>,
}

/// Remove the policy of a destination.
///
/// It is named as `paceline policy list` names it; what other policies cover it is theirs then.
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The destination or the pattern.
    destination: Destination,
}

/// Make the cluster's policies what the [[policy]] entries of a file say.
///
/// The file is a node's configuration, or holds nothing but such entries. What is changed is printed:
/// `-` before what goes, `+` before what comes.
#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The file.
    file: PathBuf,
    /// Only print what would be changed.
    #[arg(long)]
    dry_run: bool,
}

fn when_full() -> impl TypedValueParser<Value = WhenFull> {
    PossibleValuesParser::new(["block", "reject", "drop-oldest"]).map(|text| match &*text {
        "block" => WhenFull::Block,
        "reject" => WhenFull::Reject,
        _ => WhenFull::DropOldest,
    })
}

fn expired() -> impl TypedValueParser<Value = Expired> {
    PossibleValuesParser::new(["drop", "dead-letter"]).map(|text| match &*text {
        "dead-letter" => Expired::DeadLetter,
        _ => Expired::Drop,
    })
}

fn durability() -> impl TypedValueParser<Value = Durability> {
    PossibleValuesParser::new(["synced", "memory"]).map(|text| match &*text {
        "memory" => Durability::Memory,
        _ => Durability::Synced,
    })
}

impl PolicyCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self.action {
            Action::List(List { cluster, json }) => {
                let policies = policies_of(&cluster.reach().await?.0.view);
                match json {
                    true => say!("{:#}", json_of(&policies)),
                    false => print(&policies),
                }
                Ok(())
            }
            Action::Set(command) => command.run().await,
            Action::Remove(Remove { cluster, destination }) => {
                let mut reached = Reached::by(&cluster).await?;
                let change = Change::RemovePolicy { destination: destination.clone() };
                let (before, after) = reached.change(&change).await?;
                if policies_of(&before).get(&destination).is_none() {
                    say!("{destination} has no policy, at epoch {}", after.epoch());
                    return Ok(());
                }
                say!("epoch {}: {destination} has no policy of its own any more", after.epoch());
                until_followed(&mut reached, after.epoch()).await
            }
            Action::Apply(command) => command.run().await,
        }
    }
}

impl Set {
    async fn run(self) -> Result<()> {
        let policy = Policy {
            destination: self.destination,
            durability: self.durability,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            when_full: self.when_full,
            max_redeliveries: self.max_redeliveries,
            expired: self.expired,
        };
        let (cluster, before, pattern) = (self.cluster, self.before, policy.destination.clone());
        if let Err(why) = policy.check() {
            anyhow::bail!("--{}: {why}", why.key().replace('_', "-"));
        }
        let mut reached = Reached::by(&cluster).await?;
        let change = Change::SetPolicy { policy: policy.clone(), before };
        let (before, after) = reached.change(&change).await?;
        match before.epoch() == after.epoch() {
            true => say!("it is as it was asked to be, at epoch {}", after.epoch()),
            false => say!("epoch {}: {policy}", after.epoch()),
        }
        if let Some(shadow) = policies_of(&after).shadow_of(&pattern) {
            let shadow = &shadow.destination;
            say!(
                "but it never counts: {shadow} stands before it and covers all of it; give this \
                 command again with --before '{shadow}'"
            );
        }
        until_followed(&mut reached, after.epoch()).await
    }
}

impl Apply {
    async fn run(self) -> Result<()> {
        let name = self.file.display().to_string();
        let text = super::read(&self.file).await?;
        let policies = config::parse_policies(&name, &text)?;
        // A misspelt table would leave the cluster without any.
        ensure!(
            !policies.is_empty(),
            "{name} has no [[policy]] entry; to be without a policy, say `paceline policy remove` of each"
        );
        let mut reached = Reached::by(&self.cluster).await?;
        if self.dry_run {
            let known = policies_of(&self.cluster.reach().await?.0.view);
            known.difference(&policies).iter().for_each(|line| say!("{line}"));
            return Ok(());
        }
        let change = Change::ReplacePolicies { policies: policies.clone() };
        let (before, after) = reached.change(&change).await?;
        let difference = policies_of(&before).difference(&policies);
        if difference.is_empty() {
            say!("the policies are as {name} has them, at epoch {}", after.epoch());
            return Ok(());
        }
        difference.iter().for_each(|line| say!("{line}"));
        say!("epoch {}: the policies are as {name} has them", after.epoch());
        until_followed(&mut reached, after.epoch()).await
    }
}

fn policies_of(view: &View) -> Policies {
    view.policies().cloned().unwrap_or_default()
}

/// Waits until all nodes that answer have a view, and says who does not.
async fn until_followed(reached: &mut Reached, epoch: Epoch) -> Result<()> {
    let began = Instant::now();
    loop {
        let survey = reached.survey().await?;
        let members = survey.view.members().iter().filter(|member| !member.reserved);
        let behind: BTreeSet<&str> = members
            .filter(|member| survey.epochs.get(&member.id).is_none_or(|its| *its < epoch.0))
            .map(|member| &*member.name)
            .collect();
        let answering =
            behind.iter().filter(|name| !survey.unreachable.iter().any(|it| it == **name));
        if answering.count() == 0 || began.elapsed() >= HEARD_WITHIN {
            let behind: Vec<&str> = behind.into_iter().collect();
            match behind.is_empty() {
                true => say!("all nodes go by it"),
                false => say!(
                    "all nodes go by it but {}, as soon as the others reach them",
                    behind.join(", ")
                ),
            }
            return Ok(());
        }
        time::sleep(LOOK_EVERY).await;
    }
}

fn print(policies: &Policies) {
    if policies.is_empty() {
        say!("the cluster has no policies");
        return;
    }
    let head = [
        "DESTINATION",
        "DURABILITY",
        "MAX MESSAGES",
        "MAX BYTES",
        "WHEN FULL",
        "REDELIVERIES",
        "EXPIRED",
    ];
    let mut rows = vec![table::row(head)];
    for policy in policies.entries() {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        rows.push(vec![
            policy.destination.to_string(),
            policy.durability.to_string(),
            or_none(policy.max_messages.map(|it| it.to_string())),
            or_none(policy.max_bytes.map(units::show_size)),
            or_none(policy.when_full.map(|it| it.to_string())),
            or_none(policy.max_redeliveries.map(|it| it.to_string())),
            or_none(policy.expired.map(|it| it.to_string())),
        ]);
    }
    table::print(&rows);
}

/// In their order; what a policy does not say is null.
fn json_of(policies: &Policies) -> Value {
    let policies = policies.entries().iter().map(|policy| {
        json!({
            "destination": policy.destination.to_string(),
            "durability": policy.durability, "max_messages": policy.max_messages,
            "max_bytes": policy.max_bytes, "when_full": policy.when_full,
            "max_redeliveries": policy.max_redeliveries, "expired": policy.expired,
        })
    });
    policies.collect()
}
