//! The strategies by their names, and what can be set about them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::PlacementError,
    mix::nth,
    node::Nodes,
    slot::SlotCount,
    strategies::{
        Anchor, BoundedLoad, Continuum, Dx, Flip, Jump, JumpBack, Ketama, Maglev, Memento, Modulo,
        MultiProbe, Points, Random, Rendezvous, Ring, RoundRobin, Slots, Straw2, TwoChoice,
    },
    strategy::Strategy,
    theory,
};

/// With fewer points a node, a chain of CRCs spreads those of nodes with like names more evenly than
/// chance would.
const CRC_CHAIN: u64 = 16;

/// What can be set about strategies. Each uses what concerns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Points on the circle of the lightest node, for `ring` and `bounded-load`.
    pub points_per_node: u32,
    /// The same for `ketama` and `ketama-nginx`; for `ketama` whole digests of four points.
    pub ketama_points: u32,
    /// Positions that a key looks from, for `multi-probe`.
    pub probes: u32,
    /// The least number of table entries, for `maglev`.
    pub table: u32,
    /// How far above its share a node may go, for `bounded-load`.
    pub load_factor: f64,
    /// Buckets, for `anchor`; by default a quarter more than nodes, and some at least.
    pub capacity: Option<usize>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            points_per_node: 100,
            ketama_points: Ketama::POINTS,
            probes: 21,
            table: Maglev::TABLE,
            load_factor: 1.25,
            capacity: None,
        }
    }
}

impl Parameters {
    fn check(&self) -> Result<(), PlacementError> {
        let counts = [
            ("points_per_node", self.points_per_node, 1 << 16),
            ("ketama_points", self.ketama_points, 1 << 16),
            ("probes", self.probes, 1 << 10),
            ("table", self.table, 1 << 26),
        ];
        for (parameter, value, limit) in counts {
            if value == 0 || value > limit {
                return Err(PlacementError::InvalidParameter {
                    parameter,
                    given: value.to_string(),
                    reason: "it must be at least 1 and not absurdly large",
                });
            }
        }
        match self.capacity {
            Some(capacity) if capacity > 1 << 26 => Err(PlacementError::InvalidParameter {
                parameter: "capacity",
                given: capacity.to_string(),
                reason: "more than 2^26 buckets are not supported",
            }),
            _ => Ok(()),
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// The strategies, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum StrategyKind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl StrategyKind {
            /// Every strategy, the flagship first.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name used in scenarios, configurations and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// [`Slots`]
    Slots = "slots",
    /// [`Modulo`]
    Modulo = "modulo",
    /// [`Ring`]
    Ring = "ring",
    /// [`Ketama`] with libketama's points
    Ketama = "ketama",
    /// [`Ketama`] with the points of nginx
    KetamaNginx = "ketama-nginx",
    /// [`Rendezvous`]
    Rendezvous = "rendezvous",
    /// [`Straw2`]
    Straw2 = "straw2",
    /// [`Jump`]
    Jump = "jump",
    /// [`JumpBack`]
    JumpBack = "jumpback",
    /// [`Flip`]
    Flip = "flip",
    /// [`Maglev`]
    Maglev = "maglev",
    /// [`MultiProbe`]
    MultiProbe = "multi-probe",
    /// [`Anchor`]
    Anchor = "anchor",
    /// [`Dx`]
    Dx = "dx",
    /// [`Memento`]
    Memento = "memento",
    /// [`BoundedLoad`]
    BoundedLoad = "bounded-load",
    /// [`TwoChoice`]
    TwoChoice = "two-choice",
    /// [`Random`]
    Random = "random",
    /// [`RoundRobin`]
    RoundRobin = "round-robin",
}

impl StrategyKind {
    /// All names, comma-separated, for messages.
    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }

    /// Whether nodes of unequal weight get unequal shares.
    pub fn honours_weights(self) -> bool {
        match self {
            Self::Slots
            | Self::Ring
            | Self::Ketama
            | Self::KetamaNginx
            | Self::Rendezvous
            | Self::Straw2
            | Self::Maglev
            | Self::MultiProbe
            | Self::BoundedLoad
            | Self::TwoChoice => true,
            Self::Modulo
            | Self::Jump
            | Self::JumpBack
            | Self::Flip
            | Self::Anchor
            | Self::Dx
            | Self::Memento
            | Self::Random
            | Self::RoundRobin => false,
        }
    }

    /// Builds the strategy for keys that fall into `slots` slots and rows of `replicas` nodes.
    pub fn build(
        self,
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
    ) -> Result<Box<dyn Strategy>, PlacementError> {
        self.build_with(nodes, slots, replicas, &Parameters::default())
    }

    /// As [`Self::build`], with parameters that are not the usual ones.
    pub fn build_with(
        self,
        nodes: &Nodes,
        slots: SlotCount,
        replicas: usize,
        with: &Parameters,
    ) -> Result<Box<dyn Strategy>, PlacementError> {
        nodes.check_replicas(replicas)?;
        SlotCount::new(u64::from(slots.get()), nodes.count_up())?;
        with.check()?;
        let capacity = with.capacity.unwrap_or_else(|| Anchor::default_capacity(nodes));
        let (points, factor) = (with.points_per_node, with.load_factor);
        Ok(match self {
            Self::Slots => Box::new(Slots::new(nodes, slots, replicas)?),
            Self::Modulo => Box::new(Modulo::new(nodes, slots)?),
            Self::Ring => Box::new(Ring::new(nodes, points)?),
            Self::Ketama => Box::new(Ketama::new(nodes, Continuum::Libketama, with.ketama_points)?),
            Self::KetamaNginx => {
                Box::new(Ketama::new(nodes, Continuum::Nginx, with.ketama_points)?)
            }
            Self::Rendezvous => Box::new(Rendezvous::new(nodes)),
            Self::Straw2 => Box::new(Straw2::new(nodes)?),
            Self::Jump => Box::new(Jump::new(nodes)),
            Self::JumpBack => Box::new(JumpBack::new(nodes)),
            Self::Flip => Box::new(Flip::new(nodes)),
            Self::Maglev => Box::new(Maglev::new(nodes, with.table)?),
            Self::MultiProbe => Box::new(MultiProbe::new(nodes, with.probes)?),
            Self::Anchor => Box::new(Anchor::new(nodes, capacity)),
            Self::Dx => Box::new(Dx::new(nodes)),
            Self::Memento => Box::new(Memento::new(nodes)),
            Self::BoundedLoad => {
                Box::new(BoundedLoad::new(nodes, slots, replicas, points, factor)?)
            }
            Self::TwoChoice => Box::new(TwoChoice::new(nodes, slots, replicas)?),
            Self::Random => Box::new(Random::new(nodes, slots, replicas)?),
            Self::RoundRobin => Box::new(RoundRobin::new(nodes, slots, replicas)?),
        })
    }

    /// How many points each node that is up has on the strategy's circle, for those that have one.
    ///
    /// # Errors
    /// When the strategy cannot be built for a number of points.
    pub fn points(
        self,
        nodes: &Nodes,
        with: &Parameters,
    ) -> Result<Option<Vec<u64>>, PlacementError> {
        let per_node = match self {
            Self::Ring | Self::BoundedLoad => with.points_per_node,
            Self::MultiProbe => 1,
            Self::Ketama => {
                return Continuum::Libketama.points(nodes, with.ketama_points).map(Some);
            }
            Self::KetamaNginx => {
                return Continuum::Nginx.points(nodes, with.ketama_points).map(Some);
            }
            _ => return Ok(None),
        };
        let points = Points::new(self.name(), nodes, per_node)?;
        Ok(Some(nodes.up().map(|(_, node)| points.of(node)).collect()))
    }

    /// Coefficient of variation of the shares that the strategy's circle gives nodes of equal weight
    /// by its own construction, over all names that they may have. `None` for strategies without a
    /// circle, or with one whose variation nobody has put into a formula, for nodes of unequal
    /// weight, and where it cannot be built.
    pub fn circle_cv(self, nodes: &Nodes, with: &Parameters) -> Option<f64> {
        let mut weights = nodes.up().map(|(_, node)| node.weight);
        let first = weights.next()?;
        if !weights.all(|weight| weight == first) {
            return None;
        }
        let least = match self {
            Self::Ring | Self::Ketama => 1,
            Self::KetamaNginx => CRC_CHAIN,
            _ => return None,
        };
        // All have as many as the first.
        let points = self.points(nodes, with).ok()??[0];
        (points >= least).then(|| theory::ring_cv(nodes.count_up(), points as f64))
    }

    /// Whether the strategy sees only the slot of a key, so that a broker's table of slots places
    /// names exactly as the strategy itself does.
    pub fn works_on_slots(self) -> bool {
        match self {
            Self::Slots
            | Self::Modulo
            | Self::BoundedLoad
            | Self::TwoChoice
            | Self::Random
            | Self::RoundRobin => true,
            Self::Ring
            | Self::Ketama
            | Self::KetamaNginx
            | Self::Rendezvous
            | Self::Straw2
            | Self::Jump
            | Self::JumpBack
            | Self::Flip
            | Self::Maglev
            | Self::MultiProbe
            | Self::Anchor
            | Self::Dx
            | Self::Memento => false,
        }
    }

    /// The key that stands for a whole slot when slots are placed instead of names.
    pub(crate) fn slot_key(self, slot: u32) -> u64 {
        if self.works_on_slots() { u64::from(slot) } else { nth(0, u64::from(slot) + 1) }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StrategyKind {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
            PlacementError::UnknownStrategy { given: name.to_owned(), known: Self::names() }
        })
    }
}
