//! Sans-IO codecs: bytes to frames and back, for every protocol the broker speaks.
//!
//! A decoder takes whatever bytes have arrived, split anywhere, and yields whole frames; an encoder
//! appends to a buffer. Neither knows of sockets or time, and every length that comes from outside
//! is checked against a limit before memory is spent on it.

pub mod link;
pub mod stomp;
