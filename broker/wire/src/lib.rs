//! Sans-IO codecs: bytes to frames and back, for every protocol the broker speaks.
//!
//! A decoder takes whatever bytes have arrived, split anywhere, and yields whole frames; an encoder
//! appends to a buffer. Neither knows of sockets or time, and every length that comes from outside
//! is checked against a limit before memory is spent on it.

pub mod link;
pub mod openwire;
pub mod stomp;
pub mod text;
pub mod xstream;

/// How many bytes the unfinished frame at the end of a decoder's input may come to need there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// How long it is cannot be told before its head is complete, which has no more than so many.
    Head(usize),
    /// What follows its head has so many.
    Exactly(usize),
    /// What follows its head shows its end when that comes, and has no more than so many.
    UpTo(usize),
}
