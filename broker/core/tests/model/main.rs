//! A shard and its dispatcher against a naive queue, under random operations.
//!
//! - [`reference`] is the theory: a list of messages, searched from end to end for every question.
//! - [`world`] is the system under test, with a log whose entries commit when the operations say,
//!   a replica that is reborn from snapshots, and bodies that are evicted and read back.
//! - [`sessions`] sends commands several times and in pieces.
//!
//! After every operation both must agree; at the end everything is drained, and whatever was
//! published must have come out once or be accounted for.

mod reference;
mod sessions;
mod world;

use paceline_core::operation::{Parting, Settlement};
use proptest::prelude::*;

use world::{Op, World};

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        3 => Just(Settlement::Accept),
        3 => Just(Settlement::Reject),
        1 => Just(Settlement::Release),
        1 => Just(Settlement::DeadLetter),
    ]
}

/// Of the first that the consumer holds, the second, and so on.
fn parting() -> impl Strategy<Value = Parting<usize>> {
    prop_oneof![
        Just(Parting::Released),
        Just(Parting::Died(0)),
        (0usize..4).prop_map(|seen| Parting::Saw((0..seen).collect())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let time_to_live = prop_oneof![3 => Just(None), 1 => (0u64..60).prop_map(Some)];
    let publish = (0usize..4, 3u8..6, time_to_live, any::<bool>());
    let selector = prop::option::of(0usize..6);
    let standing = (prop_oneof![3 => Just(0), 1 => -2i8..3], prop::bool::weighted(0.2));
    let attach = (0u64..4, 0usize..6, 1u32..5, selector, standing).prop_map(
        |(consumer, source, prefetch, selector, (priority, exclusive))| Op::Attach {
            consumer,
            source,
            prefetch,
            selector,
            priority,
            exclusive,
        },
    );
    prop_oneof![
        12 => publish.prop_map(|(queue, priority, time_to_live, stored)| Op::Publish {
            queue, priority, time_to_live, stored
        }),
        4 => attach,
        1 => (0usize..4, prop::option::of(0usize..6))
            .prop_map(|(queue, selector)| Op::Browse { queue, selector }),
        3 => (0u64..4, parting())
            .prop_map(|(consumer, parting)| Op::Detach { consumer, parting }),
        10 => Just(Op::Deliver),
        12 => (0u64..4, 0usize..4, settlement()).prop_map(|(consumer, first, how)| Op::Settle {
            consumer, first, how
        }),
        2 => (0u64..4, 1usize..9, any::<bool>())
            .prop_map(|(consumer, times, dies)| Op::Wear { consumer, times, dies }),
        2 => (0u64..4, 0usize..3, any::<bool>(), settlement()).prop_map(
            |(consumer, publishes, prepare, how)| Op::Transact { consumer, publishes, prepare, how }
        ),
        3 => (0usize..3, any::<bool>()).prop_map(|(which, commit)| Op::Finish { which, commit }),
        2 => (0usize..3).prop_map(|which| Op::GiveBack { which }),
        12 => (1usize..5, 0u64..30).prop_map(|(commands, skew)| Op::Commit { commands, skew }),
        2 => Just(Op::Fail),
        3 => (1u64..40).prop_map(|by| Op::Tick { by }),
        1 => (0usize..4).prop_map(|queue| Op::Purge { queue }),
        1 => any::<bool>().prop_map(|commit| Op::FailOver { commit }),
        2 => Just(Op::Snapshot),
        2 => (0usize..2000).prop_map(|budget| Op::Evict { budget }),
    ]
}

proptest! {
    #[test]
    fn shard_and_dispatcher_do_what_a_naive_queue_does(ops in prop::collection::vec(op(), 1..150)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        world.drain();
    }
}
