//! Stories of one shard.

use super::*;
use crate::{Body, Destination};

fn message(queue: &str, number: u64) -> Arc<Message> {
    Arc::new(Message {
        id: format!("m{number}").into(),
        destination: Destination::queue(queue).unwrap(),
        persistent: true,
        priority: 4,
        timestamp: UnixMillis(0),
        expires: None,
        correlation_id: None,
        reply_to: None,
        content_type: None,
        properties: Vec::new(),
        body: Body::Text(number.to_string().into_bytes().into()),
    })
}

fn batch(commands: Vec<Command>) -> Batch {
    Batch {
        now: UnixMillis(1_000),
        commands: commands.into_iter().map(|command| (None, command)).collect(),
    }
}

#[test]
fn a_message_enters_and_leaves_and_its_entry_is_freed_once() {
    let mut state = ShardState::new();
    let applied = state.apply(3, &batch(vec![Command::Publish { message: message("q", 1) }]));
    assert_eq!(applied.outcomes, [Outcome::Done]);
    assert_eq!(applied.freed, [] as [u64; 0]);
    let first = MessageRef::new(3, 0, 0);
    assert_eq!(state.content(first), Some(Content::Here(message("q", 1))));
    assert_eq!(state.live_entries().collect::<Vec<_>>(), [3]);

    let settle = Command::Settle { settles: vec![(first, Settlement::Accept)] };
    let applied = state.apply(4, &batch(vec![settle]));
    assert_eq!(applied.effects, [Effect::Gone { message: first }]);
    assert_eq!(applied.freed, [3, 4]);
    assert_eq!(state.live_entries().count(), 0);
    assert_eq!(state.counters(), Counters { entered: 1, accepted: 1, ..Counters::default() });
}
