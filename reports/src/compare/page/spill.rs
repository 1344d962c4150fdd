//! What spilling message by message does, as the page tells it.

use crate::{
    compare::result::CompareResult,
    draw::{
        page::Page,
        table::{Cell, Table},
        text::{count, number, percent},
    },
};

pub(super) fn spilling(page: &mut Page, result: &CompareResult) {
    let Some(first) = result.spilling.first() else { return };
    page.section("Spilling");
    page.paragraph(&format!(
        "Bounded load by messages, not by slots: a message goes to the first node on the ring that \
         has less than {} times its fair part of what is in flight at that moment. No destination is \
         too hot then, but its messages are on many nodes: their order is lost, and consumers attach \
         to all of these. The least that must spill is what the ring places on nodes above their \
         bounds.",
        number(first.factor)
    ));
    let mut table = Table::new(
        [
            "Population",
            "Nodes",
            "In flight",
            "Peak in flight",
            "Peak of all",
            "Without a bound",
            "Spilled",
            "Least possible",
            "Hottest is on",
        ],
        1,
    );
    for cell in &result.spilling {
        // A bound is a whole number of messages.
        let mean = cell.in_flight as f64 / cell.nodes as f64;
        let kept = cell.peak <= cell.factor + 1.0 / mean;
        let peak = number(cell.peak);
        table.row(vec![
            cell.population.clone().into(),
            count(cell.nodes).into(),
            count(cell.in_flight).into(),
            if kept { Cell::good(peak) } else { peak.into() },
            number(cell.share_peak).into(),
            number(cell.unbounded_peak).into(),
            percent(cell.spilled).into(),
            percent(cell.least_spilled).into(),
            match cell.hottest_on {
                0 => "–".into(),
                1 => "1 node".into(),
                many => format!("{} nodes", count(many)).into(),
            },
        ]);
    }
    page.table(&table);
}
