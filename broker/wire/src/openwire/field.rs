//! How a field stands on the wire: one implementation of [`Field`] per kind of field.
//!
//! ```text
//! bool, byte, int, long   1, 1, 4 and 8 bytes, big-endian
//! string                  bool, u16 length, modified UTF-8
//! bytes                   bool, i32 length, bytes
//! structure               bool, u8 type, its fields
//! array                   bool, u16 count, that many structures
//! throwable               bool, string class, string message
//! ```
//!
//! The leading bool is false of what is null.

use bytes::{BufMut, Bytes, BytesMut};

use super::{error::Located, modified_utf8, reader::Reader};
use crate::{openwire::Fault, text::Text};

/// A value that can be a field of a structure.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader) -> Result<Self, Located>;
    fn write(&self, version: i32, out: &mut BytesMut);
}

/// The fields of one structure, without its type.
pub(super) trait Fields: Sized {
    fn read_fields(reader: &mut Reader) -> Result<Self, Located>;
    fn write_fields(&self, version: i32, out: &mut BytesMut);
}

/// A structure that names its type, so that it can be a field or an element of an array.
pub(super) trait Structure: Sized {
    /// What is expected where something else stands.
    const EXPECTED: &'static str;
    /// Whether an array without elements is written as null. The Java client makes no difference
    /// between the two but for [`super::DataArrayResponse`].
    const EMPTY_IS_NULL: bool = true;

    fn code(&self) -> u8;
    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located>;
    fn write(&self, version: i32, out: &mut BytesMut);
}

impl<T: Fields> Fields for Box<T> {
    fn read_fields(reader: &mut Reader) -> Result<Self, Located> {
        T::read_fields(reader).map(Box::new)
    }

    fn write_fields(&self, version: i32, out: &mut BytesMut) {
        (**self).write_fields(version, out);
    }
}

impl<T: Structure> Structure for Box<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EMPTY_IS_NULL: bool = T::EMPTY_IS_NULL;

    fn code(&self) -> u8 {
        (**self).code()
    }

    fn read_as(code: u8, reader: &mut Reader) -> Result<Self, Located> {
        T::read_as(code, reader).map(Box::new)
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        (**self).write(version, out);
    }
}

impl Field for bool {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(reader.u8()? != 0)
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl Field for i8 {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(reader.u8()?.cast_signed())
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        out.put_i8(*self);
    }
}

impl Field for i32 {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(reader.i32()?)
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        out.put_i32(*self);
    }
}

impl Field for i64 {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(reader.i64()?)
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        out.put_i64(*self);
    }
}

impl Field for Option<Text> {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        if reader.u8()? == 0 {
            return Ok(None);
        }
        let length = usize::from(reader.u16()?);
        Ok(Some(reader.text(length)?))
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        put_string(self.as_deref(), out);
    }
}

impl Field for Option<Bytes> {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        if reader.u8()? == 0 {
            return Ok(None);
        }
        let length = reader.length()?;
        Ok(Some(reader.bytes(length)?))
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        put_bytes(self.as_deref(), out);
    }
}

/// A string whose null means no more than an empty one: the Java client has ids that it never
/// filled, as in a message id of another protocol.
impl Field for Text {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(Option::read(reader)?.unwrap_or_default())
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        put_name(self, out);
    }
}

/// Bytes that the protocol could leave out and nobody does.
impl Field for Bytes {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        Ok(Option::<Bytes>::read(reader)?.ok_or(Fault::Null)?)
    }

    fn write(&self, _: i32, out: &mut BytesMut) {
        put_bytes(Some(self), out);
    }
}

impl<T: Structure> Field for Option<T> {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        if reader.u8()? == 0 {
            return Ok(None);
        }
        let code = reader.u8()?;
        reader.nested(|reader| T::read_as(code, reader)).map(Some)
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        out.put_u8(u8::from(self.is_some()));
        if let Some(structure) = self {
            out.put_u8(structure.code());
            structure.write(version, out);
        }
    }
}

impl<T: Structure> Field for Vec<T> {
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        let mut elements = Vec::new();
        if reader.u8()? == 0 {
            return Ok(elements);
        }
        // Grows as elements are read: the count alone costs nothing.
        for _ in 0..reader.u16()? {
            elements.push(Option::<T>::read(reader)?.ok_or(Fault::NullElement)?);
        }
        Ok(elements)
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        let is_null = self.is_empty() && T::EMPTY_IS_NULL;
        out.put_u8(u8::from(!is_null));
        if is_null {
            return;
        }
        let count = u16::try_from(self.len()).unwrap_or(u16::MAX);
        out.put_u16(count);
        for element in self.iter().take(usize::from(count)) {
            out.put_u8(1);
            out.put_u8(element.code());
            element.write(version, out);
        }
    }
}

/// An exception of the other side's language. Its class is never looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throwable {
    /// The class, such as `javax.jms.JMSException`; the Java client makes an exception of it if it
    /// knows it, and of `java.lang.Throwable` otherwise.
    pub class: Text,
    /// What is said to the user.
    pub message: Option<Text>,
}

impl Field for Option<Throwable> {
    /// As it is written while `StackTraceEnabled` is not negotiated.
    fn read(reader: &mut Reader) -> Result<Self, Located> {
        if reader.u8()? == 0 {
            return Ok(None);
        }
        let class = Text::read(reader).map_err(|error| error.at("Throwable.class"))?;
        let message = Option::read(reader).map_err(|error| error.at("Throwable.message"))?;
        Ok(Some(Throwable { class, message }))
    }

    fn write(&self, version: i32, out: &mut BytesMut) {
        out.put_u8(u8::from(self.is_some()));
        if let Some(throwable) = self {
            throwable.class.write(version, out);
            throwable.message.write(version, out);
        }
    }
}

/// Writes a string field; of what does not fit its length of 65535 bytes, the front.
pub(super) fn put_string(text: Option<&str>, out: &mut BytesMut) {
    out.put_u8(u8::from(text.is_some()));
    if let Some(text) = text {
        put_utf(text, out);
    }
}

/// Writes a string field, null where it is empty.
pub(super) fn put_name(text: &str, out: &mut BytesMut) {
    put_string(Some(text).filter(|text| !text.is_empty()), out);
}

/// Writes u16 length and modified UTF-8; of what does not fit, the front.
pub(super) fn put_utf(text: &str, out: &mut BytesMut) {
    let at = out.len();
    out.put_u16(0);
    let fitting = modified_utf8::prefix(text, usize::from(u16::MAX));
    modified_utf8::encode(fitting, out);
    let length = u16::try_from(out.len() - at - 2).expect("cut to fit");
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

/// Writes a field of bytes.
pub(super) fn put_bytes(bytes: Option<&[u8]>, out: &mut BytesMut) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_length(bytes.len(), out);
        out.put_slice(bytes);
    }
}

/// Writes the length of what `write` appends, and that.
pub(super) fn put_sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_i32(0);
    write(out);
    let length = i32_of(out.len() - at - 4);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Writes an i32 length.
pub(super) fn put_length(length: usize, out: &mut BytesMut) {
    out.put_i32(i32_of(length));
}

fn i32_of(length: usize) -> i32 {
    i32::try_from(length).expect("nothing in a frame has 2 GiB")
}
