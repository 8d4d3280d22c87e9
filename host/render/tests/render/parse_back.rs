//! Reads a Dockerfile as Docker does, as far as the renderer writes it, and refuses the rest.
//!
//! Written from the builder's rules and not from the renderer: lines and continuations, flags, JSON arrays, then
//! quotes, backslashes and `$` where the builder processes words, then globs in sources of `COPY`.

use convergence_model::plan::{Attribute, Cache, Copy, Origin, Run, Step};

/// What a `$NAME` becomes, so that an expansion nobody meant shows.
fn expanded(name: &str) -> String {
    format!("\u{0}{name}\u{0}")
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) stages: Vec<ParsedStage>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct ParsedStage {
    pub(crate) from: String,
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// `USER`s, each with the number of steps before it.
    pub(crate) users: Vec<(usize, String)>,
    /// `COPY --chown`: owner, stage, source, destination.
    pub(crate) owned: Vec<(String, String, String, String)>,
    pub(crate) expose: Option<String>,
    pub(crate) stop_signal: Option<String>,
    /// Flags and arguments; no arguments for `NONE`.
    pub(crate) healthcheck: Option<(Vec<String>, Vec<String>)>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
}

pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    for line in logical_lines(text) {
        let (instruction, rest) = line.split_once(' ').ok_or_else(|| format!("no arguments: {line:?}"))?;
        if instruction == "FROM" {
            let (from, name) = rest.split_once(" AS ").ok_or("FROM without AS")?;
            if word(from)? != from || name.contains(char::is_whitespace) {
                return Err(format!("FROM holds more than two words: {rest:?}"));
            }
            parsed.stages.push(ParsedStage { from: from.into(), name: name.into(), ..ParsedStage::default() });
            continue;
        }
        let stage = parsed.stages.last_mut().ok_or("an instruction before FROM")?;
        instruction_into(stage, instruction, rest)?;
    }
    Ok(parsed)
}

fn instruction_into(stage: &mut ParsedStage, instruction: &str, rest: &str) -> Result<(), String> {
    match instruction {
        "USER" => stage.users.push((stage.steps.len(), word(rest)?)),
        "WORKDIR" => stage.steps.push(Step::Workdir(word(rest)?)),
        "EXPOSE" => stage.expose = Some(word(rest)?),
        "STOPSIGNAL" => stage.stop_signal = Some(word(rest)?),
        "ENTRYPOINT" => stage.entrypoint = Some(json(rest)?),
        "CMD" => stage.command = Some(json(rest)?),
        "ENV" => env(stage, rest)?,
        "COPY" => copy(stage, rest)?,
        "RUN" => {
            let (flags, rest) = flags(rest);
            let caches = flags.iter().map(|flag| cache(flag)).collect::<Result<_, _>>()?;
            stage.steps.push(Step::Run(Run { argv: json(rest)?, caches, secrets: vec![] }));
        }
        "HEALTHCHECK" => {
            let (flags, rest) = flags(rest);
            let argv = match rest.strip_prefix("CMD ") {
                Some(argv) => json(argv)?,
                None if rest == "NONE" => vec![],
                None => return Err(format!("HEALTHCHECK {rest}")),
            };
            stage.healthcheck = Some((flags, argv));
        }
        other => return Err(format!("an instruction that is never written: {other}")),
    }
    Ok(())
}

/// Lines as the builder joins them: comments and blank lines fall out, a final backslash continues.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.split('\n') {
        let line = line.trim_end_matches('\r');
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') || (open.is_empty() && trimmed.is_empty()) {
            continue;
        }
        let end = line.trim_end_matches([' ', '\t']);
        if let Some(head) = end.strip_suffix('\\') {
            open.push_str(head);
            continue;
        }
        open.push_str(line);
        lines.push(std::mem::take(&mut open).trim().to_owned());
    }
    if !open.is_empty() {
        lines.push(open);
    }
    lines
}

fn flags(rest: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest;
    while rest.starts_with("--") {
        let (flag, more) = rest.split_once(' ').unwrap_or((rest, ""));
        flags.push(flag.to_owned());
        rest = more.trim_start();
    }
    (flags, rest)
}

/// A JSON array of strings; what is none would be read as a shell command.
fn json(text: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON array of strings: {error}: {text:?}"))
}

fn env(stage: &mut ParsedStage, rest: &str) -> Result<(), String> {
    let words = split_words(rest);
    let [only] = words.as_slice() else { return Err(format!("ENV sets {} variables: {rest:?}", words.len())) };
    let (name, value) = only.split_once('=').ok_or("ENV without '='")?;
    let value = word(value)?;
    let step = match value.strip_suffix(&format!(":{}", expanded("PATH"))) {
        Some(folder) if name == "PATH" => Step::PrependPath(folder.to_owned()),
        _ => Step::Env(Attribute { key: word(name)?, value }),
    };
    stage.steps.push(step);
    Ok(())
}

fn copy(stage: &mut ParsedStage, rest: &str) -> Result<(), String> {
    let (flags, rest) = flags(rest);
    let mut words = json(rest)?.iter().map(|text| word(text)).collect::<Result<Vec<_>, _>>()?;
    let destination = words.pop().ok_or("COPY without words")?;
    let sources = words.iter().map(|source| literal_glob(source)).collect::<Result<Vec<_>, _>>()?;
    let flag = |name: &str| flags.iter().find_map(|flag| flag.strip_prefix(name)).map(str::to_owned);
    if let Some(owner) = flag("--chown=") {
        let [source] = sources.as_slice() else { return Err("COPY --chown of several".into()) };
        stage.owned.push((owner, flag("--from=").unwrap_or_default(), source.clone(), destination));
        return Ok(());
    }
    let relative = |root: &str| -> Result<Vec<String>, String> {
        let path = |source: &String| match source.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) {
            Some("") => Ok(".".to_owned()),
            Some(path) => Ok(path.to_owned()),
            None => Err(format!("a source outside {root}: {source:?}")),
        };
        sources.iter().map(path).collect()
    };
    let (origin, paths) = match flag("--from=") {
        Some(from) => (Origin::Stage(from), sources),
        None if sources.iter().all(|source| source.starts_with(".convergence/plan/")) => {
            (Origin::Plan, relative(".convergence/plan")?)
        }
        None => (Origin::Source, relative(".convergence/source")?),
    };
    stage.steps.push(Step::Copy(Copy { origin, paths, destination }));
    Ok(())
}

fn cache(flag: &str) -> Result<Cache, String> {
    let options = flag.strip_prefix("--mount=").ok_or_else(|| format!("a flag that is never written: {flag}"))?;
    let mut cache = Cache { id: String::new(), path: String::new(), exclusive: false };
    for option in options.split(',') {
        match option.split_once('=') {
            Some(("type", "cache")) => {}
            Some(("id", id)) => cache.id = id.to_owned(),
            Some(("target", path)) => cache.path = path.to_owned(),
            Some(("sharing", sharing)) => cache.exclusive = sharing == "locked",
            other => return Err(format!("a mount option that is never written: {other:?}")),
        }
    }
    Ok(cache)
}

/// Splits where the builder does: at spaces outside quotes, a backslash keeping the next character.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\\', None | Some('"')) => {
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// One word, unquoted and expanded.
fn word(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut double = false;
    while let Some(c) = chars.next() {
        match c {
            '\'' if !double => loop {
                match chars.next() {
                    Some('\'') => break,
                    Some(c) => out.push(c),
                    None => return Err(format!("an open quote: {text:?}")),
                }
            },
            '"' => double = !double,
            '\\' if double => match chars.peek() {
                Some('"' | '$' | '\\') => out.extend(chars.next()),
                _ => out.push('\\'),
            },
            '\\' => out.push(chars.next().ok_or_else(|| format!("a final backslash: {text:?}"))?),
            '$' => {
                let braced = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if braced && chars.next() != Some('}') {
                    return Err(format!("a bad substitution: {text:?}"));
                }
                out.push_str(&if name.is_empty() { "$".to_owned() } else { expanded(&name) });
            }
            c => out.push(c),
        }
    }
    if double { Err(format!("an open quote: {text:?}")) } else { Ok(out) }
}

/// A glob that matches one name only, and that name.
fn literal_glob(pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '\\' => return Err(format!("a live glob: {pattern:?}")),
            '[' => {
                let (inside, close) = (chars.next(), chars.next());
                match (inside, close) {
                    (Some(inside @ ('*' | '?' | '[')), Some(']')) => out.push(inside),
                    _ => return Err(format!("a live glob: {pattern:?}")),
                }
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[test]
fn the_reader_is_not_lenient() {
    assert_eq!(word(r#"a"b $X"'$Y'\$Z"#).unwrap(), "ab \u{0}X\u{0}$Y$Z");
    assert_eq!(split_words(r#"A="x y" B=z\ w"#), [r#"A="x y""#, r"B=z\ w"]);
    assert_eq!(logical_lines("A b \\\n c\n# x\n\nD e"), ["A b  c", "D e"]);
    for bad in [
        "RUN x",
        "FROM a AS b\nRUN echo hi",
        "FROM a AS b\nADD x /",
        "FROM a AS b\nENV A=1 B=2",
        "FROM a AS b\nCOPY x /",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    for live in ["*", "a?", "[ab]", "[^*]"] {
        assert!(literal_glob(live).is_err(), "{live}");
    }
}
