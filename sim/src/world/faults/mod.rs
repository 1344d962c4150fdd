//! Carries out the faults of an expanded scenario, each at its time or at the event that it waits
//! for, and ends each at its time.
//!
//! Faults of one kind may overlap on a node (two slow disks, say). What holds at a moment is made
//! anew from all that are active then, so that the end of one does not end another. A node is
//! stopped by one fault at a time.

mod holding;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use paceline_reports::result::FaultMark;
use paceline_runtime::trace;
use paceline_scenario::{
    Scenario,
    expand::stream,
    fault::{self, Extent, Fault, Flap, Kind},
};
use tokio::sync::watch;

use super::{
    flood::Flooding,
    here::{self, Journal, NodeId, PartitionId, World},
    sightings::{Sighting, Sightings},
    supervisor::Supervisor,
    targets,
};

/// Something that is to be done at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    End(usize),
    Flip(usize),
    Begin(usize),
    /// Its event has not come.
    GiveUp(usize),
}

/// See the module.
pub struct Injector<'a> {
    world: World,
    scenario: &'a Scenario,
    nodes: Vec<NodeId>,
    hosts: Vec<NodeId>,
    /// By number; once one has begun it names the nodes it strikes.
    faults: Vec<Fault>,
    /// What is still to be done, by time.
    agenda: BTreeSet<(Duration, Change)>,
    /// The events that faults still wait for.
    sightings: Sightings,
    /// The events that faults have waited for.
    seen: BTreeMap<usize, Sighting>,
    /// Faults that hold now.
    active: BTreeSet<usize>,
    partitions: BTreeMap<usize, Vec<PartitionId>>,
    floods: BTreeMap<usize, Flooding>,
    /// Tells clients of which nodes they are to drop their connections.
    storm: watch::Sender<Vec<String>>,
    /// When each fault began and ended.
    spans: BTreeMap<usize, (Duration, Option<Duration>)>,
    /// The fault that has stopped each node that is stopped.
    stopped: BTreeMap<usize, usize>,
    /// What the label of a fault does not tell: whom it was to strike, for one that asked for
    /// leaders, or who was stopped already.
    notes: BTreeMap<usize, String>,
    /// Faults that did not happen, and why.
    left_out: BTreeMap<usize, String>,
}

impl<'a> Injector<'a> {
    /// An injector of the faults of an expanded scenario.
    pub fn new(
        world: World,
        scenario: &'a Scenario,
        nodes: &[NodeId],
        hosts: &[NodeId],
        storm: watch::Sender<Vec<String>>,
    ) -> Self {
        let mut agenda = BTreeSet::new();
        for (number, fault) in scenario.faults.iter().enumerate() {
            match (fault.at, fault.between) {
                (Some(at), _) => agenda.insert((at.0, Change::Begin(number))),
                (None, Some([_, to])) => agenda.insert((to.0, Change::GiveUp(number))),
                (None, None) => unreachable!("expanded: every fault has a time or waits"),
            };
        }
        let sightings = Sightings::of(&scenario.faults, nodes.len(), world.now());
        Self {
            world,
            scenario,
            nodes: nodes.to_vec(),
            hosts: hosts.to_vec(),
            faults: scenario.faults.clone(),
            agenda,
            sightings,
            seen: BTreeMap::new(),
            active: BTreeSet::new(),
            partitions: BTreeMap::new(),
            floods: BTreeMap::new(),
            storm,
            spans: BTreeMap::new(),
            stopped: BTreeMap::new(),
            notes: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// When something is to be done next, since the workload began.
    pub fn next(&self) -> Option<Duration> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Waits until something is to be done earlier than [`next`](Self::next) said.
    pub async fn woken(&self) {
        self.sightings.changed().await;
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Duration, supervisor: &mut Supervisor) {
        for sighting in self.sightings.take() {
            let number = sighting.fault;
            let after = match self.faults[number].after {
                Some(Extent::Fixed(after)) => after.0,
                _ => Duration::ZERO,
            };
            self.agenda.insert((sighting.at + after, Change::Begin(number)));
            self.seen.insert(number, sighting);
        }
        while let Some((at, change)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.pop_first();
            match change {
                Change::Begin(number) => self.begin(number, at, supervisor),
                Change::Flip(number) => self.flip(number, at),
                Change::End(number) => self.end(number, at, supervisor),
                Change::GiveUp(number) => self.give_up(number, at),
            }
        }
    }

    /// Ends everything that has not ended by itself, but for what outlasts the other faults.
    pub fn heal(&mut self, supervisor: &mut Supervisor) {
        let last = self.scenario.duration.0;
        self.agenda.clear();
        for number in self.active.clone() {
            if !self.faults[number].outlasts {
                self.end(number, last, supervisor);
            }
        }
        self.world.heal_all();
    }

    /// The nodes that a fault keeps from doing their part, though the other faults are over.
    pub fn away(&self) -> BTreeSet<u32> {
        let active = self.active.iter().filter(|&&number| self.faults[number].outlasts);
        active.flat_map(|&number| self.targets(number)).map(|node| node as u32).collect()
    }

    /// Ends what has outlasted the other faults.
    pub fn heal_the_last(&mut self, now: Duration, supervisor: &mut Supervisor) {
        for number in self.active.clone() {
            self.end(number, now, supervisor);
        }
    }

    /// What was done, for the report.
    pub fn marks(&self, end: Duration) -> Vec<FaultMark> {
        self.spans
            .iter()
            .map(|(&number, &(began, ended))| {
                let fault = &self.faults[number];
                let at_s = began.as_secs_f64();
                let left_out = self.left_out.contains_key(&number);
                let lasts = !kind(fault).is_at_once() && !left_out;
                FaultMark {
                    at_s,
                    until_s: lasts.then(|| ended.unwrap_or(end).as_secs_f64().max(at_s)),
                    label: fault::label(fault),
                    note: self.note(number),
                    nodes: if left_out { Vec::new() } else { fault::nodes(fault) },
                }
            })
            .collect()
    }

    /// When something was wrong: each fault that struck, from its beginning to its end. A clock that
    /// jumps is no matter for anything but expiry.
    pub fn spans(&self, end: Duration) -> Vec<(Duration, Duration)> {
        self.spans
            .iter()
            .filter(|(number, _)| !self.left_out.contains_key(number))
            .filter(|&(&number, _)| !matches!(kind(&self.faults[number]), Kind::ClockJump(_)))
            .map(|(number, &(began, ended))| {
                let is_at_once = kind(&self.faults[*number]).is_at_once();
                (began, if is_at_once { began } else { ended.unwrap_or(end) })
            })
            .collect()
    }

    /// What became known when a fault began, or why it struck nobody.
    fn note(&self, number: usize) -> String {
        match self.left_out.get(&number) {
            Some(why) => format!("left out: {why}"),
            None => self.notes.get(&number).cloned().unwrap_or_default(),
        }
    }

    /// Writes into the event log that a fault begins or ends.
    fn log(&self, kind: &'static str, number: usize) {
        let fault = fault::label(&self.faults[number]);
        trace::event!(kind, fault = fault.as_str(), note = self.note(number).as_str());
    }

    fn targets(&self, number: usize) -> Vec<usize> {
        let names = fault::nodes(&self.faults[number]);
        names.iter().map(|name| self.node_number(name)).collect()
    }

    fn node_number(&self, name: &str) -> usize {
        let number: usize = name[1..].parse().expect("validated: the node exists");
        number - 1
    }

    fn begin(&mut self, number: usize, at: Duration, supervisor: &mut Supervisor) {
        self.spans.insert(number, (at, None));
        if let Some(length) = length(&self.faults[number]) {
            self.agenda.insert((at + length, Change::End(number)));
        }
        let decided = self.decide(number, supervisor);
        if let Err(why) = decided.and_then(|()| self.strike(number, at, supervisor)) {
            self.left_out.insert(number, why);
        }
        self.log("fault_begin", number);
    }

    /// Leaves a fault out whose event did not come in time.
    fn give_up(&mut self, number: usize, at: Duration) {
        if !self.sightings.give_up(number) {
            return;
        }
        let occasion = fault::occasion(&self.faults[number]).expect("only such a fault waits");
        self.spans.insert(number, (at, None));
        self.left_out.insert(number, format!("no {occasion} came"));
        self.log("fault_begin", number);
    }

    /// Finds out which nodes a fault strikes. Those that another has stopped are not stopped again.
    ///
    /// # Errors
    ///
    /// Why it strikes none.
    fn decide(&mut self, number: usize, supervisor: &Supervisor) -> Result<(), String> {
        let fault = &self.faults[number];
        let kind = kind(fault);
        let event = self.seen.get(&number);
        if let (Some(on), Some(event)) = (fault.on, event) {
            let slot = event.slot.map_or(String::new(), |slot| format!(" in slot {slot}"));
            self.notes.insert(number, format!("{on} of n{}{slot}", event.node + 1));
        }
        let Some(target) = kind.target() else { return Ok(()) };
        let there = |node: usize| supervisor.is_there(node);
        let free = |node: usize| {
            there(node) && (!kind.stops_the_node() || !self.stopped.contains_key(&node))
        };
        let nodes = if let Some(event) = event.filter(|_| target.emitter) {
            let node = event.node as usize;
            if !free(node) {
                return Err(format!("another fault had stopped n{}", node + 1));
            }
            vec![node]
        } else if target.is_left_to_the_run() {
            let leaders = supervisor.leaders();
            let mut random = stream(self.scenario.seed, &format!("leaders of fault {number}"));
            let nodes = targets::leading(&target, &leaders, free, &mut random)?;
            add_note(&mut self.notes, number, target.to_string());
            nodes
        } else {
            let (nodes, stopped): (Vec<_>, Vec<_>) =
                self.targets(number).into_iter().partition(|&node| free(node));
            let (stopped, absent): (Vec<_>, Vec<_>) =
                stopped.into_iter().partition(|&node| there(node));
            let names = |nodes: &[usize]| names(nodes.iter().map(|&node| node as u32));
            match (nodes.is_empty(), stopped.is_empty()) {
                (true, true) => return Err(format!("{} no member then", are(&names(&absent)))),
                (true, false) => return Err("another fault had stopped all of them".to_owned()),
                _ => {}
            }
            if !stopped.is_empty() {
                let note = format!("another fault had stopped {}", names(&stopped));
                add_note(&mut self.notes, number, note);
            }
            if !absent.is_empty() {
                let note = format!("{} no member then", are(&names(&absent)));
                add_note(&mut self.notes, number, note);
            }
            nodes
        };
        if fault.outlasts {
            // A repair needs every node of the row.
            let wounded = supervisor.wounded();
            if !wounded.is_empty() {
                return Err(format!("{} not repaired", names(wounded)));
            }
        }
        if kind.stops_the_node() {
            self.stopped.extend(nodes.iter().map(|&node| (node, number)));
        }
        let all = self.scenario.node_names();
        let names = nodes.iter().map(|&node| all[node].clone()).collect();
        self.faults[number] = fault.of(names, &all);
        Ok(())
    }

    fn most_rotten(&self) -> usize {
        self.scenario.most_rotten() as usize
    }

    /// Does to the nodes what the fault says.
    ///
    /// # Errors
    ///
    /// Why nothing was done.
    fn strike(
        &mut self,
        number: usize,
        at: Duration,
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let fault = self.faults[number].clone();
        let targets = self.targets(number);
        self.active.insert(number);
        match kind(&fault) {
            Kind::Partition(partition) => {
                let cuts = self.cut(partition);
                self.partitions.insert(number, cuts);
            }
            Kind::Crash(_) => targets.iter().for_each(|&node| supervisor.crash(node)),
            Kind::PowerCut(_) => targets.iter().for_each(|&node| supervisor.power_cut(node)),
            Kind::Stop(_) => targets.iter().for_each(|&node| supervisor.stop(node)),
            damage if damage.damages_the_journal() => {
                return self.damage(number, damage, &targets, supervisor);
            }
            Kind::Pause(_) => targets.iter().for_each(|&node| self.world.pause(self.nodes[node])),
            Kind::ClockJump(jump) => {
                let millis = jump.by.expect("validated: it says how far").nanos / 1_000_000;
                for node in targets {
                    self.world.jump_clock(self.nodes[node], millis);
                }
                self.active.remove(&number);
            }
            Kind::ReconnectStorm(_) => {
                let names = self.scenario.node_names();
                self.storm.send_replace(targets.iter().map(|&node| names[node].clone()).collect());
                self.active.remove(&number);
            }
            Kind::Flood(flood) => {
                let nodes = targets.iter().map(|&node| self.scenario.node_names()[node].clone());
                let addresses = here::addresses(self.world);
                let flood = Flooding::begin(self.world, &self.hosts, nodes, &addresses, flood);
                self.floods.insert(number, flood);
            }
            Kind::Flap(flap) => {
                let down = flap.down.expect("validated: it says for how long").0;
                self.take_down(number, &targets);
                self.agenda.insert((at + down, Change::Flip(number)));
            }
            Kind::ClockDrift(_) => self.set_drifts(&targets),
            Kind::SlowLink(_) | Kind::LossyLink(_) => self.set_links(),
            Kind::SlowDisk(_) | Kind::FullDisk(_) | Kind::FailingDisk(_) => self.set_disks(),
            other => unreachable!("{} was dealt with above", other.name()),
        }
        Ok(())
    }

    fn end(&mut self, number: usize, at: Duration, supervisor: &mut Supervisor) {
        if !self.active.remove(&number) {
            return;
        }
        if let Some((_, ended)) = self.spans.get_mut(&number) {
            *ended = Some(at);
        }
        self.log("fault_end", number);
        self.stopped.retain(|_, by| *by != number);
        let targets = self.targets(number);
        match kind(&self.faults[number]) {
            Kind::Partition(_) => self.take_up(number),
            Kind::Flap(_) => self.take_up(number),
            Kind::Flood(_) => drop(self.floods.remove(&number)),
            Kind::ClockDrift(_) => self.set_drifts(&targets),
            kind if kind.back_after().is_some() => {
                targets.iter().for_each(|&node| supervisor.release(node));
            }
            Kind::Pause(_) => targets.iter().for_each(|&node| self.world.resume(self.nodes[node])),
            Kind::SlowLink(_) | Kind::LossyLink(_) => self.set_links(),
            Kind::SlowDisk(_) | Kind::FullDisk(_) | Kind::FailingDisk(_) => self.set_disks(),
            _ => {}
        }
    }

    /// Cuts the nodes off from everybody, clients too, and from each other.
    fn take_down(&mut self, number: usize, targets: &[usize]) {
        let everybody: Vec<NodeId> = self.nodes.iter().chain(&self.hosts).copied().collect();
        let mut cuts = Vec::new();
        for node in targets.iter().map(|&target| self.nodes[target]) {
            let others: Vec<NodeId> =
                everybody.iter().copied().filter(|other| *other != node).collect();
            cuts.extend(self.world.partition(&[node], &others));
        }
        self.partitions.insert(number, cuts);
    }

    /// Lifts what a fault has cut.
    fn take_up(&mut self, number: usize) {
        for cut in self.partitions.remove(&number).into_iter().flatten() {
            self.world.heal(cut);
        }
    }

    /// Links that are down go up, and the other way round.
    fn flip(&mut self, number: usize, at: Duration) {
        let Kind::Flap(Flap { down: Some(down), up: Some(up), .. }) = kind(&self.faults[number])
        else {
            unreachable!("validated: a flap says how long it is down and up")
        };
        let (down, up) = (down.0, up.0);
        if !self.active.contains(&number) {
            return;
        }
        let next = if self.partitions.contains_key(&number) {
            self.take_up(number);
            up
        } else {
            self.take_down(number, &self.targets(number));
            down
        };
        self.agenda.insert((at + next, Change::Flip(number)));
    }

    /// Kills the processes and damages their journals, unless too many nodes have lost records then,
    /// or one of these for a second time, or somebody stays away.
    fn damage(
        &mut self,
        number: usize,
        kind: Kind<'_>,
        targets: &[usize],
        supervisor: &mut Supervisor,
    ) -> Result<(), String> {
        let (away, wounded) = (self.away(), supervisor.wounded());
        let why = if !away.is_empty() {
            Some(format!("{} away, whom a repair needs", names(away)))
        } else if wounded.len() + targets.len() > self.most_rotten() {
            Some(format!("{} not repaired", names(wounded)))
        } else {
            None
        };
        if let Some(why) = why {
            self.active.remove(&number);
            self.stopped.retain(|_, by| *by != number);
            return Err(why);
        }
        for &node in targets {
            supervisor.crash(node);
            supervisor.rotted(node);
            let mut random = stream(self.scenario.seed, &format!("rot {number} of node {node}"));
            let journal = self.journal(node);
            match kind {
                Kind::BitRot(rot) => {
                    let tail = rot.tail == Some(true);
                    (0..rot.bytes.unwrap_or(1)).for_each(|_| journal.rot(tail, &mut random));
                }
                Kind::LostWrite(lost) => {
                    (0..lost.writes.unwrap_or(1)).for_each(|_| journal.lose(&mut random));
                }
                Kind::MisdirectedWrite(lost) => {
                    (0..lost.writes.unwrap_or(1)).for_each(|_| journal.misdirect(&mut random));
                }
                Kind::EmptyDisk(_) => self.world.empty_disk(self.nodes[node]),
                _ => unreachable!("no other kind damages a journal"),
            }
        }
        Ok(())
    }

    /// The node's journal on its disk.
    fn journal(&self, node: usize) -> Journal {
        // It is at the same place on every node.
        let config = self.scenario.node_config("n1");
        let dir = config.expect("validated: the node accepts it").node.data_dir.join("journal");
        Journal::new(self.world, self.nodes[node], dir)
    }
}

fn names(nodes: impl IntoIterator<Item = u32>) -> String {
    nodes.into_iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(" ")
}

fn are(names: &str) -> String {
    format!("{names} {}", if names.contains(' ') { "were" } else { "was" })
}

fn kind(fault: &Fault) -> Kind<'_> {
    fault.kinds()[0]
}

/// Adds to what is known of a fault.
fn add_note(notes: &mut BTreeMap<usize, String>, number: usize, note: String) {
    notes.entry(number).and_modify(|known| known.push_str(&format!("; {note}"))).or_insert(note);
}

/// How long a fault lasts; `None` until everything heals.
fn length(fault: &Fault) -> Option<Duration> {
    match fault.lasts.or_else(|| kind(fault).back_after().flatten()) {
        Some(Extent::Fixed(span)) => Some(span.0),
        _ => None,
    }
}
