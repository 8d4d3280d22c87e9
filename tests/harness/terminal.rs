//! The command line on a terminal: what a person sees of it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::pty::{OpenptyResult, Winsize, openpty};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use super::eventually;
use super::server::binary;

/// More rows than anything prints, so that nothing scrolls away.
const ROWS: u16 = 500;

/// A command that runs on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    columns: u16,
    /// What was written to the screen so far.
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `convergence` with these arguments in a folder.
    pub(crate) fn start(columns: u16, folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a terminal");
        // Or the command would keep its own screen alive.
        fcntl_setfd(&master, FdFlags::CLOEXEC)
            .and_then(|()| fcntl_setfd(&slave, FdFlags::CLOEXEC))
            .expect("a terminal");
        let end = || -> Stdio { slave.try_clone().expect("a terminal").into() };
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(folder).stdin(end()).stdout(end()).stderr(end());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "DATABASE_URL", "DOCKER_HOST", "COLUMNS"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color").envs(variables.iter().copied());
        let child = command.spawn().expect("the binary can be run");
        // Or the reader would wait for our own ends of the terminal.
        drop((command, slave));
        let written = Arc::new(Mutex::new(Vec::new()));
        let keyboard = File::from(master.try_clone().expect("a terminal"));
        let reader = std::thread::spawn({
            let written = Arc::clone(&written);
            move || read(master, &written)
        });
        Self { child, keyboard, columns, written, reader: Some(reader) }
    }

    /// Runs a command to its end: its exit code, and the screen then.
    pub(crate) fn run(columns: u16, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        Self::start(columns, folder, arguments, &[]).end()
    }

    /// Types something.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal");
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it is our child");
    }

    /// Waits until the screen shows a text, and answers the screen.
    pub(crate) async fn shows(&self, text: &str) -> String {
        eventually(&format!("the screen shows {text:?}"), Duration::from_secs(60), || async {
            let screen = self.screen();
            if screen.contains(text) { Ok(screen) } else { Err(screen) }
        })
        .await
    }

    /// Waits for the end of the command: its exit code, and the screen then.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it is our child");
        self.reader.take().map(JoinHandle::join);
        (status.code(), self.screen())
    }

    /// Everything that was written, escape sequences included, once the command has ended.
    pub(crate) fn bytes_at_its_end(mut self) -> Vec<u8> {
        self.child.wait().expect("it is our child");
        self.reader.take().map(JoinHandle::join);
        self.bytes()
    }

    /// Everything that was written so far.
    fn bytes(&self) -> Vec<u8> {
        self.written.lock().expect("nobody panics with it").clone()
    }

    /// The screen as a person sees it, row by row.
    pub(crate) fn screen(&self) -> String {
        let [rows, columns] = [ROWS, self.columns].map(|size| NonZero::new(size).expect("a terminal has a size"));
        let mut parser = vt100::Parser::new(rows, columns, 0);
        parser.process(&self.bytes());
        let rows: Vec<String> = parser.screen().rows(0, self.columns).map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(master: OwnedFd, written: &Mutex<Vec<u8>>) {
    let mut screen = File::from(master);
    let mut piece = [0; 4096];
    // An error is how a terminal says that nobody is at its other end any more.
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        written.lock().expect("nobody panics with it").extend_from_slice(&piece[..length]);
    }
}
