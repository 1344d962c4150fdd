//! What a run that cannot go on waits for, shard by shard: who leads each as its nodes see it, what
//! is open at it, and where its consumers are.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::{End, Replica, step::NodeId},
    workload::{
        history::History,
        ids::{ClientId, DestinationId},
    },
};

/// The most shards that are told in full.
const TOLD: usize = 8;
/// The most consumers of one destination, and holders of one slot's messages, that are told.
const CONSUMERS_TOLD: usize = 3;

/// What a node said of its replicas when it was asked, or why it said nothing.
#[derive(Clone, Debug)]
pub struct View {
    /// The node.
    pub node: NodeId,
    /// Its replicas.
    pub said: Result<Vec<Replica>, String>,
}

/// A consumer that is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// To which node.
    pub node: String,
    /// What the broker has confirmed its subscription to.
    pub confirmed: BTreeSet<DestinationId>,
}

/// Everything known when the waiting ended.
pub struct Stuck<'a> {
    /// The nodes of each slot, the preferred leader first.
    pub rows: &'a [Vec<NodeId>],
    /// Who has said that it serves each slot.
    pub serving: &'a [Option<NodeId>],
    /// The slot of each destination.
    pub slots: &'a [usize],
    /// What the nodes said.
    pub views: &'a [View],
    /// What the clients saw.
    pub history: &'a History,
    /// When that is, and what counts as lost then.
    pub end: &'a End,
    /// The consumers of each destination.
    pub consumers: &'a [Vec<ClientId>],
    /// The consumers that are connected.
    pub subscribers: &'a BTreeMap<ClientId, Subscriber>,
    /// What consumers failed of last, and when, in words.
    pub failures: &'a BTreeMap<ClientId, String>,
    /// By slot: who holds messages, in words.
    pub holders: &'a [Vec<String>],
}

/// What is known of one shard.
#[derive(Debug, Default)]
struct Shard<'a> {
    replicas: Vec<&'a Replica>,
    destinations: Vec<DestinationId>,
    undelivered: BTreeMap<DestinationId, u64>,
    unanswered: BTreeMap<DestinationId, u64>,
}

impl Stuck<'_> {
    /// One line for each node that says nothing and for each shard that waits, those without a
    /// leader first; beyond the first few, shards are only named.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .views
            .iter()
            .filter_map(|view| Some((view.node, view.said.as_ref().err()?)))
            .map(|(node, why)| format!("{} says nothing: {why}", name(node)))
            .collect();
        let mut shards: Vec<(bool, u64, usize, String)> = self
            .shards()
            .iter()
            .enumerate()
            .filter_map(|(slot, shard)| {
                let leaders = self.leaders(slot, shard);
                let is_led = leaders.is_agreed() && self.serving[slot] == leaders.of_all();
                let open = self.open(slot, shard);
                if is_led && open.is_empty() {
                    return None;
                }
                let count = shard.undelivered.values().chain(shard.unanswered.values()).sum();
                let leaders = leaders.in_words(self.serving[slot]);
                let what: Vec<String> = std::iter::once(leaders).chain(open).collect();
                let line = format!("{}: {}", slot_of(slot, &self.rows[slot]), what.join("; "));
                Some((is_led, count, slot, line))
            })
            .collect();
        shards.sort_by_key(|(is_led, count, slot, _)| (*is_led, std::cmp::Reverse(*count), *slot));
        let rest = shards.split_off(shards.len().min(TOLD));
        lines.extend(shards.into_iter().map(|(.., line)| line));
        if !rest.is_empty() {
            let slots: Vec<String> = rest.iter().map(|(_, _, slot, _)| slot.to_string()).collect();
            lines.push(format!("{} more slots wait: {}", rest.len(), slots.join(" ")));
        }
        lines
    }

    fn shards(&self) -> Vec<Shard<'_>> {
        let mut shards: Vec<Shard<'_>> = self.rows.iter().map(|_| Shard::default()).collect();
        for replica in self.views.iter().filter_map(|view| view.said.as_ref().ok()).flatten() {
            if let Some(shard) = shards.get_mut(replica.shard as usize) {
                shard.replicas.push(replica);
            }
        }
        for (id, &slot) in (0..).map(DestinationId).zip(self.slots) {
            shards[slot].destinations.push(id);
        }
        let slot = |destination: DestinationId| self.slots[destination.0 as usize];
        for (_, publish) in self.history.all_publishes().filter(|(_, it)| it.reply.is_none()) {
            let unanswered = &mut shards[slot(publish.destination)].unanswered;
            *unanswered.entry(publish.destination).or_default() += 1;
        }
        for id in self.end.lost(self.history) {
            let destination = self.history.publish(id).expect("it was sent").destination;
            *shards[slot(destination)].undelivered.entry(destination).or_default() += 1;
        }
        shards
    }

    fn leaders(&self, slot: usize, shard: &Shard<'_>) -> Leaders {
        let mut leaders = Leaders::default();
        shard.replicas.iter().for_each(|replica| leaders.add(replica.node, replica.leader));
        let silent = self.views.iter().filter(|view| view.said.is_err()).map(|view| view.node);
        leaders.silent.extend(silent.filter(|node| self.rows[slot].contains(node)));
        leaders
    }

    /// Everything that is open at a shard beside its leadership.
    fn open(&self, slot: usize, shard: &Shard<'_>) -> Vec<String> {
        let destination = |id: &DestinationId| &self.history.destination(*id).name;
        let mut open = Vec::new();
        for (id, count) in &shard.undelivered {
            open.push(format!("{} of {} not delivered", messages(*count), destination(id)));
        }
        for (id, count) in &shard.unanswered {
            let publishes = if *count == 1 { "publish" } else { "publishes" };
            open.push(format!("{count} {publishes} to {} unanswered", destination(id)));
        }
        self.replicas(slot, &shard.replicas, &mut open);
        let waiting = shard.replicas.iter().map(|it| it.waiting).max().unwrap_or(0);
        if waiting > 0 {
            open.push(format!("{} not due", messages(waiting)));
        }
        let held = depths(&shard.replicas);
        for (queue, depth) in &held {
            open.push(format!("{} in {queue}", messages(*depth)));
        }
        let holders = self.holders.get(slot).map_or(&[][..], Vec::as_slice);
        open.extend(holders.iter().take(CONSUMERS_TOLD).cloned());
        if holders.len() > CONSUMERS_TOLD {
            open.push(format!("{} more hold messages", holders.len() - CONSUMERS_TOLD));
        }
        for id in &shard.destinations {
            let is_wanted =
                shard.undelivered.contains_key(id) || held.contains_key(&**destination(id));
            let mut consumers = self.consumers(*id, is_wanted);
            let more = consumers.split_off(consumers.len().min(CONSUMERS_TOLD)).len();
            open.extend(consumers);
            if more > 0 {
                open.push(format!("{more} more consumers of {}", destination(id)));
            }
        }
        open
    }

    /// Replicas that are missing, not whole, or behind.
    fn replicas(&self, slot: usize, replicas: &[&Replica], open: &mut Vec<String>) {
        for view in self.views.iter().filter(|view| self.rows[slot].contains(&view.node)) {
            if view.said.is_ok() && !replicas.iter().any(|it| it.node == view.node) {
                open.push(format!("{} holds no replica", name(view.node)));
            }
        }
        let last = replicas.iter().map(|it| it.last.max(it.applied)).max().unwrap_or(0);
        let mut behind: BTreeMap<u64, Vec<NodeId>> = BTreeMap::new();
        for replica in replicas {
            let node = name(replica.node);
            match replica {
                Replica { repairing: true, .. } => {
                    open.push(format!("the replica of {node} is not repaired"));
                }
                Replica { applied, .. } if *applied < last => {
                    behind.entry(*applied).or_default().push(replica.node);
                }
                _ => {}
            }
        }
        open.extend(behind.iter().map(|(applied, nodes)| {
            let have = if nodes.len() == 1 { "has" } else { "have" };
            format!("{} {have} applied {applied} of {last} entries", names(nodes))
        }));
        if let Some(in_doubt) = replicas.iter().map(|it| it.in_doubt).max().filter(|it| *it > 0) {
            open.push(format!("{in_doubt} transactions wait for their decision"));
        }
    }

    /// Where the consumers of a destination are; unless something `is_wanted` of them, only those
    /// that wait themselves.
    fn consumers(&self, id: DestinationId, is_wanted: bool) -> Vec<String> {
        let queue = &self.history.destination(id).name;
        let consumers = self.consumers[id.0 as usize].iter();
        consumers
            .filter_map(|&client| {
                let number = client.0;
                Some(match self.subscribers.get(&client) {
                    Some(it) if it.confirmed.contains(&id) => {
                        return is_wanted.then(|| {
                            format!("consumer c{number} on {} is subscribed to {queue}", it.node)
                        });
                    }
                    Some(it) => format!(
                        "consumer c{number} on {} waits for its subscription to {queue}",
                        it.node
                    ),
                    None => match self.failures.get(&client) {
                        Some(failure) => format!(
                            "consumer c{number} of {queue} is not connected, since {failure}"
                        ),
                        None => format!("consumer c{number} of {queue} is not connected"),
                    },
                })
            })
            .collect()
    }
}

/// The most messages that any replica has of each queue.
fn depths<'a>(replicas: &[&'a Replica]) -> BTreeMap<&'a str, u64> {
    let mut depths: BTreeMap<&str, u64> = BTreeMap::new();
    for (queue, depth) in replicas.iter().flat_map(|replica| &replica.depths) {
        let known = depths.entry(queue).or_default();
        *known = (*known).max(*depth);
    }
    depths
}

/// Who leads a shard, as the nodes that hold it see it.
#[derive(Debug, Default)]
pub struct Leaders {
    seen: BTreeMap<Option<NodeId>, Vec<NodeId>>,
    silent: Vec<NodeId>,
}

impl Leaders {
    /// What these replicas say of a slot.
    pub fn of(replicas: &[Replica], slot: usize) -> Self {
        let mut leaders = Self::default();
        for replica in replicas.iter().filter(|it| it.shard == slot as u64) {
            leaders.add(replica.node, replica.leader);
        }
        leaders
    }

    fn add(&mut self, node: NodeId, leader: Option<NodeId>) {
        self.seen.entry(leader).or_default().push(node);
    }

    /// Whether every node was heard and all name the same leader.
    fn is_agreed(&self) -> bool {
        self.of_all().is_some() && self.silent.is_empty()
    }

    /// The leader that all who were heard name.
    fn of_all(&self) -> Option<NodeId> {
        let mut seen = self.seen.keys();
        seen.next().copied().flatten().filter(|_| seen.next().is_none())
    }

    /// Such as `led by n2` or `no leader known at n1 n3`. `serving` is the node that has said that
    /// it serves the shard.
    pub fn in_words(&self, serving: Option<NodeId>) -> String {
        let mut words = Vec::new();
        match self.of_all() {
            Some(leader) if serving == Some(leader) => {
                words.push(format!("led by {}", name(leader)))
            }
            Some(leader) => words.push(format!("led by {}, which does not serve it", name(leader))),
            None => {
                for (leader, nodes) in &self.seen {
                    let (says, nodes) =
                        (if nodes.len() == 1 { "says" } else { "say" }, names(nodes));
                    words.push(match leader {
                        Some(leader) => format!("led by {} as {nodes} {says}", name(*leader)),
                        None => format!("no leader known at {nodes}"),
                    });
                }
            }
        }
        if words.is_empty() {
            words.push("no leader known".to_owned());
        }
        if !self.silent.is_empty() {
            let say = if self.silent.len() == 1 { "says" } else { "say" };
            words.push(format!("{} {say} nothing", names(&self.silent)));
        }
        words.join(", ")
    }
}

/// A slot and the nodes that hold it: `slot 7 on n1 n3 n2`.
pub fn slot_of(slot: usize, row: &[NodeId]) -> String {
    format!("slot {slot} on {}", names(row))
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(|&node| name(node)).collect::<Vec<_>>().join(" ")
}

fn name(node: NodeId) -> String {
    format!("n{}", node + 1)
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{QUEUE, TOPIC, Told};

    fn replica(node: NodeId, shard: u64, leader: Option<NodeId>) -> Replica {
        Replica { node, shard, leader, applied: 5, last: 5, ..Replica::default() }
    }

    /// What is told of two slots on three nodes, the queue in the first and the topic in the
    /// second.
    fn told(
        told: &Told,
        views: &[View],
        serving: [Option<NodeId>; 2],
        subscribers: &BTreeMap<ClientId, Subscriber>,
    ) -> Vec<String> {
        told_with(told, views, serving, subscribers, 0)
    }

    /// As [`told`], with so many holders of messages in the second slot.
    fn told_with(
        told: &Told,
        views: &[View],
        serving: [Option<NodeId>; 2],
        subscribers: &BTreeMap<ClientId, Subscriber>,
        holders: usize,
    ) -> Vec<String> {
        let end = End::default();
        Stuck {
            rows: &[vec![0, 1, 2], vec![1, 2, 0]],
            serving: &serving,
            slots: &[0, 1],
            views,
            history: &told.history,
            end: &end,
            consumers: &[vec![ClientId(3)], vec![ClientId(4), ClientId(5)]],
            subscribers,
            failures: &[(ClientId(4), "3.000s: connection refused".to_owned())].into(),
            holders: &[Vec::new(), vec!["n1.7 holds 2".to_owned(); holders]],
        }
        .in_words()
    }

    fn view(node: NodeId, leaders: [Option<NodeId>; 2]) -> View {
        let replicas = (0..).zip(leaders).map(|(shard, leader)| replica(node, shard, leader));
        View { node, said: Ok(replicas.collect()) }
    }

    fn everybody_subscribed() -> BTreeMap<ClientId, Subscriber> {
        let on =
            |node: &str, confirmed| Subscriber { node: node.into(), confirmed: [confirmed].into() };
        [
            (ClientId(3), on("n1", QUEUE)),
            (ClientId(4), on("n2", TOPIC)),
            (ClientId(5), on("n3", TOPIC)),
        ]
        .into()
    }

    #[test]
    fn shards_in_order_are_not_told() {
        let views: Vec<View> = (0..3).map(|node| view(node, [Some(0), Some(1)])).collect();
        let lines = told(&Told::new(), &views, [Some(0), Some(1)], &everybody_subscribed());
        assert_eq!(lines, Vec::<String>::new());
    }

    #[test]
    fn shards_without_a_leader_and_nodes_that_are_silent_come_first() {
        let mut history = Told::new();
        let id = history.publish(TOPIC);
        history.deliver(id, false);
        history.publish(QUEUE);
        history.send(QUEUE);
        history.send(TOPIC);
        let silent = View { node: 2, said: Err("no answer in time".into()) };
        let mut behind = view(1, [Some(0), None]);
        behind.said.as_mut().unwrap()[0].applied = 3;
        let views = [view(0, [Some(0), None]), behind, silent];
        let mut subscribers = everybody_subscribed();
        subscribers.remove(&ClientId(4));
        subscribers.get_mut(&ClientId(5)).unwrap().confirmed.clear();
        assert_eq!(
            told(&history, &views, [Some(0), None], &subscribers),
            [
                "n3 says nothing: no answer in time",
                "slot 0 on n1 n2 n3: led by n1, n3 says nothing; 1 message of q not delivered; \
                 1 publish to q unanswered; n2 has applied 3 of 5 entries; consumer c3 on n1 is \
                 subscribed to q",
                "slot 1 on n2 n3 n1: no leader known at n1 n2, n3 says nothing; 1 publish to t \
                 unanswered; consumer c4 of t is not connected, since 3.000s: connection refused; \
                 consumer c5 on n3 waits for its \
                 subscription to t",
            ]
        );
    }

    #[test]
    fn those_who_hold_messages_are_told() {
        let views: Vec<View> = (0..3).map(|node| view(node, [Some(0), Some(1)])).collect();
        let told = |holders| {
            let serving = [Some(0), Some(1)];
            told_with(&Told::new(), &views, serving, &everybody_subscribed(), holders)
        };
        assert_eq!(told(1), ["slot 1 on n2 n3 n1: led by n2; n1.7 holds 2"]);
        assert!(told(5)[0].ends_with("n1.7 holds 2; 2 more hold messages"), "{:?}", told(5));
    }

    #[test]
    fn nodes_that_see_different_leaders_are_told_apart() {
        let words = |seen: &[(NodeId, Option<NodeId>)], serving| {
            let mut leaders = Leaders::default();
            seen.iter().for_each(|&(node, leader)| leaders.add(node, leader));
            leaders.in_words(serving)
        };
        let two = [(0, Some(0)), (1, Some(2)), (2, Some(2))];
        assert_eq!(words(&two, Some(2)), "led by n1 as n1 says, led by n3 as n2 n3 say");
        assert_eq!(words(&two[1..], Some(2)), "led by n3");
        assert_eq!(words(&two[1..], None), "led by n3, which does not serve it");
    }

    #[test]
    fn beyond_the_first_few_shards_are_only_named() {
        let rows = vec![vec![0]; TOLD + 2];
        let serving = vec![None; rows.len()];
        let views = [View { node: 0, said: Ok(Vec::new()) }];
        let lines = Stuck {
            rows: &rows,
            serving: &serving,
            slots: &[],
            views: &views,
            history: &History::default(),
            end: &End::default(),
            consumers: &[],
            subscribers: &BTreeMap::new(),
            failures: &BTreeMap::new(),
            holders: &[],
        }
        .in_words();
        assert_eq!(lines.len(), TOLD + 1);
        assert_eq!(lines[0], "slot 0 on n1: no leader known; n1 holds no replica");
        assert_eq!(lines[TOLD], "2 more slots wait: 8 9");
    }
}
