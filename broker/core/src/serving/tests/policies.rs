use paceline_membership::{Policies, Policy};

use super::*;

#[test]
fn what_policies_say_of_redelivery_is_written_into_the_shard_once() {
    let rules = |max_redeliveries| {
        let policy = Policy::of(Destination::queue("q").unwrap());
        let policy = Policy { max_redeliveries: Some(max_redeliveries), ..policy };
        Arc::new(Rules::of_policies(&Policies::try_from(vec![policy]).unwrap()))
    };
    let mut world = World::led();
    let set = |world: &mut World, rules: Arc<Rules>| {
        world.serving.set_policies(&world.state, Arc::default(), rules);
    };
    set(&mut world, Arc::default());
    assert_eq!(world.propose(), 0, "they are the usual ones already");
    set(&mut world, rules(1));
    assert_eq!(world.propose(), 1);
    // What is under way counts, not what stands there.
    set(&mut world, Arc::default());
    world.apply();
    assert_eq!(*world.state.rules(), *rules(1));
    world.carry_out();
    assert_eq!(*world.state.rules(), Rules::default());
    // Of another term, too.
    world.serving.end(None);
    set(&mut world, rules(2));
    assert_eq!(world.propose(), 0, "this is the next leader's business");
    world.serving.begin(&world.state, 2, Duration::ZERO);
    world.carry_out();
    assert_eq!(*world.state.rules(), *rules(2));
}
