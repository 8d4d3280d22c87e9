//! Command lines of a Procfile, split into the arguments that a plan holds.

use super::Request;
use crate::PluginError;

/// What a shell would act on. A plan runs programs without one, so a line with these would not mean what it says.
const SHELL_SYNTAX: &[char] = &['|', '&', ';', '<', '>', '(', ')', '`', '*', '?', '[', '~', '#'];

impl Request {
    /// The command of a process that the application's Procfile or convergence.toml names, split into arguments.
    /// Quotes and backslashes work as in a shell; `$PORT` stands for `port`. None when no such process is named.
    ///
    /// # Errors
    ///
    /// [`PluginError::InvalidInput`] at `processes.<name>` when the line is empty, a quote stays open, or it needs a
    /// shell.
    pub fn process_command(&self, name: &str, port: u16) -> Result<Option<Vec<String>>, PluginError> {
        let Some(process) = self.processes.iter().find(|process| process.key == name) else {
            return Ok(None);
        };
        match split_command(&process.value, port) {
            Ok(argv) => Ok(Some(argv)),
            Err(problem) => {
                Err(PluginError::invalid_input(&format!("processes.{name}"), format!("`{}` {problem}", process.value)))
            }
        }
    }
}

/// Splits a command line into arguments as a shell would, `$PORT` and `${PORT}` standing for `port`.
///
/// # Errors
///
/// Why not, to be put after the quoted line: it is empty, a quote stays open, or it needs a shell.
pub fn split_command(line: &str, port: u16) -> Result<Vec<String>, &'static str> {
    const NEEDS_A_SHELL: &str =
        "uses shell syntax, and programs are run without a shell; put it into a script of the application";
    if line.trim().contains(|c: char| c.is_control() && c != '\t') {
        return Err("contains a line break or another control character");
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = line.trim().chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().push(rest.next().ok_or("ends in a backslash")?);
            }
            (None | Some('"'), '$') => {
                let after = rest.as_str();
                let tail = match after.strip_prefix("{PORT}") {
                    Some(tail) => tail,
                    None => match after.strip_prefix("PORT") {
                        Some(tail) if !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => tail,
                        _ => return Err(NEEDS_A_SHELL),
                    },
                };
                word.get_or_insert_default().push_str(&port.to_string());
                rest = tail.chars();
            }
            (Some('"'), '`') => return Err(NEEDS_A_SHELL),
            (None, c) if SHELL_SYNTAX.contains(&c) => return Err(NEEDS_A_SHELL),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is never closed");
    }
    words.extend(word);
    match words.first() {
        None => Err("is empty; name a program"),
        // `A=b program` sets a variable in a shell.
        Some(first) if first.contains('=') => Err(NEEDS_A_SHELL),
        Some(_) => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attribute;

    fn split(line: &str) -> Result<Vec<String>, &'static str> {
        split_command(line, 3000)
    }

    #[test]
    fn words_quotes_and_the_port() {
        assert_eq!(split("  node   server.js "), Ok(vec!["node".into(), "server.js".into()]));
        assert_eq!(split(r#"a 'b c' "d e" f\ g '' "#), Ok(["a", "b c", "d e", "f g", ""].map(String::from).to_vec()));
        assert_eq!(split("x -b 0.0.0.0:$PORT"), Ok(["x", "-b", "0.0.0.0:3000"].map(String::from).to_vec()));
        assert_eq!(split(r#"x "${PORT}" '$PORT'"#), Ok(["x", "3000", "$PORT"].map(String::from).to_vec()));
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for line in [
            "a && b",
            "a | b",
            "a; b",
            "a > b",
            "a *",
            "a $HOME",
            "a $PORTS",
            "a $(b)",
            "a `b`",
            "a \"`b`\"",
            "A=b c",
            "a ~",
        ] {
            assert!(split(line).is_err_and(|why| why.contains("shell")), "{line}");
        }
        for line in ["", "  ", "a 'b", "a \"b", "a \\", "a\nb", "a 'b\nc'", "a \u{1b}"] {
            assert!(split(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_error_names_the_process() {
        let mut request = Request::starter("demo");
        assert_eq!(request.process_command("web", 3000), Ok(None));
        request.processes = vec![Attribute::new("web", "a | b")];
        let Err(PluginError::InvalidInput(errors)) = request.process_command("web", 3000) else {
            panic!("a pipe was accepted");
        };
        assert!(errors.iter().all(|error| error.path == "processes.web" && error.message.starts_with("`a | b` uses")));
    }
}
