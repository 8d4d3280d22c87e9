//! From a component's bytes to native code, within bounds.
//!
//! A compiler is a large program reading an untrusted file: it may be slow, want much memory, or crash. So a server runs
//! it in a child process ([`Compiler::Child`]) that can do nothing but compute, for so long and in so much memory. What
//! the child answers is believed because this process started it; where it is kept, it is authenticated.

mod child;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

use crate::engine;
use crate::error::CompileError;

pub use child::compile_in_child;

/// Who compiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process, without bounds: for authors at their own desk, and for tests.
    #[default]
    InProcess,
    /// A child process for each component.
    Child(ChildCompiler),
}

/// How the child process is started, and what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCompiler {
    /// The program: one that calls [`compile_in_child`] with the arguments that follow its own.
    pub program: PathBuf,
    /// Its own arguments.
    pub arguments: Vec<OsString>,
    /// Processor time for one component. On the clock it may take three times as long, since others use the processor
    /// too.
    pub time: Duration,
    /// Bytes of address space of the child, its own program included.
    pub memory_bytes: u64,
    /// Bytes of native code that are taken from it.
    pub code_bytes: usize,
    /// Children at the same time; further components wait.
    pub at_once: usize,
}

impl ChildCompiler {
    /// A program with its own arguments, and bounds that an interpreter of 18 MB stays well within (7 s, 330 MB): 60 s,
    /// 1 GiB, 512 MiB of code, one child for every two cores. A compiler that is not optimized itself has 300 s.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            program,
            arguments,
            time: Duration::from_secs(if cfg!(debug_assertions) { 300 } else { 60 }),
            memory_bytes: 1 << 30,
            code_bytes: 512 << 20,
            at_once: (cores / 2).max(1),
        }
    }
}

/// The compiler of a sandbox.
pub(crate) struct Compiling {
    compiler: Compiler,
    pooled: bool,
    running: Mutex<usize>,
    ended: Condvar,
}

impl Compiling {
    /// For an engine with these instances.
    pub(crate) fn new(compiler: Compiler, pooled: bool) -> Self {
        Self { compiler, pooled, running: Mutex::new(0), ended: Condvar::new() }
    }

    /// Waits for a turn: some compilations at once, the others after them.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let at_once = match &self.compiler {
            Compiler::InProcess => 1,
            Compiler::Child(child) => child.at_once.max(1),
        };
        // A count is never half changed.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = *running >= at_once;
        while *running >= at_once {
            running = self.ended.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Turn { of: self, waited }
    }
}

/// The right to compile one component.
pub(crate) struct Turn<'a> {
    of: &'a Compiling,
    /// Whether something else was compiled in the meantime.
    pub(crate) waited: bool,
}

impl Turn<'_> {
    /// Native code for `engine`, which must be the one this was made for.
    pub(crate) fn compile(&self, engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        match &self.of.compiler {
            Compiler::InProcess => {
                engine.precompile_component(bytes).map_err(|error| CompileError::Refused(format!("{error:#}")))
            }
            Compiler::Child(child) => process::compile(child, engine::compatibility(engine), self.of.pooled, bytes),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.of.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.of.ended.notify_one();
    }
}

/// What parent and child say to each other.
///
/// On its command line the child is told its bounds. On standard input it gets the component. On standard output it
/// writes one line, and after [`Answer::Code`] the code.
mod protocol {
    use std::time::Duration;

    use data_encoding::HEXLOWER;

    /// Bytes of the longest first line.
    pub(super) const MAX_LINE: usize = 8192;

    /// What the child is told before it reads anything.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Order {
        pub(super) pooled: bool,
        pub(super) component_bytes: usize,
        pub(super) time: Duration,
        pub(super) memory_bytes: u64,
    }

    impl Order {
        pub(super) fn to_arguments(self) -> [String; 4] {
            [
                if self.pooled { "pooled" } else { "on-demand" }.to_owned(),
                self.component_bytes.to_string(),
                self.time.as_millis().to_string(),
                self.memory_bytes.to_string(),
            ]
        }

        pub(super) fn from_arguments(arguments: &[String]) -> Option<Self> {
            let [instances, component_bytes, millis, memory_bytes] = arguments else { return None };
            let pooled = match instances.as_str() {
                "pooled" => true,
                "on-demand" => false,
                _ => return None,
            };
            Some(Self {
                pooled,
                component_bytes: component_bytes.parse().ok()?,
                time: Duration::from_millis(millis.parse().ok()?),
                memory_bytes: memory_bytes.parse().ok()?,
            })
        }
    }

    /// The first line of what the child writes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) enum Answer {
        /// So many bytes of code follow, for an engine with this compatibility.
        Code { engine: [u8; 32], bytes: usize },
        /// The component is not valid; why.
        Refused(String),
        /// There was not enough memory.
        OutOfMemory,
    }

    impl Answer {
        pub(super) fn to_line(&self) -> String {
            match self {
                Self::Code { engine, bytes } => format!("code {} {bytes}\n", HEXLOWER.encode(engine)),
                Self::Refused(reason) => {
                    let reason = reason.get(..reason.floor_char_boundary(MAX_LINE / 2)).unwrap_or_default();
                    // One line, whatever names the component put into the message.
                    format!("refused {}\n", reason.replace(char::is_control, " "))
                }
                Self::OutOfMemory => "out-of-memory\n".to_owned(),
            }
        }

        pub(super) fn from_line(line: &str) -> Option<Self> {
            let line = line.strip_suffix('\n')?;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "code" => {
                    let (engine, bytes) = rest.split_once(' ')?;
                    let engine = HEXLOWER.decode(engine.as_bytes()).ok()?.try_into().ok()?;
                    Some(Self::Code { engine, bytes: bytes.parse().ok()? })
                }
                "refused" => Some(Self::Refused(rest.to_owned())),
                "out-of-memory" => Some(Self::OutOfMemory),
                _ => None,
            }
        }
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used)]

        use super::*;

        #[test]
        fn an_order_arrives_as_it_was_given() {
            for pooled in [true, false] {
                let order =
                    Order { pooled, component_bytes: 7, time: Duration::from_millis(1500), memory_bytes: 2 << 30 };
                assert_eq!(Order::from_arguments(&order.to_arguments()), Some(order));
            }
            assert_eq!(Order::from_arguments(&["pooled".to_owned()]), None);
        }

        #[test]
        fn an_answer_arrives_as_it_was_given() {
            for answer in [
                Answer::Code { engine: [7; 32], bytes: 12 },
                Answer::Refused("type mismatch".to_owned()),
                Answer::OutOfMemory,
            ] {
                assert_eq!(Answer::from_line(&answer.to_line()).unwrap(), answer);
            }
            assert_eq!(Answer::from_line("code 07 12\n"), None);
            assert_eq!(Answer::from_line("hello\n"), None);
        }

        #[test]
        fn a_reason_is_one_line_of_bounded_length() {
            let line = Answer::Refused("a\nb\u{1b}".repeat(10_000)).to_line();
            assert!(line.len() <= MAX_LINE);
            assert_eq!(line.matches('\n').count(), 1);
        }
    }
}
