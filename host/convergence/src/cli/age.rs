//! Times as people read them: how long ago, and how long something took. Programs get them exact (`--json`).

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How long ago the time is that a document has under `key`, for example `5m ago`; what else stands there as it is.
pub(crate) fn ago(document: &Value, key: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a command has no clock to be given")]
    let now = Timestamp::now();
    document.get(key).map(|value| ago_at(&super::spawn::plain(value), now)).unwrap_or_default()
}

fn ago_at(text: &str, now: Timestamp) -> String {
    let Ok(then) = text.parse::<Timestamp>() else { return text.to_owned() };
    let seconds = now.as_second() - then.as_second();
    match seconds {
        // Two clocks never agree quite.
        -60..=0 => "just now".to_owned(),
        1..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..172_800 => format!("{}h ago", seconds / 3600),
        172_800..5_184_000 => format!("{}d ago", seconds / 86_400),
        _ => then.strftime("%Y-%m-%d").to_string(),
    }
}

/// The time between two events of an operation, on the server's clock.
pub(crate) fn between(start: &str, end: &str) -> Option<SignedDuration> {
    let (start, end): (Timestamp, Timestamp) = (start.parse().ok()?, end.parse().ok()?);
    Some(end.duration_since(start))
}

/// A duration, for example `0.4s`, `1m 05s`, `2h 03m`.
pub(crate) fn took(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..60 => format!("{:.1}s", duration.as_secs_f64().max(0.0)),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_time_is_told_by_its_distance_and_a_distant_one_by_its_day() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-27T12:00:30Z", "just now"),
            ("2026-11-27T11:59:18.5Z", "42s ago"),
            ("2026-11-27T11:00:01Z", "59m ago"),
            ("2026-11-26T12:00:01Z", "23h ago"),
            ("2026-11-25T12:00:01Z", "47h ago"),
            ("2026-11-20T12:00:00Z", "7d ago"),
            ("2025-11-27T12:00:00Z", "2025-11-27"),
            ("2027-11-27T12:00:00Z", "2027-11-27"),
            ("-", "-"),
        ] {
            assert_eq!(ago_at(text, now), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_has_at_most_two_parts() {
        let shown = |millis| took(SignedDuration::from_millis(millis));
        assert_eq!([shown(-5), shown(449), shown(65_000), shown(7_380_000)], ["0.0s", "0.4s", "1m 05s", "2h 03m"]);
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.5Z").map(took).unwrap(), "1.5s");
    }
}
