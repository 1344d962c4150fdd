//! The patterns of `LIKE`: `_` stands for any character, `%` for any number of them, and behind the
//! escape character either stands for itself.

use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Character(char),
    One,
    Many,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Arc<str>,
    escape: Option<char>,
    pieces: Box<[Piece]>,
}

impl Pattern {
    /// An escape character that nothing follows which it could escape stands for itself, as in
    /// ActiveMQ.
    pub(super) fn new(text: Arc<str>, escape: Option<char>) -> Self {
        let mut pieces = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let escaped =
                || characters.next_if(|next| matches!(next, '_' | '%') || Some(*next) == escape);
            let escaped = (Some(character) == escape).then(escaped).flatten();
            pieces.push(match (escaped, character) {
                (Some(escaped), _) => Piece::Character(escaped),
                (None, '_') if escape != Some('_') => Piece::One,
                (None, '%') if escape != Some('%') => Piece::Many,
                (None, character) => Piece::Character(character),
            });
        }
        Self { text, escape, pieces: pieces.into() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn escape(&self) -> Option<char> {
        self.escape
    }

    /// Whether it covers all of a text. When what follows the last `%` does not fit, that one takes
    /// a character more; those before it need not be tried again.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        // Where to go on if it does not fit: behind the last `%`, and in which rest.
        let mut retry = None;
        loop {
            match self.pieces.get(at) {
                Some(Piece::Many) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                Some(piece) => {
                    let Some(next) = rest.next() else { return false };
                    if *piece == Piece::One || *piece == Piece::Character(next) {
                        at += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (at, rest) = (*behind, from.clone());
        }
    }
}
