//! What can go wrong, in words for an operator.

use std::path::PathBuf;
use std::time::Duration;

use crate::component::Kind;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine refused its configuration, or the machine has no room for the pool that was insisted on.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The folder for native code cannot be used.
    #[error("cannot use {path} as the cache of compiled plugins: {source}; make it writable or configure another folder", path = .path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread that measures time for guests could not be started.
    #[error("cannot start the thread that ends runaway plugin calls: {0}")]
    Ticker(std::io::Error),
}

/// Why a component was not accepted. Each message says what is wrong with the file and what its author can do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Too many bytes.
    #[error(
        "the component has {found} bytes, more than the {limit} that are allowed; strip debug information or raise the limit"
    )]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: it does not begin with `\\0asm`; put a component (`.wasm`) here")]
    NotWasm,
    /// WebAssembly, but not a component.
    #[error(
        "this is a core WebAssembly module, not a component; turn it into one (`wasm-tools component new`, or what the plugin guide says for its language)"
    )]
    CoreModule,
    /// A binary that does not parse or does not validate.
    #[error("the component is damaged: {0}")]
    Malformed(String),
    /// Parses, and has more parts than any honest plugin.
    #[error("the component has {found} {what}, more than the {limit} that are allowed")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// No known kind is exported.
    #[error(
        "this is a component but not a plugin of a kind this server knows: it exports {}; a template exports `convergence:template/generator@0.1.0`, a policy `convergence:policy/evaluator@0.1.0`, a billing policy `convergence:billing/rater@0.1.0`",
        list(exports)
    )]
    UnknownKind {
        /// What it exports.
        exports: Vec<String>,
    },
    /// More than one kind is exported.
    #[error(
        "the component exports more than one of a template, a policy and a billing policy; a plugin is one of them"
    )]
    SeveralKinds,
    /// A known interface in a version this server does not speak.
    #[error(
        "the component exports `{found}`, and this server speaks {supported} of it; rebuild the plugin against that version"
    )]
    UnsupportedVersion {
        /// The export.
        found: String,
        /// For example `0.1`.
        supported: &'static str,
    },
    /// One interface in several versions: which of them would be meant?
    #[error("the component exports `{interface}` more than once; a plugin is built against one version")]
    SeveralVersions {
        /// Without its version.
        interface: String,
    },
    /// A plugin must say what it is.
    #[error("the component does not export `convergence:plugin/metadata@0.1.0`; every plugin must")]
    NoMetadata,
    /// WASI is imported, and the operator refuses that.
    #[error(
        "the component imports WASI ({}), which this server refuses (`[plugins] wasi = \"refuse\"`); build it without WASI, or ask the operator for `wasi = \"deterministic\"`",
        list(imports)
    )]
    WasiRefused {
        /// Which parts of it.
        imports: Vec<String>,
    },
    /// Another WASI than 0.2 is imported.
    #[error(
        "the component imports {}, and plugins are given WASI 0.2 only; build it for WASI 0.2 (`wasm32-wasip2`, or preview 1 with its component adapter; without `async` in the bindings)",
        list(imports)
    )]
    WasiVersion {
        /// Which parts of it.
        imports: Vec<String>,
    },
    /// It is made for the component model with `async`.
    #[error(
        "the component needs the component model with `async`, which belongs to WASI 0.3 and which this server does not run; build it without (with componentize-qjs: `--sync`; in bindings: no `async`)"
    )]
    Async,
    /// Something is imported that this kind is not given.
    #[error(
        "the component imports {}, which a plugin of kind `{kind}` is not given; it may import {}",
        list(imports),
        if *kind == Kind::Billing { "`convergence:host/log@0.1.0`, `convergence:host/math@0.1.0` and WASI 0.2" } else { "`convergence:host/log@0.1.0` and WASI 0.2" }
    )]
    ImportNotGranted {
        /// The kind.
        kind: Kind,
        /// What it wants, beyond what it may have.
        imports: Vec<String>,
    },
    /// There is no native code for it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Names fit and types do not.
    #[error(
        "the component does not fit the {kind} contract of version {version}: {reason}; rebuild it against that version"
    )]
    WrongTypes {
        /// The kind.
        kind: Kind,
        /// For example `0.1`.
        version: &'static str,
        /// What differs.
        reason: String,
    },
    /// One of the functions called at install failed.
    #[error("the plugin failed in `{function}`: {error}")]
    Call {
        /// `describe`, `languages` or `wants`.
        function: &'static str,
        /// How.
        error: CallError,
    },
    /// What the plugin says about itself cannot be: everything that is wrong with it.
    #[error("the plugin describes itself wrongly: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Description(Vec<DescriptionProblem>),
}

/// One field of `description` that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct DescriptionProblem {
    /// Which.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a component was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is not valid WebAssembly.
    #[error("the component cannot be compiled: {0}")]
    Refused(String),
    /// The compiler was still busy when its time was up.
    #[error(
        "compiling the component takes longer than the {0:?} it may; build the plugin optimized and with less generated code, and load it again if this machine was overloaded"
    )]
    OutOfTime(Duration),
    /// The compiler wanted more memory than it may have.
    #[error(
        "compiling the component takes more than the {} MiB of memory it may; build the plugin with smaller functions and less generated code",
        .0 >> 20
    )]
    OutOfMemory(u64),
    /// The native code is too large.
    #[error(
        "the component becomes more than {} MiB of native code, which is not kept; build the plugin with less generated code",
        .0 >> 20
    )]
    TooMuchCode(usize),
    /// The compiler died, as the component may have meant it to. Nothing else is affected.
    #[error(
        "the compiler crashed on the component ({0}); the server goes on. Build the plugin with another version of its toolchain; if you do not trust its source, remove it"
    )]
    Crashed(String),
    /// The compiler could not be run: the host's fault, not the component's.
    #[error("there is no compiler for the component: {0}")]
    Unavailable(String),
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guest broke. It counts against the plugin.
    #[error("the plugin broke: {message}{}", panic.as_ref().map(|text| format!("; its last words: {text}")).unwrap_or_default())]
    Trap {
        /// What the engine saw, with the innermost functions where the component names them.
        message: String,
        /// What the guest wrote to its log as an error before: the text of a panic.
        panic: Option<String>,
    },
    /// The guest ended itself.
    #[error("the plugin ended itself with exit code {code} instead of answering{}", said.as_ref().map(|text| format!("; its last words: {text}")).unwrap_or_default())]
    Exited {
        /// What it gave to `exit`.
        code: i32,
        /// What it wrote before.
        said: Option<String>,
    },
    /// The guest waits, and nothing can end that.
    #[error("the plugin waits for something that never comes: there is no input, no network and no other thread")]
    Stalled,
    /// The clock ran out.
    #[error("the plugin did not answer within {0:?}")]
    DeadlineExceeded(Duration),
    /// The instructions ran out.
    #[error("the plugin did not answer within {0} instructions")]
    OutOfFuel(u64),
    /// The guest wanted more memory than a call may have.
    #[error("the plugin needs more than the {0} bytes of memory a call may use")]
    OutOfMemory(usize),
    /// The answer, a line of the log, or all that was printed is too long.
    #[error("the plugin handed over more than {0} bytes: as its answer, as a line of its log, or as what it printed")]
    OutputTooLarge(usize),
    /// The answer has a meaning, and it is one the contract forbids.
    #[error("the plugin's answer breaks the contract: {0}")]
    InvalidAnswer(String),
    /// The plugin foresaw the failure.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Too many calls wait already.
    #[error("too many plugin calls are waiting ({0}); try again in a moment")]
    Overloaded(usize),
    /// The host failed, not the plugin.
    #[error("the plugin could not be called: {0}")]
    Host(String),
}

impl CallError {
    /// Whether the plugin itself is broken, so that a breaker should count it. A foreseen failure and an overloaded
    /// host are not that.
    #[must_use]
    pub fn is_plugins_fault(&self) -> bool {
        match self {
            Self::Trap { .. }
            | Self::Exited { .. }
            | Self::Stalled
            | Self::DeadlineExceeded(_)
            | Self::OutOfFuel(_)
            | Self::OutOfMemory(_)
            | Self::OutputTooLarge(_)
            | Self::InvalidAnswer(_) => true,
            Self::Plugin(error) => matches!(error, PluginError::Internal(_)),
            Self::Overloaded(_) | Self::Host(_) => false,
        }
    }
}

/// A failure the plugin foresaw: `plugin-error` of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The configuration makes no sense to it.
    #[error("the plugin's configuration is wrong: {}", fields(.0))]
    InvalidConfig(Vec<PluginFieldError>),
    /// The request makes no sense to it.
    #[error("the request is wrong: {}", fields(.0))]
    InvalidInput(Vec<PluginFieldError>),
    /// Reasonable, and not served by this plugin.
    #[error("not supported by this plugin: {0}")]
    Unsupported(String),
    /// The plugin's own fault.
    #[error("the plugin failed: {0}")]
    Internal(String),
}

/// One field a plugin objects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFieldError {
    /// Where, in the configuration or the request; empty for the whole.
    pub path: String,
    /// What and why, for a person.
    pub message: String,
}

fn fields(errors: &[PluginFieldError]) -> String {
    let mut text = String::new();
    for error in errors {
        if !text.is_empty() {
            text.push_str("; ");
        }
        if !error.path.is_empty() {
            text.push_str(&error.path);
            text.push_str(": ");
        }
        text.push_str(&error.message);
    }
    text
}

/// Names in backticks, at most eight: a hostile file may hold thousands.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
