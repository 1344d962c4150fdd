//! What a check found, and which messages it is about.

use std::fmt;

use super::step::Subject;

/// What is wrong, and about what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In one sentence.
    pub detail: String,
    /// The messages that it names.
    pub about: Vec<Subject>,
}

impl Found {
    /// Something about these messages.
    pub fn about(detail: String, messages: impl IntoIterator<Item = impl Into<Subject>>) -> Self {
        Self { detail, about: messages.into_iter().map(Into::into).collect() }
    }
}

impl From<String> for Found {
    fn from(detail: String) -> Self {
        Self { detail, about: Vec::new() }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
