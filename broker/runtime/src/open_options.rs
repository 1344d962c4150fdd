//! How a file is opened, the same type on both sides of the seam.

/// How to open a [`File`](crate::disk::File); the meaning of each flag is that of [`std::fs::OpenOptions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Reading is allowed.
    pub read: bool,
    /// Writing is allowed.
    pub write: bool,
    /// A missing file is made.
    pub create: bool,
    /// The file is made, and must not have existed.
    pub create_new: bool,
    /// The file is emptied.
    pub truncate: bool,
}
