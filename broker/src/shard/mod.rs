//! Shards on a node.

pub mod channel;

use paceline_core::shard::Command;

/// About how many bytes a command has.
pub fn command_bytes(command: &Command) -> usize {
    let parts = match command {
        Command::Settle { settles } => settles.len(),
        Command::Transact { work } | Command::Prepare { work, .. } => work.settles.len(),
        Command::Expire { messages } => messages.len(),
        _ => 0,
    };
    let messages: usize = command.messages().iter().map(|message| message.footprint()).sum();
    64 + messages + 16 * parts
}
