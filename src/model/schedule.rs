//! Times by which something is done again and again: the five fields of cron, in UTC.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::Timestamp;

/// `*/5 * * * *`: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone)]
pub struct Schedule(Cron);

impl Schedule {
    /// Reads the five fields; nothing if they are none, or name no time that ever comes.
    pub fn parse(text: &str) -> Option<Self> {
        // Names of a whole schedule (`@daily`), and what only some crons know, are left out.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " *,-/".contains(c);
        if text.split_whitespace().count() != 5 || !text.chars().all(is_plain) {
            return None;
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let schedule = Self(parser.parse(text).ok()?);
        schedule.next(Timestamp(0)).map(|_| schedule)
    }

    /// The first time after this one.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = DateTime::<Utc>::from_timestamp_millis(after.0)?;
        let next = self.0.find_next_occurrence(&after, false).ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn times_follow_each_other_in_utc() {
        for (text, after, next) in [
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
            ("*/5 * * * *", "2026-01-01T00:04:59Z", "2026-01-01T00:05:00Z"),
            ("30 2 * * *", "2026-03-29T02:29:00Z", "2026-03-29T02:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 * * mon-fri", "2026-01-02T12:00:00Z", "2026-01-05T12:00:00Z"),
        ] {
            let schedule = Schedule::parse(text).expect(text);
            let after = Timestamp::parse(after).expect(after);
            assert_eq!(
                schedule.next(after).map(Timestamp::to_wire).as_deref(),
                Some(next),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "0 0 30 2 *",
            "@daily",
            "a b c d e",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 L * *x",
        ] {
            assert!(Schedule::parse(text).is_none(), "{text}");
        }
    }
}
