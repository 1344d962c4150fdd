//! The content of text messages, and of compressed ones of any kind.
//!
//! ```text
//! text                 i32 length, modified UTF-8;   length -1 is null
//! compressed           zlib of what the content is otherwise
//! compressed bytes     i32 length before compression, zlib
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use miniz_oxide::{
    deflate::compress_to_vec_zlib,
    inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit},
};

use super::{
    Fault, MessageKind,
    field::{put_length, put_sized},
    modified_utf8,
    reader::Reader,
};
use crate::text::Text;

/// Reads the content of a text message; `None` of one whose text is null.
///
/// # Errors
///
/// What is malformed.
pub fn read_text(content: &Bytes) -> Result<Option<Text>, Fault> {
    let mut reader = Reader::new(content.clone(), 0);
    match reader.length() {
        Err(Fault::NegativeLength(-1)) => Ok(None),
        length => reader.text(length?).map(Some),
    }
}

/// Appends the content of a text message.
pub fn write_text(text: &str, out: &mut BytesMut) {
    put_sized(out, |out| modified_utf8::encode(text, out));
}

/// The content of a compressed message as it would be without compression, in no more than
/// `max_bytes`.
///
/// # Errors
///
/// [`Fault::TooLarge`], or [`Fault::NotDeflated`].
pub fn inflate(kind: MessageKind, content: &Bytes, max_bytes: usize) -> Result<Bytes, Fault> {
    if content.is_empty() {
        return Ok(content.clone());
    }
    if kind != MessageKind::Bytes {
        return decompress_to_vec_zlib_with_limit(content, max_bytes).map(Bytes::from).map_err(
            |error| match error.status {
                TINFLStatus::HasMoreOutput => Fault::TooLarge { max: max_bytes },
                _ => Fault::NotDeflated,
            },
        );
    }
    let mut deflated = content.clone();
    let length = deflated.try_get_u32().map_err(|_| Fault::Truncated)? as usize;
    if length > max_bytes {
        return Err(Fault::TooLarge { max: max_bytes });
    }
    // The Java client deflates its whole buffer, of which the content is the front.
    let inflated = match decompress_to_vec_zlib_with_limit(&deflated, length) {
        Ok(inflated) => inflated,
        Err(error) if error.status == TINFLStatus::HasMoreOutput => error.output,
        Err(_) => return Err(Fault::NotDeflated),
    };
    if inflated.len() != length {
        return Err(Fault::NotDeflated);
    }
    Ok(inflated.into())
}

/// The content of a message in its compressed form.
pub fn deflate(kind: MessageKind, content: &[u8]) -> Bytes {
    /// zlib's and Java's default.
    const LEVEL: u8 = 6;
    let deflated = compress_to_vec_zlib(content, LEVEL);
    if kind != MessageKind::Bytes {
        return deflated.into();
    }
    let mut out = BytesMut::with_capacity(4 + deflated.len());
    put_length(content.len(), &mut out);
    out.put_slice(&deflated);
    out.freeze()
}
