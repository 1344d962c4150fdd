//! What is wrong with a configuration, and where.

use std::{fmt, ops::Range};

/// A configuration that was refused. Shows as `FILE:LINE:COLUMN: REASON` and the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    place: Option<Place>,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    text: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}: {}", self.file, self.reason),
            Some(Place { line, column, text }) => {
                writeln!(f, "{}:{line}:{column}: {}", self.file, self.reason)?;
                writeln!(f, "  |  {text}")?;
                write!(f, "  |  {:>column$}", "^")
            }
        }
    }
}

impl ConfigError {
    /// A file that could not even be read.
    pub fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self { file: file.into(), place: None, reason: format!("cannot be read: {error}") }
    }

    pub(super) fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        Self {
            file: file.into(),
            place: error.span().map(|span| Place::of(text, span)),
            reason: error.message().trim_end().replace('\n', "; "),
        }
    }

    /// At the value of `key`, or at the last of its parts that stands in the text.
    pub(super) fn at_key(file: &str, text: &str, key: &str, reason: String) -> Self {
        Self {
            file: file.into(),
            place: locate(text, key).map(|span| Place::of(text, span)),
            reason: format!("{key}: {reason}"),
        }
    }
}

impl Place {
    fn of(text: &str, span: Range<usize>) -> Self {
        let before = &text[..span.start.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            text: text[line_start..].lines().next().unwrap_or("").into(),
        }
    }
}

fn locate(text: &str, key: &str) -> Option<Range<usize>> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let mut parts = key.split('.');
    let mut value = table.get_ref().get(parts.next()?)?;
    for part in parts {
        let within = match value.get_ref() {
            toml::de::DeValue::Table(table) => table.get(part),
            toml::de::DeValue::Array(array) => {
                part.parse::<usize>().ok().and_then(|at| array.get(at))
            }
            _ => None,
        };
        match within {
            Some(within) => value = within,
            None => break,
        }
    }
    Some(value.span())
}
