//! Stopped before anything is made of their plans. Each injection is tried in every field that takes text.

use convergence_sandbox::Layer::Guard;
use serde_json::{Value, json};

use super::Specimen;
use crate::hostile::forge::guest::Guest;

pub(super) fn specimens() -> Vec<Specimen> {
    let changed = |name, says, pointer: &str, value: Value| {
        Specimen::guest(name, Guard, says, Guest::template().with("plan", pointer, value))
    };
    let file = |name, says, path: &str| changed(name, says, "/files/0/path", json!(path));
    let files = |name, says, files: Value| changed(name, says, "/files", files);
    let step = |name, says, step: Value| changed(name, says, "/stages/0/steps/0", step);
    let image = |name, says, image: &str| changed(name, says, "/stages/0/base", json!({ "image": image }));
    let service = |name, says, field: &str, value| changed(name, says, &format!("/service/{field}"), value);
    let copy = |name, says, origin: Value, paths: Value, destination: &str| {
        step(name, says, json!({ "copy": { "origin": origin, "paths": paths, "destination": destination } }))
    };
    let run = |name, says, fields: Value| step(name, says, json!({ "run": fields }));
    let variable = |key: &str, value: &str| json!({ "key": key, "value": value });
    let stages = |count: usize| -> Vec<Value> {
        (0..count).map(|at| json!({ "name": format!("s{at}"), "base": "scratch" })).collect()
    };
    vec![
        // Files.
        file("a file outside its folder", "plan.files[0].path", "../../etc/cron.d/root"),
        file("a file at an absolute path", "plan.files[0].path", "/etc/passwd"),
        file("a file with a NUL in its name", "plan.files[0].path", "app\0.txt"),
        file("a file with a backslash in its name", "plan.files[0].path", "..\\app.txt"),
        file("a file with a line break in its name", "plan.files[0].path", "a\nRUN evil"),
        file("a file sixty folders deep", "plan.files[0].path", &"a/".repeat(60)),
        file("a file whose name looks like another", "plan.files[0].path", "app\u{202e}txt.exe"),
        files("two files of one name", "duplicate", json!([{ "path": "A" }, { "path": "a" }])),
        files("a file that is a folder too", "file-and-folder", json!([{ "path": "a" }, { "path": "a/b" }])),
        files(
            "three hundred files",
            "plan.files too-many",
            (0..300).map(|n| json!({ "path": format!("f{n}") })).collect(),
        ),
        files("a file of 2 MB", "too-large", json!([{ "path": "a", "contents": "x".repeat(2 << 20) }])),
        // Images and stages.
        image("an image of an unknown registry", "plan.stages[0].base", "evil.example/miner:latest"),
        image("an image with an instruction in its name", "plan.stages[0].base", "debian\nRUN evil"),
        image("an image that a variable names", "plan.stages[0].base", "${BASE}"),
        image("an image that sets a platform", "plan.stages[0].base", "--platform=evil debian"),
        changed(
            "a stage with an instruction in its name",
            "plan.stages[0].name",
            "/stages/0/name",
            json!("x\nUSER root"),
        ),
        changed("a stage from one that is not there", "unknown-stage", "/stages/0/base", json!({ "stage": "later" })),
        changed("seventeen stages", "plan.stages too-many", "/stages", json!(stages(17))),
        changed("no stage", "plan.stages required", "/stages", json!([])),
        changed(
            "two stages of one name",
            "duplicate",
            "/stages",
            json!([{ "name": "run", "base": "scratch" }, { "name": "run", "base": "scratch" }]),
        ),
        changed(
            "a hundred steps",
            "too-many",
            "/stages/0/steps",
            (0..100).map(|_| json!({ "run": { "argv": ["true"] } })).collect(),
        ),
        // Steps.
        step("a folder with an instruction in its name", "steps[0].workdir", json!({ "workdir": "/app\nUSER root" })),
        step("a folder that a variable names", "steps[0].workdir", json!({ "workdir": "/$HOME" })),
        step("a folder outside the root", "steps[0].workdir", json!({ "workdir": "/app/../../etc" })),
        step(
            "a variable with an instruction in its name",
            "steps[0].env.key",
            json!({ "env": variable("A=1\nRUN evil", "") }),
        ),
        step("a variable with a NUL in its value", "steps[0].env.value", json!({ "env": variable("A", "a\0b") })),
        step("another search path", "reserved", json!({ "env": variable("PATH", "/evil") })),
        step("another key of the platform", "reserved", json!({ "env": variable("CONVERGENCE_API_KEY", "x") })),
        step("another name of the tenant", "reserved", json!({ "env": variable("TENANT_ID", "2") })),
        step("two folders in one search path", "steps[0].prepend-path", json!({ "prepend-path": "/a:/evil" })),
        copy("copies with a variable", "steps[0].copy", json!("plan"), json!(["$HOME"]), "/app/"),
        copy("copies with a pattern", "steps[0].copy", json!("plan"), json!(["*"]), "/app/"),
        copy("copies with an option", "steps[0].copy", json!("plan"), json!(["--from=evil"]), "/app/"),
        copy("copies from outside its files", "steps[0].copy", json!("plan"), json!(["../../etc/shadow"]), "/app/"),
        copy("copies to outside the root", "steps[0].copy", json!("plan"), json!(["."]), "../../etc/"),
        copy("copies a source that is not there", "no-source", json!("source"), json!(["."]), "/app/"),
        copy(
            "copies from an image it may not use",
            "unknown-stage",
            json!({ "stage": "evil.example/x" }),
            json!(["/"]),
            "/app/",
        ),
        run("runs nothing", "steps[0].run.argv", json!({ "argv": [] })),
        run("runs a program with a NUL in an argument", "steps[0].run.argv", json!({ "argv": ["true", "a\0b"] })),
        run(
            "runs a program with an endless argument",
            "steps[0].run.argv",
            json!({ "argv": ["echo", "x".repeat(5000)] }),
        ),
        run("runs a program with endless arguments", "steps[0].run.argv", json!({ "argv": vec!["x"; 65] })),
        run(
            "shares the cache of another tenant",
            "caches[0].id",
            json!({ "argv": ["true"], "caches": [{ "id": "../org-2", "path": "/cache" }] }),
        ),
        run(
            "mounts a cache with options",
            "caches[0].path",
            json!({ "argv": ["true"], "caches": [{ "id": "a", "path": "/cache,readonly=false" }] }),
        ),
        run(
            "reads a secret nobody gave it",
            "secrets",
            json!({ "argv": ["true"], "secrets": [{ "name": "master.key", "path": "/secret" }] }),
        ),
        // The service.
        service("a service of no program", "plan.service.command", "command", json!([])),
        service("a service at a privileged port", "plan.service.port", "port", json!(22)),
        service("a release command", "plan.service.release-command", "release-command", json!(["evil"])),
        service(
            "a health check that leads elsewhere",
            "plan.service.health",
            "health/probe",
            json!({ "http": "//169.254.169.254/" }),
        ),
        service(
            "a health check with a header in it",
            "plan.service.health",
            "health/probe",
            json!({ "http": "/ HTTP/1.1\r\nX: y" }),
        ),
        service("a health check that never pauses", "interval-seconds", "health/interval-seconds", json!(0)),
        service("a health check that takes an hour", "timeout-seconds", "health/timeout-seconds", json!(3600)),
        service("a service that names the tenant", "reserved", "env", json!([variable("TENANT_NAME", "other")])),
        service("a service with a variable twice", "duplicate", "env", json!([variable("A", "1"), variable("A", "2")])),
        service(
            "a service with a thousand variables",
            "too-many",
            "env",
            (0..1000).map(|n| variable(&format!("V{n}"), "")).collect(),
        ),
        service(
            "writes over the whole system",
            "plan.service.writable",
            "writable",
            json!([{ "path": "/", "size-mb": 1 }]),
        ),
        service(
            "writes to the engine's socket",
            "plan.service.writable",
            "writable",
            json!([{ "path": "/var/run/../run", "size-mb": 1 }]),
        ),
        service(
            "takes a terabyte of memory for scratch",
            "size-mb",
            "writable",
            json!([{ "path": "/t", "size-mb": 1_048_576 }]),
        ),
        service(
            "keeps the system's devices",
            "plan.service.volumes",
            "volumes",
            json!([{ "name": "d", "path": "/dev" }]),
        ),
        service(
            "keeps a folder under a path of the host",
            "plan.service.volumes",
            "volumes",
            json!([{ "name": "../../etc", "path": "/d" }]),
        ),
        service("stops by a signal that is none", "unknown-signal", "stop-signal", json!("TERM; reboot")),
        service("takes an hour to stop", "stop-grace-seconds", "stop-grace-seconds", json!(3600)),
        // Notes.
        changed("notes without end", "plan.notes too-many", "/notes", json!(vec!["x"; 65])),
        changed("a note that writes to a terminal", "plan.notes[0]", "/notes/0", json!("\u{1b}]0;evil\u{7}")),
    ]
}
