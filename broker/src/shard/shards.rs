//! The shards that a node runs. One that is damaged joins when its repair begins.

use std::{collections::BTreeMap, sync::RwLock};

use super::Shard;

/// Shards by slot.
#[derive(Debug, Default)]
pub struct Shards {
    by_slot: RwLock<BTreeMap<u32, Shard>>,
}

impl Shards {
    /// The shard of a slot, if it runs here.
    pub fn get(&self, slot: u32) -> Option<Shard> {
        self.by_slot.read().expect("no holder panics").get(&slot).cloned()
    }

    /// All of them, in order of their slots.
    pub fn all(&self) -> Vec<Shard> {
        self.by_slot.read().expect("no holder panics").values().cloned().collect()
    }

    /// Adds a shard that has been started.
    pub(crate) fn insert(&self, shard: Shard) {
        self.by_slot.write().expect("no holder panics").insert(shard.slot(), shard);
    }
}
