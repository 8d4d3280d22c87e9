//! Stopped while they do what their kind is for, or by what the contract says of their answer.

use convergence_sandbox::Layer::Call;
use serde_json::json;

use super::Specimen;
use crate::hostile::forge::guest::Guest;

pub(super) fn specimens() -> Vec<Specimen> {
    let specimen = |name, says, guest| Specimen::guest(name, Call, says, guest);
    let doing = |name, says, code: &str| specimen(name, says, Guest::template().doing("plan", code));
    let realloc = |name, says, code: &str| specimen(name, says, Guest::policy().realloc(code));
    let poked = |name, says, guest: Guest, function, field: &str, bytes: &[u8]| {
        specimen(name, says, guest.poke(function, field, 0, bytes))
    };
    let violation = json!({ "violations": [{ "path": "name", "code": "c", "message": "m" }] });
    let log = "(call $log (i32.const 2) (i32.const 0) (i32.const 8))";
    vec![
        doing("plans for ever", "instructions", "(loop (br 0))"),
        doing(
            "plans for ever, and takes memory",
            "bytes of memory",
            "(loop (drop (memory.grow (i32.const 1))) (br 0))",
        ),
        doing("plans by calling itself", "call stack exhausted", "(drop (call $deeper (i64.const 0)))"),
        doing("gives up without a word", "unreachable", "unreachable"),
        doing("divides by zero", "divide by zero", "(drop (i32.div_u (i32.const 1) (local.get $i)))"),
        doing("reads beyond its memory", "out of bounds memory access", "(drop (i32.load (i32.const -8)))"),
        doing("writes beyond its memory", "out of bounds memory access", "(i64.store (i32.const -8) (i64.const 1))"),
        doing("copies beyond its memory", "out of bounds", "(memory.fill (i32.const -8) (i32.const 1) (i32.const 64))"),
        doing(
            "turns what is no number into one",
            "invalid conversion to integer",
            "(drop (i32.trunc_f64_s (f64.const nan)))",
        ),
        specimen(
            "calls a function that is not there",
            "uninitialized element",
            Guest::template()
                .fields("(table $t 4 funcref) (type $f (func))")
                .doing("plan", "(call_indirect $t (type $f) (i32.const 3))"),
        ),
        specimen(
            "calls a function as what it is not",
            "type mismatch",
            Guest::template()
                .fields("(table $t funcref (elem $deeper)) (type $f (func))")
                .doing("plan", "(call_indirect $t (type $f) (i32.const 0))"),
        ),
        specimen(
            "breaks, with last words",
            "its last words",
            Guest::template().doing("plan", "(call $log (i32.const 4) (i32.const 0) (i32.const 2)) unreachable"),
        ),
        doing(
            "a line from beyond its memory",
            "out of bounds",
            "(call $log (i32.const 2) (i32.const -64) (i32.const 32))",
        ),
        doing(
            "a line of a level that is none",
            "discriminant",
            "(call $log (i32.const 77) (i32.const 0) (i32.const 8))",
        ),
        specimen(
            "a line of 12 MB",
            "handed over more",
            Guest::template().pages(200).doing("plan", "(call $log (i32.const 2) (i32.const 0) (i32.const 12000000))"),
        ),
        doing("lines without end", "instructions", &format!("(loop {log} (br 0))")),
        Specimen::harmless(
            "ten thousand lines",
            Guest::template().doing(
                "plan",
                &format!(
                    "(loop {log} (local.set $i (i32.add (local.get $i) (i32.const 1)))
                       (br_if 0 (i32.lt_u (local.get $i) (i32.const 10000))))"
                ),
            ),
        ),
        realloc("gives no memory for its input", "unreachable", "unreachable"),
        realloc("looks for memory for ever", "instructions", "(loop (br 0)) unreachable"),
        realloc("gives memory beyond its own", "beyond end of memory", "(i32.const 0x7ffffff0)"),
        realloc(
            "gives memory at an odd address",
            "aligned",
            "(i32.add (call $grab (local.get 2) (local.get 3)) (i32.const 1))",
        ),
        realloc(
            "calls the host while the host calls it",
            "cannot leave component instance",
            &format!("{log} (i32.const 4096)"),
        ),
        Specimen::harmless("gives the same memory for everything", Guest::policy().realloc("(i32.const 8192)")),
        Specimen::harmless("gives the memory at zero", Guest::policy().realloc("(i32.const 0)")),
        specimen("traps when its plan was read", "unreachable", Guest::template().afterwards("plan", "unreachable")),
        specimen(
            "never ends when its plan was read",
            "instructions",
            Guest::template().afterwards("plan", "(loop (br 0))"),
        ),
        poked("neither a plan nor an error", "discriminant", Guest::template(), "plan", "", &[9]),
        poked(
            "a stage that starts from nothing known",
            "discriminant",
            Guest::template(),
            "plan",
            "stages[0].base#",
            &[9],
        ),
        poked("a step of no kind", "discriminant", Guest::template(), "plan", "stages[0].steps[0]#", &[99]),
        poked(
            "a violation of no severity",
            "discriminant",
            Guest::policy().answer("evaluate", violation),
            "evaluate",
            "violations[0].severity#",
            &[9],
        ),
        specimen(
            "a note of 12 MB",
            "handed over more",
            Guest::template()
                .pages(200)
                .poke("plan", "notes", 0, &[2048_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat())
                .fields(r#"(data (i32.const 2048) "\00\00\00\00\00\1b\b7\00")"#),
        ),
        specimen("a thousand stages that share a thousand steps", "handed over more", laughs()),
        specimen(
            "a million empty notes",
            "handed over more",
            Guest::template().pages(200).poke(
                "plan",
                "notes",
                0,
                &[65_536_u32.to_le_bytes(), 1_000_000_u32.to_le_bytes()].concat(),
            ),
        ),
        specimen(
            "a policy that gives more than was asked for",
            "never widen",
            Guest::policy().answer(
                "evaluate",
                json!({ "tightened": {
                "cpu-millis": 64_000, "memory-mb": 1_000_000, "disk-mb": 1, "replicas": 1, "pids": 1,
            } }),
            ),
        ),
        specimen(
            "a policy that leaves nothing of what was asked for",
            "leaves nothing of a limit",
            Guest::policy().answer(
                "evaluate",
                json!({ "tightened": { "cpu-millis": 0, "memory-mb": 0, "disk-mb": 0, "replicas": 0, "pids": 0 } }),
            ),
        ),
        specimen(
            "a policy that fails by its own fault",
            "lost its head",
            Guest::policy().answer("evaluate", json!({ "error": { "internal": "lost its head" } })),
        ),
    ]
}

/// Lists of lists that are one list: a hundred kilobytes that would be read as a million steps.
fn laughs() -> Guest {
    // A stage is 36 bytes: name, base, steps. All of them are zero but for the steps, which all are the same.
    let mut stages = Vec::new();
    for _ in 0..1000 {
        let mut stage = vec![0; 20];
        // scratch
        stage[8] = 2;
        stage.extend(200_000_u32.to_le_bytes());
        stage.extend(1000_u32.to_le_bytes());
        stages.extend(stage);
    }
    let data: String = stages.iter().map(|byte| format!("\\{byte:02x}")).collect();
    Guest::template().pages(8).fields(&format!(r#"(data (i32.const 131072) "{data}")"#)).poke(
        "plan",
        "stages",
        0,
        &[131_072_u32.to_le_bytes(), 1000_u32.to_le_bytes()].concat(),
    )
}
