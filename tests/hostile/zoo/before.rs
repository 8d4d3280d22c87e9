//! Stopped before anything of them has run: by their structure, their imports, or in the compiler.

use convergence_sandbox::Layer::{Compile, Imports, Structure};

use super::Specimen;
use crate::harness::components;
use crate::hostile::forge::{self, POLICY, guest::Guest};

pub(super) fn specimens() -> Vec<Specimen> {
    [structure(), imports(), compile()].into_iter().flatten().collect()
}

fn honest() -> Vec<u8> {
    std::fs::read(components().join("policies/limits.wasm")).unwrap()
}

fn structure() -> Vec<Specimen> {
    let specimen = |name, says, bytes| Specimen::new(name, Structure, says, bytes);
    let text = |name, says, text: &str| specimen(name, says, forge::text(text));
    let honest = honest();
    let both = ["convergence:template/generator@0.1.0", POLICY[0], POLICY[1]];
    let many = |what: &str, count: usize| format!("(component {})", what.repeat(count));
    let in_module = |what: &str, count: usize| format!("(component (core module {}))", what.repeat(count));
    vec![
        specimen("an empty file", "not WebAssembly", Vec::new()),
        specimen("a shell script", "not WebAssembly", b"#!/bin/sh\nrm -rf /\n".to_vec()),
        specimen("a file of 200 MB", "more than the", vec![0; 200 << 20]),
        specimen("half a component", "damaged", honest[..honest.len() / 2].to_vec()),
        specimen("a component with garbage after it", "damaged", [&honest[..], &[0xff; 64]].concat()),
        specimen("a header and nothing else", "exports nothing", honest[..8].to_vec()),
        text("a core module", "not a component", "(module)"),
        specimen("another world", "not a plugin of a kind", forge::shell(&["wasi:http/incoming-handler@0.2.0"])),
        specimen("two kinds at once", "a plugin is one of them", forge::shell(&both)),
        specimen("no metadata", "every plugin must", forge::shell(&POLICY[1..])),
        specimen(
            "metadata twice",
            "more than once",
            forge::shell(&[POLICY[0], "convergence:plugin/metadata@0.1.7", POLICY[1]]),
        ),
        specimen(
            "the next version",
            "rebuild the plugin",
            forge::shell(&["convergence:plugin/metadata@0.2.0", "convergence:policy/evaluator@0.2.0"]),
        ),
        specimen(
            "a version of nobody",
            "rebuild the plugin",
            forge::shell(&[POLICY[0], "convergence:policy/evaluator@0.1.0-mine"]),
        ),
        text("too many modules", "core modules", &many("(core module)", 49)),
        text("too many components within", "nested components", &many("(component)", 129)),
        text("too many types", "types of its own", &many("(type (list u8))", 10_001)),
        text("too many core types", "core types", &in_module("(type (func))", 20_001)),
        text("too many functions", "functions", &in_module("(func)", 100_001)),
        text("too many memories", "memories", &in_module("(memory 1)", 49)),
        text("too many tables", "tables", &in_module("(table 1 funcref)", 49)),
        text("too many globals", "globals", &in_module("(global i32 i32.const 0)", 20_001)),
        specimen(
            "a function of two megabytes",
            "bytes in one function",
            forge::policy_holding(&forge::module(1, 0, &forge::busy_body(100_000))),
        ),
        specimen(
            "four thousand million local variables",
            "local variables",
            forge::policy_holding(&forge::module(1, 0xffff_ffff, &[0x0b])),
        ),
    ]
}

fn imports() -> Vec<Specimen> {
    let importing = |name, says, import: &str| {
        let text = format!("(component {import} {})", forge::shell_fields(&POLICY));
        Specimen::new(name, Imports, says, forge::text(&text))
    };
    vec![
        importing(
            "wants sockets and a shell",
            "evil:host/shell",
            r#"(import "wasi:sockets/tcp@0.2.0" (instance)) (import "evil:host/shell@1.0.0" (instance))"#,
        ),
        importing("wants a function of no interface", "`system`", r#"(import "system" (func (param "line" string)))"#),
        importing(
            "wants another version of the log",
            "host/log@0.2.0",
            r#"(import "convergence:host/log@0.2.0" (instance))"#,
        ),
        importing(
            "wants what another kind is given",
            "template-types",
            r#"(import "convergence:template/template-types@0.1.0" (instance))"#,
        ),
        importing(
            "wants more of the log than there is",
            "does not fit",
            r#"(import "convergence:host/log@0.1.0" (instance (export "read" (func (result string)))))"#,
        ),
        Specimen::new("has the right names and the wrong types", Imports, "does not fit", forge::shell(&POLICY)),
    ]
}

fn compile() -> Vec<Specimen> {
    let module = |name, says, module: &str| {
        let bytes = wat::parse_str(module).unwrap();
        Specimen::new(name, Compile, says, forge::policy_holding(&bytes))
    };
    let specimen = |name, says, bytes| Specimen::new(name, Compile, says, bytes);
    vec![
        specimen(
            "a function that is not valid",
            "type mismatch",
            forge::policy_holding(&forge::module(1, 0, &[0x41, 0, 0x0b])),
        ),
        specimen(
            "takes too long to compile",
            "longer than",
            forge::policy_holding(&forge::module(100, 0, &forge::busy_body(20_000))),
        ),
        specimen(
            "takes too much memory to compile",
            "MiB of memory",
            forge::policy_holding(&forge::module(1, 1000, &forge::busy_body(90_000))),
        ),
        specimen("types within types, eighty thousand deep", "crashed", nested_types(80_000)),
        module("shared memory", "cannot be compiled", "(module (memory 1 1 shared))"),
        module("memory of 64 bits", "cannot be compiled", "(module (memory i64 1))"),
        module("objects of a garbage collector", "cannot be compiled", "(module (type (struct (field i32))))"),
        module("exceptions", "cannot be compiled", "(module (tag) (func (throw 0)))"),
        module(
            "arithmetic that differs between machines",
            "cannot be compiled",
            "(module (func (param v128 v128 v128) (result v128)
               (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))",
        ),
        Specimen::guest("memory of 4 GB from the start", Compile, "memory", Guest::policy().pages(65_536)),
        Specimen::guest(
            "a table of ten million from the start",
            Compile,
            "table",
            Guest::policy().fields("(table 10000000 funcref)"),
        ),
    ]
}

/// An instance type within an instance type within …: its reader recurses that often.
pub(crate) fn nested_types(depth: usize) -> Vec<u8> {
    let mut types = vec![1];
    types.extend([0x42, 1, 1].repeat(depth));
    types.extend([0x42, 0]);
    let mut bytes = forge::shell(&POLICY);
    bytes.push(7);
    bytes.extend(forge::leb(types.len()));
    bytes.extend(types);
    bytes
}
