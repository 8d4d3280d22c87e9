//! Operations that begin at certain times. Each period is begun once, with an idempotency key made of the schedule's name and
//! the period, so that none is missed or begun twice after downtime, by several servers, or when a clock is set back.

use std::fmt;
use std::time::Duration;

use convergence_model::OrgId;
use convergence_model::operation::Subject;
use convergence_store::Idempotency;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::request::RequestError;
use crate::{Kind, Operations};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// How long a server that is not heard of keeps a schedule.
const DUTY: Duration = Duration::from_secs(30);
/// Periods begun at one look; after a long downtime the rest follows at the next ones.
const CATCH_UP: usize = 100;
/// Who asks for what a schedule begins, as the audit names it.
const ACTOR: &str = "schedule";

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub enum Cadence {
    /// At every whole multiple of this since 1970 (UTC); whole seconds, at least one.
    Every(Duration),
    /// Every day at this time.
    Daily {
        /// The time of day. One that a change of the clocks leaves out is due as much later; one that comes twice is due at
        /// the first of the two.
        at: Time,
        /// Where.
        zone: TimeZone,
    },
    /// Every month on this day at this time.
    Monthly {
        /// 1 to 31; the month's last day where it has fewer.
        day: i8,
        /// The time of day, as of [`Cadence::Daily`].
        at: Time,
        /// Where.
        zone: TimeZone,
    },
}

impl Cadence {
    /// The first moment after `moment` at which something is due; none beyond the end of the calendar.
    pub fn next(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(every) => {
                let every = i64::try_from(every.as_secs()).ok()?.max(1);
                let number = moment.as_second().div_euclid(every).checked_add(1)?;
                Timestamp::from_second(number.checked_mul(every)?).ok()
            }
            Self::Daily { at, zone } => {
                let today = moment.to_zoned(zone.clone());
                Self::first_after(moment, (0..3).filter_map(|n| today.checked_add(n.days()).ok()), *at)
            }
            Self::Monthly { day, at, zone } => {
                let today = moment.to_zoned(zone.clone());
                let first = today.first_of_month().ok()?;
                let months = (0..3).filter_map(|n| first.checked_add(n.months()).ok());
                let days =
                    months.filter_map(|month| month.with().day((*day).clamp(1, month.days_in_month())).build().ok());
                Self::first_after(moment, days, *at)
            }
        }
    }

    fn first_after(moment: Timestamp, days: impl Iterator<Item = Zoned>, at: Time) -> Option<Timestamp> {
        let moments = days.filter_map(|day| day.date().to_datetime(at).to_zoned(day.time_zone().clone()).ok());
        moments.map(|zoned| zoned.timestamp()).find(|due| *due > moment)
    }
}

/// What begins operations at certain times.
pub struct Schedule {
    /// Its name, unique in the program.
    pub name: &'static str,
    /// When.
    pub cadence: Cadence,
    /// For which organization.
    pub org: OrgId,
    /// About what.
    pub subject: Subject,
    /// What is begun.
    pub kind: &'static Kind,
    /// What it is asked, of the moment at which it is due.
    pub input: fn(Timestamp) -> Value,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("name", &self.name).field("cadence", &self.cadence).finish_non_exhaustive()
    }
}

impl Operations {
    /// Begins what is due until `stop` is cancelled.
    pub(crate) async fn keep_schedules(&self, schedules: &[Schedule], stop: &CancellationToken) {
        while !schedules.is_empty() && !stop.is_cancelled() {
            for schedule in schedules {
                match self.begin_due(schedule).await {
                    Ok(()) | Err(RequestError::Stopping) => {}
                    Err(error) => {
                        tracing::warn!(schedule = schedule.name, %error, "cannot begin what is due; trying again");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn begin_due(&self, schedule: &Schedule) -> Result<(), RequestError> {
        let duty = format!("schedule/{}", schedule.name);
        if !self.store.take_duty(&duty, &self.settings.worker, DUTY).await? {
            return Ok(());
        }
        let now = self.clock.now();
        let mut up_to = self.store.schedule(schedule.name, now).await?;
        for _ in 0..CATCH_UP {
            let Some(due) = schedule.cadence.next(up_to).filter(|due| *due <= now) else { return Ok(()) };
            let key = format!("schedule/{}/{due}", schedule.name);
            let idempotency = Some(Idempotency { request: key.clone().into_bytes(), key });
            let (kind, input) = (schedule.kind, (schedule.input)(due));
            self.begin(schedule.org, &schedule.subject, kind, input, ACTOR, idempotency).await?;
            self.store.schedule_done(schedule.name, due).await?;
            up_to = due;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn after(cadence: &Cadence, moment: &str, count: usize) -> Vec<String> {
        let mut moment = at(moment);
        (0..count)
            .map(|_| {
                moment = cadence.next(moment).unwrap();
                moment.to_string()
            })
            .collect()
    }

    /// Central European time, without a database of time zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn every_hour_is_due_on_the_hour_and_never_at_the_moment_itself() {
        let hourly = Cadence::Every(Duration::from_secs(3600));
        let due = after(&hourly, "2026-01-01T10:00:00Z", 2);
        assert_eq!(due, ["2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"]);
        assert_eq!(after(&hourly, "1969-12-31T22:30:00Z", 2), ["1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"]);
    }

    #[test]
    fn a_day_is_due_once_where_the_clocks_change() {
        let daily = Cadence::Daily { at: Time::constant(2, 30, 0, 0), zone: berlin() };
        // On March 29 there is no half past two: it is due an hour later by the clock. On October 25 there are two.
        let due = after(&daily, "2026-03-28T00:00:00Z", 3);
        assert_eq!(due, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
        let due = after(&daily, "2026-10-24T12:00:00Z", 2);
        assert_eq!(due, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn the_31st_is_the_last_day_of_months_that_are_shorter() {
        let monthly = Cadence::Monthly { day: 31, at: Time::midnight(), zone: TimeZone::UTC };
        let due = after(&monthly, "2028-01-15T00:00:00Z", 4);
        let expected = ["2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z", "2028-04-30T00:00:00Z"];
        assert_eq!(due, expected);
        let first = Cadence::Monthly { day: 1, at: Time::midnight(), zone: berlin() };
        assert_eq!(after(&first, "2026-01-01T00:00:00Z", 1), ["2026-01-31T23:00:00Z"]);
    }
}
