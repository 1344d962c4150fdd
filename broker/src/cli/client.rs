//! How `produce` and `consume` speak to a node.

use anyhow::Result;
use paceline_client::stomp::{Client, Error, Options};
use paceline_wire::stomp::{Command, Frame, Limits};

use crate::config::Address;

/// The largest body that is received.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Opens a session, without heart-beats.
pub(super) async fn connect(address: &Address) -> Result<Client, Error> {
    let options = Options {
        host: address.as_str().to_owned(),
        limits: Limits { max_body_bytes: MAX_BODY_BYTES, ..Limits::default() },
        ..Options::default()
    };
    Client::connect(address.as_str(), &options).await
}

/// The next frame that has come, if there is one. An ERROR frame is an error here.
pub(super) fn next(client: &mut Client) -> Result<Option<Frame>, Error> {
    match client.try_receive()? {
        Some(frame) if frame.command == Command::Error => Err(Error::of(&frame)),
        frame => Ok(frame),
    }
}
