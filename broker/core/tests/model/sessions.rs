//! A client that sends again what it got no answer for, over and over.

use std::sync::Arc;

use paceline_core::{
    Body, Destination, Message, UnixMillis,
    shard::{Batch, Command, MessageRef, Origin, Outcome, SessionId, ShardState},
};
use proptest::prelude::*;

const COMMANDS: u64 = 20;

fn publish(seq: u64) -> Command {
    let message = Arc::new(Message {
        id: seq.to_string().into(),
        destination: Destination::queue("q").unwrap(),
        persistent: true,
        priority: 4,
        timestamp: UnixMillis(0),
        expires: None,
        correlation_id: None,
        reply_to: None,
        content_type: None,
        properties: Vec::new(),
        body: Body::Text(seq.to_string().into_bytes().into()),
    });
    Command::Publish { message }
}

/// A batch with the commands numbered `first` to `first + count - 1`.
fn batch(session: SessionId, first: u64, count: u64) -> Batch {
    let commands = (first..first + count).take_while(|seq| *seq <= COMMANDS);
    Batch {
        now: UnixMillis(0),
        commands: commands.map(|seq| (Some(Origin { session, seq }), publish(seq))).collect(),
    }
}

/// The messages in the state, in order.
fn stored(state: &ShardState, log: &[Batch]) -> Vec<u64> {
    let mut stored = Vec::new();
    for (at, batch) in log.iter().enumerate() {
        for (command, (origin, _)) in batch.commands.iter().enumerate() {
            if state.contains(MessageRef::new(at as u64 + 1, command, 0)) {
                stored.push(origin.unwrap().seq);
            }
        }
    }
    stored
}

proptest! {
    #[test]
    fn each_command_is_applied_once_and_in_order(
        sends in prop::collection::vec((0..=COMMANDS + 3, 1u64..8, any::<bool>()), 1..60),
    ) {
        let session = SessionId { node: 3, incarnation: 7 };
        let mut state = ShardState::new();
        let mut log = Vec::new();
        let mut last = 0;
        for (first, count, reborn) in sends {
            let batch = batch(session, first, count);
            let applied = state.apply(log.len() as u64 + 1, &batch);
            for ((origin, _), outcome) in batch.commands.iter().zip(&applied.outcomes) {
                let seq = origin.unwrap().seq;
                let expected = if seq == last + 1 {
                    last += 1;
                    Outcome::Done
                } else if seq == 0 || seq > last {
                    Outcome::Gap { expected: last + 1 }
                } else {
                    Outcome::Duplicate
                };
                prop_assert_eq!(outcome, &expected);
            }
            log.push(batch);
            // A batch applied to a state that has seen it changes nothing but the index.
            if reborn {
                state = ShardState::restore(&state.snapshot()).unwrap();
            }
            prop_assert_eq!(state.last_seq(session), last);
            prop_assert_eq!(stored(&state, &log), (1..=last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_survives_its_way_through_the_log(first in 1u64..9, count in 0u64..9) {
        let batch = batch(SessionId { node: 1, incarnation: 2 }, first, count);
        let bytes = postcard::to_stdvec(&batch).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Batch>(&bytes).unwrap(), batch);
    }
}
