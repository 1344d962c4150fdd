//! Runs written down by hand, and what is drawn of them.

use std::{sync::Arc, time::Duration};

use paceline_reports::{
    RunResult,
    result::{FaultMark, Verdict},
    trace::{ArrowKind, End, Kind, Point, SpanKind, Trace},
};
use paceline_runtime::trace::{Event, Value};
use paceline_scenario::Scenario;

use super::{Wanted, select::MOST, select::USUAL};
use crate::{
    check::{About, Severity, Violation},
    observe::{Outcome, heard::Heard},
    workload::{
        destinations,
        history::History,
        ids::{ClientId, ConnectionId, DestinationId},
        operation::{Delivery, How, MessageId, Publish, Reply, Settle},
    },
};

/// When the workload began, by the world's clock.
const EPOCH: Duration = Duration::from_secs(4);
/// The consumer is the first client, the producer the second.
const CONSUMER: ClientId = ClientId(0);
const SENDS: ConnectionId = ConnectionId(1);
const TAKES: ConnectionId = ConnectionId(2);

fn scenario() -> Scenario {
    let text = "name = 'x'\nabout = 'x'\nduration = '60s'\n[cluster]\nnodes = 3\nslots = 4\n\
                [[workload]]\nrate = '10/s'\ndestinations = { count = 1 }\nproducers = 1\n\
                consumers = 1";
    Scenario::load("x.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn millis(at: u64) -> Duration {
    Duration::from_millis(at)
}

/// A run in which the producer is connected to n2 and the consumer to n3.
struct Told(Outcome);

impl Told {
    fn new() -> Self {
        let mut history = History::new(destinations(&scenario()), 1);
        history.nodes.insert(SENDS, "n2".into());
        history.nodes.insert(TAKES, "n3".into());
        let (epoch, virtual_time) = (Some(EPOCH), EPOCH + Duration::from_secs(60));
        let shards = vec![1];
        Self(Outcome { history, epoch, virtual_time, shards, ..Outcome::default() })
    }

    fn hear(&mut self, at: u64, node: u32, kind: &str, fields: &[(&str, Value<'_>)]) {
        let event = Event { at: millis(at), node: "", incarnation: 1, kind, fields };
        self.0.heard.push(Heard::said(EPOCH + millis(at), node, &event, false));
    }

    fn of_shard(&mut self, at: u64, node: u32, kind: &str, more: &[(&str, u64)]) {
        let more = more.iter().map(|(name, value)| (*name, Value::U64(*value)));
        let fields: Vec<_> = [("shard", Value::U64(1))].into_iter().chain(more).collect();
        self.hear(at, node, kind, &fields);
    }

    fn serves(&mut self, at: u64, node: u32, term: u64) {
        self.of_shard(at, node, "serve_begin", &[("term", term)]);
    }

    fn dies(&mut self, at: u64, node: u32) {
        self.0.heard.push(Heard::died(EPOCH + millis(at), node));
    }

    fn sends(&mut self, at: u64) -> MessageId {
        self.0.history.sent(
            0,
            Publish {
                destination: DestinationId(0),
                persistent: true,
                connection: SENDS,
                sent: millis(at),
                expires: None,
                delay: None,
                transaction: None,
                priority: None,
                bytes: 10,
                reply: Some((millis(at + 2), Reply::Ok)),
            },
        )
    }

    fn gives(&mut self, at: u64, node: u32, id: MessageId, consumer: &str) {
        let (place, id) = (format!("{}.0", id.sequence), format!("id-{id}"));
        self.hear(
            at,
            node,
            "dispatch",
            &[
                ("shard", Value::U64(1)),
                ("term", Value::U64(1)),
                ("consumer", Value::Str(consumer)),
                ("message", Value::Str(&place)),
                ("id", Value::Str(&id)),
                ("queue", Value::Str("q")),
                ("priority", Value::U64(4)),
                ("redelivered", Value::Bool(false)),
                ("in_flight", Value::U64(1)),
                ("credit", Value::U64(1)),
            ],
        );
    }

    fn settles(&mut self, at: u64, node: u32, id: MessageId, consumer: &str) {
        let place = format!("{}.0", id.sequence);
        self.hear(
            at,
            node,
            "settle",
            &[
                ("shard", Value::U64(1)),
                ("term", Value::U64(1)),
                ("consumer", Value::Str(consumer)),
                ("message", Value::Str(&place)),
            ],
        );
    }

    fn gets(&mut self, at: u64, id: MessageId, client: ClientId) -> u32 {
        self.0.history.arrived(Delivery {
            id,
            broker_id: Arc::from(format!("id-{id}")),
            destination: Some(DestinationId(0)),
            expired: false,
            client,
            connection: TAKES,
            at: millis(at),
            redelivered: false,
            part: None,
            accepted: None,
        })
    }

    fn acknowledges(&mut self, at: u64, delivery: u32) {
        self.0.history.settle_sent(Settle {
            connection: TAKES,
            deliveries: vec![delivery],
            how: How::Accept,
            sent: millis(at),
            reply: None,
        });
    }

    /// The whole life of a message, which n1 leads.
    fn life(&mut self, at: u64) -> MessageId {
        let id = self.sends(at);
        self.gives(at + 1, 0, id, "n3.1");
        let delivery = self.gets(at + 3, id, CONSUMER);
        self.acknowledges(at + 4, delivery);
        self.settles(at + 5, 0, id, "n3.1");
        id
    }

    fn convict(&mut self, at: Option<u64>, about: MessageId) {
        self.0.violations.push(Violation {
            check: "settled",
            severity: Severity::Safety,
            at: at.map(millis),
            detail: "it came again".into(),
            shards: Vec::new(),
            about: Vec::new(),
        });
        self.0.about.push(vec![About::Sent(about)]);
    }

    fn drawn(&self, wanted: Wanted) -> Trace {
        let result = RunResult::new(Default::default(), Verdict::Passed);
        let trace = super::of(&scenario(), &result, &self.0, wanted);
        trace.validate().unwrap_or_else(|error| panic!("{error}"));
        trace
    }

    fn all(&self) -> Trace {
        self.drawn(Wanted::default())
    }
}

fn names(trace: &Trace) -> Vec<&str> {
    trace.lanes.iter().map(|it| it.name.as_str()).collect()
}

/// The arrow of that kind, its ends' lanes, the one between, and whether its ends are at points.
fn arrow(trace: &Trace, kind: ArrowKind) -> (String, [bool; 2]) {
    let mut found = trace.arrows.iter().filter(|it| it.kind == kind);
    let arrow = found.next().unwrap_or_else(|| panic!("no {kind:?}"));
    assert!(found.next().is_none(), "one {kind:?}");
    let lane = |end| match end {
        End::Point(point) => trace.points[point].lane.expect("it is on a lane"),
        End::Lane(lane) => lane,
    };
    let by = [Some(lane(arrow.from)), arrow.via, Some(lane(arrow.to))];
    let by: Vec<&str> = by.iter().flatten().map(|lane| trace.lanes[*lane].name.as_str()).collect();
    let known = [arrow.from, arrow.to].map(|end| matches!(end, End::Point(_)));
    (by.join(" "), known)
}

fn of_kind(trace: &Trace, kind: Kind) -> Vec<&Point> {
    trace.points.iter().filter(|it| it.kind == kind).collect()
}

#[test]
fn a_messages_life_is_arrows_from_lane_to_lane() {
    let mut told = Told::new();
    told.serves(0, 0, 1);
    told.life(100);
    let trace = told.all();
    assert_eq!(names(&trace), ["p0", "n1", "n2", "n3", "c0"]);
    assert_eq!(trace.messages, ["p0-0"]);
    assert_eq!(arrow(&trace, ArrowKind::Send), ("p0 n2 n1".into(), [true, false]));
    assert_eq!(arrow(&trace, ArrowKind::Answer), ("n1 n2 p0".into(), [false, true]));
    assert_eq!(arrow(&trace, ArrowKind::Deliver), ("n1 n3 c0".into(), [true, true]));
    assert_eq!(arrow(&trace, ArrowKind::Settle), ("c0 n3 n1".into(), [true, true]));
    assert!(trace.arrows.iter().all(|it| it.message == Some(0)));
    let kinds: Vec<Kind> = trace.points.iter().map(|it| it.kind).collect();
    let life = [
        Kind::Lead,
        Kind::Sent,
        Kind::Dispatched,
        Kind::Answered,
        Kind::Delivered,
        Kind::Settling,
        Kind::Settled,
    ];
    assert_eq!(kinds, life);
    assert!(trace.left_out.is_empty() && trace.window.before == 0);
}

#[test]
fn what_a_node_does_ends_with_its_process() {
    let mut told = Told::new();
    told.serves(0, 0, 1);
    told.serves(10, 1, 2);
    told.dies(50, 0);
    // Whoever looks whether it is there finds again that it is not.
    told.dies(51, 0);
    told.hear(80, 0, "node_ready", &[]);
    told.of_shard(90, 1, "serve_end", &[("term", 2)]);
    told.serves(95, 2, 3);
    let trace = told.all();
    let span = |node: &str, kind| {
        let found: Vec<(f64, f64)> = trace
            .spans
            .iter()
            .filter(|it| trace.lanes[it.lane].name == node && it.kind == kind)
            .map(|it| (it.from_s, it.to_s))
            .collect();
        found
    };
    assert_eq!(span("n1", SpanKind::Leads), [(0.0, 0.05)]);
    assert_eq!(span("n1", SpanKind::Down), [(0.05, 0.08)]);
    assert_eq!(span("n2", SpanKind::Leads), [(0.01, 0.09)]);
    assert_eq!(span("n3", SpanKind::Leads), [(0.095, 60.0)]);
    let lives: Vec<&str> = of_kind(&trace, Kind::Life).iter().map(|it| it.label.as_str()).collect();
    assert_eq!(lives, ["ends", "starts", "is ready"]);
}

#[test]
fn what_a_node_says_of_many_shards_at_once_is_one_event_unless_it_convicts() {
    let vote = |told: &mut Told, shard: u64, convicts: bool| {
        let fields = [("shard", Value::U64(shard)), ("term", Value::U64(7)), ("to", Value::U64(3))];
        let event =
            Event { at: millis(1), node: "", incarnation: 1, kind: "vote", fields: &fields };
        told.0.heard.push(Heard::said(EPOCH + millis(1), 0, &event, convicts));
    };
    let mut told = Told::new();
    (0..6).for_each(|shard| vote(&mut told, shard, shard == 4));
    let trace = told.all();
    let votes: Vec<(&str, bool)> =
        of_kind(&trace, Kind::Vote).iter().map(|it| (it.label.as_str(), it.convicts)).collect();
    assert_eq!(
        votes,
        [
            ("votes for n3 in 4 shards", false),
            ("votes for n3 in 4", true),
            ("votes for n3 in 5", false)
        ]
    );
    assert_eq!(trace.arrows.len(), 3);
}

#[test]
fn a_consumers_number_is_another_one_in_the_nodes_next_life() {
    let mut told = Told::new();
    told.hear(0, 2, "node_ready", &[]);
    let first = told.sends(1);
    told.gives(2, 0, first, "n3.1");
    told.gets(3, first, CONSUMER);
    told.dies(10, 2);
    told.hear(20, 2, "node_ready", &[]);
    let second = told.sends(30);
    told.gives(31, 0, second, "n3.1");
    told.gets(32, second, ClientId(9));
    let trace = told.all();
    let given: Vec<&str> =
        of_kind(&trace, Kind::Dispatched).iter().map(|it| it.label.as_str()).collect();
    assert_eq!(given, ["p0-0 to c0", "p0-1 to c9"]);
}

#[test]
fn a_finding_convicts_by_the_life_of_its_message() {
    let mut told = Told::new();
    told.serves(0, 0, 1);
    told.life(100);
    let id = told.life(200);
    told.convict(Some(205), id);
    let trace = told.all();
    let [conviction] = trace.convictions.as_slice() else { panic!("{:?}", trace.convictions) };
    let kinds: Vec<Kind> = conviction.points.iter().map(|it| trace.points[*it].kind).collect();
    let all = [
        Kind::Sent,
        Kind::Dispatched,
        Kind::Answered,
        Kind::Delivered,
        Kind::Settling,
        Kind::Settled,
        Kind::Verdict,
    ];
    assert_eq!(kinds, all);
    let convicts = trace.points.iter().filter(|it| it.convicts).count();
    assert_eq!(convicts, all.len(), "the other message's events do not");
}

#[test]
fn a_window_is_what_was_asked_for() {
    let mut told = Told::new();
    for number in 0..10 {
        told.life(number * 1000);
    }
    let seconds = Duration::from_secs;
    let shown = |wanted| {
        let trace = told.drawn(wanted);
        let window = trace.window;
        assert_eq!(window.before + window.after + trace.points.len() as u64, 60);
        (window.from_s, window.to_s, of_kind(&trace, Kind::Sent).len())
    };
    let (from, to, last) = (Some(seconds(2)), Some(seconds(5)), Some(seconds(3)));
    assert_eq!(shown(Wanted { from, to, last: None }), (2.0, 5.0, 4));
    assert_eq!(shown(Wanted { from: None, to, last }), (2.0, 5.0, 4));
    assert_eq!(shown(Wanted { from, to: None, last: None }), (2.0, 60.0, 8));
    assert_eq!(shown(Wanted::default()), (0.0, 60.0, 10));
    assert_eq!(shown(Wanted { from: None, to: None, last }), (57.0, 60.0, 0));
    told.convict(Some(3005), MessageId { producer: 0, sequence: 3 });
    let trace = told.drawn(Wanted { from: None, to: None, last });
    assert_eq!((trace.window.from_s, trace.window.to_s), (0.005, 3.005), "before the violation");
}

#[test]
fn of_a_long_run_the_surroundings_of_the_violation_are_shown() {
    let mut told = Told::new();
    told.serves(0, 0, 1);
    let ids: Vec<MessageId> = (0..500).map(|number| told.life(number * 100)).collect();
    let passed = told.all();
    assert_eq!(passed.window.to_s, 60.0);
    assert!(passed.window.from_s > 40.0 && passed.points.len() >= USUAL, "{:?}", passed.window);

    told.convict(Some(20_005), ids[200]);
    let failed = told.all();
    let window = failed.window;
    assert!(window.from_s > 10.0 && window.to_s > 20.005 && window.to_s < 22.0, "{window:?}");
    assert!(window.after > 1000);

    // What convicts is shown however long ago it was.
    told.convict(None, ids[3]);
    let failed = told.all();
    assert_eq!(failed.window.from_s, 0.3);
    assert!(failed.points.len() <= MOST);
    let of_it = |it: &&Point| it.convicts && it.label.contains("p0-3");
    assert!(failed.points.iter().filter(of_it).count() >= 5);
}

#[test]
fn what_is_not_drawn_is_counted_by_kind() {
    let mut told = Told::new();
    told.serves(0, 0, 1);
    for number in 0..300 {
        told.life(1000 + number * 2);
    }
    for index in 0..50 {
        told.of_shard(1000, 2, "apply", &[("index", index), ("commands", 1)]);
    }
    told.0.heard.sort_by_key(|it| it.at);
    told.0.faults.push(FaultMark {
        at_s: 1.1,
        until_s: Some(1.2),
        label: "slow disk n2".into(),
        note: String::new(),
        nodes: vec!["n2".into()],
    });
    let to = Some(Duration::from_secs(2));
    let trace = told.drawn(Wanted { from: Some(Duration::ZERO), to, last: None });
    assert!(trace.points.len() <= MOST && trace.points.len() > MOST - 6);
    // All applied entries are one event: they were said within a moment.
    let all = 1 + 6 * 300 + 1 + 2;
    assert_eq!(trace.left_out() as usize + trace.points.len(), all);
    assert_eq!((trace.window.before, trace.window.after), (0, 0));
    let left = |kind| trace.left_out.iter().find(|it| it.kind == kind).map_or(0, |it| it.count);
    assert_eq!(left(Kind::Sent) as usize + of_kind(&trace, Kind::Sent).len(), 300);
    assert_eq!((left(Kind::Applied), left(Kind::Fault)), (1, 0));
    // A message is drawn from its beginning to its end, or not at all.
    for id in 0..trace.messages.len() {
        let events = trace.points.iter().filter(|it| it.messages.contains(&id)).count();
        assert_eq!(events, 6, "{}", trace.messages[id]);
    }
    let [band] = trace.bands.as_slice() else { panic!("{:?}", trace.bands) };
    assert_eq!(band.lanes.iter().map(|it| names(&trace)[*it]).collect::<Vec<_>>(), ["n2"]);
}
