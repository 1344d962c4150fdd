//! What the nodes said, kept as it was heard: an event borrows its texts, and is over when its listener
//! returns.

use std::time::Duration;

use paceline_events::Event;
use paceline_runtime::trace::{self, Value};

use crate::check::step::NodeId;

/// One event of a node, or the end of its process.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When, by the world's clock.
    pub at: Duration,
    /// Which node.
    pub node: NodeId,
    /// Whether a check did not hold because of it.
    pub convicts: bool,
    /// Its name, empty for the end of the process.
    kind: String,
    fields: Vec<(String, Kept)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    U64(u64),
    I64(i64),
    Bool(bool),
    Str(String),
}

impl Kept {
    fn value(&self) -> Value<'_> {
        match self {
            Self::U64(number) => Value::U64(*number),
            Self::I64(number) => Value::I64(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Str(text) => Value::Str(text),
        }
    }
}

impl Heard {
    /// A node said this.
    pub fn said(at: Duration, node: NodeId, event: &trace::Event<'_>, convicts: bool) -> Self {
        let kept = |(name, value): &(&str, Value<'_>)| {
            let kept = match *value {
                Value::U64(number) => Kept::U64(number),
                Value::I64(number) => Kept::I64(number),
                Value::Bool(truth) => Kept::Bool(truth),
                Value::Str(text) => Kept::Str(text.to_owned()),
            };
            ((*name).to_owned(), kept)
        };
        let fields = event.fields.iter().map(kept).collect();
        Self { at, node, convicts, kind: event.kind.to_owned(), fields }
    }

    /// A node's process has ended.
    pub fn died(at: Duration, node: NodeId) -> Self {
        Self { at, node, convicts: false, kind: String::new(), fields: Vec::new() }
    }

    /// Whether its process has ended.
    pub fn is_death(&self) -> bool {
        self.kind.is_empty()
    }

    /// Shows the event to somebody, if it is one of the broker's.
    pub fn read<R>(&self, with: impl FnOnce(Event<'_>) -> R) -> Option<R> {
        let fields: Vec<(&str, Value<'_>)> =
            self.fields.iter().map(|(name, kept)| (name.as_str(), kept.value())).collect();
        let event = trace::Event {
            at: self.at,
            node: "",
            incarnation: 0,
            kind: &self.kind,
            fields: &fields,
        };
        Event::read(&event).ok().flatten().map(with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_said() {
        let fields = [
            ("shard", Value::U64(3)),
            ("term", Value::U64(4)),
            ("consumer", Value::Str("n1.7")),
            ("message", Value::Str("17.0.0")),
        ];
        let said = trace::Event {
            at: Duration::ZERO,
            node: "n2",
            incarnation: 1,
            kind: "settle",
            fields: &fields,
        };
        let heard = Heard::said(Duration::from_secs(1), 1, &said, true);
        let read = heard.read(|event| format!("{event:?}"));
        let settle = Event::Settle { shard: 3, term: 4, consumer: "n1.7", message: "17.0.0" };
        assert_eq!(read, Some(format!("{settle:?}")));
        assert!(!heard.is_death() && heard.convicts);
        let death = Heard::died(Duration::ZERO, 1);
        assert!(death.is_death());
        assert_eq!(death.read(|_| ()), None);
    }
}
