//! Java's modified UTF-8 (`java.io.DataInput`): NUL is `C0 80`, and what lies beyond the basic plane
//! is a pair of surrogates of three bytes each. All other text is UTF-8.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::Fault;
use crate::text::Text;

/// Whether the two encodings of a text are the same.
fn is_plain(text: &str) -> bool {
    // Without an early end the loop is one that the compiler makes wide.
    text.bytes().fold(true, |plain, byte| plain & (byte != 0) & (byte < 0xf0))
}

/// How many bytes a character takes.
fn width(character: char) -> usize {
    match character {
        '\0' => 2,
        '\u{10000}'.. => 6,
        _ => character.len_utf8(),
    }
}

/// How many bytes the text takes.
pub(super) fn length(text: &str) -> usize {
    if is_plain(text) { text.len() } else { text.chars().map(width).sum() }
}

/// The longest front of the text, in whole characters, that takes no more than `max` bytes.
pub(super) fn prefix(text: &str, max: usize) -> &str {
    // No character takes more than twice what it takes in UTF-8.
    if text.len() <= max / 2 {
        return text;
    }
    let mut length = 0;
    let end = text.char_indices().find(|(_, character)| {
        length += width(*character);
        length > max
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// Appends the text.
pub(super) fn encode(text: &str, out: &mut BytesMut) {
    if is_plain(text) {
        out.put_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        match character {
            '\0' => out.put_slice(&[0xc0, 0x80]),
            '\u{10000}'.. => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let [high, low] = unit.to_be_bytes();
                    out.put_u8(0xe0 | (high >> 4));
                    out.put_u8(0x80 | ((high & 0x0f) << 2) | (low >> 6));
                    out.put_u8(0x80 | (low & 0x3f));
                }
            }
            _ => out.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The text in a range of the bytes; a slice of them where they are UTF-8 as well, as what clients
/// of other languages write without modification is. A surrogate without its other half, which a
/// Java string can hold and Unicode text cannot, becomes U+FFFD.
///
/// # Errors
///
/// [`Fault::NotUtf8`].
pub(super) fn decode(buffer: &Bytes, range: Range<usize>) -> Result<Text, Fault> {
    let bytes = &buffer[range.clone()];
    if let Some(text) = Text::from_utf8_in(buffer, range) {
        return Ok(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut high: Option<u16> = None;
    while let [first, ..] = *rest {
        let surrogate = match *rest {
            [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
                Some(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f))
            }
            _ => None,
        };
        match (high.take(), surrogate) {
            (Some(high), Some(low @ 0xdc00..)) => {
                text.extend(char::decode_utf16([high, low]).flatten());
                rest = &rest[3..];
                continue;
            }
            (Some(_), _) => text.push(char::REPLACEMENT_CHARACTER),
            (None, _) => {}
        }
        match surrogate {
            Some(unit @ ..0xdc00) => {
                high = Some(unit);
                rest = &rest[3..];
            }
            Some(_) => {
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[3..];
            }
            None if rest.starts_with(&[0xc0, 0x80]) => {
                text.push('\0');
                rest = &rest[2..];
            }
            None => {
                let length = match first {
                    ..0x80 => 1,
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    _ => 4,
                };
                let character = rest.get(..length).ok_or(Fault::NotUtf8)?;
                text.push_str(std::str::from_utf8(character).map_err(|_| Fault::NotUtf8)?);
                rest = &rest[length..];
            }
        }
    }
    if high.is_some() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &Bytes) -> Result<Text, Fault> {
        super::decode(bytes, 0..bytes.len())
    }

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode(text, &mut out);
        out.to_vec()
    }

    #[test]
    fn nul_and_astral_characters_are_modified() {
        assert_eq!(
            encoded("a\0é€\u{1f6b4}"),
            b"a\xc0\x80\xc3\xa9\xe2\x82\xac\xed\xa0\xbd\xed\xba\xb4"
        );
    }

    #[test]
    fn plain_text_is_a_slice_of_what_was_received() {
        let bytes = Bytes::from_static("a\u{20ac}".as_bytes());
        assert_eq!(decode(&bytes).unwrap().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn unmodified_text_is_read_too() {
        let bytes = Bytes::from_static("\0\u{1f6b4}".as_bytes());
        assert_eq!(decode(&bytes).unwrap(), "\0\u{1f6b4}");
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        for (bytes, text) in [
            (&b"\xed\xa0\xbd"[..], "\u{fffd}"),
            (b"\xed\xa0\xbdx", "\u{fffd}x"),
            (b"\xed\xba\xb4x", "\u{fffd}x"),
            (b"\xed\xa0\xbd\xed\xa0\xbd\xed\xba\xb4", "\u{fffd}\u{1f6b4}"),
            (b"\xed\xa0\xbd\xc0\x80", "\u{fffd}\0"),
        ] {
            assert_eq!(decode(&Bytes::from_static(bytes)).unwrap(), text, "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bytes in
            [&b"\x80"[..], b"\xc0\x81", b"\xc0", b"\xe2\x82", b"\xed\xa0", b"\xff", b"\xc1\xbf"]
        {
            assert_eq!(decode(&Bytes::from_static(bytes)), Err(Fault::NotUtf8), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn text_survives(text in "[\0-\u{10ffff}]*", max in 0..40_usize) {
            let bytes = encoded(&text);
            prop_assert_eq!(bytes.len(), length(&text));
            prop_assert_eq!(decode(&bytes.into()).unwrap(), text.as_str());
            let front = prefix(&text, max);
            prop_assert!(text.starts_with(front) && length(front) <= max);
            if let Some(next) = text[front.len()..].chars().next() {
                prop_assert!(length(front) + width(next) > max);
            }
        }
    }
}
