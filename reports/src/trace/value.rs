//! What a diagram shows. Times are seconds since the workload began, in the run's own time; what was
//! before has negative ones.

use serde::{Deserialize, Serialize};

use crate::result::{FaultMark, Identity, ReportError, Verdict, check_version, invalid};

/// The version of the [`Trace`] schema that this crate writes.
pub const TRACE_VERSION: u32 = 1;

/// The most points that a page draws.
pub const MAX_POINTS: usize = 5_000;

/// A space-time diagram of a run, or of a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The schema version of this value; see [`TRACE_VERSION`].
    pub schema_version: u32,
    /// What was run.
    pub identity: Identity,
    /// How it ended.
    pub verdict: Verdict,
    /// Hash of the run's full event log: that of the run that was not drawn.
    pub fingerprint: String,
    /// What part of the run is shown.
    pub window: Window,
    /// What did not hold, worst first.
    pub convictions: Vec<Conviction>,
    /// From left to right.
    pub lanes: Vec<Lane>,
    /// Messages by name.
    pub messages: Vec<String>,
    /// Queues and topics by name.
    pub destinations: Vec<String>,
    /// In the order in which they happened.
    pub points: Vec<Point>,
    /// What went from one lane to another.
    pub arrows: Vec<Arrow>,
    /// What lasted on one lane.
    pub spans: Vec<Span>,
    /// What lasted on several: faults, and changes of the cluster.
    pub bands: Vec<Band>,
    /// What happened within the window and is not drawn.
    pub left_out: Vec<LeftOut>,
}

/// The part of a run that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    /// From then on.
    pub from_s: f64,
    /// Until then.
    pub to_s: f64,
    /// When the run ended.
    pub run_s: f64,
    /// So many events came before.
    pub before: u64,
    /// And so many after.
    pub after: u64,
}

/// What a check or an expectation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conviction {
    /// The check's name.
    pub check: String,
    /// What it found, in one sentence.
    pub detail: String,
    /// The points that convict, as indices; those that are not drawn are missing.
    pub points: Vec<usize>,
}

/// Who has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// A client that sends.
    Producer,
    /// A node of the cluster.
    Node,
    /// A client that receives.
    Consumer,
}

/// One line of the diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// As the run calls it.
    pub name: String,
    /// What it is.
    pub kind: LaneKind,
    /// What it does when the window begins, in a word or two: which shards it leads.
    pub at_first: String,
}

/// What sort of thing happened: it decides how a point is drawn, and what it is called where it is
/// left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A producer sends a message.
    Sent,
    /// A client is told what became of what it asked for.
    Answered,
    /// A client gives up, or is refused.
    Refused,
    /// A leader gives a message to a consumer.
    Dispatched,
    /// A message reaches a consumer.
    Delivered,
    /// A consumer settles.
    Settling,
    /// A leader settles.
    Settled,
    /// A message goes back to its queue.
    GivenBack,
    /// A vote, or the first answer to a new leader.
    Vote,
    /// A node begins to lead, ends, or hands over.
    Lead,
    /// Copies of shards: snapshots, repairs, replicas that come and go.
    Copy,
    /// A node dies, starts or takes part again.
    Life,
    /// A client connects, subscribes or leaves.
    Connection,
    /// A replica applies what is committed.
    Applied,
    /// A node's journal begins or removes a file, or is read.
    Disk,
    /// A fault begins or ends.
    Fault,
    /// A change of the cluster begins or is made.
    Change,
    /// A check fails.
    Verdict,
}

impl Kind {
    /// What so many of them are called where they are counted: `3 sent`.
    pub fn counted(self) -> &'static str {
        match self {
            Kind::Sent => "sent",
            Kind::Answered => "answers to clients",
            Kind::Refused => "refusals",
            Kind::Dispatched => "dispatched",
            Kind::Delivered => "delivered",
            Kind::Settling => "acknowledgements of consumers",
            Kind::Settled => "settled",
            Kind::GivenBack => "given back",
            Kind::Vote => "votes",
            Kind::Lead => "changes of leaders",
            Kind::Copy => "snapshots and copies",
            Kind::Life => "starts and ends of nodes",
            Kind::Connection => "connections and subscriptions",
            Kind::Applied => "applied entries",
            Kind::Disk => "files of journals",
            Kind::Fault => "faults",
            Kind::Change => "changes of the cluster",
            Kind::Verdict => "verdicts",
        }
    }

    /// The class by which the style sheet knows it.
    pub(super) fn class(self) -> &'static str {
        match self {
            Kind::Sent => "sent",
            Kind::Answered => "answer",
            Kind::Refused => "refused",
            Kind::Dispatched | Kind::Delivered => "deliver",
            Kind::Settling | Kind::Settled => "settle",
            Kind::GivenBack => "back",
            Kind::Vote => "vote",
            Kind::Lead => "lead",
            Kind::Copy => "copy",
            Kind::Life => "life",
            Kind::Connection => "conn",
            Kind::Applied | Kind::Disk => "disk",
            Kind::Fault => "fault",
            Kind::Change => "change",
            Kind::Verdict => "verdict",
        }
    }
}

/// Something that happened at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at_s: f64,
    /// On which lane; none if it is everybody's.
    pub lane: Option<usize>,
    /// What sort it is.
    pub kind: Kind,
    /// What stands beside it, in a few words.
    pub label: String,
    /// All that is known, in a sentence.
    pub text: String,
    /// The messages that it is about.
    pub messages: Vec<usize>,
    /// The queue or topic.
    pub destination: Option<usize>,
    /// The shards.
    pub shards: Vec<u64>,
    /// Whether it is among what a check convicts by.
    pub convicts: bool,
}

/// What an arrow stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrowKind {
    /// A message on its way to a leader.
    Send,
    /// An answer to a client.
    Answer,
    /// A message on its way to a consumer.
    Deliver,
    /// An acknowledgement on its way to a leader.
    Settle,
    /// A vote.
    Vote,
    /// A leadership, or a copy, is given to another node.
    Give,
}

/// One end of an arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// At a point: exactly then.
    Point(usize),
    /// On a lane, at a time that nobody has told: a little before or after the other end.
    Lane(usize),
}

/// Something that went from one lane to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrow {
    /// What.
    pub kind: ArrowKind,
    /// Where from.
    pub from: End,
    /// The lane by which it went: that of an ingress node.
    pub via: Option<usize>,
    /// Where to.
    pub to: End,
    /// The message that it carries.
    pub message: Option<usize>,
}

/// What lasts on a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// A node serves a shard as its leader.
    Leads,
    /// A node is not there.
    Down,
    /// A node repairs a copy.
    Repairs,
}

/// Something that lasted on one lane. What began before the window, or ends after it, has the time
/// of the window there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// On which lane.
    pub lane: usize,
    /// What.
    pub kind: SpanKind,
    /// From then.
    pub from_s: f64,
    /// Until then.
    pub to_s: f64,
    /// The shard, if it is of one.
    pub shard: Option<u64>,
    /// All that is known, in a sentence.
    pub text: String,
}

/// Something that lasted and befell several lanes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// What and when.
    pub mark: FaultMark,
    /// On which lanes.
    pub lanes: Vec<usize>,
    /// Whether it was asked of the cluster; otherwise it is a fault.
    pub is_change: bool,
}

/// Events of a kind that are not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which.
    pub kind: Kind,
    /// How many.
    pub count: u64,
}

impl Trace {
    /// The diagram as JSON.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if [`Trace::validate`] refuses it.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.validate()?;
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a diagram back and validates it.
    ///
    /// # Errors
    /// [`ReportError::Json`] if the text is none, [`ReportError::TooNew`] if its schema version is
    /// unknown to this build, [`ReportError::Invalid`] if it cannot be drawn.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text, TRACE_VERSION)?;
        let trace: Trace = serde_json::from_str(text)?;
        trace.validate()?;
        Ok(trace)
    }

    /// Refuses what cannot be drawn: times that are no numbers or go backwards, and points, lanes,
    /// messages and destinations that do not exist.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] with the path of the first such field.
    pub fn validate(&self) -> Result<(), ReportError> {
        let Window { from_s, to_s, run_s, .. } = self.window;
        for (name, time) in [("from_s", from_s), ("to_s", to_s), ("run_s", run_s)] {
            is_time(&format!("window.{name}"), time)?;
        }
        if from_s > to_s {
            return Err(invalid("window.to_s", "before from_s"));
        }
        if self.points.len() > MAX_POINTS {
            return Err(invalid("points", &format!("more than {MAX_POINTS}")));
        }
        let mut before = f64::NEG_INFINITY;
        for (i, point) in self.points.iter().enumerate() {
            let path = format!("points[{i}]");
            is_time(&format!("{path}.at_s"), point.at_s)?;
            if point.at_s < before {
                return Err(invalid(&format!("{path}.at_s"), "before the point before it"));
            }
            before = point.at_s;
            self.is_lane(&path, point.lane)?;
            for &message in &point.messages {
                is_below(&path, "message", message, self.messages.len())?;
            }
            let destination = point.destination;
            destination
                .map_or(Ok(()), |it| is_below(&path, "destination", it, self.destinations.len()))?;
        }
        for (i, arrow) in self.arrows.iter().enumerate() {
            let path = format!("arrows[{i}]");
            let mut is_somewhere = false;
            for end in [arrow.from, arrow.to] {
                match end {
                    End::Point(point) => {
                        is_below(&path, "point", point, self.points.len())?;
                        is_somewhere |= self.points[point].lane.is_some();
                    }
                    End::Lane(lane) => self.is_lane(&path, Some(lane))?,
                }
            }
            if !is_somewhere {
                return Err(invalid(&path, "neither end is at a point of a lane"));
            }
            self.is_lane(&path, arrow.via)?;
            let message = arrow.message;
            message.map_or(Ok(()), |it| is_below(&path, "message", it, self.messages.len()))?;
        }
        for (i, span) in self.spans.iter().enumerate() {
            let path = format!("spans[{i}]");
            self.is_lane(&path, Some(span.lane))?;
            lasts(&path, span.from_s, span.to_s)?;
        }
        for (i, band) in self.bands.iter().enumerate() {
            let path = format!("bands[{i}]");
            band.lanes.iter().try_for_each(|&lane| self.is_lane(&path, Some(lane)))?;
            lasts(&path, band.mark.at_s, band.mark.until_s.unwrap_or(band.mark.at_s))?;
        }
        for (i, it) in self.convictions.iter().enumerate() {
            let path = format!("convictions[{i}]");
            let points = it.points.iter();
            points.copied().try_for_each(|it| is_below(&path, "point", it, self.points.len()))?;
        }
        Ok(())
    }

    fn is_lane(&self, path: &str, lane: Option<usize>) -> Result<(), ReportError> {
        lane.map_or(Ok(()), |lane| is_below(path, "lane", lane, self.lanes.len()))
    }

    /// How many events happened within the window and are not drawn.
    pub fn left_out(&self) -> u64 {
        self.left_out.iter().map(|it| it.count).sum()
    }
}

fn is_time(path: &str, time: f64) -> Result<(), ReportError> {
    match time.is_finite() {
        true => Ok(()),
        false => Err(invalid(path, &format!("{time} is no time"))),
    }
}

fn lasts(path: &str, from_s: f64, to_s: f64) -> Result<(), ReportError> {
    is_time(&format!("{path}.from"), from_s)?;
    is_time(&format!("{path}.to"), to_s)?;
    match from_s <= to_s {
        true => Ok(()),
        false => Err(invalid(path, "ends before it begins")),
    }
}

fn is_below(path: &str, what: &str, index: usize, count: usize) -> Result<(), ReportError> {
    match index < count {
        true => Ok(()),
        false => Err(invalid(path, &format!("there is no {what} {index}"))),
    }
}
