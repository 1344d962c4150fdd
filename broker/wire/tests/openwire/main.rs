//! OpenWire to the byte as ActiveMQ's Java client has it: `vectors.txt`, and how it came to
//! be in `Vectors.java`.

mod commands;
mod fuzz;

use bytes::{Bytes, BytesMut};
use commands::{commands, text};
use fuzz::{Fuzzer, vectors};
use paceline_wire::{
    openwire::{
        content,
        primitives::{Primitive, PrimitiveLimits, read_map, read_stream, write_map, write_stream},
        *,
    },
    text::Text,
};

const TEXT: &str = "a\0\u{e9}\u{20ac}\u{1f6b4}";

fn vector(name: &str) -> Bytes {
    vectors().find(|(have, ..)| *have == name).map(|(.., bytes)| bytes).unwrap()
}

/// The map of a WireFormatInfo has no order, so what the client writes is only read.
#[test]
fn every_command_is_what_the_java_client_writes() {
    for version in MIN_VERSION..=MAX_VERSION {
        let mut commands = commands(version);
        for (name, first, last, bytes) in vectors() {
            if !(first..=last).contains(&version) {
                continue;
            }
            let command = commands.remove(name).unwrap_or_else(|| panic!("{name} is not built"));
            let mut decoder = Decoder::new(Limits::default());
            if command.name() != "WireFormatInfo" {
                decoder.set_version(version);
                let mut out = BytesMut::new();
                command.encode(version, &mut out);
                assert_eq!(hex(&out), hex(&bytes), "{name} in version {version}");
            }
            let mut input = BytesMut::from(&bytes[..]);
            let decoded = decoder.decode(&mut input);
            assert_eq!(decoded, Ok(Some(command)), "{name} in version {version}");
            assert!(input.is_empty());
        }
        let missing: Vec<_> = commands.into_keys().collect();
        let only_in_12: &[&str] = if version == 12 { &[] } else { &["BrokerSubscriptionInfo"] };
        assert_eq!(missing, only_in_12, "in version {version}");
    }
}

#[test]
fn every_truncation_of_what_the_java_client_writes_is_refused() {
    for (name, version, _, bytes) in vectors().filter(|(_, version, ..)| *version > 0) {
        let decode = |bytes: &[u8]| {
            let mut decoder = Decoder::new(Limits::default());
            decoder.set_version(version);
            decoder.decode(&mut BytesMut::from(bytes))
        };
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Ok(None), "{length} bytes of {name}");
            let Some(size) = length.checked_sub(4) else { continue };
            let mut shortened = bytes[..length].to_vec();
            shortened[..4].copy_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
            let error = decode(&shortened).expect_err(name);
            assert!(
                matches!(error, DecodeError::Malformed { .. } | DecodeError::EmptyFrame),
                "{length} bytes of {name}: {error}"
            );
        }
    }
}

#[test]
fn primitive_values_are_what_the_java_client_writes() {
    let scalars = [
        Primitive::Bool(true),
        Primitive::Byte(-1),
        Primitive::Char(0x20ac),
        Primitive::Short(-2),
        Primitive::Int(-3),
        Primitive::Long(-4),
        Primitive::Double(0.5),
        Primitive::Float(-0.25),
        Primitive::Text(TEXT.into()),
    ];
    let names = ["bool", "byte", "char", "short", "int", "long", "double", "float", TEXT];
    let mut map = vec![("null".into(), Primitive::Null)];
    map.extend(names.map(Text::from).into_iter().zip(scalars.clone()));
    let long = Primitive::Text("x".repeat(8191).into());
    let list = vec![Primitive::Int(1), Primitive::Text("two".into()), Primitive::Null];
    map.extend([
        ("longest short string".into(), Primitive::Text("\u{20ac}".repeat(8190).into())),
        ("bytes".into(), Primitive::Bytes(Bytes::from_static(&[1, 2]))),
        ("map".into(), Primitive::Map(vec![("shortest long string".into(), long)])),
        ("list".into(), Primitive::List(list)),
    ]);
    let bytes = vector("map");
    assert_eq!(read_map(&bytes, PrimitiveLimits::default()).as_ref(), Ok(&map));
    let mut out = BytesMut::new();
    write_map(&map, &mut out);
    assert_eq!(hex(&out), hex(&bytes));

    let mut stream = scalars.to_vec();
    stream.extend([Primitive::Null, Primitive::Bytes(Bytes::from_static(&[1, 2]))]);
    let bytes = vector("stream");
    assert_eq!(read_stream(&bytes, PrimitiveLimits::default()).as_ref(), Ok(&stream));
    let mut out = BytesMut::new();
    write_stream(&stream, &mut out);
    assert_eq!(hex(&out), hex(&bytes));
}

#[test]
fn content_is_what_the_java_client_writes() {
    assert_eq!(content::read_text(&vector("text")), Ok(text(TEXT)));
    assert_eq!(content::read_text(&vector("text.null")), Ok(None));
    let mut out = BytesMut::new();
    content::write_text(TEXT, &mut out);
    assert_eq!(hex(&out), hex(&vector("text")));

    let long = content::inflate(MessageKind::Text, &vector("deflated.28"), 1404).unwrap();
    assert_eq!(content::read_text(&long), Ok(text(&TEXT.repeat(100))));
    let zeros = content::inflate(MessageKind::Bytes, &vector("deflated.24"), 1000).unwrap();
    assert_eq!(zeros, [0; 1000][..]);
}

#[test]
fn damaged_frames_are_errors_or_other_commands() {
    const CASES: u64 = 50_000;
    let fuzzer = Fuzzer::new();
    let read = (0..CASES).filter(|case| fuzzer.run(*case)).count();
    assert!(read > 5_000, "only {read} of {CASES} cases got past the first field that matters");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
