//! The picture: one drawing of times, which stays at the left, and one of all lanes beside it. Lanes
//! stand at parts of the width, so that it fits any page; heights are fixed, and the script moves them.

use std::fmt::Write as _;

use super::{
    ArrowKind, LaneKind, SpanKind, Trace,
    layout::{LANE_MIN, Layout, NARROW, PAUSE_S},
};
use crate::draw::table::escape;

/// Shards that one lane shows side by side.
const SHARDS: u64 = 5;
/// The longest label, in letters.
const LABEL: usize = 34;

const ARROWS: [(ArrowKind, &str); 6] = [
    (ArrowKind::Send, "sent"),
    (ArrowKind::Answer, "answer"),
    (ArrowKind::Deliver, "deliver"),
    (ArrowKind::Settle, "settle"),
    (ArrowKind::Vote, "vote"),
    (ArrowKind::Give, "lead"),
];

fn class_of(kind: ArrowKind) -> &'static str {
    ARROWS.iter().find(|(it, _)| *it == kind).expect("every kind is listed").1
}

/// Draws all of it.
pub(super) fn picture(trace: &Trace) -> String {
    let layout = Layout::of(trace);
    let mut out = String::new();
    heads(trace, &mut out);
    let height = layout.height;
    let _ = write!(
        out,
        "<div class=\"body\"><svg class=\"times\" height=\"{height:.0}\" \
         style=\"height:{height:.0}px\">"
    );
    times(trace, &layout, &mut out);
    let width = trace.lanes.len() as f64 * LANE_MIN;
    let _ = write!(
        out,
        "</svg><div class=\"pan\" tabindex=\"-1\"><svg class=\"pic\" height=\"{height:.0}\" \
         style=\"height:{height:.0}px;min-width:{width:.0}px\" role=\"group\" aria-label=\"Space-time diagram\">"
    );
    markers(&mut out);
    bands(trace, &layout, &mut out);
    lanes(trace, &layout, &mut out);
    spans(trace, &layout, &mut out);
    out.push_str("<rect class=\"cursor\" x=\"0\" y=\"-99\" width=\"100%\" height=\"18\"/>");
    arrows(trace, &layout, &mut out);
    points(trace, &layout, &mut out);
    out.push_str("</svg></div></div>\n");
    out
}

/// The names of the lanes, which stay in sight.
fn heads(trace: &Trace, out: &mut String) {
    let width = trace.lanes.len() as f64 * LANE_MIN;
    let _ = write!(
        out,
        "<div class=\"heads\"><span class=\"corner\">s</span><div class=\"names\">\
         <div class=\"track\" style=\"min-width:{width:.0}px\">"
    );
    for lane in &trace.lanes {
        let class = kind_of(lane.kind);
        let _ = write!(out, "<b class=\"{class}\">{}</b>", escape(&lane.name));
    }
    out.push_str("</div></div></div>\n");
}

fn kind_of(kind: LaneKind) -> &'static str {
    match kind {
        LaneKind::Producer => "producer",
        LaneKind::Node => "node",
        LaneKind::Consumer => "consumer",
    }
}

/// The middle of a lane, as a part of the width.
fn x(trace: &Trace, lane: usize) -> String {
    format!("{:.2}%", 100.0 * (lane as f64 + 0.5) / trace.lanes.len() as f64)
}

/// A time as rows show it; what is within one millisecond of the row before has none.
fn times(trace: &Trace, layout: &Layout, out: &mut String) {
    let mut before: Option<(f64, f64, String)> = None;
    for (point, y) in trace.points.iter().zip(&layout.ys) {
        let text = format!("{:.3}", point.at_s);
        if let Some((time, above, _)) = &before {
            let pause = point.at_s - time;
            if pause >= PAUSE_S {
                let middle = (above + y) / 2.0 + 4.0;
                let _ = write!(
                    out,
                    "<text class=\"pause\" x=\"48\" y=\"{middle:.1}\">⋮ {}</text>",
                    in_words(pause)
                );
            }
        }
        if before.as_ref().is_none_or(|(_, _, last)| *last != text) {
            let at = y + 4.0;
            let _ = write!(out, "<text x=\"48\" y=\"{at:.1}\">{text}</text>");
        }
        before = Some((point.at_s, *y, text));
    }
}

/// `120 ms`, `1.4 s`.
pub(super) fn in_words(seconds: f64) -> String {
    match seconds {
        it if it < 1.0 => format!("{:.0} ms", it * 1e3),
        it if it < 10.0 => format!("{it:.1} s"),
        it => format!("{it:.0} s"),
    }
}

fn markers(out: &mut String) {
    out.push_str("<defs>");
    let classes = ARROWS.iter().map(|(_, class)| *class).chain(["convicts"]);
    for class in classes {
        let _ = write!(
            out,
            "<marker id=\"m-{class}\" class=\"{class}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
             markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
             <path d=\"M0 0.6 8 4 0 7.4z\"/></marker>"
        );
    }
    out.push_str("</defs>");
}

fn bands(trace: &Trace, layout: &Layout, out: &mut String) {
    let count = trace.lanes.len() as f64;
    for band in &trace.bands {
        let Some(until) = band.mark.until_s else { continue };
        let (from, to) = (layout.at(band.mark.at_s), layout.at(until));
        let class = if band.is_change { "change" } else { "fault" };
        for &lane in &band.lanes {
            let _ = write!(
                out,
                "<rect class=\"band {class}\" x=\"{:.2}%\" width=\"{:.2}%\" y=\"{from:.1}\" \
                 height=\"{:.1}\"><title>{}</title></rect>",
                100.0 * lane as f64 / count,
                100.0 / count,
                (to - from).max(2.0),
                escape(&format!(
                    "{:.3} s to {until:.3} s: {}",
                    band.mark.at_s,
                    band.mark.in_words()
                ))
            );
        }
    }
}

fn lanes(trace: &Trace, layout: &Layout, out: &mut String) {
    for (index, lane) in trace.lanes.iter().enumerate() {
        let x = x(trace, index);
        let class = kind_of(lane.kind);
        let mut from = 0.0;
        let mut line = |from: f64, to: f64| {
            if to > from {
                let _ = write!(
                    out,
                    "<line class=\"lane {class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{from:.1}\" \
                     y2=\"{to:.1}\"/>"
                );
            }
        };
        let down = |it: &&super::Span| it.lane == index && it.kind == SpanKind::Down;
        for span in trace.spans.iter().filter(down) {
            line(from, layout.at(span.from_s));
            from = layout.at(span.to_s).max(from);
        }
        line(from, layout.height);
        // What does not fit would run into the lane beside it.
        let width = NARROW.max(trace.lanes.len() as f64 * LANE_MIN) / trace.lanes.len() as f64;
        let fits = lane.at_first.chars().count() as f64 * 4.9 < width;
        if fits && !lane.at_first.is_empty() {
            let _ = write!(
                out,
                "<text class=\"first\" x=\"{x}\" y=\"16\">{}</text>",
                escape(&lane.at_first)
            );
        }
    }
}

fn spans(trace: &Trace, layout: &Layout, out: &mut String) {
    for span in &trace.spans {
        let x = x(trace, span.lane);
        let (from, to) = (layout.at(span.from_s), layout.at(span.to_s));
        let height = (to - from).max(2.0);
        let shard = span.shard.unwrap_or(0);
        // Several shards of one lane stand side by side.
        let (class, dx, width) = match span.kind {
            SpanKind::Leads => {
                (format!("leads h{}", shard % 7), 3 * (shard % SHARDS) as i64 - 8, 3)
            }
            SpanKind::Repairs => ("repairs".to_owned(), -6, 12),
            SpanKind::Down => ("down".to_owned(), -5, 10),
        };
        let data = span.shard.map_or(String::new(), |shard| format!(" data-s=\"{shard}\""));
        let _ = write!(
            out,
            "<rect class=\"span {class}\" x=\"{x}\" transform=\"translate({dx} 0)\" \
             width=\"{width}\" y=\"{from:.1}\" height=\"{height:.1}\"{data}><title>{}</title></rect>",
            escape(&span.text)
        );
    }
}

fn arrows(trace: &Trace, layout: &Layout, out: &mut String) {
    for (index, arrow) in trace.arrows.iter().enumerate() {
        let corners = layout.corners(trace, index);
        let ends = [arrow.from, arrow.to];
        let points = ends.iter().filter_map(|end| match end {
            super::End::Point(point) => Some(*point),
            super::End::Lane(_) => None,
        });
        let points: Vec<usize> = points.collect();
        // What it carries may be convicted of something else than this journey.
        let convicts = points.iter().all(|it| trace.points[*it].convicts) && !points.is_empty();
        let class = class_of(arrow.kind);
        let (marker, strong) = if convicts { ("convicts", " convicts") } else { (class, "") };
        let message = arrow.message.map_or(String::new(), |it| format!(" data-m=\"{it}\""));
        let at = points.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let _ = write!(out, "<g class=\"a {class}{strong}\" data-p=\"{at}\"{message}>");
        for (number, pair) in corners.windows(2).enumerate() {
            let [(one, from), (other, to)] = [pair[0], pair[1]];
            let is_last = number + 2 == corners.len();
            let head =
                if is_last { format!(" marker-end=\"url(#m-{marker})\"") } else { String::new() };
            let (x1, x2) = (x(trace, one), x(trace, other));
            let _ = write!(
                out,
                "<line x1=\"{x1}\" y1=\"{from:.1}\" x2=\"{x2}\" y2=\"{to:.1}\"{head}/>"
            );
        }
        out.push_str("</g>");
    }
}

fn points(trace: &Trace, layout: &Layout, out: &mut String) {
    for (index, (point, y)) in trace.points.iter().zip(&layout.ys).enumerate() {
        let strong = if point.convicts { " convicts" } else { "" };
        let class = point.kind.class();
        let at = point.lane.map_or_else(|| "0".to_owned(), |lane| x(trace, lane));
        let _ = write!(
            out,
            "<svg class=\"e {class}{strong}\" id=\"e{index}\" x=\"{at}\" y=\"{y:.1}\" \
             overflow=\"visible\" data-k=\"{}\"",
            point.kind.counted()
        );
        let lists: [(&str, Vec<String>); 4] = [
            ("m", point.messages.iter().map(usize::to_string).collect()),
            ("s", point.shards.iter().map(u64::to_string).collect()),
            ("l", point.lane.iter().map(usize::to_string).collect()),
            ("d", point.destination.iter().map(usize::to_string).collect()),
        ];
        for (name, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            let _ = write!(out, " data-{name}=\"{}\"", list.join(" "));
        }
        out.push('>');
        let text = format!("{:.6} s  {}", point.at_s, point.text);
        let _ = write!(out, "<title>{}</title>", escape(&text));
        match point.lane {
            None => out.push_str("<line class=\"across\" x1=\"0\" x2=\"100%\" y1=\"0\" y2=\"0\"/>"),
            Some(_) => out.push_str(shape(class)),
        }
        let label = escape(&shortened(&point.label));
        let place = layout.places[index];
        let (dx, anchor) = match (point.lane, place.left) {
            (None, _) => (3, ""),
            (_, true) => (-8, " text-anchor=\"end\""),
            (_, false) => (8, ""),
        };
        let _ = write!(out, "<text x=\"{dx}\" y=\"{}\"{anchor}>{label}</text></svg>", place.dy);
    }
}

/// Shapes differ, so that nothing is said by colour alone.
fn shape(class: &str) -> &'static str {
    match class {
        "sent" | "settle" => "<circle r=\"4\"/>",
        "deliver" => "<circle class=\"ring\" r=\"3.6\"/>",
        "answer" | "conn" => "<circle r=\"2.2\"/>",
        "vote" => "<path d=\"M0-4.6 4.6 0 0 4.6-4.6 0z\"/>",
        "lead" => "<path d=\"M-5 4 0-5 5 4z\"/>",
        "copy" => "<rect x=\"-4\" y=\"-4\" width=\"8\" height=\"8\"/>",
        "disk" => "<path d=\"M-5 0H5\" class=\"ring\"/>",
        "life" | "back" | "refused" => "<path class=\"ring\" d=\"M-4-4 4 4M4-4-4 4\"/>",
        _ => "<path d=\"M-2.5-5H2.5V5H-2.5z\"/>",
    }
}

fn shortened(label: &str) -> String {
    match label.char_indices().nth(LABEL) {
        Some((cut, _)) => format!("{}…", &label[..cut]),
        None => label.to_owned(),
    }
}
