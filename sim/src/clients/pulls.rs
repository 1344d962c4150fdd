//! The messages that a consumer without prefetch has asked for, one at a time.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How long it waits for a message, in milliseconds: one of these. For ever is 0, not at all is -1.
const TIMEOUTS: [i64; 4] = [0, -1, 200, 1_500];

/// By the number of the subscription.
#[derive(Debug, Default)]
pub struct Pulls(BTreeMap<usize, Pull>);

#[derive(Debug, Default)]
struct Pull {
    /// How often it has asked.
    asked: u32,
    /// What it held each time, taken together.
    held: u32,
    /// How many messages came.
    came: u32,
    /// Whether it waits.
    waits: bool,
}

impl Pulls {
    /// Asks for a message, unless one is awaited: how long it is waited for. The consumer has so many
    /// in hand.
    pub fn ask(&mut self, subscription: usize, held: u32, random: &mut ChaCha8Rng) -> Option<i64> {
        let pull = self.0.entry(subscription).or_default();
        if std::mem::replace(&mut pull.waits, true) {
            return None;
        }
        pull.asked += 1;
        pull.held += held;
        Some(TIMEOUTS[random.random_range(0..TIMEOUTS.len())])
    }

    /// A message came. An error says why it must not have. Another leader than the one that handed out
    /// what the consumer held does not know of that, and may send as much.
    pub fn came(&mut self, subscription: usize, leaders_changed: bool) -> Result<(), String> {
        let pull = self.0.entry(subscription).or_default();
        pull.waits = false;
        pull.came += 1;
        let allowed = pull.asked + if leaders_changed { pull.held } else { 0 };
        if pull.came > allowed {
            let came = pull.came;
            return Err(format!("{came} messages came for a consumer that asked for {allowed}"));
        }
        Ok(())
    }

    /// There is no message.
    pub fn nothing(&mut self, subscription: usize) {
        self.0.entry(subscription).or_default().waits = false;
    }

    /// The connection is gone.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn one_message_is_asked_for_at_a_time_and_no_more_may_come() {
        let (mut pulls, mut random) = (Pulls::default(), ChaCha8Rng::seed_from_u64(1));
        assert!(pulls.ask(0, 0, &mut random).is_some());
        assert_eq!(pulls.ask(0, 0, &mut random), None);
        pulls.nothing(0);
        assert!(pulls.ask(0, 0, &mut random).is_some());
        assert!(pulls.ask(1, 0, &mut random).is_some());
        for right in [true, true, false] {
            assert_eq!(pulls.came(0, true).is_ok(), right, "of two that were asked for");
        }
        pulls.ask(0, 1, &mut random);
        assert!(pulls.came(0, false).is_err(), "the fourth of three");
        pulls.ask(0, 1, &mut random);
        assert!(pulls.came(0, true).is_ok(), "what was in hand may come again");
        assert!(pulls.came(0, true).is_ok());
        assert!(pulls.came(0, true).is_err(), "the seventh of four, and two in hand");
    }
}
