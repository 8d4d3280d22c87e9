//! What the operator decides about the sandbox.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::compiler::Compiler;

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where native code is kept between runs; `None` compiles every component at every start. Made where missing,
    /// readable by the server's user alone.
    pub cache_dir: Option<PathBuf>,
    /// Authenticates what is found there: native code is run unchecked, so it must be ours. Derive it from a secret
    /// that a writer of `cache_dir` does not have.
    pub cache_key: [u8; 32],
    /// Who compiles. A server lets a child process do it.
    pub compiler: Compiler,
    /// Where instances come from.
    pub pooling: Pooling,
    /// Short guest calls that run at the same time; more wait for their turn. A call is short for the first ten or
    /// twenty milliseconds.
    pub max_concurrent_calls: usize,
    /// Long guest calls that run at the same time, beside the short ones; more wait for their turn.
    pub max_long_calls: usize,
    /// Guest calls that may wait for either; more are refused with [`crate::CallError::Overloaded`].
    pub max_waiting_calls: usize,
    /// Bytes of the largest component that is looked at.
    pub max_component_bytes: usize,
    /// Whether components that import WASI are taken in.
    pub wasi: Wasi,
    /// What one call may use.
    pub limits: CallLimits,
}

impl Default for SandboxConfig {
    /// No cache on disk, no child processes, a pool where the machine has room for one, four short calls a core and a long one.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            cache_dir: None,
            cache_key: [0; 32],
            compiler: Compiler::InProcess,
            pooling: Pooling::Auto,
            max_concurrent_calls: (cores * 4).clamp(4, 32),
            max_long_calls: cores.max(2),
            max_waiting_calls: 1024,
            max_component_bytes: 64 << 20,
            wasi: Wasi::default(),
            limits: CallLimits::default(),
        }
    }
}

impl std::fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        f.debug_struct("SandboxConfig")
            .field("cache_dir", &self.cache_dir)
            .field("compiler", &self.compiler)
            .field("pooling", &self.pooling)
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .field("max_long_calls", &self.max_long_calls)
            .field("max_waiting_calls", &self.max_waiting_calls)
            .field("max_component_bytes", &self.max_component_bytes)
            .field("wasi", &self.wasi)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where the memories, tables and stacks of instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// A pool, or on demand where the address space is too small for one.
    #[default]
    Auto,
    /// A pool, or no sandbox.
    Always,
    /// Mapped at each call: slower, and sparing with address space.
    Never,
}

/// What becomes of a component that imports WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wasi {
    /// It is given a WASI 0.2 that holds nothing, and shows the same at every call with the same input.
    #[default]
    Deterministic,
    /// It is refused.
    Refuse,
}

/// What one call of a guest may use. A call that wants more fails; nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of all linear memories of the call together.
    pub memory_bytes: usize,
    /// Instructions, about one unit each: what normally ends a runaway call, because it does so at the same place on
    /// every machine.
    pub fuel: u64,
    /// Fuel added for each byte the call is given, so that large applications are not refused for their size.
    pub fuel_per_input_byte: u64,
    /// The safety stop, on the clock and counted from the moment the call leaves the queue.
    pub deadline: Duration,
    /// Bytes the guest may hand over at once, as its answer or as a line of its log.
    pub output_bytes: usize,
    /// Log lines kept for a call.
    pub log_lines: usize,
    /// Bytes kept of one log line.
    pub log_line_bytes: usize,
}

impl Default for CallLimits {
    /// 128 MiB (a Python-built guest needs some 50), 10⁹ units of fuel, 5 s, 8 MiB out, 200 lines of 4 KiB.
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            fuel: 1_000_000_000,
            fuel_per_input_byte: 2_000,
            deadline: Duration::from_secs(5),
            output_bytes: 8 << 20,
            log_lines: 200,
            log_line_bytes: 4096,
        }
    }
}
