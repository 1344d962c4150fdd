//! Which members are to hold each group: rows made anew, or from those of the view before.

use std::collections::BTreeMap;

use paceline_placement::{
    Node, NodeIndex, NodeState, Nodes, Placement, PlacementError, SlotCount, Strategy,
    StrategyKind, strategies::Slots,
};

use crate::{
    id::NodeId,
    member::{Layout, Member},
};

/// The metadata shard outlives the loss of one node, if there are nodes enough.
const METADATA_REPLICAS: usize = 3;

/// A table is balanced after two or three; a bound keeps it short.
const PASSES: usize = 16;

/// Rows of the slots on members that may stand in rows, made of nothing but them. The members come
/// by name, as [`Nodes::new`] has it.
pub(crate) fn placed(
    layout: &Layout,
    members: &[Member],
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let placeable = || members.iter().filter(|member| member.is_placeable());
    let ids: BTreeMap<&[u8], NodeId> =
        placeable().map(|member| (member.name.as_bytes(), member.id)).collect();
    let nodes = Nodes::new(placeable().map(node))?;
    let slots = SlotCount::new(layout.slots.into(), nodes.count_up())?;
    let placement = Placement::new(layout.strategy, &nodes, slots, layout.replicas)?;
    let id = |index: &NodeIndex| ids[&nodes.get(*index).name[..]];
    Ok(placement.iter().map(|(_, row)| row.iter().map(id).collect()).collect())
}

/// Rows of the slots on these members, by number, when they stood as in `rows` before: with as few
/// moves as the shares demand, where the strategy is a table that knows how. They may have had another
/// number of copies.
pub(crate) fn replaced(
    layout: &Layout,
    members: &[Member],
    rows: &[Vec<NodeId>],
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    if layout.strategy != StrategyKind::Slots {
        return placed(layout, members);
    }
    let nodes = Nodes::in_order(members.iter().map(node))?;
    let slots = SlotCount::new(layout.slots.into(), nodes.count_up())?;
    let index = |id: &NodeId| {
        let at = members.binary_search_by_key(id, |member| member.id);
        NodeIndex(at.expect("rows are of members") as u32)
    };
    let before: Vec<NodeIndex> = rows.iter().flatten().map(index).collect();
    let mut table = Slots::from_rows(&nodes, slots, layout.replicas, &before)?;
    // Zones may refuse in one pass what they allow once others have moved.
    for _ in 0..PASSES {
        let rows = table.rows().to_vec();
        table.update(&nodes)?;
        if table.rows() == rows {
            break;
        }
    }
    let id = |index: &NodeIndex| members[index.get()].id;
    let row = |row: &[NodeIndex]| row.iter().map(id).collect();
    Ok(table.rows().chunks_exact(layout.replicas).map(row).collect())
}

fn node(member: &Member) -> Node {
    let state = if member.is_placeable() { NodeState::Up } else { NodeState::Draining };
    let zone = member.zone.clone();
    Node { name: member.name.as_bytes().to_vec(), weight: member.weight, zone, state }
}

/// The row of the metadata shard: who can stay stays, in order; then come members of zones that
/// are in it least, the lowest number first. An odd number of them, above two, since an even one
/// outlives no more losses.
pub(crate) fn metadata(layout: &Layout, members: &[Member], before: &[NodeId]) -> Vec<NodeId> {
    let zones: BTreeMap<NodeId, Zone> = members
        .iter()
        .filter(|member| member.is_placeable())
        .map(|member| (member.id, Zone::of(member)))
        .collect();
    let length = match METADATA_REPLICAS.max(layout.replicas).min(zones.len()) {
        even if even > 2 && even.is_multiple_of(2) => even - 1,
        odd => odd,
    };
    let distinct = |row: &[NodeId]| {
        let mut zones: Vec<Zone> = row.iter().map(|id| zones[id]).collect();
        zones.sort_unstable();
        zones.dedup();
        zones.len()
    };
    let all: Vec<NodeId> = zones.keys().copied().collect();
    let covered = distinct(&all).min(length);
    let mut row: Vec<NodeId> = Vec::with_capacity(length);
    for id in before.iter().filter(|id| zones.contains_key(id)) {
        if row.len() < length {
            row.push(*id);
            if distinct(&row) + (length - row.len()) < covered {
                row.pop();
            }
        }
    }
    while row.len() < length {
        let crowd = |id: &NodeId| row.iter().filter(|other| zones[other] == zones[id]).count();
        let outside = all.iter().filter(|id| !row.contains(id));
        row.push(*outside.min_by_key(|id| (crowd(id), **id)).expect("it is no longer than all"));
    }
    row
}

/// Where a member fails together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zone<'a> {
    Named(&'a str),
    Alone(NodeId),
}

impl<'a> Zone<'a> {
    pub(crate) fn of(member: &'a Member) -> Self {
        member.zone.as_deref().map_or(Self::Alone(member.id), Self::Named)
    }
}
