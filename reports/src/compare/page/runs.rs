//! Courses of changes, and simulated runs.

use super::DRAWN;
use std::collections::BTreeSet;

use crate::compare::charts::{course, latency_against_load, simulated};
use crate::compare::differing::differing;
use crate::compare::recommend::Recommendation;
use crate::compare::result::{CompareResult, Course, CourseStep};
use crate::draw::page::Page;
use crate::draw::table::{Cell, Table};
use crate::draw::text::{count, number, percent};
use crate::result::ReportError;

pub(super) fn courses(
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

pub(super) fn simulation(page: &mut Page, result: &CompareResult) -> Result<(), ReportError> {
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
