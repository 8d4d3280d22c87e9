//! Clients that do what clients do while a server is killed: they ask again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::dice::Dice;
use crate::harness::http::Answer;
use crate::harness::{Http, Server};

/// Clients at the same time. Each has one operation under way nearly always, so that a kill nearly always meets one.
const CLIENTS: u64 = 4;
/// Tenants a client keeps.
const KEPT: usize = 2;
const LANGUAGES: [&str; 3] = ["go", "node", "python"];
/// Between two attempts to reach a server that is gone.
const PAUSE: Duration = Duration::from_millis(50);
/// Attempts before a client says that the server never came back.
const ATTEMPTS: u32 = 2000;

/// What the clients were told.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) spawned: u64,
    pub(crate) destroyed: u64,
    /// Tenants that were acknowledged and not destroyed: by number, name and port.
    pub(crate) alive: BTreeMap<i64, (String, u16)>,
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
        done.alive.insert(env_id, (name, port));
        if done.alive.len() > KEPT || dice.percent(50) {
            let oldest = *done.alive.keys().next().unwrap();
            destroy(&http, oldest).await;
            done.alive.remove(&oldest);
            done.destroyed += 1;
        }
    }
    done
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
