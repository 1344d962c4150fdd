//! The choice in words: what it is, why, and what to beware of.

use std::collections::BTreeSet;

use super::candidate::{Candidate, SIGNIFICANT, TIE, hash_info};

use crate::compare::result::CompareResult;

use crate::draw::text::{and, bytes, capitalised, count, number};

pub(super) fn sentence(
    result: &CompareResult,
    chosen: &Candidate,
    suspicious: &BTreeSet<&str>,
) -> String {
    let moves = match chosen.moved_ratio() {
        None => String::new(),
        Some(ratio) if ratio < 1.005 => {
            ", and a change of the cluster moves no more than it must".to_owned()
        }
        Some(ratio) => format!(", and a change of the cluster moves {ratio:.2} times what it must"),
    };
    let bound = match chosen.bound() {
        bound if bound > 1.0005 => {
            format!(" (no placement of whole destinations gets below {bound:.3})")
        }
        _ => String::new(),
    };
    let failover = chosen.failover.map_or(String::new(), |failover| {
        format!(", after the worst failure of one node {:.3} times", failover.peak)
    });
    let restart = match chosen.restart.map(|restart| restart.elsewhere) {
        None => String::new(),
        Some(0.0) => " A restart changes nothing.".to_owned(),
        Some(elsewhere) => format!(
            " A restarted process must read the table again: without it, {:.1} % of the load would \
             be elsewhere.",
            elsewhere * 100.0
        ),
    };
    let bad: Vec<String> = suspicious.iter().map(|hash| (*hash).to_owned()).collect();
    let hashes = if bad.is_empty() {
        String::new()
    } else {
        format!(" Do not use {}: the pattern of these names shows in the placement.", and(&bad))
    };
    format!(
        "Use {} with {}: of {} nodes the busiest carries {:.3} times its fair share{bound}{failover}{moves}.{restart}{hashes}",
        chosen.strategy,
        chosen.hash,
        count(result.focus.nodes),
        chosen.peak()
    )
}

pub(super) fn reasons(
    result: &CompareResult,
    chosen: &Candidate,
    all: &[Candidate],
    suspicious: &BTreeSet<&str>,
) -> Vec<String> {
    let mut reasons = vec![balance_reason(chosen, all)];
    if let Some(ratio) = chosen.moved_ratio() {
        let collateral = chosen.moves.iter().map(|cell| cell.collateral).fold(0.0, f64::max);
        let others: BTreeSet<&str> = all
            .iter()
            .filter(|c| {
                c.strategy != chosen.strategy && c.moved_ratio().is_some_and(|r| r > 1.5 * ratio)
            })
            .map(|c| c.strategy)
            .collect();
        let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
        let touch = if collateral == 0.0 {
            "nothing moves between nodes that the change does not touch".to_owned()
        } else {
            format!(
                "up to {:.2} % of the load moves between nodes that the change does not touch",
                collateral * 100.0
            )
        };
        let more = if others.is_empty() {
            String::new()
        } else {
            format!("; {} move over 1.5 times as much", and(&others))
        };
        reasons.push(format!(
            "Movement: {ratio:.3} times the least possible on average, and {touch}{more}."
        ));
    }
    reasons.extend(failover_reason(chosen, all));
    reasons.extend(restart_reason(chosen, all));
    if let Some(cost) = chosen.cost {
        let fastest = all
            .iter()
            .filter(|c| !c.baseline)
            .min_by(|a, b| a.lookup_ns().total_cmp(&b.lookup_ns()));
        let beside = match fastest {
            Some(f) if f.lookup_ns() < cost.lookup_ns * 0.95 => {
                format!(
                    "; the fastest, {} with {}, takes {} ns",
                    f.strategy,
                    f.hash,
                    number(f.lookup_ns())
                )
            }
            _ => ", the fastest of all".to_owned(),
        };
        reasons.push(format!(
            "Speed: a lookup from name to node takes {} ns at {} nodes, in {}{beside}.",
            number(cost.lookup_ns),
            count(cost.nodes),
            bytes(cost.bytes)
        ));
    }
    let bad: Vec<String> = suspicious.iter().map(|hash| (*hash).to_owned()).collect();
    if !bad.is_empty() {
        let verbs = if bad.len() == 1 { ("does", "is") } else { ("do", "are") };
        reasons.push(format!(
            "Hash: {} {} not behave like chance on these names, and {} left out. Too even is a \
             warning too: the pattern that evens these names out heaps others on one node.",
            and(&bad),
            verbs.0,
            verbs.1
        ));
    }
    if let Some(collisions) = hash_info(result, chosen.hash).and_then(|hash| hash.collisions) {
        reasons.push(format!(
            "Collisions: {} in {} names with {}, where chance gives {}.",
            count(collisions.measured),
            count(collisions.names),
            chosen.hash,
            number(collisions.expected)
        ));
    }
    reasons
}

/// What a failure gives, what theory expects of it, and who does worst.
fn failover_reason(chosen: &Candidate, all: &[Candidate]) -> Option<String> {
    let failover = chosen.failover?;
    let theory = failover.structural.zip(failover.expected).map_or(String::new(), |theory| {
        format!(
            " (its table alone gives {:.3}, with chance {:.3} is expected; {})",
            theory.0,
            theory.1,
            significance(failover.p_value)
        )
    });
    let others = all.iter().filter(|c| !c.baseline).filter_map(|c| Some((c.strategy, c.failover?)));
    let worst = others.max_by(|a, b| a.1.peak.total_cmp(&b.1.peak));
    let worst = worst.map_or(String::new(), |(name, cell)| {
        format!("; the worst, {name}, reaches {:.3}", cell.peak)
    });
    Some(format!(
        "Failover: after the worst failure the busiest survivor has {:.3} times its fair \
         share{theory}{worst}.",
        failover.peak
    ))
}

/// Whether a figure differs from what theory expects, in words.
pub(crate) fn significance(p: Option<f64>) -> String {
    match p {
        None => "not tested".into(),
        Some(p) if p < SIGNIFICANT => format!("the difference is significant, p = {p:.3}"),
        Some(p) => format!("no significant difference, p = {p:.2}"),
    }
}

/// What a restart does, and who needs no memory.
fn restart_reason(chosen: &Candidate, all: &[Candidate]) -> Option<String> {
    let restart = chosen.restart?;
    let same = |c: &&Candidate| c.restart.is_some_and(|restart| restart.elsewhere == 0.0);
    let free: BTreeSet<&str> =
        all.iter().filter(|c| !c.baseline).filter(same).map(|c| c.strategy).collect();
    let free: Vec<String> = free.into_iter().map(str::to_owned).collect();
    Some(if restart.elsewhere == 0.0 {
        format!(
            "Restart: made again from the list of nodes alone, in any order, the placement of {} is \
             the same, also after a node has left and come back.",
            chosen.strategy
        )
    } else {
        let verb = if free.len() == 1 { "needs" } else { "need" };
        let instead = match free.is_empty() {
            true => String::new(),
            false => format!("; {} {verb} no memory", and(&free)),
        };
        format!(
            "Restart: {} is a table that remembers. After a node has left and come back, one made \
             again from the list of nodes alone has {:.1} % of the load elsewhere, so a restarted \
             process must read the table from its cluster{instead}.",
            chosen.strategy,
            restart.elsewhere * 100.0
        )
    })
}

fn balance_reason(chosen: &Candidate, all: &[Candidate]) -> String {
    // The same hash for all, so that what differs is the strategy.
    let others = || {
        all.iter().filter(|c| !c.baseline && c.strategy != chosen.strategy && c.hash == chosen.hash)
    };
    let next = others().min_by(|a, b| a.peak().total_cmp(&b.peak()));
    let worst = others().max_by(|a, b| a.peak().total_cmp(&b.peak()));
    let against = match (next, worst) {
        (Some(next), Some(worst)) if next.strategy != worst.strategy => format!(
            "; the best of the others, {}, reaches {:.3} and the worst, {}, {:.3}",
            next.strategy,
            next.peak(),
            worst.strategy,
            worst.peak()
        ),
        (Some(next), _) => format!("; {} reaches {:.3}", next.strategy, next.peak()),
        _ => String::new(),
    };
    format!(
        "Balance: its peak is {:.3} times the fair share, {:.3} times the bound{against}.",
        chosen.peak(),
        chosen.peak() / chosen.bound()
    )
}

pub(super) fn cautions(
    result: &CompareResult,
    chosen: &Candidate,
    all: &[Candidate],
) -> Vec<String> {
    let mut cautions = Vec::new();
    let hash = hash_info(result, chosen.hash);
    if hash.is_some_and(|hash| !hash.withstands_chosen_names) {
        let keyed = result.hashes.iter().filter(|hash| hash.withstands_chosen_names);
        let keyed = keyed.min_by(|a, b| {
            a.ns_per_name.unwrap_or(f64::MAX).total_cmp(&b.ns_per_name.unwrap_or(f64::MAX))
        });
        let instead = keyed.map_or(String::new(), |keyed| {
            let cost = keyed
                .ns_per_name
                .map_or(String::new(), |ns| format!(" ({} ns per name)", number(ns)));
            format!("; where strangers name destinations, use {}{cost}", keyed.name)
        });
        cautions.push(format!(
            "Chosen names: whoever knows {} can choose names that all fall on one node{instead}.",
            chosen.hash
        ));
    }
    let bound = chosen.bound();
    if bound > 1.0005 {
        let split = all.iter().filter(|c| c.hash == chosen.hash && c.peak() < chosen.peak());
        let split = split.filter_map(|c| Some((c, c.gives_up?)));
        let split = split.min_by(|a, b| a.0.peak().total_cmp(&b.0.peak()));
        let how = split.map_or(String::new(), |(candidate, gives_up)| {
            format!(
                ". {} reaches a peak of {:.3} and gives up {gives_up}",
                capitalised(candidate.strategy),
                candidate.peak()
            )
        });
        cautions.push(format!(
            "Hot destination: one destination alone is worth {} nodes' fair share; only splitting it spreads it further{how}.",
            number(bound)
        ));
    }
    for refusal in result.refusals.iter().filter(|refusal| refusal.strategy == chosen.strategy) {
        cautions.push(format!(
            "It cannot {}: {}.",
            refusal.asked,
            refusal.reason.trim_end_matches('.')
        ));
    }
    cautions
}

/// What the broker does not run: the chosen one, where it runs none of all, or a better one.
pub(super) fn broker_caution(chosen: &Candidate, best: &Candidate) -> Option<String> {
    if let Some(why) = chosen.outside_broker {
        return Some(format!(
            "Broker: it does not run {} as measured here: {why}.",
            chosen.strategy
        ));
    }
    let why = best.outside_broker.filter(|_| best.score() * TIE < chosen.score())?;
    let moves = best.moved_ratio().map_or(String::new(), |ratio| {
        format!(" and moves {ratio:.2} times the least at a change")
    });
    Some(format!(
        "Broker: {} would do better, its busiest node carries {:.3} times its fair share{moves}, but \
         the broker does not run it: {why}.",
        best.strategy,
        best.peak()
    ))
}
