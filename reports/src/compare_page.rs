//! The page of a comparison of placements.

mod changes;
mod spill;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    changes::{failures, moves, restarts},
    spill::spilling,
};
use crate::compare::{BalanceCell, CompareResult, Course, CourseStep, LoadProfile};
use crate::compare_charts::{
    Curve, CurveStyle, cdf, course, curves, latency_against_load, lorenz, p_values, peak_curves,
    peaks, simulated, sorted_loads,
};
use crate::differing::differing;
use crate::html::{Cell, Page, Table, and, bytes, count, number, p_text, percent};
use crate::recommend::{
    Candidate, Recommendation, SIGNIFICANT, SUSPICIOUS, candidates, recommend, suspicious_hashes,
};
use crate::result::ReportError;

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

fn balance(
    page: &mut Page,
    result: &CompareResult,
    all: &[Candidate],
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    page.section("Balance");
    if rows.is_empty() {
        page.paragraph("No balance was measured at the focus.");
        return Ok(());
    }
    let hashes: BTreeSet<&str> = rows.iter().map(|row| row.hash).collect();
    let hashes: Vec<String> = hashes.into_iter().map(str::to_owned).collect();
    page.paragraph(&format!(
        "{} on {} nodes, hashed by {}. Every figure stands beside what theory expects of the \
         strategy; p is the probability that chance gives a spread at least as far from it, over all \
         salts together.",
        result.focus.population,
        count(result.focus.nodes),
        and(&hashes)
    ));
    let shown =
        |p: &LoadProfile| rows.iter().any(|row| row.strategy == p.strategy && row.hash == p.hash);
    let profiles = drawn_profiles(result, found, shown);
    let strategies = [Some(peaks(rows, result.focus.nodes)), lorenz(&profiles), cdf(&profiles)];
    page.charts(
        strategies.into_iter().flatten().chain(profiles.iter().filter_map(|p| sorted_loads(p))),
    )?;
    page.table(&balance_table(rows.iter().copied()));
    page.folded_table("The same for every hash function", &balance_table(all));
    Ok(())
}

/// The loads that are drawn: the recommended ones, and of the others those that differ most.
fn drawn_profiles<'a>(
    result: &'a CompareResult,
    found: Option<&Recommendation>,
    shown: impl Fn(&LoadProfile) -> bool,
) -> Vec<&'a LoadProfile> {
    // Of each strategy the one that the tables show, if it was kept.
    let any = result.profiles.iter().any(&shown);
    let other =
        |p: &LoadProfile| found.is_none_or(|f| f.strategy != p.strategy || f.hash != p.hash);
    let sorted = |p: &'a LoadProfile| {
        let mut loads = p.relative_loads.clone();
        loads.sort_by(f64::total_cmp);
        (p, loads)
    };
    let mut profiles: Vec<_> =
        result.profiles.iter().filter(|p| !any || shown(p)).map(sorted).collect();
    profiles.sort_by_key(|(p, _)| (other(p), p.population != result.focus.population));
    let distance = |(_, a): &(_, Vec<f64>), (_, b): &(_, Vec<f64>)| {
        let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        apart + a.len().abs_diff(b.len()) as f64
    };
    differing(profiles, DRAWN, distance).into_iter().map(|(profile, _)| profile).collect()
}

fn balance_table<'a>(all: impl IntoIterator<Item = &'a Candidate<'a>>) -> Table {
    let all: Vec<&Candidate> = all.into_iter().collect();
    // Columns that say nothing are left out, so that the rest fits.
    let hashed = all.iter().any(|candidate| candidate.hash != all[0].hash);
    let salted = all.iter().any(|candidate| candidate.cells.len() > 1);
    let tested = all.iter().any(|candidate| candidate.p_value().is_some());
    let columns = [
        ("Strategy", true),
        ("Hash", hashed),
        ("Salts", salted),
        ("Peak", true),
        ("Expected", true),
        ("Bound", true),
        ("Reading", tested),
        ("p", tested),
        ("Worst peak", salted),
        ("CV", true),
        ("Expected CV", true),
        ("Gini", true),
        ("Jain", true),
        ("Usable nodes", true),
    ];
    let words = 1 + usize::from(hashed);
    let mut table = Table::new(columns.iter().filter(|c| c.1).map(|c| c.0), words);
    for candidate in all {
        let cells = &candidate.cells;
        let n = cells.len() as f64;
        let mean = |of: fn(&BalanceCell) -> f64| cells.iter().map(|cell| of(cell)).sum::<f64>() / n;
        let cv = cells.iter().filter_map(|cell| Some(cell.expected?.cv)).next_back();
        let worst = cells.iter().map(|cell| cell.peak).fold(0.0, f64::max);
        let row: [Cell; 14] = [
            candidate.strategy.into(),
            candidate.hash.into(),
            cells.len().to_string().into(),
            number(candidate.peak()).into(),
            candidate.expected_peak().map_or("–".to_owned(), number).into(),
            number(candidate.bound()).into(),
            reading(candidate.p_value(), mean(|c| c.cv), cv),
            candidate.p_value().map_or("–".to_owned(), p_text).into(),
            number(worst).into(),
            number(mean(|c| c.cv)).into(),
            cv.map_or("–".to_owned(), number).into(),
            number(mean(|c| c.gini)).into(),
            number(mean(|c| c.jain)).into(),
            number(cells[0].nodes as f64 / candidate.peak()).into(),
        ];
        let shown = row.into_iter().zip(columns).filter(|(_, column)| column.1);
        table.row(shown.map(|(cell, _)| cell).collect());
    }
    table
}

/// What a p-value says.
fn reading(p: Option<f64>, cv: f64, expected: Option<f64>) -> Cell {
    match (p, expected) {
        (None, _) => "–".into(),
        (Some(p), _) if p >= SIGNIFICANT => Cell::good("as theory"),
        (Some(_), Some(expected)) if cv < expected => Cell::bad("too even"),
        (Some(_), _) => Cell::bad("too uneven"),
    }
}

fn sizes(
    page: &mut Page,
    result: &CompareResult,
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    let hash_of: BTreeMap<&str, &str> = rows.iter().map(|row| (row.strategy, row.hash)).collect();
    let first = found.map(|f| f.strategy.as_str());
    let at_focus = |cell: &BalanceCell| cell.population == result.focus.population;
    let (over_n, theory) =
        peak_curves(result, &hash_of, |cell| at_focus(cell).then_some(cell.nodes as f64));
    let style = CurveStyle {
        title: "Peak against the number of nodes".into(),
        x_label: "nodes",
        y_label: "Peak",
        log_x: true,
        theory,
    };
    let over_n = curves(style, over_n, first);
    let skews: BTreeMap<&str, f64> =
        result.populations.iter().filter_map(|p| Some((p.name.as_str(), p.skew?))).collect();
    let (over_skew, theory) = peak_curves(result, &hash_of, |cell| {
        let at_focus = cell.nodes == result.focus.nodes;
        at_focus.then(|| skews.get(cell.population.as_str()).copied()).flatten()
    });
    let style = CurveStyle {
        title: "Peak against skew".into(),
        x_label: "exponent of Zipf's law",
        y_label: "Peak",
        log_x: false,
        theory,
    };
    let charts: Vec<_> = [over_n, curves(style, over_skew, first)].into_iter().flatten().collect();
    if !charts.is_empty() {
        page.section("More nodes, more skew");
        page.charts(charts)?;
    }
    Ok(())
}

fn cost(
    page: &mut Page,
    result: &CompareResult,
    rows: &[&Candidate],
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    if result.cost.is_empty() {
        return Ok(());
    }
    page.section("Cost");
    // All under one hash: the recommended one, if it was timed.
    let timed = |hash: &str| result.cost.iter().any(|c| c.hash == hash);
    let hash = found.map(|f| f.hash.as_str()).filter(|hash| timed(hash));
    let hash = hash.unwrap_or(&result.cost[0].hash);
    page.paragraph(&format!("From a name to its node, hashed by {hash}, salt included."));
    let curves_of = |of: fn(&crate::compare::CostCell) -> f64| -> Vec<Curve> {
        let points = |row: &&Candidate| {
            let cells = result.cost.iter().filter(|c| c.strategy == row.strategy && c.hash == hash);
            Curve {
                name: row.strategy.to_owned(),
                points: cells.map(|c| (c.nodes as f64, of(c))).collect(),
            }
        };
        rows.iter().map(points).collect()
    };
    let style = |title: &str, y_label: &'static str| CurveStyle {
        title: title.into(),
        x_label: "nodes",
        y_label,
        log_x: true,
        theory: Vec::new(),
    };
    let first = found.map(|f| f.strategy.as_str());
    let time = style("Nanoseconds from a name to its node", "Nanoseconds");
    let memory = style("Bytes that the placement holds", "Bytes");
    let charts = [
        curves(time, curves_of(|c| c.lookup_ns), first),
        curves(memory, curves_of(|c| c.bytes), first),
    ];
    page.charts(charts.into_iter().flatten())?;
    let mut table = Table::new(
        [
            "Strategy",
            "Hash",
            "Nodes",
            "Lookup ns",
            "Dependent ns",
            "Build µs",
            "Update µs",
            "Memory",
        ],
        2,
    );
    for cell in &result.cost {
        let optional = |value: Option<f64>| value.map_or("–".to_owned(), number);
        table.row(vec![
            cell.strategy.clone().into(),
            cell.hash.clone().into(),
            count(cell.nodes).into(),
            number(cell.lookup_ns).into(),
            optional(cell.dependent_ns).into(),
            optional(cell.build_us).into(),
            optional(cell.update_us).into(),
            bytes(cell.bytes).into(),
        ]);
    }
    page.folded_table("Every cost in numbers", &table);
    Ok(())
}

fn hashes(page: &mut Page, result: &CompareResult) -> Result<(), ReportError> {
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
fn misbehaviour(result: &CompareResult, hash: &str) -> &'static str {
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

fn courses(
    page: &mut Page,
    result: &CompareResult,
    found: Option<&Recommendation>,
) -> Result<(), ReportError> {
    if result.courses.is_empty() {
        return Ok(());
    }
    page.section("A course of changes");
    page.paragraph(
        "The recommended strategy first, then those whose peaks differ most from the ones before.",
    );
    let peaks = |course: &Course| -> Vec<f64> {
        let of =
            |step: &CourseStep| step.relative_loads.iter().flatten().copied().fold(0.0, f64::max);
        course.steps.iter().map(of).collect()
    };
    let titles: BTreeSet<&str> = result.courses.iter().map(|c| c.title.as_str()).collect();
    let each = (DRAWN / titles.len().max(1)).max(2);
    let mut charts = Vec::new();
    for title in titles {
        let mut same: Vec<(&Course, Vec<f64>)> =
            result.courses.iter().filter(|c| c.title == title).map(|c| (c, peaks(c))).collect();
        same.sort_by_key(|(c, _)| found.is_none_or(|f| f.strategy != c.strategy));
        let distance = |(_, a): &(_, Vec<f64>), (_, b): &(_, Vec<f64>)| {
            a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
        };
        charts.extend(differing(same, each, distance).into_iter().filter_map(|(c, _)| course(c)));
    }
    page.charts(charts)?;
    let mut table = Table::new(
        [
            "Strategy",
            "Course",
            "Peak at first",
            "Worst peak",
            "Peak at last",
            "Moved in all",
            "Least possible",
            "Ratio",
        ],
        2,
    );
    for course in result.courses.iter().filter(|course| !course.steps.is_empty()) {
        let peaks = peaks(course);
        let moved: f64 = course.steps.iter().map(|step| step.moved).sum();
        let least: Option<f64> = course.steps.iter().skip(1).map(|step| step.optimal).sum();
        let ratio = least.filter(|least| *least > 0.0).map(|least| moved / least);
        table.row(vec![
            course.strategy.clone().into(),
            course.title.clone().into(),
            number(peaks[0]).into(),
            number(peaks.iter().copied().fold(0.0, f64::max)).into(),
            number(peaks[peaks.len() - 1]).into(),
            percent(moved).into(),
            least.map_or("–".to_owned(), percent).into(),
            ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}")).into(),
        ]);
    }
    page.folded_table("Every course in numbers", &table);
    Ok(())
}

fn simulation(page: &mut Page, result: &CompareResult) -> Result<(), ReportError> {
    if result.simulated.is_empty() {
        return Ok(());
    }
    page.section("In the simulated cluster");
    page.paragraph(
        "The same strategies under one seed and one workload: what the placement of the workload's \
         destinations predicts for each node, and what the node bore.",
    );
    let mut table = Table::new(
        [
            "Strategy",
            "Hash",
            "Messages",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "See it again",
        ],
        2,
    );
    for run in &result.simulated {
        let names =
            [run.strategy.clone().into(), run.hash.clone().into(), count(run.latency.count).into()];
        let percentiles = run.latency.named().map(|(_, value)| number(value).into());
        table.row(
            names
                .into_iter()
                .chain(percentiles)
                .chain([Cell::code(run.reproduce.clone())])
                .collect(),
        );
    }
    page.table(&table);
    let latency = latency_against_load(&result.simulated);
    page.charts(
        latency.into_iter().chain(result.simulated.iter().take(DRAWN).filter_map(simulated)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::sample;
    use crate::compare::{ChangedNode, Focus, Refusal};
    use crate::result::Identity;

    #[test]
    fn a_page_has_its_parts_in_order() {
        let mut result = sample();
        result.refusals.push(Refusal {
            strategy: "slots".into(),
            asked: "fly".into(),
            reason: "no wings".into(),
        });
        let page = compare_page(&result).unwrap();
        let parts: Vec<&str> =
            page.split("<h2>").skip(1).filter_map(|s| s.split("</h2>").next()).collect();
        assert_eq!(
            parts,
            [
                "Why",
                "What it does not solve",
                "Balance",
                "Movement",
                "Spilling",
                "Cost",
                "Hash functions",
                "A course of changes",
                "In the simulated cluster",
                "Not compared"
            ]
        );
        let lead = page.find("Use slots with xxh3").unwrap();
        assert!(lead < page.find("<h2>").unwrap());
    }

    #[test]
    fn a_page_says_who_left_and_who_joined() {
        let mut result = sample();
        result.movement[0].left = vec![ChangedNode { name: "n1".into(), weight: 1.0 }];
        let page = compare_page(&result).unwrap();
        for told in ["n1 left; n3 (weight 2) joined", "slots, add 1 node: n3 is new"] {
            assert!(page.contains(told), "{told}");
        }
        let many = (0..20).map(|n| ChangedNode { name: format!("m{n}"), weight: 1.0 });
        result.movement[0].left = many.collect();
        let page = compare_page(&result).unwrap();
        assert!(page.contains("m6, m7, 12 more left") && !page.contains("m8"));
    }

    #[test]
    fn a_page_fetches_nothing() {
        let page = compare_page(&sample()).unwrap();
        for outside in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn an_empty_comparison_says_so() {
        let focus = Focus { population: "p".into(), nodes: 3 };
        let page = compare_page(&CompareResult::new(Identity::default(), focus)).unwrap();
        assert!(page.contains("Nothing can be recommended"));
        assert!(page.contains("badge bad"));
    }

    #[test]
    fn zeros_and_single_points_still_make_a_page() {
        let mut result = sample();
        for cell in &mut result.balance {
            (cell.peak, cell.cv, cell.bound) = (1.0, 0.0, 1.0);
        }
        result.movement[0].optimal = 0.0;
        result.cost[0].bytes = 0.0;
        result.profiles[0].relative_loads = vec![];
        result.courses[0].steps[0].relative_loads = vec![None, None];
        result.salted[0].p_values.clear();
        result.simulated[0].nodes.clear();
        let page = compare_page(&result).unwrap();
        assert!(!page.contains("NaN"), "{page}");
    }

    #[test]
    fn everything_that_came_from_outside_is_escaped() {
        let evil = "<script>alert(1)</script>\"'&";
        let text = sample().to_json().unwrap();
        let quoted = serde_json::to_string(evil).unwrap();
        let quoted = &quoted[1..quoted.len() - 1];
        let mut text =
            text.replace("slots", quoted).replace("xxh3", quoted).replace("uniform", quoted);
        for word in ["flapping", "add 1 node", "n2 leaves", "\"n1"] {
            text = text.replace(
                word,
                &format!("{}{quoted}", if word.starts_with('"') { "\"" } else { "" }),
            );
        }
        let page = compare_page(&CompareResult::from_json(&text).unwrap()).unwrap();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }
}
