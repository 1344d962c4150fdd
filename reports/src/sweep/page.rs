//! The page of a sweep: how many seeds of each scenario passed, and how to see each failure again.

use std::collections::BTreeMap;

use super::result::SweepResult;
use crate::draw::page::Page;
use crate::draw::table::{Cell, Table};
use crate::draw::text::{and, count, number};
use crate::result::{ReportError, Verdict};

/// The most failures that the page lists per scenario; the CSV holds them all.
const LISTED: usize = 100;

/// The HTML page of a sweep.
///
/// # Errors
/// [`ReportError::Invalid`] if the sweep holds impossible numbers.
pub fn sweep_page(sweep: &SweepResult) -> Result<String, ReportError> {
    sweep.validate()?;
    let runs: usize = sweep.scenarios.iter().map(|s| s.runs.len()).sum();
    let failed: usize = sweep.scenarios.iter().map(|s| s.failures().len()).sum();
    let mut page = Page::new("Sweep");
    let badge = match (runs, failed) {
        (0, _) => "nothing ran".to_owned(),
        (_, 0) => "passed".to_owned(),
        _ => format!("{} failed", count(failed as u64)),
    };
    page.opening("Sweep report", &badge, runs > 0 && failed == 0, &lead(sweep), &sweep.reproduce);
    let virtual_s: f64 = sweep.scenarios.iter().flat_map(|s| &s.runs).map(|r| r.virtual_s).sum();
    page.facts(&[
        ("World", sweep.world.clone()),
        ("Commit", sweep.commit.clone()),
        ("Runs", count(runs as u64)),
        ("Time run", format!("{} s", number(virtual_s))),
        ("Time waited", format!("{} s", number(sweep.wall_s))),
    ]);
    page.section("Scenarios");
    page.table(&overview(sweep));
    for scenario in &sweep.scenarios {
        let failures = scenario.failures();
        if failures.is_empty() {
            continue;
        }
        page.section(&format!("{}: failing seeds", scenario.scenario));
        page.paragraph(&scenario.about);
        let mut table = Table::new(["Seed", "Verdict", "What was found", "See it again"], 4);
        for run in failures.iter().take(LISTED) {
            table.row(vec![
                run.seed.to_string().into(),
                Cell::bad(run.verdict.label()),
                Cell::words(run.finding.clone()),
                Cell::code(run.reproduce.clone()),
            ]);
        }
        page.table(&table);
        if failures.len() > LISTED {
            let more = count((failures.len() - LISTED) as u64);
            page.paragraph(&format!("{more} more failures are listed in runs.csv."));
        }
    }
    if !sweep.points.is_empty() {
        page.section("What was reached");
        coverage(&mut page, sweep);
    }
    Ok(page.finish())
}

/// A place that no run came by is where no bug is found; so the rarest come first.
fn coverage(page: &mut Page, sweep: &SweepResult) {
    /// The most scenarios that are named for a point.
    const NAMED: usize = 3;
    let coverage = sweep.coverage();
    let never = coverage.iter().filter(|it| it.runs == 0).count();
    let all = count(coverage.len() as u64);
    page.paragraph(&match never {
        0 => format!("Each of the broker's {all} coverage points was reached by some run."),
        _ => format!(
            "{} of the broker's {all} coverage points were reached by no run: whatever is wrong \
             there, this sweep cannot have found it.",
            count(never as u64)
        ),
    });
    let mut table = Table::new(["Point", "Runs", "What happened", "Most often in"], 1);
    for it in &coverage {
        let runs = count(it.runs as u64);
        let named = it.scenarios.iter().take(NAMED);
        let mut most: Vec<String> =
            named.map(|(name, share)| format!("{name} ({:.0} %)", share * 100.0)).collect();
        if let Some(more) = it.scenarios.len().checked_sub(NAMED).filter(|more| *more > 0) {
            most.push(format!("{} more", count(more as u64)));
        }
        table.row(vec![
            it.point.name.clone().into(),
            if it.runs == 0 { Cell::bad("never") } else { runs.into() },
            Cell::words(it.point.about.clone()),
            Cell::words(if most.is_empty() { "–".to_owned() } else { and(&most) }),
        ]);
    }
    page.table(&table);
}

/// The sentence the page opens with.
fn lead(sweep: &SweepResult) -> String {
    let runs: usize = sweep.scenarios.iter().map(|s| s.runs.len()).sum();
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for scenario in &sweep.scenarios {
        for (verdict, n) in scenario.verdicts() {
            *verdicts.entry(verdict).or_default() += n;
        }
    }
    let passed = verdicts.remove(&Verdict::Passed).unwrap_or(0);
    let scenarios = match sweep.scenarios.len() {
        1 => "1 scenario".to_owned(),
        n => format!("{} scenarios", count(n as u64)),
    };
    if runs == 0 {
        return "No run was made, so nothing is known.".to_owned();
    }
    let exits = sweep.exit_counts().in_words();
    let exits = exits.map_or(String::new(), |exits| format!(" There were {exits}."));
    if passed == runs {
        return format!("All {} runs of {scenarios} passed.{exits}", count(runs as u64));
    }
    let kinds: Vec<String> = verdicts
        .iter()
        .map(|(verdict, n)| format!("{} {}", count(*n as u64), verdict.label()))
        .collect();
    let first = sweep.scenarios.iter().find_map(|s| Some((s, *s.failures().first()?)));
    let first = first.map_or(String::new(), |(s, run)| {
        format!("; the first is seed {} of {}", run.seed, s.scenario)
    });
    let failed = count((runs - passed) as u64);
    format!(
        "{failed} of {} runs of {scenarios} failed ({}){first}.{exits}",
        count(runs as u64),
        and(&kinds)
    )
}

fn overview(sweep: &SweepResult) -> Table {
    let mut kinds: Vec<Verdict> =
        sweep.scenarios.iter().flat_map(|s| s.verdicts().into_keys()).collect();
    kinds.sort();
    kinds.dedup();
    kinds.retain(|&verdict| verdict != Verdict::Passed);
    let heads = ["Scenario".to_owned(), "Runs".to_owned(), "passed".to_owned()];
    let columns = heads.into_iter().chain(kinds.iter().map(|v| v.label().to_owned()));
    let last = ["First failing seed".to_owned(), "Exits of nodes".to_owned()];
    let mut table = Table::new(columns.chain(last), 1);
    for scenario in &sweep.scenarios {
        let verdicts = scenario.verdicts();
        let of = |verdict: &Verdict| verdicts.get(verdict).copied().unwrap_or(0);
        let passed = count(of(&Verdict::Passed) as u64);
        let all = of(&Verdict::Passed) == scenario.runs.len() && !scenario.runs.is_empty();
        let mut cells: Vec<Cell> = vec![
            scenario.scenario.clone().into(),
            count(scenario.runs.len() as u64).into(),
            if all { Cell::good(passed) } else { passed.into() },
        ];
        for kind in &kinds {
            let n = count(of(kind) as u64);
            cells.push(if of(kind) > 0 { Cell::bad(n) } else { n.into() });
        }
        let first = scenario.failures().first().map(|run| run.seed.to_string());
        cells.push(first.unwrap_or_else(|| "–".into()).into());
        cells.push(Cell::words(scenario.exit_counts().in_words().unwrap_or_else(|| "–".into())));
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exits::{ExitCause, tests::exits_of};
    use crate::sweep::result::tests::sweep_of;

    #[test]
    fn failing_seeds_are_shown_with_their_commands() {
        let page =
            sweep_page(&sweep_of(&[(1, Verdict::Passed), (7, Verdict::SafetyViolated)])).unwrap();
        assert!(page.contains(
            "1 of 2 runs of 1 scenario failed (1 safety violated); the first is seed 7 of smoke."
        ));
        assert!(page.contains("cargo sim replay smoke.toml --seed 7"));
        assert!(!page.contains("--seed 1<"));
    }

    #[test]
    fn exits_of_nodes_are_shown_though_all_passed() {
        let mut sweep = sweep_of(&[(1, Verdict::Passed), (2, Verdict::Passed)]);
        for run in &mut sweep.scenarios[0].runs {
            run.exits = [&exits_of("n1", ExitCause::DiskFull, 2)].into_iter().collect();
        }
        let page = sweep_page(&sweep).unwrap();
        let words = "4 exits of nodes (disk full), 4 restarts";
        assert!(page.contains(&format!("passed. There were {words}.")), "{page}");
        assert!(page.contains(&format!(">{words}<")), "{page}");
    }

    #[test]
    fn all_passed_and_nothing_ran_are_told_apart() {
        let page = sweep_page(&sweep_of(&[(1, Verdict::Passed)])).unwrap();
        assert!(page.contains("All 1 runs of 1 scenario passed."));
        assert!(page.contains("badge good"));
        let page = sweep_page(&sweep_of(&[])).unwrap();
        assert!(page.contains("nothing ran") && page.contains("badge bad"));
    }
}
