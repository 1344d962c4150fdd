//! Whom this node has refused as a peer, for the log and for `status`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use paceline_runtime::time::{Duration, Instant};

/// Who is refused over and over is warned of so often, and forgotten as long after the last time.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The most that are remembered.
const MOST: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// By address, and name if it is known.
    refused: Mutex<BTreeMap<String, Refused>>,
}

#[derive(Debug)]
struct Refused {
    reason: String,
    at: Instant,
    warned: Instant,
}

impl Refusals {
    /// Somebody was refused. Whether to warn of it.
    pub(super) fn note(&self, who: &str, reason: String, now: Instant) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|_, it| now < it.at + WARN_EVERY);
        if let Some(known) = refused.get_mut(who) {
            let warns = now >= known.warned + WARN_EVERY || known.reason != reason;
            let warned = if warns { now } else { known.warned };
            *known = Refused { reason, at: now, warned };
            return warns;
        }
        if refused.len() < MOST {
            refused.insert(who.to_owned(), Refused { reason, at: now, warned: now });
        }
        true
    }

    /// It is a peer after all.
    pub(super) fn clear(&self, who: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }

    /// Who was refused lately, and why.
    pub(super) fn recent(&self) -> Vec<(String, String)> {
        let now = Instant::now();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = refused.iter().filter(|(_, it)| now < it.at + WARN_EVERY);
        recent.map(|(who, it)| (who.clone(), it.reason.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_warned_of_once_a_minute() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let note =
            |who, second| refusals.note(who, "why".into(), start + Duration::from_secs(second));
        assert!(note("a", 0));
        assert!((1..60).all(|second| !note("a", second)));
        assert!(note("b", 59), "that is another one");
        assert!(note("a", 60));
        assert!(!note("a", 61));
        refusals.clear("a");
        assert_eq!(refusals.recent(), [("b".to_owned(), "why".to_owned())]);
    }

    #[test]
    fn so_many_are_remembered() {
        let refusals = Refusals::default();
        for number in 0..2 * MOST {
            refusals.note(&number.to_string(), String::new(), Instant::now());
        }
        assert_eq!(refusals.recent().len(), MOST);
    }
}
