//! Stopped when they are asked what they are.

use convergence_sandbox::Layer::Describe;
use serde_json::json;

use super::Specimen;
use crate::hostile::forge::guest::Guest;

/// Bytes that are no text, where no answer is.
const NO_TEXT: &str = r#"(data (i32.const 512) "\ff\fe\fd\fc")"#;

pub(super) fn specimens() -> Vec<Specimen> {
    let specimen = |name, says, guest| Specimen::guest(name, Describe, says, guest);
    let doing = |name, says, code: &str| specimen(name, says, Guest::policy().doing("describe", code));
    let starting = |name, says, code: &str| {
        specimen(name, says, Guest::policy().fields(&format!("(func $begin {code}) (start $begin)")))
    };
    let field = |name, says, field: &str, value| {
        specimen(name, says, Guest::policy().with("describe", &format!("/{field}"), value))
    };
    let poked = |name, says, field: &str, offset, bytes: &[u8]| {
        specimen(name, says, Guest::policy().poke("describe", field, offset, bytes).fields(NO_TEXT))
    };
    let language = |name, says, languages| specimen(name, says, Guest::template().answer("languages", languages));
    vec![
        starting("never ends at its start", "instructions", "(loop (br 0))"),
        starting("traps at its start", "unreachable", "unreachable"),
        starting("takes all memory at its start", "bytes of memory", "(drop (memory.grow (i32.const 60000)))"),
        doing("never ends", "instructions", "(loop (br 0))"),
        doing("calls itself for ever", "call stack exhausted", "(drop (call $deeper (i64.const 0)))"),
        doing("takes all memory at once", "bytes of memory", "(drop (memory.grow (i32.const 60000)))"),
        doing("takes memory page by page", "bytes of memory", "(loop (drop (memory.grow (i32.const 1))) (br 0))"),
        specimen(
            "lets a table grow",
            "bytes of memory",
            Guest::policy()
                .fields("(table $t 1 funcref)")
                .doing("describe", "(drop (table.grow $t (ref.null func) (i32.const 10000000)))"),
        ),
        doing("answers from beyond its memory", "out of bounds", "(return (i32.const 0x7ffffff0))"),
        doing("answers from an odd address", "aligned", "(return (i32.const 1025))"),
        specimen(
            "traps when its answer was read",
            "unreachable",
            Guest::policy().afterwards("describe", "unreachable"),
        ),
        poked("text from beyond its memory", "out of bounds", "id", 0, &0x7fff_0000_u32.to_le_bytes()),
        poked("text longer than its memory", "out of bounds", "id", 4, &0x7fff_ffff_u32.to_le_bytes()),
        poked("text that is no text", "utf-8", "id", 0, &[0, 2, 0, 0, 4, 0, 0, 0]),
        poked("a list longer than its memory", "out of bounds", "examples", 4, &0x0fff_ffff_u32.to_le_bytes()),
        poked("a list at an odd address", "aligned", "examples", 0, &1025_u32.to_le_bytes()),
        poked("an option that is neither", "discriminant", "homepage?", 0, &[7]),
        specimen(
            "a name of 12 MB",
            "handed over more",
            Guest::policy().pages(200).poke("describe", "name", 0, &[[0; 4], (12_000_000_u32).to_le_bytes()].concat()),
        ),
        specimen(
            "half a million attributes",
            "handed over more",
            Guest::policy().pages(200).poke(
                "describe",
                "extra",
                0,
                &[65_536_u32.to_le_bytes(), 500_000_u32.to_le_bytes()].concat(),
            ),
        ),
        field("an id that is a path", "`id` is `../../etc`", "id", json!("../../etc")),
        field("an id of two lines", "`id` is", "id", json!("a\nb")),
        field("no id", "`id` is", "id", json!("")),
        field("another kind than it exports", "`kind` is `template`", "kind", json!("template")),
        field("a name of two lines", "`name` must", "name", json!("a\r\nSet-Cookie: b")),
        field("a version that is none", "`version` is", "version", json!("v1")),
        field("an endless summary", "`summary` must", "summary", json!("x".repeat(2000))),
        field("a link that runs a script", "`homepage` is", "homepage", json!("javascript:alert(1)")),
        field("a schema that is no JSON", "`config-schema` is not JSON", "config-schema", json!("{")),
        field("a schema that is a list", "`config-schema` is not", "config-schema", json!("[]")),
        field("a schema too deep to read", "`config-schema` is not JSON", "config-schema", json!("[".repeat(100_000))),
        language("serves no language", "at least one", json!([])),
        language("serves one language twice", "twice", json!([{ "name": "forged" }, { "name": "forged" }])),
        language("serves a language with a path for a name", "no name for a language", json!([{ "name": "../x" }])),
    ]
}
