//! Language templates: `languages` and `wants` at load, `detect` and `plan` at each call.

use std::sync::Arc;

use convergence_model::plan::{BuildPlan, Detection, Language, PlanRequest};
use jiff::Timestamp;
use sha2::Sha256;
use wasmtime::Store;
use wasmtime::component::HasSelf;

use super::bindings::template::convergence::plugin::plugin_types;
use super::bindings::template::convergence::template::template_types as wit;
use super::bindings::template::{LanguageTemplate, LanguageTemplatePre};
use super::{Compiled, convert, hash};
use crate::call::{CallState, Callee, Calls, Question, Reported};
use crate::component::{self, Loaded, RawDescription};
use crate::error::{CallError, LoadError};
use crate::json::Main;

type Pre = LanguageTemplatePre<CallState>;
/// A call's answer: the engine's result around the plugin's.
type Answer<T> = Result<T, plugin_types::PluginError>;

/// A template ready to be called, with what it said once.
pub(crate) struct Face {
    pub(crate) pre: Pre,
    languages: Vec<Language>,
    wants: Vec<String>,
}

/// What a template is for.
pub(crate) const MAIN: Main =
    Main { interface: "convergence:template/generator@0.1.0", function: "plan", check: |_, _| Ok(()) };

/// Links a component of kind template.
pub(crate) fn link(compiled: &Compiled<'_>) -> wasmtime::Result<Pre> {
    let mut linker = compiled.linker()?;
    LanguageTemplate::add_to_linker::<CallState, HasSelf<_>>(&mut linker, |state| state)?;
    LanguageTemplatePre::new(linker.instantiate_pre(compiled.component)?)
}

/// Asks what it is.
pub(crate) fn describe(calls: &Calls, compiled: &Compiled<'_>, pre: &Pre) -> Result<RawDescription, LoadError> {
    let answer = calls.ask_blocking(&compiled.callee(), Describe(pre.clone()));
    Ok(convert::description(answer.map_err(|error| LoadError::Call { function: "describe", error })?))
}

/// Asks what it serves.
pub(crate) fn face(calls: &Calls, callee: &Callee<'_>, pre: Pre) -> Result<Face, LoadError> {
    let languages: Vec<Language> = calls
        .ask_blocking(callee, Languages(pre.clone()))
        .map_err(|error| LoadError::Call { function: "languages", error })?
        .into_iter()
        .map(convert::language)
        .collect();
    check_languages(&languages)?;
    let wants =
        calls.ask_blocking(callee, Wants(pre.clone())).map_err(|error| LoadError::Call { function: "wants", error })?;
    Ok(Face { pre, languages, wants })
}

fn check_languages(languages: &[Language]) -> Result<(), LoadError> {
    let wrong = |reason: &str| {
        let error = CallError::InvalidAnswer(reason.to_owned());
        Err(LoadError::Call { function: "languages", error })
    };
    if languages.is_empty() {
        return wrong("a template serves at least one language");
    }
    for (at, language) in languages.iter().enumerate() {
        let name = &language.name;
        let good = !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+#.-_".contains(&c));
        if !good {
            return wrong(&format!("`{}` is no name for a language; use lower case, as `node`", name.escape_debug()));
        }
        if languages.iter().take(at).any(|other| other.name == *name) {
            return wrong(&format!("`{name}` is listed twice"));
        }
    }
    Ok(())
}

/// A component of kind template.
#[derive(Clone)]
pub struct Template {
    loaded: Arc<Loaded>,
}

impl Template {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        Self { loaded }
    }

    /// The languages it serves; at least one. Asked once, at load.
    #[must_use]
    pub fn languages(&self) -> &[Language] {
        self.face().map_or(&[], |face| &face.languages)
    }

    /// Patterns (gitignore syntax) of the files of an application it wants to read. Asked once, at load.
    #[must_use]
    pub fn wants(&self) -> &[String] {
        self.face().map_or(&[], |face| &face.wants)
    }

    /// Whether the source of the request is in one of its languages.
    pub async fn detect(&self, request: &PlanRequest) -> Result<Option<Detection>, CallError> {
        self.detect_reported(request).await.result
    }

    /// As [`Self::detect`], with what the call took.
    pub async fn detect_reported(&self, request: &PlanRequest) -> Reported<Option<Detection>> {
        let pre = match self.pre() {
            Ok(pre) => pre,
            Err(error) => return Reported { result: Err(error), report: None },
        };
        let reported = self.loaded.ask(Detect(pre, convert::request(request), request.at)).await;
        let found = |found: Option<_>| found.map(convert::detection);
        reported.and_then(|answer| answer.map(found).map_err(|error| convert::plugin_error(error).into()))
    }

    /// Turns a request into a plan. The plan is untrusted: show it to `render::guard` before anything is done with it.
    pub async fn plan(&self, request: &PlanRequest) -> Result<BuildPlan, CallError> {
        self.plan_reported(request).await.result
    }

    /// As [`Self::plan`], with what the call took.
    pub async fn plan_reported(&self, request: &PlanRequest) -> Reported<BuildPlan> {
        let pre = match self.pre() {
            Ok(pre) => pre,
            Err(error) => return Reported { result: Err(error), report: None },
        };
        let reported = self.loaded.ask(Plan(pre, convert::request(request), request.at)).await;
        reported.and_then(|answer| answer.map(convert::build_plan).map_err(|error| convert::plugin_error(error).into()))
    }

    fn id(&self) -> &str {
        &self.loaded.description.id
    }

    fn face(&self) -> Option<&Face> {
        match &self.loaded.face {
            component::Face::TemplateV0_1(face) => Some(face),
            component::Face::PolicyV0_1(_) | component::Face::BillingV0_1(_) => None,
        }
    }

    fn pre(&self) -> Result<Pre, CallError> {
        let face = self.face().ok_or_else(|| CallError::Host("it is not a template".to_owned()))?;
        Ok(face.pre.clone())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.id()).finish()
    }
}

struct Describe(Pre);
struct Languages(Pre);
struct Wants(Pre);
struct Detect(Pre, wit::Request, Timestamp);
struct Plan(Pre, wit::Request, Timestamp);

impl Question for Describe {
    type Answer = plugin_types::Description;
    const FUNCTION: &'static str = "describe";
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_plugin_metadata().call_describe(store).await
    }
}

impl Question for Languages {
    type Answer = Vec<wit::Language>;
    const FUNCTION: &'static str = "languages";
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_template_generator().call_languages(store).await
    }
}

impl Question for Wants {
    type Answer = Vec<String>;
    const FUNCTION: &'static str = "wants";
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_template_generator().call_wants(store).await
    }
}

impl Question for Detect {
    type Answer = Answer<Option<wit::Detection>>;
    const FUNCTION: &'static str = "detect";
    fn input_bytes(&self) -> usize {
        convert::request_bytes(&self.1)
    }
    fn at(&self) -> Timestamp {
        self.2
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_template_generator().call_detect(store, &self.1).await
    }
}

impl Question for Plan {
    type Answer = Answer<wit::BuildPlan>;
    const FUNCTION: &'static str = "plan";
    fn input_bytes(&self) -> usize {
        convert::request_bytes(&self.1)
    }
    fn at(&self) -> Timestamp {
        self.2
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_template_generator().call_plan(store, &self.1).await
    }
}
