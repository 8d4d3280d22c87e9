//! What uses and misuses WASI, and what asks for a WASI that plugins are not given.

use convergence_sandbox::Layer::{Call, Imports, Structure};

use super::Specimen;
use crate::harness::components;
use crate::hostile::forge::{self, POLICY};

pub(super) fn specimens() -> Vec<Specimen> {
    [imports(), misuses()].into_iter().flatten().collect()
}

fn imports() -> Vec<Specimen> {
    let with = |name, layer, says, field: &str| {
        let text = format!("(component {field} {})", forge::shell_fields(&POLICY));
        Specimen::new(name, layer, says, forge::text(&text))
    };
    let importing = |name, says, import: &str| with(name, Imports, says, &format!("(import \"{import}\" (instance))"));
    vec![
        importing("wants WASI 0.3", "WASI 0.2 only", "wasi:cli/environment@0.3.0"),
        importing("wants WASI of no version", "WASI 0.2 only", "wasi:cli/environment"),
        importing("wants a draft of WASI", "WASI 0.2 only", "wasi:clocks/wall-clock@0.2.0-rc-2023-11-10"),
        importing("wants a key-value store", "wasi:keyvalue/store", "wasi:keyvalue/store@0.2.0"),
        importing("wants a program to run", "wasi:cli/run", "wasi:cli/run@0.2.0"),
        // What it exports has no functions: its imports are as they should be.
        importing("wants a WASI 0.2 of years to come", "`describe`", "wasi:cli/environment@0.2.999"),
        with(
            "wants the environment as one text",
            Imports,
            "wasi:cli/environment",
            r#"(import "wasi:cli/environment@0.2.6" (instance (export "get-environment" (func (result string)))))"#,
        ),
        with(
            "wants what the environment does not have",
            Imports,
            "wasi:cli/environment",
            r#"(import "wasi:cli/environment@0.2.6" (instance (export "set-environment" (func (param "name" string)))))"#,
        ),
        with(
            "has tasks of its own",
            Structure,
            "without (with componentize-qjs",
            "(core func (canon backpressure.inc))",
        ),
        Specimen::new(
            "a component inside a component",
            Structure,
            "exports nothing",
            forge::text("(component (component))"),
        ),
        Specimen::new(
            "a command line program",
            Structure,
            "not a plugin of a kind",
            forge::shell(&["wasi:cli/run@0.2.0"]),
        ),
    ]
}

fn misuses() -> Vec<Specimen> {
    let guest = std::fs::read(components().join("fixtures/hostile-wasi.wasm")).unwrap();
    let doing = |name, says, config| Specimen { config, ..Specimen::new(name, Call, says, guest.clone()) };
    let harmless = |name, config| Specimen { name, layer: None, says: "", bytes: guest.clone(), config };
    vec![
        doing("prints a gigabyte", "what it printed", r#"{"do":"flood"}"#),
        doing("waits for a hundred thousand things", "table", r#"{"do":"pollables"}"#),
        doing("sleeps for ever", "more than 10000 times", r#"{"do":"sleep-for-ever"}"#),
        doing("looks at the clock until years have passed", "instructions", r#"{"do":"spin-for-ever"}"#),
        doing("wants a gigabyte of random bytes", "exceeds limit", r#"{"do":"random"}"#),
        doing("ends in the middle", "exit code 0", r#"{"do":"exit"}"#),
        doing("ends in the middle with a fault", "cannot go on", r#"{"do":"exit-failed"}"#),
        doing("writes to nobody", "never comes", r#"{"do":"stall"}"#),
        doing("waits for nothing at all", "empty poll list", r#"{"do":"wait-for-nothing"}"#),
        harmless("looks at everything there is", r#"{"do":"observe"}"#),
        harmless("sleeps for an hour", r#"{"do":"sleep"}"#),
        harmless("tries each way to the network", r#"{"do":"network"}"#),
    ]
}
