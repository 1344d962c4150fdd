//! The `[[fault]]` tables of a scenario: what goes wrong, where, when and for how long.
//!
//! A fault names its time (`at`, or a draw `between` two instants, or an event `on` which it begins)
//! and exactly one kind. What is drawn (`any` nodes, `between`, a pair of times) the seed decides; see
//! `expand`. When an event comes and of whom, and who leads when a fault begins (`leader_of`,
//! `leaders`), only the run can tell.

mod extent;
mod kind;
mod nodes;
mod partition;
mod words;

use serde::{Deserialize, Serialize};

pub use self::{
    extent::Extent,
    kind::Kind,
    nodes::{
        BitRot, ClockDrift, ClockJump, Crash, EmptyDisk, FailingDisk, Flap, Flood, FullDisk,
        LongPartition, LossyLink, LostWrite, MisdirectedWrite, Pause, PowerCut, ReconnectStorm,
        SlowDisk, SlowLink, Stop, Target,
    },
    partition::Partition,
    words::{describe, label, nodes, occasion},
};
use crate::{
    event::{Event, Nth},
    units::TimeSpan,
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
    /// A process dies, and before it starts again everything is gone from its disk. Left out as
    /// `bit_rot` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_disk: Option<EmptyDisk>,
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
            Some(Kind::EmptyDisk(it)) => fault.empty_disk = Some(it.of(names)),
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
        self.empty_disk.iter_mut().for_each(|it| it.back_after = back_after);
        self
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
