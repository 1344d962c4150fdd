//! Times of day and dates as cron writes them, in UTC: minute, hour, day of the month, month and day of
//! the week.
//!
//! As ActiveMQ reads them: a step selects multiples, so `*/10` among the days are the 10th, 20th and
//! 30th; where both days are restricted, either will do. Otherwise than there `7` is a Sunday, too.

use crate::UnixMillis;

const MINUTE: u64 = 60_000;
const DAY_MINUTES: u64 = 24 * 60;

/// A leap day that is no leap year's neighbour comes after eight years at the latest (1896 to 1904).
const SEARCHED_DAYS: u64 = 9 * 366;

/// See the module. Bit n of a field stands for the value n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether all of them are allowed.
    is_any_day: bool,
    is_any_weekday: bool,
}

impl Cron {
    /// Reads an expression; an error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!(
                "a schedule has five fields, minute, hour, day, month and weekday; `{text}` has {}",
                fields.len()
            ));
        };
        let weekday_bits = field(weekdays, "weekday", 0, 7)?;
        let cron = Self {
            minutes: field(minutes, "minute", 0, 59)?,
            hours: field(hours, "hour", 0, 23)?,
            days: field(days, "day", 1, 31)?,
            months: field(months, "month", 1, 12)?,
            weekdays: (weekday_bits | weekday_bits >> 7) & 0x7f,
            is_any_day: days == "*",
            is_any_weekday: weekdays == "*",
        };
        match cron.after(UnixMillis(0)) {
            Some(_) => Ok(cron),
            None => Err(format!("the schedule `{text}` names a day that never comes")),
        }
    }

    /// The first time after that one.
    pub(super) fn after(&self, time: UnixMillis) -> Option<UnixMillis> {
        let first = time.0 / MINUTE + 1;
        let first_day = first / DAY_MINUTES;
        (first_day..first_day + SEARCHED_DAYS).find_map(|day| {
            if !self.is_day(day) {
                return None;
            }
            let from = first.saturating_sub(day * DAY_MINUTES);
            let minute = (from..DAY_MINUTES)
                .find(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60))?;
            (day * DAY_MINUTES + minute).checked_mul(MINUTE).map(UnixMillis)
        })
    }

    /// Whether it may come on that day since the Unix epoch.
    fn is_day(&self, day: u64) -> bool {
        let (month, day_of_month) = date(day);
        // The epoch was a Thursday.
        let weekday = has(self.weekdays, (day + 4) % 7);
        let day = has(self.days, day_of_month);
        has(self.months, month)
            && match (self.is_any_day, self.is_any_weekday) {
                (false, false) => day || weekday,
                _ => day && weekday,
            }
    }
}

fn has(bits: u64, value: u64) -> bool {
    bits >> value & 1 == 1
}

fn field(text: &str, what: &str, least: u64, most: u64) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{text}` is no {what}: those are {least} to {most}, `*`, ranges such as `2-4`, lists with \
             commas, and steps such as `*/5`"
        )
    };
    let number = |text: &str| match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(wrong()),
    };
    let mut bits = 0;
    for item in text.split(',') {
        let (values, step) = match item.split_once('/') {
            None => (item, 1),
            Some((values, step)) => (values, step.parse().map_err(|_| wrong())?),
        };
        let (first, last) = match values.split_once('-') {
            _ if values == "*" => (least, most),
            None => (number(values)?, number(values)?),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        let values = (first..=last).filter(|value| step != 0 && value % step == 0);
        let of_item = values.fold(0, |bits, value| bits | 1 << value);
        if of_item == 0 {
            return Err(wrong());
        }
        bits |= of_item;
    }
    Ok(bits)
}

/// Month and day of the month of a day since the Unix epoch, in the Gregorian calendar.
fn date(day: u64) -> (u64, u64) {
    // Years that begin in March have their leap day at the end; 719,468 days lead from the first of
    // them, in the year 0, to the epoch, and an era is 400 of them.
    let day_of_era = (day + 719_468) % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    ((month_from_march + 2) % 12 + 1, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T22:15:00Z, a Monday.
    const NOW: u64 = 1_796_076_900_000;

    fn in_minutes(text: &str) -> u64 {
        let next = Cron::parse(text).unwrap().after(UnixMillis(NOW)).unwrap();
        assert_eq!(next.0 % MINUTE, 0);
        (next.0 - NOW) / MINUTE
    }

    #[test]
    fn the_next_time_is_the_first_after_now() {
        assert_eq!(in_minutes("* * * * *"), 1);
        assert_eq!(in_minutes("15 22 * * *"), DAY_MINUTES, "now is over");
        assert_eq!(in_minutes("*/20 * * * *"), 5);
        assert_eq!(in_minutes("0 * * * *"), 45);
        assert_eq!(in_minutes("30 1,23 * * *"), 75);
        assert_eq!(in_minutes("0 0 1 * *"), 105, "tomorrow is the first");
        assert_eq!(in_minutes("0 0 * * 2-3"), 105, "and a Tuesday");
        assert_eq!(in_minutes("0 0 * * 0"), 105 + 5 * DAY_MINUTES);
        assert_eq!(in_minutes("0 0 * * 7"), 105 + 5 * DAY_MINUTES);
        assert_eq!(in_minutes("0 0 1 1 *"), 105 + 31 * DAY_MINUTES);
        assert_eq!(in_minutes("0 0 */10 * *"), 105 + 9 * DAY_MINUTES, "the tenth");
    }

    #[test]
    fn of_two_kinds_of_days_either_will_do() {
        assert_eq!(in_minutes("0 0 4 * 6"), 105 + 3 * DAY_MINUTES, "the fourth is a Friday");
        assert_eq!(in_minutes("0 0 6 * 6"), 105 + 4 * DAY_MINUTES, "the fifth is a Saturday");
    }

    #[test]
    fn a_leap_day_may_be_eight_years_away() {
        let before_2100 = UnixMillis(3_981_657_600_000); // 2096-03-04
        let cron = Cron::parse("0 12 29 2 *").unwrap();
        let next = cron.after(before_2100).unwrap();
        assert_eq!(date(next.0 / MINUTE / DAY_MINUTES), (2, 29));
        assert_eq!((next.0 - before_2100.0) / MINUTE / DAY_MINUTES, 2_917, "in the year 2104");
    }

    #[test]
    fn dates_count_as_the_calendar_does() {
        let lengths = |leap| [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = 0;
        for year in 1970..2405u64 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..).zip(lengths(u64::from(leap))) {
                for day_of_month in 1..=length {
                    assert_eq!(date(day), (month, day_of_month), "day {day} is in {year}");
                    day += 1;
                }
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let wrong = [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-3 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "a * * * *",
            "1, * * * *",
            "-1 * * * *",
            "* * 30 2 *",
            "1-2-3 * * * *",
            "*/70 1-2/5 * * *",
            "+ * * * *",
        ];
        for text in wrong {
            assert!(Cron::parse(text).is_err(), "{text} is read");
        }
        assert!(Cron::parse("* * 30 2 *").unwrap_err().contains("never comes"));
    }
}
