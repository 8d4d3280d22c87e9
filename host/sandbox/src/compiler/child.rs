//! What runs in the child process: first it gives up what it does not need, then it reads.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::protocol::{Answer, Order};
use crate::engine;

/// The whole work of a child process that compiles: `arguments` are those that [`super::Compiler::Child`] adds to the
/// program's own. The component is read from standard input, its native code is written to standard output. Call it
/// before anything else: no thread may have been started, and the process is bounded from then on.
#[must_use]
pub fn compile_in_child(arguments: &[String]) -> ExitCode {
    let Some(order) = Order::from_arguments(arguments) else {
        return fail("this command is started by the server to compile a plugin, and of no use otherwise");
    };
    if let Err(error) = confine(&order) {
        return fail(&format!("the compiler cannot bound itself: {error}"));
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(order.component_bytes.saturating_add(1)).is_err() {
        return answer(&Answer::OutOfMemory, &[]);
    }
    if let Err(error) = io::stdin().lock().read_to_end(&mut bytes) {
        return fail(&format!("cannot read the component: {error}"));
    }
    if bytes.len() != order.component_bytes {
        return fail("the component did not arrive whole");
    }
    let engine = match engine::for_compiling(order.pooled) {
        Ok(engine) => engine,
        Err(error) => return fail(&format!("the WebAssembly engine cannot start: {error:#}")),
    };
    match engine.precompile_component(&bytes) {
        Ok(code) => answer(&Answer::Code { engine: engine::compatibility(&engine), bytes: code.len() }, &code),
        Err(error) if is_out_of_memory(&error) => answer(&Answer::OutOfMemory, &[]),
        Err(error) => answer(&Answer::Refused(format!("{error:#}")), &[]),
    }
}

/// Gives up everything but memory, processor and the three standard streams.
fn confine(order: &Order) -> io::Result<()> {
    // A server that dies takes its compilers with it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    close_inherited();
    let seconds = order.time.as_secs().saturating_add(u64::from(order.time.subsec_nanos() > 0)).max(1);
    let limit = |resource, current: u64, maximum: u64| {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })
    };
    // At the first the process is told, at the second it is killed.
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    limit(Resource::As, order.memory_bytes, order.memory_bytes)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Nproc, 0, 0)?;
    // Those that are open stay so; there will be no others.
    limit(Resource::Nofile, 3, 3)?;
    Ok(())
}

/// Closes what this process was started with besides its standard streams.
#[allow(unsafe_code)]
fn close_inherited() {
    let folder = Path::new("/proc/self/fd");
    let Ok(entries) = folder.read_dir() else { return };
    let listed: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    // The listing was open itself, and is closed by now.
    for fd in listed.into_iter().filter(|fd| folder.join(fd.to_string()).symlink_metadata().is_ok()) {
        // SAFETY: the descriptor is open, and this process, which has one thread and has just begun, has opened
        // nothing that is still open: no owner of it exists.
        unsafe { rustix::io::close(fd) };
    }
}

fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let no_memory = rustix::io::Errno::NOMEM.raw_os_error();
    error.is::<wasmtime::OutOfMemory>()
        || error
            .chain()
            .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.raw_os_error() == Some(no_memory)))
}

fn answer(answer: &Answer, code: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    let written =
        out.write_all(answer.to_line().as_bytes()).and_then(|()| out.write_all(code)).and_then(|()| out.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("nobody takes the native code: {error}")),
    }
}

fn fail(reason: &str) -> ExitCode {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(2)
}
