//! What an operator or a node that joins may ask of a cluster, and the view that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use paceline_placement::StrategyKind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    id::{Epoch, NodeId},
    member::{Member, MemberState},
    rows::{self, Zone},
    view::{Parts, View, ViewError},
};

/// A change that is asked for. Asked for again, it changes nothing more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A node asks to be a member: of a number of its own, or of the one that waits for its name.
    Join {
        /// Its name.
        name: String,
        /// Where it can be reached. A member that asks again may have moved.
        link: String,
        /// The zone it is in. A member that asks again may have moved.
        zone: Option<String>,
        /// The weight it begins with. Of a member, and of a number that waits, the weight stays,
        /// since [`Change::Weight`] may have changed it.
        weight: f64,
        /// Drawn by the node once and kept.
        mark: u64,
    },
    /// A number is to wait for a node that will join by this name. Of a member: it is not to be
    /// drained or removed any more, and what is known of it stays, once it has joined.
    Add {
        /// Its name.
        name: String,
        /// Where it will be reached. Of one that has joined: where it is, or empty.
        link: String,
        /// The zone it will be in.
        zone: Option<String>,
        /// The weight it will have.
        weight: f64,
    },
    /// The member is to hold nothing, and to stay a member. One that is being removed is on its
    /// way there, and goes on.
    Drain {
        /// Its name.
        name: String,
        /// Even if all copies are in one zone then.
        force: bool,
    },
    /// The member is to hold nothing, and then to be forgotten.
    Remove {
        /// Its name.
        name: String,
        /// Even if all copies are in one zone then.
        force: bool,
    },
    /// A member that holds nothing is to hold what another one has, with its weight; and that one is to
    /// be removed.
    Replace {
        /// The name of the one that goes.
        old: String,
        /// The name of the one that takes its place.
        new: String,
        /// Even if other copies have to move then.
        force: bool,
    },
    /// No shard has the member that is being removed any more.
    Forget {
        /// Its name.
        name: String,
    },
    /// The member is to take another share of the load.
    Weight {
        /// Its name.
        name: String,
        /// The weight.
        weight: f64,
    },
    /// The rows are to be balanced.
    Rebalance,
}

/// Why a change is refused, and what to do instead.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum ChangeError {
    /// Nobody has that name.
    #[error("no member is called `{name}`; the members are {members}")]
    UnknownNode {
        /// The name.
        name: String,
        /// Their names, by number, comma-separated.
        members: String,
    },
    /// The name is another node's.
    #[error(
        "`{name}` is the name of node {id} at {link}, which is another node: take another name; or, \
         if its disk was lost, run `paceline cluster remove {name}` first, then join again"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        id: NodeId,
        /// Where that one is reached.
        link: String,
    },
    /// The name is that of a member that is being removed.
    #[error(
        "`{name}` is being removed: wait until `paceline cluster status` does not list it any more, \
         then join again; or keep it with `paceline cluster add {name}`"
    )]
    BeingRemoved {
        /// The name.
        name: String,
    },
    /// The address is another node's.
    #[error(
        "{link} is the address of `{owner}`: give `{name}` another one; or, if it takes the place of \
         `{owner}`, wait until that one is removed and forgotten"
    )]
    LinkTaken {
        /// Who asks for it.
        name: String,
        /// The address.
        link: String,
        /// Whose it is.
        owner: String,
        /// Whether that one is being removed.
        is_leaving: bool,
    },
    /// The node has joined by another name.
    #[error("this node has joined as `{owner}`: set its `node.name` to that again")]
    Renamed {
        /// The name that it joined by.
        owner: String,
    },
    /// Nobody would be left to hold anything.
    #[error("`{name}` is the last active member: join another node first")]
    LastActive {
        /// The member.
        name: String,
    },
    /// Rows would be too short.
    #[error(
        "{replicas} copies of every slot need {replicas} active members, and without `{name}` there \
         are {left}: join another node first"
    )]
    TooFewLeft {
        /// The member.
        name: String,
        /// Active members without it.
        left: usize,
        /// Copies of every slot.
        replicas: usize,
    },
    /// One failure of a zone would take all copies.
    #[error(
        "`{name}` is the last active member outside zone `{zone}`, and without it all copies are in \
         that one: join a node in another zone first, or say `--force`"
    )]
    LastOtherZone {
        /// The member.
        name: String,
        /// The zone of all others.
        zone: String,
    },
    /// Only who is being removed can be forgotten.
    #[error("`{name}` is not being removed: run `paceline cluster remove {name}` first")]
    NotLeaving {
        /// The member.
        name: String,
    },
    /// The number of the one that is to take another's place still waits for its node.
    #[error(
        "`{name}` has not joined yet: start it with `paceline serve --join`, and let it hold nothing \
         until then with `paceline cluster drain {name}`"
    )]
    NotJoined {
        /// The member.
        name: String,
    },
    /// Who takes another's place must hold nothing.
    #[error(
        "`{name}` holds shards of its own: run `paceline cluster drain {name}` first, or take a node \
         that holds nothing"
    )]
    HoldsShards {
        /// The member.
        name: String,
    },
    /// There is nothing to take over.
    #[error(
        "`{name}` is not to hold anything any more, so nobody can take its place: keep it with \
         `paceline cluster add {name}`, or remove it"
    )]
    HoldsNothing {
        /// The member.
        name: String,
    },
    /// Rows would be worse with one in the place of the other.
    #[error(
        "with `{new}` in the place of `{old}` shards would have copies in fewer zones: start it in the \
         zone of `{old}`; or say `--force`, and other copies move, too"
    )]
    FewerZones {
        /// Who goes.
        old: String,
        /// Who takes its place.
        new: String,
    },
    /// Rows follow from the names of the members.
    #[error(
        "slots are placed by `{strategy}`, which goes by names, so that more moves than what `{old}` \
         holds: join `{new}` first, then remove `{old}`"
    )]
    PlacedByName {
        /// Who goes.
        old: String,
        /// Who takes its place.
        new: String,
        /// How slots are placed.
        strategy: StrategyKind,
    },
    /// What would follow does not fit together.
    #[error("{0}")]
    View(String),
}

impl ChangeError {
    /// Whether the same change may well be possible soon, though nobody asks for anything else: another
    /// one is on its way that makes room for it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::BeingRemoved { .. } | Self::LinkTaken { is_leaving: true, .. })
    }
}

impl From<ViewError> for ChangeError {
    fn from(error: ViewError) -> Self {
        Self::View(error.to_string())
    }
}

impl View {
    /// The view that follows from this one by a change; none if all is as asked for already.
    ///
    /// # Errors
    /// Why the change is refused.
    pub fn changed(&self, change: &Change) -> Result<Option<Self>, ChangeError> {
        let mut next = self.0.clone();
        let mut keeps_rows = false;
        match change {
            Change::Join { name, link, zone, weight, mark } => {
                next.join(name, link, zone.as_deref(), *weight, *mark)?;
            }
            Change::Add { name, link, zone, weight } => {
                next.add(name, link, zone.as_deref(), *weight)?;
            }
            Change::Drain { name, force } => next.vacate(name, MemberState::Draining, *force)?,
            Change::Remove { name, force } => next.vacate(name, MemberState::Leaving, *force)?,
            Change::Replace { old, new, force } => {
                next.replace(old, new, *force)?;
                keeps_rows = !force;
            }
            Change::Forget { name } => {
                next.forget(name)?;
                keeps_rows = true;
            }
            Change::Weight { name, weight } => {
                let at = next.require(name)?;
                next.members[at].weight = *weight;
            }
            Change::Rebalance => {}
        }
        next.check_members()?;
        if !keeps_rows {
            next.place()?;
        }
        if next == self.0 {
            return Ok(None);
        }
        next.epoch = Epoch(next.epoch.0 + 1);
        Ok(Some(Self::try_from(next)?))
    }
}

impl Parts {
    fn find(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    fn require(&self, name: &str) -> Result<usize, ChangeError> {
        self.find(name).ok_or_else(|| {
            let names: Vec<_> = self.members.iter().map(|member| &member.name[..]).collect();
            ChangeError::UnknownNode { name: name.into(), members: names.join(", ") }
        })
    }

    fn join(
        &mut self,
        name: &str,
        link: &str,
        zone: Option<&str>,
        weight: f64,
        mark: u64,
    ) -> Result<(), ChangeError> {
        let joined = |member: &&Member| member.mark == Some(mark) && member.name != name;
        if let Some(member) = self.members.iter().find(joined) {
            return Err(ChangeError::Renamed { owner: member.name.clone() });
        }
        let at = match self.find(name) {
            None => self.reserve(name, weight),
            Some(at) => at,
        };
        let member = &mut self.members[at];
        if member.reserved && member.state == MemberState::Leaving {
            return Err(ChangeError::BeingRemoved { name: name.into() });
        }
        if !member.reserved && member.mark != Some(mark) {
            return Err(member.name_is_taken());
        }
        (member.reserved, member.mark) = (false, Some(mark));
        self.move_to(at, link, zone)
    }

    fn add(
        &mut self,
        name: &str,
        link: &str,
        zone: Option<&str>,
        weight: f64,
    ) -> Result<(), ChangeError> {
        let at = match self.find(name) {
            None => self.reserve(name, weight),
            Some(at) => at,
        };
        let member = &mut self.members[at];
        member.state = MemberState::Active;
        if member.reserved {
            member.weight = weight;
            return self.move_to(at, link, zone);
        }
        if link.is_empty() || link == member.link { Ok(()) } else { Err(member.name_is_taken()) }
    }

    /// A number for a node that has not joined yet.
    fn reserve(&mut self, name: &str, weight: f64) -> usize {
        let id = self.next_id;
        self.next_id = NodeId(id.0 + 1);
        let (name, link) = (name.into(), String::new());
        let (state, reserved) = (MemberState::Active, true);
        self.members.push(Member {
            id,
            name,
            link,
            zone: None,
            weight,
            state,
            reserved,
            mark: None,
        });
        self.members.len() - 1
    }

    fn move_to(&mut self, at: usize, link: &str, zone: Option<&str>) -> Result<(), ChangeError> {
        let name = &self.members[at].name;
        let owns = |member: &&Member| member.link == link && member.name != *name;
        if let Some(owner) = self.members.iter().find(owns) {
            let is_leaving = owner.state == MemberState::Leaving;
            let (name, link, owner) = (name.clone(), link.into(), owner.name.clone());
            return Err(ChangeError::LinkTaken { name, link, owner, is_leaving });
        }
        let member = &mut self.members[at];
        (member.link, member.zone) = (link.into(), zone.map(Into::into));
        Ok(())
    }

    /// Has a member hold nothing any more.
    fn vacate(&mut self, name: &str, to: MemberState, force: bool) -> Result<(), ChangeError> {
        let at = self.require(name)?;
        if self.members[at].is_placeable() {
            self.check_without(at, force)?;
        }
        let state = &mut self.members[at].state;
        *state = to.max(*state);
        Ok(())
    }

    /// Has one member stand in the rows of another, which is removed.
    fn replace(&mut self, old: &str, new: &str, force: bool) -> Result<(), ChangeError> {
        let (goes, comes) = (self.require(old)?, self.require(new)?);
        let (old_id, new_id) = (self.members[goes].id, self.members[comes].id);
        if self.members[comes].reserved {
            return Err(ChangeError::NotJoined { name: new.into() });
        }
        match (self.members[goes].state, self.members[comes].state) {
            // It has taken its place already.
            (MemberState::Leaving, MemberState::Active) => return Ok(()),
            (_, MemberState::Leaving) => {
                return Err(ChangeError::BeingRemoved { name: new.into() });
            }
            _ if self.members[goes].is_placeable() => {}
            _ => return Err(ChangeError::HoldsNothing { name: old.into() }),
        }
        if self.rows.iter().any(|row| row.contains(&new_id)) {
            return Err(ChangeError::HoldsShards { name: new.into() });
        }
        let strategy = self.layout.strategy;
        if strategy != StrategyKind::Slots && !force {
            let (old, new) = (old.into(), new.into());
            return Err(ChangeError::PlacedByName { old, new, strategy });
        }
        self.members[goes].state = MemberState::Leaving;
        self.members[comes].state = MemberState::Active;
        self.members[comes].weight = self.members[goes].weight;
        let zones: BTreeMap<NodeId, Zone> =
            self.members.iter().map(|member| (member.id, Zone::of(member))).collect();
        let spread = |row: &[NodeId]| row.iter().map(|id| zones[id]).collect::<BTreeSet<_>>().len();
        let mut loses_zones = false;
        for row in &mut self.rows {
            let before = spread(row);
            row.iter_mut().filter(|node| **node == old_id).for_each(|node| *node = new_id);
            loses_zones |= spread(row) < before;
        }
        if loses_zones && !force {
            let (old, new) = (old.into(), new.into());
            return Err(ChangeError::FewerZones { old, new });
        }
        Ok(())
    }

    /// Whether the others can hold everything.
    fn check_without(&self, at: usize, force: bool) -> Result<(), ChangeError> {
        let member = &self.members[at];
        let others = || self.members.iter().filter(|it| it.is_placeable() && it.id != member.id);
        let (left, replicas) = (others().count(), self.layout.replicas);
        let name = member.name.clone();
        if left == 0 {
            return Err(ChangeError::LastActive { name });
        }
        if left < replicas {
            return Err(ChangeError::TooFewLeft { name, left, replicas });
        }
        let zones: BTreeSet<Zone> = others().map(Zone::of).collect();
        match (zones.len(), zones.first()) {
            (1, Some(zone @ Zone::Named(called))) if *zone != Zone::of(member) && !force => {
                Err(ChangeError::LastOtherZone { name, zone: (*called).into() })
            }
            _ => Ok(()),
        }
    }

    fn forget(&mut self, name: &str) -> Result<(), ChangeError> {
        let Some(at) = self.find(name) else { return Ok(()) };
        if self.members[at].state != MemberState::Leaving {
            return Err(ChangeError::NotLeaving { name: name.into() });
        }
        self.members.remove(at);
        Ok(())
    }

    /// Makes the rows that these members are to have, from those that there are.
    fn place(&mut self) -> Result<(), ViewError> {
        let metadata = self.rows.pop().expect("there is the metadata shard's");
        self.rows = rows::replaced(&self.layout, &self.members, &self.rows)?;
        self.rows.push(rows::metadata(&self.layout, &self.members, &metadata));
        Ok(())
    }
}

impl Member {
    fn name_is_taken(&self) -> ChangeError {
        let (name, id, link) = (self.name.clone(), self.id, self.link.clone());
        ChangeError::NameTaken { name, id, link }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Founder, Layout};

    /// Nodes `n1`, `n2` and so on, each in the zone of that letter or in none for `-`.
    fn founded(replicas: usize, zones: &str) -> View {
        let layout = Layout { replicas, slots: 16, strategy: StrategyKind::Slots };
        let founders = zones.chars().zip(1..).map(|(zone, number)| {
            let (name, link) = (format!("n{number}"), format!("n{number}:1"));
            let zone = (zone != '-').then(|| zone.to_string());
            Founder { name, link, zone, weight: 1.0 }
        });
        View::founded(layout, founders).unwrap()
    }

    fn join(name: &str, link: &str, mark: u64) -> Change {
        Change::Join { name: name.into(), link: link.into(), zone: None, weight: 1.0, mark }
    }

    fn add(name: &str, link: &str) -> Change {
        Change::Add { name: name.into(), link: link.into(), zone: None, weight: 2.0 }
    }

    fn drain(name: &str) -> Change {
        Change::Drain { name: name.into(), force: false }
    }

    fn remove(name: &str) -> Change {
        Change::Remove { name: name.into(), force: false }
    }

    fn forget(name: &str) -> Change {
        Change::Forget { name: name.into() }
    }

    fn weigh(name: &str, weight: f64) -> Change {
        Change::Weight { name: name.into(), weight }
    }

    /// After these changes, of which each one changes something.
    fn after(view: View, changes: &[Change]) -> View {
        changes.iter().fold(view, |view, change| {
            let next = view.changed(change).unwrap_or_else(|error| panic!("{change:?}: {error}"));
            next.unwrap_or_else(|| panic!("{change:?} changes nothing"))
        })
    }

    fn refused(view: &View, change: &Change) -> String {
        view.changed(change).unwrap_err().to_string()
    }

    fn member<'a>(view: &'a View, name: &str) -> &'a Member {
        view.member(view.id_of(name).unwrap()).unwrap()
    }

    fn holds(view: &View, name: &str) -> usize {
        view.groups_of(view.id_of(name).unwrap()).count()
    }

    #[test]
    fn a_node_joins_once_however_often_it_asks() {
        let view = after(founded(1, "--"), &[join("n3", "n3:1", 7)]);
        assert_eq!((member(&view, "n3").id, view.next_id()), (NodeId(3), NodeId(4)));
        assert!(holds(&view, "n3") > 0);
        assert_eq!(view.changed(&join("n3", "n3:1", 7)), Ok(None));
        let moved = after(view, &[weigh("n3", 3.0), join("n3", "n3:2", 7)]);
        assert_eq!((&member(&moved, "n3").link[..], member(&moved, "n3").weight), ("n3:2", 3.0));
    }

    #[test]
    fn another_node_does_not_get_the_name_number_or_address_of_a_member() {
        let view = after(founded(1, "--"), &[join("n3", "n3:1", 7)]);
        for (change, expected) in [
            (join("n3", "n3:1", 8), "`n3` is the name of node 3 at n3:1, which is another node: "),
            (join("n1", "n1:1", 8), "`n1` is the name of node 1 at n1:1, which is another node: "),
            (join("n4", "n3:1", 8), "n3:1 is the address of `n3`: give `n4` another one; or, if"),
            (join("n3", "n1:1", 7), "n1:1 is the address of `n1`: give `n3` another one; or, if"),
            (join("n4", "n4:1", 7), "this node has joined as `n3`: set its `node.name` to that"),
            (join("n 4", "n4:1", 8), "`n 4` is not a name: 1 to 64 letters, digits, `-`, `_` or"),
            (join("n4", "n4", 8), "`n4` is not where `n4` can be reached: write host:port"),
            (add("n3", "n3:2"), "`n3` is the name of node 3 at n3:1, which is another node: take"),
            (add("n4", "n3:1"), "n3:1 is the address of `n3`: give `n4` another one; or, if it"),
            (weigh("n3", -1.0), "`n3` has weight -1; a weight is a number above 0"),
        ] {
            let error = refused(&view, &change);
            assert!(error.starts_with(expected), "{error} does not start with {expected}");
        }
        let taken = refused(&view, &join("n3", "n3:1", 8));
        assert!(taken.contains("`paceline cluster remove n3` first, then join again"), "{taken}");
    }

    #[test]
    fn a_lost_disk_is_followed_by_a_new_number() {
        let view = after(founded(2, "---"), &[remove("n1"), forget("n1"), join("n1", "n1:1", 7)]);
        assert_eq!(member(&view, "n1").id, NodeId(4));
        assert!(view.was_removed(NodeId(1)));
    }

    #[test]
    fn a_number_waits_for_its_node_and_holds_nothing() {
        let view = founded(2, "---");
        let waits = after(view.clone(), &[add("n4", "n4:1")]);
        assert_eq!((member(&waits, "n4").id, holds(&waits, "n4")), (NodeId(4), 0));
        assert_eq!(waits.0.rows, view.0.rows);
        assert_eq!(waits.changed(&add("n4", "n4:1")), Ok(None));
        let lighter = after(waits.clone(), &[weigh("n4", 1.0), add("n4", "n4:1")]);
        assert_eq!(member(&lighter, "n4").weight, 2.0, "as was asked last");
        let joined = after(waits.clone(), &[join("n4", "n4:2", 7)]);
        let n4 = member(&joined, "n4");
        assert_eq!((n4.id, n4.mark, n4.weight), (NodeId(4), Some(7), 2.0));
        assert_eq!((n4.link.as_str(), joined.next_id()), ("n4:2", NodeId(5)));
        assert!(holds(&joined, "n4") > 0);
        assert_eq!(joined.changed(&add("n4", "")), Ok(None));
        let dismissed = after(waits, &[remove("n4")]);
        let error = refused(&dismissed, &join("n4", "n4:2", 7));
        assert!(error.starts_with("`n4` is being removed: wait until"), "{error}");
        assert!(after(dismissed, &[forget("n4")]).changed(&join("n4", "n4:2", 7)).is_ok());
    }

    #[test]
    fn who_is_drained_holds_nothing_and_may_come_back() {
        let drained = after(founded(2, "---"), &[drain("n2")]);
        assert_eq!(
            (member(&drained, "n2").state, holds(&drained, "n2")),
            (MemberState::Draining, 0)
        );
        assert_eq!(drained.changed(&drain("n2")), Ok(None));
        let back = after(drained.clone(), &[add("n2", "")]);
        assert_eq!((member(&back, "n2").weight, holds(&back, "n2") > 0), (1.0, true));
        let leaving = after(drained, &[remove("n2")]);
        assert_eq!(leaving.changed(&remove("n2")), Ok(None));
        assert_eq!(leaving.changed(&drain("n2")), Ok(None), "a late word takes nothing back");
        assert_eq!(member(&after(leaving.clone(), &[add("n2", "n2:1")]), "n2").id, NodeId(2));
        let forgotten = after(leaving, &[forget("n2")]);
        assert_eq!((forgotten.id_of("n2"), forgotten.changed(&forget("n2"))), (None, Ok(None)));
    }

    #[test]
    fn some_of_what_is_refused_is_possible_soon() {
        let view = founded(2, "---");
        let passes = |view: &View, change: &Change| view.changed(change).unwrap_err().is_passing();
        assert!(!passes(&view, &join("n2", "n2:1", 5)), "another node has the name");
        assert!(!passes(&view, &join("n4", "n2:1", 5)), "another node is there");
        assert!(!passes(&view, &forget("n2")));
        let leaves = after(view, &[remove("n2")]);
        assert!(passes(&leaves, &join("n4", "n2:1", 5)), "it is leaving");
        let reserved = after(leaves, &[add("n5", "n5:1"), remove("n5")]);
        assert!(passes(&reserved, &join("n5", "n5:1", 5)));
    }

    fn replace(old: &str, new: &str) -> Change {
        Change::Replace { old: old.into(), new: new.into(), force: false }
    }

    /// A node that has joined and holds nothing.
    fn with_spare(view: View, name: &str, zone: Option<&str>) -> View {
        let link = format!("{name}:1");
        let mut joins = join(name, &link, 9);
        if let Change::Join { zone: its, .. } = &mut joins {
            *its = zone.map(Into::into);
        }
        after(view, &[add(name, &link), drain(name), joins])
    }

    #[test]
    fn one_that_holds_nothing_takes_the_place_of_another() {
        let view = with_spare(founded(3, "abca"), "n5", Some("b"));
        let view = after(view, &[weigh("n2", 1.5)]);
        let next = after(view.clone(), &[replace("n2", "n5")]);
        let [old, new] = ["n2", "n5"].map(|name| view.id_of(name).unwrap());
        for group in 0..view.groups() {
            let row = view.row(group).iter().map(|node| if *node == old { new } else { *node });
            assert_eq!(next.row(group), row.collect::<Vec<_>>(), "group {group}");
        }
        assert_eq!(next.epoch().0, view.epoch().0 + 1);
        assert_eq!((member(&next, "n5").weight, holds(&next, "n2")), (1.5, 0));
        assert_eq!(next.changed(&replace("n2", "n5")), Ok(None));
        assert_eq!(next.changed(&Change::Rebalance), Ok(None));
        assert_eq!(member(&after(next, &[forget("n2")]), "n5").state, MemberState::Active);
    }

    #[test]
    fn who_cannot_take_the_place_of_another_is_told_why() {
        let view = founded(2, "abc");
        assert!(refused(&view, &replace("n1", "n4")).contains("no member is called `n4`"));
        assert!(refused(&view, &replace("n9", "n1")).contains("no member is called `n9`"));
        for holds in ["n1", "n2"] {
            let said = refused(&view, &replace("n1", holds));
            assert!(said.starts_with(&format!("`{holds}` holds shards")), "{said}");
        }
        let waits = after(view.clone(), &[add("n4", "n4:1")]);
        assert!(refused(&waits, &replace("n1", "n4")).starts_with("`n4` has not joined"));
        let spare = with_spare(view, "n4", Some("b"));
        let drained = after(spare.clone(), &[drain("n1")]);
        assert!(refused(&drained, &replace("n1", "n4")).starts_with("`n1` is not to hold"));
        let leaves = after(spare.clone(), &[remove("n4")]);
        assert!(refused(&leaves, &replace("n1", "n4")).starts_with("`n4` is being removed"));
        let said = refused(&spare, &replace("n1", "n4"));
        assert!(said.starts_with("with `n4` in the place of `n1` shards"), "{said}");
        let force = Change::Replace { old: "n1".into(), new: "n4".into(), force: true };
        assert_eq!(holds(&after(spare, &[force]), "n1"), 0);
    }

    #[test]
    fn nobody_goes_who_is_needed() {
        let three = founded(3, "---");
        let too_few = "3 copies of every slot need 3 active members, and without `n2` there are 2: \
                       join another node first";
        assert_eq!(refused(&three, &drain("n2")), too_few);
        assert_eq!(refused(&three, &Change::Remove { name: "n2".into(), force: true }), too_few);
        let waits = after(three, &[add("n4", "n4:1")]);
        assert_eq!(refused(&waits, &remove("n2")), too_few, "who has not joined holds nothing");
        let one = after(founded(1, "--"), &[drain("n1")]);
        let last = "`n2` is the last active member: join another node first";
        assert_eq!(refused(&one, &drain("n2")), last);
        assert!(one.changed(&remove("n1")).unwrap().is_some(), "it holds nothing");
        let unknown = "no member is called `n7`; the members are n1, n2";
        for change in [drain("n7"), remove("n7"), weigh("n7", 1.0)] {
            assert_eq!(refused(&one, &change), unknown);
        }
        let stays = refused(&one, &forget("n1"));
        assert_eq!(stays, "`n1` is not being removed: run `paceline cluster remove n1` first");
    }

    #[test]
    fn the_last_other_zone_goes_by_force_only() {
        let zoned = founded(2, "aab");
        let error = refused(&zoned, &remove("n3"));
        assert!(error.starts_with("`n3` is the last active member outside zone `a`"), "{error}");
        assert!(error.contains("or say `--force`"), "{error}");
        let drained = after(zoned.clone(), &[Change::Drain { name: "n3".into(), force: true }]);
        after(drained.clone(), &[add("n3", "")]);
        after(drained, &[remove("n3")]);
        after(zoned, &[drain("n1")]);
        after(founded(2, "aaa"), &[drain("n1")]);
        after(founded(2, "aa-"), &[drain("n1")]);
        assert!(founded(2, "aa-").changed(&drain("n3")).is_err(), "one is a zone by itself");
        after(founded(2, "---"), &[drain("n1")]);
    }

    #[test]
    fn the_metadata_shard_has_an_odd_number_in_different_zones() {
        let row = |view: &View| view.row(view.metadata()).iter().map(|id| id.0).collect::<Vec<_>>();
        let mut view = founded(1, "-");
        let mut rows = vec![row(&view)];
        for number in 2..6 {
            let name = format!("n{number}");
            view = after(view, &[join(&name, &format!("{name}:1"), number)]);
            rows.push(row(&view));
        }
        let expected = [&[1][..], &[1, 2], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3]];
        assert_eq!(rows, expected, "who stands in it stays");
        assert_eq!(row(&after(view, &[drain("n2")])), [1, 3, 4]);
        assert_eq!(row(&founded(5, "------")), [1, 2, 3, 4, 5]);
        assert_eq!(row(&founded(4, "------")), [1, 2, 3]);
        assert_eq!(row(&founded(1, "aabbc")), [1, 3, 5]);
        let drained = after(founded(1, "abcab"), &[drain("n1"), drain("n2")]);
        assert_eq!(row(&drained), [3, 4, 5]);
        let crowded = Change::Join {
            name: "n5".into(),
            link: "n5:1".into(),
            zone: Some("b".into()),
            weight: 1.0,
            mark: 5,
        };
        assert_eq!(row(&founded(1, "aaaa")), [1, 2, 3]);
        assert_eq!(row(&after(founded(1, "aaaa"), &[crowded])), [1, 2, 5], "the new zone counts");
    }

    #[test]
    fn every_other_strategy_places_anew() {
        for strategy in StrategyKind::ALL.iter().copied() {
            let layout = Layout { replicas: 2, slots: 16, strategy };
            let founders = |count| {
                (1..=count).map(|number| {
                    let (name, link) = (format!("n{number}"), format!("n{number}:1"));
                    Founder { name, link, zone: None, weight: 1.0 }
                })
            };
            let grown =
                after(View::founded(layout, founders(3)).unwrap(), &[join("n4", "n4:1", 7)]);
            let four = View::founded(layout, founders(4)).unwrap();
            let is_table = strategy == StrategyKind::Slots;
            assert_eq!(grown.0.rows == four.0.rows, !is_table, "{strategy}");
        }
    }

    #[test]
    fn a_view_at_the_last_number_refuses_instead_of_counting_on() {
        let mut parts = founded(1, "--").0;
        parts.next_id = NodeId(u64::MAX >> 1);
        let view = View::try_from(parts).unwrap();
        assert!(refused(&view, &add("n3", "n3:1")).contains("beyond the last"));
        let mut parts = founded(1, "--").0;
        parts.epoch = Epoch(u64::MAX >> 1);
        let view = View::try_from(parts).unwrap();
        assert!(refused(&view, &drain("n1")).contains("beyond the last"));
    }
}
