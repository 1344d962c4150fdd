//! A cluster at one epoch.

use std::collections::BTreeSet;

use paceline_placement::{PlacementError, SlotCount};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    id::{Epoch, NodeId},
    member::{Founder, Layout, Member, MemberState},
    policy::Policies,
    rows,
};

/// Who is in a cluster, and who is to hold which group, at one epoch.
///
/// The groups `0..slots` are those of destinations. One more, numbered `slots`, is the metadata
/// shard, which holds the view itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct View(pub(crate) Parts);

/// What a view consists of, whether or not it fits together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parts {
    pub(crate) epoch: Epoch,
    pub(crate) layout: Layout,
    /// Given to nobody yet.
    pub(crate) next_id: NodeId,
    /// By number.
    pub(crate) members: Vec<Member>,
    /// By group.
    pub(crate) rows: Vec<Vec<NodeId>>,
    /// None before the founders' are written down, or any are set.
    pub(crate) policies: Option<Policies>,
}

/// What does not fit together in a view.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ViewError {
    /// A cluster without nodes.
    #[error("a view has no member")]
    NoMembers,
    /// Epochs and numbers of nodes begin with 1.
    #[error("0 is no {0}: they begin with 1")]
    Zero(&'static str),
    /// No cluster changes so often, and the next one must be a number, too.
    #[error("{0} is beyond the last epoch or number of a node that may be given")]
    Beyond(u64),
    /// Members stand by number.
    #[error("node {after} stands behind node {before}: members stand by number, each of them once")]
    Order {
        /// Who stands before.
        before: NodeId,
        /// Who stands behind, and should not.
        after: NodeId,
    },
    /// A number is given once.
    #[error("node {id} is a member, and the next number to be given is {next}")]
    NotGiven {
        /// The member.
        id: NodeId,
        /// The next number.
        next: NodeId,
    },
    /// A name names one node.
    #[error("`{name}` is the name of nodes {one} and {other}")]
    NameTwice {
        /// The name.
        name: String,
        /// Whose it is.
        one: NodeId,
        /// Who has it, too.
        other: NodeId,
    },
    /// Names stand in files, addresses and commands.
    #[error("`{0}` is not a name: 1 to 64 letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// Nobody can be reached there.
    #[error("`{link}` is not where `{name}` can be reached: write host:port")]
    Link {
        /// The member.
        name: String,
        /// What is no address.
        link: String,
    },
    /// What peers tell each other of a member has a bound.
    #[error("the address and the zone of `{0}` may have {MAX_TEXT_BYTES} bytes each")]
    TooLong(String),
    /// A share cannot be computed from this weight.
    #[error("`{name}` has weight {weight}; a weight is a number above 0")]
    Weight {
        /// The member.
        name: String,
        /// What is no weight.
        weight: f64,
    },
    /// A mark is that of a node which has joined.
    #[error("the number of `{0}` waits for a node, and has the mark of one")]
    MarkOfReserved(String),
    /// There is a row for every slot, and that of the metadata shard.
    #[error("{slots} slots and the metadata shard have {rows} rows")]
    Rows {
        /// Slots of the layout.
        slots: u32,
        /// Rows that there are.
        rows: usize,
    },
    /// A row is as long as there are copies.
    #[error("the row of group {group} has {nodes} nodes, which is not what it is to have")]
    RowLength {
        /// The group.
        group: u32,
        /// The nodes in its row.
        nodes: usize,
    },
    /// A node holds one replica of a group.
    #[error("node {node} is in the row of group {group} twice")]
    RowTwice {
        /// The group.
        group: u32,
        /// The node.
        node: NodeId,
    },
    /// Only active members that have joined stand in rows.
    #[error("node {node} is in the row of group {group}, and is no active member")]
    NotActive {
        /// The group.
        group: u32,
        /// The node.
        node: NodeId,
    },
    /// The members cannot hold so many slots or replicas.
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

impl TryFrom<Parts> for View {
    type Error = ViewError;

    fn try_from(parts: Parts) -> Result<Self, ViewError> {
        parts.check_members()?;
        parts.check_rows()?;
        Ok(Self(parts))
    }
}

impl From<View> for Parts {
    fn from(view: View) -> Self {
        view.0
    }
}

impl Parts {
    fn member(&self, id: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        Some(&self.members[at])
    }

    pub(crate) fn check_members(&self) -> Result<(), ViewError> {
        for (number, what) in [(self.epoch.0, "epoch"), (self.next_id.0, "number of a node")] {
            match number {
                0 => return Err(ViewError::Zero(what)),
                1..=LAST => {}
                _ => return Err(ViewError::Beyond(number)),
            }
        }
        match self.members.first() {
            None => return Err(ViewError::NoMembers),
            Some(first) if first.id.0 == 0 => return Err(ViewError::Zero("number of a node")),
            Some(_) => {}
        }
        if let Some(pair) = self.members.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Err(ViewError::Order { before: pair[0].id, after: pair[1].id });
        }
        for (at, member) in self.members.iter().enumerate() {
            check_member(member)?;
            if member.id >= self.next_id {
                return Err(ViewError::NotGiven { id: member.id, next: self.next_id });
            }
            if let Some(one) = self.members[..at].iter().find(|one| one.name == member.name) {
                let (name, one, other) = (member.name.clone(), one.id, member.id);
                return Err(ViewError::NameTwice { name, one, other });
            }
        }
        Ok(())
    }

    fn check_rows(&self) -> Result<(), ViewError> {
        let Layout { replicas, slots, .. } = self.layout;
        SlotCount::new(slots.into(), 1)?;
        if self.rows.len() as u64 != u64::from(slots) + 1 {
            return Err(ViewError::Rows { slots, rows: self.rows.len() });
        }
        for (group, row) in (0..).zip(&self.rows) {
            if row.is_empty() || (group < slots && row.len() != replicas) {
                return Err(ViewError::RowLength { group, nodes: row.len() });
            }
            let mut seen = BTreeSet::new();
            for &node in row {
                if !self.member(node).is_some_and(Member::is_placeable) {
                    return Err(ViewError::NotActive { group, node });
                }
                if !seen.insert(node) {
                    return Err(ViewError::RowTwice { group, node });
                }
            }
        }
        Ok(())
    }
}

/// The longest address or zone of a member: an address has to fit into what peers say first.
const MAX_TEXT_BYTES: usize = 255;

/// The greatest epoch and the greatest number of a node: those that follow are numbers, too.
const LAST: u64 = u64::MAX >> 1;

fn check_member(member: &Member) -> Result<(), ViewError> {
    let (name, link, weight) = (&member.name, &member.link, member.weight);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
        return Err(ViewError::Name(name.clone()));
    }
    let is_address = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    if !link.rsplit_once(':').is_some_and(is_address) {
        return Err(ViewError::Link { name: name.clone(), link: link.clone() });
    }
    let texts = std::iter::once(link).chain(&member.zone);
    if texts.into_iter().any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(ViewError::TooLong(name.clone()));
    }
    if !(weight.is_finite() && weight > 0.0) {
        return Err(ViewError::Weight { name: name.clone(), weight });
    }
    if member.reserved && member.mark.is_some() {
        return Err(ViewError::MarkOfReserved(name.clone()));
    }
    Ok(())
}

impl View {
    /// The view that a cluster begins with: its founders are numbered by name from 1, and the
    /// groups placed on them.
    ///
    /// # Errors
    /// If the founders do not fit together, or cannot hold so many slots or replicas.
    pub fn founded(
        layout: Layout,
        founders: impl IntoIterator<Item = Founder>,
    ) -> Result<Self, ViewError> {
        let mut founders: Vec<Founder> = founders.into_iter().collect();
        founders.sort_by(|a, b| a.name.cmp(&b.name));
        let ids = (1..).map(NodeId);
        let members: Vec<Member> = ids
            .zip(founders)
            .map(|(id, Founder { name, link, zone, weight })| {
                let (state, reserved, mark) = (MemberState::Active, false, None);
                Member { id, name, link, zone, weight, state, reserved, mark }
            })
            .collect();
        let mut rows = rows::placed(&layout, &members)?;
        rows.push(rows::metadata(&layout, &members, &[]));
        let next_id = NodeId(members.len() as u64 + 1);
        let (epoch, policies) = (Epoch::FIRST, None);
        Self::try_from(Parts { epoch, layout, next_id, members, rows, policies })
    }

    /// Which view of the cluster it is.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// How destinations are laid out.
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// The number of the node that joins next.
    pub fn next_id(&self) -> NodeId {
        self.0.next_id
    }

    /// What holds for some destinations only. None before that is written down which the founders
    /// began with, or any is set.
    pub fn policies(&self) -> Option<&Policies> {
        self.0.policies.as_ref()
    }

    /// All members, by number.
    pub fn members(&self) -> &[Member] {
        &self.0.members
    }

    /// The member of that number.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.0.member(id)
    }

    /// The number of the member of that name.
    pub fn id_of(&self, name: &str) -> Option<NodeId> {
        self.members().iter().find(|member| member.name == name).map(|member| member.id)
    }

    /// Whether that number was a member's, and that member was forgotten.
    pub fn was_removed(&self, id: NodeId) -> bool {
        (1..self.next_id().0).contains(&id.0) && self.member(id).is_none()
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.0.layout.slots
    }

    /// How many groups there are: one for each slot, and the metadata shard.
    pub fn groups(&self) -> u32 {
        self.slots() + 1
    }

    /// The number of the metadata shard.
    pub fn metadata(&self) -> u32 {
        self.slots()
    }

    /// The nodes that are to hold a group, the preferred leader first.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn row(&self, group: u32) -> &[NodeId] {
        &self.0.rows[group as usize]
    }

    /// The slots that a node is to hold.
    pub fn slots_of(&self, node: NodeId) -> impl Iterator<Item = u32> + '_ {
        let slots = self.slots();
        self.groups_of(node).filter(move |group| *group < slots)
    }

    /// The groups that a node is to hold: its slots, and the metadata shard if it is in that row.
    pub fn groups_of(&self, node: NodeId) -> impl Iterator<Item = u32> + '_ {
        (0..self.groups()).filter(move |group| self.row(*group).contains(&node))
    }

    /// The same to somebody who reaches a member at another address than its peers do.
    pub fn seen_from(&self, id: NodeId, link: &str) -> Self {
        let mut parts = self.0.clone();
        for member in parts.members.iter_mut().filter(|member| member.id == id) {
            link.clone_into(&mut member.link);
        }
        Self(parts)
    }

    /// What nodes tell each other of it.
    pub fn summary(&self) -> Summary {
        let members = self.members().iter().map(|member| (member.id, member.name.clone()));
        Summary { epoch: self.epoch(), members: members.collect() }
    }
}

/// What a node tells another one of its view: enough to find out in what two of them differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Which view of the cluster it is.
    pub epoch: Epoch,
    /// Its members by number, and their names.
    pub members: Vec<(NodeId, String)>,
}

impl Summary {
    /// In what another node's view differs from this node's; none if it does not.
    pub fn difference(&self, others: &Self) -> Option<String> {
        let only_in = |one: &Self, other: &Self| {
            let only = one.members.iter().filter(|member| !other.members.contains(member));
            only.map(|(id, name)| format!("{name} ({id})")).collect::<Vec<_>>().join(", ")
        };
        let (here, there) = (only_in(self, others), only_in(others, self));
        let mut words = Vec::new();
        if self.epoch != others.epoch {
            words.push(format!("its epoch is {}, this node's {}", others.epoch, self.epoch));
        }
        if !there.is_empty() {
            words.push(format!("only it has {there}"));
        }
        if !here.is_empty() {
            words.push(format!("only this node has {here}"));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use paceline_placement::{Node, NodeState, Nodes, Placement, StrategyKind};

    use super::*;

    fn founder(name: &str) -> Founder {
        Founder { name: name.into(), link: format!("{name}:1"), zone: None, weight: 1.0 }
    }

    fn layout(replicas: usize, slots: u32) -> Layout {
        Layout { replicas, slots, strategy: StrategyKind::Slots }
    }

    fn founded(names: &[&str]) -> View {
        let founders = names.iter().map(|name| founder(name));
        View::founded(layout(2, 3), founders).unwrap()
    }

    #[test]
    fn what_follows_from_a_view() {
        let mut parts = Parts::from(founded(&["c", "a", "b"]));
        parts.members[2].id = NodeId(7);
        parts.next_id = NodeId(9);
        let rows = [&[2, 1][..], &[7, 2], &[1, 7], &[1, 2, 7]];
        parts.rows = rows.map(|row| row.iter().copied().map(NodeId).collect()).into();
        let view = View::try_from(parts).unwrap();
        assert_eq!((view.id_of("c"), view.id_of("d")), (Some(NodeId(7)), None));
        assert_eq!(view.member(NodeId(2)).unwrap().name, "b");
        assert_eq!(view.member(NodeId(3)), None, "numbers may have gaps");
        let removed = [0, 2, 3, 8, 9].map(|id| view.was_removed(NodeId(id)));
        assert_eq!(removed, [false, false, true, true, false]);
        assert_eq!((view.slots(), view.groups(), view.metadata()), (3, 4, 3));
        assert_eq!(view.row(1), [NodeId(7), NodeId(2)]);
        assert_eq!(view.slots_of(NodeId(2)).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(view.groups_of(NodeId(2)).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(view.groups_of(NodeId(3)).count(), 0);
    }

    #[test]
    fn what_a_member_says_of_itself_has_a_bound() {
        for (host, zone, fits) in
            [(253, 255, true), (254, 1, false), (1, 256, false), (1 << 20, 0, false)]
        {
            let (link, zone) = (format!("{}:1", "h".repeat(host)), Some("z".repeat(zone)));
            let members = [Founder { name: "a".into(), link, zone, weight: 1.0 }];
            let view = View::founded(layout(1, 3), members);
            assert_eq!(view.map_err(|error| error.to_string()).is_ok(), fits, "{host}");
        }
    }

    #[test]
    fn founders_are_numbered_by_name() {
        let view = founded(&["n3", "n10", "n1"]);
        let names: Vec<_> = view.members().iter().map(|it| (it.id.0, &it.name[..])).collect();
        assert_eq!(names, [(1, "n1"), (2, "n10"), (3, "n3")], "in the order of letters");
        assert_eq!((view.epoch(), view.next_id()), (Epoch(1), NodeId(4)));
    }

    /// A cluster that runs has its rows on its disks: they must not be others after an update.
    #[test]
    fn a_cluster_has_the_rows_that_it_was_founded_with() {
        let founders = || {
            (0..5u8).rev().map(|at| {
                let (name, link) = (format!("n{at}"), format!("n{at}:1"));
                let zone = (at > 0).then(|| format!("z{}", at % 3));
                Founder { name, link, zone, weight: 1.0 + f64::from(at) / 4.0 }
            })
        };
        let nodes = founders().map(|Founder { name, zone, weight, .. }| {
            let (name, state) = (name.into_bytes(), NodeState::Up);
            Node { name, weight, zone, state }
        });
        let nodes = Nodes::new(nodes).unwrap();
        let slots = SlotCount::new(64, 5).unwrap();
        for strategy in StrategyKind::ALL.iter().copied() {
            let layout = Layout { replicas: 3, slots: 64, strategy };
            let view = View::founded(layout, founders()).unwrap();
            let placement = Placement::new(strategy, &nodes, slots, 3).unwrap();
            for (slot, row) in placement.iter() {
                let ids: Vec<u64> = row.iter().map(|index| u64::from(index.0) + 1).collect();
                let found: Vec<u64> = view.row(slot.0).iter().map(|id| id.0).collect();
                assert_eq!(found, ids, "{strategy}, slot {slot}");
            }
        }
        let view = View::founded(layout(3, 4), ["a", "b", "c", "d"].map(founder)).unwrap();
        let rows: Vec<Vec<u64>> =
            (0..4).map(|slot| view.row(slot).iter().map(|id| id.0).collect()).collect();
        assert_eq!(rows, [[1, 2, 3], [2, 1, 4], [3, 4, 1], [4, 3, 2]]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refused = |break_it: fn(&mut Parts)| {
            let mut parts = Parts::from(founded(&["a", "b", "c"]));
            break_it(&mut parts);
            View::try_from(parts).unwrap_err().to_string()
        };
        type Case = (fn(&mut Parts), &'static str);
        let cases: &[Case] = &[
            (|view| view.members.clear(), "a view has no member"),
            (|view| view.epoch = Epoch(0), "0 is no epoch: they begin with 1"),
            (|view| view.next_id = NodeId(0), "0 is no number of a node: they begin with 1"),
            (|view| view.members[0].id = NodeId(0), "0 is no number of a node: they begin with 1"),
            (|view| view.epoch = Epoch(u64::MAX), "18446744073709551615 is beyond the last"),
            (|view| view.members.swap(0, 1), "node 1 stands behind node 2: members stand by"),
            (|view| view.members[0].id = NodeId(2), "node 2 stands behind node 2: members stand"),
            (|view| view.next_id = NodeId(3), "node 3 is a member, and the next number to be"),
            (|view| view.members[2].name = "a".into(), "`a` is the name of nodes 1 and 3"),
            (|view| view.members[2].name = "a b".into(), "`a b` is not a name: 1 to 64 letters"),
            (|view| view.members[2].name = "a".repeat(65), "`aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            (|view| view.members[0].link = ":1".into(), "`:1` is not where `a` can be reached"),
            (|view| view.members[0].link = "a:x".into(), "`a:x` is not where `a` can be reached"),
            (|view| view.members[0].weight = f64::NAN, "`a` has weight NaN; a weight is a number"),
            (|view| view.members[0].weight = 0.0, "`a` has weight 0; a weight is a number above"),
            (
                |view| {
                    view.members[0].reserved = true;
                    view.members[0].mark = Some(1);
                },
                "the number of `a` waits for a node, and has the mark of one",
            ),
            (|view| view.layout.slots = u32::MAX, "4294967295 slots are more than the 16777216"),
            (|view| view.layout.slots = 0, "0 slots cannot occupy 1 nodes"),
            (|view| view.layout.slots = 4, "4 slots and the metadata shard have 4 rows"),
            (|view| view.rows.truncate(0), "3 slots and the metadata shard have 0 rows"),
            (|view| view.layout.replicas = 3, "the row of group 0 has 2 nodes, which is not"),
            (|view| view.rows[3].clear(), "the row of group 3 has 0 nodes, which is not"),
            (|view| view.rows[1] = vec![NodeId(1); 2], "node 1 is in the row of group 1 twice"),
            (|view| view.rows[3] = vec![NodeId(4)], "node 4 is in the row of group 3, and is no"),
            (|view| view.members[0].state = MemberState::Draining, "node 1 is in the row of group"),
            (|view| view.members[0].reserved = true, "node 1 is in the row of group"),
        ];
        for (break_it, expected) in cases {
            let error = refused(*break_it);
            assert!(error.starts_with(expected), "{error} does not start with {expected}");
        }
        let founded = View::founded(layout(4, 8), ["a", "b", "c"].map(founder));
        let too_few = PlacementError::TooFewNodes { replicas: 4, nodes: 3 };
        assert_eq!(founded, Err(ViewError::Placement(too_few)));
        assert!(View::founded(layout(1, 8), ["a", "a b"].map(founder)).is_err());
    }

    #[test]
    fn a_view_is_read_as_written_and_checked() {
        let view = founded(&["a", "b"]);
        let bytes = postcard::to_stdvec(&view).unwrap();
        assert_eq!(postcard::from_bytes::<View>(&bytes).unwrap(), view);
        let mut parts = Parts::from(view);
        parts.rows[0][0] = NodeId(3);
        let bytes = postcard::to_stdvec(&parts).unwrap();
        assert!(postcard::from_bytes::<Parts>(&bytes).is_ok());
        assert!(postcard::from_bytes::<View>(&bytes).is_err());
    }

    #[test]
    fn it_says_in_what_two_views_differ() {
        let (one, other) = (founded(&["a", "b"]).summary(), founded(&["a", "c"]).summary());
        assert_eq!(one.difference(&one), None);
        assert_eq!(one.difference(&other).unwrap(), "only it has c (2); only this node has b (2)");
        let later = Summary { epoch: Epoch(4), ..one.clone() };
        assert_eq!(one.difference(&later).unwrap(), "its epoch is 4, this node's 1");
    }
}
