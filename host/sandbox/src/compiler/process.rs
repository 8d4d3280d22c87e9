//! The parent's side: starts the child, feeds it, and ends it when its time is up.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};

use super::ChildCompiler;
use super::protocol::{Answer, MAX_LINE, Order};
use crate::error::CompileError;

/// On the clock a child may take so many times its processor time.
const PATIENCE: u32 = 3;
/// A component that is compiled within this time is used at once. One that takes longer, a bomb among them, must not be
/// noticed by those who are served meanwhile.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How much less than all else a compilation matters from then on: where both want a core, it gets a tenth.
const NICENESS: i32 = 10;
/// Bytes kept of what the child complains.
const MAX_COMPLAINT: u64 = 4096;
/// Bytes of a complaint that are shown.
const SHOWN_COMPLAINT: usize = 300;
/// The signals that tell which bound was met.
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// Compiles in a child process. `engine` is the compatibility its code must have.
pub(super) fn compile(
    compiler: &ChildCompiler,
    engine: [u8; 32],
    pooled: bool,
    bytes: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let order =
        Order { pooled, component_bytes: bytes.len(), time: compiler.time, memory_bytes: compiler.memory_bytes };
    let child = Command::new(&compiler.program)
        .args(&compiler.arguments)
        .args(order.to_arguments())
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            CompileError::Unavailable(format!("{} cannot be started: {error}", compiler.program.display()))
        })?;
    let end = attend(child, compiler, bytes)?;
    match end.answer {
        Ok(Answer::Code { engine: theirs, .. }) if theirs != engine => Err(CompileError::Unavailable(
            "the compiler process is another version of this server; restart the server".to_owned(),
        )),
        Ok(Answer::Code { bytes: length, .. }) if length > compiler.code_bytes => {
            Err(CompileError::TooMuchCode(compiler.code_bytes))
        }
        Ok(Answer::Code { bytes: length, .. }) if length == end.code.len() => Ok(end.code),
        Ok(Answer::Refused(reason)) => Err(CompileError::Refused(reason)),
        Ok(Answer::OutOfMemory) => Err(CompileError::OutOfMemory(compiler.memory_bytes)),
        // It ended in the middle of its code, or without a word that is understood.
        Ok(Answer::Code { .. }) | Err(_) => Err(autopsy(compiler, &end)),
    }
}

/// How a child ended.
struct End {
    answer: io::Result<Answer>,
    code: Vec<u8>,
    complaint: String,
    status: ExitStatus,
    out_of_time: bool,
}

/// Feeds the child, reads what it writes, and sees it end: nothing of it is left when this returns.
fn attend(mut child: Child, compiler: &ChildCompiler, bytes: &[u8]) -> Result<End, CompileError> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(CompileError::Unavailable("its pipes are missing".to_owned()));
    };
    let max_code = compiler.code_bytes;
    thread::scope(|scope| {
        // A child that ends early reads no further; that it ended is seen elsewhere.
        let _feeder = scope.spawn(move || {
            let _ = stdin.write_all(bytes);
        });
        let complaints = scope.spawn(move || {
            let (mut text, mut stderr) = (Vec::new(), stderr);
            let _ = stderr.by_ref().take(MAX_COMPLAINT).read_to_end(&mut text);
            let _ = io::copy(&mut stderr, &mut io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        let (send, receive) = mpsc::sync_channel(1);
        let _reader = scope.spawn(move || {
            let _ = send.send(read_answer(stdout, max_code));
        });
        let received = receive.recv_timeout(AT_ONCE).or_else(|_| {
            step_back(&child);
            receive.recv_timeout(compiler.time.saturating_mul(PATIENCE).saturating_sub(AT_ONCE))
        });
        // It has closed its output, or said all it may, or its time is up. Killing one that has ended changes nothing,
        // and ends the threads above in any case.
        kill(&mut child);
        let status = child
            .wait()
            .map_err(|error| CompileError::Unavailable(format!("how the compiler ended is not known: {error}")))?;
        let out_of_time = received.is_err();
        let (answer, code) = received.unwrap_or_else(|_| (Err(io::ErrorKind::TimedOut.into()), Vec::new()));
        let complaint = complaints.join().unwrap_or_default();
        Ok(End { answer, code, complaint, status, out_of_time })
    })
}

/// Lets the child go on at a lower priority. It has not been waited for, so the number is still its own.
fn step_back(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = pid.map(|pid| setpriority_process(Some(pid), NICENESS)) {
        tracing::debug!(%error, "a compilation goes on at full priority");
    }
}

/// Ends the child and whatever it may have started: it is the first of a group of its own. It has not been waited for,
/// so the number is still its own.
fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
}

/// The first line, and the code that follows it.
fn read_answer(stdout: impl Read, max_code: usize) -> (io::Result<Answer>, Vec<u8>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    if let Err(error) = stdout.by_ref().take(limit).read_until(b'\n', &mut line) {
        return (Err(error), Vec::new());
    }
    if line.is_empty() {
        return (Err(io::ErrorKind::UnexpectedEof.into()), Vec::new());
    }
    let answer = std::str::from_utf8(&line).ok().and_then(Answer::from_line);
    let Some(answer) = answer else { return (Err(io::ErrorKind::InvalidData.into()), Vec::new()) };
    let mut code = Vec::new();
    if let Answer::Code { bytes, .. } = answer
        && bytes <= max_code
    {
        // One more than promised, to notice what nobody promised.
        let limit = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1);
        code.reserve_exact(bytes.saturating_add(1));
        if let Err(error) = stdout.take(limit).read_to_end(&mut code) {
            return (Err(error), Vec::new());
        }
    }
    (Ok(answer), code)
}

/// Why there is no answer.
fn autopsy(compiler: &ChildCompiler, end: &End) -> CompileError {
    if end.out_of_time || end.status.signal() == Some(SIGXCPU) {
        return CompileError::OutOfTime(compiler.time);
    }
    // Rust's words when an allocation fails, after which it aborts.
    if end.status.signal() == Some(SIGABRT) && end.complaint.starts_with("memory allocation of") {
        return CompileError::OutOfMemory(compiler.memory_bytes);
    }
    let understood = !matches!(&end.answer, Err(error) if error.kind() == io::ErrorKind::InvalidData);
    let mut cause = match (end.status.signal(), end.status.code()) {
        _ if !understood => "it wrote something else than native code".to_owned(),
        (Some(SIGKILL), _) => "it was killed; the machine may be short of memory".to_owned(),
        (Some(signal), _) => format!("it ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with status {code} and without an answer"),
        (None, None) => "it ended without an answer".to_owned(),
    };
    let complaint = end.complaint.trim().replace(char::is_control, " ");
    if !complaint.is_empty() {
        cause.push_str(": ");
        cause.push_str(complaint.get(..complaint.floor_char_boundary(SHOWN_COMPLAINT)).unwrap_or_default());
    }
    CompileError::Crashed(cause)
}
