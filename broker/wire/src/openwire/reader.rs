//! The unread part of one frame.

use std::ops::Range;

use bytes::Bytes;

use super::{Fault, error::Located, modified_utf8};
use crate::text::Text;

/// How deep structures may stand within structures. Clients need five.
pub(super) const MAX_DEPTH: usize = 16;

/// How many structures may stand within a frame. One that has a few dozen bytes there can have some
/// hundred in memory; what a client sends has no more than a path of brokers.
pub(super) const MAX_STRUCTURES: usize = 16 * 1024;

/// Takes values off the front of a frame, or says that it ends too early.
pub(super) struct Reader {
    frame: Bytes,
    /// Where the unread part begins.
    at: usize,
    pub(super) version: i32,
    depth: usize,
    structures: usize,
}

impl Reader {
    pub(super) fn new(frame: Bytes, version: i32) -> Self {
        Self { frame, at: 0, version, depth: 0, structures: 0 }
    }

    pub(super) fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let array = *self.frame[self.at..].first_chunk().ok_or(Fault::Truncated)?;
        self.at += N;
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_be_bytes)
    }

    /// An i32 length.
    pub(super) fn length(&mut self) -> Result<usize, Fault> {
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| Fault::NegativeLength(length))
    }

    fn range(&mut self, length: usize) -> Result<Range<usize>, Fault> {
        if length > self.remaining() {
            return Err(Fault::Truncated);
        }
        self.at += length;
        Ok(self.at - length..self.at)
    }

    /// The next `length` bytes, which share the frame's memory.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes, Fault> {
        self.range(length).map(|range| self.frame.slice(range))
    }

    /// The text of the next `length` bytes.
    pub(super) fn text(&mut self, length: usize) -> Result<Text, Fault> {
        let range = self.range(length)?;
        modified_utf8::decode(&self.frame, range)
    }

    /// Reads a structure within the present one.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Located>,
    ) -> Result<T, Located> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep { max: MAX_DEPTH }.into());
        }
        if self.structures == MAX_STRUCTURES {
            return Err(Fault::TooManyStructures { max: MAX_STRUCTURES }.into());
        }
        self.structures += 1;
        self.depth += 1;
        let structure = read(self);
        self.depth -= 1;
        structure
    }
}
