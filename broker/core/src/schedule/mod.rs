//! When a message is to be delivered that is not to be delivered at once: what ActiveMQ's properties
//! `AMQ_SCHEDULED_DELAY`, `_PERIOD`, `_REPEAT` and `_CRON` say.
//!
//! A run begins when the message is sent, or at each time that its cron expression names. After the
//! delay (without one, after the period) the message is delivered, and then so many times again, one
//! period apart. With a cron expression the next run is that of the first time after the one that is
//! over; runs do not overlap.
//!
//! What is due next follows from what was due last and from the time at which that was noticed, which
//! comes with the command that says so: replicas agree. What was missed, since nobody led, is not made
//! up for: a delivery that is late is followed by the next one a whole period later.

mod cron;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::cron::Cron;
use crate::{Message, UnixMillis, Value};

/// What the properties begin with that make a schedule.
const PREFIX: &str = "AMQ_SCHEDULED_";
const DELAY: &str = "AMQ_SCHEDULED_DELAY";
const PERIOD: &str = "AMQ_SCHEDULED_PERIOD";
const REPEAT: &str = "AMQ_SCHEDULED_REPEAT";
const CRON: &str = "AMQ_SCHEDULED_CRON";

/// The property of what is delivered that names the message that was sent.
const JOB: &str = "scheduledJobId";

/// The longest delay and period: ten years of 365 days.
const LONGEST_MILLIS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// The shortest period of what is repeated.
const SHORTEST_PERIOD_MILLIS: i64 = 100;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    cron: Option<Cron>,
    /// Milliseconds from the begin of a run to its first delivery.
    lead: u64,
    /// Milliseconds.
    period: u64,
    repeats: Repeats,
}

/// How many deliveries of a run follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repeats {
    /// So many.
    Times(u32),
    /// There is no last one.
    ForEver,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Its next delivery.
    pub at: UnixMillis,
    /// Deliveries that follow in the same run.
    pub left: Repeats,
}

impl Schedule {
    /// That of a message, if it has one. An error says which property is wrong.
    pub fn of(message: &Message) -> Result<Option<Self>, String> {
        if !message.properties.iter().any(|(name, _)| name.starts_with(PREFIX)) {
            return Ok(None);
        }
        let value = |wanted: &str| {
            let found = message.properties.iter().find(|(name, _)| &**name == wanted);
            found.map(|(_, value)| value)
        };
        let number = |name: &str, least: i64, most: i64| match value(name) {
            None => Ok(None),
            Some(value) => match integer(value) {
                Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
                _ => {
                    let value = value.to_text().unwrap_or_default();
                    Err(format!("`{name}` is a number from {least} to {most}, not `{value}`"))
                }
            },
        };
        let delay = number(DELAY, 0, LONGEST_MILLIS)?.unwrap_or(0);
        let period = number(PERIOD, 0, LONGEST_MILLIS)?.unwrap_or(0);
        let repeat = number(REPEAT, -1, i64::from(i32::MAX))?.unwrap_or(0);
        let cron = match value(CRON).map(Value::to_text) {
            None => None,
            Some(Some(text)) if text.trim().is_empty() => None,
            Some(Some(text)) => Some(Cron::parse(&text).map_err(|why| format!("`{CRON}`: {why}"))?),
            Some(None) => return Err(format!("`{CRON}` is a text")),
        };
        if cron.is_none() && delay == 0 && period == 0 {
            // As in ActiveMQ, how often means nothing without when.
            return Ok(None);
        }
        if message.destination.is_temporary() {
            return Err("messages to temporary destinations cannot be scheduled".into());
        }
        if repeat != 0 && period < SHORTEST_PERIOD_MILLIS {
            return Err(format!(
                "what is repeated needs a `{PERIOD}` of at least {SHORTEST_PERIOD_MILLIS} ms"
            ));
        }
        let lead = if delay > 0 { delay } else { period } as u64;
        let repeats = u32::try_from(repeat).map_or(Repeats::ForEver, Repeats::Times);
        Ok(Some(Self { cron, lead, period: period as u64, repeats }))
    }

    /// Whether a message is not to be delivered at once.
    pub fn is_put_off(message: &Message) -> bool {
        matches!(Self::of(message), Ok(Some(_)))
    }

    /// What a message waits for that is sent at `now`; none if that time never comes.
    pub(crate) fn first(&self, now: UnixMillis) -> Option<Due> {
        let begin = match &self.cron {
            None => now,
            Some(cron) => cron.after(now)?,
        };
        Some(Due { at: later(begin, self.lead), left: self.repeats })
    }

    /// What it waits for next, when it has been noticed at `now` that it was due.
    pub(crate) fn next(&self, due: Due, now: UnixMillis) -> Option<Due> {
        let left = match due.left {
            Repeats::ForEver => Some(Repeats::ForEver),
            Repeats::Times(0) => None,
            Repeats::Times(times) => Some(Repeats::Times(times - 1)),
        };
        if let Some(left) = left {
            let next = later(due.at, self.period);
            let at = if next > now { next } else { later(now, self.period) };
            return Some(Due { at, left });
        }
        let begun = UnixMillis(due.at.max(now).0.saturating_sub(self.lead));
        let begin = self.cron.as_ref()?.after(begun)?;
        Some(Due { at: later(begin, self.lead), left: self.repeats })
    }

    /// Whether one message makes several deliveries.
    pub(crate) fn is_repeated(&self) -> bool {
        self.cron.is_some() || self.repeats != Repeats::Times(0)
    }
}

/// What is delivered of a message that was to wait until `due`. Of several each has a name of its own.
pub(crate) fn delivered(message: &Message, due: UnixMillis) -> Message {
    let is_repeated = matches!(Schedule::of(message), Ok(Some(it)) if it.is_repeated());
    let mut delivered = message.clone();
    delivered.properties.retain(|(name, _)| !name.starts_with(PREFIX) && &**name != JOB);
    delivered.properties.push((JOB.into(), Value::Text(message.id.clone())));
    if is_repeated {
        delivered.id = Arc::from(format!("{}:{}", message.id, due.0));
    }
    delivered
}

fn later(time: UnixMillis, millis: u64) -> UnixMillis {
    UnixMillis(time.0.saturating_add(millis))
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Byte(number) => Some((*number).into()),
        Value::Short(number) => Some((*number).into()),
        Value::Int(number) => Some((*number).into()),
        Value::Long(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Float(_) | Value::Double(_) | Value::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests;
