//! How long things take at the most.

use std::time::Duration;

use paceline::{config::NodeConfig, link::Timings};
use paceline_scenario::Scenario;

use crate::{
    check::Margins,
    clients::dialogue::{HEART_BEAT_EVERY, SILENCE},
};

/// How long a node may take to say whether it leads a shard; the router's own limit.
const LEADER_ANSWERS: Duration = Duration::from_secs(2);

/// How long things take in a run while nothing is wrong, by the nodes' own limits.
pub(super) fn of(scenario: &Scenario) -> Margins {
    let settings = scenario.all_settings().expect("validated: the nodes accept them");
    let longest =
        |of: fn(&NodeConfig) -> Duration| settings.iter().map(of).max().unwrap_or_default();
    let connect = longest(|config| config.replication.connect_timeout);
    let election = longest(|config| config.replication.election_max);
    let heart_beat = longest(|config| config.stomp.heart_beat_expect);
    let link = Timings::default();
    // What is asked in vain, and paused after, before the next is asked.
    let found = LEADER_ANSWERS + Duration::from_secs(1);
    let slow = scenario.network.latency.p99.0 * 10;
    let linked = link.silent_after + link.connect.max(connect);
    Margins {
        healed: linked + link.redial_at_most + election + found + slow,
        known: found + slow,
        delivered: Duration::from_secs(1) + slow,
        flight: Duration::from_millis(100) + slow,
        noticed: SILENCE + slow,
        given_up: heart_beat.max(HEART_BEAT_EVERY) * 2 + slow,
    }
}
