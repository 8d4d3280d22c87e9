//! What plugins cost: a call, their compilation and loading, their memory, and a thousand of them.
//!
//! One policy each in Rust, JavaScript and Python, without WASI, and one each in C, Go, JavaScript and Python as the usual
//! toolchains make them, with WASI, is asked the same question. Ours is what the server does: the catalogue
//! asks the policy in use, so breaker, statistics, queue, conversion to and from the model, report and log are on our side
//! of the scale. The bare thing is wasmtime with the same pool, fuel, clock and limits, wasmtime-wasi linked where it is
//! imported, and a fresh store and instance for each call. The two take turns in one run.
//!
//! `CONVERGENCE_COMPONENTS` is the folder of the components. Arguments choose parts (`load`, `calls`, `memory`, `crowd`)
//! and languages (`rust`, `javascript`, `python`, `c-wasi`, `go-wasi`, `javascript-wasi`, `python-wasi`); none is all. `PLUGINS_BENCH_CROWD` says how many plugins make a crowd: `1,10,100,300,1000`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own: it reads its environment, its clock and its tasks"
)]

use std::path::Path;
use std::process::ExitCode;

mod bare;
mod calls;
mod crowd;
mod guest;
mod load;
mod measure;
mod product;

/// Words that this program is started with by itself.
pub(crate) const COMPILE: &str = "compile-component";
pub(crate) const HOLD: &str = "hold";

const PARTS: [&str; 4] = ["load", "calls", "memory", "crowd"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, order)) if word == COMPILE => return convergence_sandbox::compile_in_child(order),
        Some((word, [who, site, cache])) if word == HOLD => crowd::hold(who, Path::new(site), Path::new(cache)),
        _ => {
            let chosen: Vec<&str> =
                arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
            measure_all(&chosen);
        }
    }
    ExitCode::SUCCESS
}

fn measure_all(chosen: &[&str]) {
    let guests = guest::among(chosen);
    let parts: Vec<_> = PARTS.into_iter().filter(|part| chosen.contains(part)).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let cache = tempfile::tempdir().unwrap();
    if wanted("load") {
        guests.iter().for_each(load::compare);
    }
    if wanted("calls") {
        calls::compare(&guests, cache.path());
    }
    if wanted("memory") {
        crowd::memory_of_each(&guests, cache.path());
    }
    if wanted("crowd") {
        crowd::curve(cache.path());
    }
}
