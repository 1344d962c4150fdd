//! The kind of a fault, and what all of a kind have in common.

use super::{
    Fault,
    extent::Extent,
    nodes::{
        BitRot, ClockDrift, ClockJump, Crash, EmptyDisk, FailingDisk, Flap, Flood, FullDisk,
        LossyLink, LostWrite, MisdirectedWrite, Pause, PowerCut, ReconnectStorm, SlowDisk,
        SlowLink, Stop, Target,
    },
    partition::Partition,
};

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
    EmptyDisk(&'a EmptyDisk),
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
        kinds.extend(self.empty_disk.as_ref().map(Kind::EmptyDisk));
        kinds.extend(self.flap.as_ref().map(Kind::Flap));
        kinds.extend(self.flood.as_ref().map(Kind::Flood));
        kinds.extend(self.reconnect_storm.as_ref().map(Kind::ReconnectStorm));
        kinds.extend(self.clock_jump.as_ref().map(Kind::ClockJump));
        kinds.extend(self.clock_drift.as_ref().map(Kind::ClockDrift));
        kinds
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
            Kind::EmptyDisk(_) => "empty_disk",
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
            Kind::EmptyDisk(fault) => fault.target(),
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
        matches!(
            self,
            Kind::BitRot(_) | Kind::LostWrite(_) | Kind::MisdirectedWrite(_) | Kind::EmptyDisk(_)
        )
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
            Kind::EmptyDisk(fault) => Some(fault.back_after),
            _ => None,
        }
    }

    /// Whether it goes on for a time that `lasts` names.
    pub fn has_length(&self) -> bool {
        self.back_after().is_none() && !self.is_at_once()
    }
}
