//! The tree of a selector, and how it is written.

use std::{fmt, sync::Arc};

use super::like::Pattern;

/// A header of a message that selectors know by JMS's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `PERSISTENT` or `NON_PERSISTENT`.
    DeliveryMode,
    /// 0 to 9.
    Priority,
    /// The message's id.
    MessageId,
    /// Milliseconds since 1970.
    Timestamp,
    /// The correlation id.
    CorrelationId,
    /// The JMS type.
    Type,
    /// Milliseconds since 1970; 0 for never.
    Expiration,
    /// The destination for replies, as the sender wrote it.
    ReplyTo,
    /// Whether it may have been delivered before.
    Redelivered,
    /// Which delivery of the message the next one is, from 1 on.
    DeliveryCount,
}

const HEADERS: [(&str, Header); 10] = [
    ("JMSDeliveryMode", Header::DeliveryMode),
    ("JMSPriority", Header::Priority),
    ("JMSMessageID", Header::MessageId),
    ("JMSTimestamp", Header::Timestamp),
    ("JMSCorrelationID", Header::CorrelationId),
    ("JMSType", Header::Type),
    ("JMSExpiration", Header::Expiration),
    ("JMSReplyTo", Header::ReplyTo),
    ("JMSRedelivered", Header::Redelivered),
    ("JMSXDeliveryCount", Header::DeliveryCount),
];

/// What names a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// A header.
    Header(Header),
    /// A property, by its name in the sender's case.
    Property(Arc<str>),
}

impl Identifier {
    pub(super) fn new(name: &str) -> Self {
        let header = HEADERS.iter().find(|(known, _)| *known == name);
        header.map_or_else(|| Self::Property(name.into()), |(_, header)| Self::Header(*header))
    }

    /// As it is written in a selector.
    pub fn name(&self) -> &str {
        match self {
            Identifier::Property(name) => name,
            Identifier::Header(header) => {
                let row = HEADERS.iter().find(|(_, known)| known == header);
                row.expect("every header has a row").0
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Literal),
    Identifier(Identifier),
    Negative(Box<Expression>),
    Arithmetic {
        how: Arithmetic,
        sides: Box<[Expression; 2]>,
    },
    Comparison {
        how: Comparison,
        sides: Box<[Expression; 2]>,
    },
    /// Whether the first is between the two others, or not.
    Between {
        is: bool,
        parts: Box<[Expression; 3]>,
    },
    In {
        is: bool,
        what: Identifier,
        texts: Box<[Arc<str>]>,
    },
    Like {
        is: bool,
        what: Identifier,
        pattern: Box<Pattern>,
    },
    Null {
        is: bool,
        what: Identifier,
    },
    Not(Box<Expression>),
    /// Two or more.
    And(Vec<Expression>),
    /// Two or more.
    Or(Vec<Expression>),
}

/// What an expression may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Truth,
    /// A field: whatever the message has.
    Any,
}

impl Expression {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Expression::Identifier(_) => Kind::Any,
            Expression::Literal(Literal::Text(_)) => Kind::Text,
            Expression::Literal(Literal::Int(_) | Literal::Double(_))
            | Expression::Negative(_)
            | Expression::Arithmetic { .. } => Kind::Number,
            Expression::Literal(Literal::Bool(_))
            | Expression::Comparison { .. }
            | Expression::Between { .. }
            | Expression::In { .. }
            | Expression::Like { .. }
            | Expression::Null { .. }
            | Expression::Not(_)
            | Expression::And(_)
            | Expression::Or(_) => Kind::Truth,
        }
    }

    pub(super) fn visit_identifiers(&self, visit: &mut impl FnMut(&Identifier)) {
        match self {
            Expression::Literal(_) => {}
            Expression::Identifier(what)
            | Expression::In { what, .. }
            | Expression::Like { what, .. }
            | Expression::Null { what, .. } => visit(what),
            Expression::Negative(inner) | Expression::Not(inner) => inner.visit_identifiers(visit),
            Expression::Arithmetic { sides, .. } | Expression::Comparison { sides, .. } => {
                sides.iter().for_each(|side| side.visit_identifiers(visit));
            }
            Expression::Between { parts, .. } => {
                parts.iter().for_each(|part| part.visit_identifiers(visit));
            }
            Expression::And(all) | Expression::Or(all) => {
                all.iter().for_each(|one| one.visit_identifiers(visit));
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Literal(literal) => literal.fmt(f),
            Expression::Identifier(identifier) => f.write_str(identifier.name()),
            Expression::Negative(inner) => write!(f, "-({inner})"),
            Expression::Arithmetic { how, sides } => {
                let [left, right] = &**sides;
                write!(f, "{} {} {}", Operand(left), how.symbol(), Operand(right))
            }
            Expression::Comparison { how, sides } => {
                let [left, right] = &**sides;
                write!(f, "{} {} {}", Operand(left), how.symbol(), Operand(right))
            }
            Expression::Between { is, parts } => {
                let [what, low, high] = &**parts;
                write!(f, "{}{} BETWEEN ", Operand(what), not(*is))?;
                write!(f, "{} AND {}", Operand(low), Operand(high))
            }
            Expression::In { is, what, texts } => {
                write!(f, "{}{} IN (", what.name(), not(*is))?;
                for (number, text) in texts.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", Quoted(text))?;
                }
                f.write_str(")")
            }
            Expression::Like { is, what, pattern } => {
                write!(f, "{}{} LIKE {}", what.name(), not(*is), Quoted(pattern.text()))?;
                let escape = pattern.escape().map(String::from);
                escape.map_or(Ok(()), |escape| write!(f, " ESCAPE {}", Quoted(&escape)))
            }
            Expression::Null { is, what } => write!(f, "{} IS{} NULL", what.name(), not(*is)),
            Expression::Not(inner) => write!(f, "NOT {}", Operand(inner)),
            Expression::And(all) => chain(f, all, " AND "),
            Expression::Or(all) => chain(f, all, " OR "),
        }
    }
}

fn not(is: bool) -> &'static str {
    if is { "" } else { " NOT" }
}

fn chain(f: &mut fmt::Formatter<'_>, all: &[Expression], between: &str) -> fmt::Result {
    for (number, one) in all.iter().enumerate() {
        let between = if number == 0 { "" } else { between };
        write!(f, "{between}{}", Operand(one))?;
    }
    Ok(())
}

/// In parentheses, unless it is one word.
struct Operand<'a>(&'a Expression);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expression::Literal(_) | Expression::Identifier(_) => self.0.fmt(f),
            _ => write!(f, "({})", self.0),
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(true) => f.write_str("TRUE"),
            Literal::Bool(false) => f.write_str("FALSE"),
            Literal::Int(number) => number.fmt(f),
            // With a point or an exponent, always.
            Literal::Double(number) => write!(f, "{number:?}"),
            Literal::Text(text) => Quoted(text).fmt(f),
        }
    }
}

impl Arithmetic {
    fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}
