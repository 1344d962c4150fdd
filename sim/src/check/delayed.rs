//! What is put off is delivered when it is due: never before, and in quiet times soon after.
//!
//! The leader decides by its wall clock, and the time counts from when another one, perhaps, proposed to
//! store the message; so it may come earlier by as much as clocks differ. Each delivery of a message that
//! is repeated has a name of its own, and they are taken in the order in which they were handed out:
//! the last one may not come before all periods have passed, and each comes soon after one period has
//! passed since the one before. That none is missing, and that there are no more, `lost` and `doubled`
//! say.
//!
//! Handing out counts. How long it takes until there is a consumer with room is no matter for this
//! check, but for the grace that is given: in scenarios with delays consumers keep up.

use std::{collections::BTreeMap, time::Duration};

use super::{End, Found, HashMap, step::NameId, step::Steps, trail::Trail};
use crate::workload::{
    history::History,
    operation::{Delay, MessageId, Publish},
};

/// What reports call the check.
pub const NAME: &str = "delayed";

/// In quiet times a message that is due is handed out within that.
const GRACE: Duration = Duration::from_secs(3);

/// Everything that is wrong.
pub fn judge(history: &History, end: &End, trail: &Trail, names: &mut Steps) -> Vec<Found> {
    let delayed = |id: &MessageId| history.publish(*id).is_some_and(|it| it.delay.is_some());
    let messages: HashMap<NameId, MessageId> = history
        .deliveries
        .iter()
        .filter(|it| it.destination.is_some() && delayed(&it.id))
        .map(|it| (names.name(&it.broker_id), it.id))
        .collect();
    // When each delivery of a message was handed out first.
    let mut handed: BTreeMap<MessageId, Vec<(NameId, Duration)>> = BTreeMap::new();
    for it in trail.handed_in_full() {
        let Some((name, id)) = it.id.and_then(|name| Some((name, *messages.get(&name)?))) else {
            continue;
        };
        let of_message = handed.entry(id).or_default();
        if of_message.iter().all(|(known, _)| *known != name) {
            of_message.push((name, it.at));
        }
    }
    let mut found = Vec::new();
    for (id, handed) in handed {
        let publish = history.publish(id).expect("it was sent");
        let delay = publish.delay.expect("only those are looked at");
        let times: Vec<Duration> = handed.into_iter().map(|(_, at)| at).collect();
        let wrong =
            too_early(publish, delay, &times, end).or_else(|| late(publish, delay, &times, end));
        if let Some(wrong) = wrong {
            found.push(Found::about(format!("{id} {wrong}"), [id]));
        }
    }
    found
}

fn too_early(publish: &Publish, delay: Delay, times: &[Duration], end: &End) -> Option<String> {
    (0..).zip(times).find_map(|(number, at)| {
        let due = publish.sent + delay.after + delay.period * number;
        (*at + end.clock_error < due).then(|| {
            format!(
                "was sent at {:.3}s, due at {:.3}s at the earliest, and handed out at {:.3}s, as number \
                 {number}; clocks differ by at most {:.3}s",
                publish.sent.as_secs_f64(),
                due.as_secs_f64(),
                at.as_secs_f64(),
                end.clock_error.as_secs_f64()
            )
        })
    })
}

fn late(publish: &Publish, delay: Delay, times: &[Duration], end: &End) -> Option<String> {
    let (stored, _) = publish.reply.filter(|_| publish.is_acknowledged())?;
    let mut due = stored + delay.after;
    for at in times {
        let latest = due + GRACE + end.clock_error;
        // From the beginning, since clocks that jump meanwhile move what is due.
        if *at > latest && end.quiet.covers(publish.sent, latest) {
            return Some(format!(
                "was due at {:.3}s at the latest, and handed out at {:.3}s, in a quiet time",
                due.as_secs_f64(),
                at.as_secs_f64()
            ));
        }
        due = *at + delay.period;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            quiet::{Margins, Quiet},
            step::{Step, What},
            testing::*,
        },
        *,
    };

    fn milli(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What is said of a message sent at 1 ms with a delay of 500 ms and two repetitions, that is handed
    /// out at these times. Clocks differ by 10 ms.
    fn said(times: &[u64], end: impl FnOnce(&mut End)) -> Vec<Found> {
        let (mut told, mut names, mut trail) = (Told::new(), names(), Trail::default());
        let delay = Delay { after: milli(500), repeat: 2, period: milli(1_000) };
        let id = told.send_by(0, QUEUE, |it| it.delay = Some(delay));
        told.reply(id, crate::workload::operation::Reply::Ok);
        for (number, at) in times.iter().enumerate() {
            told.deliver(id, false);
            let name: std::sync::Arc<str> = format!("ID:{number}").into();
            told.history.deliveries[number].broker_id = name.clone();
            let mut what = dispatch(1, 4, 1, number as u32);
            if let What::Dispatch { id, .. } = &mut what {
                *id = Some(names.name(&name));
            }
            trail.step(&Step { at: milli(*at), ..by(0, what) });
        }
        let mut at_end = End {
            clock_error: milli(10),
            quiet: Quiet::between(&[], milli(90_000), Margins::default()),
            ..End::default()
        };
        end(&mut at_end);
        judge(&told.history, &at_end, &trail, &mut names)
    }

    #[test]
    fn nothing_comes_before_its_time() {
        assert!(said(&[491, 1_491, 2_491], |_| {}).is_empty());
        assert!(said(&[490, 1_491, 2_491], |_| {})[0].detail.contains("as number 0"));
        assert!(said(&[491, 1_491, 2_490], |_| {})[0].detail.contains("as number 2"));
    }

    #[test]
    fn nothing_comes_late_in_quiet_times() {
        let latest = 502 + 3_000 + 10;
        assert!(said(&[latest], |_| {}).is_empty());
        assert_eq!(said(&[latest + 1], |_| {}).len(), 1);
        assert!(said(&[502, 502 + 1_000 + 3_010], |_| {}).is_empty());
        assert_eq!(said(&[502, 502 + 1_000 + 3_011], |_| {}).len(), 1);
        let fault = |end: &mut End| {
            let faults = [(milli(700), milli(701))];
            end.quiet = Quiet::between(&faults, milli(90_000), Margins::default());
        };
        assert!(said(&[latest + 1], fault).is_empty());
    }
}
