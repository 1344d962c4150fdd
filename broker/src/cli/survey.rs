//! How a cluster stands, in words, as a table, and as JSON.

use std::fmt::Write as _;

use paceline_membership::{Member, MemberState, NodeId, Progress};
use paceline_runtime::say;
use serde_json::json;

use super::table;
use crate::operator::Survey;

/// How many copies are still to come or to go.
pub(super) fn left(survey: &Survey) -> u32 {
    let Progress { to_add, to_drop, .. } = &survey.progress;
    let lingering = survey.lingering.values().sum::<u32>().max(to_drop.values().sum());
    to_add.values().sum::<u32>() + lingering
}

/// What is left to do.
pub(super) fn in_words(survey: &Survey) -> String {
    let Progress { unknown, copies_wanted, copies_in_place, to_add, .. } = &survey.progress;
    let mut words = format!("{copies_in_place} of {copies_wanted} copies are in place");
    let name =
        |node: &NodeId| survey.view.member(*node).map_or("?", |member| &member.name).to_owned();
    let to_fill: Vec<_> =
        to_add.iter().map(|(node, count)| format!("{count} on {}", name(node))).collect();
    if !to_fill.is_empty() {
        let _ = write!(words, ", to fill: {}", to_fill.join(", "));
    }
    let lingering: u32 = survey.lingering.values().sum();
    if lingering > 0 {
        let _ = write!(words, ", to delete: {lingering}");
    }
    if !unknown.is_empty() {
        let _ = write!(words, ", {} shards have no leader that answers", unknown.len());
    }
    if !survey.unreachable.is_empty() {
        let _ = write!(words, "; no answer from {}", survey.unreachable.join(", "));
    }
    words
}

fn state(survey: &Survey, member: &Member) -> &'static str {
    match (member.state, survey.epochs.contains_key(&member.id)) {
        _ if member.reserved => "reserved",
        (MemberState::Draining, _) if survey.is_free(member.id) => "drained",
        (MemberState::Draining, _) => "draining",
        (MemberState::Leaving, _) => "leaving",
        (MemberState::Active, true) => "active",
        (MemberState::Active, false) => "no answer",
    }
}

/// Copies that a node is to have, and that count.
fn copies(survey: &Survey, node: NodeId) -> (usize, usize) {
    let wanted = survey.view.slots_of(node).count();
    let slots = survey.view.slots();
    let held = survey.holdings.iter().filter(|it| it.group < slots && it.voters.contains(&node));
    (wanted, held.count())
}

/// As a table.
pub(super) fn print(cluster: &str, survey: &Survey) {
    let view = &survey.view;
    say!(
        "cluster {cluster} at epoch {}: {} slots, {} copies each, on {} nodes\n",
        view.epoch(),
        view.slots(),
        view.layout().replicas,
        view.members().len()
    );
    let mut rows = vec![table::row([
        "NODE",
        "NUMBER",
        "STATE",
        "ZONE",
        "WEIGHT",
        "COPIES",
        "IS TO HAVE",
        "EPOCH",
        "LINK",
    ])];
    for member in view.members() {
        let (wanted, held) = copies(survey, member.id);
        let epoch = survey.epochs.get(&member.id).map_or_else(|| "?".into(), u64::to_string);
        rows.push(table::row([
            &member.name,
            &member.id.to_string(),
            state(survey, member),
            member.zone.as_deref().unwrap_or("-"),
            &member.weight.to_string(),
            &held.to_string(),
            &wanted.to_string(),
            &epoch,
            &member.link,
        ]));
    }
    table::print(&rows);
    say!();
    match survey.is_settled() {
        true => say!("all shards are where they are to be"),
        false => say!("{}", in_words(survey)),
    }
}

/// As JSON.
pub(super) fn json_of(survey: &Survey) -> serde_json::Value {
    let nodes: Vec<_> = survey
        .view
        .members()
        .iter()
        .map(|member| {
            let (wanted, held) = copies(survey, member.id);
            json!({
                "name": member.name, "number": member.id, "state": state(survey, member),
                "zone": member.zone, "weight": member.weight, "link": member.link,
                "copies": held, "wanted": wanted, "epoch": survey.epochs.get(&member.id),
            })
        })
        .collect();
    json!({
        "epoch": survey.view.epoch(), "settled": survey.is_settled(), "nodes": nodes,
        "progress": survey.progress, "unreachable": survey.unreachable,
    })
}
