//! How text is written where Docker would read more into it than its characters.
//!
//! What the builder does with each instruction (measured with BuildKit of Docker 20.10):
//!
//! | text | `$`, quotes, backslash | globs | how it is written |
//! |---|---|---|---|
//! | `RUN`, `CMD`, `ENTRYPOINT`, `HEALTHCHECK CMD` as JSON | untouched | untouched | [`exec`] |
//! | `COPY` source as JSON | unescaped and expanded *after* the JSON | expanded after that | [`copy_source`] |
//! | `COPY` destination as JSON | unescaped and expanded after the JSON | untouched | [`word`] in JSON |
//! | `ENV`, `WORKDIR` | unescaped and expanded | untouched | [`quoted`] |
//!
//! A JSON array that does not parse is silently read as a shell command, so arrays come from `serde_json` alone.
//! What holds for none of them is a line break outside JSON: the guard refuses it.

use std::fmt::Write as _;

/// A JSON array of strings. Never fails to parse: an array of strings always has a JSON form.
pub(crate) fn json(items: &[String]) -> String {
    let mut text = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        let _ = write!(text, "{}", serde_json::Value::String(item.clone()));
    }
    text.push(']');
    text
}

/// Program and arguments of an exec form.
pub(crate) fn exec(argv: &[String]) -> String {
    json(argv)
}

/// One word that Docker unquotes and expands: backslash, both quotes and `$` stand for themselves.
pub(crate) fn word(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '\'' | '$') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A source of `COPY`: globs stand for themselves, as classes of one character. (A backslash before a glob does not
/// work: the builder then looks for a file with the backslash in its name.)
pub(crate) fn copy_source(path: &str) -> String {
    let mut literal = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[') {
            literal.push('[');
            literal.push(c);
            literal.push(']');
        } else {
            literal.push(c);
        }
    }
    word(&literal)
}

/// A double-quoted word: backslash, `"` and `$` stand for themselves.
pub(crate) fn quoted(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    escaped.push('"');
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '$') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped.push('"');
    escaped
}

/// A value in a Compose file: `$` stands for itself.
pub(crate) fn compose(text: &str) -> String {
    text.replace('$', "$$")
}
