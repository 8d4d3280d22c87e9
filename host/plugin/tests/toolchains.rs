//! Plugins as the usual toolchain of each language makes them, with WASI: they install, their cases hold, they answer as the
//! same plugin in Rust does, and they answer the same in another process a year later.
//!
//! `cargo xtask toolchains` builds them. Native code is kept in the target folder, since each test is a process and the larger
//! components take half a minute to compile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are and reads the clock, in tests alone")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use convergence_model::ids::Clock;
use convergence_plugin::{Case, Catalogue, PluginState, Settings, Shelf};
use convergence_sandbox::{Component, Pooling, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const KINDS: [&str; 3] = ["policy", "billing", "template"];
/// Those whose components import WASI.
const WITH_WASI: [&str; 4] = ["python", "javascript", "go", "c"];
/// What the others are compared with.
const REFERENCE: &str = "rust";
/// Inputs that are compared with the answers of [`REFERENCE`].
const COMPARED: u64 = 100;
/// Inputs of a replay.
const INPUTS: u64 = 1000;
/// Set for the process a year later: where it writes what it sees.
const ELSEWHERE: &str = "CONVERGENCE_TEST_REPLAY";
const YEAR_SECONDS: u64 = 365 * 24 * 60 * 60;

fn path(language: &str, kind: &str) -> PathBuf {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    folder.join("toolchains").join(language).join(kind).with_extension("wasm")
}

fn bytes(language: &str, kind: &str) -> Vec<u8> {
    let path = path(language, kind);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask toolchains`", path.display()))
}

fn code() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("toolchains-code")
}

fn sandbox() -> Sandbox {
    let config = SandboxConfig { pooling: Pooling::Never, cache_dir: Some(code()), ..SandboxConfig::default() };
    Sandbox::new(config).unwrap()
}

/// Loads one, while no other process does: it would compile the same.
fn load(sandbox: &Sandbox, language: &str, kind: &str) -> Component {
    let lock = fs::File::create(code().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    sandbox.load(&bytes(language, kind)).unwrap()
}

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// Numbers that look random and are the same every time: SplitMix64 (Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Any number that fits, and those at the edges of what languages hold more often than others.
    fn u32(&mut self) -> u32 {
        let any = self.next() as u32;
        self.of(&[0, 1, i32::MAX as u32, 1 << 31, u32::MAX, any, any, any])
    }

    /// A decimal of up to twelve digits before the point and six behind it.
    fn decimal(&mut self) -> String {
        let (digits, fraction) = (self.below(12), self.below(7));
        let whole = self.below(10_u64.pow(digits as u32 + 1));
        if fraction == 0 {
            whole.to_string()
        } else {
            format!("{whole}.{}", self.below(10_u64.pow(fraction as u32)) | 1)
        }
    }

    fn name(&mut self) -> String {
        let any = format!("app-{}-é\u{1f600}", self.below(1000));
        self.of(&["admin", "root", "www", "my-app", &any]).to_owned()
    }
}

/// The configuration and the input of one call.
fn question(kind: &str, number: u64) -> (Value, Value) {
    let mut n = Numbers(number);
    match kind {
        "policy" => {
            let config = [json!({}), json!({ "reserved": [] }), json!({ "reserved": [n.name(), n.name()] })];
            let input = json!({
                "action": n.of(&["spawn", "spawn", "deploy", "scale", "destroy"]),
                "organization": {
                    "id": n.next().to_string(), "name": n.name(), "plan": n.name(),
                    "usage": { "tenants": n.u32(), "cpuMillis": n.u32(), "memoryMb": n.u32(), "diskMb": n.u32() },
                },
                "actorRole": "admin",
                "tenantName": n.name(),
                "language": "node",
                "source": "starter",
                "limits": {
                    "cpuMillis": n.u32(), "memoryMb": n.u32(), "diskMb": n.u32(), "replicas": n.u32(), "pids": n.u32(),
                },
            });
            (config[n.below(3) as usize].clone(), input)
        }
        "billing" => {
            let price = format!("{}.{}", n.below(100_000), n.below(1000) | 1);
            let config = if n.below(4) == 0 { json!({}) } else { json!({ "unitPrice": price }) };
            let span = json!({ "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z" });
            let usage: Vec<Value> = (0..n.below(5))
                .map(|series| {
                    let already = if n.below(2) == 0 { "0".to_owned() } else { n.decimal() };
                    json!({
                        "need": "usage", "meter": format!("meter-{series}"), "unit": "request",
                        "quantity": n.decimal(), "alreadyInvoiced": already,
                        "dimensions": [{ "key": "region", "value": n.name() }],
                    })
                })
                .collect();
            let input = json!({
                "organization": "1", "subscription": "s-1", "currency": n.of(&["EUR", "JPY", "USD"]), "minorDigits": 2,
                "timezone": "UTC", "period": span, "asOf": "2026-02-01T00:00:00Z",
                "segments": [{ "span": span, "seats": "1" }], "usage": usage,
            });
            (config, input)
        }
        _ => {
            let mut input = json!({ "tenantName": "demo", "architecture": "amd64", "memoryMb": n.u32() });
            if n.below(2) == 0 {
                let paths =
                    [json!(["main.py"]), json!(["index.html", "sub/main.py"]), json!(["a.py", "main.py", n.name()])];
                input["source"] = json!({ "paths": paths[n.below(3) as usize] });
            }
            if n.below(3) == 0 {
                input["framework"] = json!(n.of(&["plain", "django"]));
            }
            if n.below(2) == 0 {
                input["baseImage"] = json!("python:3.13-slim-bookworm");
            }
            (json!({}), input)
        }
    }
}

/// An answer with what may differ between languages taken out: the plugin's own name, and how it words an error.
fn comparable(answer: &Value, kind: &str, language: &str) -> Value {
    if let Some(error) = answer.get("error").and_then(Value::as_object) {
        let (case, fields) = error.iter().next().expect("an error has a case");
        let paths: Vec<&Value> = fields.as_array().into_iter().flatten().map(|field| &field["path"]).collect();
        return json!({ "error": case, "paths": paths });
    }
    let mut answer = answer.clone();
    // Contents of files are base64: compared as text, so that the name can be taken out.
    for file in answer.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten() {
        let contents = file["contents"].as_str().expect("contents are text").to_owned();
        file["contents"] = json!(contents.replace(&name(language, kind), "NAME"));
    }
    answer
}

fn name(language: &str, kind: &str) -> String {
    format!("{kind}-in-{language}")
}

async fn answer(component: &Component, kind: &str, number: u64) -> (Value, String) {
    let (config, input) = question(kind, number);
    let reported = component.call_json(&config.to_string(), &input).await.unwrap();
    let report = reported.report.unwrap();
    let seen = format!("{} {} {:?}", report.fuel_used, report.memory_bytes, report.log);
    match reported.result {
        Ok(answer) => (answer.to_json(), seen),
        Err(error) => panic!("input {number} of a {kind}: {error}"),
    }
}

/// The cases that a project of this kind begins with.
fn cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../authoring/scaffold/rust").join(kind).join("cases");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let cases: Vec<Case> = files.map(|text| serde_json::from_slice(&text).unwrap()).collect();
    assert!(!cases.is_empty(), "a {kind} has cases");
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_every_toolchain_install_and_their_cases_hold() {
    let (folder, sandbox) = (TempDir::new().unwrap(), sandbox());
    for language in WITH_WASI {
        for kind in KINDS {
            fs::write(folder.path().join(format!("{language}-{kind}.wasm")), bytes(language, kind)).unwrap();
            drop(load(&sandbox, language, kind));
        }
    }
    let settings = Settings::of(folder.path().to_owned(), "test");
    let catalogue = Catalogue::open(Shelf::Memory, sandbox.clone(), Arc::new(Stopped), settings).await.unwrap();
    assert_eq!(catalogue.problems(), Vec::<String>::new());
    for language in WITH_WASI {
        for kind in KINDS {
            let id = name(language, kind);
            let info = catalogue.plugin(&id).await.unwrap_or_else(|| panic!("{id} is not installed"));
            assert_eq!(info.state, PluginState::Active, "{id}");
            let component = load(&sandbox, language, kind);
            for case in cases(kind) {
                let outcome = case.run(&component).await;
                assert!(outcome.passed(), "{id}, {}: {:?} {:?}", case.name, outcome.failure, outcome.differences);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_every_toolchain_answer_as_those_of_rust_do() {
    let sandbox = sandbox();
    for kind in KINDS {
        let reference = load(&sandbox, REFERENCE, kind);
        let mut expected = Vec::new();
        for number in 0..COMPARED {
            expected.push(comparable(&answer(&reference, kind, number).await.0, kind, REFERENCE));
        }
        for language in WITH_WASI {
            let component = load(&sandbox, language, kind);
            for (number, expected) in (0..).zip(&expected) {
                let found = comparable(&answer(&component, kind, number).await.0, kind, language);
                assert_eq!(&found, expected, "{kind} in {language}, {:?}", question(kind, number));
            }
        }
    }
}

/// All that can be seen of the calls of each component: answers, logs, what they took. One digest a component.
async fn replay() -> Vec<String> {
    let sandbox = sandbox();
    let mut seen = Vec::new();
    for language in WITH_WASI {
        for kind in KINDS {
            let component = load(&sandbox, language, kind);
            let mut digest = Sha256::new();
            for number in 0..INPUTS {
                let (answer, besides) = answer(&component, kind, number).await;
                digest.update(format!("{answer} {besides}\n"));
            }
            let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            seen.push(format!("{language} {kind} {digest}"));
        }
    }
    seen
}

/// Seconds since 1970, as this process believes.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Starts itself again with another clock, and writes what it sees there into the file that [`ELSEWHERE`] names.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_inputs_show_the_same_in_another_process_a_year_later() {
    if let Some(file) = std::env::var_os(ELSEWHERE) {
        let seen = [vec![clock().to_string()], replay().await].concat();
        fs::write(file, seen.join("\n")).unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("seen");
    let mut later = Command::new("faketime")
        .args(["-f", "+365d"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_same_inputs_show_the_same_in_another_process_a_year_later", "--nocapture"])
        // Deadlines are of the monotonic clock, which must go on as it is.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env(ELSEWHERE, &file)
        .spawn()
        .unwrap_or_else(|error| panic!("faketime: {error}; `cargo xtask test` installs it"));
    let (now, seen) = (clock(), replay().await);
    assert!(later.wait().unwrap().success(), "the process a year later failed; what it said is above");
    let elsewhere = fs::read_to_string(file).unwrap();
    let (then, elsewhere) = elsewhere.split_once('\n').unwrap();
    assert!(then.parse::<u64>().unwrap() > now + YEAR_SECONDS - 3600, "its clock showed {then}, and here it is {now}");
    assert_eq!(elsewhere.lines().collect::<Vec<_>>(), seen);
}
