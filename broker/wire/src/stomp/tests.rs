//! The codec against itself (round trips in any split) and against the specifications' words.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::Expected;

fn decoder(version: Option<Version>) -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    decoder
}

/// Everything that is decoded when the bytes arrive in the given pieces.
fn decode_pieces<'a>(
    version: Option<Version>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Frame>, DecodeError> {
    let mut decoder = decoder(version);
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(frame) = decoder.decode(&mut input)? {
            frames.push(frame);
        }
    }
    assert!(input.is_empty() || !decoder.is_between_frames() || input[..] == *b"\r");
    Ok(frames)
}

fn decode(version: Version, bytes: &[u8]) -> Result<Vec<Frame>, DecodeError> {
    decode_pieces(Some(version), [bytes])
}

fn one(version: Version, bytes: &[u8]) -> Frame {
    let mut frames = decode(version, bytes).unwrap();
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

fn any_version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::ALL.to_vec())
}

/// Header text that the version can carry.
fn header_text(version: Version, min: usize) -> impl Strategy<Value = String> {
    let special = prop::sample::select(match version {
        Version::V1_0 => vec!['\\', 'n', 'c', '\u{e9}', '\u{1f6b4}'],
        Version::V1_1 => vec!['\\', ':', '\n', 'n', 'c', 'r', ' ', '\u{1f6b4}'],
        Version::V1_2 => vec!['\\', ':', '\n', '\r', 'n', 'c', 'r', ' ', '\u{1f6b4}'],
    });
    let plain = prop::char::range('a', 'z');
    prop::collection::vec(prop_oneof![2 => plain, 1 => special], min..12)
        .prop_map(String::from_iter)
}

fn any_frame(version: Version) -> impl Strategy<Value = Frame> {
    let command = prop::sample::select(
        Command::ALL.iter().copied().filter(|command| !command.is_handshake()).collect::<Vec<_>>(),
    );
    let headers = prop::collection::vec((header_text(version, 1), header_text(version, 0)), 0..6);
    let body = prop::collection::vec(prop_oneof![Just(0), Just(b'\n'), any::<u8>()], 0..300);
    (command, headers, body).prop_map(|(command, headers, body)| {
        let mut frame = Frame::new(command);
        frame.headers =
            headers.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into())).collect();
        if command.may_have_body() {
            frame.body = body.into();
        }
        frame
    })
}

fn with_content_length(mut frame: Frame) -> Frame {
    if !frame.body.is_empty() {
        let length = frame.body.len().to_string();
        frame.headers.push((header::CONTENT_LENGTH.into(), length.into()));
    }
    frame
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_in_any_split(
        (version, frames) in any_version().prop_flat_map(|version| {
            (Just(version), prop::collection::vec(any_frame(version), 1..5))
        }),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        heart_beats in 0..3_usize,
    ) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            bytes.extend_from_slice(&HEART_BEAT.repeat(heart_beats));
            frame.encode(version, &mut bytes);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let decoded = decode_pieces(Some(version), pieces).unwrap();
        let expected: Vec<Frame> = frames.into_iter().map(with_content_length).collect();
        prop_assert_eq!(decoded, expected);
    }

    /// Whatever arrives, the answer is a value, and small limits bound what is held.
    #[test]
    fn garbage_is_an_error_and_never_held_beyond_the_limits(
        bytes in prop::collection::vec(
            prop_oneof![
                prop::sample::select(b"SEND\n\n:\\ncr\r\0content-length:1".to_vec()),
                any::<u8>(),
            ],
            0..400,
        ),
        begins_well in any::<bool>(),
        version in prop::option::of(any_version()),
    ) {
        let limits =
            Limits { max_headers: 3, max_line_bytes: 30, max_head_bytes: 60, max_body_bytes: 40 };
        let mut decoder = Decoder::new(limits);
        if let Some(version) = version {
            decoder.set_version(version);
        }
        let mut input = BytesMut::new();
        let prefix: &[u8] = if begins_well { b"SEND\n" } else { b"" };
        for octet in prefix.iter().chain(&bytes) {
            input.extend_from_slice(&[*octet]);
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    prop_assert!(frame.headers.len() <= limits.max_headers);
                    prop_assert!(frame.body.len() <= limits.max_body_bytes);
                }
                Ok(None) => {}
                Err(_) => break,
            }
            prop_assert!(input.len() <= limits.max_head_bytes + limits.max_line_bytes + 2);
        }
    }

    /// No text that a client can put into a message breaks out of its header at another client.
    #[test]
    fn no_header_smuggles_in_another(
        name in "[a-z:\\\\\n\r\u{0}]{1,8}", value in "[a-z:\\\\\n\r\u{0}]{0,8}", version in any_version()
    ) {
        let mut bytes = BytesMut::new();
        let mut writer = FrameWriter::begin(&mut bytes, version, Command::Message);
        writer.header(&name, &value);
        writer.finish(b"");
        match decode(version, &bytes) {
            Ok(frames) => {
                prop_assert_eq!(frames.len(), 1);
                prop_assert_eq!(frames[0].headers.len(), 1);
            }
            // 1.0 can write a name that is all white space or empty; never a further header.
            Err(error) => prop_assert!(matches!(error, DecodeError::EmptyName(_))),
        }
    }
}

#[test]
fn every_split_of_one_stream_gives_the_same_frames() {
    let stream: &[u8] =
        b"\n\r\nSEND\r\ndestination:/queue/a\r\ncontent-length:4\r\n\r\na\0b\n\0\n\n\
        ACK\nid:1\\c2\n\n\0SEND\n\nuntil nul\0";
    let whole = decode(Version::V1_2, stream).unwrap();
    assert_eq!(whole.len(), 3);
    assert_eq!(whole[0].body, Bytes::from_static(b"a\0b\n"));
    assert_eq!(whole[1].header("id").unwrap(), &"1:2");
    assert_eq!(whole[2].body, Bytes::from_static(b"until nul"));
    for first in 0..stream.len() {
        for second in first..stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(decode_pieces(Some(Version::V1_2), pieces).unwrap(), whole);
        }
    }
    assert_eq!(decode_pieces(Some(Version::V1_2), stream.chunks(1)).unwrap(), whole);
}

/// Clients copy a MESSAGE's headers into its ACK; whatever is announced, these frames end at once.
#[test]
fn frames_without_a_body_do_not_wait_for_what_they_announce() {
    let without_body = Command::ALL.iter().filter(|command| !command.may_have_body());
    for (command, version) in without_body.flat_map(|c| Version::ALL.map(|version| (*c, version))) {
        for announced in ["0", "5", "99999999999999999999", "-1", ""] {
            let bytes = format!("{}\ncontent-length:{announced}\n\n\0", command.as_str());
            let frame = one(version, bytes.as_bytes());
            assert_eq!((frame.command, frame.body.len()), (command, 0), "{version:?}: {bytes}");
        }
    }
}

/// Where the client forgot the NUL, it is told before it has sent the next one.
#[test]
fn a_body_where_none_may_be_is_refused_at_its_first_byte() {
    for version in [Version::V1_1, Version::V1_2] {
        for head in ["ACK\nid:1\n\n", "ACK\nid:1\ncontent-length:4\n\n"] {
            let error = decode(version, format!("{head}S").as_bytes()).unwrap_err();
            assert_eq!(error, DecodeError::UnexpectedBody("ACK"));
        }
    }
    assert_eq!(one(Version::V1_0, b"ACK\nmessage-id:1\n\nbody\0").body, "body");
}

/// Some clients end a frame with NUL and line end, others with a second NUL, or beat with NUL.
#[test]
fn stray_nuls_between_frames_are_skipped() {
    let stream = b"\0\nSEND\ncontent-length:1\n\nx\0\0\0\n\0\r\n\0ACK\nid:1\n\n\0\0";
    for version in Version::ALL {
        let frames = decode_pieces(Some(version), stream.chunks(1)).unwrap();
        let commands: Vec<_> = frames.iter().map(|frame| frame.command).collect();
        assert_eq!(commands, [Command::Send, Command::Ack]);
        assert_eq!(decode(version, stream).unwrap(), frames);
    }
}

/// `content-length:0` says that a body is binary, as it does with a longer one.
#[test]
fn an_empty_binary_body_keeps_its_content_length() {
    let frame = Frame::new(Command::Send).with(header::CONTENT_LENGTH, "0");
    let mut bytes = BytesMut::new();
    frame.encode(Version::V1_2, &mut bytes);
    assert_eq!(one(Version::V1_2, &bytes), frame);
}

#[test]
fn bodies_are_slices_of_the_input() {
    let mut input = BytesMut::from(&b"SEND\ncontent-length:3\n\nabc\0"[..]);
    let base = input.as_ptr() as usize;
    let frame = decoder(Some(Version::V1_2)).decode(&mut input).unwrap().unwrap();
    assert_eq!(frame.body.as_ptr() as usize - base, 23);
}

/// STOMP 1.2 "Value Encoding", STOMP 1.1 "Value Encoding"; 1.0 has no escapes.
#[test]
fn escapes_differ_per_version() {
    let frame = b"SEND\nk:a\\\\\\n\\cz\n\n\0";
    assert_eq!(one(Version::V1_2, frame).header("k").unwrap(), &"a\\\n:z");
    assert_eq!(one(Version::V1_1, frame).header("k").unwrap(), &"a\\\n:z");
    assert_eq!(one(Version::V1_0, frame).header("k").unwrap(), &"a\\\\\\n\\cz");
    let with_return = b"SEND\nk:\\r\n\n\0";
    assert_eq!(one(Version::V1_2, with_return).header("k").unwrap(), &"\r");
    assert!(matches!(
        decode(Version::V1_1, with_return),
        Err(DecodeError::UndefinedEscape { escape, .. }) if escape == "r"
    ));
}

/// STOMP 1.2 "Value Encoding": CONNECT and CONNECTED are not escaped, so that they stay readable
/// to 1.0.
#[test]
fn the_handshake_is_never_escaped() {
    for version in Version::ALL {
        let mut bytes = BytesMut::new();
        Frame::new(Command::Connected).with("session", "a:b\\c").encode(version, &mut bytes);
        assert_eq!(&bytes[..], b"CONNECTED\nsession:a:b\\c\n\n\0");
        assert_eq!(one(version, &bytes).header("session").unwrap(), &"a:b\\c");
    }
}

/// STOMP 1.2 "Augmented BNF": EOL = [CR] LF; 1.1 knows LF only, and there a return is content.
#[test]
fn carriage_returns_end_lines_in_1_2_only() {
    let mixed = b"SEND\r\na:1\r\nb:2\n\r\n\0";
    let frame = one(Version::V1_2, mixed);
    assert_eq!(frame.header("a").unwrap(), &"1");
    assert_eq!(one(Version::V1_1, b"SEND\na:1\r\n\n\0").header("a").unwrap(), &"1\r");
    // A command ends with no return in 1.1, so one there means a client that writes CR LF.
    assert_eq!(one(Version::V1_1, b"SEND\r\na:1\r\n\r\n\0").header("a").unwrap(), &"1");
    let connect = decode_pieces(None, [&b"CONNECT\r\naccept-version:1.2\r\n\r\n\0"[..]]).unwrap();
    assert_eq!(connect[0].header("accept-version").unwrap(), &"1.2");
}

/// STOMP 1.1 "Body of CONNECT": white space is content; 1.0's own examples pad their headers.
#[test]
fn white_space_is_dropped_in_1_0_only() {
    let padded = b"SEND\nkey: value \n\n\0";
    assert_eq!(one(Version::V1_0, padded).header("key").unwrap(), &"value");
    assert_eq!(one(Version::V1_1, padded).header("key").unwrap(), &" value ");
    let old = decode_pieces(None, [&b"CONNECT\nlogin: a\n\n\0"[..]]).unwrap();
    assert_eq!(old[0].header("login").unwrap(), &"a");
    let new = decode_pieces(None, [&b"CONNECT\naccept-version:1.1\nlogin: a\n\n\0"[..]]).unwrap();
    assert_eq!(new[0].header("login").unwrap(), &" a");
}

/// STOMP 1.2 "Repeated Header Entries".
#[test]
fn the_first_of_repeated_headers_counts() {
    let frame = one(Version::V1_2, b"MESSAGE\nfoo:World\nfoo:Hello\n\n\0");
    assert_eq!(frame.header("foo").unwrap(), &"World");
    assert_eq!(frame.headers.len(), 2);
}

#[test]
fn malformed_frames_say_what_is_wrong() {
    let cases: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n", "`GET / HTTP/1.1` is not a STOMP command"),
        (b"send\n\n\0", "`send` is not a STOMP command"),
        (b"\x16\x03\x01\x00", "`\\u{16}\\u{3}\\u{1}` is not a STOMP command"),
        (b"SEND\nno colon\n\n\0", "the header line `no colon` has no colon"),
        (b"SEND\n:x\n\n\0", "a header has no name: `:x`"),
        (b"SEND\na:\\t\n\n\0", "the header line `a:\\\\t` holds the undefined escape `\\t`"),
        (b"SEND\na:\\\n\n\0", "the header line `a:\\\\` holds the undefined escape `\\`"),
        (b"SEND\na:\xff\n\n\0", "the header line `a:\\u{fffd}` is not UTF-8"),
        (b"SEND\na:b\0", "the frame ends inside its head: NUL after `a:b`"),
        (b"SEND\0", "the frame ends inside its head: NUL after `SEND`"),
        (b"\rSEND\n", "a carriage return between frames is not followed by a line feed"),
        (b"SEND\ncontent-length:-1\n\n\0", "`-1` is not a content-length"),
        (b"SEND\ncontent-length:\n\n\0", "`` is not a content-length"),
        (
            b"SEND\ncontent-length:99999999999999999999\n\n",
            "the body is larger than 16777216 bytes",
        ),
        (b"SEND\ncontent-length:17000000\n\n", "the body is larger than 16777216 bytes"),
        (
            b"SEND\ncontent-length:2\n\nabc\0",
            "no NUL follows the 2 bytes of body that content-length announces",
        ),
        (b"ACK\nid:1\n\nx\0", "ACK frames have no body"),
    ];
    for (bytes, expected) in cases {
        let error = decode(Version::V1_2, bytes).unwrap_err();
        assert_eq!(error.to_string(), *expected);
        let split = decode_pieces(Some(Version::V1_2), bytes.chunks(1)).unwrap_err();
        assert_eq!(split.to_string(), *expected);
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let limits =
        Limits { max_headers: 2, max_line_bytes: 8, max_head_bytes: 20, max_body_bytes: 4 };
    let decode = |bytes: &[u8]| {
        let mut decoder = Decoder::new(limits);
        decoder.set_version(Version::V1_2);
        decoder.decode(&mut BytesMut::from(bytes))
    };
    assert!(decode(b"SEND\na:345678\n\n1234\0").unwrap().is_some());
    assert_eq!(decode(b"SEND\na:34567890\n\n\0").unwrap_err(), DecodeError::LineTooLong { max: 8 });
    assert_eq!(decode(b"SEND\na:34567890").unwrap_err(), DecodeError::LineTooLong { max: 8 });
    assert_eq!(decode(b"SEND\n\n12345").unwrap_err(), DecodeError::BodyTooLarge { max: 4 });
    assert_eq!(decode(b"SEND\n\n12345\0").unwrap_err(), DecodeError::BodyTooLarge { max: 4 });
    assert!(decode(b"SEND\n\n1234").unwrap().is_none());
    assert!(decode(b"SEND\na:1\nb:2\n\n\0").unwrap().is_some());
    assert_eq!(
        decode(b"SEND\na:1\nb:2\nc:3\n\n\0").unwrap_err(),
        DecodeError::TooManyHeaders { max: 2 }
    );
    assert_eq!(
        decode(b"SEND\na:345678\nb:345678\n\n\0").unwrap_err(),
        DecodeError::HeadTooLong { max: 20 }
    );
}

#[test]
fn a_frame_says_what_it_may_come_to_need() {
    let mut decoder = decoder(Some(Version::V1_2));
    let Limits { max_line_bytes, max_head_bytes, max_body_bytes, .. } = Limits::default();
    let mut expected = |bytes: &str| {
        let mut input = BytesMut::from(bytes.as_bytes());
        while decoder.decode(&mut input).unwrap().is_some() {}
        decoder.expected()
    };
    let head = Expected::Head(max_head_bytes + max_line_bytes + 2);
    assert_eq!(expected(""), head);
    assert_eq!(expected("SEND\ncontent-length:5\n\n"), Expected::Exactly(6));
    assert_eq!(expected("hello\0"), head);
    assert_eq!(expected("SEND\n\n"), Expected::UpTo(max_body_bytes + 1));
    assert_eq!(expected("hello\0BEGIN\n\n"), Expected::Exactly(1));
}
