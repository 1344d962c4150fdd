//! How long things take at the most.

use std::time::Duration;

use paceline::link::Timings;
use paceline_scenario::Scenario;

use crate::{
    check::Margins,
    clients::client::{HEART_BEAT_EVERY, SILENCE},
};

/// How long a node may take to say whether it leads a shard; the router's own limit.
const LEADER_ANSWERS: Duration = Duration::from_secs(2);

/// How long things take in a run while nothing is wrong, by the nodes' own limits.
pub(super) fn of(scenario: &Scenario) -> Margins {
    let config = scenario.node_config("n1").expect("validated: the node accepts it");
    let (link, replication) = (Timings::default(), config.replication);
    // What is asked in vain, and paused after, before the next is asked.
    let found = LEADER_ANSWERS + Duration::from_secs(1);
    let slow = scenario.network.latency.p99.0 * 10;
    let linked = link.silent_after + link.connect.max(replication.connect_timeout);
    Margins {
        healed: linked + link.redial_at_most + replication.election_max + found + slow,
        known: found + slow,
        delivered: Duration::from_secs(1) + slow,
        flight: Duration::from_millis(100) + slow,
        noticed: SILENCE + slow,
        given_up: config.stomp.heart_beat_expect.max(HEART_BEAT_EVERY) * 2 + slow,
    }
}
