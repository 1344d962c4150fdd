//! Frames of the Java client, damaged: the answer is a value whatever arrives. Some cases in the
//! tests, and for hours in `examples/openwire_fuzz.rs`.

use bytes::{Bytes, BytesMut};
use paceline_wire::openwire::{
    content::{inflate, read_text},
    primitives::{PrimitiveLimits, read_map, read_stream, write_map, write_stream},
    *,
};

const VECTORS: &str = include_str!("vectors.txt");

/// Name, first version, last version, bytes. Version 0 has what is no frame but content.
pub fn vectors() -> impl Iterator<Item = (&'static str, i32, i32, Bytes)> {
    VECTORS.lines().map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, first, last, hex] = fields[..] else { panic!("not a vector: {line}") };
        let bytes = hex
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
        (name, first.parse().unwrap(), last.parse().unwrap(), bytes.collect())
    })
}

/// Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Damages frames and content, and looks at what the codec makes of them.
pub struct Fuzzer {
    /// The versions of the frames.
    versions: Vec<i32>,
    frames: Vec<Bytes>,
    contents: Vec<Bytes>,
}

impl Fuzzer {
    pub fn new() -> Self {
        let (contents, frames): (Vec<_>, Vec<_>) =
            vectors().partition(|(_, first, ..)| *first == 0);
        Self {
            versions: frames.iter().map(|(_, first, ..)| *first).collect(),
            frames: frames.into_iter().map(|(.., bytes)| bytes).collect(),
            contents: contents.into_iter().map(|(.., bytes)| bytes).collect(),
        }
    }

    /// One case, which its number decides. True where something was read.
    ///
    /// # Panics
    ///
    /// Where the codec does, or where what it has read is not what it writes.
    pub fn run(&self, case: u64) -> bool {
        let _shown = Case(case);
        let mut random = SplitMix(case);
        if random.below(8) == 0 {
            let content = &self.contents[random.below(self.contents.len())];
            let damaged = damaged(content, &self.contents, &mut random);
            return check_content(&damaged.into());
        }
        let chosen = random.below(self.frames.len());
        let mut stream = damaged(&self.frames[chosen], &self.frames, &mut random);
        // Mostly with the right size, since a frame with a wrong one is seldom looked into.
        if stream.len() >= 4 && random.below(8) > 0 {
            let size = u32::try_from(stream.len() - 4).unwrap();
            stream[..4].copy_from_slice(&size.to_be_bytes());
        }
        check_stream(self.versions[chosen], &stream, &mut random)
    }
}

/// Says which case it was when one panics.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was case {}", self.0);
        }
    }
}

/// The bytes with a few changes of the kinds that hurt parsers.
fn damaged(bytes: &[u8], others: &[Bytes], random: &mut SplitMix) -> Vec<u8> {
    const TELLING: [u8; 16] =
        [0, 1, 2, 9, 10, 11, 12, 13, 0x7f, 0x80, 0xc0, 0xed, 0xff, 23, 110, 123];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.below(bytes.len());
        let length = random.below((bytes.len() - at).min(40)) + 1;
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = TELLING[random.below(TELLING.len())],
            2 => bytes[at] = random.next().to_le_bytes()[0],
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece.repeat(random.below(4)));
            }
            5 => bytes.truncate(at),
            6 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                let to = (from + length).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = (at + 4).min(bytes.len());
                let number = [0, 1, -1, i32::MAX, i32::MIN, 0x10000][random.below(6)];
                bytes[at..end].copy_from_slice(&number.to_be_bytes()[..end - at]);
            }
        }
    }
    bytes
}

fn decoder(version: i32) -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(version);
    decoder
}

fn check_stream(version: i32, stream: &[u8], random: &mut SplitMix) -> bool {
    let (mut decoder, mut input) = (decoder(version), BytesMut::new());
    if random.below(16) == 0 {
        decoder = Decoder::new(Limits::default());
    }
    let mut rest = stream;
    let mut has_read = false;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.below(rest.len()) + 1);
        rest = after;
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(command)) => check_command(version, &command),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.to_string().len() < 200, "{error}");
                    return has_read;
                }
            }
            has_read = true;
        }
    }
    has_read
}

/// What was read is written, and read again as the same.
fn check_command(version: i32, command: &Command) {
    let mut out = BytesMut::new();
    command.encode(version, &mut out);
    let again = decoder(version).decode(&mut out);
    assert_eq!(again.as_ref(), Ok(&Some(command.clone())));
    assert!(out.is_empty());
    let message = match command {
        Command::Message(message) => message,
        Command::MessageDispatch(MessageDispatch { message: Some(message), .. }) => message,
        _ => return,
    };
    for bytes in message.content.iter().chain(&message.marshalled_properties) {
        check_content(bytes);
    }
}

fn check_content(bytes: &Bytes) -> bool {
    const MAX_BYTES: usize = 100_000;
    let limits = PrimitiveLimits { max_entries: 1000, max_depth: 4 };
    let map = read_map(bytes, limits);
    if let Ok(map) = &map {
        let mut first = BytesMut::new();
        write_map(map, &mut first);
        let mut second = BytesMut::new();
        write_map(&read_map(&first.clone().freeze(), limits).unwrap(), &mut second);
        // Not the values themselves, of which some are no numbers.
        assert_eq!(first, second);
    }
    let stream = read_stream(bytes, limits);
    if let Ok(stream) = &stream {
        let mut first = BytesMut::new();
        write_stream(stream, &mut first);
        let mut second = BytesMut::new();
        write_stream(&read_stream(&first.clone().freeze(), limits).unwrap(), &mut second);
        assert_eq!(first, second);
    }
    let text = read_text(bytes);
    for kind in [MessageKind::Text, MessageKind::Bytes] {
        if let Ok(inflated) = inflate(kind, bytes, MAX_BYTES) {
            assert!(inflated.len() <= MAX_BYTES);
        }
    }
    map.is_ok() || stream.is_ok() || text.is_ok()
}
