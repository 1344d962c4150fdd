//! A STOMP client, just enough for `produce` and `consume`.

use std::{io, time::Duration};

use anyhow::{Result, bail};
use bytes::BytesMut;
use paceline_runtime::{
    net::{self, OwnedReadHalf, OwnedWriteHalf, TcpStream},
    time,
};
use paceline_wire::stomp::{Command, Decoder, Frame, Limits, Version, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a server may take to open a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open session. What is to be sent is appended to `out`; [`Client::turn`] sends and receives.
pub(super) struct Client {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    decoder: Decoder,
    input: BytesMut,
    pub out: BytesMut,
}

impl Client {
    pub(super) async fn connect(address: &str) -> Result<Self> {
        let open = async {
            let stream = TcpStream::connect(net::resolve(address).await?).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let limits = Limits { max_body_bytes: 64 << 20, ..Limits::default() };
            let mut client = Self {
                reader,
                writer,
                decoder: Decoder::new(limits),
                input: BytesMut::new(),
                out: BytesMut::new(),
            };
            Frame::new(Command::Connect)
                .with(header::ACCEPT_VERSION, "1.2")
                .with(header::HOST, address)
                .encode(Version::V1_2, &mut client.out);
            loop {
                if let Some(frame) = client.next()? {
                    if frame.command != Command::Connected {
                        bail!("the server answers CONNECT with {}", frame.command.as_str());
                    }
                    client.decoder.set_version(Version::V1_2);
                    return Ok(client);
                }
                client.turn().await?;
            }
        };
        time::timeout(CONNECT_TIMEOUT, open).await?
    }

    /// The next frame that has come, if there is one. An ERROR frame is an error here.
    pub(super) fn next(&mut self) -> Result<Option<Frame>> {
        let frame = self.decoder.decode(&mut self.input)?;
        if let Some(frame) = &frame
            && frame.command == Command::Error
        {
            let message = frame.header(header::MESSAGE).map_or("no reason given", |text| text);
            bail!("the server says: {message}");
        }
        Ok(frame)
    }

    /// Sends or receives some bytes. Cancel-safe.
    pub(super) async fn turn(&mut self) -> io::Result<()> {
        self.input.reserve(16 * 1024);
        tokio::select! {
            biased;
            written = self.writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                if written? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            read = self.reader.read_buf(&mut self.input) => {
                if read? == 0 {
                    return Err(io::Error::other("the server closed the connection"));
                }
            }
        }
        Ok(())
    }

    /// Sends what is left, then ends the session in good order: returns once the server has carried
    /// everything out.
    pub(super) async fn disconnect(mut self) -> Result<()> {
        Frame::new(Command::Disconnect)
            .with(header::RECEIPT, "bye")
            .encode(Version::V1_2, &mut self.out);
        loop {
            while let Some(frame) = self.next()? {
                if frame.command == Command::Receipt
                    && frame.header(header::RECEIPT_ID).is_some_and(|id| *id == "bye")
                {
                    return Ok(());
                }
            }
            self.turn().await?;
        }
    }
}
