//! What a node's client of a shard and the shard's leader say to each other, in the same process or
//! over a link.
//!
//! Both directions are ordered. A channel lasts as long as the leadership at its far end and the
//! link under it; what it was used for is taken up again on the next one.

use std::fmt;

pub use paceline_core::channel::{Delivered, FromLeader, ToLeader};
use paceline_core::shard::SessionId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::input::Input;
use crate::link::{Stream, StreamSender};

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

/// The leader's way to a client. Dropping it ends the channel.
#[derive(Debug)]
pub enum Reply {
    /// In this process.
    Local(mpsc::UnboundedSender<FromLeader>),
    /// Over a link.
    Remote(RemoteSender<FromLeader>),
}

impl Reply {
    /// Sends, or gathers what [`Reply::flush`] is to send; whether it is to. What is sent on a channel
    /// that has ended is lost.
    pub fn send(&mut self, message: FromLeader) -> bool {
        match self {
            Reply::Local(sender) => {
                let _ = sender.send(message);
                false
            }
            Reply::Remote(sender) => {
                sender.gather(message);
                true
            }
        }
    }

    /// Sends what has gathered.
    pub fn flush(&mut self) {
        match self {
            Reply::Local(_) => {}
            Reply::Remote(sender) => sender.flush(),
        }
    }
}

/// Gathers what goes over a stream, so that what is said at once leaves in one frame.
#[derive(Debug)]
pub struct RemoteSender<T> {
    stream: StreamSender,
    gathered: Vec<T>,
}

impl<T: Serialize + Footprint> RemoteSender<T> {
    fn new(stream: StreamSender) -> Self {
        Self { stream, gathered: Vec::new() }
    }

    fn gather(&mut self, message: T) {
        self.gathered.push(message);
    }

    fn flush(&mut self) {
        let mut rest = &self.gathered[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|message| {
                let first = bytes == 0;
                bytes += message.bytes();
                first || bytes <= FRAME_BYTES
            });
            let (frame, later) = rest.split_at(fits.count());
            // The receiver tells that the channel has ended.
            if let Err(error) = self.stream.put(frame) {
                tracing::debug!(%error, "what was said on a channel is lost");
                break;
            }
            rest = later;
        }
        self.gathered.clear();
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

/// Something with a size, to cut frames by.
pub trait Footprint {
    /// About how many.
    fn bytes(&self) -> usize;
}

impl Footprint for ToLeader {
    fn bytes(&self) -> usize {
        match self {
            ToLeader::Command { command, .. } => command.footprint(),
            ToLeader::Publish { message, .. } => message.footprint(),
            _ => 64,
        }
    }
}

impl Footprint for FromLeader {
    fn bytes(&self) -> usize {
        match self {
            FromLeader::Deliver(delivered) => delivered.message.footprint(),
            FromLeader::Outcomes(outcomes) => 16 * outcomes.len(),
            _ => 64,
        }
    }
}
