//! Bytes to frames, however the bytes are split.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};
use thiserror::Error;

use super::{Command, Frame, Text, Version, escape::Escapes, header};
use crate::Expected;

/// What a peer may make the decoder hold. Checked before the memory is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Headers of one frame.
    pub max_headers: usize,
    /// Bytes of the command's or one header's line.
    pub max_line_bytes: usize,
    /// Bytes of the command and all headers together.
    pub max_head_bytes: usize,
    /// Bytes of a body.
    pub max_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_headers: 256,
            max_line_bytes: 10 * 1024,
            max_head_bytes: 64 * 1024,
            max_body_bytes: 16 * 1024 * 1024,
        }
    }
}

/// Why bytes are not a frame. The stream cannot be read on after any of these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The first line is no command of any version.
    #[error("`{0}` is not a STOMP command")]
    UnknownCommand(String),
    /// A line of the head exceeds [`Limits::max_line_bytes`].
    #[error("a line of the frame's head is longer than {max} bytes")]
    LineTooLong {
        /// The limit.
        max: usize,
    },
    /// The head exceeds [`Limits::max_head_bytes`].
    #[error("the frame's head is longer than {max} bytes")]
    HeadTooLong {
        /// The limit.
        max: usize,
    },
    /// The frame has more than [`Limits::max_headers`].
    #[error("the frame has more than {max} headers")]
    TooManyHeaders {
        /// The limit.
        max: usize,
    },
    /// A header's line holds no colon.
    #[error("the header line `{0}` has no colon")]
    NoColon(String),
    /// A header's line begins with its colon.
    #[error("a header has no name: `{0}`")]
    EmptyName(String),
    /// A header's line holds a backslash that begins no escape of the version.
    #[error("the header line `{line}` holds the undefined escape `\\{escape}`")]
    UndefinedEscape {
        /// The line, shortened.
        line: String,
        /// What follows the backslash.
        escape: String,
    },
    /// A header's line is not UTF-8.
    #[error("the header line `{0}` is not UTF-8")]
    NotUtf8(String),
    /// A header's line holds a NUL octet, which ends a frame for many readers.
    #[error("the frame ends inside its head: NUL after `{0}`")]
    NulInHead(String),
    /// A carriage return stands alone between frames.
    #[error("a carriage return between frames is not followed by a line feed")]
    LoneReturn,
    /// The `content-length` is no number.
    #[error("`{0}` is not a content-length")]
    BadContentLength(String),
    /// The body is announced, or found, to exceed [`Limits::max_body_bytes`].
    #[error("the body is larger than {max} bytes")]
    BodyTooLarge {
        /// The limit.
        max: usize,
    },
    /// No NUL stands after `content-length` bytes of body.
    #[error("no NUL follows the {length} bytes of body that content-length announces")]
    MissingNul {
        /// What `content-length` says.
        length: usize,
    },
    /// A body where the command allows none.
    #[error("{0} frames have no body")]
    UnexpectedBody(&'static str),
}

/// Reads frames out of a buffer that grows as bytes arrive.
///
/// The buffer stays the caller's: `decode` takes from its front what belongs to whole frames. No
/// byte is looked at twice however small the pieces are.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Option<Version>,
    state: State,
    /// The lines of the unfinished head.
    lines: Vec<Range<usize>>,
}

#[derive(Debug)]
enum State {
    /// Before or in a head: how much of the buffer was searched for line ends, and where the
    /// unfinished line begins.
    Head { searched: usize, line_start: usize },
    /// The head is complete and taken off the buffer.
    Body { frame: Frame, length: BodyLength },
}

#[derive(Debug)]
enum BodyLength {
    /// The frame may have no body: its NUL comes next.
    Nothing,
    /// So many bytes, and a NUL.
    Announced(usize),
    /// As many bytes as come before the first NUL.
    UntilNul { searched: usize },
}

impl State {
    const START: State = State::Head { searched: 0, line_start: 0 };
}

impl Decoder {
    /// A decoder at the beginning of a connection, when the version is not yet known.
    pub fn new(limits: Limits) -> Self {
        Self { limits, version: None, state: State::START, lines: Vec::new() }
    }

    /// Frames from now on are of this version.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Takes the next whole frame off the front of `input`; `Ok(None)` asks for more bytes.
    /// Heart-beats are taken off silently.
    ///
    /// # Errors
    ///
    /// After an error the stream has no frame boundary any more; the connection must end.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        loop {
            match &mut self.state {
                State::Head { .. } => {
                    if !self.read_head(input)? {
                        return Ok(None);
                    }
                }
                State::Body { frame, length } => {
                    let max = self.limits.max_body_bytes;
                    let Some(body) = read_body(frame.command, length, input, max)? else {
                        return Ok(None);
                    };
                    let State::Body { mut frame, .. } =
                        std::mem::replace(&mut self.state, State::START)
                    else {
                        unreachable!("matched above")
                    };
                    frame.body = body;
                    return Ok(Some(frame));
                }
            }
        }
    }

    /// Whether the bytes seen so far end between two frames.
    pub fn is_between_frames(&self) -> bool {
        matches!(&self.state, State::Head { searched: 0, .. })
    }

    /// What the frame that `decode` asked more bytes for may come to need of its input.
    pub fn expected(&self) -> Expected {
        let Limits { max_line_bytes, max_head_bytes, max_body_bytes, .. } = self.limits;
        match &self.state {
            // The head is measured at its lines' ends.
            State::Head { .. } => Expected::Head(max_head_bytes + max_line_bytes + 2),
            State::Body { length: BodyLength::Nothing, .. } => Expected::Exactly(1),
            State::Body { length: BodyLength::Announced(length), .. } => {
                Expected::Exactly(length + 1)
            }
            State::Body { length: BodyLength::UntilNul { .. }, .. } => {
                Expected::UpTo(max_body_bytes + 1)
            }
        }
    }

    /// Looks for the end of the head; true once the state is [`State::Body`].
    fn read_head(&mut self, input: &mut BytesMut) -> Result<bool, DecodeError> {
        let State::Head { searched, line_start } = &mut self.state else {
            unreachable!("called in this state only")
        };
        let lines = &mut self.lines;
        if *searched == 0 && !skip_to_frame(input)? {
            return Ok(false);
        }
        loop {
            // Garbage without a line end must not make its sender wait for an answer.
            let Some(found) = memchr2(b'\n', 0, &input[*searched..]) else {
                // One more than the limit, since the line may end with a carriage return.
                if input.len() - *line_start > self.limits.max_line_bytes + 1 {
                    return Err(DecodeError::LineTooLong { max: self.limits.max_line_bytes });
                }
                *searched = input.len();
                return Ok(false);
            };
            let (start, end) = (*line_start, *searched + found);
            *searched = end + 1;
            *line_start = end + 1;
            if end - start > self.limits.max_line_bytes + 1 {
                return Err(DecodeError::LineTooLong { max: self.limits.max_line_bytes });
            }
            if end > self.limits.max_head_bytes {
                return Err(DecodeError::HeadTooLong { max: self.limits.max_head_bytes });
            }
            if input[end] == 0 {
                return Err(nul_in_head(&input[start..end], lines));
            }
            let is_blank = match &input[start..end] {
                [] => true,
                // A lone return is a blank line where lines end with CR LF: in 1.2, before the
                // version is known, and where the command's line ended so as well.
                [b'\r'] => {
                    matches!(self.version, None | Some(Version::V1_2))
                        || lines.first().is_some_and(|line| input[line.end - 1] == b'\r')
                }
                _ => false,
            };
            if is_blank {
                let head = input.split_to(end + 1).freeze();
                let (frame, length) = self.parse_head(&head)?;
                self.lines.clear();
                self.state = State::Body { frame, length };
                return Ok(true);
            }
            if lines.is_empty() {
                // Said at once: a client that speaks another protocol may never send a blank line.
                parse_command(&input[start..end])?;
            }
            if lines.len() > self.limits.max_headers {
                return Err(DecodeError::TooManyHeaders { max: self.limits.max_headers });
            }
            lines.push(start..end);
        }
    }

    fn parse_head(&self, head: &Bytes) -> Result<(Frame, BodyLength), DecodeError> {
        let first = self.lines[0].clone();
        let command = parse_command(&head[first.clone()])?;
        let crlf =
            head[first.end - 1] == b'\r' || matches!(self.version, None | Some(Version::V1_2));
        let escapes = Escapes::of(self.version.unwrap_or(Version::V1_0), command);

        let mut headers = Vec::with_capacity(self.lines.len() - 1);
        for line in &self.lines[1..] {
            let end = line.end - usize::from(crlf && head[line.end - 1] == b'\r');
            headers.push(parse_header(head, line.start..end, escapes)?);
        }
        // Only 1.0 drops white space around headers; a first frame without accept-version is 1.0
        // (STOMP 1.1 "Protocol Negotiation").
        let is_v1_0 = match self.version {
            None => {
                command == Command::Connect
                    && !headers.iter().any(|(name, _)| *name == header::ACCEPT_VERSION)
            }
            Some(version) => version == Version::V1_0,
        };
        if is_v1_0 {
            for (name, value) in &mut headers {
                *name = name.trimmed();
                *value = value.trimmed();
            }
        }
        let frame = Frame { command, headers, body: Bytes::new() };
        let length = match frame.header(header::CONTENT_LENGTH) {
            // Clients copy the headers of a MESSAGE into its ACK. To wait for a body that cannot
            // come would stall the connection, so these frames' content-length counts for nothing.
            // 1.0 does not forbid their body.
            _ if !command.may_have_body() => match self.version {
                Some(version) if version >= Version::V1_1 => BodyLength::Nothing,
                _ => BodyLength::UntilNul { searched: 0 },
            },
            None => BodyLength::UntilNul { searched: 0 },
            Some(text) => {
                let digits = text.trim();
                if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
                    return Err(DecodeError::BadContentLength(shown(text.as_bytes())));
                }
                // All digits, so what does not fit a usize is too large.
                match digits.parse::<usize>() {
                    Ok(length) if length <= self.limits.max_body_bytes => {
                        BodyLength::Announced(length)
                    }
                    _ => {
                        return Err(DecodeError::BodyTooLarge { max: self.limits.max_body_bytes });
                    }
                }
            }
        };
        Ok((frame, length))
    }
}

fn parse_command(line: &[u8]) -> Result<Command, DecodeError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Command::parse(line).ok_or_else(|| DecodeError::UnknownCommand(shown(line)))
}

fn parse_header(
    head: &Bytes,
    at: Range<usize>,
    escapes: Escapes,
) -> Result<(Text, Text), DecodeError> {
    let line = &head[at.clone()];
    let Some(colon) = memchr(b':', line) else {
        return Err(DecodeError::NoColon(shown(line)));
    };
    if colon == 0 {
        return Err(DecodeError::EmptyName(shown(line)));
    }
    let text = |escaped: Range<usize>| {
        let bytes =
            escapes.decode(head.slice(escaped)).map_err(|bad| DecodeError::UndefinedEscape {
                line: shown(line),
                escape: bad.0.map(|octet| shown(&[octet])).unwrap_or_default(),
            })?;
        Text::from_utf8(bytes).ok_or_else(|| DecodeError::NotUtf8(shown(line)))
    };
    let colon = at.start + colon;
    Ok((text(at.start..colon)?, text(colon + 1..at.end)?))
}

fn read_body(
    command: Command,
    length: &mut BodyLength,
    input: &mut BytesMut,
    max: usize,
) -> Result<Option<Bytes>, DecodeError> {
    match length {
        BodyLength::Nothing => match input.first() {
            None => Ok(None),
            Some(0) => {
                input.advance(1);
                Ok(Some(Bytes::new()))
            }
            Some(_) => Err(DecodeError::UnexpectedBody(command.as_str())),
        },
        BodyLength::Announced(length) => {
            let length = *length;
            match input.get(length) {
                None => Ok(None),
                Some(0) => {
                    let body = input.split_to(length).freeze();
                    input.advance(1);
                    Ok(Some(body))
                }
                Some(_) => Err(DecodeError::MissingNul { length }),
            }
        }
        BodyLength::UntilNul { searched } => match memchr(0, &input[*searched..]) {
            Some(found) if *searched + found <= max => {
                let body = input.split_to(*searched + found).freeze();
                input.advance(1);
                Ok(Some(body))
            }
            None if input.len() <= max => {
                *searched = input.len();
                Ok(None)
            }
            _ => Err(DecodeError::BodyTooLarge { max }),
        },
    }
}

/// A NUL on a line of the head, after `before`; on the first line the sender speaks no STOMP.
fn nul_in_head(before: &[u8], lines: &[Range<usize>]) -> DecodeError {
    if lines.is_empty() && Command::parse(before).is_none() {
        DecodeError::UnknownCommand(shown(before))
    } else {
        DecodeError::NulInHead(shown(before))
    }
}

/// Takes line ends off the front, and the NULs that some clients send besides the one that ends a
/// frame; false where nothing else is there yet.
fn skip_to_frame(input: &mut BytesMut) -> Result<bool, DecodeError> {
    loop {
        match input.as_ref() {
            [b'\n' | 0, ..] => input.advance(1),
            [b'\r', b'\n', ..] => input.advance(2),
            [] | [b'\r'] => return Ok(false),
            [b'\r', ..] => return Err(DecodeError::LoneReturn),
            _ => return Ok(true),
        }
    }
}

/// What a client sent, fit for a message: short, printable.
fn shown(bytes: &[u8]) -> String {
    const MAX: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX)]);
    let mut shown: String = text.chars().flat_map(char::escape_default).collect();
    if bytes.len() > MAX {
        shown.push('…');
    }
    shown
}
