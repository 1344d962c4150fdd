//! One STOMP 1.2 connection from the client's side.

mod error;
#[cfg(test)]
mod tests;
mod writing;

use std::{future::pending, time::Duration};

use bytes::BytesMut;
use paceline_runtime::{
    net::{self, OwnedReadHalf, TcpStream},
    time::{self, Instant},
};
use paceline_wire::stomp::{Command, Decoder, Frame, FrameWriter, Limits, Version, header};
use tokio::io::AsyncReadExt;

pub use self::error::{Error, ServerError};
use self::writing::Writing;

/// The receipt of the DISCONNECT frame.
const LEAVE: &str = "leave";

/// How a session is opened and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// For the `host` header.
    pub host: String,
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
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            heart_beat: None,
            read_bytes: 16 * 1024,
        }
    }
}

/// What both sides promise each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartBeat {
    /// How often each is heard.
    pub every: Duration,
    /// A server that is silent for so long is given up.
    pub silence: Duration,
}

/// A connection to a server.
///
/// One with heart-beats writes from a task of its own, so that the server hears of it whatever its
/// owner does. One without writes while it is [turned](Self::turn), and so costs one task less.
/// Either way a client that waits to be read never stops reading.
pub struct Client {
    reader: OwnedReadHalf,
    decoder: Decoder,
    input: BytesMut,
    read_bytes: usize,
    /// What is to be sent and was not handed on yet.
    out: BytesMut,
    writing: Writing,
    /// The silence after which the server is given up, if there is one, and when it was heard last.
    silence: Option<Duration>,
    last_heard: Instant,
}

impl Client {
    /// Connects to `address`, a `host:port`, as far as CONNECTED.
    pub async fn connect(address: &str, options: &Options) -> Result<Self, Error> {
        let open = async {
            let stream = net::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut client = Self::begin(stream, options);
            client.open(options).await?;
            Ok(client)
        };
        time::timeout(options.connect_timeout, open).await.map_err(|_| Error::Silent)?
    }

    /// A connection over which nothing was said yet.
    pub fn begin(stream: TcpStream, options: &Options) -> Self {
        let (reader, writer) = stream.into_split();
        let mut decoder = Decoder::new(options.limits);
        decoder.set_version(Version::V1_2);
        Self {
            reader,
            decoder,
            input: BytesMut::new(),
            read_bytes: options.read_bytes,
            out: BytesMut::new(),
            writing: match options.heart_beat {
                Some(HeartBeat { every, .. }) => Writing::by_task(writer, every),
                None => Writing::in_turn(writer),
            },
            silence: options.heart_beat.map(|it| it.silence),
            last_heard: Instant::now(),
        }
    }

    async fn open(&mut self, options: &Options) -> Result<(), Error> {
        let mut connect = Frame::new(Command::Connect)
            .with(header::ACCEPT_VERSION, "1.2")
            .with(header::HOST, options.host.as_str());
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
        frame.encode(Version::V1_2, &mut self.out);
        self.writing.take(&mut self.out);
    }

    /// Begins a frame that is sent, once it is finished, when the client is next turned.
    pub fn frame(&mut self, command: Command) -> FrameWriter<'_> {
        FrameWriter::begin(&mut self.out, Version::V1_2, command)
    }

    /// Sends these bytes, whatever they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.writing.take(&mut self.out);
    }

    /// Bytes that wait for the client to be turned.
    pub fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Sends all that waits for the client to be turned, and reads nothing meanwhile.
    pub async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.writing.flush(&mut self.out).await?)
    }

    /// Says nothing from now on, not even heart-beats, but leaves the connection open: as after the
    /// machine has gone, from which no word comes that it has.
    pub fn fall_silent(&mut self) {
        self.writing.fall_silent();
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
        Ok(self.decoder.decode(&mut self.input)?)
    }

    /// Sends or receives some bytes. Cancel-safe.
    pub async fn turn(&mut self) -> Result<(), Error> {
        self.writing.take(&mut self.out);
        self.input.reserve(self.read_bytes);
        let given_up = self.silence.map(|silence| self.last_heard + silence);
        tokio::select! {
            biased;
            () = self.writing.write(&mut self.out), if self.writing.is_due(&self.out) => {}
            read = self.reader.read_buf(&mut self.input) => match read {
                Ok(0) => return Err(Error::Closed),
                Ok(_) => self.last_heard = Instant::now(),
                Err(error) => return Err(Error::Io(error)),
            },
            () = at(given_up) => return Err(Error::Silent),
        }
        Ok(())
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

impl Drop for Client {
    fn drop(&mut self) {
        self.writing.end();
    }
}

/// Waits for an instant, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => pending().await,
    }
}
