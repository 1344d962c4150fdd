//! A node.
pub mod protocol;
