//! Where destinations live: hash functions, nodes, strategies and the tables they make.
//!
//! The way from a name to the nodes that hold it has two steps, and both are plain functions of
//! their arguments. [`NameHasher`] turns the bytes of a name into a 64-bit key, and a [`Strategy`]
//! turns a key into an ordered row of distinct nodes. A broker does not place single names: it
//! cuts the keys into slots (`slot(x) = H(x ⊕ s) mod p`, see [`SlotCount`]) and places each slot,
//! which gives a [`Placement`].
//!
//! The crate knows no clock, no entropy, no files and no sockets, and its results are the same on
//! every machine and with every compiler: golden vectors in the tests pin them to the byte.

#![forbid(unsafe_code)]

mod error;
mod hash;
mod hash_salted;
mod kind;
mod mix;
mod node;
mod placement;
mod row;
mod slot;
mod split;
pub mod strategies;
mod strategy;
pub mod theory;

pub use error::PlacementError;
pub use hash::{HashFunction, NameHasher, UnknownHashFunction};
pub use kind::{Parameters, StrategyKind};
pub use node::{Node, NodeIndex, NodeState, Nodes};
pub use placement::{Epoch, Placement};
pub use slot::{SlotCount, SlotId};
pub use split::Split;
pub use strategy::Strategy;
