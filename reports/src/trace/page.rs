//! The page: what was found in a sentence with links to what convicts, then the picture.

use std::fmt::Write as _;

use super::{Trace, picture::picture};
use crate::draw::page::Page;
use crate::draw::table::escape;
use crate::draw::text::{and, capitalised, count};
use crate::result::{ReportError, Verdict};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The most points of one finding that the list above the picture names.
const LISTED: usize = 16;
/// The most findings that it names.
const FINDINGS: usize = 3;

/// Draws a diagram as one page that needs nothing from anywhere.
///
/// # Errors
/// [`ReportError::Invalid`] if [`Trace::validate`] refuses it.
pub fn trace_page(trace: &Trace) -> Result<String, ReportError> {
    trace.validate()?;
    let identity = &trace.identity;
    let title = format!("{}, seed {}", identity.scenario, identity.seed);
    let mut page = Page::new(title).with(STYLE, SCRIPT);
    let good = trace.verdict == Verdict::Passed;
    page.opening_with("space-time diagram", trace.verdict.label(), good, &lead(trace), "");
    page.markup(&convictions(trace));
    page.paragraph(&shown(trace));
    page.markup(&format!("<section id=\"diagram\">\n{}", tools()));
    page.markup(&picture(trace));
    page.markup("</section>\n");
    page.markup(LEGEND);
    page.markup(&names(trace));
    page.facts(&[
        ("Scenario", identity.scenario_hash.clone()),
        ("Commit", identity.commit.clone()),
        ("World", identity.world.clone()),
        ("Fingerprint", trace.fingerprint.clone()),
    ]);
    page.markup(&format!(
        "<p class=\"again\">To see it again:</p><pre class=\"command\"><code>{}</code></pre>\n",
        escape(&identity.reproduce)
    ));
    Ok(page.finish())
}

/// What was found, linked to the first point that convicts.
fn lead(trace: &Trace) -> String {
    match trace.convictions.first() {
        None if trace.verdict == Verdict::Passed => "Every check held.".to_owned(),
        None => "No check says why.".to_owned(),
        Some(it) => {
            let words = format!("[{}] {}", escape(&it.check), escape(&it.detail));
            match it.points.last() {
                Some(point) => format!("<a class=\"why\" href=\"#e{point}\">{words}</a>"),
                None => words,
            }
        }
    }
}

/// What convicts, event by event, each a link to its point.
fn convictions(trace: &Trace) -> String {
    let mut out = String::new();
    for (number, it) in trace.convictions.iter().take(FINDINGS).enumerate() {
        if number > 0 {
            let _ = write!(out, "<p>[{}] {}</p>", escape(&it.check), escape(&it.detail));
        }
        if it.points.is_empty() {
            continue;
        }
        let _ = write!(
            out,
            "<details class=\"chain\"><summary>what convicts: {} events</summary><ol>",
            it.points.len()
        );
        let skipped = it.points.len().saturating_sub(LISTED);
        for (place, &index) in it.points.iter().enumerate() {
            if skipped > 0 && place == LISTED / 2 {
                let _ = write!(out, "<li class=\"more\">… {skipped} more</li>");
            }
            if (LISTED / 2..LISTED / 2 + skipped).contains(&place) {
                continue;
            }
            let point = &trace.points[index];
            let _ = write!(
                out,
                "<li><a href=\"#e{index}\"><time>{:.6}</time> {}</a></li>",
                point.at_s,
                escape(&point.text)
            );
        }
        out.push_str("</ol></details>\n");
    }
    if trace.convictions.len() > FINDINGS {
        let more = trace.convictions.len() - FINDINGS;
        let _ = writeln!(out, "<p>{more} more findings stand in the report of the run.</p>");
    }
    out
}

/// What part of the run this is, and what of it is not drawn.
pub(super) fn shown(trace: &Trace) -> String {
    let window = &trace.window;
    let drawn = trace.points.len();
    let mut text = if window.before + window.after == 0 && trace.left_out.is_empty() {
        format!("Shown is the whole run: {drawn} events in {:.1} s.", window.run_s)
    } else {
        format!(
            "Shown are {} events from {:.3} s to {:.3} s, of a run of {:.1} s; {} events came \
             before and {} after.",
            count(drawn as u64),
            window.from_s,
            window.to_s,
            window.run_s,
            count(window.before),
            count(window.after)
        )
    };
    if !trace.left_out.is_empty() {
        let kinds: Vec<String> = trace
            .left_out
            .iter()
            .map(|it| format!("{} {}", count(it.count), it.kind.counted()))
            .collect();
        let _ = write!(
            text,
            " {} more of that time are left out: {}.",
            capitalised(&count(trace.left_out())),
            and(&kinds)
        );
    }
    text
}

/// What the script works with; it shows it when it runs.
fn tools() -> String {
    "<div class=\"tools\" hidden><input type=\"search\" id=\"find\" placeholder=\"search\" \
     aria-label=\"Search message, destination, node, client or event\" autocomplete=\"off\" \
     autocapitalize=\"off\" spellcheck=\"false\"><output id=\"hits\"></output>\
     <button id=\"prev\" title=\"previous match (N)\" aria-label=\"previous match\">↑</button>\
     <button id=\"next\" title=\"next match (n)\" aria-label=\"next match\">↓</button>\
     <button id=\"out\" title=\"smaller (-)\" aria-label=\"zoom out\">−</button>\
     <button id=\"in\" title=\"larger (+)\" aria-label=\"zoom in\">+</button>\
     <button id=\"help\" title=\"help (?)\" aria-label=\"help\">?</button></div>\n\
     <div class=\"now\" hidden><div class=\"only\"></div><div id=\"told\" role=\"status\"></div>\
     <div class=\"steps\"><button id=\"back\" aria-label=\"event before\">↑</button>\
     <button id=\"on\" aria-label=\"next event\">↓</button></div></div>\n\
     <dialog id=\"keys\"><h3>Keys</h3><dl>\
     <dt>j k ↓ ↑</dt><dd>next event, event before</dd>\
     <dt>← →</dt><dd>event before and next on the same line</dd>\
     <dt>c C</dt><dd>next event that convicts, the one before</dd>\
     <dt>/</dt><dd>search</dd><dt>n N</dt><dd>next match, match before</dd>\
     <dt>Enter m</dt><dd>only this message</dd><dt>d</dt><dd>only this destination</dd>\
     <dt>Esc</dt><dd>back to all</dd><dt>+ − 0</dt><dd>zoom; also Ctrl and wheel, or two \
     fingers</dd></dl><p>A click on an event of a message, or on an arrow, shows only what became \
     of that message, amid faults and changes of leaders. A click beside one selects it.</p>\
     <form method=\"dialog\"><button>close</button></form></dialog>\n"
        .to_owned()
}

const LEGEND: &str = "<details class=\"legend-of-lines\"><summary>how to read it</summary><ul>\
<li>Time goes down. Each event has a row of its own; a pause is shortened, and named at the left.</li>\
<li>An arrow that begins or ends at a mark does so exactly then. An end without a mark is not told by \
anybody: it is drawn close to the other end. Arrows bend at the node that the client is connected to.</li>\
<li>A bar on a node's line: it leads a shard then. No line: the node is not there. A tinted area: a \
fault, or a change of the cluster, is under way for these nodes.</li>\
<li>Filled circle: sent, or acknowledged by a consumer; ring: given to a consumer, or arrived; dot: a \
client is told something; diamond: a vote; triangle: a leader comes or goes; square: copies and \
snapshots; cross: something ends or goes back. Red: what the check convicts by.</li>\
<li>What nodes say to each other to replicate is not drawn.</li></ul></details>\n";

/// The names that the script shows, as data that cannot end the element it stands in.
fn names(trace: &Trace) -> String {
    let lanes: Vec<&String> = trace.lanes.iter().map(|it| &it.name).collect();
    let names = serde_json::json!({
        "messages": trace.messages,
        "destinations": trace.destinations,
        "lanes": lanes,
    });
    let json = names.to_string().replace('<', "\\u003c").replace('>', "\\u003e");
    let json = json.replace('&', "\\u0026");
    format!("<script type=\"application/json\" id=\"names\">{json}</script>\n")
}
