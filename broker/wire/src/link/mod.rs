//! Frames between nodes.
//!
//! One link carries the traffic of every shard that two nodes share, so the framing knows three
//! shapes only: a *notice*, which nobody answers, a *request* with its response, and a *stream* of
//! data in both directions with its own flow control. What their bodies say is the business of those who send them.
//!
//! ```text
//! u32 LE  length of what follows (17 ..= MAX_FRAME_BYTES)
//! u8      kind
//! u64 LE  epoch of the view of the cluster that the sender has; 0 of those who are in no cluster
//! u64 LE  id: of the request or of the stream; 0 in the kinds that have none
//! bytes   body
//! ```
//!
//! TCP carries a checksum and Raft's log its own, so frames have none.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of this format and of the bodies in it. Nodes with different versions refuse each
/// other.
pub const PROTOCOL_VERSION: u16 = 10;

/// The longest frame accepted, without its length field. Larger than the largest message by enough
/// for a whole Raft entry; senders keep batches far below it.
pub const MAX_FRAME_BYTES: usize = 128 << 20;

/// The longest [`Hello`] accepted: enough for some thousand members with long names.
pub const MAX_HELLO_BYTES: usize = 256 << 10;

/// The longest name of a cluster or a node in a [`Hello`], in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Kind, epoch and id, the part of a frame that is always there.
const HEADER_BYTES: usize = 1 + 8 + 8;
const LENGTH_BYTES: usize = 4;

/// First bytes of a [`Hello`]'s body, so that a stray client is recognised at once.
const MAGIC: &[u8; 4] = b"PACE";

/// What both ends say first. The frame names the version before it and the epoch of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The name of the sender's cluster.
    pub cluster: String,
    /// The sender's node number; 0 of one that is no node.
    pub node: u64,
    /// The name of that node.
    pub name: String,
    /// `host:port` at which other nodes reach it.
    pub link: String,
    /// `host:port` at which OpenWire clients are to reach it; empty if they are not told of it.
    pub openwire: String,
    /// The lives of that node that its disk remembers, by number, and their marks. The last one is
    /// the present one.
    pub lives: Vec<(u64, u64)>,
    /// The node that it speaks to; 0 of one that is none, or any.
    pub to: u64,
    /// The last life of that node that the sender has heard from.
    pub knows: Option<(u64, u64)>,
    /// All nodes of the sender's cluster, by number, and their names.
    pub members: Vec<(u64, String)>,
    /// What the cluster began with, in words: its first members, and what decides which slot a message
    /// has.
    pub placement: String,
    /// Of one of those, the policies that it has the cluster begin with, as JSON; empty of others.
    pub policies: String,
    /// Whether its disk was empty, and not all others have said yet that they do not know it either.
    pub is_new: bool,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame in each direction.
    Hello(Hello),
    /// Asks for a [`Frame::Pong`].
    Ping,
    /// Shows that the sender lives.
    Pong,
    /// Is not answered.
    Notice {
        /// What is said.
        body: Bytes,
    },
    /// Wants one [`Frame::Response`] with the same id.
    Request {
        /// Chosen by the requester, never used twice on a link.
        id: u64,
        /// The request.
        body: Bytes,
    },
    /// Answers a request.
    Response {
        /// The request's.
        id: u64,
        /// The answer.
        body: Bytes,
    },
    /// Opens a stream.
    Open {
        /// Chosen by the opener, never used twice on a link.
        stream: u64,
        /// Says what the stream is for.
        body: Bytes,
    },
    /// A piece of a stream, in either direction.
    Data {
        /// The stream's id.
        stream: u64,
        /// The piece.
        body: Bytes,
    },
    /// Allows the receiver of this frame to send that many more bytes of [`Frame::Data`] bodies.
    Credit {
        /// The stream's id.
        stream: u64,
        /// How many bytes.
        bytes: u32,
    },
    /// Ends a stream in both directions.
    Close {
        /// The stream's id.
        stream: u64,
    },
}

/// What a peer sent is not a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME_BYTES`] or shorter than its header.
    #[error("a frame claims {0} bytes; {HEADER_BYTES} to {MAX_FRAME_BYTES} are allowed")]
    Length(usize),
    /// What stands for a length is text: longer than any frame, and the speaker of another protocol.
    #[error(
        "the peer does not speak the link protocol: it sent text, `{}…`; \
         does the address belong to a port for clients or to another program?",
        .0.escape_ascii()
    )]
    Text([u8; LENGTH_BYTES]),
    /// A kind that this version does not know.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// The peer runs another version.
    #[error(
        "the peer speaks version {0} of the link protocol, this node {PROTOCOL_VERSION}; run the \
         same release on both"
    )]
    Version(u16),
    /// The body does not fit the kind.
    #[error("a frame of kind {0} has a malformed body")]
    Body(u8),
    /// The peer is something else than a node.
    #[error("the peer does not speak the link protocol")]
    Magic,
}

const KIND_HELLO: u8 = 1;
const KIND_PING: u8 = 2;
const KIND_PONG: u8 = 3;
const KIND_REQUEST: u8 = 4;
const KIND_RESPONSE: u8 = 5;
const KIND_OPEN: u8 = 6;
const KIND_DATA: u8 = 7;
const KIND_CREDIT: u8 = 8;
const KIND_CLOSE: u8 = 9;
const KIND_NOTICE: u8 = 10;

/// The kinds whose body the caller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// [`Frame::Notice`], whose id is 0.
    Notice,
    /// [`Frame::Request`].
    Request,
    /// [`Frame::Response`].
    Response,
    /// [`Frame::Open`].
    Open,
    /// [`Frame::Data`].
    Data,
}

/// A body would make its frame longer than [`MAX_FRAME_BYTES`], or could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// Too long.
    #[error("a frame of {0} bytes is longer than {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// The value refuses to be written.
    #[error("cannot encode: {0}")]
    Value(postcard::Error),
}

/// Appends a frame whose body is `value` in postcard, written straight into `out`. Gives the
/// body's length. On an error `out` is as it was.
pub fn encode_value<T: Serialize + ?Sized>(
    kind: BodyKind,
    epoch: u64,
    id: u64,
    value: &T,
    out: &mut BytesMut,
) -> Result<usize, EncodeError> {
    let start = out.len();
    let kind = match kind {
        BodyKind::Notice => KIND_NOTICE,
        BodyKind::Request => KIND_REQUEST,
        BodyKind::Response => KIND_RESPONSE,
        BodyKind::Open => KIND_OPEN,
        BodyKind::Data => KIND_DATA,
    };
    out.put_u32_le(0);
    out.put_u8(kind);
    out.put_u64_le(epoch);
    out.put_u64_le(id);
    if let Err(error) = postcard::serialize_with_flavor(value, Appender(out)) {
        out.truncate(start);
        return Err(EncodeError::Value(error));
    }
    let length = out.len() - start - LENGTH_BYTES;
    if length > MAX_FRAME_BYTES {
        out.truncate(start);
        return Err(EncodeError::TooLong(length));
    }
    out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(length - HEADER_BYTES)
}

/// Lets postcard write behind what a buffer already holds.
struct Appender<'a>(&'a mut BytesMut);

impl postcard::ser_flavors::Flavor for Appender<'_> {
    type Output = ();

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.put_u8(data);
        Ok(())
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a frame. Bodies longer than [`MAX_FRAME_BYTES`] are a bug of the caller.
pub fn encode(epoch: u64, frame: &Frame, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32_le(0);
    let (kind, id) = match frame {
        Frame::Hello(_) => (KIND_HELLO, 0),
        Frame::Ping => (KIND_PING, 0),
        Frame::Pong => (KIND_PONG, 0),
        Frame::Notice { .. } => (KIND_NOTICE, 0),
        Frame::Request { id, .. } => (KIND_REQUEST, *id),
        Frame::Response { id, .. } => (KIND_RESPONSE, *id),
        Frame::Open { stream, .. } => (KIND_OPEN, *stream),
        Frame::Data { stream, .. } => (KIND_DATA, *stream),
        Frame::Credit { stream, .. } => (KIND_CREDIT, *stream),
        Frame::Close { stream } => (KIND_CLOSE, *stream),
    };
    out.put_u8(kind);
    out.put_u64_le(epoch);
    out.put_u64_le(id);
    match frame {
        Frame::Hello(hello) => {
            out.extend_from_slice(MAGIC);
            out.put_u16_le(PROTOCOL_VERSION);
            postcard::serialize_with_flavor(hello, Appender(out)).expect("a hello is plain values");
        }
        Frame::Ping | Frame::Pong | Frame::Close { .. } => {}
        Frame::Notice { body }
        | Frame::Request { body, .. }
        | Frame::Response { body, .. }
        | Frame::Open { body, .. }
        | Frame::Data { body, .. } => out.extend_from_slice(body),
        Frame::Credit { bytes, .. } => out.put_u32_le(*bytes),
    }
    let length = out.len() - start - LENGTH_BYTES;
    assert!(length <= MAX_FRAME_BYTES, "a frame of {length} bytes");
    out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
}

/// Takes the first whole frame off `input`, with its epoch; `None` while it is incomplete. Bodies
/// share `input`'s memory. After an error the stream of bytes is useless.
pub fn decode(input: &mut BytesMut) -> Result<Option<(u64, Frame)>, FrameError> {
    let Some(&start) = input.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    // A character in the length's highest byte makes it longer than any frame.
    const { assert!((b'\n' as usize) << 24 > MAX_FRAME_BYTES) };
    if start.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')) {
        return Err(FrameError::Text(start));
    }
    let length = u32::from_le_bytes(start) as usize;
    if !(HEADER_BYTES..=MAX_FRAME_BYTES).contains(&length) {
        return Err(FrameError::Length(length));
    }
    if input.len() < LENGTH_BYTES + length {
        input.reserve(LENGTH_BYTES + length - input.len());
        return Ok(None);
    }
    let mut frame = input.split_to(LENGTH_BYTES + length).freeze();
    frame.advance(LENGTH_BYTES);
    let kind = frame.get_u8();
    let epoch = frame.get_u64_le();
    let id = frame.get_u64_le();
    let mut body = frame;
    let malformed = FrameError::Body(kind);
    let frame = match kind {
        KIND_HELLO => {
            if body.len() < MAGIC.len() || &body[..MAGIC.len()] != MAGIC {
                return Err(FrameError::Magic);
            }
            body.advance(MAGIC.len());
            if body.len() < 2 {
                return Err(malformed);
            }
            let version = body.get_u16_le();
            if version != PROTOCOL_VERSION {
                return Err(FrameError::Version(version));
            }
            let hello: Hello = postcard::from_bytes(&body).map_err(|_| malformed.clone())?;
            let fits = |name: &String| name.len() <= MAX_NAME_BYTES;
            let own = [&hello.cluster, &hello.name, &hello.link, &hello.openwire];
            if !own.into_iter().all(fits) || !hello.members.iter().all(|(_, name)| fits(name)) {
                return Err(malformed);
            }
            Frame::Hello(hello)
        }
        KIND_PING if body.is_empty() => Frame::Ping,
        KIND_PONG if body.is_empty() => Frame::Pong,
        KIND_NOTICE => Frame::Notice { body },
        KIND_REQUEST => Frame::Request { id, body },
        KIND_RESPONSE => Frame::Response { id, body },
        KIND_OPEN => Frame::Open { stream: id, body },
        KIND_DATA => Frame::Data { stream: id, body },
        KIND_CREDIT if body.len() == 4 => Frame::Credit { stream: id, bytes: body.get_u32_le() },
        KIND_CLOSE if body.is_empty() => Frame::Close { stream: id },
        KIND_PING | KIND_PONG | KIND_CREDIT | KIND_CLOSE => return Err(malformed),
        other => return Err(FrameError::Kind(other)),
    };
    Ok(Some((epoch, frame)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn hellos()(
            (cluster, node) in ("[a-z0-9-]{0,40}", any::<u64>()),
            (name, link) in ("[a-z]{0,9}", "[a-z]{0,9}:[0-9]{1,5}"),
            openwire in "[a-z]{0,9}:[0-9]{1,5}",
            lives in proptest::collection::vec(any::<(u64, u64)>(), 0..9),
            (to, knows) in any::<(u64, Option<(u64, u64)>)>(),
            members in proptest::collection::vec((any::<u64>(), "[a-z]{0,9}"), 0..9),
            placement in "[a-z= ]{0,40}",
            (policies, is_new) in ("[a-z]{0,9}", any::<bool>()),
        ) -> Hello {
            Hello {
                cluster,
                node,
                name,
                link,
                openwire,
                lives,
                to,
                knows,
                members,
                placement,
                policies,
                is_new,
            }
        }
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let body = || proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        prop_oneof![
            hellos().prop_map(Frame::Hello),
            Just(Frame::Ping),
            Just(Frame::Pong),
            body().prop_map(|body| Frame::Notice { body }),
            (any::<u64>(), body()).prop_map(|(id, body)| Frame::Request { id, body }),
            (any::<u64>(), body()).prop_map(|(id, body)| Frame::Response { id, body }),
            (any::<u64>(), body()).prop_map(|(stream, body)| Frame::Open { stream, body }),
            (any::<u64>(), body()).prop_map(|(stream, body)| Frame::Data { stream, body }),
            (any::<u64>(), any::<u32>())
                .prop_map(|(stream, bytes)| Frame::Credit { stream, bytes }),
            any::<u64>().prop_map(|stream| Frame::Close { stream }),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_segmentation(
            sent in proptest::collection::vec((any::<u64>(), frames()), 0..12),
            cuts in proptest::collection::vec(1usize..60, 1..60),
        ) {
            let mut wire = BytesMut::new();
            for (epoch, frame) in &sent {
                encode(*epoch, frame, &mut wire);
            }
            let mut input = BytesMut::new();
            let mut received = Vec::new();
            let mut cuts = cuts.iter().cycle();
            while !wire.is_empty() {
                let cut = (*cuts.next().unwrap()).min(wire.len());
                input.extend_from_slice(&wire.split_to(cut));
                while let Some(frame) = decode(&mut input).unwrap() {
                    received.push(frame);
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_input_makes_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut input) {}
        }

        #[test]
        fn a_value_written_in_place_reads_back(id: u64, value: Vec<(u32, String)>, before: Vec<u8>) {
            let mut out = BytesMut::from(&before[..]);
            let length = encode_value(BodyKind::Data, 3, id, &value, &mut out).unwrap();
            out.advance(before.len());
            let Some((3, Frame::Data { stream, body })) = decode(&mut out).unwrap() else {
                panic!("not a data frame")
            };
            prop_assert_eq!((stream, body.len()), (id, length));
            prop_assert_eq!(postcard::from_bytes::<Vec<(u32, String)>>(&body).unwrap(), value);
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_it_is_awaited() {
        for length in [0, HEADER_BYTES - 1, MAX_FRAME_BYTES + 1, u32::MAX as usize] {
            let mut input = BytesMut::from(&(length as u32).to_le_bytes()[..]);
            assert_eq!(decode(&mut input), Err(FrameError::Length(length)));
        }
    }

    #[test]
    fn another_protocol_is_recognised() {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "ERROR\nmessage:no\n", "\r\n\r\n"] {
            let error = decode(&mut BytesMut::from(text)).unwrap_err();
            let start: [u8; LENGTH_BYTES] = text.as_bytes()[..LENGTH_BYTES].try_into().unwrap();
            assert_eq!(error, FrameError::Text(start));
        }
        let error = decode(&mut BytesMut::from("HTTP/1.1 400")).unwrap_err().to_string();
        assert!(
            error.starts_with("the peer does not speak the link protocol: it sent text, `HTTP…`")
        );
        let mut input = BytesMut::new();
        input.put_u32_le(21);
        input.put_u8(KIND_HELLO);
        input.put_u64_le(0);
        input.put_u64_le(0);
        input.put_slice(b"HTTP");
        assert_eq!(decode(&mut input), Err(FrameError::Magic));
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let hello = |length| Hello {
            cluster: "c".into(),
            node: 1,
            name: "n".repeat(length),
            link: String::new(),
            openwire: String::new(),
            lives: vec![],
            to: 0,
            knows: None,
            members: vec![],
            placement: String::new(),
            policies: String::new(),
            is_new: false,
        };
        let mut out = BytesMut::new();
        encode(1, &Frame::Hello(hello(MAX_NAME_BYTES)), &mut out);
        assert!(decode(&mut out).unwrap().is_some());
        encode(1, &Frame::Hello(hello(MAX_NAME_BYTES + 1)), &mut out);
        assert_eq!(decode(&mut out), Err(FrameError::Body(KIND_HELLO)));
    }

    #[test]
    fn another_version_is_told_before_what_it_says_is_read() {
        let mut input = BytesMut::new();
        input.put_u32_le((HEADER_BYTES + MAGIC.len() + 2) as u32);
        input.put_u8(KIND_HELLO);
        input.put_u64_le(0);
        input.put_u64_le(0);
        input.put_slice(MAGIC);
        input.put_u16_le(PROTOCOL_VERSION + 1);
        assert_eq!(decode(&mut input), Err(FrameError::Version(PROTOCOL_VERSION + 1)));
    }
}
