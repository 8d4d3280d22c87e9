//! The catalogue over folders of real components, whole and broken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convergence_model::Limits;
use convergence_model::field::Severity;
use convergence_model::ids::Clock;
use convergence_model::plan::PlanRequest;
use convergence_model::policy::{Organization, Review, Usage};
use convergence_plugin::{Catalogue, FileEntry, PluginFailure, Settings, Shelf, State};
use convergence_sandbox::{CallLimits, Pooling, Sandbox, SandboxConfig};
use serde_json::{Value, json};

/// The bytes of a component that `cargo xtask guests` built.
fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}. Components are built by `cargo xtask guests`; CONVERGENCE_COMPONENTS says where they are",
            path.display()
        )
    })
}

/// The hostile template in another version, which must be as long as `7.1.3`.
fn hostile_version(version: &str) -> Vec<u8> {
    let mut bytes = component("fixtures/hostile");
    let found: Vec<usize> =
        bytes.windows(5).enumerate().filter(|(_, window)| window == b"7.1.3").map(|(at, _)| at).collect();
    assert_eq!(found.len(), 1, "the version occurs once");
    bytes[found[0]..found[0] + 5].copy_from_slice(version.as_bytes());
    bytes
}

/// A policy as a later version of the contract may have it.
fn later_contract(mut policy: Vec<u8>) -> Vec<u8> {
    let (now, later) = (b"convergence:policy/evaluator@0.1.0", b"convergence:policy/evaluator@0.9.0");
    let found: Vec<usize> =
        policy.windows(now.len()).enumerate().filter(|(_, window)| window == now).map(|(at, _)| at).collect();
    assert!(!found.is_empty(), "it exports the interface");
    for at in found {
        policy[at..at + now.len()].copy_from_slice(later);
    }
    policy
}

/// The policy `limits` under the id of the template `python`, in a version below that of any template.
fn policy_named_python() -> Vec<u8> {
    let mut bytes = component("policies/limits");
    let (own, other) = (b"limitsLimits0.1.0", b"pythonLimits0.0.1");
    let found: Vec<usize> =
        bytes.windows(own.len()).enumerate().filter(|(_, window)| window == own).map(|(at, _)| at).collect();
    assert_eq!(found.len(), 1, "what it says about itself occurs once");
    bytes[found[0]..found[0] + own.len()].copy_from_slice(other);
    bytes
}

/// The same component with other bytes: an empty custom section named `x` at its end.
fn other_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend([0, 2, 1, b'x']);
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self(folder)
    }

    async fn open(&self, configuration: Value) -> Catalogue {
        open(self.0.path(), configuration).await
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

async fn open(folder: &Path, configuration: Value) -> Catalogue {
    let limits = CallLimits { memory_bytes: 32 << 20, fuel: 200_000_000, ..CallLimits::default() };
    let config = SandboxConfig { pooling: Pooling::Never, limits, ..SandboxConfig::default() };
    let configuration: BTreeMap<String, Value> = serde_json::from_value(configuration).unwrap();
    let settings = Settings { configuration, ..Settings::of(folder.to_owned(), "test") };
    Catalogue::open(Shelf::Memory, Sandbox::new(config).unwrap(), Arc::new(Stopped), settings).await.unwrap()
}

fn state<'a>(entries: &'a [FileEntry], file: &str) -> &'a State {
    &entries.iter().find(|entry| entry.file.ends_with(file)).unwrap_or_else(|| panic!("{file} is not listed")).state
}

fn reason(catalogue: &Catalogue, file: &str) -> String {
    match state(&catalogue.files(), file) {
        State::Rejected { reason } => reason.clone(),
        other => panic!("{file}: {other:?}"),
    }
}

fn request() -> PlanRequest {
    PlanRequest {
        at: jiff::Timestamp::UNIX_EPOCH,
        tenant_name: "my-app".to_owned(),
        framework: None,
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: Vec::new(),
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: "is replaced".to_owned(),
        extra: Vec::new(),
    }
}

fn review() -> Review {
    Review {
        at: jiff::Timestamp::UNIX_EPOCH,
        action: "spawn".to_owned(),
        organization: Organization {
            id: "1".to_owned(),
            name: "Example".to_owned(),
            plan: String::new(),
            usage: Usage::default(),
        },
        actor_role: "admin".to_owned(),
        tenant_name: "my-app".to_owned(),
        language: "node".to_owned(),
        framework: None,
        base_image: None,
        source: "starter".to_owned(),
        limits: Limits::DEFAULT,
        env_names: Vec::new(),
        labels: Vec::new(),
        plan: None,
        config: "is replaced".to_owned(),
        extra: Vec::new(),
    }
}

#[tokio::test]
async fn good_files_are_used_whatever_lies_beside_them() {
    let (hostile, node) = (component("fixtures/hostile"), component("templates/node"));
    let folder = Folder::new(&[
        ("hostile.wasm", &hostile),
        ("templates/node.wasm", &node),
        ("templates/broken.wasm", b"\0asm\x0d\0\x01\0oh no"),
        ("templates/cut.wasm", &node[..node.len() / 2]),
        ("notes.txt", b"not looked at"),
        (".node.wasm.part", b"still being written"),
        (".hidden.wasm", b"left alone"),
        ("empty.wasm", b""),
    ]);
    let catalogue = folder.open(json!({})).await;
    assert_eq!(catalogue.snapshot().languages(), ["hostile", "node"]);
    assert_eq!(catalogue.files().len(), 5, "{:?}", catalogue.files());
    assert_eq!(*state(&catalogue.files(), "node.wasm"), State::Active);
    assert!(reason(&catalogue, "broken.wasm").contains("damaged"));
    assert!(reason(&catalogue, "cut.wasm").contains("damaged"));
    assert!(reason(&catalogue, "empty.wasm").contains("not WebAssembly"));
    assert_eq!(catalogue.problems().len(), 3);

    let (plan, (id, pin)) = catalogue.snapshot().plan("node", request()).await.unwrap();
    assert!(!plan.stages.is_empty());
    assert_eq!(id, "node");
    let info = catalogue.snapshot().templates().into_iter().find(|info| info.id == "node").unwrap();
    assert_eq!((pin.version, pin.digest), (info.version, info.digest));
    assert!(!info.languages[0].frameworks.is_empty() && !info.languages[0].images.is_empty());
}

#[tokio::test]
async fn a_missing_folder_is_a_problem_and_no_more() {
    let parent = tempfile::tempdir().unwrap();
    let catalogue = open(&parent.path().join("absent"), json!({})).await;
    assert!(catalogue.problems()[0].contains("absent"), "{:?}", catalogue.problems());
    let failure = catalogue.snapshot().plan("node", request()).await.unwrap_err();
    assert!(matches!(failure, PluginFailure::NoTemplates { .. }), "{failure}");
    assert!(failure.violations().is_empty(), "it is not the caller's fault");
}

#[tokio::test]
async fn an_unknown_language_names_the_known_ones() {
    let folder = Folder::new(&[("hostile.wasm", &component("fixtures/hostile"))]);
    let failure = folder.open(json!({})).await.snapshot().plan("cobol", request()).await.unwrap_err();
    let violations = failure.violations();
    assert_eq!((violations[0].path.as_str(), violations[0].code.as_str()), ("language", "unknown-language"));
    assert!(violations[0].message.contains("`cobol`") && violations[0].message.contains("hostile"));
}

#[tokio::test]
async fn the_higher_version_wins() {
    let folder = Folder::new(&[
        ("a.wasm", &hostile_version("7.9.0")),
        ("b.wasm", &hostile_version("7.8.9")),
        ("c.wasm", &component("fixtures/hostile")),
    ]);
    let catalogue = folder.open(json!({})).await;
    assert_eq!(catalogue.snapshot().templates().len(), 1);
    assert_eq!(catalogue.snapshot().templates()[0].version, "7.9.0");
    for file in ["b.wasm", "c.wasm"] {
        assert_eq!(*state(&catalogue.files(), file), State::Shadowed { by: "7.9.0".to_owned() });
    }
}

#[tokio::test]
async fn one_version_with_two_contents_is_a_mistake_and_a_copy_is_not() {
    let bytes = component("fixtures/hostile");
    let folder =
        Folder::new(&[("a.wasm", &bytes), ("b.wasm", &other_digest(bytes.clone())), ("copies/a.wasm", &bytes)]);
    let catalogue = folder.open(json!({})).await;
    assert_eq!(*state(&catalogue.files(), "a.wasm"), State::Active);
    assert!(reason(&catalogue, "b.wasm").contains("other contents"));
    assert_eq!(*state(&catalogue.files(), "copies/a.wasm"), State::Shadowed { by: "7.1.3".to_owned() });
    assert!(catalogue.snapshot().plan("hostile", request()).await.is_ok());
}

#[tokio::test]
async fn configuration_is_checked_and_handed_over() {
    let folder = Folder::new(&[("hostile.wasm", &component("fixtures/hostile"))]);
    let wrong = folder.open(json!({ "hostile": { "rounds": "many" } })).await;
    assert!(reason(&wrong, "hostile.wasm").contains("/rounds"), "{}", reason(&wrong, "hostile.wasm"));
    assert!(wrong.snapshot().languages().is_empty());

    let counting = folder.open(json!({ "hostile": { "do": "count" }, "ruby": {} })).await;
    let (plan, _) = counting.snapshot().plan("hostile", request()).await.unwrap();
    assert_eq!(plan.notes, ["call 1"]);
    assert!(counting.problems().iter().any(|problem| problem.contains("`ruby`")), "{:?}", counting.problems());
}

#[tokio::test]
async fn a_template_that_breaks_is_named_and_one_that_refuses_is_heard() {
    let folder = Folder::new(&[("hostile.wasm", &component("fixtures/hostile"))]);
    let failure = folder
        .open(json!({ "hostile": { "do": "panic" } }))
        .await
        .snapshot()
        .plan("hostile", request())
        .await
        .unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("template `hostile` 7.1.3") && text.contains("told to panic"), "{text}");
    assert!(failure.violations().is_empty());
    let failure = folder
        .open(json!({ "hostile": { "do": "refuse" } }))
        .await
        .snapshot()
        .plan("hostile", request())
        .await
        .unwrap_err();
    assert_eq!(failure.violations()[0].path, "framework");
}

#[tokio::test]
async fn policies_judge_together_and_fail_closed() {
    let folder = Folder::new(&[("policies/hostile.wasm", &component("fixtures/hostile-policy"))]);
    let reviewed = async |act: &str| {
        folder.open(json!({ "hostile-policy": { "do": act } })).await.snapshot().review(review()).await
    };
    let passed = reviewed("pass").await.unwrap();
    assert!(!passed.is_denied() && passed.limits == Limits::DEFAULT);
    assert_eq!(passed.pins.keys().collect::<Vec<_>>(), ["hostile-policy"]);
    assert!(reviewed("deny").await.unwrap().is_denied());
    let warned = reviewed("warn").await.unwrap();
    assert!(!warned.is_denied() && warned.violations[0].severity == Severity::Warn);
    assert_eq!(reviewed("tighten").await.unwrap().limits.memory_mb, Limits::DEFAULT.memory_mb / 2);
    for broken in ["widen", "panic", "fail"] {
        let failure = reviewed(broken).await.unwrap_err();
        assert!(failure.to_string().contains("policy `hostile-policy`"), "{failure}");
        assert!(failure.violations().is_empty());
    }
}

#[tokio::test]
async fn a_policy_that_is_installed_and_rejected_refuses_everything() {
    let limits = component("policies/limits");
    let folder = Folder::new(&[("policies/limits.wasm", &limits)]);
    assert!(folder.open(json!({})).await.snapshot().review(review()).await.is_ok());

    let unfit = folder.open(json!({ "limits": { "no-such-limit": 1 } })).await;
    let failure = unfit.snapshot().review(review()).await.unwrap_err();
    assert!(
        matches!(&failure, PluginFailure::PolicyRejected { policy, .. } if policy.ends_with("limits.wasm")),
        "{failure}"
    );
    assert!(failure.to_string().contains("no-such-limit"), "{failure}");
    assert!(failure.violations().is_empty() && failure.retry_after().is_none());
    assert!(unfit.problems().iter().any(|problem| problem.contains("limits.wasm")), "{:?}", unfit.problems());
    assert!(unfit.snapshot().policies().is_empty());

    // Another policy that works does not make up for it.
    let both = Folder::new(&[("hostile.wasm", &component("fixtures/hostile-policy")), ("limits.wasm", &limits)]);
    let failure =
        both.open(json!({ "limits": { "no-such-limit": 1 } })).await.snapshot().review(review()).await.unwrap_err();
    assert!(matches!(failure, PluginFailure::PolicyRejected { .. }), "{failure}");

    // Refused before it could say what it is: it speaks a later version, and was told apart by its exports.
    let later = Folder::new(&[("later.wasm", &later_contract(limits))]);
    let failure = later.open(json!({})).await.snapshot().review(review()).await.unwrap_err();
    assert!(failure.to_string().contains("evaluator@0.9.0"), "{failure}");
}

#[tokio::test]
async fn a_template_does_not_switch_off_the_policy_of_the_same_id() {
    let policy = policy_named_python();
    let alone = Folder::new(&[("policy.wasm", &policy)]).open(json!({})).await;
    assert_eq!(alone.snapshot().policies()[0].id, "python");
    assert!(alone.snapshot().review(review()).await.is_ok());

    let folder = Folder::new(&[("policy.wasm", &policy), ("template.wasm", &component("templates/python"))]);
    let both = folder.open(json!({ "python": {} })).await;
    for file in ["policy.wasm", "template.wasm"] {
        assert!(reason(&both, file).contains("both have the id `python`"), "{}", reason(&both, file));
    }
    assert!(both.snapshot().languages().is_empty() && both.snapshot().policies().is_empty());
    let failure = both.snapshot().review(review()).await.unwrap_err();
    assert!(
        matches!(&failure, PluginFailure::PolicyRejected { policy, .. } if policy.ends_with("policy.wasm")),
        "{failure}"
    );
    let strays = both.problems().iter().filter(|problem| problem.contains("not installed")).count();
    assert_eq!(strays, 0, "its configuration belongs to something that is there: {:?}", both.problems());
}

#[tokio::test]
async fn a_rejected_template_or_an_unreadable_file_stops_no_review() {
    let node = component("templates/node");
    let policy = component("policies/limits");
    let folder = Folder::new(&[
        ("hostile.wasm", &component("fixtures/hostile")),
        ("node.wasm", &node[..node.len() / 2]),
        ("policies/limits.wasm", &policy[..policy.len() / 2]),
    ]);
    let catalogue = folder.open(json!({ "hostile": { "rounds": "many" } })).await;
    assert_eq!(catalogue.problems().len(), 4, "{:?}", catalogue.problems());
    assert!(catalogue.snapshot().review(review()).await.is_ok());
}

#[tokio::test]
async fn without_policies_everything_passes() {
    let folder = Folder::new(&[]);
    let reviewed = folder.open(json!({})).await.snapshot().review(review()).await.unwrap();
    assert!(!reviewed.is_denied() && reviewed.pins.is_empty());
}
