//! Bytes to commands, however the bytes are split.

use bytes::{Buf, BytesMut};

use super::{Command, DecodeError, WireFormatInfo, reader::Reader};
use crate::Expected;

/// What a peer may make the decoder hold. Checked before the memory is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame, without its size.
    pub max_frame_bytes: usize,
    /// Bytes of the first frame, which comes from anybody.
    pub max_first_frame_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A body as STOMP has it, and what comes with it.
            max_frame_bytes: (16 << 20) + (64 << 10),
            max_first_frame_bytes: 8 << 10,
        }
    }
}

/// Reads commands out of a buffer that grows as bytes arrive.
///
/// The buffer stays the caller's: `decode` takes from its front what belongs to whole frames. The
/// first frame has to be a [`WireFormatInfo`]; nothing else is read before the version is set.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Option<i32>,
    /// Of the frame whose size is taken off the buffer and whose rest is not complete.
    size: Option<usize>,
}

const SIZE_BYTES: usize = 4;

impl Decoder {
    /// A decoder at the beginning of a connection, when the version is not yet known.
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: None, size: None }
    }

    /// Frames from now on are of this version.
    pub fn set_version(&mut self, version: i32) {
        self.version = Some(version);
    }

    /// Takes the next whole frame off the front of `input`; `Ok(None)` asks for more bytes.
    ///
    /// # Errors
    ///
    /// After an error the connection must end.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Command>, DecodeError> {
        let size = match self.size {
            Some(size) => size,
            None if input.len() < SIZE_BYTES => return Ok(None),
            None => {
                let size = self.check_size(input.get_u32())?;
                *self.size.insert(size)
            }
        };
        // Said at once: the rest of what cannot be read may never come.
        let Some(&code) = input.first() else { return Ok(None) };
        let name = self.check_type(code)?;
        if input.len() < size {
            return Ok(None);
        }
        self.size = None;
        let mut frame = input.split_to(size).freeze();
        frame.advance(1);
        let mut reader = Reader::new(frame, self.version.unwrap_or_default());
        let command = Command::read(code, &mut reader)
            .expect("checked above")
            .map_err(|error| error.within(name))?;
        match reader.remaining() {
            0 => Ok(Some(command)),
            count => Err(DecodeError::TrailingBytes { command: name, count }),
        }
    }

    /// What the frame that `decode` asked more bytes for may come to need of its input.
    pub fn expected(&self) -> Expected {
        match self.size {
            None => Expected::Head(SIZE_BYTES),
            Some(size) => Expected::Exactly(size),
        }
    }

    /// Whether the bytes taken so far end between two frames.
    pub fn is_between_frames(&self) -> bool {
        self.size.is_none()
    }

    fn check_size(&self, size: u32) -> Result<usize, DecodeError> {
        let max = match self.version {
            Some(_) => self.limits.max_frame_bytes,
            None => self.limits.max_first_frame_bytes,
        };
        match size as usize {
            0 => Err(DecodeError::EmptyFrame),
            bytes if bytes > max => Err(DecodeError::FrameSize { size, max }),
            bytes => Ok(bytes),
        }
    }

    /// The name of the command of this type.
    fn check_type(&self, code: u8) -> Result<&'static str, DecodeError> {
        match self.version {
            None if code != WireFormatInfo::CODE => Err(DecodeError::NotNegotiated { code }),
            version => Command::name_of(code)
                .ok_or(DecodeError::UnknownCommand { code, version: version.unwrap_or_default() }),
        }
    }
}
