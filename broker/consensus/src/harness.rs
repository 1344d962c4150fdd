//! A group of replicas without a world: a list of messages, disks that keep what was written in
//! order, one clock, and what must hold at every step.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use crate::*;

const HEARTBEAT: Duration = Duration::from_millis(50);
const ELECTION: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];
const LEASE: Duration = Duration::from_millis(150);

/// What outlives a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    vote: Vote,
    base: EntryId,
    membership: Membership,
    log: Vec<Entry>,
    /// The change by which the node left the group, with all that it had of it.
    left: EntryId,
}

impl Disk {
    fn write(&mut self, ready: &Ready) {
        if let Some(vote) = ready.vote {
            self.vote = vote;
        }
        if let Some((base, membership)) = &ready.snapshot {
            (self.base, self.membership) = (*base, membership.clone());
            self.log.clear();
        }
        if let Some(index) = ready.truncate {
            self.log.retain(|entry| entry.id.index < index);
        }
        for entry in &ready.entries {
            self.log.push(entry.clone());
        }
    }

    pub fn has(&self, id: EntryId) -> bool {
        // What it had when it left was committed before.
        id.index <= self.base.index.max(self.left.index)
            || self.log.iter().any(|entry| entry.id == id)
    }

    fn shape(&self) -> Log {
        let mut log = Log::new(self.base, self.membership.clone());
        for entry in &self.log {
            let membership = match &entry.payload {
                Payload::Membership(membership) => Some(membership),
                _ => None,
            };
            log.append(entry.id, membership);
        }
        log
    }
}

pub struct Node {
    pub replica: Option<Replica>,
    pub disk: Disk,
    /// The log as the owner of the replica holds it: the disk and what is being written.
    memory: Disk,
    writing: VecDeque<Ready>,
    starts: u64,
    /// The longest promise of its lives until now.
    promised: Duration,
}

pub struct Group {
    pub now: Duration,
    pub nodes: BTreeMap<NodeId, Node>,
    /// Under way: from, to, message.
    pub wire: Vec<(NodeId, NodeId, Message)>,
    /// Links that carry nothing, by direction.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    pub seed: u64,
    /// The nodes whose timings are so many times longer than usual from their next start on.
    pub times: BTreeMap<NodeId, u32>,
    leaders: BTreeMap<Term, NodeId>,
    chosen: BTreeMap<Index, EntryId>,
    pub proposed: u64,
    /// How many words were taken in of which nothing but an answer followed.
    pub quiet: u64,
    /// How many beats were quiet, see [`Replica::beat_quietly`].
    pub quiet_beats: u64,
}

pub fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(NodeId).collect()
}

impl Group {
    /// Voters 1 to `voters`, and so many nodes more that are no members.
    pub fn new(voters: u64, spare: u64, seed: u64) -> Self {
        let membership = Membership::of((1..=voters).map(NodeId));
        let (vote, base, left) = (Vote::default(), EntryId::ZERO, EntryId::ZERO);
        let disk = Disk { vote, base, membership, log: Vec::new(), left };
        let mut group = Self {
            now: Duration::from_secs(1),
            nodes: BTreeMap::new(),
            wire: Vec::new(),
            cut: BTreeSet::new(),
            seed,
            times: BTreeMap::new(),
            leaders: BTreeMap::new(),
            chosen: BTreeMap::new(),
            proposed: 0,
            quiet: 0,
            quiet_beats: 0,
        };
        for node in (1..=voters + spare).map(NodeId) {
            let (disk, memory) = (disk.clone(), disk.clone());
            let (writing, promised) = (VecDeque::new(), Duration::ZERO);
            let new = Node { replica: None, disk, memory, writing, starts: 0, promised };
            group.nodes.insert(node, new);
            group.start(node);
        }
        group
    }

    pub fn start(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.replica.is_some() {
            return;
        }
        node.starts += 1;
        let times = self.times.get(&id).copied().unwrap_or(1);
        let election = ELECTION.map(|timeout| timeout * times);
        let config = Config {
            node: id,
            heartbeat: HEARTBEAT * times,
            election,
            patience: election[1],
            promise: election[0],
            lease: LEASE * times,
            entries: 3,
            window: 2,
            seed: self.seed ^ (id.0 << 32) ^ node.starts,
        };
        let log = node.disk.shape();
        let commit = log.base().index;
        let recovered = Recovered {
            vote: node.disk.vote,
            log,
            commit,
            floor: None,
            votes_above_floor: false,
            left: node.disk.left,
            promised: node.promised,
        };
        node.promised = node.promised.max(election[0]);
        node.memory = node.disk.clone();
        node.replica = Some(Replica::new(config, recovered, self.now));
        self.look();
    }

    /// The process dies; so many of its writes were on the disk, in order.
    pub fn crash(&mut self, id: NodeId, written: usize) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.replica.take().is_some() {
            for ready in node.writing.drain(..).take(written) {
                node.disk.write(&ready);
            }
        }
    }

    /// A node forgets its log, if another one knows for certain that it is no member, and its own log
    /// does not know better. Whether it did.
    pub fn leave(&mut self, id: NodeId) -> bool {
        let committed = |node: &Node| {
            let replica = node.replica.as_ref()?;
            let log = replica.log();
            let at = log.id(log.membership_at()).filter(|at| at.index <= replica.commit())?;
            (at.index > 0 && !log.membership().members().contains(&id)).then_some(at)
        };
        let Some(at) = self.nodes.values().find_map(committed) else { return false };
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(log) = node.replica.as_ref().map(Replica::log) else { return false };
        if log.membership_at() > at.index && log.membership().members().contains(&id) {
            return false;
        }
        self.crash(id, usize::MAX);
        let node = self.nodes.get_mut(&id).unwrap();
        if node.disk.vote.term < at.term {
            node.disk.vote = Vote { term: at.term, candidate: None };
        }
        (node.disk.base, node.disk.membership) = (EntryId::ZERO, Membership::default());
        node.disk.log.clear();
        node.disk.left = at.max(node.disk.left);
        self.start(id);
        true
    }

    /// Whether a node has again what it knew when it left, or never did.
    pub fn has_caught_up(&self, id: NodeId) -> bool {
        let disk = &self.nodes[&id].disk;
        disk.shape().last() >= disk.left
    }

    /// Does what all replicas want done, but for finishing writes.
    pub fn drive(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            loop {
                let now = self.now;
                let node = self.nodes.get_mut(&id).unwrap();
                let Some(replica) = &mut node.replica else { break };
                let Some(mut ready) = replica.ready(now) else { break };
                node.memory.write(&ready);
                let sent = std::mem::take(&mut ready.now);
                node.writing.push_back(ready);
                self.send(id, sent);
                // What needs no write waits for those before it only.
                let node = self.nodes.get_mut(&id).unwrap();
                if node.writing.len() == 1 && !node.writing[0].writes() {
                    self.write(id, 1);
                }
            }
        }
        self.look();
    }

    /// The next writes of a node are on its disk.
    pub fn write(&mut self, id: NodeId, count: usize) {
        for _ in 0..count {
            let now = self.now;
            let node = self.nodes.get_mut(&id).unwrap();
            let Some(ready) = node.writing.pop_front() else { break };
            node.disk.write(&ready);
            if let Some(replica) = &mut node.replica {
                replica.persisted(ready.number, now);
            }
            self.send(id, ready.after);
        }
    }

    fn send(&mut self, from: NodeId, out: Vec<Outgoing>) {
        for outgoing in out {
            let node = &self.nodes[&from];
            let (to, message) = match outgoing {
                Outgoing::Message { to, message } => (to, message),
                Outgoing::Entries { to, term, prev, upto, commit, stamp } => {
                    let log = &node.memory.log;
                    let range = prev.index + 1..=upto;
                    let entries: Vec<Entry> =
                        log.iter().filter(|it| range.contains(&it.id.index)).cloned().collect();
                    assert_eq!(entries.len() as u64, upto - prev.index, "{from} has them");
                    (to, Message { term, word: Word::Append { prev, entries, commit, stamp } })
                }
                Outgoing::Snapshot { to, term } => {
                    let (last, membership) = (node.memory.base, node.memory.membership.clone());
                    let word = Word::Snapshot { last, membership, stamp: self.now };
                    (to, Message { term, word })
                }
            };
            self.wire.push((from, to, message));
        }
    }

    /// Takes one message from the wire; a sender of snapshots knows when that ends.
    pub fn take(&mut self, index: usize) -> (NodeId, NodeId, Message) {
        let (from, to, message) = self.wire.remove(index);
        if let (Word::Snapshot { .. }, Some(replica)) =
            (&message.word, &mut self.nodes.get_mut(&from).unwrap().replica)
        {
            replica.snapshot_ended(to, self.now);
        }
        (from, to, message)
    }

    /// Delivers one message, unless its link is cut or nobody is there.
    pub fn deliver(&mut self, index: usize) {
        let (from, to, message) = self.take(index);
        if self.cut.contains(&(from, to)) {
            return;
        }
        let now = self.now;
        if let Some(replica) = self.nodes.get_mut(&to).and_then(|node| node.replica.as_mut()) {
            self.quiet += u64::from(is_quiet(replica, from, &message, now));
            replica.handle_message(from, message, now);
        }
        self.look();
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        for node in self.nodes.values_mut() {
            if let Some(replica) = &mut node.replica {
                self.quiet_beats += u64::from(beats_quietly(replica, now));
                replica.handle_timeout(now);
            }
        }
        self.look();
    }

    /// A replica that leads, the one of the latest term.
    pub fn leader(&self) -> Option<NodeId> {
        let leads = self.nodes.iter().filter_map(|(id, node)| {
            let replica = node.replica.as_ref()?;
            (replica.role() == Role::Leader).then_some((replica.term(), *id))
        });
        leads.max().map(|(_, id)| id)
    }

    pub fn replica(&mut self, id: u64) -> &mut Replica {
        self.nodes.get_mut(&NodeId(id)).unwrap().replica.as_mut().expect("it is up")
    }

    pub fn propose(&mut self, id: NodeId) -> Option<EntryId> {
        let data = Bytes::from(self.proposed.to_string());
        let replica = self.nodes.get_mut(&id)?.replica.as_mut()?;
        let proposed = replica.propose(data).ok()?;
        self.proposed += 1;
        Some(proposed)
    }

    /// Replaces what is committed by a snapshot.
    pub fn compact(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(replica) = &mut node.replica else { return };
        // Only what is on the disk, so that a crash leaves a log that goes on from the snapshot.
        let index = replica.commit().min(replica.stable());
        if index <= replica.log().base().index || !node.writing.is_empty() {
            return;
        }
        let membership = replica.log().membership_as_of(index).clone();
        replica.compact(index);
        let base = replica.log().base();
        for disk in [&mut node.disk, &mut node.memory] {
            (disk.base, disk.membership) = (base, membership.clone());
            disk.log.retain(|entry| entry.id.index > index);
        }
    }

    /// Everything works for a while, a millisecond a step.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.drive();
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.write(id, usize::MAX);
            }
            self.drive();
            for _ in 0..self.wire.len() {
                self.deliver(0);
            }
            self.pass(Duration::from_millis(1));
        }
    }

    /// What must hold at every step.
    fn look(&mut self) {
        let mut serving = Vec::new();
        for (id, node) in &self.nodes {
            let Some(replica) = &node.replica else { continue };
            if replica.role() == Role::Leader {
                let leader = *self.leaders.entry(replica.term()).or_insert(*id);
                assert_eq!(leader, *id, "two leaders in term {}", replica.term());
            }
            if replica.lease().is_some_and(|until| self.now < until) {
                serving.push(*id);
            }
            let commit = replica.commit();
            for index in replica.log().base().index.max(1)..=commit {
                let id = replica.log().id(index).expect("it is in the log");
                let chosen = *self.chosen.entry(index).or_insert(id);
                assert_eq!(chosen, id, "entry {index} is committed as two");
            }
            if let Some(id) = replica.log().id(commit)
                && commit > replica.log().base().index
            {
                let stored = |node: NodeId| self.nodes[&node].disk.has(id);
                let logs =
                    self.nodes.values().filter_map(|node| Some(node.replica.as_ref()?.log()));
                let holding = logs.filter(|log| log.has(id));
                let mut counted =
                    holding.flat_map(|log| [log.membership_as_of(commit), log.membership()]);
                // A crash loses nothing of this; what was cut off again was not committed.
                let is_stored = counted.any(|membership| self.has_committed(membership, stored));
                assert!(is_stored, "{id} is committed on too few disks");
            }
        }
        assert!(serving.len() <= 1, "{serving:?} serve at the same time");
    }

    /// Whether what these have stored may be committed under a membership. A leader counts by the
    /// latest one in its log, for what stands before that too. When it has seen both majorities store
    /// that they change, it ends the change by an entry of its own, and counts the voters to be alone
    /// from then on, though only its memory may have that entry: whoever is elected without it needs
    /// a majority of those voters as well.
    fn has_committed(
        &self,
        membership: &Membership,
        stored: impl Fn(NodeId) -> bool + Copy,
    ) -> bool {
        let changes = |entry: &&Entry| matches!(&entry.payload, Payload::Membership(entered) if entered == membership);
        let mut entries = self.nodes.values().flat_map(|node| &node.memory.log);
        let has_begun = |id| membership.is_quorum(|node| self.nodes[&node].disk.has(id));
        membership.is_quorum(stored)
            || membership.is_joint()
                && Membership::of(membership.voters.clone()).is_quorum(stored)
                && entries.find(changes).is_none_or(|entry| has_begun(entry.id))
    }
}

/// Whether the replica would take the word in as quiet. If so, that must come to what the long way
/// comes to.
fn is_quiet(replica: &Replica, from: NodeId, message: &Message, now: Duration) -> bool {
    let mut short = replica.clone();
    let Some(quiet) = short.handle_quiet(from, message, now) else { return false };
    let mut long = replica.clone();
    long.handle_message(from, message.clone(), now);
    let said = match quiet {
        Quiet::Answer(message) => vec![Outgoing::Message { to: from, message }],
        Quiet::Heard => Vec::new(),
    };
    assert_same(short, said, long, now);
    true
}

/// Whether the replica would do what is due quietly; as [`is_quiet`]. Asked is one with which its owner has
/// nothing else to do.
fn beats_quietly(replica: &Replica, now: Duration) -> bool {
    if replica.clone().ready(now).is_some() {
        return false;
    }
    let mut short = replica.clone();
    let mut said = Vec::new();
    if !short.beat_quietly(now, |to, message| said.push(Outgoing::Message { to, message })) {
        return false;
    }
    assert!(short.clone().ready(now).is_none(), "there is more to do than to beat");
    assert_eq!(short.role(), Role::Leader, "its owner does not look");
    let mut long = replica.clone();
    long.handle_timeout(now);
    assert_same(short, said, long, now);
    true
}

/// What was said and what is still to be done on the short way is what is on the long one, and both
/// lead to the same replica.
fn assert_same(mut short: Replica, said: Vec<Outgoing>, mut long: Replica, now: Duration) {
    // What was to be done before is still to be done.
    let rest = short.ready(now).unwrap_or_default();
    let all = long.ready(now).unwrap_or_default();
    let (counts, now) = (
        u64::from(all.number > 0) - u64::from(rest.number > 0),
        said.into_iter().chain(rest.now).collect(),
    );
    assert_eq!(all, Ready { number: all.number, now, ..rest });
    assert_eq!(format!("{short:?}"), format!("{:?}", long.uncounted(counts)));
}
