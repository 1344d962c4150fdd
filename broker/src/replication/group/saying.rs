//! What a leader says to its clients, and has done for them.

use paceline_core::{channel::FromLeader, serving::Output};
use paceline_runtime::task;

use super::Group;
use crate::replication::{input::Input, storage, turn::Turn};

impl Group {
    /// Says and does what the service wants.
    pub(super) fn put_out(&mut self, turn: &Turn) {
        let mut gathering = Vec::new();
        while let Some(output) = self.serving.poll_output() {
            match output {
                Output::Say { channel, message } => {
                    let ends = matches!(message, FromLeader::NotLeader { .. });
                    if let Some(reply) = self.channels.get_mut(&channel)
                        && reply.send(message)
                        && !gathering.contains(&channel)
                    {
                        gathering.push(channel);
                    }
                    if ends && let Some(mut reply) = self.channels.remove(&channel) {
                        reply.flush();
                    }
                }
                Output::Read { message, at } => {
                    let (part, inbox, slot) = (self.part.clone(), turn.inbox.clone(), self.slot);
                    task::spawn(async move {
                        let read = storage::read_message(&part, at).await;
                        let _ = inbox.send(Input::Body { slot, message, read });
                    });
                }
                Output::Resolve(inquiry) => {
                    let _ = turn.doubts.send(inquiry);
                }
            }
        }
        for channel in gathering {
            if let Some(reply) = self.channels.get_mut(&channel) {
                reply.flush();
            }
        }
    }
}
