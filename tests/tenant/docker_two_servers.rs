//! Two servers on one PostgreSQL and one engine: one that is frozen in the middle of an operation for longer than its lease,
//! and thaws when the other one has finished it, does nothing twice.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use convergence_model::operation::{EventKind, OperationState};
use convergence_model::{OperationId, Scope};
use convergence_provision::steps;
use convergence_store::Store;
use convergence_test_database::Fresh;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::harness::{Options, Server, eventually};

/// Until the other one may take over, and half a minute more where the frozen one keeps a transaction open.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the server says that finds out.
const TOLD: &str = "another worker has this operation now";

/// What the engine tells of an installation's containers, from now on: it remembers only the last few things itself.
struct Events {
    child: Child,
    file: NamedTempFile,
}

impl Events {
    fn of(installation: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        let mut command = Command::new("docker");
        command.args(["events", "--filter", "type=container"]);
        command.args(["--filter", &format!("label=convergence.instance={installation}")]);
        command.args(["--format", r#"{{index .Actor.Attributes "convergence.tenant"}} {{.Action}};"#]);
        let child = command.stdin(Stdio::null()).stdout(file.reopen().unwrap()).spawn().unwrap();
        Self { child, file }
    }

    /// How often a tenant's container was created, started and destroyed.
    fn count(&self, env_id: i64) -> [usize; 3] {
        let text = fs::read_to_string(self.file.path()).unwrap();
        ["create", "start", "destroy"].map(|action| {
            let told = format!("{env_id} {action};");
            text.lines().filter(|line| *line == told).count()
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks for an operation and answers its number and its tenant's.
async fn ask(server: &Server, kind: &str, env_id: i64) -> (OperationId, i64) {
    let http = &server.http;
    let request = match kind {
        "spawn" => http.request(Method::POST, "/api/v1/tenant/spawn").json(&json!({ "name": "app", "language": "go" })),
        _ => http.request(Method::DELETE, &format!("/api/v1/tenant/{env_id}")),
    };
    let answer = http.send(request.header("prefer", "respond-async")).await.expect(202);
    let env_id = if kind == "spawn" { answer["tenant"]["envId"].as_i64().unwrap() } else { env_id };
    let id = answer["operation"]["url"].as_str().unwrap().rsplit('/').next().unwrap();
    (OperationId(id.parse().unwrap()), env_id)
}

/// Freezes a server once it has begun a step of an operation. Answers the step it was frozen in; none when it was over by
/// then.
async fn freeze_in(step: &str, operation: OperationId, server: &Server, store: &Store) -> Option<String> {
    let scope = Scope::platform();
    let asked = Instant::now();
    loop {
        let events = store.events(&scope, operation, 0, 10_000).await.unwrap();
        if events.iter().any(|event| event.step == step && event.event == EventKind::Started) {
            break;
        }
        assert!(asked.elapsed() < PATIENCE, "it never begins {step}: {events:?}");
    }
    server.signal(Signal::STOP);
    let events = store.events(&scope, operation, 0, 10_000).await.unwrap();
    let last = events.iter().rev().find(|event| event.event != EventKind::Line)?;
    let over = store.operation(&scope, operation).await.unwrap()?.state.is_final();
    (!over).then(|| last.step.clone())
}

async fn succeeds(store: &Store, operation: OperationId) {
    let ended = eventually("the operation is over", PATIENCE, || async {
        let now = store.operation(&Scope::platform(), operation).await.unwrap().unwrap();
        if now.state.is_final() { Ok(now) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
}

#[tokio::test]
async fn a_server_that_is_frozen_past_its_lease_does_nothing_twice_when_it_thaws() {
    let database = Fresh::postgres().await;
    let options = || Options {
        top: format!("database = {:?}\n", database.location()),
        tables: "\n[operations]\nlease-seconds = 3\n".to_owned(),
        plugins: vec!["templates/go.wasm"],
        ..Options::default()
    };
    let first = Server::with(options()).await;
    let second = first.beside(options()).await;
    let store = Store::open(database.location()).await.unwrap();
    let events = Events::of(&first.installation().unwrap());

    let mut frozen = Vec::new();
    let mut round = 0;
    let mut env_id = 0;
    let spawn: Vec<_> = steps("spawn").into_iter().map(|step| ("spawn", step)).collect();
    let destroy: Vec<_> = steps("destroy").into_iter().map(|step| ("destroy", step)).collect();
    // Each step of a spawn in turn with each step of a destroy.
    let turns = spawn.iter().zip(destroy.iter().cycle()).flat_map(|(spawn, destroy)| [*spawn, *destroy]);
    for (kind, step) in turns {
        let (holder, other) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        round += 1;
        // The one that is awake takes it.
        other.signal(Signal::STOP);
        let operation;
        (operation, env_id) = ask(holder, kind, env_id).await;
        let place = freeze_in(step, operation, holder, &store).await;
        other.signal(Signal::CONT);
        succeeds(&store, operation).await;
        let heard = holder.log().matches(TOLD).count();
        holder.signal(Signal::CONT);
        if let Some(place) = place {
            eventually("the thawed server finds out", PATIENCE, || async {
                let log = holder.log();
                if log.matches(TOLD).count() > heard { Ok(()) } else { Err(log) }
            })
            .await;
            frozen.push(format!("{} {place}", kind));
        }
        // It serves as if nothing had happened, and both tell the same.
        let expected = usize::from(kind == "spawn");
        for server in [&first, &second] {
            let list = server.http.get("/api/v1/tenant").await.expect(200);
            assert_eq!(list["tenants"].as_array().map(Vec::len), Some(expected), "{kind:?} {step}: {list}");
        }
        let counted = [1, 1, 1 - expected];
        eventually("each step took effect once", Duration::from_secs(20), || async {
            let seen = events.count(env_id);
            let all = || fs::read_to_string(events.file.path()).unwrap();
            if seen == counted { Ok(()) } else { Err(format!("{kind:?} {step}: {seen:?}: {}", all())) }
        })
        .await;
        assert_eq!(containers(&first), expected, "{kind:?} {step}");
    }
    for env_id in 1..=env_id {
        assert_eq!(events.count(env_id), [1, 1, 1], "tenant {env_id}");
    }
    println!("frozen {} times of {round}: {frozen:?}", frozen.len());
    assert!(frozen.len() * 2 >= round, "too few were frozen in the middle of an operation: {frozen:?}");
    drop(second);
}

/// How many containers of an installation the engine has, running or not.
fn containers(server: &Server) -> usize {
    let filter = format!("label=convergence.instance={}", server.installation().unwrap());
    let output = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().count()
}
