//! OpenWire, the protocol of ActiveMQ's own clients, versions 9 to 12: commands as values,
//! [`Decoder`] and [`Command::encode`] between them and bytes.
//!
//! ```text
//! u32     size of what follows
//! u8      type of the command
//! bytes   its fields, see the table of commands
//! ```
//!
//! Only the loose encoding is spoken, without the cache of values and without stack traces. Each
//! side announces in its [`WireFormatInfo`] what it can, and only what both can holds, so that a
//! side which refuses the rest is never sent it. Source: the marshallers of ActiveMQ 5.17.

mod commands;
pub mod content;
mod decode;
mod dispatch;
mod error;
mod field;
mod ids;
mod macros;
mod message;
mod modified_utf8;
pub mod primitives;
mod reader;
mod structure;
mod wire_format_info;

#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};

pub use commands::*;
pub use decode::{Decoder, Limits};
pub use dispatch::{
    ConsumerParts, ContentParts, DestinationParts, DispatchParts, MessageIdParts, ProducerParts,
};
pub use error::{DecodeError, Fault};
pub use field::Throwable;
pub use ids::{
    BrokerId, ConnectionId, ConsumerId, Destination, DestinationKind, MessageId, ObjectId,
    ProducerId, SessionId, TransactionId,
};
pub use message::{BlobReference, Message, MessageKind};
pub use structure::{AnyStructure, NetworkBridgeFilter, SubscriptionInfo};
pub use wire_format_info::WireFormatInfo;

/// The oldest version that the codec speaks, that of ActiveMQ 5.8.
pub const MIN_VERSION: i32 = 9;

/// The newest version that there is.
pub const MAX_VERSION: i32 = 12;

impl Command {
    /// Appends the frame as `version` has it. Of a string longer than 65535 bytes, and of an array
    /// of more elements, the front is written: their lengths can tell no more.
    pub fn encode(&self, version: i32, out: &mut BytesMut) {
        encode_frame(self.code(), out, |out| self.write_fields(version, out));
    }
}

/// Appends a frame's size, its type and what `write` appends.
fn encode_frame(code: u8, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    field::put_sized(out, |out| {
        out.put_u8(code);
        write(out);
    });
}
