//! Five-field cron expressions with POSIX weekdays (0 and 7 are Sunday), in UTC, translated for the `cron` crate, which wants six fields
//! and counts weekdays from 1 = Sunday. UTC has no day on which an hour is missing, so no run is ever skipped for the clocks' sake.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use cron::Schedule;
use longshore_session::Timestamp;

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no cron expression: {reason}")]
pub struct InvalidCron {
    text: String,
    reason: String,
}

/// When something is due: minute, hour, day of the month, month, weekday.
#[derive(Debug, Clone)]
pub struct CronExpression {
    text: String,
    schedule: Schedule,
}

impl CronExpression {
    /// Takes the usual five fields, such as `*/30 * * * *` or `0 6 * * 1-5` (Monday to Friday at six).
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        let invalid = |reason: String| InvalidCron { text: text.to_owned(), reason };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(invalid(format!("it has {} fields and needs five: minute hour day month weekday", fields.len())));
        };
        let weekday = weekdays(weekday).map_err(&invalid)?;
        let schedule =
            Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}")).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { text: text.to_owned(), schedule })
    }

    /// The first time after `now`; none where there will be none (30 February).
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now: DateTime<Utc> = DateTime::from_timestamp_millis(now.0)?;
        self.schedule.after(&now).next().map(|next| Timestamp(next.timestamp_millis()))
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Writes a POSIX weekday field as a list of the crate's numbers. A list, since `5-7` would wrap round the crate's week.
fn weekdays(field: &str) -> Result<String, String> {
    if field == "*" || field == "?" {
        return Ok("*".to_owned());
    }
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<usize>().ok().filter(|step| *step > 0).ok_or(format!("the step in `{part}` is no number above 0"))?)
            }
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None if step > 1 => (weekday(range)?, 6),
            None => (weekday(range)?, weekday(range)?),
        };
        if first > last {
            return Err(format!("the range `{range}` runs backwards"));
        }
        for day in (first..=last).step_by(step) {
            if let Some(day) = days.get_mut(day % 7) {
                *day = true;
            }
        }
    }
    let numbers: Vec<String> = days.iter().enumerate().filter(|(_, on)| **on).map(|(day, _)| (day + 1).to_string()).collect();
    Ok(numbers.join(","))
}

fn weekday(name: &str) -> Result<usize, String> {
    const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    if let Some(day) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(day);
    }
    name.parse().ok().filter(|day| *day <= 7).ok_or(format!("`{name}` is no weekday: use 0-7 (0 and 7 are Sunday) or sun-sat"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(expression: &str, now: &str) -> String {
        let now = DateTime::parse_from_rfc3339(now).unwrap();
        let next = CronExpression::parse(expression).unwrap().next_after(Timestamp(now.timestamp_millis())).unwrap();
        DateTime::from_timestamp_millis(next.0).unwrap().format("%a %F %R").to_string()
    }

    #[test]
    fn weekdays_are_counted_as_posix_does() {
        // 2026-11-22 is a Sunday.
        assert_eq!(after("0 6 * * 1-5", "2026-11-22T00:00:00Z"), "Mon 2026-11-23 06:00");
        assert_eq!(after("0 6 * * 0", "2026-11-22T00:00:00Z"), "Sun 2026-11-22 06:00");
        assert_eq!(after("0 6 * * 7", "2026-11-23T00:00:00Z"), "Sun 2026-11-29 06:00");
        assert_eq!(after("0 6 * * 5-7", "2026-11-22T07:00:00Z"), "Fri 2026-11-27 06:00");
        assert_eq!(after("0 6 * * mon", "2026-11-22T00:00:00Z"), "Mon 2026-11-23 06:00");
        assert_eq!(after("*/30 * * * *", "2026-11-22T10:01:00Z"), "Sun 2026-11-22 10:30");
    }

    #[test]
    fn half_past_two_comes_on_the_day_the_clocks_go_forward_too() {
        // 2026-03-29 in most of Europe, 2026-03-08 in the United States.
        assert_eq!(after("30 2 * * *", "2026-03-29T00:00:00Z"), "Sun 2026-03-29 02:30");
        assert_eq!(after("30 2 * * *", "2026-03-08T00:00:00Z"), "Sun 2026-03-08 02:30");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| CronExpression::parse(text).unwrap_err().to_string();
        assert_eq!(
            said("0 * * * * *"),
            "`0 * * * * *` is no cron expression: it has 6 fields and needs five: minute hour day month weekday"
        );
        assert!(said("0 0 * * 8").contains("`8` is no weekday"));
        assert!(said("0 0 * * 5-1").contains("runs backwards"));
        assert!(said("61 * * * *").contains("61"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,40}") {
            let _ = CronExpression::parse(&text);
        }

        #[test]
        fn each_weekday_falls_on_its_day(day in 0u32..=7) {
            use chrono::Datelike;
            let next = CronExpression::parse(&format!("0 0 * * {day}")).unwrap().next_after(Timestamp(1_700_000_000_000)).unwrap();
            let next = DateTime::from_timestamp_millis(next.0).unwrap();
            prop_assert_eq!(next.weekday().num_days_from_sunday(), day % 7);
        }
    }
}
