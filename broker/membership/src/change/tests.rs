use super::*;
use crate::{Founder, Layout, moves};

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
    assert_eq!((member(&drained, "n2").state, holds(&drained, "n2")), (MemberState::Draining, 0));
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
        let grown = after(View::founded(layout, founders(3)).unwrap(), &[join("n4", "n4:1", 7)]);
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

#[test]
fn policies_change_by_epochs_and_move_nothing() {
    fn destination(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }
    let bounded = |text: &str, messages| Policy {
        max_messages: Some(messages),
        ..Policy::of(destination(text))
    };
    let set = |text: &str, messages, before: Option<&str>| Change::SetPolicy {
        policy: bounded(text, messages),
        before: before.map(destination),
    };
    let begin = |policies: &[Policy]| Change::BeginPolicies {
        policies: Policies::try_from(policies.to_vec()).unwrap(),
    };
    let view = founded(3, "abc");
    assert_eq!(view.policies(), None);
    let remove = Change::RemovePolicy { destination: destination("/queue/a") };
    for nothing in [begin(&[]), remove.clone()] {
        assert_eq!(view.changed(&nothing), Ok(None), "{nothing:?}");
    }
    let begun = after(view.clone(), &[begin(&[bounded("/queue/a", 1)])]);
    assert_eq!(begun.changed(&begin(&[])), Ok(None), "the founders' are written down once");
    let next = after(
        begun.clone(),
        &[set("/queue/a", 2, None), set("/queue/b", 3, Some("/queue/a")), remove.clone()],
    );
    assert_eq!(next.policies().unwrap().entries(), [bounded("/queue/b", 3)]);
    assert_eq!(next.changed(&set("/queue/b", 3, None)), Ok(None));
    assert_eq!((next.epoch(), next.members()), (Epoch(5), view.members()));
    assert!((0..view.groups()).all(|group| next.row(group) == view.row(group)));
    let none = Change::ReplacePolicies { policies: Policies::default() };
    assert!(after(next.clone(), &[none]).policies().unwrap().is_empty());
    assert_eq!(
        refused(&next, &set("/queue/c", 1, Some("/queue/a"))),
        "`/queue/a` has no policy to stand before; there are those of /queue/b"
    );
    assert_eq!(
        refused(&next, &set("/queue/c", 0, None)),
        "the policy of `/queue/c`: max_messages: at least 1, or leave it out for no limit"
    );
    let bytes = postcard::to_stdvec(&next).unwrap();
    assert_eq!(postcard::from_bytes::<View>(&bytes).unwrap(), next);
}

#[test]
fn more_copies_are_only_added_and_fewer_only_taken_away() {
    for zones in ["----", "aabbc", "aabbcc", "------------"] {
        let mut view = founded(1, zones);
        for copies in [2, 3, 1, 4, 2] {
            let next = after(view.clone(), &[Change::Replicas(copies)]);
            assert_eq!(next.layout(), Layout { replicas: copies, ..view.layout() });
            assert_eq!(next.changed(&Change::Replicas(copies)), Ok(None));
            assert_eq!(next.changed(&Change::Rebalance), Ok(None), "it is even: {zones}, {copies}");
            let before = view.layout().replicas;
            assert_eq!(
                moves(&view, &next) as usize,
                16 * copies.saturating_sub(before),
                "{zones}: {before} to {copies}"
            );
            let kept = (0..16).filter(|slot| next.row(*slot).contains(&view.row(*slot)[0])).count();
            assert_eq!(kept, 16, "{zones}: {before} to {copies}");
            view = next;
        }
    }
}

#[test]
fn every_slot_has_a_copy_and_a_node_at_most_one_of_it() {
    let view = after(founded(2, "---"), &[drain("n3")]);
    assert_eq!(refused(&view, &Change::Replicas(0)), "every slot needs a copy: say 1 at least");
    let error = refused(&view, &Change::Replicas(3));
    assert!(error.starts_with("3 copies of every slot need 3 active members, and there are 2: "));
    let one = after(view, &[Change::Replicas(1), drain("n2")]);
    assert_eq!(holds(&one, "n1"), 17);
}
