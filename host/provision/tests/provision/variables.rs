//! A tenant's variables, plain and secret, and the key ring that secrets are sealed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use convergence_model::operation::{Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::workload::EnvValue;
use convergence_model::{Code, EnvName, RevisionNumber, Scope, SealingKeyId, Secret};
use convergence_provision::{Configured, DeployError, MemoryRing, NewVariables, RotateError, Variables};
use convergence_runtime::fake::{Fault, Readiness};
use convergence_store::{Conflict, StoreError};
use convergence_work::RequestError;

use crate::bench::{Bench, Site};
use crate::deployments::Stage;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

fn named(name: &str) -> EnvName {
    EnvName::parse(name).unwrap()
}

fn plain<const N: usize>(variables: [(&str, Option<&str>); N]) -> NewVariables {
    let plain = variables.into_iter().map(|(name, value)| (named(name), value.map(str::to_owned))).collect();
    NewVariables { plain, ..NewVariables::default() }
}

fn secret<const N: usize>(secrets: [(&str, Option<&str>); N]) -> NewVariables {
    let secrets = secrets.into_iter().map(|(name, value)| (named(name), value.map(Secret::new))).collect();
    NewVariables { secrets, ..NewVariables::default() }
}

impl Stage {
    async fn configure(&self, change: &NewVariables, deploy: bool) -> Result<Configured, DeployError> {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        self.bench.provisioner.configure(&scope, caller, self.env_id, change, deploy, String::new()).await
    }

    /// Changes variables and waits until a revision runs that has them.
    async fn configured(&self, change: NewVariables) -> Operation {
        let deploying = self.configure(&change, true).await.unwrap();
        let Configured::Deploying(deployed) = deploying else { panic!("{deploying:?}") };
        self.outcome(&deployed).await
    }

    async fn variables(&self) -> Variables {
        self.bench.provisioner.variables(&Scope::platform(), self.env_id).await.unwrap().unwrap()
    }

    /// What the app is given.
    fn given(&self, name: &str) -> Option<EnvValue> {
        self.workload().env.get(name).cloned()
    }

    /// The versions of secrets that are kept, by name.
    async fn kept(&self) -> Vec<(String, u32)> {
        let kept = self.bench.store.secrets(&Scope::platform(), self.tenant().await.id).await.unwrap();
        kept.into_iter().map(|secret| (secret.name.to_string(), secret.version)).collect()
    }
}

fn value(text: &str) -> Option<EnvValue> {
    Some(EnvValue::Literal(text.to_owned()))
}

fn hidden(text: &str) -> Option<EnvValue> {
    Some(EnvValue::Secret(Secret::new(text)))
}

#[tokio::test]
async fn other_variables_run_the_very_same_image_in_another_revision() {
    let stage = Stage::new().await;
    let before = stage.workload();
    stage.bench.runtime.forget_journal();
    assert_eq!(stage.configured(plain([("A", Some("1")), ("B", Some("2"))])).await.state, OperationState::Succeeded);
    assert_eq!((stage.given("A"), stage.given("B")), (value("1"), value("2")));
    assert_eq!((stage.workload().image, stage.runs().as_str()), (before.image, "2"));
    assert!(!stage.bench.runtime.journal().iter().any(|call| call.method == "build"), "nothing is built");
    assert_eq!(stage.configured(plain([("A", None), ("B", Some("3"))])).await.state, OperationState::Succeeded);
    assert_eq!((stage.given("A"), stage.given("B")), (None, value("3")));
    let all = NewVariables { replace: true, ..plain([("C", Some("4"))]) };
    assert_eq!(stage.configured(all).await.state, OperationState::Succeeded);
    assert_eq!((stage.given("B"), stage.given("C")), (None, value("4")));
    // What is so already makes no revision.
    let same = stage.configure(&plain([("C", Some("4")), ("B", None)]), true).await.unwrap();
    assert!(matches!(same, Configured::Unchanged), "{same:?}");
    assert_eq!(stage.variables().await.revision, Some(RevisionNumber(4)));
}

#[tokio::test]
async fn a_secret_is_given_to_the_app_and_comes_back_with_a_rollback() {
    let stage = Stage::new().await;
    assert_eq!(stage.configured(secret([("TOKEN", Some("first"))])).await.state, OperationState::Succeeded);
    assert_eq!(stage.given("TOKEN"), hidden("first"));
    assert_eq!(stage.configured(secret([("TOKEN", Some("second"))])).await.state, OperationState::Succeeded);
    assert_eq!(stage.given("TOKEN"), hidden("second"));
    let variables = stage.variables().await;
    assert_eq!((variables.secrets.len(), variables.secrets[0].version), (1, 2));
    assert_eq!(stage.configured(secret([("TOKEN", None)])).await.state, OperationState::Succeeded);
    assert_eq!((stage.given("TOKEN"), stage.variables().await.secrets.len()), (None, 0));
    assert_eq!(stage.rollback(2).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.given("TOKEN"), hidden("first"));
    assert_eq!(stage.variables().await.secrets[0].version, 1);
    // A deployment of another source keeps it, and so does a repair.
    assert_eq!(stage.deploy("other").await.state, OperationState::Succeeded);
    assert_eq!(stage.given("TOKEN"), hidden("first"));
}

#[tokio::test]
async fn a_change_for_later_touches_nothing_until_it_is_deployed() {
    let stage = Stage::new().await;
    let before = stage.workload();
    let change = NewVariables { secrets: secret([("TOKEN", Some("first"))]).secrets, ..plain([("A", Some("1"))]) };
    assert!(matches!(stage.configure(&change, false).await.unwrap(), Configured::Kept));
    let again = stage.configure(&secret([("TOKEN", Some("second"))]), false).await.unwrap();
    assert!(matches!(again, Configured::Kept), "{again:?}");
    assert_eq!(
        (stage.workload(), stage.kept().await),
        (before, vec![("TOKEN".to_owned(), 2)]),
        "the first is not needed"
    );
    let variables = stage.variables().await;
    assert_eq!((variables.plain.len(), variables.secrets.len(), variables.revision), (1, 1, None));
    // A deployment of anything has it; so has one of nothing else.
    assert_eq!(stage.configured(NewVariables::default()).await.state, OperationState::Succeeded);
    assert_eq!((stage.given("A"), stage.given("TOKEN")), (value("1"), hidden("second")));
    assert_eq!(stage.variables().await.revision, Some(RevisionNumber(2)));
}

#[tokio::test]
async fn a_change_for_later_is_refused_while_a_deployment_would_undo_it() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("build", Fault::HangBefore);
    let deployed = stage.accept(stage.prints("one").await).await;
    // Or the next build would be the one that hangs.
    stage.bench.runtime.called("build").await;
    let refused = stage.configure(&plain([("A", Some("1"))]), false).await.unwrap_err();
    assert!(format!("{refused:?}").contains("Deploying"), "{refused:?}");
    // One that is deployed comes after it, with the source of the one before.
    let Configured::Deploying(next) = stage.configure(&plain([("A", Some("1"))]), true).await.unwrap() else {
        panic!()
    };
    stage.bench.operations.cancel(&Scope::platform(), "test", deployed.operation.id).await.unwrap();
    assert_eq!(stage.outcome(&next).await.state, OperationState::Succeeded);
    assert_eq!(stage.given("A"), value("1"));
}

#[tokio::test]
async fn a_tenant_that_is_stopped_stays_so_and_has_its_new_variables_with_its_next_deployment() {
    let stage = Stage::new().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let stopped = stage.bench.provisioner.stop(&scope, caller, stage.env_id).await.unwrap();
    stage.bench.operations.outcome(stopped.id, PATIENCE).await.unwrap();
    let kept = stage.configure(&plain([("A", Some("1"))]), true).await.unwrap();
    assert!(matches!(kept, Configured::Kept), "{kept:?}");
    assert_eq!(stage.tenant().await.status, TenantStatus::Stopped);
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!(stage.given("A"), value("1"));
}

#[tokio::test]
async fn a_tenant_that_is_being_stopped_is_not_started_by_another_configuration() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("stop", Fault::HangBefore);
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    stage.bench.provisioner.stop(&scope, caller, stage.env_id).await.unwrap();
    stage.bench.runtime.called("stop").await;
    let busy = stage.configure(&plain([("A", Some("1"))]), true).await.unwrap_err();
    assert!(format!("{busy:?}").contains("SubjectBusy"), "{busy:?}");
    assert_eq!(stage.tenant().await.staged, 0);
    // For later it is kept all the same.
    assert!(matches!(stage.configure(&plain([("A", Some("1"))]), false).await.unwrap(), Configured::Kept));
}

#[tokio::test]
async fn a_change_keeps_the_source_that_is_being_deployed_also_where_one_after_it_was_cancelled() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("create", Fault::HangBefore);
    let first = stage.accept(stage.prints("one").await).await;
    stage.bench.runtime.called("create").await;
    let second = stage.accept(stage.prints("two").await).await;
    stage.bench.operations.cancel(&Scope::platform(), "test", second.operation.id).await.unwrap();
    let deploying = stage.configure(&plain([("A", Some("1"))]), true).await.unwrap();
    let Configured::Deploying(third) = deploying else { panic!("{deploying:?}") };
    assert_eq!(stage.revision(4).await.spec.source, stage.revision(2).await.spec.source);
    drop(first);
    assert_eq!(third.revision, RevisionNumber(4));
}

#[tokio::test]
async fn a_change_during_a_rollback_is_one_of_what_is_restored() {
    let stage = Stage::new().await;
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    stage.bench.runtime.next("create", Fault::HangBefore);
    let number = RevisionNumber(1);
    stage.bench.provisioner.rollback(&scope, caller, stage.env_id, number, String::new(), None).await.unwrap();
    stage.bench.runtime.called("create").await;
    let deploying = stage.configure(&plain([("A", Some("1"))]), true).await.unwrap();
    assert!(matches!(deploying, Configured::Deploying(_)), "{deploying:?}");
    let (restored, changed) = (stage.revision(3).await, stage.revision(4).await);
    assert_eq!((changed.built, changed.spec.source), (restored.built, restored.spec.source));
}

#[tokio::test]
async fn a_variable_is_plain_or_secret_and_the_platform_counts_them() {
    let stage = Stage::new().await;
    assert_eq!(stage.configured(plain([("A", Some("1"))])).await.state, OperationState::Succeeded);
    let taken = stage.configure(&secret([("A", Some("2"))]), true).await.unwrap_err();
    assert!(taken.to_string().contains("A is a plain variable of this tenant; unset it first"), "{taken}");
    assert_eq!(stage.configured(secret([("S", Some("1"))])).await.state, OperationState::Succeeded);
    let taken = stage.configure(&plain([("S", Some("2"))]), true).await.unwrap_err();
    assert!(taken.to_string().contains("S is a secret of this tenant"), "{taken}");
    let names: Vec<String> = (0..65).map(|number| format!("V{number}")).collect();
    let many = names.iter().map(|name| (named(name), Some(String::new()))).collect::<BTreeMap<_, _>>();
    let many = stage.configure(&NewVariables { plain: many, ..NewVariables::default() }, true).await.unwrap_err();
    assert!(many.to_string().contains("at most 64 of each"), "{many}");
    assert_eq!(stage.kept().await, [("S".to_owned(), 1)]);
}

#[tokio::test]
async fn variables_with_which_an_app_does_not_come_up_are_given_up_with_their_values() {
    let stage = Stage::new().await;
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    assert_eq!(stage.configured(secret([("TOKEN", Some("bad"))])).await.state, OperationState::Failed);
    stage.bench.runtime.readiness(Readiness::Ready);
    let variables = stage.variables().await;
    assert_eq!((variables.secrets.len(), variables.revision), (0, Some(RevisionNumber(1))));
    assert_eq!(stage.kept().await, []);
    assert_eq!((stage.given("TOKEN"), stage.runs().as_str()), (None, "1"));
}

#[tokio::test]
async fn a_server_with_another_ring_does_not_start_and_leaves_nothing() {
    let stage = Stage::new().await;
    assert_eq!(stage.configured(secret([("TOKEN", Some("first"))])).await.state, OperationState::Succeeded);
    let ring = Arc::new(MemoryRing::new().unwrap());
    let keys = ring.keys(convergence_access::KeyRing::new(&[7; 32])).unwrap();
    let missing = keys.hold_against(&stage.bench.store, jiff::Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(missing.to_string().contains("restore `keyring` from a backup"), "{missing}");
    assert_eq!(stage.bench.store.sealing_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_secret_that_was_altered_is_named_and_can_be_set_again() {
    let stage = Stage::new().await;
    assert_eq!(stage.configured(secret([("TOKEN", Some("first"))])).await.state, OperationState::Succeeded);
    let nobody = SealingKeyId::parse("00000000").unwrap();
    let mut row = stage.bench.store.sealed_by_others(&nobody, 1).await.unwrap().remove(0);
    row.sealed.bytes[20] ^= 1;
    assert_eq!(stage.bench.store.resealed(&[(row.sealed.key.clone(), row)]).await.unwrap(), 1);
    stage.bench.runtime.lose(&crate::table::name(stage.env_id));
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let repair = stage.bench.provisioner.repair(&scope, caller, stage.env_id).await.unwrap();
    let repair = stage.bench.operations.outcome(repair.id, PATIENCE).await.unwrap();
    let failure = repair.failure.unwrap();
    assert_eq!(failure.code.code(), Code::SecretUnreadable);
    assert!(failure.message.contains("the secret TOKEN cannot be opened"), "{}", failure.message);
    let rotation = stage.rotate().await;
    assert_eq!(rotation.failure.map(|failure| failure.code.code()), Some(Code::SecretUnreadable));
    let again = stage.configured(secret([("TOKEN", Some("again"))])).await;
    assert_eq!(again.state, OperationState::Succeeded, "{:?}", again.failure);
    assert_eq!(stage.given("TOKEN"), hidden("again"));
}

impl Stage {
    async fn rotate(&self) -> Operation {
        let begun = self.bench.provisioner.rotate_keys(&self.bench.site.caller).await.unwrap();
        self.bench.operations.outcome(begun.id, PATIENCE).await.unwrap()
    }

    /// How many values keys sealed: `first`, and all others.
    async fn sealed(&self, first: &SealingKeyId) -> (Option<u64>, u64) {
        let keys = self.bench.store.sealing_keys().await.unwrap();
        let of_first = keys.iter().find(|key| key.id == *first).map(|key| key.values);
        (of_first, keys.iter().filter(|key| key.id != *first).map(|key| key.values).sum())
    }
}

#[tokio::test]
async fn rotating_the_ring_seals_everything_anew_and_touches_no_app() {
    let stage = Stage::new().await;
    let names: Vec<String> = (0..60).map(|number| format!("S{number}")).collect();
    let secrets = names.iter().map(|name| (named(name), Some(Secret::new(name.as_str())))).collect();
    let change = NewVariables { secrets, ..NewVariables::default() };
    assert_eq!(stage.configured(change).await.state, OperationState::Succeeded);
    let (before, first) = (stage.workload(), stage.bench.store.sealing_keys().await.unwrap()[0].id.clone());
    let needed = stage.bench.provisioner.retire_key(&stage.bench.site.caller, &first).await.unwrap_err();
    assert!(matches!(needed, RotateError::Needed(_)), "{needed}");
    assert_eq!(stage.rotate().await.state, OperationState::Succeeded);
    assert_eq!(stage.sealed(&first).await, (Some(0), 60));
    assert!(stage.workload() == before, "no app is touched");
    // Also what is sealed from now on, and a container that is made anew.
    assert_eq!(stage.configured(secret([("MORE", Some("more"))])).await.state, OperationState::Succeeded);
    assert_eq!(stage.sealed(&first).await, (Some(0), 61));
    assert_eq!((stage.given("S59"), stage.given("MORE")), (hidden("S59"), hidden("more")));
    assert_eq!(stage.given("CONVERGENCE_API_KEY"), before.env.get("CONVERGENCE_API_KEY").cloned());
    stage.bench.provisioner.retire_key(&stage.bench.site.caller, &first).await.unwrap();
    assert_eq!(stage.sealed(&first).await, (None, 61));
    let ring = stage.bench.provisioner.ring().await.unwrap();
    let told: Vec<_> = ring.iter().map(|key| (key.id == first, key.known.is_some(), key.is_newest)).collect();
    assert_eq!(told, [(true, false, false), (false, true, true)], "the old key is still in the ring");
    assert!(matches!(
        stage.bench.provisioner.retire_key(&stage.bench.site.caller, &first).await,
        Err(RotateError::Absent)
    ));
}

#[tokio::test]
async fn one_rotation_is_under_way_at_a_time() {
    let site = Site::new().await;
    // No server works.
    let front = site.front(Arc::clone(&site.store));
    front.provisioner.rotate_keys(&site.caller).await.unwrap();
    let busy = front.provisioner.rotate_keys(&site.caller).await.unwrap_err();
    let is_busy =
        matches!(busy, RotateError::Request(RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { .. }))));
    assert!(is_busy, "{busy:?}");
}

#[tokio::test]
async fn another_server_finds_the_new_key_by_itself() {
    let stage = Stage::new().await;
    // It read the ring before there was the new key.
    let other = stage.bench.site.front(Arc::clone(&stage.bench.store));
    assert_eq!(stage.configured(secret([("TOKEN", Some("first"))])).await.state, OperationState::Succeeded);
    assert_eq!(stage.rotate().await.state, OperationState::Succeeded);
    let env_id = stage.env_id;
    let site = stage.bench.into_site();
    site.runtime.lose(&crate::table::name(env_id));
    let (stop, tasks) = (tokio_util::sync::CancellationToken::new(), tokio_util::task::TaskTracker::new());
    let (provisioner, operations) = (Arc::clone(&other.provisioner), Arc::clone(&other.operations));
    tasks.spawn({
        let (stop, tasks) = (stop.clone(), tasks.clone());
        async move { other.work(stop, tasks).await }
    });
    let repair = provisioner.repair(&Scope::platform(), &site.caller, env_id).await.unwrap();
    let repair = operations.outcome(repair.id, PATIENCE).await.unwrap();
    assert_eq!(repair.state, OperationState::Succeeded, "{:?}", repair.failure);
    stop.cancel();
}

#[tokio::test]
async fn policies_may_refuse_another_configuration() {
    let bench = Bench::of(Site::new().await);
    let env_id = bench.spawn("no-app").await.env_id().unwrap();
    let mut site = bench.into_site();
    site.refuse_names().await;
    let stage = Stage { bench: Bench::of(site), env_id };
    let denied = stage.configure(&secret([("TOKEN", Some("first"))]), true).await.unwrap_err();
    assert!(format!("{denied:?}").contains("begin with no-"), "{denied:?}");
    assert_eq!((stage.kept().await, stage.runs().as_str()), (Vec::new(), "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_server_is_killed_ends_rotated() {
    let stage = Stage::new().await;
    let names: Vec<String> = (0..60).map(|number| format!("S{number}")).collect();
    let secrets = names.iter().map(|name| (named(name), Some(Secret::new(name.as_str())))).collect();
    let change = NewVariables { secrets, ..NewVariables::default() };
    assert!(matches!(stage.configure(&change, false).await.unwrap(), Configured::Kept));
    let (scope, mut site) = (Scope::platform(), stage.bench.into_site());
    site.work.lease = std::time::Duration::from_secs(3);
    for kills in 0..8 {
        let front = site.front(Arc::clone(&site.store));
        let rotation = front.provisioner.rotate_keys(&site.caller).await.unwrap().id;
        let life = site.live();
        let over = loop {
            let events = site.store.events(&scope, rotation, 0, 100).await.unwrap();
            let operation = site.store.operation(&scope, rotation).await.unwrap().unwrap();
            if operation.state.is_final() || events.len() >= kills {
                break operation.state.is_final();
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        };
        life.kill().await;
        let life = site.live();
        let asked = std::time::Instant::now();
        let rotation = loop {
            let operation = site.store.operation(&scope, rotation).await.unwrap().unwrap();
            if operation.state.is_final() {
                break operation;
            }
            assert!(asked.elapsed() < PATIENCE, "{operation:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        life.kill().await;
        assert_eq!(rotation.state, OperationState::Succeeded, "{kills} {over}: {:?}", rotation.failure);
        // What a server finds that starts now.
        let keys = site.ring.keys(convergence_access::KeyRing::new(&[7; 32])).unwrap();
        keys.hold_against(&site.store, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(keys.seals.ids().len(), kills + 2, "one key a rotation");
        assert!(site.store.sealed_by_others(&keys.seals.newest(), 1).await.unwrap().is_empty());
    }
}
