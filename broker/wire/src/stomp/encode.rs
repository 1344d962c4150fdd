//! Frames to bytes.

use bytes::{BufMut, BytesMut};

use super::{Command, Version, escape::Escapes, header};

/// Writes one frame straight into a buffer, header by header, without building a
/// [`super::Frame`] first: the path of every message delivered.
///
/// Nothing is a frame until [`FrameWriter::finish`] is called.
#[must_use = "a frame ends with `finish`"]
pub struct FrameWriter<'a> {
    out: &'a mut BytesMut,
    escapes: Escapes,
    command: Command,
}

impl<'a> FrameWriter<'a> {
    /// Writes the command line.
    pub fn begin(out: &'a mut BytesMut, version: Version, command: Command) -> Self {
        out.put_slice(command.as_str().as_bytes());
        out.put_u8(b'\n');
        Self { out, escapes: Escapes::of(version, command), command }
    }

    /// Writes a header, escaped as the version has it.
    pub fn header(&mut self, name: &str, value: &str) {
        self.header_parts(name, &[value]);
    }

    /// Writes a header whose value is the given parts one after the other.
    pub fn header_parts(&mut self, name: &str, parts: &[&str]) {
        self.escapes.encode(name, true, self.out);
        self.out.put_u8(b':');
        for part in parts {
            self.escapes.encode(part, false, self.out);
        }
        self.out.put_u8(b'\n');
    }

    /// Writes a header whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.escapes.encode(name, true, self.out);
        self.out.put_u8(b':');
        put_decimal(self.out, value);
        self.out.put_u8(b'\n');
    }

    /// Ends the frame. Frames that may have a body and have one get their `content-length` here, so
    /// that a body may hold NUL (STOMP 1.2 "Header content-length").
    ///
    /// # Panics
    ///
    /// If there is a body and the command allows none.
    pub fn finish(self, body: &[u8]) {
        if body.is_empty() {
            self.end_with(body);
        } else {
            self.finish_as_bytes(body);
        }
    }

    /// As [`FrameWriter::finish`], and an empty body gets its `content-length` too: that is how
    /// ActiveMQ's clients tell bytes from text.
    ///
    /// # Panics
    ///
    /// If the command allows no body.
    pub fn finish_as_bytes(mut self, body: &[u8]) {
        assert!(self.command.may_have_body(), "a {} frame has no body", self.command.as_str());
        self.number(header::CONTENT_LENGTH, body.len() as u64);
        self.end_with(body);
    }

    /// As [`FrameWriter::finish`] without the `content-length` header. ActiveMQ takes a SEND
    /// without it for text and one with it for bytes.
    ///
    /// # Panics
    ///
    /// If the body holds a NUL, which would end the frame early.
    pub fn finish_as_text(self, body: &str) {
        assert!(!body.contains('\0'), "a body with NUL needs its content-length");
        assert!(body.is_empty() || self.command.may_have_body());
        self.end_with(body.as_bytes());
    }

    fn end_with(self, body: &[u8]) {
        self.out.reserve(body.len() + 2);
        self.out.put_u8(b'\n');
        self.out.put_slice(body);
        self.out.put_u8(0);
    }
}

fn put_decimal(out: &mut BytesMut, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}
