//! The body of a message: its name, then filler that can be computed from the name, so that a
//! consumer can tell any byte that was changed, cut or mixed up with another message.

use std::io::Write;

use bytes::Bytes;

use super::MessageId;

/// The body of `id`: its name, a newline, and filler up to `size` bytes. A size too small for the
/// name gives the name alone.
pub fn body(id: MessageId, size: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(size.max(32));
    // Writing into memory cannot fail.
    let _ = writeln!(bytes, "{id}");
    let filler = filler(id);
    bytes.extend((bytes.len()..size).map(|at| filler.wrapping_add(at as u8)));
    bytes.into()
}

/// The name of the message that a body belongs to, if every byte of it is as [`body`] made it.
pub fn check_body(bytes: &[u8]) -> Option<MessageId> {
    let end = bytes.iter().take(32).position(|&byte| byte == b'\n')?;
    let id: MessageId = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    let filler = filler(id);
    let rest = &bytes[end + 1..];
    let differs = |(at, &byte): (usize, &u8)| byte ^ filler.wrapping_add((end + 1 + at) as u8);
    // Without a way out in the middle the compiler takes many bytes at a time.
    let wrong = rest.iter().enumerate().map(differs).fold(0, |wrong, byte| wrong | byte);
    (wrong == 0).then_some(id)
}

/// Where the filler of a message starts in the cycle of byte values. All values occur in a body of
/// more than 256 bytes, NUL and newline among them.
fn filler(id: MessageId) -> u8 {
    (id.producer.wrapping_mul(31) ^ id.sequence.wrapping_mul(167)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_message_and_shows_any_change() {
        let id = MessageId { producer: 3, sequence: 17 };
        for size in [0, 6, 7, 300] {
            let good = body(id, size);
            assert_eq!(good.len(), size.max("p3-17\n".len()));
            assert_eq!(check_body(&good), Some(id));
            for at in 0..good.len() {
                let mut bad = good.to_vec();
                bad[at] ^= 0x10;
                assert_ne!(check_body(&bad), Some(id), "byte {at} of {size} was changed");
            }
        }
        assert_eq!(check_body(b"something else"), None);
    }
}
