use super::*;
use crate::testing::message;

const MINUTE: u64 = 60_000;

fn with(properties: &[(&str, Value)]) -> Message {
    let properties = properties.iter().map(|(name, value)| ((*name).into(), value.clone()));
    Message { properties: properties.collect(), ..message("q", "m") }
}

fn schedule(properties: &[(&str, Value)]) -> Schedule {
    Schedule::of(&with(properties)).unwrap().expect("it has a schedule")
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// When it is delivered, sent at `now` and each time noticed `late`; at most ten.
fn times(schedule: &Schedule, now: u64, late: u64) -> Vec<u64> {
    let mut due = schedule.first(UnixMillis(now));
    let mut times = Vec::new();
    while let Some(it) = due.filter(|_| times.len() < 10) {
        times.push(it.at.0);
        due = schedule.next(it, later(it.at, late));
    }
    times
}

#[test]
fn a_delay_is_one_delivery() {
    assert_eq!(times(&schedule(&[(DELAY, Value::Long(30_000))]), 500, 0), [30_500]);
    assert_eq!(times(&schedule(&[(DELAY, text(" 30 "))]), 500, 9), [530]);
    // The period alone is one, too.
    assert_eq!(times(&schedule(&[(PERIOD, Value::Int(700))]), 500, 0), [1_200]);
    let both = schedule(&[(DELAY, Value::Short(5)), (PERIOD, Value::Int(700))]);
    assert_eq!(times(&both, 500, 0), [505]);
    assert!(!both.is_repeated());
}

#[test]
fn a_repetition_counts_the_deliveries_behind_the_first() {
    let properties =
        [(DELAY, Value::Long(1_000)), (PERIOD, Value::Long(200)), (REPEAT, Value::Int(3))];
    assert_eq!(times(&schedule(&properties), 0, 0), [1_000, 1_200, 1_400, 1_600]);
    // Noticed a little late they keep their pace, and much too late their distance.
    assert_eq!(times(&schedule(&properties), 0, 150), [1_000, 1_200, 1_400, 1_600]);
    assert_eq!(times(&schedule(&properties), 0, 500), [1_000, 1_700, 2_400, 3_100]);
    assert_eq!(times(&schedule(&properties[1..]), 0, 0), [200, 400, 600, 800]);
    let for_ever = schedule(&[(PERIOD, text("100")), (REPEAT, text("-1"))]);
    assert_eq!(times(&for_ever, 0, 0).last(), Some(&1_000));
    assert!(for_ever.is_repeated());
}

#[test]
fn each_time_of_a_cron_expression_begins_a_run() {
    let hourly = (CRON, text("0 * * * *"));
    let at = |minutes: &[u64]| minutes.iter().map(|it| it * MINUTE).collect::<Vec<_>>();
    let plain = schedule(std::slice::from_ref(&hourly));
    assert_eq!(times(&plain, 1, 0)[..3], at(&[60, 120, 180]));
    assert_eq!(times(&plain, 1, 61 * MINUTE)[..3], at(&[60, 180, 300]), "what was missed is over");

    let delayed = schedule(&[hourly.clone(), (DELAY, Value::Int(90 * MINUTE as i32))]);
    assert_eq!(times(&delayed, 1, 0)[..3], at(&[150, 210, 270]), "none is left out");

    let properties = [
        hourly,
        (DELAY, Value::Int(MINUTE as i32)),
        (PERIOD, Value::Int(10 * MINUTE as i32)),
        (REPEAT, Value::Int(2)),
    ];
    assert_eq!(times(&schedule(&properties), 1, 0)[..6], at(&[61, 71, 81, 121, 131, 141]));
    let long = schedule(&[properties[0].clone(), properties[2].clone(), (REPEAT, Value::Int(7))]);
    assert_eq!(times(&long, 1, 0)[6..], at(&[130, 140, 190, 200]), "runs do not overlap");
}

#[test]
fn what_asks_for_nothing_is_no_schedule() {
    for properties in [
        &[][..],
        &[(DELAY, text("0")), (PERIOD, Value::Long(0)), (CRON, text(" "))],
        &[(REPEAT, Value::Int(9))],
        &[("AMQ_SCHEDULED_OTHER", text("x"))],
    ] {
        assert_eq!(Schedule::of(&with(properties)), Ok(None), "{properties:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (name, value) in [
        (DELAY, Value::Long(-1)),
        (DELAY, Value::Long(LONGEST_MILLIS + 1)),
        (DELAY, text("soon")),
        (DELAY, text("")),
        (PERIOD, Value::Double(1.0)),
        (PERIOD, Value::Bytes(vec![1].into())),
        (REPEAT, Value::Int(-2)),
        (REPEAT, Value::Long(1 << 31)),
        (CRON, text("* * * *")),
        (CRON, Value::Bytes(vec![1].into())),
    ] {
        let said = Schedule::of(&with(&[(name, value.clone())]));
        assert!(said.as_ref().is_err_and(|why| why.contains(name)), "{value:?}: {said:?}");
    }
    for period in [0, SHORTEST_PERIOD_MILLIS - 1] {
        let properties =
            [(DELAY, Value::Int(5)), (PERIOD, Value::Long(period)), (REPEAT, Value::Int(1))];
        assert!(Schedule::of(&with(&properties)).unwrap_err().contains(PERIOD));
    }
}

#[test]
fn what_is_not_stored_cannot_wait() {
    let destination = crate::Destination::queue("ID:a-1:1").unwrap();
    let sent = Message { destination, ..with(&[(DELAY, Value::Int(5))]) };
    assert!(Schedule::of(&sent).is_err());
    assert_eq!(Schedule::of(&Message { properties: Vec::new(), ..sent }), Ok(None));
}

#[test]
fn what_is_delivered_names_what_was_sent() {
    let sent = with(&[(DELAY, text("5")), ("colour", text("blue")), (JOB, text("forged"))]);
    let once = delivered(&sent, UnixMillis(77));
    assert_eq!(once.id, sent.id);
    let properties = [("colour".into(), text("blue")), (JOB.into(), text("m"))];
    assert_eq!(once.properties, properties);

    let sent = with(&[(PERIOD, text("500")), (REPEAT, text("1"))]);
    assert_eq!(&*delivered(&sent, UnixMillis(77)).id, "m:77");
    let sent = with(&[(CRON, text("* * * * *"))]);
    assert_eq!(&*delivered(&sent, UnixMillis(77)).id, "m:77");
}
