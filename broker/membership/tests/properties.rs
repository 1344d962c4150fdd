//! What must hold of every view that follows from another by a change.

use std::collections::{BTreeMap, BTreeSet};

use paceline_membership::{
    Change, Epoch, Founder, Layout, Member, MemberState, NodeId, View, moves,
};
use paceline_placement::StrategyKind;
use proptest::{
    prelude::{Just, ProptestConfig, Strategy as Generator, any, prop, prop_assert, prop_oneof},
    prop_assert_eq, proptest,
};

fn founder(name: &str, zone: Option<u8>, weight: u8) -> Founder {
    let (link, zone) = (format!("{name}:1"), zone.map(|zone| format!("z{zone}")));
    Founder { name: name.into(), link, zone, weight: f64::from(weight) / 4.0 }
}

/// What a new cluster consists of: its layout, and of each founder the zone and the weight.
type Foundation = (Layout, Vec<(Option<u8>, u8)>);

/// Founders with or without zones, with equal or different weights.
fn foundations(
    strategies: impl Generator<Value = StrategyKind> + 'static,
) -> impl Generator<Value = Foundation> {
    let founders = prop_oneof![
        prop::collection::vec((Just(None), Just(4)), 1..7),
        prop::collection::vec((Just(None), 1u8..9), 1..7),
        prop::collection::vec((prop::option::of(0u8..3), Just(4)), 1..7),
        prop::collection::vec((prop::option::of(0u8..3), 1u8..9), 1..7),
    ];
    (founders, strategies, 16u32..80).prop_flat_map(|(founders, strategy, slots)| {
        let layout = move |replicas| Layout { replicas, slots, strategy };
        ((1..=founders.len()).prop_map(layout), Just(founders))
    })
}

fn found((layout, founders): &Foundation) -> View {
    let founders = founders.iter().zip(0..);
    let founders = founders.map(|((zone, weight), at)| founder(&format!("n{at}"), *zone, *weight));
    View::founded(*layout, founders).unwrap()
}

fn changes() -> impl Generator<Value = Change> {
    let name = || (0u8..10).prop_map(|at| format!("n{at}"));
    let zone = || prop::option::of((0u8..3).prop_map(|zone| format!("z{zone}")));
    let weight = || prop_oneof![Just(1.0), (1u8..9).prop_map(|weight| f64::from(weight) / 4.0)];
    let joins =
        (name(), 0u8..2, zone(), weight(), 0u64..2).prop_map(|(name, port, zone, weight, mark)| {
            // A mark is of one node; of a name there may be two.
            let mark = mark + 10 * name[1..].parse::<u64>().unwrap();
            Change::Join { link: format!("{name}:{port}"), name, zone, weight, mark }
        });
    prop_oneof![
        4 => joins,
        1 => (name(), 0u8..2, zone(), weight()).prop_map(|(name, port, zone, weight)| {
            Change::Add { link: format!("{name}:{port}"), name, zone, weight }
        }),
        2 => (name(), any::<bool>()).prop_map(|(name, force)| Change::Drain { name, force }),
        2 => (name(), any::<bool>()).prop_map(|(name, force)| Change::Remove { name, force }),
        2 => name().prop_map(|name| Change::Forget { name }),
        1 => (name(), weight()).prop_map(|(name, weight)| Change::Weight { name, weight }),
        2 => (name(), name(), any::<bool>()).prop_map(|(old, new, force)| {
            Change::Replace { old, new, force }
        }),
        1 => Just(Change::Rebalance),
    ]
}

fn any_strategy() -> impl Generator<Value = StrategyKind> {
    prop_oneof![Just(StrategyKind::Slots), prop::sample::select(StrategyKind::ALL)]
}

fn is_placeable(member: &Member) -> bool {
    member.state == MemberState::Active && !member.reserved
}

fn placeable(view: &View) -> Vec<&Member> {
    view.members().iter().filter(|member| is_placeable(member)).collect()
}

/// How many zones these nodes are in.
fn zones_of(view: &View, nodes: impl IntoIterator<Item = NodeId>) -> usize {
    let members = nodes.into_iter().map(|id| view.member(id).unwrap());
    let zones: BTreeSet<_> = members.map(|member| member.zone.clone().ok_or(member.id)).collect();
    zones.len()
}

/// How many copies of slots each node that may have some is to hold.
fn held(view: &View) -> BTreeMap<NodeId, u32> {
    let mut held: BTreeMap<_, _> = placeable(view).iter().map(|member| (member.id, 0)).collect();
    let slots = 0..view.slots();
    slots.flat_map(|slot| view.row(slot)).for_each(|node| *held.get_mut(node).unwrap() += 1);
    held
}

/// How many slots a member is to hold.
fn holding(view: &View, name: &str) -> usize {
    view.id_of(name).map_or(0, |id| view.slots_of(id).count())
}

fn check_rows(view: &View) {
    let active: Vec<NodeId> = placeable(view).iter().map(|member| member.id).collect();
    let zones = zones_of(view, active.iter().copied());
    for group in 0..view.groups() {
        let row = view.row(group);
        let metadata = match active.len().min(view.layout().replicas.max(3)) {
            even @ (4 | 6) => even - 1,
            voters => voters,
        };
        let length = if group == view.metadata() { metadata } else { view.layout().replicas };
        assert_eq!(row.len(), length, "group {group}");
        assert_eq!(row.iter().collect::<BTreeSet<_>>().len(), length, "{row:?}");
        assert!(row.iter().all(|node| active.contains(node)), "{row:?} of {active:?}");
        assert_eq!(zones_of(view, row.iter().copied()), length.min(zones), "{row:?}");
    }
}

/// Copies that `to` has more of than `from`, summed over the nodes: no table with these shares can
/// be had with fewer moves.
fn least_moves(from: &View, to: &View) -> u32 {
    let before = held(from);
    let more = |(node, after): (&NodeId, &u32)| {
        after.saturating_sub(before.get(node).copied().unwrap_or(0))
    };
    held(to).iter().map(more).sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 200,
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_change_makes_a_view_or_is_refused(
        foundation in foundations(any_strategy()),
        changes in prop::collection::vec(changes(), 1..40),
    ) {
        let mut view = found(&foundation);
        check_rows(&view);
        prop_assert_eq!(view.changed(&Change::Rebalance), Ok(None), "as founded");
        let mut names: BTreeMap<NodeId, String> = BTreeMap::new();
        let mut kept = false;
        for change in changes {
            let Ok(Some(next)) = view.changed(&change) else { continue };
            prop_assert_eq!(next.epoch(), Epoch(view.epoch().0 + 1));
            prop_assert_eq!(next.layout(), view.layout());
            let bytes = postcard::to_stdvec(&next).unwrap();
            prop_assert_eq!(postcard::from_bytes::<View>(&bytes), Ok(next.clone()));
            for member in next.members() {
                let name = names.entry(member.id).or_insert(member.name.clone());
                prop_assert_eq!(&*name, &member.name, "of number {}", member.id);
                prop_assert!(member.id < next.next_id());
                prop_assert!(member.id >= view.next_id() || view.member(member.id).is_some());
            }
            check_rows(&next);
            prop_assert_eq!(next.changed(&change), Ok(None), "{:?} again", change);
            if let Change::Replace { old, new, force: false } = &change {
                // A table that is balanced may be so only in the order of its members.
                kept = true;
                prop_assert!(holding(&next, old) == 0 && holding(&view, new) == 0);
                prop_assert_eq!(holding(&next, new), holding(&view, old));
                prop_assert_eq!(moves(&view, &next) as usize, holding(&view, old));
            }
            kept &= matches!(change, Change::Replace { .. } | Change::Forget { .. });
            let balanced = next.changed(&Change::Rebalance);
            prop_assert!(kept || balanced == Ok(None), "after {:?}", change);
            if matches!(change, Change::Add { .. } | Change::Forget { .. })
                && placeable(&view) == placeable(&next)
            {
                prop_assert_eq!(moves(&view, &next), 0);
            }
            view = next;
        }
    }

    #[test]
    fn equal_nodes_get_equal_shares_by_the_fewest_moves(
        foundation in equal_nodes(),
        changes in prop::collection::vec(changes(), 1..40),
    ) {
        let mut view = found(&foundation);
        for change in changes {
            let Ok(Some(next)) = view.changed(&plain(change.clone())) else { continue };
            check_shares(&next);
            let (moved, least) = (moves(&view, &next), least_moves(&view, &next));
            prop_assert!(moved >= least);
            prop_assert!(moved - least <= slack(&view), "{moved} for {least} by {change:?}");
            view = next;
        }
    }

    /// A copy that is the only one of its slot may go anywhere.
    #[test]
    fn single_copies_of_unequal_nodes_move_as_little_as_the_shares_demand(
        (layout, founders) in foundations(Just(StrategyKind::Slots)),
        changes in prop::collection::vec(changes(), 1..40),
    ) {
        let mut view = found(&(Layout { replicas: 1, ..layout }, founders));
        for change in changes {
            if matches!(change, Change::Replace { .. }) {
                continue;
            }
            let Ok(Some(next)) = view.changed(&change) else { continue };
            let weights = placeable(&next).iter().map(|member| member.weight).sum::<f64>();
            for (node, held) in held(&next) {
                let share = next.member(node).unwrap().weight / weights * f64::from(layout.slots);
                prop_assert!((f64::from(held) - share).abs() < 1.0 + 1e-6, "{held} for {share}");
            }
            prop_assert_eq!(moves(&view, &next), least_moves(&view, &next), "{:?}", change);
            view = next;
        }
    }

    #[test]
    fn growth_moves_what_the_newcomers_get(
        foundation in equal_nodes(),
        more in 1usize..6,
    ) {
        let first = found(&foundation);
        let view = grown(&first, more);
        check_shares(&view);
        let copies = view.slots() * view.layout().replicas as u32;
        let nodes = view.members().len() as u32;
        let (floor, larger) = (copies / nodes, copies % nodes);
        // The larger shares stay with those that have them, as far as there are such.
        let can_stay = held(&first).values().filter(|held| **held > floor).count() as u32;
        let least = floor * more as u32 + larger.saturating_sub(can_stay);
        prop_assert_eq!(moves(&first, &view), least);
    }

    #[test]
    fn draining_moves_what_the_node_had(
        foundation in equal_nodes(),
        more in 0usize..4,
        which in any::<prop::sample::Index>(),
    ) {
        let view = grown(&found(&foundation), more);
        let member = &view.members()[which.index(view.members().len())];
        let change = Change::Drain { name: member.name.clone(), force: false };
        let Ok(drained) = view.changed(&change) else { return Ok(()) };
        let drained = drained.unwrap();
        check_shares(&drained);
        let goes = |slot| {
            let gone = |node: &&NodeId| **node != member.id && !drained.row(slot).contains(node);
            view.row(slot).iter().filter(gone).count() as u32
        };
        let others: u32 = (0..view.slots()).map(goes).sum();
        prop_assert!(others <= slack(&view), "{others} copies of others");
        prop_assert_eq!(moves(&view, &drained), held(&view)[&member.id] + others);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever has become of a cluster, one that holds nothing and is in the zone of another can take
    /// its place, and nothing else moves.
    #[test]
    fn a_replacement_moves_what_the_other_one_had(
        foundation in foundations(Just(StrategyKind::Slots)),
        changes in prop::collection::vec(changes(), 0..20),
        which in any::<prop::sample::Index>(),
    ) {
        let mut view = found(&foundation);
        for change in changes {
            view = view.changed(&change).ok().flatten().unwrap_or(view);
        }
        // A replacement before may have left something to do for the next change.
        view = view.changed(&Change::Rebalance).unwrap().unwrap_or(view);
        let active = placeable(&view);
        let old = (*active[which.index(active.len())]).clone();
        let (new, link) = (String::from("spare"), String::from("spare:1"));
        let (zone, weight) = (old.zone.clone(), 1.0);
        let spare = [
            Change::Add { name: new.clone(), link: link.clone(), zone: zone.clone(), weight },
            Change::Drain { name: new.clone(), force: false },
            Change::Join { name: new.clone(), link, zone, weight, mark: 99 },
        ];
        for change in spare {
            let next = view.changed(&change).unwrap().unwrap();
            prop_assert_eq!(moves(&view, &next), 0, "{:?}", change);
            view = next;
        }
        let change = Change::Replace { old: old.name.clone(), new, force: false };
        let next = view.changed(&change).unwrap().unwrap();
        let comes = next.id_of("spare").unwrap();
        for group in 0..view.groups() {
            let row = view.row(group).iter().map(|node| if *node == old.id { comes } else { *node });
            prop_assert_eq!(next.row(group), row.collect::<Vec<_>>());
        }
        prop_assert_eq!(next.epoch(), Epoch(view.epoch().0 + 1));
        prop_assert_eq!(next.changed(&change), Ok(None));
        let forgotten = next.changed(&Change::Forget { name: old.name }).unwrap().unwrap();
        prop_assert_eq!(moves(&next, &forgotten), 0);
    }
}

/// Founders of one weight, without zones, and up to three copies.
fn equal_nodes() -> impl Generator<Value = Foundation> {
    foundations(Just(StrategyKind::Slots)).prop_map(|(layout, founders)| {
        let founders = founders.iter().map(|_| (None, 4)).collect();
        (Layout { replicas: layout.replicas.min(3), ..layout }, founders)
    })
}

/// The same change without zones and weights.
fn plain(mut change: Change) -> Change {
    if let Change::Join { zone, weight, .. } | Change::Add { zone, weight, .. } = &mut change {
        (*zone, *weight) = (None, 1.0);
    }
    if let Change::Weight { weight, .. } = &mut change {
        *weight = 1.0;
    }
    change
}

/// Copies that may move beyond what shares demand: one for each node. A node is in a row once, so
/// where the last copies are dealt out they may fit nowhere, and others have to make room.
fn slack(view: &View) -> u32 {
    match view.layout().replicas {
        1 => 0,
        _ => placeable(view).len() as u32,
    }
}

fn check_shares(view: &View) {
    let held = held(view);
    let floor = view.slots() * view.layout().replicas as u32 / held.len() as u32;
    assert!(held.values().all(|held| (floor..=floor + 1).contains(held)), "{held:?}");
}

fn grown(view: &View, more: usize) -> View {
    (0..more).fold(view.clone(), |view, at| {
        let (name, link) = (format!("new{at}"), format!("new{at}:1"));
        let change = Change::Join { name, link, zone: None, weight: 1.0, mark: at as u64 };
        view.changed(&change).unwrap().unwrap()
    })
}

#[test]
fn three_nodes_that_become_five_are_within_two_per_cent_of_equal() {
    for (slots, within) in [(64, 1.0), (1000, 0.02 * 600.0)] {
        let layout = Layout { replicas: 3, slots, strategy: StrategyKind::Slots };
        let view = grown(&found(&(layout, vec![(None, 4); 3])), 2);
        let ideal = f64::from(slots * 3) / 5.0;
        let leads = |node| (0..slots).filter(|slot| view.row(*slot)[0] == node).count();
        for (node, held) in held(&view) {
            assert!((f64::from(held) - ideal).abs() <= within, "{slots}: {node} has {held}");
            let led = leads(node) as f64;
            assert!((led - f64::from(slots) / 5.0).abs() <= 1.0, "{slots}: {node} leads {led}");
        }
    }
}

/// One pass over the table left something to do for the next one here, so that a cluster which
/// had converged moved copies when it was asked to balance.
#[test]
fn a_move_to_another_zone_is_balanced_at_once() {
    let layout = Layout { replicas: 4, slots: 26, strategy: StrategyKind::Slots };
    let zones = [Some(0), None, Some(2), None, Some(0), Some(1)];
    let view = found(&(layout, zones.map(|zone| (zone, 4)).into()));
    let join = |view: View, name: &str, zone: &str, mark| {
        let (name, link, zone) = (name.into(), format!("{name}:1"), Some(zone.into()));
        let change = Change::Join { name, link, zone, weight: 1.0, mark };
        view.changed(&change).unwrap().unwrap()
    };
    let view = join(view, "j1", "z2", 1);
    let view = join(view, "j2", "z0", 2);
    let view = join(view, "j1", "z0", 1);
    assert_eq!(view.changed(&Change::Rebalance), Ok(None));
}
