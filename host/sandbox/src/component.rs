//! A loaded component: what it is and how it is called.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::InstancePre;

use crate::call::{CallState, Callee, Calls, Question, Reported};
use crate::error::{DescriptionProblem, LoadError};
use crate::json::Main;
use crate::pace::Pace;
use crate::v0_1;
use crate::v0_1::billing::Billing;
use crate::v0_1::policy::Policy;
use crate::v0_1::template::Template;

/// Bytes of the longest id: the longest name that DNS allows.
const MAX_ID_BYTES: usize = 253;
const MAX_NAME_CHARS: usize = 100;
const MAX_SUMMARY_BYTES: usize = 1000;

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Turns an application into a plan.
    Template,
    /// Judges a change.
    Policy,
    /// Says what usage costs.
    Billing,
}

impl Kind {
    /// The word of the contract: `template`, `policy`, `billing`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Policy => "policy",
            Self::Billing => "billing",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Template, Self::Policy, Self::Billing].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a plugin says about itself, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// A slug, or reverse-DNS.
    pub id: String,
    /// What it does; agrees with what it exports.
    pub kind: Kind,
    /// Human-readable.
    pub name: String,
    /// Its own version.
    pub version: semver::Version,
    /// One sentence.
    pub summary: String,
    /// Where to read more.
    pub homepage: Option<String>,
    /// JSON Schema of its configuration: an object or a boolean.
    pub config_schema: serde_json::Value,
    /// Its own cases.
    pub examples: Vec<Example>,
}

/// A case a plugin wants to be held to. All three texts are JSON, and not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The configuration of the call.
    pub config: String,
    /// The argument of the call.
    pub input: String,
    /// What the answer must contain.
    pub expect: Option<String>,
}

/// `describe` as it came across the border.
pub(crate) struct RawDescription {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) homepage: Option<String>,
    pub(crate) config_schema: String,
    pub(crate) examples: Vec<Example>,
}

impl RawDescription {
    /// Checks every field against what the contract says of it.
    pub(crate) fn check(self, exported: Kind) -> Result<Description, LoadError> {
        let mut problems = Vec::new();
        let mut wrong = |field, reason: String| problems.push(DescriptionProblem { field, reason });
        if !is_id(&self.id) {
            wrong(
                "id",
                format!(
                    "is `{}`; it must be a slug such as `node`, or reverse-DNS such as `com.example.ruby`, in lower case",
                    self.id.escape_debug()
                ),
            );
        }
        if self.kind != exported.as_str() {
            wrong("kind", format!("is `{}`, and the component exports a {exported}", self.kind.escape_debug()));
        }
        if self.name.is_empty() || self.name.chars().count() > MAX_NAME_CHARS || self.name.chars().any(char::is_control)
        {
            wrong("name", format!("must be one line of 1 to {MAX_NAME_CHARS} characters"));
        }
        let version = semver::Version::parse(&self.version)
            .map_err(|error| {
                let version = self.version.escape_debug();
                wrong("version", format!("is `{version}`, which is not a semantic version: {error}"));
            })
            .ok();
        if self.summary.len() > MAX_SUMMARY_BYTES || self.summary.chars().any(char::is_control) {
            wrong("summary", format!("must be one line of at most {MAX_SUMMARY_BYTES} bytes"));
        }
        if let Some(url) = &self.homepage
            && (!url.starts_with("https://") || url.chars().any(|c| c.is_control() || c.is_whitespace()))
        {
            wrong("homepage", format!("is `{}`; it must be an https URL", url.escape_debug()));
        }
        let config_schema: Option<serde_json::Value> = match serde_json::from_str(&self.config_schema) {
            Ok(schema @ (serde_json::Value::Object(_) | serde_json::Value::Bool(_))) => Some(schema),
            Ok(_) => {
                wrong("config-schema", "is not a JSON object".to_owned());
                None
            }
            Err(error) => {
                wrong("config-schema", format!("is not JSON: {error}"));
                None
            }
        };
        match (version, config_schema) {
            (Some(version), Some(config_schema)) if problems.is_empty() => Ok(Description {
                id: self.id,
                kind: exported,
                name: self.name,
                version,
                summary: self.summary,
                homepage: self.homepage,
                config_schema,
                examples: self.examples,
            }),
            _ => Err(LoadError::Description(problems)),
        }
    }
}

/// A slug of at most 63 bytes, or several joined by dots.
fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID_BYTES
        && id.split('.').all(|label| {
            label.len() <= 63
                && label.starts_with(|c: char| c.is_ascii_lowercase())
                && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        })
}

/// A component that was accepted. Cheap to clone; the native code goes when the last clone does.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Loaded>,
}

pub(crate) struct Loaded {
    pub(crate) digest: String,
    pub(crate) imports: Vec<String>,
    pub(crate) uses_wasi: bool,
    pub(crate) description: Description,
    pub(crate) face: Face,
    pub(crate) calls: Arc<Calls>,
    pub(crate) pace: Arc<Pace>,
}

impl Loaded {
    /// Asks it something from a task of the server.
    pub(crate) async fn ask<Q: Question>(&self, question: Q) -> Reported<Q::Answer> {
        let callee = Callee { name: &self.description.id, digest: &self.digest, uses_wasi: self.uses_wasi };
        self.calls.ask(callee, &self.pace, question).await
    }
}

/// By which contract it is called. A new major version of one becomes another variant, behind the same callers.
pub(crate) enum Face {
    TemplateV0_1(crate::v0_1::template::Face),
    PolicyV0_1(crate::v0_1::policy::Face),
    BillingV0_1(crate::v0_1::billing::Face),
}

impl Component {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self { inner: Arc::new(loaded) }
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.description.kind
    }

    /// `sha256:` and 64 hexadecimal digits, of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// What it says about itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// The interfaces it imports, such as `convergence:host/log@0.1.0`. What it is given and does not ask for is not among
    /// them.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// What it does, as a function that can be asked in JSON.
    pub(crate) fn main(&self) -> (&InstancePre<CallState>, &'static Main) {
        match &self.inner.face {
            Face::TemplateV0_1(face) => (face.pre.instance_pre(), &v0_1::template::MAIN),
            Face::PolicyV0_1(face) => (face.pre.instance_pre(), &v0_1::policy::MAIN),
            Face::BillingV0_1(face) => (face.pre.instance_pre(), &v0_1::billing::MAIN),
        }
    }

    /// Asks it something from a task of the server.
    pub(crate) async fn ask<Q: Question>(&self, question: Q) -> Reported<Q::Answer> {
        self.inner.ask(question).await
    }

    /// The template it is, if it is one.
    #[must_use]
    pub fn as_template(&self) -> Option<Template> {
        matches!(self.inner.face, Face::TemplateV0_1(_)).then(|| Template::new(Arc::clone(&self.inner)))
    }

    /// The policy it is, if it is one.
    #[must_use]
    pub fn as_policy(&self) -> Option<Policy> {
        matches!(self.inner.face, Face::PolicyV0_1(_)).then(|| Policy::new(Arc::clone(&self.inner)))
    }

    /// The billing policy it is, if it is one.
    #[must_use]
    pub fn as_billing(&self) -> Option<Billing> {
        matches!(self.inner.face, Face::BillingV0_1(_)).then(|| Billing::new(Arc::clone(&self.inner)))
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("kind", &self.kind())
            .field("id", &self.inner.description.id)
            .field("version", &self.inner.description.version)
            .field("digest", &self.inner.digest)
            .finish()
    }
}
