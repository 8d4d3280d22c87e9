//! Variables in the name of an image.

/// Fills in `$NAME`, `${NAME}`, `${NAME:-word}` and `${NAME:+word}`.
///
/// # Errors
/// A variable whose value is not known, or what is none of these forms.
pub(super) fn expand(text: &str, known: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, after) = (rest.get(..start).unwrap_or_default(), rest.get(start + 1..).unwrap_or_default());
        expanded.push_str(before);
        let (body, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| format!("{text:?} has a '{{' that is not closed"))?,
            None => {
                let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        let end = body.find(|c: char| !is_name(c)).unwrap_or(body.len());
        let (name, operator) = body.split_at(end);
        let value = known(name).filter(|value| operator.is_empty() || !value.is_empty());
        let value = match (operator.get(..2), operator.get(2..)) {
            (None, _) if operator.is_empty() => value,
            (Some(":-"), word) => value.or(word.map(str::to_owned)),
            (Some(":+"), word) => Some(value.and(word.map(str::to_owned)).unwrap_or_default()),
            _ => return Err(format!("{text:?} has a variable in a form that is not supported; use ${{NAME}}")),
        };
        let unknown = || {
            format!(
                "the value of {name:?} in {text:?} is not known; give it a default by `ARG {name}=…` before the first FROM"
            )
        };
        expanded.push_str(&value.ok_or_else(unknown)?);
        rest = after;
    }
    expanded.push_str(rest);
    let is_plain = !expanded.is_empty() && expanded.chars().all(|c| c.is_ascii_graphic() && !"\"'\\${}`".contains(c));
    if is_plain { Ok(expanded) } else { Err(format!("{expanded:?} is not the name of an image")) }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
