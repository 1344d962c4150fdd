//! One OpenWire connection from the client's side, versions 9 to 12, loosely encoded.

mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::BytesMut;
use paceline_runtime::net::TcpStream;
use paceline_wire::{
    openwire::{
        Command, ConnectionId, ConnectionInfo, Decoder, KeepAliveInfo, Limits, MAX_VERSION,
        MIN_VERSION, ObjectId, RemoveInfo, ShutdownInfo, WireFormatInfo,
    },
    text::Text,
};

pub use self::error::{Error, ServerError};
use crate::{
    HeartBeat, Lost,
    socket::{self, Socket},
};

/// What a RemoveInfo says that does not know which message the application has seen last.
pub const UNKNOWN_SEQUENCE: i64 = -2;

/// How a connection is opened and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The connection's id, which no other one has: the ids of all that it opens begin with it.
    pub connection: Text,
    /// Whose durable subscriptions are meant.
    pub client_id: Option<Text>,
    /// Bounds on what the server may send.
    pub limits: Limits,
    /// How long connecting and the answer to ConnectionInfo may take.
    pub connect_timeout: Duration,
    /// KeepAliveInfo, if any. The server hears of the silence that is borne.
    pub heart_beat: Option<HeartBeat>,
    /// What each read has room for at least; 0 takes what room there is, which is little.
    pub read_bytes: usize,
}

impl Options {
    /// Those of a connection of this id.
    pub fn new(connection: impl Into<Text>) -> Self {
        Self {
            connection: connection.into(),
            client_id: None,
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            heart_beat: None,
            read_bytes: 16 * 1024,
        }
    }
}

/// A connection to a server. When it writes, [`HeartBeat`] says.
pub struct Client {
    socket: Socket,
    decoder: Decoder,
    connection: ConnectionId,
    version: i32,
    /// The number of the last command.
    commands: i32,
}

impl Client {
    /// Connects to `address`, a `host:port`, as far as the response to ConnectionInfo.
    pub async fn connect(address: &str, options: &Options) -> Result<Self, Error> {
        let open = async {
            let mut client = Self::begin(socket::connect(address).await?, options);
            client.open(options).await?;
            Ok(client)
        };
        socket::within(options.connect_timeout, open).await
    }

    /// A connection over which nothing was said yet.
    pub fn begin(stream: TcpStream, options: &Options) -> Self {
        let heart_beat = options.heart_beat.map(|it| {
            let mut bytes = BytesMut::new();
            Command::from(KeepAliveInfo::default()).encode(MAX_VERSION, &mut bytes);
            (it, bytes.freeze())
        });
        Self {
            socket: Socket::new(stream, options.read_bytes, heart_beat),
            decoder: Decoder::new(options.limits),
            connection: ConnectionId { value: options.connection.clone() },
            version: MAX_VERSION,
            commands: 0,
        }
    }

    async fn open(&mut self, options: &Options) -> Result<(), Error> {
        let silence = options.heart_beat.map_or(Duration::ZERO, |it| it.silence);
        self.send(WireFormatInfo {
            version: MAX_VERSION,
            tcp_no_delay: true,
            max_inactivity: Some(silence.as_millis() as i64),
            ..WireFormatInfo::default()
        });
        match self.receive().await? {
            Command::WireFormatInfo(theirs) if theirs.version >= MIN_VERSION => {
                self.version = theirs.version.min(MAX_VERSION);
                self.decoder.set_version(self.version);
            }
            other => return Err(Error::of(&other)),
        }
        let connection_id = Some(self.connection.clone());
        let client_id = options.client_id.clone();
        let info = ConnectionInfo {
            connection_id,
            client_id,
            manageable: true,
            ..ConnectionInfo::default()
        };
        let command = self.ask(info);
        loop {
            match self.receive().await? {
                Command::BrokerInfo(_) | Command::ConnectionControl(_) => {}
                answer => return answers(&answer, command).unwrap_or(Err(Error::of(&answer))),
            }
        }
    }

    /// What the client calls the connection.
    pub fn connection(&self) -> &ConnectionId {
        &self.connection
    }

    // ---- sending --------------------------------------------------------------------------------

    /// Sends a command to which no response is wanted. A connection that is gone shows when it is
    /// read.
    pub fn send(&mut self, command: impl Into<Command>) {
        self.say(command.into(), false);
    }

    /// Sends a command and wants a response, which will name the number given here.
    pub fn ask(&mut self, command: impl Into<Command>) -> i32 {
        self.say(command.into(), true)
    }

    fn say(&mut self, mut command: Command, response_required: bool) -> i32 {
        self.commands = self.commands.wrapping_add(1);
        command.set_number(self.commands, response_required);
        command.encode(self.version, &mut self.socket.out);
        self.socket.hand_on();
        self.commands
    }

    /// Sends these bytes, whatever they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.out.extend_from_slice(bytes);
        self.socket.hand_on();
    }

    /// Says nothing from now on, not even KeepAliveInfo, but leaves the connection open: as after the
    /// machine has gone, from which no word comes that it has.
    pub fn fall_silent(&mut self) {
        self.socket.fall_silent();
    }

    // ---- receiving ------------------------------------------------------------------------------

    /// The next command, within the time that a silent server is given. KeepAliveInfo is seen to
    /// here. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Command, Error> {
        loop {
            match self.decoder.decode(&mut self.socket.input)? {
                Some(Command::KeepAliveInfo(it)) if it.response_required => {
                    self.send(KeepAliveInfo::default());
                }
                Some(Command::KeepAliveInfo(_)) => {}
                Some(command) => return Ok(command),
                None => self.socket.turn().await?,
            }
        }
    }

    /// Takes its leave in good order: what was sent before is carried out, and the server closes the
    /// connection. It is not told what the application has seen.
    pub async fn leave(&mut self) -> Result<(), Error> {
        let object_id = Some(ObjectId::Connection(self.connection.clone()));
        let last_delivered_sequence_id = UNKNOWN_SEQUENCE;
        let info = RemoveInfo { object_id, last_delivered_sequence_id, ..RemoveInfo::default() };
        let command = self.ask(info);
        loop {
            let received = self.receive().await?;
            match answers(&received, command) {
                Some(answer) => {
                    answer?;
                    break;
                }
                None if matches!(received, Command::ConnectionError(_)) => {
                    return Err(Error::of(&received));
                }
                // What crossed with the wish to leave.
                None => {}
            }
        }
        self.send(ShutdownInfo::default());
        loop {
            match self.receive().await {
                Ok(_) => {}
                // All was answered before.
                Err(Error::Lost(Lost::Closed | Lost::Io(_))) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a response says of the command of this number; `None` if it is about another one, or no
/// response.
pub fn answers(received: &Command, command: i32) -> Option<Result<(), Error>> {
    match received {
        Command::Response(response) if response.correlation_id == command => Some(Ok(())),
        Command::ExceptionResponse(response) if response.correlation_id == command => {
            Some(Err(Error::of(received)))
        }
        _ => None,
    }
}
