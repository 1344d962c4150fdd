//! The page of a comparison of placements.

mod balance;
mod changes;
mod cost;
mod hashes;
mod runs;
mod spill;
#[cfg(test)]
mod tests;

use crate::compare::recommend::{Candidate, Recommendation, candidates, recommend};
use crate::compare::result::CompareResult;
use crate::draw::page::Page;
use crate::draw::table::{Cell, Table};
use crate::draw::text::{count, number, percent};
use crate::result::ReportError;

use self::{
    balance::balance,
    changes::{failures, moves, restarts},
    cost::{cost, sizes},
    hashes::hashes,
    runs::{courses, simulation},
    spill::spilling,
};

/// The most combinations whose loads are drawn bar by bar.
const DRAWN: usize = 6;

/// The HTML page of a comparison: a single file with nothing outside it.
///
/// # Errors
/// [`ReportError::Invalid`] if the comparison holds impossible numbers, [`ReportError::Plot`] if a
/// plot cannot be drawn.
pub fn compare_page(result: &CompareResult) -> Result<String, ReportError> {
    result.validate()?;
    let found = recommend(result);
    let all = candidates(result);
    let rows = one_per_strategy(&all, found.as_ref());
    let mut page = Page::new(&result.identity.scenario);
    opening(&mut page, result, found.as_ref());
    balance(&mut page, result, &all, &rows, found.as_ref())?;
    moves(&mut page, &all, &rows, found.as_ref())?;
    failures(&mut page, result, &rows)?;
    restarts(&mut page, &rows);
    spilling(&mut page, result);
    sizes(&mut page, result, &rows, found.as_ref())?;
    cost(&mut page, result, &rows, found.as_ref())?;
    hashes(&mut page, result)?;
    courses(&mut page, result, found.as_ref())?;
    simulation(&mut page, result)?;
    if !result.refusals.is_empty() {
        page.section("Not compared");
        let mut table = Table::new(["Strategy", "Asked to", "Why not"], 3);
        for refusal in &result.refusals {
            let words = Cell::words(refusal.reason.clone());
            table.row(vec![refusal.strategy.clone().into(), refusal.asked.clone().into(), words]);
        }
        page.table(&table);
    }
    Ok(page.finish())
}

fn opening(page: &mut Page, result: &CompareResult, found: Option<&Recommendation>) {
    let lead = match found {
        Some(found) => found.sentence.clone(),
        None => format!(
            "Nothing can be recommended: no strategy was measured with {} on {} nodes.",
            result.focus.population,
            count(result.focus.nodes)
        ),
    };
    let badge = found.map_or("no recommendation".to_owned(), |f| f.strategy.clone());
    page.opening(
        "Placement comparison",
        &badge,
        found.is_some(),
        &lead,
        &result.identity.reproduce,
    );
    page.paragraph(&result.identity.about);
    if let Some(found) = found {
        page.section("Why");
        page.list(&found.reasons);
        if !found.cautions.is_empty() {
            page.section("What it does not solve");
            page.list(&found.cautions);
        }
    }
    let cells = result.balance.len() + result.movement.len() + result.cost.len();
    page.facts(&[
        ("Strategies", count(result.strategies.len() as u64)),
        ("Hash functions", count(result.hashes.len() as u64)),
        ("Populations", count(result.populations.len() as u64)),
        ("Figures", count(cells as u64)),
        ("Seed", result.identity.seed.to_string()),
        ("World", result.identity.world.clone()),
        ("Scenario hash", result.identity.scenario_hash.clone()),
        ("Commit", result.identity.commit.clone()),
        ("Time waited", format!("{} s", number(result.wall_s))),
    ]);
    let mut table = Table::new(["Strategy", "What it does"], 2);
    for strategy in &result.strategies {
        let gives_up = strategy.gives_up.as_ref().map(|it| format!("; it gives up {it}"));
        let outside =
            strategy.outside_broker.as_ref().map(|why| format!("; not in the broker: {why}"));
        let about = format!(
            "{}{}{}{}",
            strategy.about,
            if strategy.baseline { " (to compare against)" } else { "" },
            gives_up.unwrap_or_default(),
            outside.unwrap_or_default()
        );
        table.row(vec![strategy.name.clone().into(), Cell::words(about)]);
    }
    page.folded_table("The strategies", &table);
    let mut table = Table::new(["Population", "What it is", "Destinations", "Skew", "Hottest"], 2);
    for population in &result.populations {
        table.row(vec![
            population.name.clone().into(),
            population.about.clone().into(),
            count(population.destinations).into(),
            population.skew.map_or("–".to_owned(), number).into(),
            percent(population.largest_share).into(),
        ]);
    }
    page.folded_table("The populations of destinations", &table);
}

/// Each strategy once: under the recommended hash, or else under the first that it was measured
/// with. Plots compare strategies, and so hold the hash still.
fn one_per_strategy<'a>(
    all: &'a [Candidate<'a>],
    found: Option<&Recommendation>,
) -> Vec<&'a Candidate<'a>> {
    let mut rows: Vec<&Candidate> = Vec::new();
    for candidate in all {
        let preferred = found.is_some_and(|found| found.hash == candidate.hash);
        match rows.iter_mut().find(|row| row.strategy == candidate.strategy) {
            Some(row) if preferred => *row = candidate,
            Some(_) => {}
            None => rows.push(candidate),
        }
    }
    rows
}
