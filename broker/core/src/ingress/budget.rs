//! How much may wait for shards, over all clients of a node.
//!
//! What a client has sent must be kept until its shard has answered, and a shard without a majority
//! does not answer. So what waits is bounded, in bytes: connections are read less the more waits,
//! and what still comes is refused. A shard without a leader may take as much as it leaves free, so
//! that one of them leaves half to the others, and two a third (dynamic thresholds after Choudhury
//! and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).

use thiserror::Error;

/// A connection with more than this under way is not read.
const MAX_CONNECTION_BYTES: usize = 4 << 20;

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most bytes that may wait.
    pub limit: usize,
    /// Bytes that wait.
    pub used: usize,
}

/// Why a shard's client takes no further message now. Nothing was done, and trying later may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Full {
    /// A shard without a leader has taken its share.
    #[error("the shard has no leader, and {bytes} bytes wait for one already; try again later")]
    WithoutLeader {
        /// What waits for it.
        bytes: usize,
    },
    /// All of it is in use.
    #[error("{used} bytes of the {limit} allowed wait for shards of this node; try again later")]
    Node {
        /// What waits.
        used: usize,
        /// [`Budget::limit`].
        limit: usize,
    },
}

impl Budget {
    fn free(self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Whether so many `bytes` more may wait for a shard for which `waiting` bytes do.
    ///
    /// # Errors
    /// If they may not.
    pub(super) fn admit(self, waiting: usize, bytes: usize, has_leader: bool) -> Result<(), Full> {
        if bytes > self.free() {
            return Err(Full::Node { used: self.used, limit: self.limit });
        }
        if !has_leader && waiting + bytes > self.free() {
            return Err(Full::WithoutLeader { bytes: waiting });
        }
        Ok(())
    }

    /// Whether a connection with so many bytes under way may be read.
    pub(super) fn may_read(self, under_way: usize) -> bool {
        under_way == 0 || under_way <= MAX_CONNECTION_BYTES.min(self.free() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(used: usize) -> Budget {
        Budget { limit: 1_000, used }
    }

    #[test]
    fn a_shard_without_a_leader_leaves_as_much_free_as_it_takes() {
        assert_eq!(budget(0).admit(0, 1_000, false), Ok(()));
        assert_eq!(budget(400).admit(400, 100, false), Ok(()));
        assert_eq!(
            budget(500).admit(500, 1, false),
            Err(Full::WithoutLeader { bytes: 500 }),
            "the other half is for others"
        );
        assert_eq!(budget(500).admit(0, 500, false), Ok(()));
        assert_eq!(budget(500).admit(500, 500, true), Ok(()), "a leader works it off");
    }

    #[test]
    fn all_shards_together_keep_to_the_limit() {
        let full = Full::Node { used: 900, limit: 1_000 };
        assert_eq!(budget(900).admit(0, 101, true), Err(full));
        assert_eq!(budget(2_000).admit(0, 0, true), Ok(()), "what weighs nothing");
    }

    #[test]
    fn a_connection_is_read_less_the_more_waits() {
        assert!(budget(0).may_read(500));
        assert!(!budget(200).may_read(500));
        assert!(budget(1_000).may_read(0), "one that waits for nothing is always read");
        let large = Budget { limit: 1 << 30, used: 0 };
        assert!(large.may_read(MAX_CONNECTION_BYTES));
        assert!(!large.may_read(MAX_CONNECTION_BYTES + 1));
    }
}
