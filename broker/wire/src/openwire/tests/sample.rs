//! Commands made of random bytes, which proptest shrinks: without bytes all is null and zero.

use bytes::Bytes;

use crate::{
    openwire::{
        AnyStructure, BlobReference, Command, Destination, DestinationKind, Message, MessageKind,
        NetworkBridgeFilter, ObjectId, SubscriptionInfo, Throwable, TransactionId, WireFormatInfo,
        modified_utf8,
    },
    text::Text,
};

pub(in crate::openwire) struct Source {
    bytes: std::vec::IntoIter<u8>,
    /// Fields that this version does not have are left at their default.
    pub(in crate::openwire) version: i32,
    depth: usize,
}

impl Source {
    pub(in crate::openwire) fn new(bytes: Vec<u8>, version: i32) -> Self {
        Self { bytes: bytes.into_iter(), version, depth: 0 }
    }

    fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    pub(in crate::openwire) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }
}

pub(in crate::openwire) trait Sample: Sized {
    fn sample(source: &mut Source) -> Self;
}

impl Sample for bool {
    fn sample(source: &mut Source) -> Self {
        source.byte() % 2 == 1
    }
}

impl Sample for i8 {
    fn sample(source: &mut Source) -> Self {
        source.byte().cast_signed()
    }
}

impl Sample for i32 {
    fn sample(source: &mut Source) -> Self {
        i32::from_le_bytes(std::array::from_fn(|_| source.byte()))
    }
}

impl Sample for i64 {
    fn sample(source: &mut Source) -> Self {
        i64::from_le_bytes(std::array::from_fn(|_| source.byte()))
    }
}

impl Sample for Text {
    fn sample(source: &mut Source) -> Self {
        const PIECES: [&str; 6] = ["a", "\0", "\u{e9}", "\u{20ac}", "\u{1f6b4}", "long "];
        // Rarely one that takes nearly all that a string may.
        let repeat = if source.below(64) == 63 { 13_000 } else { 1 };
        let pieces: Vec<&str> =
            (0..source.below(6)).map(|_| PIECES[source.below(PIECES.len())]).collect();
        let text = pieces.concat();
        modified_utf8::prefix(&text.repeat(repeat), 65535).into()
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source) -> Self {
        (0..source.below(20)).map(|_| source.byte()).collect()
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(source: &mut Source) -> Self {
        Box::new(T::sample(source))
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source) -> Self {
        if source.depth > 5 || !bool::sample(source) {
            return None;
        }
        source.depth += 1;
        let value = T::sample(source);
        source.depth -= 1;
        Some(value)
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(source: &mut Source) -> Self {
        if source.depth > 5 {
            return Vec::new();
        }
        source.depth += 1;
        let values = (0..source.below(3)).map(|_| T::sample(source)).collect();
        source.depth -= 1;
        values
    }
}

impl Sample for Throwable {
    fn sample(source: &mut Source) -> Self {
        Self { class: Sample::sample(source), message: Sample::sample(source) }
    }
}

impl Sample for TransactionId {
    fn sample(source: &mut Source) -> Self {
        if bool::sample(source) {
            Self::Local { value: Sample::sample(source), connection: Sample::sample(source) }
        } else {
            Self::Xa {
                format: Sample::sample(source),
                global: Sample::sample(source),
                branch: Sample::sample(source),
            }
        }
    }
}

impl Sample for ObjectId {
    fn sample(source: &mut Source) -> Self {
        match source.below(4) {
            0 => Self::Connection(Sample::sample(source)),
            1 => Self::Session(Sample::sample(source)),
            2 => Self::Consumer(Sample::sample(source)),
            _ => Self::Producer(Sample::sample(source)),
        }
    }
}

impl Sample for Destination {
    fn sample(source: &mut Source) -> Self {
        let kind = match source.below(4) {
            0 => DestinationKind::Queue,
            1 => DestinationKind::Topic,
            2 => DestinationKind::TempQueue,
            _ => DestinationKind::TempTopic,
        };
        Self { kind, name: Sample::sample(source) }
    }
}

/// A message of a kind; see `Message` for why the kind is none of its fields.
pub(in crate::openwire) fn message(kind: MessageKind, source: &mut Source) -> Message {
    let blob = match kind {
        MessageKind::Blob => BlobReference::sample(source),
        _ => BlobReference::default(),
    };
    Message { kind, blob, ..Message::sample(source) }
}

impl Sample for AnyStructure {
    fn sample(source: &mut Source) -> Self {
        match source.below(13) {
            0 => Self::MessageId(Sample::sample(source)),
            1 => Self::SubscriptionInfo(Box::new(SubscriptionInfo::sample(source))),
            2 => Self::NetworkBridgeFilter(NetworkBridgeFilter::sample(source)),
            3 => Self::Destination(Sample::sample(source)),
            4 => Self::TransactionId(Sample::sample(source)),
            5 => Self::ConnectionId(Sample::sample(source)),
            6 => Self::SessionId(Sample::sample(source)),
            7 => Self::ConsumerId(Sample::sample(source)),
            8 => Self::ProducerId(Sample::sample(source)),
            9 => Self::BrokerId(Sample::sample(source)),
            _ => Self::Command(Box::new(Command::sample(source))),
        }
    }
}

impl Sample for WireFormatInfo {
    fn sample(source: &mut Source) -> Self {
        Self {
            version: Sample::sample(source),
            tight_encoding: Sample::sample(source),
            cache: Sample::sample(source),
            stack_trace: Sample::sample(source),
            size_prefix_disabled: Sample::sample(source),
            tcp_no_delay: Sample::sample(source),
            max_frame_size_enabled: Sample::sample(source),
            max_frame_size: Sample::sample(source),
            cache_size: Sample::sample(source),
            max_inactivity: Sample::sample(source),
            max_inactivity_initial_delay: Sample::sample(source),
            host: Sample::sample(source),
            provider_name: Sample::sample(source),
            provider_version: Sample::sample(source),
            platform_details: Sample::sample(source),
        }
    }
}
