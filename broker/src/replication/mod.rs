//! The replicas of a node, and the one task that drives them.
//!
//! [`Driver`] joins the three values of each shard, which do not know each other: its part in the
//! consensus ([`paceline_consensus::Replica`]), the state
//! ([`ShardState`](paceline_core::shard::ShardState)) and the service of its clients while the
//! replica leads ([`Serving`](paceline_core::serving::Serving)).

pub mod channel;
mod driver;
pub mod encoding;
mod group;
mod input;
mod memory;
mod pace;
mod parts;
pub mod protocol;
mod recent;
mod saved;
mod sending;
mod shards;
mod snapshot;
pub mod status;
pub mod storage;
mod streams;
mod told;
mod turn;
mod words;
mod writes;

pub use driver::Driver;
pub use input::Input;
pub use memory::Memory;
pub use pace::Pace;
pub use parts::{Parts, Settings};
pub use recent::Recent;
pub use shards::{Leadership, Shards};
pub use status::{Holders, Voters};
pub use streams::{OpenChannel, OpenStream};
pub use told::Traced;
pub use words::GroupWord;
