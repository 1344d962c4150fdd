//! Who gets which message: the leader's side of a shard, in memory only.

mod types;

pub use types::{
    AttachRefused, ConsumerKey, Delivery, Limits, MessageKey, SettleRefused, VolatileCounters,
    VolatileId, VolatileRefused,
};
