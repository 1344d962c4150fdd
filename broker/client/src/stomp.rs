//! One STOMP 1.2 connection from the client's side.

mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use paceline_runtime::net::TcpStream;
use paceline_wire::stomp::{
    Command, Decoder, Frame, FrameWriter, HEART_BEAT, Limits, Version, header,
};

pub use self::error::{Error, ServerError};
pub use crate::HeartBeat;
use crate::socket::{self, Socket};

/// The receipt of the DISCONNECT frame.
const LEAVE: &str = "leave";

/// How a session is opened and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// For the `host` header.
    pub host: String,
    /// Whose durable subscriptions are meant.
    pub client_id: Option<String>,
    /// Bounds on what the server may send.
    pub limits: Limits,
    /// How long connecting and the answer to CONNECT may take.
    pub connect_timeout: Duration,
    /// Heart-beats, if any.
    pub heart_beat: Option<HeartBeat>,
    /// What each read has room for at least; 0 takes what room there is, which is little.
    pub read_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "paceline".into(),
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
}

impl Client {
    /// Connects to `address`, a `host:port`, as far as CONNECTED.
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
        let mut decoder = Decoder::new(options.limits);
        decoder.set_version(Version::V1_2);
        let heart_beat = options.heart_beat.map(|it| (it, Bytes::from_static(HEART_BEAT)));
        Self { socket: Socket::new(stream, options.read_bytes, heart_beat), decoder }
    }

    async fn open(&mut self, options: &Options) -> Result<(), Error> {
        let mut connect = Frame::new(Command::Connect)
            .with(header::ACCEPT_VERSION, "1.2")
            .with(header::HOST, options.host.as_str());
        if let Some(client_id) = &options.client_id {
            connect = connect.with("client-id", client_id.as_str());
        }
        if let Some(HeartBeat { every, .. }) = options.heart_beat {
            let every = every.as_millis();
            connect = connect.with(header::HEART_BEAT, format!("{every},{every}"));
        }
        self.send(&connect);
        let answer = self.receive().await?;
        match answer.command {
            Command::Connected => Ok(()),
            _ => Err(Error::of(&answer)),
        }
    }

    // ---- sending --------------------------------------------------------------------------------

    /// Sends a frame. A connection that is gone shows when it is read.
    pub fn send(&mut self, frame: &Frame) {
        frame.encode(Version::V1_2, &mut self.socket.out);
        self.socket.hand_on();
    }

    /// Begins a frame that is sent, once it is finished, when the client is next turned.
    pub fn frame(&mut self, command: Command) -> FrameWriter<'_> {
        FrameWriter::begin(&mut self.socket.out, Version::V1_2, command)
    }

    /// Sends these bytes, whatever they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.out.extend_from_slice(bytes);
        self.socket.hand_on();
    }

    /// Bytes that wait for the client to be turned.
    pub fn unsent(&self) -> usize {
        self.socket.out.len()
    }

    /// Sends all that waits for the client to be turned, and reads nothing meanwhile.
    pub async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.socket.flush().await?)
    }

    /// Says nothing from now on, not even heart-beats, but leaves the connection open: as after the
    /// machine has gone, from which no word comes that it has.
    pub fn fall_silent(&mut self) {
        self.socket.fall_silent();
    }

    // ---- receiving ------------------------------------------------------------------------------

    /// The next frame, within the time that a silent server is given. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.try_receive()? {
                return Ok(frame);
            }
            self.turn().await?;
        }
    }

    /// The next frame that has come, if there is one.
    pub fn try_receive(&mut self) -> Result<Option<Frame>, Error> {
        Ok(self.decoder.decode(&mut self.socket.input)?)
    }

    /// Sends or receives some bytes. Cancel-safe.
    pub async fn turn(&mut self) -> Result<(), Error> {
        Ok(self.socket.turn().await?)
    }

    /// Takes its leave in good order: what was sent before is carried out, and the server is told
    /// that this is the end.
    pub async fn leave(&mut self) -> Result<(), Error> {
        self.send(&Frame::new(Command::Disconnect).with(header::RECEIPT, LEAVE));
        loop {
            let frame = self.receive().await?;
            match frame.command {
                Command::Receipt
                    if frame.header(header::RECEIPT_ID).is_some_and(|id| *id == LEAVE) =>
                {
                    return Ok(());
                }
                // What crossed with the wish to leave.
                Command::Receipt | Command::Message => {}
                _ => return Err(Error::of(&frame)),
            }
        }
    }
}
