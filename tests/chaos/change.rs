//! Changes of what a running tenant is given, while the server is killed: variables, secrets, its share of the processors. And the
//! rotation of the keys that secrets are sealed with.
//!
//! These requests have no idempotency key. So a client whose answer was lost looks whether the change was taken before it asks
//! again, as a careful client does.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::dice::Dice;
use super::workload::{ATTEMPTS, PAUSE};
use crate::harness::Http;
use crate::harness::http::Answer;

/// What the names of all variables begin with that clients set.
pub(crate) const PREFIX: &str = "CHAOS_";
const PLAIN: [&str; 2] = ["CHAOS_GREETING", "CHAOS_MODE"];
const SECRET: [&str; 2] = ["CHAOS_TOKEN", "CHAOS_PASSWORD"];
/// What a tenant has that asks for nothing, and others. None is so small that a start takes long.
const CPU_MILLIS: [u32; 3] = [500, 750, 1000];

/// What a revision gives to its tenant's app.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) plain: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    /// Thousandths of a core.
    pub(crate) cpu_millis: u32,
}

impl Default for Given {
    fn default() -> Self {
        Self { plain: BTreeMap::new(), secrets: BTreeMap::new(), cpu_millis: CPU_MILLIS[0] }
    }
}

impl Given {
    /// Its share of the processors, as the API has it.
    pub(crate) fn cpu(&self) -> Value {
        cores(self.cpu_millis)
    }
}

/// A change of what a tenant is given. It always makes another revision.
#[derive(Debug)]
pub(crate) enum Change {
    /// A plain variable has a value, or is gone.
    Plain(&'static str, Option<String>),
    /// A secret has a value.
    Secret(&'static str, String),
    /// Other thousandths of a core, while the app runs.
    Cpu(u32),
}

/// How far a change has come.
#[derive(Debug)]
enum Seen {
    Absent,
    /// It was taken, and is not what runs yet.
    Taken,
    /// This revision runs with it.
    Runs(i64),
}

impl Seen {
    fn of(is_taken: bool, runs: Option<i64>) -> Self {
        match runs {
            _ if !is_taken => Self::Absent,
            None => Self::Taken,
            Some(revision) => Self::Runs(revision),
        }
    }
}

impl Change {
    /// One of all there are. The value is one that nobody had before.
    pub(crate) fn any(dice: &mut Dice, given: &Given, value: String) -> Self {
        match dice.between(0..3) {
            0 => {
                let name = dice.one_of(&PLAIN);
                let is_gone = given.plain.contains_key(name) && dice.percent(30);
                Self::Plain(name, (!is_gone).then_some(value))
            }
            1 => Self::Secret(dice.one_of(&SECRET), value),
            _ => {
                let others: Vec<u32> = CPU_MILLIS.into_iter().filter(|cpu| *cpu != given.cpu_millis).collect();
                Self::Cpu(dice.one_of(others.as_slice()))
            }
        }
    }

    /// What a revision gives that has the change.
    pub(crate) fn apply(self, given: &mut Given) {
        match self {
            Self::Plain(name, Some(value)) => _ = given.plain.insert(name.to_owned(), value),
            Self::Plain(name, None) => _ = given.plain.remove(name),
            Self::Secret(name, value) => _ = given.secrets.insert(name.to_owned(), value),
            Self::Cpu(cpu_millis) => given.cpu_millis = cpu_millis,
        }
    }

    /// Asks a tenant for the change until it runs with it. Answers the revision.
    pub(crate) async fn run(&self, http: &Http, env_id: i64) -> i64 {
        let before = match self {
            Self::Secret(name, _) => version_now(http, env_id, name).await,
            Self::Plain(..) | Self::Cpu(_) => 0,
        };
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.look(http, env_id, before).await {
                Ok(Seen::Runs(revision)) => return revision,
                Ok(Seen::Taken) => last = "it is under way".to_owned(),
                Ok(Seen::Absent) => match http.try_send(self.request(http, env_id)).await {
                    Ok(answer) if answer.status == 201 => {
                        return answer.json()["deployment"]["revision"].as_i64().unwrap();
                    }
                    // Something else is under way on the tenant, or the server is stopping: the next look tells.
                    Ok(Answer { status: 200 | 202 | 409 | 503, text, .. }) => last = text,
                    Ok(answer) => panic!("tenant {env_id}: {self:?}: {} {}", answer.status, answer.text),
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("tenant {env_id}: {self:?} never came to run; last: {last}");
    }

    fn request(&self, http: &Http, env_id: i64) -> reqwest::RequestBuilder {
        let path = format!("/api/v1/tenant/{env_id}");
        match self {
            Self::Plain(name, value) => {
                let env = BTreeMap::from([(*name, value)]);
                http.request(Method::PATCH, &format!("{path}/env")).json(&json!({ "env": env }))
            }
            Self::Secret(name, value) => {
                http.request(Method::PUT, &format!("{path}/secrets/{name}")).json(&json!({ "value": value }))
            }
            Self::Cpu(cpu_millis) => {
                let limits = json!({ "cpu": cores(*cpu_millis) });
                http.request(Method::POST, &format!("{path}/scale")).json(&json!({ "limits": limits }))
            }
        }
    }

    /// Whether the tenant's next revision has it, and runs. `before` is the version that a secret had.
    async fn look(&self, http: &Http, env_id: i64, before: i64) -> Result<Seen, String> {
        match self {
            Self::Plain(name, value) => {
                let page = read(http, &format!("/api/v1/tenant/{env_id}/env")).await?;
                let is_taken = page["env"].get(*name).and_then(Value::as_str) == value.as_deref();
                Ok(Seen::of(is_taken, page["revision"].as_i64()))
            }
            Self::Secret(name, _) => {
                let page = read(http, &format!("/api/v1/tenant/{env_id}/secrets")).await?;
                Ok(Seen::of(version(&page, name) > before, page["revision"].as_i64()))
            }
            Self::Cpu(cpu_millis) => {
                let page = read(http, &format!("/api/v1/tenant/{env_id}/deployments?limit=1")).await?;
                let newest = &page["deployments"][0];
                let is_up = newest["state"] == "pending" || newest["state"] == "ready";
                let is_taken = is_up && newest["limits"]["cpu"] == cores(*cpu_millis);
                Ok(Seen::of(is_taken, newest["revision"].as_i64().filter(|_| newest["current"] == true)))
            }
        }
    }
}

/// Asks once for a rotation of the key ring, and answers whether it is known to be done: another one may be under way, and an
/// answer may be lost.
pub(crate) async fn rotate(http: &Http) -> bool {
    match http.try_send(http.request(Method::POST, "/api/v1/keys/rotate")).await {
        Ok(Answer { status: 200, .. }) => true,
        Ok(Answer { status: 202 | 409 | 503, .. }) | Err(_) => false,
        Ok(answer) => panic!("rotation: {} {}", answer.status, answer.text),
    }
}

/// The version of a secret that a tenant's next revision has; 0 where it has none.
async fn version_now(http: &Http, env_id: i64, name: &str) -> i64 {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match read(http, &format!("/api/v1/tenant/{env_id}/secrets")).await {
            Ok(page) => return version(&page, name),
            Err(error) => last = error,
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the secrets of tenant {env_id} cannot be listed; last: {last}");
}

fn version(page: &Value, name: &str) -> i64 {
    let mut secrets = page["secrets"].as_array().unwrap().iter();
    secrets.find(|secret| secret["name"] == name).map_or(0, |secret| secret["version"].as_i64().unwrap())
}

/// A document, where the server is there.
async fn read(http: &Http, path: &str) -> Result<Value, String> {
    match http.try_send(http.request(Method::GET, path)).await? {
        answer if answer.status == 200 => Ok(answer.json()),
        answer if answer.status == 503 => Err(answer.text),
        answer => panic!("{path}: {} {}", answer.status, answer.text),
    }
}

fn cores(cpu_millis: u32) -> Value {
    json!(f64::from(cpu_millis) / 1000.0)
}
