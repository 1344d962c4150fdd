//! A cluster at one epoch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{Epoch, NodeId};

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// What people call it. Unique in the cluster.
    pub name: String,
    /// `host:port` at which the other nodes reach it.
    pub link: String,
}

/// Who is in a cluster, and who holds which slot, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    epoch: Epoch,
    /// By number.
    members: Vec<Member>,
    /// By slot.
    rows: Vec<Vec<NodeId>>,
}

/// What does not fit together in a view.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ViewError {
    /// A cluster without nodes.
    #[error("a view has no member")]
    NoMembers,
    /// A cluster without slots.
    #[error("a view has no slot")]
    NoSlots,
    /// Epochs and numbers of nodes begin with 1.
    #[error("0 is no {0}: they begin with 1")]
    Zero(&'static str),
    /// A number names one node.
    #[error("number {id} is that of `{one}` and of `{other}`")]
    IdTwice {
        /// The number.
        id: NodeId,
        /// Whose it is.
        one: String,
        /// Who has it, too.
        other: String,
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
    /// Somebody has to hold a slot.
    #[error("nobody holds slot {0}")]
    EmptyRow(u32),
    /// A node holds one replica of a slot.
    #[error("node {node} is in the row of slot {slot} twice")]
    RowTwice {
        /// The slot.
        slot: u32,
        /// The node.
        node: NodeId,
    },
    /// Only members hold slots.
    #[error("slot {slot} is held by node {node}, which is no member")]
    NoMember {
        /// The slot.
        slot: u32,
        /// The node.
        node: NodeId,
    },
}

impl View {
    /// A view of these members, in any order; `rows` are the nodes that hold each slot, the
    /// preferred leader first.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn new(
        epoch: Epoch,
        members: impl IntoIterator<Item = Member>,
        rows: Vec<Vec<NodeId>>,
    ) -> Result<Self, ViewError> {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_by_key(|member| member.id);
        if epoch.0 == 0 {
            return Err(ViewError::Zero("epoch"));
        }
        match members.first() {
            None => return Err(ViewError::NoMembers),
            Some(first) if first.id.0 == 0 => return Err(ViewError::Zero("number of a node")),
            Some(_) => {}
        }
        if let Some([one, other]) = twice(&members, |one, other| one.id == other.id) {
            let (id, one, other) = (one.id, one.name.clone(), other.name.clone());
            return Err(ViewError::IdTwice { id, one, other });
        }
        if let Some([one, other]) = twice(&members, |one, other| one.name == other.name) {
            let (name, one, other) = (one.name.clone(), one.id, other.id);
            return Err(ViewError::NameTwice { name, one, other });
        }
        let view = Self { epoch, members, rows };
        view.check_rows()?;
        Ok(view)
    }

    fn check_rows(&self) -> Result<(), ViewError> {
        if self.rows.is_empty() {
            return Err(ViewError::NoSlots);
        }
        for (slot, row) in (0..).zip(&self.rows) {
            if row.is_empty() {
                return Err(ViewError::EmptyRow(slot));
            }
            let mut seen = BTreeSet::new();
            for &node in row {
                if self.member(node).is_none() {
                    return Err(ViewError::NoMember { slot, node });
                }
                if !seen.insert(node) {
                    return Err(ViewError::RowTwice { slot, node });
                }
            }
        }
        Ok(())
    }

    /// Which view of the cluster it is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All members, by number.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of that number.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&id, |member| member.id).ok()?;
        Some(&self.members[at])
    }

    /// The number of the member of that name.
    pub fn id_of(&self, name: &str) -> Option<NodeId> {
        self.members.iter().find(|member| member.name == name).map(|member| member.id)
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The nodes that hold a slot, the preferred leader first.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn row(&self, slot: u32) -> &[NodeId] {
        &self.rows[slot as usize]
    }

    /// The slots that a node holds.
    pub fn slots_of(&self, node: NodeId) -> impl Iterator<Item = u32> + '_ {
        (0..self.slots()).filter(move |slot| self.row(*slot).contains(&node))
    }

    /// What nodes tell each other of it.
    pub fn summary(&self) -> Summary {
        let members = self.members.iter().map(|member| (member.id, member.name.clone()));
        Summary { epoch: self.epoch, members: members.collect() }
    }
}

/// The first two that are alike.
fn twice<T>(all: &[T], alike: impl Fn(&T, &T) -> bool) -> Option<[&T; 2]> {
    all.iter().enumerate().find_map(|(at, one)| {
        all[at + 1..].iter().find(|other| alike(one, other)).map(|other| [one, other])
    })
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
    use super::*;

    fn member(id: u64, name: &str) -> Member {
        Member { id: NodeId(id), name: name.into(), link: format!("{name}:1") }
    }

    fn rows(rows: &[&[u64]]) -> Vec<Vec<NodeId>> {
        rows.iter().map(|row| row.iter().copied().map(NodeId).collect()).collect()
    }

    fn view(members: &[(u64, &str)], of: &[&[u64]]) -> Result<View, String> {
        let members = members.iter().map(|(id, name)| member(*id, name));
        View::new(Epoch::FIRST, members, rows(of)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_follows_from_a_view() {
        let view = view(&[(7, "c"), (1, "a"), (2, "b")], &[&[2, 1], &[7, 2], &[1, 7]]).unwrap();
        assert_eq!(view.members().iter().map(|it| it.id.0).collect::<Vec<_>>(), [1, 2, 7]);
        assert_eq!((view.id_of("c"), view.id_of("d")), (Some(NodeId(7)), None));
        assert_eq!(view.member(NodeId(2)).unwrap().name, "b");
        assert_eq!(view.member(NodeId(3)), None, "numbers may have gaps");
        assert_eq!(view.row(1), [NodeId(7), NodeId(2)]);
        assert_eq!(view.slots_of(NodeId(2)).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(view.slots_of(NodeId(3)).count(), 0);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let ab = [(1, "a"), (2, "b")];
        for (members, of, expected) in [
            (&[][..], &[&[1][..]][..], "a view has no member"),
            (&ab, &[], "a view has no slot"),
            (&[(0, "a")], &[&[0]], "0 is no number of a node: they begin with 1"),
            (&[(1, "a"), (1, "b")], &[&[1]], "number 1 is that of `a` and of `b`"),
            (&[(1, "a"), (2, "a")], &[&[1]], "`a` is the name of nodes 1 and 2"),
            (&ab, &[&[1], &[]], "nobody holds slot 1"),
            (&ab, &[&[1, 2, 1]], "node 1 is in the row of slot 0 twice"),
            (&ab, &[&[1, 3]], "slot 0 is held by node 3, which is no member"),
        ] {
            assert_eq!(view(members, of).unwrap_err(), expected);
        }
        let epoch = View::new(Epoch(0), [member(1, "a")], rows(&[&[1]]));
        assert_eq!(epoch, Err(ViewError::Zero("epoch")));
    }

    #[test]
    fn it_says_in_what_two_views_differ() {
        let one = view(&[(1, "a"), (2, "b")], &[&[1]]).unwrap().summary();
        let other = view(&[(1, "a"), (2, "c")], &[&[1]]).unwrap().summary();
        assert_eq!(one.difference(&one), None);
        assert_eq!(one.difference(&other).unwrap(), "only it has c (2); only this node has b (2)");
        let later = Summary { epoch: Epoch(4), ..one.clone() };
        assert_eq!(one.difference(&later).unwrap(), "its epoch is 4, this node's 1");
    }
}
