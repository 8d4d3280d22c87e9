//! `.env` files: what is written is read back exactly.
//!
//! A line is `NAME=value`, with `export ` before it or not; empty lines and lines that begin with `#` are left out. A value
//! without quotes ends at the line's end or at ` #`, without the spaces around it. In single quotes everything stands for itself. In
//! double quotes `\n`, `\r`, `\t`, `\\`, `\"`, `\$` and `` \` `` stand for what they do in a shell. A value in quotes may have
//! several lines. `$` is not expanded anywhere.

use std::fmt;

/// Why a text is no `.env` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    line: usize,
    what: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The variables of a file, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    let (mut rest, mut number) = (text, 1);
    while !rest.is_empty() {
        let line = rest.split('\n').next().unwrap_or_default();
        let trimmed = line.trim();
        let wrong = |what| Wrong { line: number, what };
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = rest.get(line.len() + 1..).unwrap_or_default();
            number += 1;
            continue;
        }
        let (name, _) = line.split_once('=').ok_or_else(|| wrong("there is no `=`; write NAME=value"))?;
        let start = name.len() + 1;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if name.is_empty() {
            return Err(wrong("there is no name before `=`; write NAME=value"));
        }
        let after = rest.get(start..).unwrap_or_default().trim_start_matches([' ', '\t']);
        let (value, left) = match after.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let (value, left) = quoted(&after[1..], quote).ok_or_else(|| wrong("the quote is not closed"))?;
                let end = left.split('\n').next().unwrap_or_default();
                if !(end.trim().is_empty() || end.trim_start().starts_with('#')) {
                    return Err(wrong("there is something after the closing quote"));
                }
                (value, left.get(end.len() + 1..).unwrap_or_default())
            }
            _ => {
                let line = after.split('\n').next().unwrap_or_default();
                let value = line.split_once(" #").map_or(line, |(value, _)| value);
                let value = if value.starts_with('#') { "" } else { value };
                (value.trim().to_owned(), after.get(line.len() + 1..).unwrap_or_default())
            }
        };
        let used = rest.len() - left.len();
        number += rest.get(..used).unwrap_or_default().matches('\n').count();
        variables.push((name.to_owned(), value));
        rest = left;
    }
    Ok(variables)
}

/// The value up to the closing quote, and what comes after that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, text.get(at + 1..).unwrap_or_default())),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('\\' | '"' | '$' | '`') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

/// A file with these variables, without a line's end after the last one.
pub(super) fn write<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    variables.map(|(name, value)| format!("{name}={}", written(value))).collect::<Vec<_>>().join("\n")
}

fn written(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\r']) {
        return format!("'{value}'");
    }
    let mut text = String::from('"');
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c @ ('\\' | '"' | '$' | '`') => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn lines_are_read_as_people_write_them() {
        let text = "# a note\n\nA=1\nexport B = two words \nC=\nD=x # note\nE=a#b\nF='it is $HOME \\n'\nG=\"a\\nb \\$c\" # note\r\nH='two\nlines'\nI=http://x?a=b\n";
        let expected = [
            pair("A", "1"),
            pair("B", "two words"),
            pair("C", ""),
            pair("D", "x"),
            pair("E", "a#b"),
            pair("F", "it is $HOME \\n"),
            pair("G", "a\nb $c"),
            pair("H", "two\nlines"),
            pair("I", "http://x?a=b"),
        ];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn a_wrong_line_is_told_by_its_number() {
        for (text, told) in [
            ("A=1\nB", "line 2: there is no `=`; write NAME=value"),
            ("=1", "line 1: there is no name before `=`; write NAME=value"),
            ("A='x\ny'\n\nB=\"open\n", "line 4: the quote is not closed"),
            ("A='x' y", "line 1: there is something after the closing quote"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), told, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec("[^\0]{0,40}", 0..5)) {
            let names: Vec<String> = (0..values.len()).map(|number| format!("V{number}")).collect();
            let pairs = names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str()));
            let back: Vec<(String, String)> = parse(&write(pairs)).unwrap();
            let expected: Vec<(String, String)> = names.iter().cloned().zip(values.iter().cloned()).collect();
            prop_assert_eq!(back, expected);
        }
    }
}
