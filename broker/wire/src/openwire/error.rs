//! Why bytes are no command.

use thiserror::Error;

/// Why bytes are not a frame that a client may send. The stream cannot be read on after any of
/// these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The size before a frame is negative or exceeds what is allowed. Bytes of another protocol
    /// mostly show here.
    #[error("a frame of {size} bytes is announced and {max} are allowed")]
    FrameSize {
        /// What is announced, taken as unsigned.
        size: u32,
        /// The limit.
        max: usize,
    },
    /// The size before a frame is 0, so there is no type in it.
    #[error("an empty frame")]
    EmptyFrame,
    /// The first frame is no WireFormatInfo.
    #[error("the first frame has the type {code}, which is no WireFormatInfo")]
    NotNegotiated {
        /// The frame's type.
        code: u8,
    },
    /// The frame holds something that is no command of the version.
    #[error("type {code} is no command of OpenWire version {version}")]
    UnknownCommand {
        /// The frame's type.
        code: u8,
        /// The version that was negotiated.
        version: i32,
    },
    /// A field of the command is malformed.
    #[error("{command}: {field} {fault}")]
    Malformed {
        /// The command.
        command: &'static str,
        /// The structure and its field, such as `MessageId.producer`.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The frame goes on after the command's last field. ActiveMQ does not look at a frame's size
    /// when it reads a stream, so that it takes what follows for the next frame.
    #[error("{command}: {count} bytes follow its last field")]
    TrailingBytes {
        /// The command.
        command: &'static str,
        /// How many bytes are left over.
        count: usize,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The frame ends within it.
    #[error("is cut off by the end of the frame")]
    Truncated,
    /// It has to be there and is not.
    #[error("is null")]
    Null,
    /// An element of the array is null.
    #[error("has an element that is null")]
    NullElement,
    /// Its length is negative.
    #[error("has the length {0}")]
    NegativeLength(i32),
    /// Its text is not modified UTF-8.
    #[error("is not modified UTF-8")]
    NotUtf8,
    /// It holds a structure of a type that does not belong there.
    #[error("has the type {found} instead of {expected}")]
    WrongType {
        /// What belongs there.
        expected: &'static str,
        /// The type that stands there.
        found: u8,
    },
    /// It lies deeper than the decoder follows.
    #[error("is nested deeper than {max} times")]
    TooDeep {
        /// How deep the decoder follows.
        max: usize,
    },
    /// With it the frame holds more structures than the decoder takes.
    #[error("is in a frame of more than {max} structures")]
    TooManyStructures {
        /// How many the decoder takes.
        max: usize,
    },
    /// The magic of WireFormatInfo is not `ActiveMQ`.
    #[error("is not `ActiveMQ`")]
    BadMagic,
    /// A value in it has a type that no primitive value has, or none that may stand there.
    #[error("has a value of the type {0}")]
    UnknownPrimitive(u8),
    /// It has more values than are allowed.
    #[error("has more than {max} values")]
    TooManyValues {
        /// The limit.
        max: usize,
    },
    /// It is compressed and cannot be inflated.
    #[error("cannot be inflated")]
    NotDeflated,
    /// It is larger than is allowed, once inflated.
    #[error("has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// A property of WireFormatInfo has a value of another type.
    #[error("has a value of the wrong type")]
    WrongPropertyType,
}

/// A fault and the innermost field that it was found in.
#[derive(Debug)]
pub(super) struct Located {
    field: Option<&'static str>,
    fault: Fault,
}

impl From<Fault> for Located {
    fn from(fault: Fault) -> Self {
        Self { field: None, fault }
    }
}

impl Located {
    /// Names the field, unless one within it is named already.
    pub(super) fn at(mut self, field: &'static str) -> Self {
        self.field.get_or_insert(field);
        self
    }

    pub(super) fn within(self, command: &'static str) -> DecodeError {
        DecodeError::Malformed { command, field: self.field.unwrap_or("frame"), fault: self.fault }
    }
}
