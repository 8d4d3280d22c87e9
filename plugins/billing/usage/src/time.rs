//! How long an interval is.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::billing::{Decimal, Interval};

/// Seconds from its start to its end.
pub(crate) fn seconds(span: &Interval) -> Result<Decimal, PluginError> {
    let read = |text: &str| moment(text).ok_or_else(|| PluginError::internal(format!("`{text}` is no time of UTC")));
    Ok(read(&span.end)?.checked_sub(read(&span.start)?)?)
}

/// Seconds since 1970 of RFC 3339 text in UTC.
fn moment(text: &str) -> Option<Decimal> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute): (i64, i64) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    let second: Decimal = time.next()?.parse().ok()?;
    // Years that begin in March end with the day that may be missing.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day;
    let whole = ((days - 719_469) * 24 + hour) * 3600 + minute * 60;
    Decimal::from(whole).checked_add(second).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn seconds_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", "0"),
            ("2000-02-29T12:00:00Z", "951825600"),
            ("2026-03-01T00:00:00.25Z", "1772323200.25"),
            ("1969-12-31T23:59:59Z", "-1"),
        ] {
            assert_eq!(moment(text).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(moment("2026-03-01T00:00:00+01:00"), None);
    }
}
