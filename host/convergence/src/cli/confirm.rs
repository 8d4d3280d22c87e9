//! Asking before something is lost.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use super::exit::Failure;
use super::terminal::visible;

/// Whether to ask.
#[derive(Debug, Args)]
pub(crate) struct Confirmation {
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Whether somebody has to be asked.
    ///
    /// # Errors
    /// Nobody can be: there is no terminal to ask on.
    pub(crate) fn is_needed(&self, command: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(false);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(true);
        }
        Err(Failure::Usage(format!(
            "`{command}` asks for confirmation, and there is no terminal to ask on; pass --yes"
        )))
    }
}

/// Asks a question that `y` or `yes` agrees to; everything else, and an end of input, does not.
///
/// # Errors
/// The answer was no.
pub(crate) fn ask(question: &str) -> Result<(), Failure> {
    let mut to = io::stderr().lock();
    let asked = write!(to, "{} [y/N] ", visible(question)).and_then(|()| to.flush());
    let mut answer = String::new();
    let answered = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    let agreed = answered.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    if agreed { Ok(()) } else { Err(Failure::Failed("not confirmed; nothing was changed".to_owned())) }
}
