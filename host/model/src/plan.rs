//! What a language template returns: typed image stages and a service. The mirror of
//! `wit/template/template.wit`, where every field is explained; here only what the host adds.
//!
//! A plan is untrusted data until `render::guard` has looked at it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A file of a plan or of an application's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative path with `/` between components.
    pub path: String,
    /// What is in it.
    pub contents: Contents,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

/// The bytes of a file; text in JSON where they are text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ContentsJson", into = "ContentsJson")]
pub struct Contents(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ContentsJson {
    Text(String),
    Binary { base64: String },
}

impl From<ContentsJson> for Contents {
    fn from(json: ContentsJson) -> Self {
        match json {
            ContentsJson::Text(text) => Self(text.into_bytes()),
            // Only our own serializer writes this form; what is not base64 is read as no bytes.
            ContentsJson::Binary { base64 } => {
                Self(data_encoding::BASE64.decode(base64.as_bytes()).unwrap_or_default())
            }
        }
    }
}

impl From<Contents> for ContentsJson {
    fn from(contents: Contents) -> Self {
        match String::from_utf8(contents.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Binary { base64: data_encoding::BASE64.encode(error.as_bytes()) },
        }
    }
}

/// A key and a value of an open set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// An application's source as a template sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Every path in it.
    pub paths: Vec<String>,
    /// The files the template asked for by `wants`.
    pub files: Vec<File>,
}

/// What a template is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// When the request was accepted: the time that a clock shows to the template, and the revision keeps.
    pub at: Timestamp,
    /// The tenant's name, human-readable.
    pub tenant_name: String,
    /// The framework asked for.
    pub framework: Option<String>,
    /// Absent when the tenant wants the starter application.
    pub source: Option<Source>,
    /// Replaces the image of the final stage.
    pub base_image: Option<String>,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// MiB of memory the service will get.
    pub memory_mb: u32,
    /// Names of variables that will be set at run time.
    pub env_names: Vec<String>,
    /// Values public at build time.
    pub build_args: Vec<Attribute>,
    /// Names of build secrets that exist.
    pub secret_names: Vec<String>,
    /// What the source asked to run, as process → command.
    pub processes: Vec<Attribute>,
    /// The plugin's configuration, JSON.
    pub config: String,
    /// Room to grow.
    pub extra: Vec<Attribute>,
}

/// From where a stage copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The application's source.
    Source,
    /// The files of this plan.
    Plan,
    /// An earlier stage, by name.
    Stage(String),
}

/// Copies files into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// From where.
    pub origin: Origin,
    /// What: relative to the origin's root for `Source` and `Plan`, absolute for a stage.
    pub paths: Vec<String>,
    /// To where: absolute, or relative to the working folder.
    pub destination: String,
}

/// A folder kept between builds of one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Which cache.
    pub id: String,
    /// Where it appears.
    pub path: String,
    /// Builds take turns.
    pub exclusive: bool,
}

/// A build secret mounted as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMount {
    /// Which secret.
    pub name: String,
    /// Where it appears.
    pub path: String,
}

/// Runs a program at build time, without a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Caches mounted for it.
    pub caches: Vec<Cache>,
    /// Secrets mounted for it.
    pub secrets: Vec<SecretMount>,
}

/// One step of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Sets the working folder.
    Workdir(String),
    /// Sets a variable, literally.
    Env(Attribute),
    /// Puts a folder in front of `PATH`.
    PrependPath(String),
    /// Copies files.
    Copy(Copy),
    /// Runs a program.
    Run(Run),
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// An image as its users know it.
    Image(String),
    /// An earlier stage, by name.
    Stage(String),
    /// Nothing.
    Scratch,
}

/// One stage of the image's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// A slug, unique in the plan.
    pub name: String,
    /// What it starts from.
    pub base: Base,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// How the host asks whether the service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// `GET` of this path answers 2xx.
    Http(String),
    /// The port accepts a connection.
    Tcp,
    /// A command in the container exits 0.
    Command(Vec<String>),
}

/// How health is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// From the host.
    pub probe: Probe,
    /// `HEALTHCHECK` of the image, where it has something to run.
    pub in_container: Option<Vec<String>>,
    /// Seconds between checks.
    pub interval_seconds: u32,
    /// Seconds one check may take.
    pub timeout_seconds: u32,
    /// Failures in a row that make it unhealthy.
    pub retries: u8,
    /// Seconds after the start in which failures do not count.
    pub start_period_seconds: u32,
}

/// Scratch space: in memory, empty at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Writable {
    /// Absolute path.
    pub path: String,
    /// MiB.
    pub size_mb: u32,
    /// Whether programs may be run from it.
    pub executable: bool,
}

/// A folder that outlives the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A slug, unique in the plan.
    pub name: String,
    /// Absolute path.
    pub path: String,
}

/// How the image is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Runs once per revision before traffic moves to it.
    pub release_command: Option<Vec<String>>,
    /// The port it listens on, given to it as `PORT`.
    pub port: u16,
    /// How health is asked for.
    pub health: Health,
    /// Variables of the template's.
    pub env: Vec<Attribute>,
    /// Scratch space.
    pub writable: Vec<Writable>,
    /// Kept folders.
    pub volumes: Vec<Volume>,
    /// For example `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Seconds between the signal and the kill.
    pub stop_grace_seconds: u32,
    /// MiB below which it cannot be expected to start.
    pub min_memory_mb: u32,
    /// Room to grow.
    pub extra: Vec<Attribute>,
}

/// How an application becomes an image and a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildPlan {
    /// The starter, generated configuration.
    pub files: Vec<File>,
    /// The last one is what runs.
    pub stages: Vec<Stage>,
    /// How it is run.
    pub service: Service,
    /// What was detected and why, human-readable.
    pub notes: Vec<String>,
    /// Room to grow.
    pub extra: Vec<Attribute>,
}

/// A language as its template offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// The name a request gives.
    pub name: String,
    /// The first one is the default.
    pub frameworks: Vec<String>,
    /// Versions of the language.
    pub versions: Vec<String>,
    /// Base images its plans may use.
    pub images: Vec<String>,
}

/// What a template makes of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// 0 to 100.
    pub confidence: u8,
    /// The language.
    pub language: String,
    /// The framework.
    pub framework: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// Why, human-readable.
    pub reason: String,
}
