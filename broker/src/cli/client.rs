//! A STOMP client, just enough for `produce` and `consume`.

use std::{io, time::Duration};

use anyhow::{Result, bail};
use bytes::BytesMut;
use paceline_core::operation::Refusal;
use paceline_runtime::{
    net::{self, OwnedReadHalf, OwnedWriteHalf},
    time,
};
use paceline_wire::stomp::{Command, Decoder, Frame, Limits, Version, header};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::Address;

/// How long a server may take to open a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An ERROR frame.
#[derive(Debug, Error)]
#[error("the server says: {message}")]
pub(super) struct ServerError {
    message: String,
    /// The receipt that its frame asked for.
    receipt: Option<String>,
}

impl ServerError {
    fn of(frame: &Frame) -> Self {
        let text = |name| frame.header(name).map(|text| text.to_string());
        Self {
            message: text(header::MESSAGE).unwrap_or_else(|| "no reason given".into()),
            receipt: text(header::RECEIPT_ID),
        }
    }

    /// The receipt of the frame that certainly was not carried out.
    pub(super) fn refused(&self) -> Option<&str> {
        let unknown = Refusal::Unknown(String::new()).to_string();
        self.receipt.as_deref().filter(|_| !self.message.contains(&unknown))
    }
}

/// An open session. What is to be sent is appended to `out`; [`Client::turn`] sends and receives.
pub(super) struct Client {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    decoder: Decoder,
    input: BytesMut,
    /// Writing has failed: what the server said before it closed is still to be read.
    is_cut: bool,
    pub out: BytesMut,
}

impl Client {
    pub(super) async fn connect(address: &Address) -> Result<Self> {
        let open = async {
            let stream = net::connect(address.as_str()).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            let limits = Limits { max_body_bytes: 64 << 20, ..Limits::default() };
            let mut client = Self {
                reader,
                writer,
                decoder: Decoder::new(limits),
                input: BytesMut::new(),
                is_cut: false,
                out: BytesMut::new(),
            };
            Frame::new(Command::Connect)
                .with(header::ACCEPT_VERSION, "1.2")
                .with(header::HOST, address.as_str())
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

    /// The next frame that has come, if there is one. An ERROR frame is a [`ServerError`] here.
    pub(super) fn next(&mut self) -> Result<Option<Frame>> {
        let frame = self.decoder.decode(&mut self.input)?;
        if let Some(frame) = &frame
            && frame.command == Command::Error
        {
            return Err(ServerError::of(frame).into());
        }
        Ok(frame)
    }

    /// Sends or receives some bytes. Cancel-safe.
    pub(super) async fn turn(&mut self) -> io::Result<()> {
        self.input.reserve(16 * 1024);
        tokio::select! {
            biased;
            written = self.writer.write_buf(&mut self.out), if self.can_write() => {
                self.is_cut = !matches!(written, Ok(1..));
            }
            read = self.reader.read_buf(&mut self.input) => {
                if read? == 0 {
                    return Err(io::Error::other("the server closed the connection"));
                }
            }
        }
        Ok(())
    }

    fn can_write(&self) -> bool {
        !self.is_cut && !self.out.is_empty()
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
