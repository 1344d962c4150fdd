//! A selector's words.

use std::sync::Arc;

use super::SelectorError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A reserved word, in capitals.
    Keyword(&'static str),
    Name(&'a str),
    /// The size of an exact number. Its sign is an operator.
    Int(u64),
    Double(f64),
    Text(Arc<str>),
    Symbol(&'static str),
    End,
}

/// Reserved in any case. The last two are ActiveMQ's, which reads bodies by them.
const KEYWORDS: [&str; 13] = [
    "NOT", "AND", "OR", "BETWEEN", "LIKE", "ESCAPE", "IN", "IS", "TRUE", "FALSE", "NULL", "XPATH",
    "XQUERY",
];

/// The longer of two that begin alike first.
const SYMBOLS: [&str; 14] =
    ["<>", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ","];

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Of what stands in `text` from a byte on.
    pub(super) fn new(text: &'a str, start: usize) -> Self {
        Self { text, at: start }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// An error at a byte of the text.
    pub(super) fn unexpected(
        &self,
        at: usize,
        expected: &'static str,
        found: String,
    ) -> SelectorError {
        SelectorError::Unexpected { column: self.column(at), expected, found }
    }

    pub(super) fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    /// The next word, and the byte at which it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SelectorError> {
        self.skip_blanks()?;
        let at = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok((at, Token::End)) };
        let digits_follow =
            self.rest()[first.len_utf8()..].starts_with(|it: char| it.is_ascii_digit());
        let token = if first.is_ascii_digit() || first == '.' && digits_follow {
            self.number()?
        } else if first == '\'' {
            self.quoted()?
        } else if is_name_start(first) {
            let name = self.take_while(is_name_part);
            let keyword = KEYWORDS.iter().find(|known| known.eq_ignore_ascii_case(name));
            keyword.map_or(Token::Name(name), |known| Token::Keyword(known))
        } else if let Some(symbol) = SYMBOLS.iter().find(|it| self.rest().starts_with(**it)) {
            self.at += symbol.len();
            Token::Symbol(symbol)
        } else {
            let expected = "a literal, an identifier or an operator";
            return Err(self.unexpected(at, expected, format!("`{first}`")));
        };
        Ok((at, token))
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|it| !wanted(it)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) -> Result<(), SelectorError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("--") {
                self.take_while(|it| !matches!(it, '\n' | '\r'));
            } else if self.rest().starts_with("/*") {
                let Some(length) = self.rest()[2..].find("*/") else {
                    let (end, found) = (self.text.len(), "the end".into());
                    return Err(self.unexpected(end, "`*/`, the end of the comment", found));
                };
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn quoted(&mut self) -> Result<Token<'a>, SelectorError> {
        let mut text = String::new();
        loop {
            self.at += 1;
            text += self.take_while(|it| it != '\'');
            if self.rest().is_empty() {
                let expected = "`'`, the end of the text";
                return Err(self.unexpected(self.at, expected, "the end".into()));
            }
            self.at += 1;
            // Two stand for one of the text.
            if !self.rest().starts_with('\'') {
                return Ok(Token::Text(text.into()));
            }
            text.push('\'');
        }
    }

    /// By the syntax of Java's literals.
    fn number(&mut self) -> Result<Token<'a>, SelectorError> {
        let at = self.at;
        let is_digit = |it: char| it.is_ascii_digit();
        let expected = "a number that fits into 64 bits";
        let word = {
            let rest = self.rest();
            let length = rest.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(rest.len());
            &rest[..length]
        };
        let invalid = |lexer: &Self, expected| {
            let length = lexer.rest().find(|it: char| !is_name_part(it) && it != '.');
            let found = &lexer.rest()[..length.unwrap_or(lexer.rest().len())];
            Err(lexer.unexpected(at, expected, format!("`{found}`")))
        };
        if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            let Ok(number) = u64::from_str_radix(digits.trim_end_matches(['l', 'L']), 16) else {
                return invalid(self, expected);
            };
            self.at += word.len();
            return Ok(Token::Int(number));
        }
        let whole = self.take_while(is_digit);
        let has_point = self.rest().starts_with('.');
        if has_point {
            self.at += 1;
            self.take_while(is_digit);
        }
        let mut has_exponent = false;
        if self.rest().starts_with(['e', 'E']) {
            let sign = usize::from(self.rest()[1..].starts_with(['+', '-']));
            if self.rest()[1 + sign..].starts_with(is_digit) {
                has_exponent = true;
                self.at += 1 + sign;
                self.take_while(is_digit);
            }
        }
        let digits = &self.text[at..self.at];
        let suffix = self.take_while(is_name_part);
        let is_exact = !has_point && !has_exponent;
        let number = match suffix {
            "" | "l" | "L" if is_exact => match whole.strip_prefix('0').filter(|it| !it.is_empty())
            {
                Some(octal) => u64::from_str_radix(octal, 8).ok().map(Token::Int),
                None => whole.parse().ok().map(Token::Int),
            },
            "" | "d" | "D" | "f" | "F" => {
                let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Token::Double)
            }
            _ => None,
        };
        match number {
            Some(number) => Ok(number),
            None => {
                self.at = at;
                invalid(self, expected)
            }
        }
    }
}

impl Token<'_> {
    /// For an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Keyword(word) | Token::Symbol(word) => format!("`{word}`"),
            Token::Name(name) => format!("`{name}`"),
            Token::Int(number) => format!("`{number}`"),
            Token::Double(number) => format!("`{number:?}`"),
            Token::Text(text) => format!("'{text}'"),
            Token::End => "the end".into(),
        }
    }
}

/// As in Java: letters, `_` and `$`.
fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '$')
}

fn is_name_part(character: char) -> bool {
    is_name_start(character) || character.is_numeric()
}
