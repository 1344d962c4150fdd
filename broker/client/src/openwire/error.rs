//! What ends a client's connection, or is refused.

use std::io;

use paceline_wire::openwire::{Command, DecodeError, Throwable};
use thiserror::Error;

use crate::Lost;

/// Why a connection has ended, was not opened, or a command was not carried out.
#[derive(Debug, Error)]
pub enum Error {
    /// The connection is over.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The server sent what is no command.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The server sent an ExceptionResponse or a ConnectionError.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server sent a command that makes no sense here.
    #[error("the server sends an unexpected {0}")]
    Unexpected(&'static str),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.into())
    }
}

impl Error {
    /// What a command means that is not the one awaited.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::ExceptionResponse(it) => {
                Self::Server(ServerError::of(it.exception.as_ref(), Some(it.correlation_id)))
            }
            Command::ConnectionError(it) => {
                Self::Server(ServerError::of(it.exception.as_ref(), None))
            }
            other => Self::Unexpected(other.name()),
        }
    }
}

/// An exception that the server has sent. A command that it answers was certainly not carried out,
/// and will not be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the server says: {}", .message.as_deref().unwrap_or("no reason given"))]
pub struct ServerError {
    /// The exception's class.
    pub class: String,
    /// What is wrong.
    pub message: Option<String>,
    /// The number of the command which could not be carried out, if it is about one.
    pub command: Option<i32>,
}

impl ServerError {
    fn of(exception: Option<&Throwable>, command: Option<i32>) -> Self {
        let message = exception.and_then(|it| it.message.as_ref()).map(|it| it.as_str().to_owned());
        let class = exception.map(|it| it.class.as_str().to_owned()).unwrap_or_default();
        Self { class, message, command }
    }
}
