//! A component in use: how it is asked, and what is counted of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use convergence_model::OrgId;
use convergence_model::tenant::PluginPin;
use convergence_sandbox::{CallError, Component, Description, Reported};
use serde_json::Value;
use tokio::time::Instant;

use crate::breaker::{Breaker, BreakerState, Outcome};
use crate::configuration::Schema;
use crate::failure::PluginFailure;
use crate::stats::{Counters, PluginStats};

/// A component that was loaded, and what has become of its calls. Cheap to clone: clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) component: Component,
    vitals: Arc<Vitals>,
    /// Kept, since every change of any plugin holds every configuration against its schema again.
    schema: Arc<OnceLock<Result<Schema, String>>>,
}

#[derive(Debug, Default)]
struct Vitals {
    breaker: Breaker,
    counters: Counters,
}

impl Ready {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, vitals: Arc::default(), schema: Arc::default() }
    }

    /// A configuration as text for the guest, or what is wrong with it or with the schema. None is `{}`.
    pub(crate) fn configured(&self, configuration: Option<&Value>) -> Result<String, String> {
        let schema = self.schema.get_or_init(|| Schema::compile(&self.component.description().config_schema));
        schema.as_ref().map_err(Clone::clone)?.check(configuration)
    }

    pub(crate) fn stats(&self) -> PluginStats {
        self.vitals.counters.read()
    }

    pub(crate) fn breaker(&self) -> BreakerState {
        self.vitals.breaker.state(Instant::now())
    }
}

/// A component in use, with what was decided about it. Keeps working when the registry is replaced meanwhile.
pub(crate) struct Active {
    ready: Ready,
    config: String,
    organizations: Option<BTreeSet<OrgId>>,
}

impl Active {
    pub(crate) fn new(ready: Ready, config: String, organizations: Option<BTreeSet<OrgId>>) -> Self {
        Self { ready, config, organizations }
    }

    /// What it says about itself.
    pub(crate) fn description(&self) -> &Description {
        self.ready.component.description()
    }

    /// `sha256:…` of its bytes.
    pub(crate) fn digest(&self) -> &str {
        self.ready.component.digest()
    }

    /// Its configuration, a JSON object.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// What is recorded about the plugin that made a decision.
    pub(crate) fn pin(&self) -> PluginPin {
        PluginPin { version: self.description().version.to_string(), digest: self.digest().to_owned() }
    }

    /// Whether an organization, as plugins know it, is one of those it serves.
    pub(crate) fn serves(&self, organization: &str) -> bool {
        self.organizations
            .as_ref()
            .is_none_or(|served| organization.parse().is_ok_and(|organization| served.contains(&organization)))
    }

    /// Makes a call, unless the breaker is open, and counts it. `answer` is not begun before that is known. Calls that
    /// have no answer yet when the breaker opens are refused like those that come after: they would only break as well.
    pub(crate) async fn call<T>(&self, answer: impl Future<Output = Reported<T>>) -> Result<T, PluginFailure> {
        let Vitals { breaker, counters } = &*self.ready.vitals;
        let opened = breaker.opened();
        breaker.enter(Instant::now()).map_err(|pause| self.suspended(pause))?;
        let Reported { result, report } = tokio::select! {
            biased;
            reported = answer => reported,
            () = opened => return Err(self.suspended(breaker.pause(Instant::now()))),
        };
        counters.count(result.as_ref().err(), report.as_ref());
        let opened = breaker.record(outcome(&result), Instant::now());
        result.map_err(|error| {
            let Description { id, version, kind, .. } = self.description();
            if let Some(pause) = opened {
                tracing::error!(
                    target: "plugin", plugin = id, %version, ?pause, %error,
                    "a plugin broke several times in a row and is not asked for a while"
                );
            }
            PluginFailure::Call { id: id.clone(), version: version.to_string(), kind: *kind, error }
        })
    }

    fn suspended(&self, pause: Duration) -> PluginFailure {
        self.ready.vitals.counters.suspended();
        let Description { id, version, kind, .. } = self.description();
        PluginFailure::Suspended { id: id.clone(), version: version.to_string(), kind: *kind, pause }
    }
}

fn outcome<T>(result: &Result<T, CallError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Sound,
        Err(error) if error.is_plugins_fault() => Outcome::Fault,
        Err(CallError::Plugin(_)) => Outcome::Sound,
        Err(_) => Outcome::Unrelated,
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its configuration may hold secrets.
        f.debug_struct("Active").field("component", &self.ready.component).finish_non_exhaustive()
    }
}
