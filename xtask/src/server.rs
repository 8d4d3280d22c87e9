//! The server as a child of this chore: started, waited for until ready, drained at the end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{command, settings::Settings};

/// A first start compiles every component to native code.
const READY: Duration = Duration::from_secs(120);

/// How long one answer of the server may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How often the child is looked at while the chore stays in front.
const GLANCE: Duration = Duration::from_millis(200);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    binary: PathBuf,
    port: u16,
    interrupts: Receiver<()>,
}

impl Server {
    /// Starts the server. From here on Ctrl-C and SIGTERM reach this chore alone, which passes them on when it is time.
    pub(crate) fn start(binary: &Path, settings: &Settings, port: u16) -> Result<Self> {
        if TcpStream::connect_timeout(&address(port), ANSWER).is_ok() {
            bail!(
                "something already listens on 127.0.0.1:{port}: stop it (an earlier `cargo xtask up`?), or choose another port with --port"
            );
        }
        // A queue of two: the first asks for a drain, the second for an end; more say nothing new.
        let (sender, interrupts) = mpsc::sync_channel(2);
        ctrlc::set_handler(move || {
            sender.try_send(()).ok();
        })
        .context("cannot listen for Ctrl-C")?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(&settings.file);
        println!("    $ {}", command::shown(&command));
        // A process group of its own: a terminal's Ctrl-C would otherwise reach the server too, and twice.
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self { child, binary: binary.to_owned(), port, interrupts })
    }

    /// Waits until `GET /ready` answers 200.
    pub(crate) fn await_ready(&mut self) -> Result<()> {
        let mut last = "it did not answer at all".to_owned();
        let ready = command::wait_until(READY, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status} before it was ready; its own lines above say why");
            }
            if self.interrupts.try_recv().is_ok() {
                bail!("interrupted before the server was ready");
            }
            match get(self.port, "/ready") {
                Ok((200, _)) => return Ok(Some(())),
                Ok((status, body)) => last = format!("GET /ready answered {status}: {}", body.trim()),
                Err(error) => last = format!("{error:#}"),
            }
            Ok(None)
        })?;
        ready.with_context(|| format!("the server is not ready after {} s: {last}", READY.as_secs()))
    }

    /// Runs the same binary as a client of this server and returns what it printed.
    pub(crate) fn client(&self, arguments: &[&str]) -> Result<String> {
        command::capture(&mut self.client_command(arguments))
    }

    /// Runs the same binary as a client of this server, on the terminal.
    pub(crate) fn client_shown(&self, arguments: &[&str]) -> Result<()> {
        command::run(&mut self.client_command(arguments))
    }

    fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("CONVERGENCE_URL", format!("http://127.0.0.1:{}", self.port));
        command
    }

    /// Stays in front until somebody interrupts or the server ends by itself, which is an error.
    pub(crate) fn stay(&mut self) -> Result<()> {
        loop {
            match self.interrupts.recv_timeout(GLANCE) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("nobody listens for Ctrl-C any more"),
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended by itself with {status}; its own lines above say why");
            }
        }
    }

    /// Asks the server to finish what it is doing and waits for it; a second interrupt ends it at once.
    pub(crate) fn drain(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        command::terminate(&self.child)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if self.interrupts.recv_timeout(GLANCE).is_ok() {
                println!("    ending the server at once");
                self.child.kill().context("cannot end the server")?;
            }
        }
    }
}

impl Drop for Server {
    /// A chore that fails half way leaves no server behind.
    fn drop(&mut self) {
        self.drain().ok();
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A plain HTTP GET of this machine's server: status and body.
fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address(port), ANSWER).context("nothing listens yet")?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("the server did not finish its answer")?;
    parse(&String::from_utf8_lossy(&answer)).context("the server's answer is not HTTP")
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (_, status) = head.strip_prefix("HTTP/1.")?.split_once(' ')?;
    let status = status.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
        assert_eq!(parse(answer), Some((503, "no".to_owned())));
        assert_eq!(parse("HTTP/1.1 2"), None);
        assert_eq!(parse(""), None);
    }
}
