//! Clients that do what clients do while a server is killed: they ask again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::change::{self, Change, Given};
use super::dice::Dice;
use crate::harness::http::Answer;
use crate::harness::{Http, Server};

/// Clients at the same time. Each has one operation under way nearly always, so that a kill nearly always meets one.
const CLIENTS: u64 = 4;
/// Tenants a client keeps.
const KEPT: usize = 2;
const LANGUAGES: [&str; 3] = ["go", "node", "python"];
/// Between two attempts to reach a server that is gone.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Attempts before a client says that the server never came back.
pub(super) const ATTEMPTS: u32 = 2000;

/// What the clients were told.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) spawned: u64,
    pub(crate) destroyed: u64,
    pub(crate) deployed: u64,
    /// Starts, stops and restarts.
    pub(crate) asked: u64,
    /// Changes of plain variables.
    pub(crate) configured: u64,
    /// Secrets that were set.
    pub(crate) secrets_set: u64,
    pub(crate) scaled: u64,
    /// Rotations of the key ring that are known to be done.
    pub(crate) rotated: u64,
    /// Tenants that were acknowledged and not destroyed, by number.
    pub(crate) alive: BTreeMap<i64, Alive>,
}

/// A tenant that was acknowledged.
#[derive(Debug)]
pub(crate) struct Alive {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Whether it was stopped, and not started again.
    pub(crate) stopped: bool,
    /// The revision that was acknowledged last.
    pub(crate) revision: i64,
    /// What that revision gives to the app.
    pub(crate) given: Given,
}

/// Running clients.
pub(crate) struct Workload {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Done>,
}

/// Builds every image once, so that what is killed is not mostly a first build.
pub(crate) async fn warm_up(server: &Server) {
    for language in LANGUAGES {
        let tenant = server.spawn_plain(&format!("warm-{language}"), language).await;
        server.destroy(&tenant).await;
    }
}

impl Workload {
    pub(crate) fn start(http: &Http, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for who in 0..CLIENTS {
            clients.spawn(client(http.clone(), who, Dice::of(seed, who), Arc::clone(&stop)));
        }
        Self { stop, clients }
    }

    /// Lets every client finish what it is at.
    pub(crate) async fn stop(mut self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        while let Some(done) = self.clients.join_next().await {
            let done = done.expect("a client found something wrong");
            all.spawned += done.spawned;
            all.destroyed += done.destroyed;
            all.deployed += done.deployed;
            all.asked += done.asked;
            all.configured += done.configured;
            all.secrets_set += done.secrets_set;
            all.scaled += done.scaled;
            all.rotated += done.rotated;
            all.alive.extend(done.alive);
        }
        all
    }
}

async fn client(http: Http, who: u64, mut dice: Dice, stop: Arc<AtomicBool>) -> Done {
    let mut done = Done::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("chaos-{who}-{number}");
        let tenant = spawn(&http, &name, dice.one_of(&LANGUAGES)).await;
        let env_id = tenant["envId"].as_i64().unwrap();
        let port = u16::try_from(tenant["port"].as_u64().unwrap()).unwrap();
        done.spawned += 1;
        let mut known = vec![(1, Given::default())];
        for _ in 0..dice.between(0..5) {
            let brought_up = next(&http, env_id, &name, &known, &mut dice, &mut done).await;
            known.push(brought_up);
        }
        if dice.percent(20) && change::rotate(&http).await {
            done.rotated += 1;
        }
        let (revision, given) = known.pop().expect("it was spawned");
        let stopped = dice.percent(30);
        if dice.percent(30) {
            ask(&http, env_id, "restart", "running").await;
            done.asked += 1;
        }
        if stopped {
            ask(&http, env_id, "stop", "stopped").await;
            done.asked += 1;
        }
        let stopped = stopped && !dice.percent(50);
        done.alive.insert(env_id, Alive { name, port, stopped, revision, given });
        if done.alive.get(&env_id).is_some_and(|alive| !alive.stopped) {
            // One that runs already says so.
            ask(&http, env_id, "start", "running").await;
            done.asked += 1;
        }
        if done.alive.len() > KEPT || dice.percent(50) {
            let oldest = *done.alive.keys().next().unwrap();
            destroy(&http, oldest).await;
            done.alive.remove(&oldest);
            done.destroyed += 1;
        }
    }
    done
}

/// Brings up a tenant's next revision: with another source, as an earlier one, or with a change of what its app is given. `known`
/// has all that were acknowledged, in their order. Answers the revision, and what it gives.
async fn next(
    http: &Http,
    env_id: i64,
    name: &str,
    known: &[(i64, Given)],
    dice: &mut Dice,
    done: &mut Done,
) -> (i64, Given) {
    let number = known.len() + 1;
    let (_, mut given) = known.last().cloned().expect("it was spawned");
    if dice.percent(40) {
        let key = format!("deployment-{number}-of-{name}");
        done.deployed += 1;
        return match known.iter().nth_back(1) {
            Some((earlier, before)) if dice.percent(50) => {
                (rollback(http, env_id, *earlier, &key).await, before.clone())
            }
            // Of what a client uploads some is another's too, so that images are shared.
            _ => (deploy(http, env_id, dice.between(0..4), &key).await, given),
        };
    }
    let change = Change::any(dice, &given, format!("{name} {number}: $HOME=\"x\""));
    let revision = change.run(http, env_id).await;
    match change {
        Change::Plain(..) => done.configured += 1,
        Change::Secret(..) => done.secrets_set += 1,
        Change::Cpu(_) => done.scaled += 1,
    }
    change.apply(&mut given);
    (revision, given)
}

/// Asks for a tenant until one is acknowledged, with the same key each time, and waits until it runs.
async fn spawn(http: &Http, name: &str, language: &str) -> Value {
    let body = json!({ "name": name, "language": language, "limits": { "memoryMb": 256 } });
    let key = format!("key-of-{name}");
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let request = http.request(Method::POST, "/api/v1/tenant/spawn").header("idempotency-key", &key).json(&body);
        match http.try_send(request).await {
            Ok(answer) if answer.status == 201 => return answer.json()["tenant"].clone(),
            // It goes on, here or after the next start; asking again joins the wait.
            Ok(answer) if answer.status == 202 || answer.status == 503 => last = answer.text,
            Ok(answer) => panic!("{name}: {} {}", answer.status, answer.text),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{name} never came to run; last: {last}");
}

/// Asks for a tenant's end until it is gone.
pub(crate) async fn destroy(http: &Http, env_id: i64) {
    let path = format!("/api/v1/tenant/{env_id}");
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let answer = http.try_send(http.request(Method::DELETE, &path)).await;
        match answer {
            Ok(Answer { status: 200 | 404, .. }) => return,
            // Busy with the destroy that a killed server had accepted.
            Ok(Answer { status: 202 | 409 | 503, text, .. }) => last = text,
            Ok(answer) => panic!("tenant {env_id}: {} {}", answer.status, answer.text),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("tenant {env_id} never went; last: {last}");
}

/// Asks a tenant for a verb until it is done: the server says so, or that the tenant is in the state already that it leads to.
async fn ask(http: &Http, env_id: i64, verb: &str, state: &str) {
    let path = format!("/api/v1/tenant/{env_id}/{verb}");
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match http.try_send(http.request(Method::POST, &path)).await {
            Ok(Answer { status: 200, .. }) => return,
            Ok(answer) if answer.status == 409 && answer.text.contains(&format!("the tenant is {state}")) => return,
            // Under way: here, or after the next start.
            Ok(Answer { status: 202 | 409 | 503, text, .. }) => last = text,
            Ok(answer) => panic!("{path}: {} {}", answer.status, answer.text),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{path} was never done; last: {last}");
}

/// Uploads an application and deploys it to a tenant until it runs. Answers the revision.
async fn deploy(http: &Http, env_id: i64, which: u64, key: &str) -> i64 {
    let source = upload(http, application(which)).await;
    let path = format!("/api/v1/tenant/{env_id}/deployments");
    revision(http, &path, &json!({ "source": { "archive": source } }), key).await
}

/// Restores an earlier revision of a tenant until it runs. Answers the new revision.
async fn rollback(http: &Http, env_id: i64, to: i64, key: &str) -> i64 {
    let path = format!("/api/v1/tenant/{env_id}/deployments/{to}/rollback");
    revision(http, &path, &json!({}), key).await
}

async fn upload(http: &Http, archive: Vec<u8>) -> String {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let request = http.request(Method::POST, "/api/v1/sources").header("content-type", "application/x-tar");
        match http.try_send(request.body(archive.clone())).await {
            Ok(answer) if answer.status == 201 => {
                return answer.json()["source"]["digest"].as_str().unwrap().to_owned();
            }
            Ok(answer) if answer.status == 503 => last = answer.text,
            Ok(answer) => panic!("upload: {} {}", answer.status, answer.text),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("an upload was never received; last: {last}");
}

async fn revision(http: &Http, path: &str, body: &Value, key: &str) -> i64 {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match http.try_send(http.request(Method::POST, path).header("idempotency-key", key).json(body)).await {
            Ok(answer) if answer.status == 201 => return answer.json()["deployment"]["revision"].as_i64().unwrap(),
            Ok(answer) if answer.status == 202 || answer.status == 503 => last = answer.text,
            Ok(answer) => panic!("{path}: {} {}", answer.status, answer.text),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{path} never came to run; last: {last}");
}

/// One of several applications without dependencies.
fn application(which: u64) -> Vec<u8> {
    let server =
        format!("require('http').createServer((_, r) => r.end('application {which}')).listen(process.env.PORT)");
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [("package.json", r#"{"scripts":{"start":"node server.js"}}"#), ("server.js", &server)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}
