//! What a person's terminal shows: how wide it is, and text of others without what a terminal would obey.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use console::Term;

use crate::config;

/// Below this nothing can be laid out: the terminal breaks the lines then.
const NARROWEST: usize = 20;

/// Columns of the terminal that results go to; none where they go elsewhere.
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (_, columns) = Term::stdout().size_checked()?;
    Some(usize::from(columns).max(NARROWEST))
}

/// Whether progress goes to a terminal that can draw over what it has drawn.
pub(crate) fn can_draw() -> bool {
    io::stderr().is_terminal() && config::variable("TERM").is_none_or(|name| name != "dumb")
}

/// Untrusted text with every control character shown and none obeyed: `^[` for an escape, `^G` for a bell.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| show(c, &mut shown));
    shown
}

/// The same of several lines, whose breaks are ours.
pub(crate) fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// As [`visible`], with colours obeyed and ended with the line, where colours are wanted.
pub(crate) fn visible_in_colour(text: &str) -> String {
    let obey = console::colors_enabled();
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut coloured) = (text, false);
    while let Some(start) = rest.find('\u{1b}') {
        let (before, escape) = rest.split_at(start);
        before.chars().for_each(|c| show(c, &mut shown));
        match colour(escape) {
            Some(length) => {
                let (sequence, behind) = escape.split_at(length);
                if obey {
                    shown.push_str(sequence);
                    coloured = true;
                }
                rest = behind;
            }
            None => {
                show('\u{1b}', &mut shown);
                rest = escape.strip_prefix('\u{1b}').unwrap_or_default();
            }
        }
    }
    rest.chars().for_each(|c| show(c, &mut shown));
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// The length of the sequence that sets colours and begins here, if one does.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    let ends = parameters.get(length..)?.starts_with('m');
    (ends && length <= 64).then_some("\u{1b}[".len() + length + "m".len())
}

fn show(c: char, to: &mut String) {
    match c {
        '\t' => to.push(c),
        '\0'..='\u{1f}' => {
            to.push('^');
            to.extend(char::from_u32(u32::from(c) ^ 0x40));
        }
        '\u{7f}' => to.push_str("^?"),
        // The second block of control characters; what turns the direction of writing around, so that a line reads
        // otherwise than it is; what breaks lines; and what cannot be seen.
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {
            let _ = write!(to, "{}", c.escape_unicode());
        }
        _ => to.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_write_escape_sequences_to_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\tc\r\u{7}\u{7f}"), "a^[[31mb\tc^M^G^?");
        assert_eq!(visible("\u{9b}2J \u{202e}txt.exe\u{2028}"), "\\u{9b}2J \\u{202e}txt.exe\\u{2028}");
        assert_eq!(visible_lines("one\ntwo\u{1b}"), "one\ntwo^[");
        assert_eq!(visible("ünïcödé 🦀"), "ünïcödé 🦀");
    }

    #[test]
    fn colours_are_obeyed_until_the_end_of_the_line_and_nothing_else_is() {
        console::set_colors_enabled(true);
        assert_eq!(visible_in_colour("\u{1b}[1;31mred\u{1b}[2J"), "\u{1b}[1;31mred^[[2J\u{1b}[0m");
        assert_eq!(visible_in_colour("\u{1b}]0;title\u{7}"), "^[]0;title^G");
        assert_eq!(visible_in_colour("\u{1b}[31"), "^[[31", "a sequence that is cut off");
        assert_eq!(visible_in_colour(&format!("\u{1b}[{}m", "1".repeat(65))), format!("^[[{}m", "1".repeat(65)));
        console::set_colors_enabled(false);
        assert_eq!(visible_in_colour("\u{1b}[1;31mred\u{1b}[0m"), "red", "where none are wanted");
    }
}
