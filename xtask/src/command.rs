//! Running other programs: shown, captured, logged to a file, and always bounded where the other side may hang.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(50);

/// How many lines of a log are worth showing when its writer failed.
const TAIL: usize = 25;

/// Runs `command` with its output on the terminal; an error if it cannot start or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    $ {}", shown(command));
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed; an error carries what it said on standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    accepted(command, output)
}

/// Like [`capture`], but `command` is killed once `limit` has passed.
pub(crate) fn capture_within(command: &mut Command, limit: Duration) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let ended = wait_until(limit, || Ok(child.try_wait()?));
    let Some(status) = ended? else {
        child.kill().ok();
        child.wait().ok();
        bail!("`{}` did not end within {} s", shown(command), limit.as_secs());
    };
    let collected =
        |reader: Option<thread::JoinHandle<Vec<u8>>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    accepted(command, Output { status, stdout: collected(stdout), stderr: collected(stderr) })
}

/// Runs `command` with all its output in the file `log`, which is replaced; an error carries the last lines.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let (stdout, stderr) = log_files(log)?;
    let status =
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}; its last lines, of {}:\n{}", shown(command), log.display(), tail(log));
    }
    Ok(())
}

/// The same new file twice: once for standard output, once for standard error.
pub(crate) fn log_files(log: &Path) -> Result<(File, File)> {
    if let Some(folder) = log.parent() {
        create_folder(folder)?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let twin = file.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
    Ok((file, twin))
}

/// The last lines of a log, indented; a note if there is none.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last: Vec<String> =
        lines.iter().skip(lines.len().saturating_sub(TAIL)).map(|line| format!("    {line}")).collect();
    if last.is_empty() { "    (nothing was written)".to_owned() } else { last.join("\n") }
}

/// Looks at `condition` until it yields something or `limit` has passed; `None` means it never did.
pub(crate) fn wait_until<T>(limit: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let start = Instant::now();
    loop {
        if let Some(found) = condition()? {
            return Ok(Some(found));
        }
        if start.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Where `program` is, looked for in `PATH` and in the folders that root's own `PATH` sometimes lacks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].into_iter().map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Creates a folder and those above it.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

/// Writes a text file, and the folder it is in.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`; is it installed and in PATH?", command.get_program().to_string_lossy())
}

fn accepted(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed something other than text", shown(command)))
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe never stops the writer.
fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        bytes
    })
}
