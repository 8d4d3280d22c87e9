//! What a plugin says, before a caller, a log or a terminal sees it: in bounds, on one line, with nothing that acts on a
//! terminal or turns the order of letters round.

use std::collections::BTreeMap;

/// Bytes of a text that are passed on.
const MAX_BYTES: usize = 2048;
/// Bytes of a code or a path.
pub(super) const MAX_NAME_BYTES: usize = 128;
/// Violations, or fields that are wrong, that are passed on.
pub(super) const MAX_ITEMS: usize = 100;

/// A human-readable text as it may be shown: one line of at most [`MAX_BYTES`].
pub(super) fn one_line(text: &str) -> String {
    shown(text, MAX_BYTES)
}

/// The place in a request that a plugin names.
pub(super) fn path(text: &str) -> String {
    shown(text, MAX_NAME_BYTES)
}

fn shown(text: &str, max: usize) -> String {
    let kept = text.floor_char_boundary(max);
    let clean = text.get(..kept).unwrap_or_default().chars().map(|c| match c {
        _ if c.is_control() => ' ',
        // Marks that turn the direction of what follows: "exe.txt" for "txt.exe".
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    });
    let mut clean: String = clean.collect();
    if kept < text.len() {
        clean.push('…');
    }
    clean
}

/// Whether a code is a slug, such as `memory-above-maximum`.
pub(super) fn is_slug(code: &str) -> bool {
    code.len() <= MAX_NAME_BYTES
        && code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

/// Equal items once, in the order of their first, with how often there were; at most [`MAX_ITEMS`], and how many more
/// there are.
pub(super) fn counted<T: Ord + Clone>(items: Vec<T>) -> (Vec<(T, usize)>, usize) {
    let mut places: BTreeMap<T, usize> = BTreeMap::new();
    let mut counted: Vec<(T, usize)> = Vec::new();
    for item in items {
        let next = counted.len();
        let place = *places.entry(item.clone()).or_insert(next);
        match counted.get_mut(place) {
            Some((_, times)) => *times += 1,
            None => counted.push((item, 1)),
        }
    }
    let more = counted.len().saturating_sub(MAX_ITEMS);
    counted.truncate(MAX_ITEMS);
    (counted, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_acts_on_a_terminal() {
        assert_eq!(one_line("a\r\n\u{1b}[31mred\0\u{202e}gnp.exe"), "a   [31mred \u{fffd}gnp.exe");
        let long = one_line(&"é".repeat(4000));
        assert!(long.len() <= MAX_BYTES + '…'.len_utf8() && long.ends_with("é…"), "{}", long.len());
    }

    #[test]
    fn a_code_is_a_slug() {
        assert!(is_slug("memory-above-maximum") && is_slug("c"));
        for code in ["", "Two Words", "9-lives", "a\0", "naïve", &"a".repeat(MAX_NAME_BYTES + 1)] {
            assert!(!is_slug(code), "{code:?}");
        }
    }

    #[test]
    fn equal_items_are_counted_and_the_rest_is_bounded() {
        let items: Vec<_> = ["b", "a", "b", "b"].into();
        assert_eq!(counted(items), (vec![("b", 3), ("a", 1)], 0));
        let (kept, more) = counted((0..250).collect());
        assert_eq!((kept.len(), more), (MAX_ITEMS, 150));
    }
}
