//! What a node's client of a shard and the shard's leader say to each other, in the same process or
//! over a link.
//!
//! Both directions are ordered. A channel lasts as long as the leadership at its far end and the
//! link under it; what it was used for is taken up again on the next one.

use std::fmt;

pub use paceline_core::channel::{Delivered, FromLeader, ToLeader};
use paceline_core::shard::SessionId;
use paceline_runtime::task;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::input::Input;
use crate::link::{Stream, StreamReceiver, StreamSender};

/// A message over a link is cut into frames of about this many bytes.
const FRAME_BYTES: usize = 128 << 10;

/// A client's end of a channel.
#[derive(Debug)]
pub struct Channel {
    /// Towards the leader.
    pub to: ChannelSender,
    /// From the leader; ends with the channel.
    pub from: mpsc::UnboundedReceiver<FromLeader>,
}

/// The way to the leader.
#[derive(Debug)]
pub enum ChannelSender {
    /// In this process.
    Local(LocalSender),
    /// Over a link.
    Remote(mpsc::UnboundedSender<ToLeader>),
}

impl ChannelSender {
    /// Sends; what is sent on a channel that has ended is lost, as its receiver will tell.
    pub fn send(&self, message: ToLeader) {
        match self {
            ChannelSender::Local(sender) => sender.send(message),
            ChannelSender::Remote(sender) => drop(sender.send(message)),
        }
    }
}

/// The way to this node's replica of a shard. Dropping it closes the channel.
pub struct LocalSender {
    slot: u32,
    channel: u64,
    inbox: mpsc::UnboundedSender<Input>,
}

impl fmt::Debug for LocalSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSender").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl LocalSender {
    fn send(&self, message: ToLeader) {
        // A driver that has ended has dropped its replies, which is how the client hears of it.
        let Self { slot, channel, .. } = *self;
        let _ = self.inbox.send(Input::Said { slot, channel, message });
    }
}

impl Drop for LocalSender {
    fn drop(&mut self) {
        let Self { slot, channel, .. } = *self;
        let _ = self.inbox.send(Input::Closed { slot, channel });
    }
}

/// Opens a channel to this node's replica of a shard. `channel` must be unique on the node.
pub fn open_local(
    inbox: &mpsc::UnboundedSender<Input>,
    slot: u32,
    channel: u64,
    session: SessionId,
) -> Channel {
    let (reply, from) = mpsc::unbounded_channel();
    // A driver that has ended drops the reply, and the receiver ends.
    let _ = inbox.send(Input::Opened { slot, channel, session, reply });
    let to = LocalSender { slot, channel, inbox: inbox.clone() };
    Channel { to: ChannelSender::Local(to), from }
}

/// Carries a channel to a replica of this node over a stream that a peer has opened.
pub fn serve_remote(stream: Stream, channel: Channel) {
    let Channel { to, from } = channel;
    let (outgoing_ends, outgoing_ended) = oneshot::channel::<()>();
    task::spawn(async move {
        send_all(stream.sender, from).await;
        drop(outgoing_ends);
    });
    task::spawn(receive_all(stream.receiver, outgoing_ended, move |message| {
        to.send(message);
        true
    }));
}

/// The client's end of a channel over a stream to the leader's node.
pub fn open_remote(stream: Stream) -> Channel {
    let (to, outgoing) = mpsc::unbounded_channel();
    let (incoming, from) = mpsc::unbounded_channel();
    let (outgoing_ends, outgoing_ended) = oneshot::channel::<()>();
    task::spawn(async move {
        send_all(stream.sender, outgoing).await;
        drop(outgoing_ends);
    });
    task::spawn(receive_all(stream.receiver, outgoing_ended, move |message| {
        incoming.send(message).is_ok()
    }));
    Channel { to: ChannelSender::Remote(to), from }
}

/// Something with a size, to cut frames by.
trait Sized {
    fn bytes(&self) -> usize;
}

impl Sized for ToLeader {
    fn bytes(&self) -> usize {
        match self {
            ToLeader::Command { command, .. } => command.footprint(),
            ToLeader::Publish { message, .. } => message.footprint(),
            ToLeader::Announce { presence, .. } => presence.footprint(),
            _ => 64,
        }
    }
}

impl Sized for FromLeader {
    fn bytes(&self) -> usize {
        match self {
            FromLeader::Deliver(delivered) => delivered.message.footprint(),
            FromLeader::Outcomes(outcomes) => 16 * outcomes.len(),
            _ => 64,
        }
    }
}

async fn send_all<T: Serialize + Sized>(
    sender: StreamSender,
    mut messages: mpsc::UnboundedReceiver<T>,
) {
    let mut waiting = Vec::new();
    while messages.recv_many(&mut waiting, 1024).await > 0 {
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|message| {
                let first = bytes == 0;
                bytes += message.bytes();
                first || bytes <= FRAME_BYTES
            });
            let (frame, later) = rest.split_at(fits.count());
            if sender.send(frame).await.is_err() {
                return;
            }
            rest = later;
        }
        waiting.clear();
    }
}

async fn receive_all<T: for<'de> Deserialize<'de>>(
    mut receiver: StreamReceiver,
    mut ended: oneshot::Receiver<()>,
    mut take: impl FnMut(T) -> bool,
) {
    loop {
        let body = tokio::select! {
            biased;
            _ = &mut ended => return,
            body = receiver.receive() => body,
        };
        let Some(body) = body else { return };
        let messages: Vec<T> = match postcard::from_bytes(&body) {
            Ok(messages) => messages,
            Err(error) => {
                tracing::error!(%error, "a peer sent a malformed message; its channel is closed");
                return;
            }
        };
        for message in messages {
            if !take(message) {
                return;
            }
        }
    }
}
