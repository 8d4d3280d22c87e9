//! The tests that took longest: where to look when the suite becomes slow.

use std::fs;
use std::time::Duration;

use crate::step;
use crate::workspace::Workspace;

/// How many are told.
const TOLD: usize = 15;

/// Prints the slowest tests of the run that just ended, if it wrote a report.
pub(crate) fn print(workspace: &Workspace) {
    let report = workspace.target().join("nextest/default/junit.xml");
    let Ok(text) = fs::read_to_string(report) else { return };
    let mut tests = tests(&text);
    tests.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let sum: Duration = tests.iter().map(|(_, took)| *took).sum();
    println!("    the slowest of {} tests, which took {} one after the other:", tests.len(), step::seconds(sum));
    for (name, took) in tests.iter().take(TOLD) {
        println!("    {:>9}  {name}", step::seconds(*took));
    }
}

/// Name and time of each test of a report in JUnit's format, as nextest writes it.
fn tests(report: &str) -> Vec<(&str, Duration)> {
    let attribute = |element: &'static str| {
        move |text: &str| -> Option<(usize, usize)> {
            let begin = text.find(element)? + element.len();
            Some((begin, begin + text.get(begin..)?.find('"')?))
        }
    };
    let (name, time) = (attribute(" name=\""), attribute(" time=\""));
    let cases = report.split("<testcase").skip(1);
    let read = |case| {
        let tag: &str = str::split(case, '>').next()?;
        let ((from, to), (begin, end)) = (name(tag)?, time(tag)?);
        let seconds: f64 = tag.get(begin..end)?.parse().ok()?;
        Some((tag.get(from..to)?, Duration::try_from_secs_f64(seconds).ok()?))
    };
    cases.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn names_and_times_are_read() {
        let report = r#"<testsuite name="x"><testcase name="a::b" classname="c::d" timestamp="t" time="1.500"/>
            <testcase name="e" classname="f" time="0.25"><system-out>time="9"</system-out></testcase></testsuite>"#;
        let expected = [("a::b", Duration::from_millis(1500)), ("e", Duration::from_millis(250))];
        assert_eq!(super::tests(report), expected);
    }
}
