//! One STOMP connection of a client of the run.

use std::{io, time::Duration};

use paceline_client::stomp::{Client, Error, HeartBeat, Options};
use paceline_runtime::time;
use paceline_scenario::STOMP_PORT;
use paceline_wire::stomp::Frame;

use crate::workload::ids::ConnectionId;

/// How long connecting and the answer to CONNECT may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often each side promises to be heard.
pub const HEART_BEAT_EVERY: Duration = Duration::from_secs(5);
/// A server that is silent for so long is given up.
pub const SILENCE: Duration = Duration::from_secs(12);

/// A connection to one node.
pub struct Connection {
    /// Unique over the run.
    pub id: ConnectionId,
    stomp: Client,
}

impl Connection {
    /// Connects to a node by name, as far as CONNECTED.
    pub async fn open(id: ConnectionId, node: &str) -> io::Result<Self> {
        let options = Options {
            connect_timeout: CONNECT_TIMEOUT,
            heart_beat: Some(HeartBeat { every: HEART_BEAT_EVERY, silence: SILENCE }),
            // So that frames come in many pieces.
            read_bytes: 0,
            ..Options::default()
        };
        let stomp = Client::connect(&format!("{node}:{STOMP_PORT}"), &options).await;
        Ok(Self { id, stomp: stomp.map_err(told)? })
    }

    /// Queues a frame. A connection that is gone shows when it is read.
    pub fn send(&mut self, frame: &Frame) {
        self.stomp.send(frame);
    }

    /// See [`Client::fall_silent`].
    pub fn fall_silent(&mut self) {
        self.stomp.fall_silent();
    }

    /// See [`Client::leave`].
    pub async fn leave(&mut self) -> io::Result<()> {
        self.stomp.leave().await.map_err(told)
    }

    /// The next frame, within the time a silent server is given. May be dropped while it waits.
    pub async fn receive(&mut self) -> io::Result<Frame> {
        self.stomp.receive().await.map_err(told)
    }
}

/// The error of a connection on which something else came than what was awaited.
pub fn unexpected(frame: &Frame) -> io::Error {
    told(Error::of(frame))
}

/// An error in the words of a run's log.
fn told(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Malformed(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        Error::Closed => io::ErrorKind::UnexpectedEof.into(),
        Error::Silent => io::ErrorKind::TimedOut.into(),
        Error::Server(error) => io::Error::other(match error.message {
            Some(message) => format!("ERROR: {message}"),
            None => "an unexpected ERROR frame".to_owned(),
        }),
        Error::Unexpected(command) => {
            io::Error::other(format!("an unexpected {} frame", command.as_str()))
        }
    }
}

/// Waits longer after each failure in a row.
#[derive(Debug, Default)]
pub struct BackOff {
    failures: u32,
}

impl BackOff {
    /// Connecting worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        let delay = Duration::from_millis(50) * 2u32.pow(self.failures.min(4));
        self.failures += 1;
        time::sleep(delay).await;
    }
}
