//! `paceline status`

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Result;
use clap::Args;
use paceline_membership::{NodeId, View};
use paceline_runtime::{say, task};
use serde_json::{Value, json};

use super::{
    cluster::{ClusterArgs, ask},
    table,
};
use crate::{
    cluster::{Cluster, Definition},
    config::units,
    node::{
        compare::{self, Target},
        status::{ShardStatus, Status as NodeStatus},
    },
    replication::protocol::Request,
};

/// Say how the cluster is: its nodes, its slots' leaders, its queues' depths.
///
/// Asks every node that the configuration names, or of which the node at --address knows.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// List every slot.
    #[arg(long)]
    slots: bool,
    /// Compare the replicas of every slot byte for byte; takes the nodes some work.
    #[arg(long)]
    verify: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What the nodes said, by number.
pub(super) struct Answers {
    pub cluster: Cluster,
    view: Arc<View>,
    pub nodes: BTreeMap<u64, Result<NodeStatus, String>>,
}

/// A slot as its nodes see it together.
struct Slot<'a> {
    slot: u32,
    /// Who leads, by the word of the newest term.
    leader: Option<u64>,
    term: u64,
    /// By node.
    replicas: Vec<(u64, Option<&'a ShardStatus>)>,
}

impl Answers {
    /// Asks every node.
    pub(super) async fn gather(definition: Definition, verify: bool) -> Result<Self> {
        let cluster = Cluster::known(definition);
        let view = cluster.view();
        let asked: Vec<_> = view
            .members()
            .iter()
            .map(|member| {
                let (node, address) = (member.id.0, member.link.clone());
                let name = cluster.name.clone();
                let asked = async move { status_of(node, &address, &name, verify).await };
                (node, task::spawn(asked))
            })
            .collect();
        let mut nodes = BTreeMap::new();
        for (node, answer) in asked {
            let answer = answer.await.unwrap_or_else(|error| Err(error.to_string()));
            nodes.insert(node, answer);
        }
        Ok(Self { cluster, view, nodes })
    }

    /// An error where no node has answered.
    pub(super) fn ensure_any(&self) -> Result<()> {
        if self.nodes.values().any(Result::is_ok) {
            return Ok(());
        }
        let reasons: BTreeSet<_> =
            self.nodes.values().filter_map(|node| node.as_ref().err()).collect();
        let reasons: Vec<_> = reasons.into_iter().map(String::as_str).collect();
        anyhow::bail!("no node answers ({})", reasons.join(", "))
    }

    fn slots(&self) -> Vec<Slot<'_>> {
        (0..self.cluster.slots())
            .map(|slot| {
                let row = self.view.row(slot);
                let others = self.view.members().iter().map(|member| member.id);
                let others =
                    others.filter(|id| !row.contains(id) && self.shard(id.0, slot).is_some());
                let holders = row.iter().copied().chain(others);
                let replicas: Vec<_> = holders.map(|id| (id.0, self.shard(id.0, slot))).collect();
                let known = replicas.iter().filter_map(|(_, shard)| *shard);
                let newest = known.max_by_key(|shard| (shard.term, shard.leader.is_some()));
                Slot {
                    slot,
                    leader: newest.and_then(|shard| shard.leader).filter(|leader| {
                        // A leader that does not answer may not be there any more.
                        self.nodes.get(leader).is_some_and(Result::is_ok)
                    }),
                    term: newest.map_or(0, |shard| shard.term),
                    replicas,
                }
            })
            .collect()
    }

    /// Who leads a slot.
    pub(super) fn leader_of(&self, slot: u32) -> Option<&str> {
        let leader = self.slots().into_iter().nth(slot as usize)?.leader?;
        Some(self.name(leader))
    }

    /// In what replicas differ that should not, one line a pair.
    async fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for slot in self.slots().iter().filter(|slot| slot.agrees() == Some(false)) {
            for (one, other) in slot.unlike() {
                let (one, other) = (self.target(one), self.target(other));
                let found = compare::differences(&self.cluster.name, slot.slot, &one, &other);
                let words = match found.await {
                    Ok(found) => {
                        let words = found.iter().map(|it| it.in_words(&one.name, &other.name));
                        words.collect::<Vec<_>>().join("; ")
                    }
                    Err(error) => format!("{} and {}: {error}", one.name, other.name),
                };
                lines.push(format!("slot {}: {words}", slot.slot));
            }
        }
        lines
    }

    fn target(&self, node: u64) -> Target {
        let member = self.view.member(NodeId(node));
        let address = member.map_or_else(String::new, |member| member.link.clone());
        Target { number: node, name: self.name(node).into(), address }
    }

    fn shard(&self, node: u64, slot: u32) -> Option<&ShardStatus> {
        let status = self.nodes.get(&node)?.as_ref().ok()?;
        status.shards.iter().find(|shard| shard.slot == slot)
    }

    fn name(&self, node: u64) -> &str {
        self.view.member(NodeId(node)).map_or("?", |member| &member.name)
    }
}

impl Slot<'_> {
    /// The leader's replica, or else the one that has applied the most.
    fn best(&self) -> Option<&ShardStatus> {
        let leader = self.replicas.iter().find(|(node, _)| Some(*node) == self.leader);
        leader.and_then(|(_, shard)| *shard).or_else(|| {
            self.replicas.iter().filter_map(|(_, shard)| *shard).max_by_key(|shard| shard.applied)
        })
    }

    /// By name, how many messages each destination holds, and how many wait for it.
    fn queues(&self) -> BTreeMap<&str, [u64; 2]> {
        let mut queues: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        if let Some(shard) = self.best() {
            for (place, counts) in [&shard.queues, &shard.waiting].into_iter().enumerate() {
                for (name, count) in counts {
                    queues.entry(name).or_default()[place] = *count;
                }
            }
        }
        queues
    }

    /// Nodes whose replicas have applied the same entries and differ, each with the first that it
    /// differs from.
    fn unlike(&self) -> Vec<(u64, u64)> {
        let mut first: BTreeMap<u64, (u64, [u8; 32])> = BTreeMap::new();
        let mut unlike = Vec::new();
        for (node, shard) in &self.replicas {
            let Some((applied, digest)) = shard.and_then(|it| Some((it.applied, it.digest?)))
            else {
                continue;
            };
            let (other, its) = *first.entry(applied).or_insert((*node, digest));
            if its != digest {
                unlike.push((other, *node));
            }
        }
        unlike
    }

    /// Whether the replicas that have applied the same entries have the same bytes; `None` where no
    /// two can be compared.
    fn agrees(&self) -> Option<bool> {
        let mut digests: BTreeMap<u64, Vec<[u8; 32]>> = BTreeMap::new();
        for shard in self.replicas.iter().filter_map(|(_, shard)| *shard) {
            if let Some(digest) = shard.digest {
                digests.entry(shard.applied).or_default().push(digest);
            }
        }
        let mut comparable = digests.values().filter(|same| same.len() > 1).peekable();
        comparable.peek()?;
        Some(comparable.all(|same| same.iter().all(|digest| *digest == same[0])))
    }
}

/// Asks a node how it is.
async fn status_of(
    node: u64,
    address: &str,
    cluster: &str,
    verify: bool,
) -> Result<NodeStatus, String> {
    let answer = ask(node, address, cluster, &Request::Status { verify })
        .await
        .map_err(|error| error.to_string())?;
    postcard::from_bytes(&answer).map_err(|error| format!("its answer makes no sense: {error}"))
}

impl Status {
    pub(super) async fn run(self) -> Result<()> {
        let answers = Answers::gather(self.cluster.load().await?, self.verify).await?;
        if self.json {
            say!("{:#}", json_of(&answers));
        } else {
            self.print(&answers, &answers.differences().await);
        }
        answers.ensure_any()
    }

    fn print(&self, answers: &Answers, differences: &[String]) {
        say!(
            "cluster {}: {} slots on {} nodes, {} copies each\n",
            answers.cluster.name,
            answers.view.slots(),
            answers.view.members().len(),
            answers.view.layout().replicas
        );
        let slots = answers.slots();
        let mut nodes = vec![table::row([
            "NODE", "STATE", "UP FOR", "STARTS", "VERSION", "LEADS", "HOLDS", "RECEIVES", "WAITS",
            "MEMORY",
        ])];
        for (node, answer) in &answers.nodes {
            let leads = slots.iter().filter(|slot| slot.leader == Some(*node)).count();
            nodes.push(match answer {
                Ok(status) => table::row([
                    &status.name,
                    "up",
                    &uptime(status.uptime_ms),
                    &status.incarnation.to_string(),
                    &status.version,
                    &leads.to_string(),
                    &held(status, answers.view.slots()).to_string(),
                    &used(status.receiving_bytes, status.receiving_limit),
                    &used(status.waiting_bytes, status.waiting_limit),
                    &used(status.memory_bytes, status.memory_limit),
                ]),
                Err(reason) => {
                    table::row([answers.name(*node), reason, "", "", "", "", "", "", "", ""])
                }
            });
        }
        table::print(&nodes);

        let said = answers.nodes.values().flatten();
        let refused = said.flat_map(|it| it.refused.iter().map(|refused| (&it.name, refused)));
        for (name, (who, reason)) in refused {
            say!("\n{name} refuses {who} as a peer: {reason}");
        }

        for status in answers.nodes.values().flatten() {
            let name = &status.name;
            if !status.other_policies.is_empty() {
                say!(
                    "\n{name} has other policies in its file than the cluster, whose count: {}; `paceline \
                     policy apply FILE` makes the cluster's what a file says, `paceline policy list` says \
                     what they are",
                    status.other_policies.join("; ")
                );
            }
            if !status.waits_for.is_empty() {
                let missing = status.waits_for.iter().map(|node| answers.name(*node));
                let missing = missing.collect::<Vec<_>>().join(", ");
                say!(
                    "\n{name} had an empty data directory and takes no part before it has heard from \
                     {missing}"
                );
            }
            if !status.forgotten.is_empty() {
                let slots = status.forgotten.iter().map(u32::to_string).collect::<Vec<_>>();
                say!(
                    "\n{name} has forgotten what it held of slots {}; they are refilled when all \
                     other nodes that hold them are there, and enough of these are whole",
                    slots.join(", ")
                );
            }
        }

        let leaderless: Vec<_> = slots
            .iter()
            .filter(|slot| slot.leader.is_none())
            .map(|slot| slot.slot.to_string())
            .collect();
        if !leaderless.is_empty() {
            say!("\nslots without a leader: {}", leaderless.join(", "));
        }
        let in_doubt: u64 = slots.iter().filter_map(|slot| Some(slot.best()?.in_doubt)).sum();
        if in_doubt > 0 {
            say!("\nparts of transactions that wait for their decision: {in_doubt}");
        }
        let branches: u64 = slots.iter().filter_map(|slot| Some(slot.best()?.branches)).sum();
        if branches > 0 {
            say!(
                "\ndistributed transactions that are prepared: {branches}; see `paceline transactions \
                 list`"
            );
        }
        if self.verify {
            let differ: Vec<_> = slots
                .iter()
                .filter(|slot| slot.agrees() == Some(false))
                .map(|slot| slot.slot.to_string())
                .collect();
            match differ.is_empty() {
                true => say!("\nall replicas that can be compared are identical"),
                false => say!("\nREPLICAS DIFFER in slots {}", differ.join(", ")),
            }
            differences.iter().for_each(|line| say!("  {line}"));
        }
        if self.slots {
            let mut rows = vec![table::row(["SLOT", "LEADER", "TERM", "APPLIED"])];
            for slot in &slots {
                let applied: Vec<_> = slot
                    .replicas
                    .iter()
                    .map(|(node, shard)| match shard {
                        Some(shard) => format!("{}:{}", answers.name(*node), shard.applied),
                        None => format!("{}:?", answers.name(*node)),
                    })
                    .collect();
                rows.push(table::row([
                    &slot.slot.to_string(),
                    slot.leader.map_or("-", |leader| answers.name(leader)),
                    &slot.term.to_string(),
                    &applied.join(" "),
                ]));
            }
            say!();
            table::print(&rows);
        }
        let mut queues = vec![table::row(["QUEUE", "SLOT", "LEADER", "MESSAGES", "SCHEDULED"])];
        for slot in &slots {
            let leader = slot.leader.map_or("-", |leader| answers.name(leader));
            for (name, [messages, waiting]) in slot.queues() {
                let counts = [messages, waiting].map(|count| count.to_string());
                let [messages, waiting] = &counts;
                queues.push(table::row([name, &slot.slot.to_string(), leader, messages, waiting]));
            }
        }
        say!();
        match queues.len() {
            1 => say!("no queue holds a stored message, and none is scheduled"),
            _ => table::print(&queues),
        }
        print_durables(answers, &slots);
        print_missed(answers, &slots);
    }
}

/// Topics that lose messages for want of subscribers that read fast enough.
fn print_missed(answers: &Answers, slots: &[Slot<'_>]) {
    let mut rows =
        vec![table::row(["TOPIC", "SLOT", "LEADER", "COPIES SUBSCRIBERS WERE TOO SLOW FOR"])];
    for slot in slots {
        let leader = slot.leader.map_or("-", |leader| answers.name(leader));
        for (topic, count) in slot.best().into_iter().flat_map(|shard| &shard.missed) {
            rows.push(table::row([topic, &slot.slot.to_string(), leader, &count.to_string()]));
        }
    }
    if rows.len() > 1 {
        say!();
        table::print(&rows);
    }
}

/// Those that nobody consumes from are what fills disks.
fn print_durables(answers: &Answers, slots: &[Slot<'_>]) {
    let head =
        ["DURABLE SUBSCRIPTION", "CLIENT", "TOPIC", "SLOT", "LEADER", "MESSAGES", "CONSUMER"];
    let mut rows = vec![table::row(head)];
    for slot in slots {
        let leader = slot.leader.map_or("-", |leader| answers.name(leader));
        for it in slot.best().into_iter().flat_map(|shard| &shard.durables) {
            let consumer =
                it.consumed.map_or("?", |consumed| if consumed { "yes" } else { "none" });
            let (slot, messages) = (slot.slot.to_string(), it.messages.to_string());
            rows.push(table::row([
                &it.name, &it.client, &it.topic, &slot, leader, &messages, consumer,
            ]));
        }
    }
    if rows.len() > 1 {
        say!();
        table::print(&rows);
    }
}

fn json_of(answers: &Answers) -> Value {
    let slots = answers.slots();
    let nodes: Vec<_> = answers
        .nodes
        .iter()
        .map(|(node, answer)| match answer {
            Ok(status) => json!({ "name": status.name, "up": true, "status": status }),
            Err(reason) => json!({ "name": answers.name(*node), "up": false, "error": reason }),
        })
        .collect();
    let queues: Vec<_> = slots
        .iter()
        .flat_map(|slot| {
            slot.queues().into_iter().map(|(name, [messages, waiting])| {
                json!({
                    "name": name, "slot": slot.slot, "messages": messages, "scheduled": waiting,
                })
            })
        })
        .collect();
    let durables: Vec<_> = slots
        .iter()
        .flat_map(|slot| {
            let durables = slot.best().into_iter().flat_map(|shard| &shard.durables);
            durables.map(|it| {
                json!({
                    "name": it.name, "client": it.client, "topic": it.topic, "slot": slot.slot,
                    "messages": it.messages, "consumed": it.consumed,
                })
            })
        })
        .collect();
    let missed: Vec<_> = slots
        .iter()
        .flat_map(|slot| {
            let missed = slot.best().into_iter().flat_map(|shard| &shard.missed);
            missed
                .map(|(topic, count)| json!({ "topic": topic, "slot": slot.slot, "copies": count }))
        })
        .collect();
    let slots: Vec<_> = slots
        .iter()
        .map(|slot| {
            let row: Vec<_> = slot.replicas.iter().map(|(node, _)| answers.name(*node)).collect();
            json!({
                "slot": slot.slot, "row": row, "term": slot.term, "identical": slot.agrees(),
                "leader": slot.leader.map(|leader| answers.name(leader)),
            })
        })
        .collect();
    json!({
        "cluster": &*answers.cluster.name, "nodes": nodes, "slots": slots, "queues": queues,
        "durable_subscriptions": durables, "missed_by_slow_subscribers": missed,
    })
}

/// How many slots a node holds.
fn held(status: &NodeStatus, slots: u32) -> usize {
    status.shards.iter().filter(|shard| shard.slot < slots).count()
}

fn uptime(millis: u64) -> String {
    let seconds = millis / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

/// How much of a node's memory for something is in use.
fn used(bytes: u64, limit: u64) -> String {
    let bytes = units::show_size(bytes.next_multiple_of(1 << 20));
    format!("{bytes} of {}", units::show_size(limit))
}
