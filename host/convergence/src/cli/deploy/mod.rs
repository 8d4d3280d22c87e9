//! `convergence deploy`

mod pack;
mod remembered;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use convergence_model::TenantName;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::confirm::ask;
use super::exit::Failure;
use super::output::Output;
use super::progress;
use super::spawn::plain;
use super::spec::Wishes;
use super::watch::{Watch, Watching};
use crate::config::variable;
use pack::Pack;
use remembered::Remembered;

/// What is deployed, where to, and how long to wait for it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Deploy the application in this folder. Files that `.gitignore` or `.dockerignore` exclude are not uploaded; `.git` and
    /// `node_modules` never are [default: the current folder].
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Deploy a Git repository, which the server fetches: `https://host/path`. A token for a private one is read from the
    /// variable CONVERGENCE_GIT_TOKEN.
    #[arg(long, value_name = "URL", conflicts_with_all = ["folder", "image"])]
    git: Option<String>,
    /// Fetch this branch, tag or commit [default: the repository's default branch].
    #[arg(long = "ref", value_name = "REF", requires = "git")]
    reference: Option<String>,
    /// Deploy an image that is built already, as it is; the operator must allow it.
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["folder", "language", "framework", "base_image"])]
    image: Option<String>,
    /// Deploy to the tenant of this name, and create it if there is none [default: the one this folder was deployed to, else a
    /// new one named like the folder, repository or image].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Use the template for this language: node, python, go, … [default: the one that recognizes the application]
    #[arg(long, short)]
    language: Option<String>,
    #[command(flatten)]
    wishes: Wishes,
    /// Record a reason in the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Create a new tenant in this organization [default: 1].
    #[arg(long, value_name = "ID")]
    org: Option<i64>,
    /// Print the plan without deploying.
    #[arg(long, conflicts_with_all = ["wait", "detach", "reason"])]
    plan: bool,
    /// Stop waiting after this many seconds (the operation continues).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=604_800))]
    wait: Option<u64>,
    /// Return as soon as the server has accepted the deployment.
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Deploys a folder, a repository or an image. Of a folder only what the server does not have is uploaded.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let what = arguments.what()?;
    let (name, tenant) = target(client, arguments, &what).await?;
    let watch = Watch::new(client, *output, &arguments.watching, "deployment");
    let watch = watch.for_at_most(arguments.wait.map(Duration::from_secs));
    let mut body = arguments.wishes.body()?;
    let source = match &what {
        What::Folder(folder) => {
            json!({ "archive": watch.unless_interrupted(upload(client, folder, arguments.org, output)).await? })
        }
        What::Git(url) => {
            let mut git = json!({ "url": url });
            let token = variable("CONVERGENCE_GIT_TOKEN");
            for (field, value) in [("ref", &arguments.reference), ("token", &token)] {
                if let (Some(value), Some(git)) = (value, git.as_object_mut()) {
                    git.insert(field.to_owned(), json!(value));
                }
            }
            json!({ "git": git })
        }
        What::Image(image) => json!({ "image": image }),
    };
    body.insert("source".to_owned(), source);
    if let Some(language) = &arguments.language {
        body.insert("language".to_owned(), json!(language));
    }
    if arguments.plan {
        body.insert("name".to_owned(), json!(name));
        return super::plan::show(client, &Value::Object(body), &query(arguments.org), output).await;
    }
    let place = Place { folder: what.folder(), server: client.url(), output };
    let done = async {
        match &tenant {
            None => first(&watch, client, arguments, name.clone(), body, place).await,
            Some(tenant) => next(&watch, client, arguments, tenant, body, place).await,
        }
    };
    let deployed = match watch.unless_interrupted(done).await {
        Err(Failure::Interrupted(text, answer)) => return Err(interrupted(client, output, text, answer).await),
        done => done?,
    };
    output.result(&deployed, || told(&deployed));
    Ok(())
}

/// What is deployed.
enum What {
    /// The application in a folder of this machine.
    Folder(PathBuf),
    /// The Git repository at an address.
    Git(String),
    /// An image.
    Image(String),
}

impl Arguments {
    fn what(&self) -> Result<What, Failure> {
        if let Some(url) = &self.git {
            return Ok(What::Git(url.clone()));
        }
        if let Some(image) = &self.image {
            return Ok(What::Image(image.clone()));
        }
        let folder = self.folder.as_deref().unwrap_or(Path::new("."));
        match folder.canonicalize() {
            Ok(found) if found.is_dir() => Ok(What::Folder(found)),
            Ok(_) => Err(Failure::Usage(format!("{} is not a folder", folder.display()))),
            Err(error) => Err(Failure::Usage(format!("cannot open the folder {}: {error}", folder.display()))),
        }
    }
}

impl What {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Git(_) | Self::Image(_) => None,
        }
    }

    /// A tenant's name made from that of the folder, repository or image; none where nothing of it can stay.
    fn name(&self) -> Option<String> {
        match self {
            Self::Folder(folder) => called_like(&folder.file_name()?.to_string_lossy()),
            Self::Git(url) => {
                let path = url.trim_end_matches('/');
                called_like(path.strip_suffix(".git").unwrap_or(path).rsplit('/').next()?)
            }
            Self::Image(image) => called_like(image.rsplit('/').next()?.split([':', '@']).next()?),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Git(text) | Self::Image(text) => f.write_str(text),
        }
    }
}

/// Asks whether the deployment is to continue on the server, which it does where nobody can be asked.
async fn interrupted(client: &Client, output: &Output, text: String, answer: Value) -> Failure {
    let url = answer.pointer("/operation/url").and_then(Value::as_str).map(str::to_owned);
    let Some(url) = url.filter(|_| output.is_interactive()) else { return Failure::Interrupted(text, answer) };
    if ask("Cancel the deployment on the server? Otherwise it continues.").is_err() {
        return Failure::Interrupted(text, answer);
    }
    match client.json(client.request(Method::POST, &format!("{url}/cancel"))).await {
        Ok(_) => Failure::Interrupted("the deployment is being cancelled; what it did is undone".to_owned(), answer),
        Err(failure) => failure,
    }
}

/// The name to deploy as, and the tenant of that name where there is one.
async fn target(client: &Client, arguments: &Arguments, what: &What) -> Result<(String, Option<Value>), Failure> {
    if let Some(name) = &arguments.name {
        let name = TenantName::parse(name).map_err(|wrong| Failure::Usage(format!("--name: {}", wrong.message)))?;
        let name = name.to_string();
        return Ok((name.clone(), find(client, &name).await?));
    }
    let remembered = what.folder().map(|folder| Remembered::read(folder, client.url())).transpose()?;
    if let Some(remembered) = remembered.flatten() {
        // By its number: it may have been destroyed, and its name given to another one.
        let found = find(client, &remembered.env_id.to_string()).await?;
        return Ok((remembered.name, found));
    }
    let name = what
        .name()
        .ok_or_else(|| Failure::Usage(format!("{what} has no name that a tenant could have; give one with --name")))?;
    let never = if what.folder().is_some() { ", and this folder was never deployed to it" } else { "" };
    match find(client, &name).await? {
        None => Ok((name, None)),
        Some(_) => Err(Failure::Usage(format!(
            "there is a tenant `{name}` already{never}; deploy to it with --name '{name}', or choose another name"
        ))),
    }
}

/// A tenant by its name or number; none where there is none.
async fn find(client: &Client, tenant: &str) -> Result<Option<Value>, Failure> {
    let path = super::tenant::path_of(tenant, "");
    match client.json(client.request(Method::GET, &path)).await {
        Ok((_, tenant)) => Ok(Some(tenant)),
        Err(Failure::Problem(404, _)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// A tenant's name made from another name; none where nothing of it can stay.
fn called_like(name: &str) -> Option<String> {
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let trimmed = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let short: String = trimmed.chars().take(100).collect();
    TenantName::parse(&short).ok().map(|name| name.to_string())
}

/// Packs the folder and uploads it, unless the server has the same already. Answers the digest of the source.
async fn upload(client: &Client, folder: &Path, org: Option<i64>, output: &Output) -> Result<String, Failure> {
    let packing = folder.to_owned();
    let packed = tokio::task::spawn_blocking(move || Pack::of(&packing)).await;
    let pack = packed.map_err(|error| Failure::Failed(format!("cannot pack the folder: {error}")))??;
    for line in pack.summary() {
        output.progress(&line);
    }
    let path = format!("/api/v1/sources/{}", pack.digest);
    match client.json(client.request(Method::GET, &path).query(&query(org))).await {
        Ok(_) => {
            output.progress("the server has this source already");
            return Ok(pack.digest);
        }
        Err(Failure::Problem(404, _)) => {}
        Err(other) => return Err(other),
    }
    output.progress(&format!("uploading {}", pack::size(pack.archive_bytes)));
    let bar = progress::of_upload(*output, pack.archive_bytes);
    let sent = bar.clone();
    let request = client.request(Method::POST, "/api/v1/sources").query(&query(org));
    let request = request.header("content-type", "application/gzip").header("content-digest", &pack.checksum);
    let body = pack.body(move |bytes| sent.inc(bytes)).await?;
    let request = request.header("content-length", pack.archive_bytes).body(body);
    let uploaded = client.json(request).await;
    bar.finish_and_clear();
    let (_, uploaded) = uploaded?;
    for note in uploaded.get("notes").and_then(Value::as_array).into_iter().flatten() {
        output.progress(&plain(note));
    }
    Ok(uploaded.pointer("/source/digest").map(plain).unwrap_or_default())
}

/// Creates the tenant.
async fn first(
    watch: &Watch<'_>,
    client: &Client,
    arguments: &Arguments,
    name: String,
    mut body: Map<String, Value>,
    place: Place<'_>,
) -> Result<Value, Failure> {
    body.insert("name".to_owned(), json!(name));
    let (body, query) = (Value::Object(body), query(arguments.org));
    // Why it is built as it is, also where the build fails.
    let planned = client.request(Method::POST, "/api/v1/tenant/plan").query(&query).json(&body);
    let (_, planned) = client.json(planned).await?;
    place.tell(planned.pointer("/decisions/notes"));
    // As soon as it is accepted: whatever becomes of it, the next deployment is to the same tenant.
    let remember = |tenant: &Value| {
        let env_id = tenant.get("envId").and_then(Value::as_i64).unwrap_or_default();
        place.remember(Remembered { env_id, name: name.clone() });
    };
    if arguments.detach {
        let request =
            client.request(Method::POST, "/api/v1/tenant/spawn").query(&query).header("prefer", "respond-async");
        let (_, answer) = client.json_once(request.json(&body)).await?;
        let tenant = answer.get("tenant").cloned().unwrap_or_default();
        remember(&tenant);
        return Ok(result(client, &tenant, 1, answer.get("operation")));
    }
    let tenant = watch.spawn(&body, &query, remember).await?;
    Ok(result(client, &tenant, 1, None))
}

/// Deploys to a tenant there is.
async fn next(
    watch: &Watch<'_>,
    client: &Client,
    arguments: &Arguments,
    tenant: &Value,
    mut body: Map<String, Value>,
    place: Place<'_>,
) -> Result<Value, Failure> {
    if let Some(reason) = &arguments.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    let env_id = tenant.get("envId").and_then(Value::as_i64).unwrap_or_default();
    let name = tenant.get("name").map(plain).unwrap_or_default();
    place.output.progress(&format!("deploying to tenant {env_id} `{name}`"));
    let path = format!("/api/v1/tenant/{env_id}/deployments");
    let accepted = |accepted: &Value| {
        place.tell(accepted.pointer("/deployment/notes"));
        place.remember(Remembered { env_id, name: name.clone() });
    };
    let accepted = watch.deploy(&path, &Value::Object(body), arguments.detach, accepted).await?;
    let revision = accepted.pointer("/deployment/revision").and_then(Value::as_i64).unwrap_or_default();
    let operation = accepted.get("operation").filter(|_| arguments.detach);
    // Its port may have moved while it was started.
    let (_, tenant) = client.json(client.request(Method::GET, &format!("/api/v1/tenant/{env_id}"))).await?;
    Ok(result(client, &tenant, revision, operation))
}

/// The folder that is deployed, and where its owner reads.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// None where no folder of this machine is deployed.
    folder: Option<&'a Path>,
    server: &'a str,
    output: &'a Output,
}

impl Place<'_> {
    /// Remembers the tenant. Where that does not work, the deployment goes on: it can be named the next time.
    fn remember(&self, tenant: Remembered) {
        if let Some(folder) = self.folder
            && let Err(text) = tenant.write(folder, self.server)
        {
            self.output.progress(&text);
        }
    }

    /// What was decided, and why.
    fn tell(&self, notes: Option<&Value>) {
        for note in notes.and_then(Value::as_array).into_iter().flatten() {
            self.output.progress(&format!("# {}", plain(note)));
        }
    }
}

/// What is printed of a deployment: to programs as it is, to people as [`told`].
pub(super) fn result(client: &Client, tenant: &Value, revision: i64, operation: Option<&Value>) -> Value {
    let part = |key: &str| tenant.get(key).cloned().unwrap_or_default();
    let mut deployed = Map::from_iter([
        ("envId".to_owned(), part("envId")),
        ("name".to_owned(), part("name")),
        ("port".to_owned(), part("port")),
        ("revision".to_owned(), json!(revision)),
        ("url".to_owned(), json!(url(client, &part("port")))),
    ]);
    // Only the answer that makes a tenant has its key.
    if let Some(key) = tenant.get("apiKey") {
        deployed.insert("apiKey".to_owned(), key.clone());
    }
    if let Some(operation) = operation {
        deployed.insert("operation".to_owned(), operation.clone());
    }
    Value::Object(deployed)
}

/// A deployment, human-readable.
pub(super) fn told(deployed: &Value) -> String {
    let part = |key: &str| deployed.get(key).map(plain).unwrap_or_default();
    let (id, name, revision) = (part("envId"), part("name"), part("revision"));
    let mut text = match deployed.get("operation") {
        None => format!("tenant {id} `{name}` runs revision {revision} at {}", part("url")),
        Some(operation) => {
            let operation = operation.get("id").map(plain).unwrap_or_default();
            format!(
                "tenant {id} `{name}`: revision {revision} is accepted\nwatch: convergence operation watch {operation}"
            )
        }
    };
    if deployed.get("apiKey").is_some() {
        text.push_str(&format!("\nAPI key (shown only once): {}", part("apiKey")));
    }
    text
}

/// Where a tenant's port is, seen from here: on the machine of its server.
pub(super) fn url(client: &Client, port: &Value) -> String {
    let host = client.host().unwrap_or_else(|| "127.0.0.1".to_owned());
    format!("http://{host}:{}", plain(port))
}

fn query(org: Option<i64>) -> Vec<(&'static str, String)> {
    org.map(|org| ("org_id", org.to_string())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_called_like_its_repository_or_image() {
        let of_git = |url: &str| What::Git(url.to_owned()).name();
        assert_eq!(of_git("https://git.example/acme/shop.git").as_deref(), Some("shop"));
        assert_eq!(of_git("https://git.example/acme/shop/").as_deref(), Some("shop"));
        let of_image = |image: &str| What::Image(image.to_owned()).name();
        assert_eq!(of_image("localhost:5000/acme/shop:1.2@sha256:ab").as_deref(), Some("shop"));
        assert_eq!(of_image("nginx").as_deref(), Some("nginx"));
    }

    #[test]
    fn a_tenant_is_called_like_its_folder_as_far_as_it_can_be() {
        let name = |folder: &str| What::Folder(PathBuf::from(folder)).name();
        assert_eq!(name("/srv/shop").as_deref(), Some("shop"));
        assert_eq!(name("/srv/.My Shop (new)").as_deref(), Some("My-Shop--new"));
        assert_eq!(name("/srv/2024"), None);
        assert_eq!(name("/srv/日本"), None);
        assert_eq!(name("/"), None);
    }
}
