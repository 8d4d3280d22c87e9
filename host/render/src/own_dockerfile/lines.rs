//! Instructions of a Dockerfile, each on one line.

/// One instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capitals.
    pub(super) keyword: String,
    /// What comes after it, trimmed.
    pub(super) rest: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// Joins the lines of a Dockerfile into instructions: a line that ends with a backslash continues on the next one, and comments
/// and empty lines in between are nothing.
///
/// # Errors
/// The line that cannot be read with certainty, and why.
pub(super) fn instructions(text: &str) -> Result<Vec<Instruction>, (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut found, mut open): (Vec<Instruction>, Option<(usize, String)>) = (Vec::new(), None);
    let mut may_direct = true;
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        // Builders and this parser agree on what these two are, and on no others.
        if raw.chars().any(|c| (c.is_control() || c.is_whitespace()) && !BLANKS.contains(&c)) {
            let message = "the line has control characters or blanks other than space and tab; remove them";
            return Err((number, message.to_owned()));
        }
        let trimmed = raw.trim_matches(BLANKS);
        if let Some(comment) = trimmed.strip_prefix('#') {
            may_direct = may_direct && refuse_escape(comment).map_err(|message| (number, message))?;
            continue;
        }
        may_direct = false;
        if trimmed.is_empty() {
            continue;
        }
        let ended = raw.trim_end_matches(BLANKS);
        let body = ended.strip_suffix('\\');
        if body.is_some_and(|body| body.ends_with('\\')) {
            // Builders disagree on whether this continues.
            return Err((
                number,
                "the line ends with two backslashes; end it with one to continue it, or with none".to_owned(),
            ));
        }
        let (line, mut joined) = open.take().unwrap_or((number, String::new()));
        joined.push_str(body.unwrap_or(ended));
        match body {
            Some(_) => open = Some((line, joined)),
            None => found.push(instruction(&joined, line)?),
        }
    }
    if let Some((line, joined)) = open {
        found.push(instruction(&joined, line)?);
    }
    Ok(found)
}

/// Space and tab.
const BLANKS: [char; 2] = [' ', '\t'];

fn instruction(joined: &str, line: usize) -> Result<Instruction, (usize, String)> {
    let joined = joined.trim_matches(BLANKS);
    let (keyword, rest) = joined.split_once(BLANKS).unwrap_or((joined, ""));
    let rest = rest.trim_matches(BLANKS);
    if rest.ends_with('\\') {
        // Written on one line it would continue on the next instruction.
        return Err((line, "the instruction ends with a backslash; remove it".to_owned()));
    }
    Ok(Instruction { keyword: keyword.to_ascii_uppercase(), rest: rest.to_owned(), line })
}

/// Refuses the directive that makes another character continue lines. Of the others, `syntax` names an image that would read
/// the Dockerfile; it is not written again. Answers whether another directive may follow.
fn refuse_escape(comment: &str) -> Result<bool, String> {
    let Some((key, value)) = comment.split_once('=') else { return Ok(false) };
    if key.trim().eq_ignore_ascii_case("escape") && value.trim() != "\\" {
        return Err("the escape directive is not supported; continue lines with a backslash".to_owned());
    }
    Ok(true)
}
