//! Message selectors: conditions over a message's headers and properties, by which a consumer says
//! which messages it wants (JMS 2.0, section 3.8).
//!
//! The language is the condition of SQL-92 as JMS narrows it: literals, identifiers, arithmetic,
//! comparison, `BETWEEN`, `IN`, `LIKE … ESCAPE`, `IS NULL`, `NOT`, `AND`, `OR`. A field that a message
//! does not have is null, what is computed of it is unknown, and a message is selected where the whole
//! is true. Beyond JMS it takes what ActiveMQ takes: `%` for the remainder, comments (`-- …` to the
//! end of the line and `/* … */`), the identifiers `JMSRedelivered`, `JMSXDeliveryCount`,
//! `JMSExpiration` and `JMSReplyTo`, conditions compared with `TRUE` and `FALSE`, and a prefix:
//!
//! | prefix | text in comparisons and arithmetic |
//! |---|---|
//! | `convert_string_expressions:` | is read as a number beside numbers, as a truth value beside those |
//! | `no_convert_string_expressions:` or none | is text: never equal to a number |
//!
//! STOMP's headers are all text, so numeric selectors on them need the former.
//!
//! Where JMS leaves it open or ActiveMQ differs:
//!
//! - Values of different kinds are not equal and have no order: `=`, `<` and the like are false, `<>`
//!   is true (ActiveMQ: `<>` is `NOT =`).
//! - Exact numbers are computed as Java's `long`, which wraps; approximate ones, and a mix of both, as
//!   `double`. Where Java would throw (division by 0) or there is nothing to compute (text), the result
//!   is unknown.
//! - `NOT` binds weaker than comparison: `NOT a = 1` is `NOT (a = 1)`.
//!
//! A [`Selector`] is parsed once. Evaluating it allocates nothing.

mod evaluate;
mod expression;
mod fields;
mod lexer;
mod like;
mod parser;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use thiserror::Error;

use self::{expression::Expression, parser::Parser};
pub use self::{
    expression::{Header, Identifier},
    fields::Candidate,
};

/// The most bytes of a selector.
pub const MAX_LENGTH: usize = 16 << 10;

/// How deep parentheses and operators may be nested. `AND` and `OR` chains count as one.
pub const MAX_DEPTH: u32 = 32;

const CONVERT: &str = "convert_string_expressions:";
const NO_CONVERT: &str = "no_convert_string_expressions:";

/// A condition over a message. See the module's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    text: Arc<str>,
    condition: Expression,
    /// Whether text beside numbers and truth values is read as one of those.
    converts: bool,
    identifiers: Box<[Identifier]>,
}

/// What a message has of one header or property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// It has none, or one that no selector can speak of, as bytes are.
    Null,
    /// A truth value.
    Bool(bool),
    /// An exact number.
    Int(i64),
    /// An approximate number.
    Double(f64),
    /// Text.
    Text(&'a str),
}

/// What selectors are evaluated over.
pub trait Fields {
    /// The value of a header or property.
    fn field(&self, identifier: &Identifier) -> Field<'_>;
}

/// Why a text is not a selector. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// Longer than [`MAX_LENGTH`].
    #[error("it is {0} bytes long, and {MAX_LENGTH} are the most")]
    TooLong(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("at column {column} it is nested more than {MAX_DEPTH} deep")]
    TooDeep {
        /// Where.
        column: usize,
    },
    /// Something else would have to stand there.
    #[error("at column {column}: expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        column: usize,
        /// What would be right.
        expected: &'static str,
        /// What there is.
        found: String,
    },
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// If it is none, with the place and what was expected there.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectorError::TooLong(text.len()));
        }
        let (start, converts) = match (text.strip_prefix(CONVERT), text.strip_prefix(NO_CONVERT)) {
            (Some(_), _) => (CONVERT.len(), true),
            (None, Some(_)) => (NO_CONVERT.len(), false),
            (None, None) => (0, false),
        };
        let condition = Parser::new(text, start)?.condition()?;
        let mut identifiers = Vec::new();
        condition.visit_identifiers(&mut |identifier| {
            if !identifiers.contains(identifier) {
                identifiers.push(identifier.clone());
            }
        });
        Ok(Self { text: text.into(), condition, converts, identifiers: identifiers.into() })
    }

    /// As it was written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether it selects a message with these fields: neither false nor unknown.
    pub fn matches(&self, fields: &impl Fields) -> bool {
        evaluate::truth(&self.condition, fields, self.converts) == Some(true)
    }

    /// The headers and properties that it speaks of, each once.
    pub fn identifiers(&self) -> &[Identifier] {
        &self.identifiers
    }
}

/// Another way to write the same.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.converts {
            f.write_str(CONVERT)?;
        }
        self.condition.fmt(f)
    }
}
