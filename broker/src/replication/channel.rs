//! What a node's client of a shard and the shard's leader say to each other, in the same process or
//! over a link.
//!
//! Both directions are ordered. A channel lasts as long as the leadership at its far end and the
//! link under it; what it was used for is taken up again on the next one.

use std::fmt;

pub use paceline_core::channel::{Delivered, FromLeader, ToLeader};
use paceline_core::shard::SessionId;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    input::Input,
    sending::{RemoteSender, Reply},
};
use crate::link::Stream;

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
    Remote(RemoteSender<ToLeader>),
}

impl ChannelSender {
    /// Sends with the next [`ChannelSender::flush`] at the latest; what is sent on a channel that has
    /// ended is lost, as its receiver will tell.
    pub fn send(&mut self, message: ToLeader) {
        match self {
            ChannelSender::Local(sender) => sender.send(message),
            ChannelSender::Remote(sender) => sender.gather(message),
        }
    }

    /// Sends what has gathered.
    pub fn flush(&mut self) {
        match self {
            ChannelSender::Local(_) => {}
            ChannelSender::Remote(sender) => sender.flush(),
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
    let to = open(inbox, slot, channel, session, Reply::Local(reply));
    Channel { to: ChannelSender::Local(to), from }
}

/// The same over a stream that a peer has opened.
pub fn serve_remote(
    inbox: &mpsc::UnboundedSender<Input>,
    slot: u32,
    channel: u64,
    session: SessionId,
    stream: Stream,
) {
    let Stream { sender, receiver } = stream;
    let reply = Reply::Remote(RemoteSender::new(sender));
    let to = open(inbox, slot, channel, session, reply);
    receiver.deliver(move |body| {
        decode(&body, |message| {
            to.send(message);
            true
        })
    });
}

fn open(
    inbox: &mpsc::UnboundedSender<Input>,
    slot: u32,
    channel: u64,
    session: SessionId,
    reply: Reply,
) -> LocalSender {
    // A driver that has ended drops the reply, and with it the channel.
    let _ = inbox.send(Input::Opened { slot, channel, session, reply });
    LocalSender { slot, channel, inbox: inbox.clone() }
}

/// The client's end of a channel over a stream to the leader's node.
pub fn open_remote(stream: Stream) -> Channel {
    let Stream { sender, receiver } = stream;
    let (incoming, from) = mpsc::unbounded_channel();
    receiver.deliver(move |body| decode(&body, |message| incoming.send(message).is_ok()));
    Channel { to: ChannelSender::Remote(RemoteSender::new(sender)), from }
}

/// Hands on the messages of a frame, until `take` says false. Whether the channel goes on.
fn decode<T: for<'de> Deserialize<'de>>(body: &[u8], take: impl FnMut(T) -> bool) -> bool {
    match postcard::from_bytes::<Vec<T>>(body) {
        Ok(messages) => messages.into_iter().all(take),
        Err(error) => {
            tracing::error!(%error, "a peer sent a malformed message; its channel is closed");
            false
        }
    }
}
