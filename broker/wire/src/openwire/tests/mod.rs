//! The codec against itself. What the Java client writes is in `tests/openwire`.

mod sample;
mod values;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::{
    primitives::{Primitive, write_map},
    *,
};
use crate::{Expected, text::Text};
pub(super) use sample::{Sample, Source};

const LIMITS: Limits = Limits { max_frame_bytes: 4 << 20, max_first_frame_bytes: 4 << 20 };

fn decoder(version: i32) -> Decoder {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_version(version);
    decoder
}

fn encoded(command: &Command, version: i32) -> BytesMut {
    let mut out = BytesMut::new();
    command.encode(version, &mut out);
    out
}

fn decode(version: i32, bytes: &[u8]) -> Result<Option<Command>, DecodeError> {
    decoder(version).decode(&mut BytesMut::from(bytes))
}

/// A frame of these bytes: type and fields.
fn framed(content: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32(content.len().try_into().unwrap());
    out.put_slice(content);
    out
}

fn any_version() -> impl Strategy<Value = i32> {
    MIN_VERSION..=MAX_VERSION
}

fn any_command(version: i32) -> impl Strategy<Value = Command> {
    // The kinds of messages are chosen apart; a sampled message is a plain one.
    let bytes = prop::collection::vec(any::<u8>(), 0..1500);
    (bytes, prop::sample::select(MessageKind::ALL.to_vec()), 0..8).prop_map(
        move |(bytes, kind, shape)| {
            let mut source = Source::new(bytes, version);
            match shape {
                0 => sample::message(kind, &mut source).into(),
                1 => MessageDispatch {
                    message: Some(Box::new(sample::message(kind, &mut source))),
                    ..Sample::sample(&mut source)
                }
                .into(),
                _ => Command::sample(&mut source),
            }
        },
    )
}

fn any_versioned_command() -> impl Strategy<Value = (i32, Command)> {
    any_version().prop_flat_map(|version| (Just(version), any_command(version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_encoded_is_decoded((version, command) in any_versioned_command()) {
        let bytes = encoded(&command, version);
        let mut input = bytes.clone();
        prop_assert_eq!(decoder(version).decode(&mut input), Ok(Some(command)));
        prop_assert!(input.is_empty());
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_commands(
        (version, commands) in any_version().prop_flat_map(|version| {
            (Just(version), prop::collection::vec(any_command(version), 1..4))
        }),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut bytes = BytesMut::new();
        commands.iter().for_each(|command| command.encode(version, &mut bytes));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let (mut decoder, mut input, mut decoded) = (decoder(version), BytesMut::new(), vec![]);
        for cut in cuts.windows(2) {
            input.extend_from_slice(&bytes[cut[0]..cut[1]]);
            while let Some(command) = decoder.decode(&mut input).unwrap() {
                decoded.push(command);
            }
        }
        prop_assert!(input.is_empty() && decoder.is_between_frames());
        prop_assert_eq!(decoded, commands);
    }

    /// Cut off, a frame is unfinished; with a size that says so, it is malformed.
    #[test]
    fn every_truncation_is_refused((version, command) in any_versioned_command()) {
        let mut bytes = encoded(&command, version);
        prop_assume!(bytes.len() < 5_000);
        for length in 0..bytes.len() {
            prop_assert_eq!(decode(version, &bytes[..length]), Ok(None));
        }
        bytes.advance(4);
        for length in 0..bytes.len() {
            prop_assert!(decode(version, &framed(&bytes[..length])).is_err());
        }
        bytes.put_u8(0);
        let trailing = DecodeError::TrailingBytes { command: command.name(), count: 1 };
        prop_assert_eq!(decode(version, &framed(&bytes)), Err(trailing));
    }

    #[test]
    fn a_dispatch_in_parts_is_the_command(
        version in any_version(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        kind in prop::sample::select(MessageKind::ALL.to_vec()),
        text in prop::option::of(".*"),
    ) {
        let mut source = Source::new(bytes, version);
        let consumer = ConsumerId::sample(&mut source);
        let producer = Option::<ProducerId>::sample(&mut source);
        let destination = Destination::sample(&mut source);
        let message_id =
            MessageId { producer: producer.clone(), ..Sample::sample(&mut source) };
        let mut content = Option::<Bytes>::sample(&mut source);
        if let Some(text) = &text {
            let mut out = BytesMut::new();
            content::write_text(text, &mut out);
            content = Some(out.freeze());
        }
        let message = Message {
            kind,
            command_id: 0,
            response_required: false,
            producer_id: producer.clone(),
            destination: Some(destination.clone()),
            message_id: Some(message_id.clone()),
            transaction_id: None,
            original_transaction_id: None,
            content: content.clone(),
            data_structure: None,
            target_consumer_id: None,
            broker_path: vec![],
            received_by_df_bridge: false,
            droppable: false,
            cluster: vec![],
            ..Sample::sample(&mut source)
        };
        let dispatch = MessageDispatch {
            command_id: Sample::sample(&mut source),
            response_required: false,
            consumer_id: Some(consumer.clone()),
            destination: Some(destination.clone()),
            redelivery_counter: message.redelivery_counter,
            message: Some(Box::new(message.clone())),
        };
        fn place(destination: &Destination) -> DestinationParts<'_> {
            DestinationParts { kind: destination.kind, name: &destination.name }
        }
        let parts = DispatchParts {
            command_id: dispatch.command_id,
            consumer: ConsumerParts {
                connection: &consumer.connection,
                session: consumer.session,
                value: consumer.value,
            },
            destination: place(&destination),
            message_id: MessageIdParts {
                text_view: message_id.text_view.as_deref(),
                producer: producer.as_ref().map(|producer| ProducerParts {
                    connection: &producer.connection,
                    value: producer.value,
                    session: producer.session,
                }),
                producer_sequence: message_id.producer_sequence,
                broker_sequence: message_id.broker_sequence,
            },
            kind,
            original_destination: message.original_destination.as_ref().map(place),
            group_id: message.group_id.as_deref(),
            group_sequence: message.group_sequence,
            correlation_id: message.correlation_id.as_deref(),
            persistent: message.persistent,
            expiration: message.expiration,
            priority: message.priority,
            reply_to: message.reply_to.as_ref().map(place),
            timestamp: message.timestamp,
            jms_type: message.jms_type.as_deref(),
            content: match (&text, &content) {
                (Some(text), _) => ContentParts::Text(text),
                (None, Some(content)) => ContentParts::Bytes(content),
                (None, None) => ContentParts::Null,
            },
            marshalled_properties: message.marshalled_properties.as_deref(),
            compressed: message.compressed,
            redelivery_counter: message.redelivery_counter,
            arrival: message.arrival,
            user_id: message.user_id.as_deref(),
            broker_in_time: message.broker_in_time,
            broker_out_time: message.broker_out_time,
            jmsx_group_first_for_consumer: message.jmsx_group_first_for_consumer,
        };
        let mut out = BytesMut::new();
        parts.encode(version, &mut out);
        prop_assert_eq!(out, encoded(&dispatch.into(), version));
    }
}

#[test]
fn malformed_frames_say_what_is_wrong() {
    let session = |id: &[u8]| [b"\x04\0\0\0\x07\0", id].concat();
    let info = |fields: &[u8]| [b"\x01ActiveMQ\0\0\0\x0c\x01", fields].concat();
    let cases: &[(Vec<u8>, &str)] = &[
        (vec![], "an empty frame"),
        (vec![99], "type 99 is no command of OpenWire version 12"),
        (vec![0], "type 0 is no command of OpenWire version 12"),
        (vec![110, 0, 0], "type 110 is no command of OpenWire version 12"),
        (
            vec![10, 0, 0],
            "KeepAliveInfo: KeepAliveInfo.command_id is cut off by the end of the frame",
        ),
        (vec![10, 0, 0, 0, 1, 0, 1, 2], "KeepAliveInfo: 2 bytes follow its last field"),
        (
            session(b"\x01"),
            "SessionInfo: SessionInfo.session_id is cut off by the end of the frame",
        ),
        (
            session(b"\x01\x78"),
            "SessionInfo: SessionInfo.session_id has the type 120 instead of SessionId",
        ),
        (
            session(b"\x01\x79\x01\xff\xff"),
            "SessionInfo: SessionId.connection is cut off by the end of the frame",
        ),
        (
            session(b"\x01\x79\x01\0\x02\xc0\x81"),
            "SessionInfo: SessionId.connection is not modified UTF-8",
        ),
        (
            b"\x07\0\0\0\x07\0\0\x01\x6f\0\0\0\0\0\0\0\x01\0\0".to_vec(),
            "TransactionInfo: LocalTransactionId.connection is null",
        ),
        (
            b"\x12\0\0\0\x07\0\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff".to_vec(),
            "ConnectionControl: ConnectionControl.token has the length -1",
        ),
        (
            b"\x12\0\0\0\x07\0\0\0\0\0\0\0\0\0\x01\x7f\xff\xff\xff".to_vec(),
            "ConnectionControl: ConnectionControl.token is cut off by the end of the frame",
        ),
        (
            b"\x06\0\0\0\x07\0\0\0\x01\xff\xff\0".to_vec(),
            "ProducerInfo: ProducerInfo.broker_path has an element that is null",
        ),
        (b"\x01ActiveMP\0\0\0\x0c\0".to_vec(), "WireFormatInfo: magic is not `ActiveMQ`"),
        (
            info(b"\0\0\0\x12\0\0\0\x01\0\x09CacheSize\x06\0\0"),
            "WireFormatInfo: properties is cut off by the end of the frame",
        ),
        (
            info(b"\0\0\0\x14\0\0\0\x01\0\x0cCacheEnabled\x0e\0"),
            "WireFormatInfo: properties has a value of the type 14",
        ),
        (
            info(b"\0\0\0\x14\0\0\0\x01\0\x0cCacheEnabled\x02\x01"),
            "WireFormatInfo: WireFormatInfo.cache has a value of the wrong type",
        ),
        (info(b"\0\0\0\x04\0\0\0\x41"), "WireFormatInfo: properties has more than 64 values"),
        (
            info(b"\0\0\0\x0c\0\0\0\x01\0\x01x\x0b\0\0\0\0"),
            "WireFormatInfo: properties is nested deeper than 0 times",
        ),
    ];
    for (bytes, expected) in cases {
        let error = decode(12, &framed(bytes)).unwrap_err();
        assert_eq!(error.to_string(), *expected);
    }
}

/// What speaks another protocol is told apart by its first bytes.
#[test]
fn nothing_but_a_wire_format_info_comes_first() {
    let decode = |bytes: &[u8]| Decoder::new(Limits::default()).decode(&mut BytesMut::from(bytes));
    let max = Limits::default().max_first_frame_bytes;
    for other in [&b"CONNECT\n"[..], b"GET / HTTP/1.1", b"\x16\x03\x01\x02", b"AMQP\0\0\x09\x01"] {
        let size = u32::from_be_bytes(other[..4].try_into().unwrap());
        assert_eq!(decode(other), Err(DecodeError::FrameSize { size, max }));
    }
    let early = encoded(&KeepAliveInfo::default().into(), 12);
    assert_eq!(decode(&early), Err(DecodeError::NotNegotiated { code: 10 }));
    assert_eq!(decode(&early[..5]), Err(DecodeError::NotNegotiated { code: 10 }));
    let info = Command::from(WireFormatInfo { version: 12, ..WireFormatInfo::default() });
    assert_eq!(decode(&encoded(&info, 12)), Ok(Some(info)));
}

/// The client knows `CacheEnabled` as absent, true or false; another name may mean anything.
#[test]
fn unknown_properties_of_the_wire_format_count_for_nothing() {
    let mut properties = BytesMut::new();
    let entries = [
        ("CacheEnabled".into(), Primitive::Bool(true)),
        ("Host".into(), Primitive::Null),
        ("Future".into(), Primitive::Double(0.5)),
    ];
    write_map(&entries, &mut properties);
    let mut frame = BytesMut::from(&b"\x01ActiveMQ\0\0\0\x63\x01"[..]);
    frame.put_u32(properties.len().try_into().unwrap());
    frame.put_slice(&properties);
    let info = WireFormatInfo { version: 99, cache: true, ..WireFormatInfo::default() };
    assert_eq!(decode(12, &framed(&frame)), Ok(Some(info.into())));
}

#[test]
fn a_frame_says_what_it_needs_and_is_bounded() {
    let mut decoder = Decoder::new(Limits { max_frame_bytes: 6, max_first_frame_bytes: 20 });
    let mut input = BytesMut::from(&b"\0\0\0"[..]);
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.expected(), Expected::Head(4));
    input.put_slice(b"\x0e\x01");
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.expected(), Expected::Exactly(14));
    input.put_slice(b"ActiveMQ\0\0\0\x0c\0");
    assert!(decoder.decode(&mut input).unwrap().is_some());
    decoder.set_version(12);
    assert_eq!(decoder.expected(), Expected::Head(4));
    input.put_slice(&encoded(&KeepAliveInfo::default().into(), 12));
    assert!(decoder.decode(&mut input).unwrap().is_some());
    input.put_slice(b"\0\0\0\x07");
    assert_eq!(decoder.decode(&mut input), Err(DecodeError::FrameSize { size: 7, max: 6 }));
}

/// A type that is unknown is refused before the frame it announces has come.
#[test]
fn unknown_types_are_not_waited_for() {
    let error = decode(9, b"\0\0\xff\xff\x21").unwrap();
    assert_eq!(error, None, "a DataArrayResponse");
    let error = decode(9, b"\0\0\xff\xff\x24").unwrap_err();
    assert_eq!(error, DecodeError::UnknownCommand { code: 0x24, version: 9 });
}

#[test]
fn depth_and_number_of_structures_are_bounded() {
    let within = |depth: usize| {
        (0..depth).fold(Command::from(KeepAliveInfo::default()), |command, _| {
            let data = Some(AnyStructure::Command(Box::new(command)));
            DataResponse { data, ..DataResponse::default() }.into()
        })
    };
    assert!(decode(12, &encoded(&within(16), 12)).is_ok());
    let error = decode(12, &encoded(&within(17), 12)).unwrap_err();
    let fault = Fault::TooDeep { max: 16 };
    let (command, field) = ("DataResponse", "DataResponse.data");
    assert_eq!(error, DecodeError::Malformed { command, field, fault });

    let many = |count: usize| {
        let data = vec![AnyStructure::BrokerId(BrokerId::default()); count];
        DataArrayResponse { data, ..DataArrayResponse::default() }.into()
    };
    assert!(decode(12, &encoded(&many(16_384), 12)).is_ok());
    let error = decode(12, &encoded(&many(16_385), 12)).unwrap_err();
    let fault = Fault::TooManyStructures { max: 16_384 };
    let (command, field) = ("DataArrayResponse", "DataArrayResponse.data");
    assert_eq!(error, DecodeError::Malformed { command, field, fault });
}

#[test]
fn strings_too_long_for_their_length_are_cut_between_characters() {
    let message = Some(Text::from("\u{1f6b4}".repeat(20_000)));
    let exception = Some(Throwable { class: "c".into(), message });
    let command = ExceptionResponse { exception, ..ExceptionResponse::default() }.into();
    let Ok(Some(Command::ExceptionResponse(decoded))) = decode(12, &encoded(&command, 12)) else {
        panic!("it is read");
    };
    let message = decoded.exception.unwrap().message.unwrap();
    assert_eq!(message, "\u{1f6b4}".repeat(65_535 / 6).as_str());
}

#[test]
fn arrays_too_long_for_their_count_are_cut() {
    let command = DataArrayResponse {
        data: vec![AnyStructure::BrokerId(BrokerId::default()); 70_000],
        ..DataArrayResponse::default()
    };
    let mut bytes = encoded(&command.into(), 12);
    // Head, a bool and the count; each element is a bool, a type and an empty id.
    assert_eq!(bytes.len(), 14 + 3 + 65_535 * 3);
    assert_eq!(bytes.split_off(14)[..3], [1, 0xff, 0xff]);
}

#[test]
fn fields_are_slices_of_the_input_until_they_are_detached() {
    let message = Message {
        message_id: Some(MessageId {
            producer: Some(ProducerId { connection: "connection".into(), value: 1, session: 2 }),
            ..MessageId::default()
        }),
        content: Some(Bytes::from_static(b"content")),
        ..Message::default()
    };
    let mut input = encoded(&message.into(), 12);
    let range = input.as_ptr_range();
    let Ok(Some(Command::Message(decoded))) = decoder(12).decode(&mut input) else {
        panic!("it is read");
    };
    let id = decoded.message_id.as_ref().unwrap();
    let at = |id: &MessageId| id.producer.as_ref().unwrap().connection.as_ptr();
    assert!(range.contains(&decoded.content.as_ref().unwrap().as_ptr()));
    assert!(range.contains(&at(id)));
    assert!(!range.contains(&at(&id.detached())));
    assert_eq!(id.detached(), *id);
}

/// The buffer that something was read from is free again once all that is left of it is detached.
#[test]
fn what_is_detached_holds_no_buffer() {
    fn holds_none<T: PartialEq + std::fmt::Debug>(
        read: impl Fn(&Bytes) -> T,
        detached: impl Fn(&T) -> T,
    ) {
        let buffer = Bytes::from(vec![b'x'; 100]);
        let value = read(&buffer);
        let copy = detached(&value);
        assert_eq!(copy, value);
        assert!(!buffer.is_unique());
        drop(value);
        assert!(buffer.is_unique(), "{copy:?}");
    }
    let text = |buffer: &Bytes| Text::from_utf8(buffer.slice(1..9)).unwrap();
    let connection = |buffer: &Bytes| ConnectionId { value: text(buffer) };
    let session = |buffer: &Bytes| SessionId { connection: text(buffer), value: 1 };
    let consumer = |b: &Bytes| ConsumerId { connection: text(b), session: 1, value: 2 };
    let producer = |b: &Bytes| ProducerId { connection: text(b), value: 1, session: 2 };
    holds_none(text, Text::detached);
    holds_none(connection, ConnectionId::detached);
    holds_none(session, SessionId::detached);
    holds_none(consumer, ConsumerId::detached);
    holds_none(producer, ProducerId::detached);
    holds_none(|buffer| BrokerId { value: text(buffer) }, BrokerId::detached);
    holds_none(
        |buffer| MessageId {
            text_view: Some(text(buffer)),
            producer: Some(producer(buffer)),
            ..MessageId::default()
        },
        MessageId::detached,
    );
    holds_none(
        |buffer| TransactionId::Local { value: 1, connection: connection(buffer) },
        TransactionId::detached,
    );
    holds_none(
        |b| TransactionId::Xa { format: 1, global: b.slice(..3), branch: b.slice(3..6) },
        TransactionId::detached,
    );
    holds_none(|buffer| ObjectId::Connection(connection(buffer)), ObjectId::detached);
    holds_none(|buffer| ObjectId::Session(session(buffer)), ObjectId::detached);
    holds_none(|buffer| ObjectId::Consumer(consumer(buffer)), ObjectId::detached);
    holds_none(|buffer| ObjectId::Producer(producer(buffer)), ObjectId::detached);
    holds_none(
        |buffer| Destination { kind: DestinationKind::Queue, name: text(buffer) },
        Destination::detached,
    );
}
