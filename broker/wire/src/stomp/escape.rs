//! Header escapes, which differ per version (STOMP 1.1 and 1.2 "Value Encoding"; 1.0 has none).

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use super::{Command, Version};

/// Which characters of a header are written as an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// None: 1.0, and CONNECT, STOMP and CONNECTED in any version.
    None,
    /// `\n`, `\c` and `\\`: 1.1.
    WithoutReturn,
    /// `\r`, `\n`, `\c` and `\\`: 1.2.
    All,
}

/// Where an escape means nothing; the octet after the backslash, or `None` at the end of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadEscape(pub Option<u8>);

impl Escapes {
    pub(super) fn of(version: Version, command: Command) -> Self {
        match version {
            _ if command.is_handshake() => Escapes::None,
            Version::V1_0 => Escapes::None,
            Version::V1_1 => Escapes::WithoutReturn,
            Version::V1_2 => Escapes::All,
        }
    }

    /// The text that `escaped` stands for; copies only where there is an escape.
    pub(super) fn decode(self, escaped: Bytes) -> Result<Bytes, BadEscape> {
        if self == Escapes::None || memchr(b'\\', &escaped).is_none() {
            return Ok(escaped);
        }
        let mut text = BytesMut::with_capacity(escaped.len());
        let mut octets = escaped.iter();
        while let Some(&octet) = octets.next() {
            if octet != b'\\' {
                text.put_u8(octet);
                continue;
            }
            text.put_u8(match octets.next() {
                Some(b'n') => b'\n',
                Some(b'c') => b':',
                Some(b'\\') => b'\\',
                Some(b'r') if self == Escapes::All => b'\r',
                other => return Err(BadEscape(other.copied())),
            });
        }
        Ok(text.freeze())
    }

    /// Appends `text` so that it can break neither out of its header nor out of its line.
    ///
    /// Without escapes a line end has no spelling at all; it is written as a space then, since a
    /// raw one would let a header's sender forge further headers or frames. A NUL, which no
    /// version can escape, is treated alike. A colon is legal in an unescaped value; in an
    /// unescaped name, where it would end the name early, it becomes `_`.
    pub(super) fn encode(self, text: &str, is_name: bool, out: &mut BytesMut) {
        let bytes = text.as_bytes();
        if !bytes.iter().any(|octet| matches!(octet, b'\\' | b':' | b'\n' | b'\r' | 0)) {
            out.put_slice(bytes);
            return;
        }
        for &octet in bytes {
            match (octet, self) {
                (0, _) | (b'\n' | b'\r', Escapes::None) => out.put_u8(b' '),
                (b':', Escapes::None) if is_name => out.put_u8(b'_'),
                (b'\\', Escapes::WithoutReturn | Escapes::All) => out.put_slice(b"\\\\"),
                (b':', Escapes::WithoutReturn | Escapes::All) => out.put_slice(b"\\c"),
                (b'\n', Escapes::WithoutReturn | Escapes::All) => out.put_slice(b"\\n"),
                (b'\r', Escapes::All) => out.put_slice(b"\\r"),
                // A lenient 1.1 reader would take a raw carriage return for part of the line end.
                (b'\r', Escapes::WithoutReturn) => out.put_u8(b' '),
                (octet, _) => out.put_u8(octet),
            }
        }
    }
}
