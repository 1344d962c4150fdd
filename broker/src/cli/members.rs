//! `paceline cluster`

use std::{
    io::{self, IsTerminal, Write as _},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Subcommand};
use paceline_membership::{Change, Member, NodeId, View, moves};
use paceline_runtime::{
    output, say,
    time::{self, Instant},
};

use super::{cluster::ClusterArgs, reached::Reached, survey};
use crate::operator::Survey;

/// How often is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where nobody looks at a terminal, a line is said so often.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// How long a shard may be without a leader before nothing is moved for its sake: several elections by
/// default.
const LED_WITHIN: Duration = Duration::from_secs(10);

/// Slots of a shard that are named where there are more.
const NAMED: usize = 8;

/// Say who is in a cluster, and change it while it works.
///
/// A node comes by `paceline serve --join`. Whatever changes, the shards follow: each gets its new copy
/// first, filled by its leader, and loses the old one then, a few at a time; clients need not care.
/// Every command can be interrupted, and given again: it goes on where it was, and does nothing that is
/// done already. The work itself goes on without it.
#[derive(Debug, Args)]
pub(super) struct Cluster {
    #[command(subcommand)]
    action: Action,
}

// A doc comment on a variant would take the place of the command's own, longer one in its help.
#[derive(Debug, Subcommand)]
enum Action {
    Status(Status),
    Add(Add),
    Drain(Drain),
    Remove(Remove),
    Replace(Replace),
    Weight(Weight),
    Replicas(Replicas),
    Rebalance(Rebalance),
}

/// Say who is in the cluster, and how far its shards are from where they are to be.
#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Reserve a name for a node that is to join, or keep one that was to go.
///
/// A node may join without; with it, its zone and weight are decided beforehand. Of a node that is being
/// drained or removed only the name is needed: it takes its share of the slots again.
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The node.
    name: String,
    /// `host:port` at which the other nodes will reach it.
    #[arg(default_value = "")]
    link: String,
    /// Nodes of one zone are expected to fail together.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Its share of the load relative to the others.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    weight: f64,
}

/// What the commands have in common that move shards.
#[derive(Debug, Args)]
struct Moving {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Do not wait until all shards are where they are to be.
    #[arg(long)]
    no_wait: bool,
}

/// A node that is to hold nothing.
#[derive(Debug, Args)]
struct Goes {
    #[command(flatten)]
    moving: Moving,
    /// The node.
    name: String,
    /// Even if all copies are in one zone then, or shards cannot move now.
    #[arg(long)]
    force: bool,
}

/// Move everything off a node, which stays a member and serves clients.
#[derive(Debug, Args)]
struct Drain {
    #[command(flatten)]
    goes: Goes,
}

/// Move everything off a node, and forget it; its process ends by itself.
///
/// A node that is dead is removed, too: its shards get their copies from those that are left. Its name
/// and its address are free then; its number is not given again.
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    goes: Goes,
}

/// Put a node in the place of another one, which is forgotten; its process ends by itself.
///
/// For a node that is dead, or is to go: the new one gets the shards of the old one and its weight, and
/// nothing else moves. It has to hold nothing before. Name one that has not joined yet with its address:
/// the name is reserved, and the command waits until the node is started with `paceline serve --join`, in
/// the zone of the old one.
#[derive(Debug, Args)]
struct Replace {
    #[command(flatten)]
    moving: Moving,
    /// The node that goes.
    old: String,
    /// The node that takes its place.
    new: String,
    /// `host:port` at which the other nodes will reach it, if it has not joined.
    #[arg(default_value = "")]
    link: String,
    /// Even if shards have copies in fewer zones then, or cannot move now.
    #[arg(long)]
    force: bool,
}

/// Give a node another share of the load.
#[derive(Debug, Args)]
struct Weight {
    #[command(flatten)]
    moving: Moving,
    /// The node.
    name: String,
    /// Its share relative to the others.
    weight: f64,
}

/// Keep another number of copies of every slot.
///
/// More of them outlive the loss of more nodes: three outlive one, five outlive two. Each needs a node of
/// its own. Those that a shard has stay where they are; of fewer, those go whose nodes hold most.
#[derive(Debug, Args)]
struct Replicas {
    #[command(flatten)]
    moving: Moving,
    /// How many, the leader's included.
    #[arg(value_name = "NUMBER")]
    copies: usize,
}

/// Spread the slots evenly, if they are not.
///
/// Slots are spread whenever the cluster changes, so this says that nothing is to be done unless they
/// were placed by an earlier release.
#[derive(Debug, Args)]
struct Rebalance {
    #[command(flatten)]
    moving: Moving,
}

impl Cluster {
    pub(super) async fn run(self) -> Result<()> {
        match self.action {
            Action::Status(command) => command.run().await,
            Action::Add(Add { cluster, name, link, zone, weight }) => {
                let mut reached = Reached::by(&cluster).await?;
                let change = Change::Add { name: name.clone(), link, zone, weight };
                let (_, after) = reached.change(&change).await?;
                let member = member(&after, &name)?;
                match member.reserved {
                    true => say!(
                        "node {name} has number {}; `paceline serve --join` of that name takes it up",
                        member.id
                    ),
                    false => say!("node {name} takes its share of the slots"),
                }
                Ok(())
            }
            Action::Drain(Drain { goes: Goes { moving, name, force } }) => {
                let change = Change::Drain { name: name.clone(), force };
                moving.run(&change, &name, force).await?;
                Ok(())
            }
            Action::Remove(Remove { goes: Goes { moving, name, force } }) => {
                let change = Change::Remove { name: name.clone(), force };
                if let Some(mut reached) = moving.run(&change, &name, force).await? {
                    reached.change(&Change::Forget { name: name.clone() }).await?;
                    say!("node {name} is no member any more");
                }
                Ok(())
            }
            Action::Replace(command) => command.run().await,
            Action::Weight(Weight { moving, name, weight }) => {
                let change = Change::Weight { name: name.clone(), weight };
                moving.run(&change, "", false).await.map(drop)
            }
            Action::Replicas(Replicas { moving, copies }) => {
                moving.run(&Change::Replicas(copies), "", false).await.map(drop)
            }
            Action::Rebalance(Rebalance { moving }) => {
                moving.run(&Change::Rebalance, "", false).await.map(drop)
            }
        }
    }
}

fn member<'a>(view: &'a View, name: &str) -> Result<&'a Member> {
    let id = view.id_of(name).with_context(|| format!("no member is called `{name}`"))?;
    Ok(view.member(id).expect("it has a number"))
}

impl Moving {
    /// Makes a change and waits until the shards have followed, unless that is not wanted. `goes` is
    /// the node that is to hold nothing then, if one is.
    async fn run(&self, change: &Change, goes: &str, force: bool) -> Result<Option<Reached>> {
        let mut reached = Reached::by(&self.cluster).await?;
        let survey = match force {
            true => reached.survey().await?,
            false => movable(&mut reached, goes).await?,
        };
        let is_forgotten =
            matches!(change, Change::Remove { .. }) && survey.view.id_of(goes).is_none();
        let (before, after) = reached.change(change).await?;
        ensure!(!is_forgotten, "no member is called `{goes}`");
        let (come, go) = (moves(&before, &after), moves(&after, &before));
        if before.epoch() == after.epoch() {
            say!("the cluster is as it was asked to be, at epoch {}", after.epoch());
        } else if come == go {
            say!("epoch {}: {come} copies of shards are to move", after.epoch());
        } else {
            say!("epoch {}: {come} copies of shards are to be made, {go} to go", after.epoch());
        }
        if self.no_wait {
            say!("`paceline cluster status` says how far that is");
            return Ok(None);
        }
        wait(&mut reached, after.id_of(goes)).await?;
        Ok(Some(reached))
    }
}

impl Replace {
    async fn run(self) -> Result<()> {
        let Self { moving, old, new, link, force } = self;
        let mut reached = Reached::by(&moving.cluster).await?;
        if !reserve(&mut reached, &old, &new, &link).await? {
            let address = reached.address();
            say!("start node {new}: paceline serve --join {address} --name {new} …");
            if moving.no_wait {
                say!("and then give this command again");
                return Ok(());
            }
            until_joined(&mut reached, &new).await?;
        }
        let change = Change::Replace { old: old.clone(), new, force };
        if let Some(mut reached) = moving.run(&change, &old, force).await? {
            reached.change(&Change::Forget { name: old.clone() }).await?;
            say!("node {old} is no member any more");
        }
        Ok(())
    }
}

/// Has a name wait for a node that is to take another's place, and hold nothing when it joins. Whether it
/// has joined.
async fn reserve(reached: &mut Reached, old: &str, new: &str, link: &str) -> Result<bool> {
    let view = reached.survey().await?.view;
    let old = member(&view, old)?;
    if view.id_of(new).is_none() {
        ensure!(
            !link.is_empty(),
            "no member is called `{new}`: say also at which `host:port` it will be reached, as in \
             `paceline cluster replace {} {new} HOST:PORT`",
            old.name
        );
        let (name, link) = (new.into(), link.into());
        let (zone, weight) = (old.zone.clone(), old.weight);
        reached.change(&Change::Add { name, link, zone, weight }).await?;
    } else if !member(&view, new)?.reserved {
        return Ok(true);
    }
    let empty = Change::Drain { name: new.into(), force: false };
    let (_, view) = reached.change(&empty).await?;
    Ok(!member(&view, new)?.reserved)
}

async fn until_joined(reached: &mut Reached, name: &str) -> Result<()> {
    let mut line = Line::default();
    loop {
        let survey = reached.survey().await?;
        if !member(&survey.view, name)?.reserved {
            line.end();
            return Ok(());
        }
        line.say(&format!("{name} has not joined yet; waiting for it"));
        time::sleep(LOOK_EVERY).await;
    }
}

/// How the cluster stands once all shards can be moved off the node that is to go, if one is. A shard
/// whose leader has just died has the next one soon, so an error comes only after a while.
async fn movable(reached: &mut Reached, name: &str) -> Result<Survey> {
    let began = Instant::now();
    let mut line = Line::default();
    loop {
        let survey = reached.survey().await?;
        let stuck = survey.view.id_of(name).map(|node| survey.stuck_on(node)).unwrap_or_default();
        if stuck.is_empty() {
            line.end();
            return Ok(survey);
        }
        if began.elapsed() >= LED_WITHIN {
            line.end();
            return Err(cannot_move(&survey, name, &stuck));
        }
        line.say(&format!("{} shards have no leader that answers; waiting for one", stuck.len()));
        time::sleep(LOOK_EVERY).await;
    }
}

fn cannot_move(survey: &Survey, name: &str, stuck: &[u32]) -> anyhow::Error {
    let named: Vec<_> = stuck.iter().take(NAMED).map(u32::to_string).collect();
    let more = if stuck.len() > NAMED { ", …" } else { "" };
    let silent = match survey.unreachable.is_empty() {
        true => "wait until they have leaders".to_owned(),
        false => format!("start the nodes that do not answer ({})", survey.unreachable.join(", ")),
    };
    anyhow!(
        "{} shards ({}{more}) cannot be moved off {name}, as too few of those that decide in them have \
         answered for {} s: {silent}, or say --force",
        stuck.len(),
        named.join(", "),
        LED_WITHIN.as_secs()
    )
}

/// Waits until everything is where it is to be, or nothing is on a node any more.
async fn wait(reached: &mut Reached, goes: Option<NodeId>) -> Result<()> {
    let began = Instant::now();
    let mut line = Line::default();
    let mut pace = Pace::default();
    loop {
        let survey = reached.survey().await?;
        let is_done = match goes {
            Some(node) => survey.is_free(node),
            None => survey.is_settled(),
        };
        if is_done {
            line.end();
            let seconds = began.elapsed().as_secs_f64();
            say!("all shards are where they are to be, after {seconds:.1} s");
            return Ok(());
        }
        let left = survey::left(&survey);
        line.say(&format!("{}{}", survey::in_words(&survey), pace.estimate(left)));
        time::sleep(LOOK_EVERY).await;
    }
}

/// How fast it goes.
#[derive(Default)]
struct Pace {
    first: Option<(Instant, u32)>,
}

impl Pace {
    fn estimate(&mut self, left: u32) -> String {
        let (began, first) = *self.first.get_or_insert_with(|| (Instant::now(), left));
        let (done, took) = (first.saturating_sub(left), began.elapsed().as_secs_f64());
        if done == 0 || took < 1.0 {
            return String::new();
        }
        format!(", about {:.0} s left", (took / f64::from(done) * f64::from(left)).ceil())
    }
}

/// One line that changes, on a terminal; lines now and then, elsewhere.
#[derive(Default)]
struct Line {
    is_drawn: bool,
    said: Option<Instant>,
}

impl Line {
    fn say(&mut self, text: &str) {
        let mut to = io::stderr();
        if to.is_terminal() {
            self.is_drawn = true;
            // A terminal that is gone takes no progress.
            let _ = write!(to, "\r\x1b[K{text}").and_then(|()| to.flush());
        } else if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            output::note(format_args!("{text}"));
        }
    }

    fn end(&self) {
        if self.is_drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Status {
    async fn run(self) -> Result<()> {
        let mut reached = Reached::by(&self.cluster).await?;
        let survey = reached.survey().await?;
        match self.json {
            true => say!("{:#}", survey::json_of(&survey)),
            false => survey::print(reached.cluster(), &survey),
        }
        Ok(())
    }
}
