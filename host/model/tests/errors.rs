//! `docs/errors.md` is made from the table of codes.
//!
//! `INSTA_UPDATE=always cargo nextest run -p convergence-model errors` writes it again.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;
use std::path::Path;

use convergence_model::code::Area;
use convergence_model::{Code, Exit, Retry};

const INTRODUCTION: &str = "\
# Error codes

<!-- Made from host/model/src/code/table.rs. Change the table, then run:
     INSTA_UPDATE=always cargo nextest run -p convergence-model errors -->

Every problem that the HTTP API answers, and the `failure` of every operation that failed, carries a `code`. Codes are stable:
programs may rely on them. This page lists all of them. [api.md](api.md#errors) says what else a problem holds, and
[operations.md](operations.md#when-an-operation-fails) what happens to an operation that fails.

The codes of `violations` are not in this list: policies choose their own.

- *Status* is the HTTP status of a problem. An operation that failed is itself answered with 200; its `failure` holds the code.
- *Exit* is the exit code of the command line.
- *Retry* says whether sending the same request again can help; problems and failures carry it as `retry`.
";

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## Retry\n\n| retry | means |\n|---|---|\n");
    for retry in Retry::ALL {
        writeln!(text, "| `{}` | {} |", retry.as_str(), retry.summary()).unwrap();
    }
    text.push_str("\nA 503 with `later` carries `Retry-After`.\n\n## Exit codes of the command line\n\n| exit | means |\n|---|---|\n");
    for exit in Exit::ALL {
        writeln!(text, "| {} | {} |", exit.number(), exit.summary()).unwrap();
    }
    for area in Area::ALL {
        let header = "| code | status | exit | retry | means | what to do |\n|---|---|---|---|---|---|";
        write!(text, "\n## {}\n\n{header}\n", area.title()).unwrap();
        for code in Code::ALL.iter().filter(|code| code.meaning().area == area) {
            let meaning = code.meaning();
            let (exit, retry) = (meaning.exit.number(), meaning.retry.as_str());
            writeln!(
                text,
                "| `{code}` | {} | {exit} | {retry} | {} | {} |",
                meaning.status, meaning.summary, meaning.action
            )
            .unwrap();
        }
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is the one that golden files are updated with")]
fn errors_md_is_made_from_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let document = document();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, &document).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == document,
        "docs/errors.md is not what the table says; run `INSTA_UPDATE=always cargo nextest run -p convergence-model errors`"
    );
}
