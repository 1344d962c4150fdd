//! What an operator or a node that joins may ask of a cluster, and the view that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use paceline_destination::Destination;
use paceline_placement::StrategyKind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    id::{Epoch, NodeId},
    member::{Member, MemberState},
    policy::{Policies, Policy, PolicyError},
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
    /// Every slot is to have so many copies.
    Replicas(usize),
    /// The rows are to be balanced.
    Rebalance,
    /// These are the policies that the founders began with. Nothing if any are written down.
    BeginPolicies {
        /// They.
        policies: Policies,
    },
    /// A policy is to be there, in the place of one of its pattern, or else behind all others.
    SetPolicy {
        /// It.
        policy: Policy,
        /// The pattern of another one, before which it is to stand.
        before: Option<Destination>,
    },
    /// A policy is not to be there.
    RemovePolicy {
        /// Its pattern.
        destination: Destination,
    },
    /// These policies are to be there, and no others.
    ReplacePolicies {
        /// They.
        policies: Policies,
    },
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
    /// A slot without a copy is lost.
    #[error("every slot needs a copy: say 1 at least")]
    NoCopies,
    /// A node holds one copy of a slot.
    #[error(
        "{copies} copies of every slot need {copies} active members, and there are {active}: join \
         another node first"
    )]
    TooFewForCopies {
        /// The copies that were asked for.
        copies: usize,
        /// Active members.
        active: usize,
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
    /// A cluster cannot have that policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// There is no policy before which another one could stand.
    #[error("`{before}` has no policy to stand before; {}", patterns(.known))]
    UnknownPolicy {
        /// Its pattern.
        before: String,
        /// The patterns that have one, in their order.
        known: Vec<String>,
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

fn patterns(known: &[String]) -> String {
    match known {
        [] => "there is no policy at all".into(),
        known => format!("there are those of {}", known.join(", ")),
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
            Change::Replicas(copies) => next.set_copies(*copies)?,
            Change::Rebalance => {}
            Change::BeginPolicies { .. }
            | Change::SetPolicy { .. }
            | Change::RemovePolicy { .. }
            | Change::ReplacePolicies { .. } => {
                next.change_policies(change)?;
                keeps_rows = true;
            }
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

    fn set_copies(&mut self, copies: usize) -> Result<(), ChangeError> {
        let active = self.members.iter().filter(|member| member.is_placeable()).count();
        match copies {
            0 => return Err(ChangeError::NoCopies),
            _ if copies > active => return Err(ChangeError::TooFewForCopies { copies, active }),
            _ => self.layout.replicas = copies,
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

    fn change_policies(&mut self, change: &Change) -> Result<(), ChangeError> {
        let known = self.policies.clone().unwrap_or_default();
        let next = match change {
            Change::BeginPolicies { .. } if self.policies.is_some() => return Ok(()),
            Change::BeginPolicies { policies } | Change::ReplacePolicies { policies } => {
                policies.clone()
            }
            Change::SetPolicy { policy, before } => {
                known.with(policy, before.as_ref())?.ok_or_else(|| ChangeError::UnknownPolicy {
                    before: before.as_ref().map_or_else(String::new, ToString::to_string),
                    known: known.entries().iter().map(|it| it.destination.to_string()).collect(),
                })?
            }
            Change::RemovePolicy { destination } => known.without(destination),
            _ => known.clone(),
        };
        // That there is none need not be written down before there was one.
        if next != known {
            self.policies = Some(next);
        }
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
mod tests;
