//! What ends a client's session.

use std::io;

use paceline_wire::stomp::{Command, DecodeError, Frame, OUTCOME_UNKNOWN, header};
use thiserror::Error;

use crate::Lost;

/// Why a session has ended, or was not opened.
#[derive(Debug, Error)]
pub enum Error {
    /// The connection is over.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The server sent what is no frame.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The server sent an ERROR frame.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server sent a frame that makes no sense here.
    #[error("the server sends an unexpected {} frame", .0.as_str())]
    Unexpected(Command),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.into())
    }
}

impl Error {
    /// What a frame means that is not the one awaited.
    pub fn of(frame: &Frame) -> Self {
        match frame.command {
            Command::Error => Self::Server(ServerError::of(frame)),
            other => Self::Unexpected(other),
        }
    }
}

/// An ERROR frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the server says: {}", .message.as_deref().unwrap_or("no reason given"))]
pub struct ServerError {
    /// What is wrong.
    pub message: Option<String>,
    /// The receipt that the frame asked for which could not be carried out.
    pub receipt: Option<String>,
}

impl ServerError {
    /// What an ERROR frame says.
    pub fn of(frame: &Frame) -> Self {
        let text = |name| frame.header(name).map(|text| text.to_string());
        Self { message: text(header::MESSAGE), receipt: text(header::RECEIPT_ID) }
    }

    /// Whether the frame that it is about certainly was not carried out, and will not be.
    pub fn is_certain(&self) -> bool {
        self.message.as_ref().is_some_and(|message| !message.contains(OUTCOME_UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_not_said_is_not_certain() {
        let error = |text: &str| ServerError::of(&Frame::new(Command::Error).with("message", text));
        assert!(error("SEND: refused: the disk is full").is_certain());
        assert!(error("SEND: the header `destination` is missing").is_certain());
        assert!(!error("SEND: outcome unknown: no leader").is_certain());
        assert!(!ServerError::of(&Frame::new(Command::Error)).is_certain());
    }
}
