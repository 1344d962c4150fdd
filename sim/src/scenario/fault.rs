//! The `[[fault]]` tables of a scenario: what goes wrong, where, when and for how long.
//!
//! A fault names its time (`at`, or a draw `between` two instants, or an event `on` which it begins)
//! and exactly one kind. What is drawn (`any` nodes, `between`, a pair of times) the seed decides; see
//! `expand`. When an event comes and of whom, and who leads when a fault begins (`leader_of`,
//! `leaders`), only the run can tell.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    event::{Event, Nth},
    format::Delay,
    units::{Bandwidth, Fraction, SignedSpan, TimeSpan},
};

/// What goes wrong. Exactly one kind, and either `at` or `between`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<TimeSpan>,
    /// It begins at an instant drawn from within; with `every`, once in each such part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<[TimeSpan; 2]>,
    /// See `between`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<TimeSpan>,
    /// It begins at the first such event within `between`; with `every`, within each part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Event>,
    /// Only at events of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only at events of this slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Not at the first such event but at this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<Nth>,
    /// So long after the event; default at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Extent>,
    /// How long it lasts; not for what takes a process down, which has `back_after` instead, and not
    /// for what happens at once: `clock_jump` and `reconnect_storm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Extent>,
    /// It goes on when the others are over: the cluster must drain in spite of it. Then it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outlasts: bool,
    /// Groups of hosts that hear nothing of each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// A process dies at once; what it wrote stays with the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// A machine loses power: what was not synced may be lost, and peers hear nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_cut: Option<PowerCut>,
    /// A process is asked to end, as by SIGTERM: it hands over what it leads, tells its clients, and
    /// ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// A process stands still, as in a long collection or under SIGSTOP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Links become slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_link: Option<SlowLink>,
    /// Links lose segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossy_link: Option<LossyLink>,
    /// Disks become slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_disk: Option<SlowDisk>,
    /// Disks have no space left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_disk: Option<FullDisk>,
    /// Disks answer with input/output errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_disk: Option<FailingDisk>,
    /// A process dies, and before it starts again bytes of its journal have changed on the disk.
    /// Left out where too many nodes would have lost records at once, see [`most_rotten`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_rot: Option<BitRot>,
    /// As `bit_rot`, but a write of the journal has never reached the disk, though it was synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_write: Option<LostWrite>,
    /// As `bit_rot`, but a write of the journal has reached another place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misdirected_write: Option<MisdirectedWrite>,
    /// Links go down and up, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Flap>,
    /// Strangers connect and say nothing, or half a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flood: Option<Flood>,
    /// All clients of the nodes drop their connections at once and come back at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_storm: Option<ReconnectStorm>,
    /// Wall clocks jump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
    /// Wall clocks run too fast or too slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_drift: Option<ClockDrift>,
}

/// A time, or a pair of times between which one is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// This long.
    Fixed(TimeSpan),
    /// At least the first, at most the second.
    Drawn(TimeSpan, TimeSpan),
}

/// Groups of hosts, or some nodes against all the others. Hosts in no group keep all their links, so
/// leaving some out makes a partial partition. `clients` stands for all clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Partition {
    /// `[["n1"], ["n2", "n3"]]`
    Groups(Vec<Vec<String>>),
    /// `{ groups = …, one_way = true }` or `{ any = 2 }`
    Long(LongPartition),
}

/// A fault of nodes: the fields that choose them, and those of the kind.
macro_rules! node_fault {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// This node.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub node: Option<String>,
            /// These nodes.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub nodes: Option<Vec<String>>,
            /// So many nodes, drawn from the seed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub any: Option<u32>,
            /// Every node.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub all: bool,
            /// The node that leads this slot's shard when the fault begins.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub leader_of: Option<u32>,
            /// So many nodes, those that lead the most shards when the fault begins.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub leaders: Option<u32>,
            /// The node whose event the fault waited for.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub emitter: bool,
            $($(#[$field_doc])* #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,)*
        }

        impl $name {
            /// Which nodes, as written.
            pub fn target(&self) -> Target<'_> {
                Target {
                    node: &self.node,
                    nodes: &self.nodes,
                    any: self.any,
                    all: self.all,
                    leader_of: self.leader_of,
                    leaders: self.leaders,
                    emitter: self.emitter,
                }
            }

            /// The same fault of exactly these nodes.
            #[allow(clippy::needless_update, reason = "some kinds have no fields of their own")]
            pub fn of(&self, nodes: Vec<String>) -> Self {
                Self {
                    node: None,
                    nodes: Some(nodes),
                    any: None,
                    all: false,
                    leader_of: None,
                    leaders: None,
                    emitter: false,
                    ..self.clone()
                }
            }
        }
    };
}

/// How a fault names its nodes; exactly one of these is set in a valid scenario.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// One by name.
    pub node: &'a Option<String>,
    /// Several by name.
    pub nodes: &'a Option<Vec<String>>,
    /// A number of them.
    pub any: Option<u32>,
    /// Every one.
    pub all: bool,
    /// The leader of this slot's shard.
    pub leader_of: Option<u32>,
    /// A number of them, those that lead the most.
    pub leaders: Option<u32>,
    /// The node of the event.
    pub emitter: bool,
}

impl Target<'_> {
    /// Whether only the run can tell who it is.
    pub fn is_left_to_the_run(&self) -> bool {
        self.leader_of.is_some() || self.leaders.is_some() || self.emitter
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Target { node: Some(node), .. } => f.write_str(node),
            Target { nodes: Some(nodes), .. } => f.write_str(&nodes.join(" ")),
            Target { any: Some(any), .. } => write!(f, "any {any}"),
            Target { leader_of: Some(slot), .. } => write!(f, "the leader of slot {slot}"),
            Target { emitter: true, .. } => f.write_str("the emitter"),
            Target { leaders: Some(1), .. } => f.write_str("the node that leads most"),
            Target { leaders: Some(count), .. } => write!(f, "the {count} nodes that lead most"),
            _ => f.write_str("all nodes"),
        }
    }
}

node_fault! {
    /// The long form of a partition: groups, or these nodes against all the others.
    LongPartition {
        /// As in the short form.
        groups: Vec<Vec<String>>,
        /// Only what the first group, or these nodes, send to the others is lost; what they send
        /// arrives.
        one_way: bool,
    }
}
node_fault! {
    /// See [`Fault::crash`].
    Crash {
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::power_cut`].
    PowerCut {
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::stop`].
    Stop {
        /// When it starts again, if it has ended by then; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::pause`].
    Pause {}
}
node_fault! {
    /// See [`Fault::slow_link`]: all links to and from the nodes.
    SlowLink {
        /// In place of the network's.
        latency: Delay,
        /// In place of the network's.
        bandwidth: Bandwidth,
        /// Only what the nodes send is late.
        one_way: bool,
    }
}
node_fault! {
    /// See [`Fault::lossy_link`]: all links to and from the nodes.
    LossyLink {
        /// The share of segments lost.
        loss: Fraction,
        /// Only of what the nodes send.
        one_way: bool,
    }
}
node_fault! {
    /// See [`Fault::slow_disk`].
    SlowDisk {
        /// How many times longer everything takes.
        times: f64,
    }
}
node_fault! {
    /// See [`Fault::full_disk`].
    FullDisk {}
}
node_fault! {
    /// See [`Fault::failing_disk`].
    FailingDisk {
        /// The share of operations that fail; default 1.
        share: Fraction,
    }
}
node_fault! {
    /// See [`Fault::bit_rot`].
    BitRot {
        /// In how many bytes a bit has changed; default 1.
        bytes: u32,
        /// All of them in what was written last.
        tail: bool,
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::lost_write`].
    LostWrite {
        /// How many are lost; default 1.
        writes: u32,
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::misdirected_write`].
    MisdirectedWrite {
        /// How many went astray; default 1.
        writes: u32,
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::flap`]: all links to and from the nodes. It begins with them down.
    Flap {
        /// How long they are down each time.
        down: TimeSpan,
        /// How long they are up each time.
        up: TimeSpan,
    }
}
node_fault! {
    /// See [`Fault::flood`].
    Flood {
        /// How many connections are held open to each node; default 100.
        connections: u32,
        /// Each begins a frame and does not end it.
        half_frame: bool,
    }
}
node_fault! {
    /// See [`Fault::reconnect_storm`].
    ReconnectStorm {}
}
node_fault! {
    /// See [`Fault::clock_drift`].
    ClockDrift {
        /// By so many millionths too fast, or too slow where it is negative.
        ppm: f64,
    }
}
node_fault! {
    /// See [`Fault::clock_jump`].
    ClockJump {
        /// How far.
        by: SignedSpan,
    }
}

/// One kind of fault, borrowed from its [`Fault`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each is the field of `Fault` of the same name")]
pub enum Kind<'a> {
    Partition(&'a Partition),
    Crash(&'a Crash),
    PowerCut(&'a PowerCut),
    Stop(&'a Stop),
    Pause(&'a Pause),
    SlowLink(&'a SlowLink),
    LossyLink(&'a LossyLink),
    SlowDisk(&'a SlowDisk),
    FullDisk(&'a FullDisk),
    FailingDisk(&'a FailingDisk),
    BitRot(&'a BitRot),
    LostWrite(&'a LostWrite),
    MisdirectedWrite(&'a MisdirectedWrite),
    Flap(&'a Flap),
    Flood(&'a Flood),
    ReconnectStorm(&'a ReconnectStorm),
    ClockJump(&'a ClockJump),
    ClockDrift(&'a ClockDrift),
}

impl Fault {
    /// Every kind that is set; a valid fault has exactly one.
    pub fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds = Vec::new();
        kinds.extend(self.partition.as_ref().map(Kind::Partition));
        kinds.extend(self.crash.as_ref().map(Kind::Crash));
        kinds.extend(self.power_cut.as_ref().map(Kind::PowerCut));
        kinds.extend(self.stop.as_ref().map(Kind::Stop));
        kinds.extend(self.pause.as_ref().map(Kind::Pause));
        kinds.extend(self.slow_link.as_ref().map(Kind::SlowLink));
        kinds.extend(self.lossy_link.as_ref().map(Kind::LossyLink));
        kinds.extend(self.slow_disk.as_ref().map(Kind::SlowDisk));
        kinds.extend(self.full_disk.as_ref().map(Kind::FullDisk));
        kinds.extend(self.failing_disk.as_ref().map(Kind::FailingDisk));
        kinds.extend(self.bit_rot.as_ref().map(Kind::BitRot));
        kinds.extend(self.lost_write.as_ref().map(Kind::LostWrite));
        kinds.extend(self.misdirected_write.as_ref().map(Kind::MisdirectedWrite));
        kinds.extend(self.flap.as_ref().map(Kind::Flap));
        kinds.extend(self.flood.as_ref().map(Kind::Flood));
        kinds.extend(self.reconnect_storm.as_ref().map(Kind::ReconnectStorm));
        kinds.extend(self.clock_jump.as_ref().map(Kind::ClockJump));
        kinds.extend(self.clock_drift.as_ref().map(Kind::ClockDrift));
        kinds
    }
}

impl Fault {
    /// The same fault of exactly these nodes, of all that the cluster has.
    pub fn of(&self, names: Vec<String>, all: &[String]) -> Self {
        let mut fault = self.clone();
        match self.kinds().first() {
            Some(Kind::Partition(partition)) => {
                let rest = all.iter().filter(|name| !names.contains(name)).cloned().collect();
                let groups = vec![names, rest];
                let one_way = partition.one_way();
                fault.partition = Some(if one_way {
                    let (groups, one_way) = (Some(groups), Some(true));
                    Partition::Long(LongPartition { groups, one_way, ..LongPartition::default() })
                } else {
                    Partition::Groups(groups)
                });
            }
            Some(Kind::Crash(it)) => fault.crash = Some(it.of(names)),
            Some(Kind::PowerCut(it)) => fault.power_cut = Some(it.of(names)),
            Some(Kind::Stop(it)) => fault.stop = Some(it.of(names)),
            Some(Kind::Pause(it)) => fault.pause = Some(it.of(names)),
            Some(Kind::SlowLink(it)) => fault.slow_link = Some(it.of(names)),
            Some(Kind::LossyLink(it)) => fault.lossy_link = Some(it.of(names)),
            Some(Kind::SlowDisk(it)) => fault.slow_disk = Some(it.of(names)),
            Some(Kind::FullDisk(it)) => fault.full_disk = Some(it.of(names)),
            Some(Kind::FailingDisk(it)) => fault.failing_disk = Some(it.of(names)),
            Some(Kind::BitRot(it)) => fault.bit_rot = Some(it.of(names)),
            Some(Kind::LostWrite(it)) => fault.lost_write = Some(it.of(names)),
            Some(Kind::MisdirectedWrite(it)) => fault.misdirected_write = Some(it.of(names)),
            Some(Kind::Flap(it)) => fault.flap = Some(it.of(names)),
            Some(Kind::Flood(it)) => fault.flood = Some(it.of(names)),
            Some(Kind::ReconnectStorm(it)) => fault.reconnect_storm = Some(it.of(names)),
            Some(Kind::ClockJump(it)) => fault.clock_jump = Some(it.of(names)),
            Some(Kind::ClockDrift(it)) => fault.clock_drift = Some(it.of(names)),
            None => {}
        }
        fault
    }

    /// The same fault, after which the nodes start again when this is over.
    pub fn with_back_after(mut self, back_after: Option<Extent>) -> Self {
        let Self { crash, power_cut, stop, bit_rot, lost_write, misdirected_write, .. } = &mut self;
        crash.iter_mut().for_each(|it| it.back_after = back_after);
        power_cut.iter_mut().for_each(|it| it.back_after = back_after);
        stop.iter_mut().for_each(|it| it.back_after = back_after);
        bit_rot.iter_mut().for_each(|it| it.back_after = back_after);
        lost_write.iter_mut().for_each(|it| it.back_after = back_after);
        misdirected_write.iter_mut().for_each(|it| it.back_after = back_after);
        self
    }
}

impl Partition {
    /// The groups, once they are known.
    pub fn groups(&self) -> Option<&[Vec<String>]> {
        match self {
            Partition::Groups(groups) => Some(groups),
            Partition::Long(long) => long.groups.as_deref(),
        }
    }

    /// Whether only what the first group sends is lost.
    pub fn one_way(&self) -> bool {
        matches!(self, Partition::Long(LongPartition { one_way: Some(true), .. }))
    }
}

impl Kind<'_> {
    /// The key in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Partition(_) => "partition",
            Kind::Crash(_) => "crash",
            Kind::PowerCut(_) => "power_cut",
            Kind::Stop(_) => "stop",
            Kind::Pause(_) => "pause",
            Kind::SlowLink(_) => "slow_link",
            Kind::LossyLink(_) => "lossy_link",
            Kind::SlowDisk(_) => "slow_disk",
            Kind::FullDisk(_) => "full_disk",
            Kind::FailingDisk(_) => "failing_disk",
            Kind::BitRot(_) => "bit_rot",
            Kind::LostWrite(_) => "lost_write",
            Kind::MisdirectedWrite(_) => "misdirected_write",
            Kind::Flap(_) => "flap",
            Kind::Flood(_) => "flood",
            Kind::ReconnectStorm(_) => "reconnect_storm",
            Kind::ClockJump(_) => "clock_jump",
            Kind::ClockDrift(_) => "clock_drift",
        }
    }

    /// Which nodes it befalls; `None` for a partition that names groups instead.
    pub fn target(&self) -> Option<Target<'_>> {
        Some(match self {
            Kind::Partition(Partition::Long(long)) if long.groups.is_none() => long.target(),
            Kind::Partition(_) => return None,
            Kind::Crash(fault) => fault.target(),
            Kind::PowerCut(fault) => fault.target(),
            Kind::Stop(fault) => fault.target(),
            Kind::Pause(fault) => fault.target(),
            Kind::SlowLink(fault) => fault.target(),
            Kind::LossyLink(fault) => fault.target(),
            Kind::SlowDisk(fault) => fault.target(),
            Kind::FullDisk(fault) => fault.target(),
            Kind::FailingDisk(fault) => fault.target(),
            Kind::BitRot(fault) => fault.target(),
            Kind::LostWrite(fault) => fault.target(),
            Kind::MisdirectedWrite(fault) => fault.target(),
            Kind::Flap(fault) => fault.target(),
            Kind::Flood(fault) => fault.target(),
            Kind::ReconnectStorm(fault) => fault.target(),
            Kind::ClockJump(fault) => fault.target(),
            Kind::ClockDrift(fault) => fault.target(),
        })
    }

    /// Whether it takes the whole process away for a while, so that a node can suffer one at a
    /// time.
    pub fn stops_the_node(&self) -> bool {
        self.back_after().is_some() || matches!(self, Kind::Pause(_))
    }

    /// Whether the node's journal has lost records when it starts again.
    pub fn damages_the_journal(&self) -> bool {
        matches!(self, Kind::BitRot(_) | Kind::LostWrite(_) | Kind::MisdirectedWrite(_))
    }

    /// Whether it is over as soon as it has happened.
    pub fn is_at_once(&self) -> bool {
        matches!(self, Kind::ClockJump(_) | Kind::ReconnectStorm(_))
    }

    /// Whether the rest of the cluster can be asked to drain while it goes on.
    pub fn can_outlast(&self) -> bool {
        matches!(
            self,
            Kind::Crash(_)
                | Kind::PowerCut(_)
                | Kind::Stop(_)
                | Kind::Pause(_)
                | Kind::SlowLink(_)
                | Kind::LossyLink(_)
                | Kind::SlowDisk(_)
        )
    }

    /// When the node starts again, of kinds that know it.
    pub fn back_after(&self) -> Option<Option<Extent>> {
        match self {
            Kind::Crash(fault) => Some(fault.back_after),
            Kind::PowerCut(fault) => Some(fault.back_after),
            Kind::Stop(fault) => Some(fault.back_after),
            Kind::BitRot(fault) => Some(fault.back_after),
            Kind::LostWrite(fault) => Some(fault.back_after),
            Kind::MisdirectedWrite(fault) => Some(fault.back_after),
            _ => None,
        }
    }

    /// Whether it goes on for a time that `lasts` names.
    pub fn has_length(&self) -> bool {
        self.back_after().is_none() && !self.is_at_once()
    }
}

impl Extent {
    /// The longest it may be.
    pub fn most(&self) -> TimeSpan {
        match *self {
            Extent::Fixed(span) | Extent::Drawn(_, span) => span,
        }
    }
}

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Extent::Fixed(span) => span.serialize(serializer),
            Extent::Drawn(least, most) => [least, most].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Extent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"2s\", or two such as [\"1s\", \"5s\"]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Extent, E> {
                text.parse().map(Extent::Fixed).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Extent, A::Error> {
                let [least, most] =
                    <[TimeSpan; 2]>::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                if least > most {
                    return Err(de::Error::custom(format!("{least} is longer than {most}")));
                }
                Ok(Extent::Drawn(least, most))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Partition::Groups(groups) => groups.serialize(serializer),
            Partition::Long(long) => long.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Partition;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("groups such as [[\"n1\"], [\"n2\", \"n3\"]], or { any = 1 }")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Partition, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Partition::Groups)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Partition, A::Error> {
                LongPartition::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(Partition::Long)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// How many nodes may have lost records at once so that every shard can still be repaired: a
/// majority of its replicas has to be whole, and of two replicas one.
pub fn most_rotten(replicas: u32) -> u32 {
    match replicas {
        2 => 1,
        _ => replicas.saturating_sub(1) / 2,
    }
}

/// An expanded fault in one line, or what is known of it before it begins:
/// `15s partition n1 n2 | n3 n4 n5 for 10s`, `1s to 4s, 2ms after vote 3 in slot 7: crash the emitter`.
pub fn describe(fault: &Fault) -> String {
    let mut text = match (fault.at, fault.between, occasion(fault)) {
        (Some(at), ..) => format!("{at} "),
        (None, Some([from, to]), Some(occasion)) => match fault.after {
            Some(Extent::Fixed(after)) => format!("{from} to {to}, {after} after {occasion}: "),
            _ => format!("{from} to {to}, at {occasion}: "),
        },
        _ => String::new(),
    };
    text.push_str(&label(fault));
    match (fault.lasts, fault.kinds().first().and_then(Kind::back_after).flatten()) {
        (Some(Extent::Fixed(span)), _) => text.push_str(&format!(" for {span}")),
        (_, Some(Extent::Fixed(span))) => text.push_str(&format!(", back after {span}")),
        _ if fault.outlasts => text.push_str(", until the rest has drained"),
        _ => {}
    }
    text
}

/// The event that a fault waits for: `vote 3 of n2 in slot 7`.
pub fn occasion(fault: &Fault) -> Option<String> {
    let mut text = fault.on?.name().to_owned();
    if let Some(nth) = fault.nth.map(Nth::most).filter(|nth| *nth > 1) {
        text.push_str(&format!(" {nth}"));
    }
    if let Some(node) = &fault.by {
        text.push_str(&format!(" of {node}"));
    }
    if let Some(slot) = fault.slot {
        text.push_str(&format!(" in slot {slot}"));
    }
    Some(text)
}

/// What happens and to whom, in a few words: `power cut n3`.
pub fn label(fault: &Fault) -> String {
    let kinds = fault.kinds();
    let Some(kind) = kinds.first() else { return String::new() };
    let name = kind.name().replace('_', " ");
    match kind {
        Kind::Partition(partition) => {
            let groups: Vec<String> = match (partition.groups(), kind.target()) {
                (Some(groups), _) => groups.iter().map(|group| group.join(" ")).collect(),
                (None, target) => {
                    vec![target.map_or_else(String::new, |it| it.to_string()), "the others".into()]
                }
            };
            let sides = groups.join(if partition.one_way() { " -| " } else { " | " });
            format!("{name} {sides}")
        }
        other => {
            let target = other.target().map_or_else(String::new, |target| target.to_string());
            let how = match other {
                Kind::SlowLink(SlowLink { one_way: Some(true), .. })
                | Kind::LossyLink(LossyLink { one_way: Some(true), .. }) => "one-way ",
                Kind::BitRot(BitRot { tail: Some(true), .. }) => "tail ",
                _ => "",
            };
            format!("{how}{name} {target}")
        }
    }
}

/// The nodes a fault befalls that names them; empty for a partition.
pub fn nodes(fault: &Fault) -> Vec<String> {
    let kinds = fault.kinds();
    let target = kinds.first().and_then(Kind::target);
    target.and_then(|target| target.nodes.clone()).unwrap_or_default()
}
