//! What a comparison prints below its table: what the columns mean, and what to use.

use paceline::config::MAX_SLOTS;
use paceline_reports::{CompareResult, recommend};

/// What the columns of the table mean, for those who see it the first time.
const COLUMNS: &str = "\
peak:      load of the busiest node over its fair share; 1 is best
expected:  the peak that theory expects of the strategy; - where there is no formula
bound:     the least peak that any placement of whole destinations can reach
p:         how likely chance strays so far from the expected spread; below 0.01 it is not chance
moved/opt: what a change of the nodes moves over the least that must move; 1 is best
ns, bytes: a lookup from name to node, and the memory for it";

/// The meaning of the columns and the recommendation; `slots` is how many there are at the focus.
pub(super) fn text(result: &CompareResult, slots: u64) -> String {
    let mut lines = vec![COLUMNS.to_owned(), String::new()];
    match recommend(result) {
        None => lines.push("Nothing can be recommended: only baselines were measured.".into()),
        Some(found) => {
            lines.push(found.sentence);
            lines.extend(found.cautions.into_iter().map(|caution| format!("- {caution}")));
        }
    }
    if slots > u64::from(MAX_SLOTS) {
        lines.push(format!(
            "- Slots: there are {slots} in this comparison, and {MAX_SLOTS} at most in a broker; its \
             own number is compared with `slots` in [compare]."
        ));
    }
    lines.join("\n")
}
