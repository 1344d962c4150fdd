//! Full queues: clients of a shard, its leaders and its state, under random schedules.
//!
//! Two nodes send to a queue that may hold a few messages and to one that may hold any number. What
//! each says and hears travels when the schedule says so, leaders change, and consumers take what is
//! there now and then. At every step the bounded queue holds no more than it may; at the end all that
//! was sent has arrived once, in its node's order, and every sender knows it.

mod world;

use proptest::prelude::*;

use world::{Op, World};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0usize..2, any::<bool>(), 1usize..40)
            .prop_map(|(node, bounded, bytes)| Op::Send { node, bounded, bytes, stored: true }),
        3 => (0usize..2, 1usize..40)
            .prop_map(|(node, bytes)| Op::Send { node, bounded: true, bytes, stored: false }),
        8 => (0usize..2, 1usize..6).prop_map(|(node, count)| Op::Say { node, count }),
        8 => (0usize..2, 1usize..6).prop_map(|(node, count)| Op::Hear { node, count }),
        8 => Just(Op::Commit),
        4 => (1usize..5).prop_map(|count| Op::Consume { count }),
        1 => (0usize..2).prop_map(|node| Op::Cut { node }),
        1 => any::<bool>().prop_map(|kept| Op::FailOver { kept }),
    ]
}

proptest! {
    #[test]
    fn a_full_queue_holds_its_bound_and_nothing_is_lost_or_overtaken(
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        world.settle_down();
    }
}
