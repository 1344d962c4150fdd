//! Events as those who listen see them.

use std::fmt;
use std::time::Duration;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An unsigned number.
    U64(u64),
    /// A signed number.
    I64(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Str(&'a str),
}

impl Value<'_> {
    /// The number, if the value is an unsigned one.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::U64(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::U64(number) => number.fmt(f),
            Value::I64(number) => number.fmt(f),
            Value::Bool(truth) => truth.fmt(f),
            Value::Str(text) => text.fmt(f),
        }
    }
}

macro_rules! value_from {
    ($($source:ty => $variant:ident as $target:ty),*) => {
        $(impl From<$source> for Value<'_> {
            fn from(value: $source) -> Self {
                Value::$variant(value as $target)
            }
        })*
    };
}
value_from!(u64 => U64 as u64, u32 => U64 as u64, u16 => U64 as u64, u8 => U64 as u64);
value_from!(usize => U64 as u64, i64 => I64 as i64, i32 => I64 as i64);

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Str(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Value::Str(value)
    }
}

/// One event as listeners see it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When: time since the process (natively) or the world (simulated) began.
    pub at: Duration,
    /// Which node emitted it; empty natively, where the process is the node.
    pub node: &'a str,
    /// How many times the node's process has been started, this start included; 0 natively.
    pub incarnation: u32,
    /// What happened.
    pub kind: &'a str,
    /// The event's fields in the order they were written.
    pub fields: &'a [(&'a str, Value<'a>)],
}

impl Event<'_> {
    /// The value of the field `name`, if the event has it.
    pub fn field(&self, name: &str) -> Option<Value<'_>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} {}#{} {}", self.at.as_secs_f64(), self.node, self.incarnation, self.kind)?;
        for (name, value) in self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}
