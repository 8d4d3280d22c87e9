//! A tenant's variables, plain and secret: what they are, and how others come to be. Another configuration is another revision
//! of the very same image: no template is asked, and nothing is built.

use std::collections::BTreeMap;

use convergence_access::Caller;
use convergence_model::tenant::{Tenant, TenantStatus};
use convergence_model::{EnvId, EnvName, RevisionNumber, Scope, Secret, TenantSpec, Violation};
use convergence_store::{NewConfiguration, NewSecret, SecretVersion, StoreError};

use crate::Provisioner;
use crate::deploy::{CONFIGURE, DeployError, Deployed, Wanted, again, unless_overtaken};
use crate::planning::{PlanError, refuse_doubled};

/// A tenant's variables.
#[derive(Debug, Clone)]
pub struct Variables {
    /// Those that everybody may see who may see the tenant.
    pub plain: BTreeMap<EnvName, String>,
    /// Those whose values are not shown again.
    pub secrets: Vec<SecretVersion>,
    /// The revision that runs with exactly these; absent where they wait for the next deployment.
    pub revision: Option<RevisionNumber>,
}

/// What is to be different in a tenant's variables.
#[derive(Debug, Clone, Default)]
pub struct NewVariables {
    /// Plain ones: with a value, or gone.
    pub plain: BTreeMap<EnvName, Option<String>>,
    /// Whether plain ones that are not named are gone.
    pub replace: bool,
    /// Secret ones: with a value, or gone.
    pub secrets: BTreeMap<EnvName, Option<Secret>>,
}

/// What became of a change.
#[derive(Debug, Clone)]
pub enum Configured {
    /// Everything was so already, and runs.
    Unchanged,
    /// It is kept for the next deployment.
    Kept,
    /// A revision is brought up that has it.
    Deploying(Box<Deployed>),
}

impl Provisioner {
    /// A tenant's variables, as its next revision has them; `None` where there is no tenant within reach.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn variables(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Variables>, StoreError> {
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let kept = self.store.secrets(scope, tenant.id).await?;
        let wanted = self.wanted(scope, env_id).await?;
        let spec = wanted.map_or(tenant.spec, |wanted| wanted.spec);
        let running = self.store.current_revision(scope, tenant.id).await?;
        let running = running.filter(|running| tenant.current_revision.is_some() && is_same(&running.spec, &spec));
        let secrets = kept.into_iter().filter(|kept| spec.secrets.get(&kept.name) == Some(&kept.version)).collect();
        Ok(Some(Variables { plain: spec.env, secrets, revision: running.map(|running| running.number) }))
    }

    /// Changes a tenant's variables: with a new revision, or with `deploy` false for the next one. A tenant that is stopped
    /// stays so, and its next deployment has them.
    ///
    /// # Errors
    /// [`DeployError`]; nothing was changed.
    pub async fn configure(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        change: &NewVariables,
        deploy: bool,
        reason: String,
    ) -> Result<Configured, DeployError> {
        unless_overtaken(|| Box::pin(self.try_configure(scope, caller, env_id, change, deploy, reason.clone()))).await
    }

    async fn try_configure(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        change: &NewVariables,
        deploy: bool,
        reason: String,
    ) -> Result<Configured, DeployError> {
        let tenant = self.store.tenant(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        let wanted = self.wanted(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        let (spec, secrets) = self.changed(&tenant, &wanted.spec, change).await?;
        let current = match tenant.current_revision {
            Some(_) => self.store.current_revision(scope, tenant.id).await?,
            None => None,
        };
        let for_later = !deploy || tenant.status == TenantStatus::Stopped;
        let is_known = for_later || wanted.fresh_source || current.as_ref().is_some_and(|it| is_same(&it.spec, &spec));
        if is_same(&spec, &wanted.spec) && is_known {
            return Ok(Configured::Unchanged);
        }
        // What is brought up next, where nothing is to be built for it; else what runs.
        let pending = self.store.pending_revisions(scope, tenant.id).await?.pop();
        let same = match pending {
            Some(pending) => Some(pending).filter(|pending| pending.built.is_some()),
            None => current.filter(|current| current.built.is_some()),
        };
        let reviewed = match &same {
            Some(same) => Some(self.review_again(scope, caller, tenant.org, &spec, "configure", same).await?),
            None => None,
        };
        if for_later {
            let changed = difference(&wanted.spec, &spec);
            let new = NewConfiguration {
                spec: &spec,
                secrets: &secrets,
                base: wanted.base,
                actor: caller.name(),
                changed: &changed,
                now: self.clock.now(),
            };
            let kept = self.store.keep_configuration(scope, env_id, &new).await?;
            return kept.map(|_| Configured::Kept).ok_or(DeployError::NoTenant(env_id));
        }
        let wanted = Wanted { spec, secrets, ..wanted };
        let deployed = match (same, reviewed) {
            (Some(same), Some((at, limits))) => {
                let revision = again(same, at, limits, reason, None);
                self.accept(scope, caller, &tenant, wanted, revision, &CONFIGURE, None).await?
            }
            // What is to be built is built with the new variables.
            _ => self.deploy(scope, caller, env_id, wanted, reason, None).await?,
        };
        Ok(Configured::Deploying(Box::new(deployed)))
    }

    /// The spec with the change, and the versions of secrets that come with it.
    async fn changed(
        &self,
        tenant: &Tenant,
        before: &TenantSpec,
        change: &NewVariables,
    ) -> Result<(TenantSpec, Vec<NewSecret>), DeployError> {
        let mut spec = before.clone();
        if change.replace {
            spec.env.clear();
        }
        for (name, value) in &change.plain {
            match value {
                Some(value) => _ = spec.env.insert(name.clone(), value.clone()),
                None => _ = spec.env.remove(name),
            }
        }
        let mut secrets = Vec::new();
        if change.secrets.values().any(Option::is_some) {
            // Another server may have added a key, which seals from then on.
            self.keys.reload(&self.store, self.clock.now()).await?;
        }
        for (name, value) in &change.secrets {
            let Some(value) = value else {
                spec.secrets.remove(name);
                continue;
            };
            if spec.env.contains_key(name) {
                let message = format!("{name} is a plain variable of this tenant; unset it first");
                return Err(PlanError::Refused(vec![Violation::deny("name", "taken", message)]).into());
            }
            let before = u32::try_from(secrets.len()).unwrap_or(u32::MAX);
            let version = tenant.secrets_set.saturating_add(before).saturating_add(1);
            secrets.push(self.sealed(tenant.id, name.clone(), version, value)?);
            spec.secrets.insert(name.clone(), version);
        }
        refuse_doubled(&spec)?;
        let most = TenantSpec::ENV_MAX;
        if spec.env.len() > most || spec.secrets.len() > most {
            let (plain, secret) = (spec.env.len(), spec.secrets.len());
            let message = format!(
                "the tenant would have {plain} plain variables and {secret} secret ones; at most {most} of each are allowed"
            );
            return Err(PlanError::Refused(vec![Violation::deny("env", "too-many", message)]).into());
        }
        Ok((spec, secrets))
    }
}

fn is_same(one: &TenantSpec, other: &TenantSpec) -> bool {
    one.env == other.env && one.secrets == other.secrets
}

/// The names of variables that are different.
fn difference(before: &TenantSpec, after: &TenantSpec) -> Vec<String> {
    let names = before.variable_names().into_iter().chain(after.variable_names());
    let names: std::collections::BTreeSet<String> = names.collect();
    let is_other = |name: &String| {
        EnvName::parse(name).is_ok_and(|name| {
            before.env.get(&name) != after.env.get(&name) || before.secrets.get(&name) != after.secrets.get(&name)
        })
    };
    names.into_iter().filter(is_other).collect()
}
