//! Bytes to frames and back, for every protocol the broker speaks. Nothing here reads or writes a
//! socket.

pub mod link;
