//! Diagrams written down by hand, and their pages.

use super::{
    layout::{Layout, PAUSE_S},
    page::shown,
    *,
};
use crate::result::{FaultMark, Identity, ReportError, Verdict};

/// A producer, two nodes and a consumer.
fn lanes() -> Vec<Lane> {
    let lane = |name: &str, kind| Lane { name: name.into(), kind, at_first: String::new() };
    vec![
        lane("p0", LaneKind::Producer),
        lane("n1", LaneKind::Node),
        lane("n2", LaneKind::Node),
        lane("c1", LaneKind::Consumer),
    ]
}

fn point(at_s: f64, lane: usize, kind: Kind, label: &str) -> Point {
    Point {
        at_s,
        lane: Some(lane),
        kind,
        label: label.into(),
        text: format!("{label} in full"),
        messages: vec![0],
        destination: Some(0),
        shards: vec![3],
        convicts: false,
    }
}

/// One message: sent through n1 to n2, given to c1 and acknowledged.
fn sample() -> Trace {
    let arrow = |kind, from, via, to| Arrow { kind, from, via, to, message: Some(0) };
    let span = |lane, kind, from_s, to_s, shard| Span {
        lane,
        kind,
        from_s,
        to_s,
        shard,
        text: "a span".into(),
    };
    let mark = FaultMark {
        at_s: 0.5,
        until_s: Some(2.0),
        label: "slow disk n1".into(),
        note: String::new(),
        nodes: vec!["n1".into()],
    };
    Trace {
        schema_version: TRACE_VERSION,
        identity: Identity {
            scenario: "small".into(),
            reproduce: "cargo sim replay small.toml --seed 7".into(),
            ..Identity::default()
        },
        verdict: Verdict::SafetyViolated,
        fingerprint: "abc".into(),
        window: Window { from_s: 0.0, to_s: 3.0, run_s: 9.0, before: 0, after: 0 },
        convictions: vec![Conviction {
            check: "settled".into(),
            detail: "it came twice".into(),
            points: vec![1, 2],
        }],
        lanes: lanes(),
        messages: vec!["p0-0".into()],
        destinations: vec!["q.0".into()],
        points: vec![
            point(0.5, 0, Kind::Sent, "sends p0-0"),
            Point { convicts: true, ..point(0.501, 2, Kind::Dispatched, "p0-0 to c1") },
            Point { convicts: true, ..point(0.502, 3, Kind::Delivered, "gets p0-0") },
            point(2.5, 3, Kind::Settling, "ACK p0-0"),
        ],
        arrows: vec![
            arrow(ArrowKind::Send, End::Point(0), Some(1), End::Lane(2)),
            arrow(ArrowKind::Deliver, End::Point(1), Some(2), End::Point(2)),
            arrow(ArrowKind::Answer, End::Lane(2), Some(1), End::Point(3)),
        ],
        spans: vec![
            span(2, SpanKind::Leads, 0.0, 3.0, Some(3)),
            span(1, SpanKind::Down, 0.501, 2.5, None),
        ],
        bands: vec![Band { mark, lanes: vec![1], is_change: false }],
        left_out: Vec::new(),
    }
}

#[test]
fn a_diagram_is_read_as_it_was_written() {
    let trace = sample();
    assert_eq!(Trace::from_json(&trace.to_json().unwrap()).unwrap(), trace);
    let newer = r#"{"schema_version":99}"#;
    assert!(matches!(Trace::from_json(newer), Err(ReportError::TooNew { found: 99, .. })));
}

#[test]
fn what_cannot_be_drawn_is_refused_with_its_path() {
    let refused = |change: fn(&mut Trace), field: &str| {
        let mut trace = sample();
        change(&mut trace);
        let error = trace_page(&trace).unwrap_err().to_string();
        assert!(error.contains(field), "{error} should name {field}");
    };
    refused(|it| it.points[1].at_s = f64::NAN, "points[1].at_s");
    refused(|it| it.points[1].at_s = 0.1, "points[1].at_s");
    refused(|it| it.points[2].lane = Some(9), "points[2]");
    refused(|it| it.points[2].messages = vec![1], "points[2]");
    refused(|it| it.points[2].destination = Some(1), "points[2]");
    refused(|it| it.arrows[0].from = End::Point(4), "arrows[0]");
    refused(|it| it.arrows[0].from = End::Lane(0), "arrows[0]");
    refused(|it| it.arrows[1].via = Some(4), "arrows[1]");
    refused(|it| it.spans[0].to_s = -1.0, "spans[0]");
    refused(|it| it.bands[0].lanes = vec![4], "bands[0]");
    refused(|it| it.convictions[0].points = vec![4], "convictions[0]");
    refused(|it| it.window.to_s = -1.0, "window.to_s");
}

#[test]
fn every_event_has_a_row_and_a_pause_is_shortened() {
    let layout = Layout::of(&sample());
    let rows: Vec<f64> = layout.ys.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(rows.iter().all(|row| *row >= 18.0), "{rows:?}");
    assert!(rows[2] > rows[1] && rows[2] < 60.0, "two seconds take a little more: {rows:?}");
    assert_eq!((layout.at(0.0), layout.at(3.0)), (0.0, layout.height));
    assert_eq!(layout.at(0.501), layout.ys[1]);
    let between = layout.at(1.5);
    assert!(layout.ys[2] < between && between < layout.ys[3]);
    assert!(PAUSE_S < 1.0 && trace_page(&sample()).unwrap().contains("⋮ 2.0 s"));
}

#[test]
fn an_arrow_goes_by_its_node_and_ends_near_what_is_known() {
    let trace = sample();
    let layout = Layout::of(&trace);
    let sent = layout.corners(&trace, 0);
    let lanes = |corners: &[(usize, f64)]| corners.iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(lanes(&sent), [0, 1, 2]);
    assert!(sent[0].1 == layout.ys[0] && sent[2].1 < layout.ys[1] && sent[2].1 > sent[1].1);
    let given = layout.corners(&trace, 1);
    assert_eq!(lanes(&given), [2, 3], "whoever leads is the client's node");
    assert_eq!((given[0].1, given[1].1), (layout.ys[1], layout.ys[2]));
    let answered = layout.corners(&trace, 2);
    assert!(answered[0].1 < answered[1].1 && answered[2].1 == layout.ys[3]);
}

#[test]
fn the_page_is_whole_without_its_script() {
    let page = trace_page(&sample()).unwrap();
    let script = page.rfind("<script>").unwrap();
    let picture = &page[..script];
    assert_eq!(picture.matches("<svg class=\"e ").count(), 4);
    assert_eq!(picture.matches("<g class=\"a ").count(), 3);
    for text in [">n2</b>", "gets p0-0</text>", "href=\"#e2\"", "id=\"e2\"", "it came twice"] {
        assert!(picture.contains(text), "{text}");
    }
    // The lane of a node that is not there has a gap.
    assert_eq!(picture.matches("class=\"lane node\"").count(), 3);
    // Both ends of this journey convict.
    assert_eq!(picture.matches("class=\"a deliver convicts\"").count(), 1);
}

#[test]
fn the_page_fetches_nothing() {
    let page = trace_page(&sample()).unwrap();
    for outside in ["http:", "https:", "//cdn", "src=", "@import", "url(\"", "<link", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let others = page.split("url(").skip(1).filter(|rest| !rest.starts_with('#'));
    assert_eq!(others.count(), 0);
}

#[test]
fn names_from_outside_stay_text() {
    let evil = || "</script><script>alert(1)</script>\"'&<img onerror=x>]]>--".to_owned();
    let mut trace = sample();
    trace.identity = Identity {
        scenario: evil(),
        about: evil(),
        scenario_hash: evil(),
        seed: 1,
        commit: evil(),
        world: evil(),
        reproduce: evil(),
    };
    trace.fingerprint = evil();
    trace.messages[0] = evil();
    trace.destinations[0] = evil();
    trace.convictions[0].check = evil();
    trace.convictions[0].detail = evil();
    for lane in &mut trace.lanes {
        (lane.name, lane.at_first) = (evil(), evil());
    }
    for point in &mut trace.points {
        (point.label, point.text) = (evil(), evil());
    }
    trace.spans[0].text = evil();
    trace.bands[0].mark.label = evil();
    let page = trace_page(&trace).unwrap();
    assert_eq!(page.matches("<script").count(), 2, "the names and the script");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img") && page.contains("&lt;img"));
    let names = page.split_once("id=\"names\">").unwrap().1.split_once("</script>").unwrap().0;
    let names: serde_json::Value = serde_json::from_str(names).unwrap();
    assert_eq!(names["messages"][0], serde_json::json!(evil()));
}

#[test]
fn what_is_left_out_is_said() {
    let mut trace = sample();
    assert!(shown(&trace).starts_with("Shown is the whole run: 4 events"));
    trace.window.before = 1200;
    trace.left_out = vec![
        LeftOut { kind: Kind::Dispatched, count: 1500 },
        LeftOut { kind: Kind::Applied, count: 2 },
    ];
    let text = shown(&trace);
    assert!(text.contains("1,200 events came before and 0 after"), "{text}");
    assert!(
        text.ends_with(
            "1,502 more of that time are left out: 1,500 dispatched and 2 applied entries."
        ),
        "{text}"
    );
}

#[test]
fn a_page_of_some_hundred_events_is_small() {
    let mut trace = sample();
    let (points, arrows) = (trace.points.clone(), trace.arrows.clone());
    for round in 1..100 {
        let first = trace.points.len();
        trace.points.extend(points.iter().cloned().map(|mut it| {
            it.at_s += 3.0 * f64::from(round);
            it
        }));
        let moved = |end: End| match end {
            End::Point(point) => End::Point(first + point),
            lane => lane,
        };
        let arrows =
            arrows.iter().map(|it| Arrow { from: moved(it.from), to: moved(it.to), ..*it });
        trace.arrows.extend(arrows);
    }
    assert!(trace_page(&trace).unwrap().len() < 400_000);
}

#[test]
fn nothing_but_a_lane_still_makes_a_page() {
    let mut trace = sample();
    trace.points.clear();
    trace.arrows.clear();
    trace.convictions.clear();
    let page = trace_page(&trace).unwrap();
    assert!(!page.contains("NaN") && page.ends_with("</html>\n"));
}
