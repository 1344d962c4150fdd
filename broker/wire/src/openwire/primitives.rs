//! Primitive values: message properties, and the content of map and stream messages.
//!
//! Each value is its type and itself (ActiveMQ's `MarshallingSupport`):
//!
//! ```text
//!  0 null    1 bool    2 byte    3 char u16    4 short    5 int    6 long    7 double    8 float
//!  9 string: u16 length, modified UTF-8        13 the same with an i32 length
//! 10 bytes:  i32 length, bytes
//! 11 map:    i32 count, (u16 length, modified UTF-8, value) …;   count -1 is null
//! 12 list:   i32 count, value …
//! ```
//!
//! Properties and the content of a map message are a map without the type before it; the content
//! of a stream message is values until its end.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Fault,
    field::{put_length, put_sized, put_utf},
    modified_utf8,
    reader::Reader,
};
use crate::text::Text;

/// What a peer may make the reader hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimitiveLimits {
    /// Values in all, those within maps and lists counted.
    pub max_entries: usize,
    /// How many maps and lists may stand within each other, the outermost not counted.
    pub max_depth: usize,
}

impl Default for PrimitiveLimits {
    fn default() -> Self {
        Self { max_entries: 64 * 1024, max_depth: 32 }
    }
}

/// A value of a property, or in a map or stream message.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is what Java calls by that name")]
pub enum Primitive {
    Null,
    Bool(bool),
    Byte(i8),
    /// One unit of UTF-16.
    Char(u16),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    Float(f32),
    Text(Text),
    Bytes(Bytes),
    /// Of a name that comes twice the last value counts.
    Map(Vec<(Text, Primitive)>),
    List(Vec<Primitive>),
}

/// Strings from this length on, in units of UTF-16, have an i32 length: Java's
/// `Short.MAX_VALUE / 4`.
const BIG_STRING: usize = 8191;

/// Reads properties, or the content of a map message. What follows the map is not looked at.
///
/// # Errors
///
/// What is malformed or exceeds a limit.
pub fn read_map(bytes: &Bytes, limits: PrimitiveLimits) -> Result<Vec<(Text, Primitive)>, Fault> {
    Ok(Values::of(bytes, limits).map(0)?.unwrap_or_default())
}

/// Appends properties, or the content of a map message.
pub fn write_map(entries: &[(Text, Primitive)], out: &mut BytesMut) {
    put_length(entries.len(), out);
    for (name, value) in entries {
        put_utf(name, out);
        write(value, out);
    }
}

/// Reads the content of a stream message. It holds no maps and lists.
///
/// # Errors
///
/// What is malformed or exceeds a limit.
pub fn read_stream(bytes: &Bytes, limits: PrimitiveLimits) -> Result<Vec<Primitive>, Fault> {
    let mut reader = Values::of(bytes, limits);
    let mut values = Vec::new();
    while reader.bytes.remaining() > 0 {
        match reader.value(0)? {
            Primitive::Map(_) => return Err(Fault::UnknownPrimitive(11)),
            Primitive::List(_) => return Err(Fault::UnknownPrimitive(12)),
            value => values.push(value),
        }
    }
    Ok(values)
}

/// Appends the content of a stream message, whose readers expect no maps and lists.
pub fn write_stream(values: &[Primitive], out: &mut BytesMut) {
    for value in values {
        write(value, out);
    }
}

struct Values {
    bytes: Reader,
    limits: PrimitiveLimits,
    /// How many more values may come.
    left: usize,
}

impl Values {
    fn of(bytes: &Bytes, limits: PrimitiveLimits) -> Self {
        Self { bytes: Reader::new(bytes.clone(), 0), limits, left: limits.max_entries }
    }

    /// The count of a map or list. Each value has a byte at least, and counts of which nothing
    /// follows cost nothing.
    fn capacity(&self, count: usize) -> Result<usize, Fault> {
        if count > self.left {
            return Err(Fault::TooManyValues { max: self.limits.max_entries });
        }
        Ok(count.min(self.bytes.remaining()))
    }

    fn map(&mut self, depth: usize) -> Result<Option<Vec<(Text, Primitive)>>, Fault> {
        let Ok(count) = usize::try_from(self.bytes.i32()?) else { return Ok(None) };
        let mut entries = Vec::with_capacity(self.capacity(count)? / 3);
        for _ in 0..count {
            let length = usize::from(self.bytes.u16()?);
            let name = self.bytes.text(length)?;
            entries.push((name, self.value(depth)?));
        }
        Ok(Some(entries))
    }

    fn value(&mut self, depth: usize) -> Result<Primitive, Fault> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(Fault::TooManyValues { max: self.limits.max_entries })?;
        Ok(match self.bytes.u8()? {
            0 => Primitive::Null,
            1 => Primitive::Bool(self.bytes.u8()? != 0),
            2 => Primitive::Byte(self.bytes.u8()?.cast_signed()),
            3 => Primitive::Char(self.bytes.u16()?),
            4 => Primitive::Short(self.bytes.u16()?.cast_signed()),
            5 => Primitive::Int(self.bytes.i32()?),
            6 => Primitive::Long(self.bytes.i64()?),
            7 => Primitive::Double(f64::from_bits(self.bytes.i64()?.cast_unsigned())),
            8 => Primitive::Float(f32::from_bits(self.bytes.i32()?.cast_unsigned())),
            9 => {
                let length = usize::from(self.bytes.u16()?);
                Primitive::Text(self.bytes.text(length)?)
            }
            10 => {
                let length = self.bytes.length()?;
                Primitive::Bytes(self.bytes.bytes(length)?)
            }
            11 => {
                let depth = self.deeper(depth)?;
                self.map(depth)?.map_or(Primitive::Null, Primitive::Map)
            }
            12 => {
                let depth = self.deeper(depth)?;
                let count = self.bytes.length()?;
                let mut values = Vec::with_capacity(self.capacity(count)?);
                for _ in 0..count {
                    values.push(self.value(depth)?);
                }
                Primitive::List(values)
            }
            13 => {
                let length = self.bytes.length()?;
                Primitive::Text(self.bytes.text(length)?)
            }
            unknown => return Err(Fault::UnknownPrimitive(unknown)),
        })
    }

    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        if depth == self.limits.max_depth {
            return Err(Fault::TooDeep { max: self.limits.max_depth });
        }
        Ok(depth + 1)
    }
}

fn write(value: &Primitive, out: &mut BytesMut) {
    match value {
        Primitive::Null => out.put_u8(0),
        Primitive::Bool(value) => out.put_slice(&[1, u8::from(*value)]),
        Primitive::Byte(value) => out.put_slice(&[2, value.cast_unsigned()]),
        Primitive::Char(value) => {
            out.put_u8(3);
            out.put_u16(*value);
        }
        Primitive::Short(value) => {
            out.put_u8(4);
            out.put_i16(*value);
        }
        Primitive::Int(value) => {
            out.put_u8(5);
            out.put_i32(*value);
        }
        Primitive::Long(value) => {
            out.put_u8(6);
            out.put_i64(*value);
        }
        Primitive::Double(value) => {
            out.put_u8(7);
            out.put_f64(*value);
        }
        Primitive::Float(value) => {
            out.put_u8(8);
            out.put_f32(*value);
        }
        Primitive::Text(text) if is_big(text) => {
            out.put_u8(13);
            put_sized(out, |out| modified_utf8::encode(text, out));
        }
        Primitive::Text(text) => {
            out.put_u8(9);
            put_utf(text, out);
        }
        Primitive::Bytes(bytes) => {
            out.put_u8(10);
            put_length(bytes.len(), out);
            out.put_slice(bytes);
        }
        Primitive::Map(entries) => {
            out.put_u8(11);
            write_map(entries, out);
        }
        Primitive::List(values) => {
            out.put_u8(12);
            put_length(values.len(), out);
            write_stream(values, out);
        }
    }
}

fn is_big(text: &str) -> bool {
    text.len() >= BIG_STRING && text.encode_utf16().count() >= BIG_STRING
}
