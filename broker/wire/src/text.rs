//! A string that shares the buffer it was read from.

use std::{
    fmt,
    ops::{Deref, Range},
};

use bytes::Bytes;

/// Immutable UTF-8 text; cloning and slicing out of a received frame copy nothing.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Bytes);

impl Text {
    /// The bytes as text, or `None` where they are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// A range of the bytes as text, or `None` where they are not UTF-8.
    pub(crate) fn from_utf8_in(bytes: &Bytes, range: Range<usize>) -> Option<Self> {
        std::str::from_utf8(&bytes[range.clone()]).is_ok().then(|| Self(bytes.slice(range)))
    }

    /// Text that is known at compile time.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }

    /// The same text in memory of its own, for what outlives the frame that it was read from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The same text without spaces and tabs around it, copying nothing.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let text = self.as_str();
        let trimmed = text.trim_matches([' ', '\t']);
        if trimmed.len() == text.len() {
            self.clone()
        } else {
            Self(self.0.slice_ref(trimmed.as_bytes()))
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
