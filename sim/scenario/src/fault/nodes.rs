//! Faults of nodes: which nodes, and what each kind can be told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::extent::Extent;
use crate::{
    delay::Delay,
    units::{Bandwidth, Fraction, SignedSpan, TimeSpan},
};

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
    /// See [`Fault::crash`](super::Fault::crash).
    Crash {
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::power_cut`](super::Fault::power_cut).
    PowerCut {
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::stop`](super::Fault::stop).
    Stop {
        /// When it starts again, if it has ended by then; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::pause`](super::Fault::pause).
    Pause {}
}
node_fault! {
    /// See [`Fault::slow_link`](super::Fault::slow_link): all links to and from the nodes.
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
    /// See [`Fault::lossy_link`](super::Fault::lossy_link): all links to and from the nodes.
    LossyLink {
        /// The share of segments lost.
        loss: Fraction,
        /// Only of what the nodes send.
        one_way: bool,
    }
}
node_fault! {
    /// See [`Fault::slow_disk`](super::Fault::slow_disk).
    SlowDisk {
        /// How many times longer everything takes.
        times: f64,
    }
}
node_fault! {
    /// See [`Fault::full_disk`](super::Fault::full_disk).
    FullDisk {}
}
node_fault! {
    /// See [`Fault::failing_disk`](super::Fault::failing_disk).
    FailingDisk {
        /// The share of operations that fail; default 1.
        share: Fraction,
    }
}
node_fault! {
    /// See [`Fault::bit_rot`](super::Fault::bit_rot).
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
    /// See [`Fault::lost_write`](super::Fault::lost_write).
    LostWrite {
        /// How many are lost; default 1.
        writes: u32,
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::misdirected_write`](super::Fault::misdirected_write).
    MisdirectedWrite {
        /// How many went astray; default 1.
        writes: u32,
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::empty_disk`](super::Fault::empty_disk).
    EmptyDisk {
        /// When it starts again; without it, when the faults are over.
        back_after: Extent,
    }
}
node_fault! {
    /// See [`Fault::flap`](super::Fault::flap): all links to and from the nodes. It begins with them down.
    Flap {
        /// How long they are down each time.
        down: TimeSpan,
        /// How long they are up each time.
        up: TimeSpan,
    }
}
node_fault! {
    /// See [`Fault::flood`](super::Fault::flood).
    Flood {
        /// How many connections are held open to each node; default 100.
        connections: u32,
        /// Each begins a frame and does not end it.
        half_frame: bool,
    }
}
node_fault! {
    /// See [`Fault::reconnect_storm`](super::Fault::reconnect_storm).
    ReconnectStorm {}
}
node_fault! {
    /// See [`Fault::clock_drift`](super::Fault::clock_drift).
    ClockDrift {
        /// By so many millionths too fast, or too slow where it is negative.
        ppm: f64,
    }
}
node_fault! {
    /// See [`Fault::clock_jump`](super::Fault::clock_jump).
    ClockJump {
        /// How far.
        by: SignedSpan,
    }
}
