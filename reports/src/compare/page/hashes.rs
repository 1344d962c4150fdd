//! What hash functions do to the balance.

use super::DRAWN;
use std::collections::BTreeSet;

use crate::compare::charts::p_values;
use crate::compare::recommend::{SUSPICIOUS, suspicious_hashes};
use crate::compare::result::CompareResult;
use crate::draw::page::Page;
use crate::draw::table::{Cell, Table};
use crate::draw::text::{count, number};
use crate::result::ReportError;

pub(super) fn hashes(page: &mut Page, result: &CompareResult) -> Result<(), ReportError> {
    page.section("Hash functions");
    let suspicious = suspicious_hashes(result);
    let mut table = Table::new(
        [
            "Hash",
            "ns per name",
            "Behaves like chance",
            "Chosen names",
            "Names",
            "Collisions",
            "By chance",
        ],
        1,
    );
    for hash in &result.hashes {
        let tested = result.balance.iter().any(|c| c.hash == hash.name && c.p_value.is_some())
            || result.salted.iter().any(|s| s.hash == hash.name);
        let like_chance = if suspicious.contains(hash.name.as_str()) {
            Cell::bad(misbehaviour(result, &hash.name))
        } else if tested {
            Cell::good("yes")
        } else {
            "not tested".into()
        };
        let chosen = if hash.withstands_chosen_names {
            Cell::good("withstands")
        } else {
            "can be attacked".into()
        };
        let collisions = hash.collisions;
        table.row(vec![
            hash.name.clone().into(),
            hash.ns_per_name.map_or("–".to_owned(), number).into(),
            like_chance,
            chosen,
            collisions.map_or("–".to_owned(), |c| count(c.names)).into(),
            collisions.map_or("–".to_owned(), |c| count(c.measured)).into(),
            collisions.map_or("–".to_owned(), |c| number(c.expected)).into(),
        ]);
    }
    page.table(&table);
    let charts: Vec<_> = result.salted.iter().take(DRAWN).filter_map(p_values).collect();
    if !charts.is_empty() {
        page.paragraph(
            "Under many salts, the p-values of one test must themselves be spread evenly between 0 \
             and 1. Heaped near 0 the loads are nearly always too uneven for chance, or too even; \
             heaped anywhere the salt changes little.",
        );
        page.charts(charts)?;
    }
    Ok(())
}

/// In which way a hash function departs from chance.
pub(super) fn misbehaviour(result: &CompareResult, hash: &str) -> &'static str {
    let even: BTreeSet<&str> =
        result.populations.iter().filter(|p| p.skew == Some(0.0)).map(|p| &*p.name).collect();
    let cells = result.balance.iter().filter(|c| c.hash == hash && even.contains(&*c.population));
    let departs = cells.filter(|c| c.p_value.is_some_and(|p| p < SUSPICIOUS));
    let (below, above): (Vec<_>, Vec<_>) = departs
        .filter_map(|c| Some((c.cv, c.expected?.cv)))
        .partition(|(cv, expected)| cv < expected);
    match (below.is_empty(), above.is_empty()) {
        (false, true) => "no: too even",
        (true, false) => "no: too uneven",
        (false, false) => "no: too even or too uneven",
        (true, true) => "no",
    }
}
