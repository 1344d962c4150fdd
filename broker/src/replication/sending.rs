//! How what is said on a channel gets to its other end.

use paceline_core::channel::{FromLeader, ToLeader};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::link::StreamSender;

/// A message over a link is cut into frames of about this many bytes.
const FRAME_BYTES: usize = 128 << 10;

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

impl<T: Serialize + Footprint + Clone + Send + 'static> RemoteSender<T> {
    /// Over this stream.
    pub fn new(stream: StreamSender) -> Self {
        Self { stream, gathered: Vec::new() }
    }

    /// Sends with the next [`RemoteSender::flush`].
    pub fn gather(&mut self, message: T) {
        self.gathered.push(message);
    }

    /// Sends what has gathered.
    pub fn flush(&mut self) {
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
            ToLeader::Announce { presence, .. } => presence.footprint(),
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
