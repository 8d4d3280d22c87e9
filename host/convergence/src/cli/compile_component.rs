//! `convergence compile-component`: what the server starts to compile a plugin. Not a command to type.

use std::process::ExitCode;

use clap::Args;

/// What the server tells its compiler.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Bounds, as the sandbox writes them.
    order: Vec<String>,
}

/// Runs in a process of its own: bounds it, reads a component from standard input and writes native code.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    convergence_sandbox::compile_in_child(&arguments.order)
}

/// How the server starts itself as its compiler. The running program is found under this name also when its file has
/// been replaced or removed since.
pub(crate) fn compiler() -> convergence_sandbox::ChildCompiler {
    convergence_sandbox::ChildCompiler::new("/proc/self/exe".into(), vec!["compile-component".into()])
}
