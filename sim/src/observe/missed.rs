//! Which shards had most to do with an expectation that was missed, and who led them at the end.

use std::{collections::BTreeMap, time::Duration};

use paceline_scenario::units::TimeBound;

use super::{
    Outcome,
    waiting::{Leaders, slot_of},
};
use crate::workload::{ids::DestinationId, operation::Reply};

/// The most shards that are told.
const TOLD: usize = 8;

/// What is told of a shard, and how much of the whole it is.
type Told = BTreeMap<usize, (u64, String)>;

/// Acknowledged messages that are nowhere.
pub fn lost(outcome: &Outcome) -> Vec<String> {
    let mut lost: BTreeMap<usize, u64> = BTreeMap::new();
    for id in outcome.end.lost(&outcome.history) {
        let publish = outcome.history.publish(id).expect("it was sent");
        *lost.entry(slot(outcome, publish.destination)).or_default() += 1;
    }
    let told = lost
        .into_iter()
        .map(|(slot, count)| (slot, (count, format!("{count} acknowledged messages are nowhere"))));
    lines(outcome, told.collect())
}

/// Acknowledged messages that were not delivered before the others.
pub fn delivered(outcome: &Outcome) -> Vec<String> {
    let mut counts: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (id, publish) in outcome.history.all_publishes().filter(|(_, it)| it.is_acknowledged()) {
        let (delivered, all) = counts.entry(slot(outcome, publish.destination)).or_default();
        *all += 1;
        *delivered += u64::from(outcome.history.delivered.contains_key(&id));
    }
    let told = counts.into_iter().map(|(slot, (delivered, all))| {
        (slot, (all - delivered, format!("{delivered} of {all} acknowledged messages delivered")))
    });
    lines(outcome, told.collect())
}

/// Publishes whose receipt came too late.
pub fn published_late(outcome: &Outcome, bound: TimeBound) -> Vec<String> {
    let publishes =
        outcome.history.all_publishes().filter_map(|(_, publish)| match publish.reply {
            Some((at, Reply::Ok)) => Some((publish.destination, at.saturating_sub(publish.sent))),
            _ => None,
        });
    late(outcome, bound, publishes)
}

/// First deliveries that came too late.
pub fn delivered_late(outcome: &Outcome, bound: TimeBound) -> Vec<String> {
    let first = outcome.history.deliveries.iter().filter(|delivery| !delivery.redelivered);
    let deliveries = first.filter_map(|delivery| {
        let publish = outcome.history.publish(delivery.id)?;
        Some((publish.destination, delivery.at.saturating_sub(publish.sent)))
    });
    late(outcome, bound, deliveries)
}

fn late(
    outcome: &Outcome,
    bound: TimeBound,
    took: impl Iterator<Item = (DestinationId, Duration)>,
) -> Vec<String> {
    let mut counts: BTreeMap<usize, (u64, u64, Duration)> = BTreeMap::new();
    for (destination, took) in took {
        let (late, all, longest) = counts.entry(slot(outcome, destination)).or_default();
        *all += 1;
        *late += u64::from(!bound.holds(took));
        *longest = took.max(*longest);
    }
    let told = counts.into_iter().filter(|(_, (late, ..))| *late > 0);
    let told = told.map(|(slot, (late, all, longest))| {
        let longest = longest.as_secs_f64() * 1e3;
        (
            slot,
            (late, format!("{late} of {all} were not {bound}, the longest took {longest:.1} ms")),
        )
    });
    lines(outcome, told.collect())
}

/// The shards of the node that bore most.
pub fn peak(outcome: &Outcome) -> Vec<String> {
    let busiest = outcome.loads.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let Some((busiest, most)) = busiest else { return Vec::new() };
    let total: f64 = outcome.loads.iter().sum();
    let mut passed: BTreeMap<usize, u64> = BTreeMap::new();
    let published = outcome.history.all_publishes().filter(|(_, it)| it.is_acknowledged());
    let delivered = outcome.history.deliveries.iter().filter_map(|it| it.destination);
    for destination in published.map(|(_, it)| it.destination).chain(delivered) {
        *passed.entry(slot(outcome, destination)).or_default() += 1;
    }
    let is_its_own = |slot: usize| match outcome.serving[slot] {
        Some(node) => node as usize == busiest,
        None => outcome.rows[slot][0] as usize == busiest,
    };
    let told = passed
        .into_iter()
        .filter(|(slot, _)| is_its_own(*slot))
        .map(|(slot, count)| (slot, (count, format!("{count} messages in and out"))));
    let head = format!("n{} bore the most, {most} of {total} messages in and out", busiest + 1);
    std::iter::once(head).chain(lines(outcome, told.collect())).collect()
}

/// Messages that were served by another node than expected: the first of the row if `exact`,
/// otherwise any of the row.
pub fn misplaced(outcome: &Outcome, exact: bool) -> Vec<String> {
    let misplaced = outcome.placed.iter().enumerate().map(|(slot, &[first, row, elsewhere])| {
        let words = format!(
            "{first} messages from the first node of its row, {row} from another, {elsewhere} \
             from elsewhere"
        );
        (slot, (if exact { row + elsewhere } else { elsewhere }, words))
    });
    lines(outcome, misplaced.filter(|(_, (count, _))| *count > 0).collect())
}

fn slot(outcome: &Outcome, destination: DestinationId) -> usize {
    outcome.shards[destination.0 as usize]
}

/// One line a shard, those with the largest part first.
fn lines(outcome: &Outcome, told: Told) -> Vec<String> {
    let mut told: Vec<(usize, u64, String)> =
        told.into_iter().map(|(slot, (count, words))| (slot, count, words)).collect();
    told.sort_by_key(|(slot, count, _)| (std::cmp::Reverse(*count), *slot));
    let rest = told.split_off(told.len().min(TOLD)).len();
    let mut lines: Vec<String> = told
        .into_iter()
        .map(|(slot, _, words)| {
            let shard = slot_of(slot, &outcome.rows[slot]);
            format!("{shard}: {}; {words}", led(outcome, slot))
        })
        .collect();
    if rest > 0 {
        lines.push(format!("and {rest} more slots"));
    }
    lines
}

/// Who leads the shard at the end: as its nodes said when they were asked, or, in a run that ended
/// before that, as its leader did.
fn led(outcome: &Outcome, slot: usize) -> String {
    let serving = outcome.serving[slot];
    if outcome.end.replicas.is_empty() {
        return serving.map_or_else(
            || "no node served it at the end".to_owned(),
            |node| format!("served by n{} at the end", node + 1),
        );
    }
    Leaders::of(&outcome.end.replicas, slot).in_words(serving)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        End, Replica,
        testing::{QUEUE, TOPIC, Told},
    };

    /// A queue in slot 0, led by n1, and a topic in slot 1, led by n2.
    fn outcome(told: Told) -> Outcome {
        let replica = |node, shard, leader| Replica {
            node,
            shard,
            leader: Some(leader),
            ..Replica::default()
        };
        let replicas = vec![replica(0, 0, 0), replica(1, 0, 0), replica(0, 1, 1), replica(1, 1, 1)];
        Outcome {
            history: told.history,
            rows: vec![vec![0, 1], vec![1, 0]],
            shards: vec![0, 1],
            serving: vec![Some(0), Some(1)],
            placed: vec![[4, 0, 0], [1, 2, 0]],
            loads: vec![4.0, 9.0],
            end: End { replicas, drained: true, ..End::default() },
            ..Outcome::default()
        }
    }

    #[test]
    fn the_shards_that_miss_an_expectation_are_named_with_their_leaders() {
        let mut told = Told::new();
        told.publish(QUEUE);
        let delivered_one = told.publish(TOPIC);
        told.deliver(delivered_one, false);
        let outcome = outcome(told);
        assert_eq!(
            lost(&outcome),
            ["slot 0 on n1 n2: led by n1; 1 acknowledged messages are nowhere"]
        );
        assert_eq!(
            delivered(&outcome),
            [
                "slot 0 on n1 n2: led by n1; 0 of 1 acknowledged messages delivered",
                "slot 1 on n2 n1: led by n2; 1 of 1 acknowledged messages delivered",
            ]
        );
        let bound: TimeBound = "<= 500us".parse().unwrap();
        assert_eq!(
            delivered_late(&outcome, bound),
            ["slot 1 on n2 n1: led by n2; 1 of 1 were not <= 500us, the longest took 2.0 ms"]
        );
        assert_eq!(published_late(&outcome, bound).len(), 2);
        assert_eq!(
            peak(&outcome),
            [
                "n2 bore the most, 9 of 13 messages in and out",
                "slot 1 on n2 n1: led by n2; 2 messages in and out",
            ]
        );
        assert_eq!(misplaced(&outcome, false), Vec::<String>::new());
        assert!(misplaced(&outcome, true)[0].starts_with("slot 1 on n2 n1: led by n2; 1 messages"));
    }

    #[test]
    fn without_an_answer_the_last_that_served_is_named() {
        let mut told = Told::new();
        told.publish(QUEUE);
        let mut outcome = outcome(told);
        outcome.end.replicas.clear();
        assert!(lost(&outcome)[0].contains("served by n1 at the end;"));
        outcome.serving[0] = None;
        assert!(lost(&outcome)[0].contains("no node served it at the end;"));
    }
}
