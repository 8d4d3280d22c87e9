//! A Dockerfile of an application's own: read instruction by instruction, and written again with every image it names as this
//! site has it.
//!
//! What is written has each instruction on a line of its own and no parser directive, so that a builder of whatever version
//! reads the same instructions as this file does. Refused is what would get around the list of allowed images, or reach a
//! network that a build step cannot: see [`OwnDockerfile::parse`].
//!
//! Source: the [Dockerfile reference](https://docs.docker.com/reference/dockerfile/) and the parser of BuildKit.

mod expand;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use convergence_model::Violation;

use self::expand::expand;
use self::lines::{Instruction, instructions};
use crate::dockerfile::{Bases, image};
use crate::guard::GuardedPlan;

/// What comes before the instructions. It also ends what a builder takes for parser directives.
const HEAD: &str =
    "# The application's own Dockerfile, written again by Convergence: each instruction is on one line.\n";

/// Instructions of one Dockerfile.
const INSTRUCTIONS_MAX: usize = 1000;

/// A Dockerfile that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDockerfile {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Written as it is.
    Text(String),
    /// The name of an image, as the Dockerfile has it with its arguments filled in.
    Image { asked: String, line: usize },
}

impl OwnDockerfile {
    /// Reads a Dockerfile. `name` is its path, for what is said of it; `args` are the values of its `ARG`s that are not as it
    /// says itself.
    ///
    /// # Errors
    /// Everything that is wrong with it, by its line: no instruction or an unknown one; `VOLUME`, which would make folders
    /// writable unasked; `ADD` of an address, which the engine would download and not the build; `ONBUILD`; another network
    /// or security mode of a step; here-documents, an escape character of its own and images that depend on what is not
    /// known, which cannot be read with certainty.
    pub fn parse(name: &str, text: &str, args: &BTreeMap<String, String>) -> Result<Self, Vec<Violation>> {
        let mut reader = Reader { name, args, known: BTreeMap::new(), stages: Vec::new(), pieces: Vec::new() };
        let found = instructions(text).map_err(|(line, message)| vec![reader.wrong(line, &message)])?;
        if found.len() > INSTRUCTIONS_MAX {
            let message = format!("it has {} instructions; at most {INSTRUCTIONS_MAX} are allowed", found.len());
            return Err(vec![reader.wrong(1, &message)]);
        }
        let mut wrong = Vec::new();
        for instruction in &found {
            if let Err(message) = reader.read(instruction) {
                wrong.push(reader.wrong(instruction.line, &message));
            }
        }
        if reader.stages.is_empty() && wrong.is_empty() {
            wrong.push(reader.wrong(1, "it has no FROM; begin with the image to build on"));
        }
        if wrong.is_empty() { Ok(Self { pieces: reader.pieces }) } else { Err(wrong) }
    }

    /// Every image it names, with the line that does first.
    pub fn images(&self) -> BTreeMap<&str, usize> {
        let mut images = BTreeMap::new();
        for piece in &self.pieces {
            if let Piece::Image { asked, line } = piece {
                images.entry(asked.as_str()).or_insert(*line);
            }
        }
        images
    }

    /// The text to build. An image that `bases` does not have (a dry run asks no engine) is named as the image policy
    /// resolved it.
    ///
    /// # Errors
    /// It names an image that the plan does not have: it was read differently when the plan was made.
    pub fn render(&self, plan: &GuardedPlan, bases: &Bases) -> Result<String, Violation> {
        let mut text = HEAD.to_owned();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Image { asked, .. } if plan.images().contains_key(asked) => {
                    text.push_str(&image(asked, plan, bases));
                }
                Piece::Image { asked, line } => {
                    let message = format!("the image {asked:?} was not checked; deploy the application again");
                    return Err(Violation::deny(format!("Dockerfile:{line}"), "dockerfile", message));
                }
            }
        }
        Ok(text)
    }
}

struct Reader<'a> {
    name: &'a str,
    args: &'a BTreeMap<String, String>,
    /// `ARG`s before the first `FROM`: the only ones that a `FROM` sees. None where the value is not known.
    known: BTreeMap<String, Option<String>>,
    /// Names of the stages so far, in lower case; empty for one without.
    stages: Vec<String>,
    pieces: Vec<Piece>,
}

impl Reader<'_> {
    fn wrong(&self, line: usize, message: &str) -> Violation {
        Violation::deny(format!("{}:{line}", self.name), "dockerfile", message)
    }

    fn text(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece::Text(text.into()));
    }

    fn read(&mut self, instruction: &Instruction) -> Result<(), String> {
        let Instruction { keyword, rest, .. } = instruction;
        if rest.is_empty() {
            return Err(format!("{keyword} needs something after it"));
        }
        match keyword.as_str() {
            "FROM" => return self.from(instruction),
            "ARG" => self.arg(rest),
            _ if self.stages.is_empty() => return Err(format!("{keyword} comes before the first FROM")),
            "RUN" | "COPY" | "ADD" => return self.with_flags(instruction),
            "CMD" | "ENTRYPOINT" | "ENV" | "EXPOSE" | "HEALTHCHECK" | "LABEL" | "MAINTAINER" | "SHELL"
            | "STOPSIGNAL" | "USER" | "WORKDIR" => {}
            "VOLUME" => {
                return Err(
                    "VOLUME is not allowed: a volume of its own would be writable unasked; remove the line. /tmp \
                            can be written to"
                        .to_owned(),
                );
            }
            "ONBUILD" => return Err("ONBUILD does nothing here and is not allowed; remove the line".to_owned()),
            other => return Err(format!("{other:?} is not an instruction of a Dockerfile")),
        }
        self.text(format!("{keyword} {rest}\n"));
        Ok(())
    }

    /// `FROM [--platform=…] image [AS name]`
    fn from(&mut self, instruction: &Instruction) -> Result<(), String> {
        let (flags, words) = flags(&instruction.rest)?;
        let words: Vec<&str> = words.split_whitespace().collect();
        if let Some(flag) = flags.iter().find(|flag| !flag.starts_with("--platform=")) {
            return Err(format!("the option {flag:?} of FROM is not allowed; remove it"));
        }
        let (asked, name) = match words.as_slice() {
            [asked] => (*asked, ""),
            [asked, word, name] if word.eq_ignore_ascii_case("as") => (*asked, *name),
            _ => return Err("write `FROM image` or `FROM image AS name`".to_owned()),
        };
        let is_name = name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_name {
            return Err(format!("{name:?} is not the name of a stage; use letters, digits, '-', '_' and '.'"));
        }
        let asked = expand(asked, |name| self.known.get(name).cloned().flatten())?;
        let flags: String = flags.iter().map(|flag| format!("{flag} ")).collect();
        self.text(format!("FROM {flags}"));
        self.image_or_stage(asked, instruction.line, Named::Base);
        self.text(if name.is_empty() { "\n".to_owned() } else { format!(" AS {name}\n") });
        self.stages.push(name.to_ascii_lowercase());
        Ok(())
    }

    /// Keeps the arguments before the first `FROM`.
    fn arg(&mut self, rest: &str) {
        if !self.stages.is_empty() {
            return;
        }
        for word in rest.split_whitespace() {
            let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let default = default.and_then(|value| expand(unquoted(value), |name| self.known.get(name).cloned()?).ok());
            let value = self.args.get(name).cloned().or(default);
            self.known.insert(name.to_owned(), value);
        }
    }

    /// `RUN`, `COPY` and `ADD`, whose options can name images.
    fn with_flags(&mut self, instruction: &Instruction) -> Result<(), String> {
        let Instruction { keyword, rest, line } = instruction;
        let (flags, words) = flags(rest)?;
        if words.is_empty() {
            return Err(format!("{keyword} needs something after its options"));
        }
        if words.split_whitespace().any(is_here_document) {
            return Err(
                "here-documents (`<<`) are not supported; put the text into a file of the application".to_owned()
            );
        }
        if keyword == "ADD" {
            refuse_address(words)?;
        }
        self.text(format!("{keyword} "));
        for flag in flags {
            match (keyword.as_str(), flag.split_once('=').unwrap_or((flag, ""))) {
                ("COPY", ("--from", from)) => {
                    self.text("--from=");
                    self.origin(from, *line, true)?;
                }
                ("RUN", ("--mount", mount)) => {
                    self.text("--mount=");
                    self.mount(mount, *line)?;
                }
                ("RUN", ("--network", "none" | "default"))
                | ("COPY" | "ADD", ("--chown" | "--chmod" | "--link" | "--exclude", _))
                | ("COPY", ("--parents", _)) => self.text(flag),
                _ => return Err(format!("the option {flag:?} of {keyword} is not allowed; remove it")),
            }
            self.text(" ");
        }
        self.text(format!("{words}\n"));
        Ok(())
    }

    /// The fields of a `--mount=`.
    fn mount(&mut self, mount: &str, line: usize) -> Result<(), String> {
        if mount.contains(['"', '\'', '$', '\\']) {
            return Err(format!("the mount {mount:?} has quotes or variables; write it without"));
        }
        for (index, field) in mount.split(',').enumerate() {
            if index > 0 {
                self.text(",");
            }
            match field.split_once('=') {
                Some((key, from)) if key.trim().eq_ignore_ascii_case("from") => {
                    self.text("from=");
                    self.origin(from, line, false)?;
                }
                _ => self.text(field),
            }
        }
        Ok(())
    }

    /// A stage by its name, where that is possible also by its number, or an image.
    fn origin(&mut self, from: &str, line: usize, by_number: bool) -> Result<(), String> {
        if from.is_empty() || from.contains(['"', '\'', '$', '\\']) {
            return Err(format!(
                "--from={from} cannot be read; name a stage or an image, without quotes and variables"
            ));
        }
        self.image_or_stage(from.to_owned(), line, Named::From { by_number });
        Ok(())
    }

    fn image_or_stage(&mut self, named: String, line: usize, how: Named) {
        let lower = named.to_ascii_lowercase();
        let is_kept = !lower.is_empty() && self.stages.contains(&lower)
            || match how {
                Named::Base => named == "scratch",
                Named::From { by_number } => {
                    by_number && named.parse().is_ok_and(|number: usize| number < self.stages.len())
                }
            };
        self.pieces.push(if is_kept { Piece::Text(named) } else { Piece::Image { asked: named, line } });
    }
}

/// Where an image or a stage is named.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// After `FROM`.
    Base,
    /// In an option of another instruction.
    From { by_number: bool },
}

/// The options an instruction begins with, and what comes after them.
///
/// A builder takes quotes and backslashes out of options and looks for their ends byte by byte, so that nothing is accepted in
/// them that could be read in two ways.
fn flags(rest: &str) -> Result<(Vec<&str>, &str), String> {
    let (mut flags, mut rest) = (Vec::new(), rest);
    while rest.starts_with("--") {
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        let (flag, after) = rest.split_at(end);
        let is_plain = flag.len() > 2 && flag.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\`".contains(&byte));
        if !is_plain {
            return Err(format!(
                "the option {flag:?} has quotes, backslashes or characters beyond ASCII; write it without"
            ));
        }
        flags.push(flag);
        rest = after.trim_start_matches([' ', '\t']);
    }
    Ok((flags, rest))
}

/// Whether a word begins a text that goes on in the next lines: `<<EOF`, `<<-EOF`, `3<<EOF`.
fn is_here_document(word: &str) -> bool {
    let after = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<");
    after.is_some_and(|after| !after.is_empty() && !after.starts_with('<'))
}

/// `ADD` downloads addresses from where the engine is, which may be closer to others than a build step.
fn refuse_address(words: &str) -> Result<(), String> {
    let is_plain = !words.contains("://") && !words.contains(['$', '\\', '@']);
    if is_plain {
        return Ok(());
    }
    Err("ADD of an address or with variables is not allowed; download in a RUN step, or use COPY for files".to_owned())
}

fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}
