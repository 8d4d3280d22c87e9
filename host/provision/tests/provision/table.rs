//! One row of the table of faults: an operation, what goes wrong in it, and what has to hold afterwards.

use std::time::Duration;

use convergence_access::development::HOME;
use convergence_model::operation::{
    Leftover, LeftoverKind, Operation, OperationState, Subject, SweepInput, UpkeepInput,
};
use convergence_model::tenant::TenantStatus;
use convergence_model::workload::label;
use convergence_model::{EnvId, EnvName, OperationId, RevisionNumber, Scope, Secret, TenantSpec};
use convergence_provision::{Configured, NewLimits, NewVariables, Wanted, kind};
use convergence_runtime::fake::{Call, Fault, Readiness};
use convergence_runtime::{Builder, Owner, Runtime, RuntimeError};
use convergence_store::{Base, Entry, TenantQuery};
use convergence_work::Kind;

use crate::bench::{INSTANCE, Life, Site, labels, spec};
use crate::rehearsal::{Asked, Far};

/// Longer than any case takes; a case that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long between two looks at how far an operation is. Each look is a query, and the server needs the processor too.
const GLANCE: Duration = Duration::from_millis(5);
/// After how long a step is taken for hanging in a row in which a call hangs: short, so that the row does not take long.
const HANGS_AFTER: Duration = Duration::from_millis(400);
/// The same wherever nothing hangs: so long that a busy machine is not taken for a call that hangs.
const IS_SLOW_AFTER: Duration = Duration::from_secs(10);
/// A number that no tenant has.
const NOBODY: EnvId = EnvId(1_000_000);

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The engine refuses, and would refuse again.
    Fails,
    /// The engine is away and nothing has happened.
    Away,
    /// It has happened, and the reply is lost.
    ReplyLost,
    /// Nothing has happened and nothing comes back.
    Hangs,
    /// It has happened and nothing comes back.
    HangsAfter,
    /// The server is killed before it happens.
    KilledBefore,
    /// The server is killed after it happened.
    KilledAfter,
}

pub(crate) const TROUBLES: [Trouble; 7] = [
    Trouble::Fails,
    Trouble::Away,
    Trouble::ReplyLost,
    Trouble::Hangs,
    Trouble::HangsAfter,
    Trouble::KilledBefore,
    Trouble::KilledAfter,
];
/// Those after which somebody else goes on.
pub(crate) const DEATHS: [Trouble; 2] = [Trouble::KilledBefore, Trouble::KilledAfter];
/// What may happen to the server that goes on.
pub(crate) const AGAIN: [Trouble; 4] = [Trouble::Away, Trouble::ReplyLost, Trouble::KilledBefore, Trouble::KilledAfter];

impl Trouble {
    fn fault(self) -> Fault {
        let away = || RuntimeError::Unreachable { socket: "/s".into(), cause: "gone".into(), hint: "wait".into() };
        match self {
            Self::Fails => Fault::Before(RuntimeError::Engine { status: 400, message: "told to fail".into() }),
            Self::Away => Fault::Before(away()),
            Self::ReplyLost => Fault::After(away()),
            Self::Hangs | Self::KilledBefore => Fault::HangBefore,
            Self::HangsAfter | Self::KilledAfter => Fault::HangAfter,
        }
    }

    pub(crate) fn kills(self) -> bool {
        DEATHS.contains(&self)
    }

    fn hangs(self) -> bool {
        matches!(self, Self::Hangs | Self::HangsAfter)
    }
}

/// What an operation is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Everything is as it should be.
    Sound,
    /// The app does not come up, so a spawn goes back again.
    AppFails,
    /// The container was altered by hand and runs, so a repair replaces it.
    Altered,
}

impl Scene {
    /// Whether a fault at this call is a row of its own here, and not one that another scene has already.
    pub(crate) fn adds(self, call: &Call) -> bool {
        self != Self::Altered || ["halt", "discard", "create"].contains(&call.method)
    }
}

/// One row of the table: a call of an operation's run, by its place, and what goes wrong with it; perhaps another one of the
/// run that recovers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) kind: &'static Kind,
    pub(crate) scene: Scene,
    pub(crate) first: Option<(usize, Trouble)>,
    pub(crate) second: Option<(usize, Trouble)>,
    /// Whether the first call that goes wrong is one of the way back.
    pub(crate) on_the_way_back: bool,
}

impl Case {
    pub(crate) fn clean(kind: &'static Kind, scene: Scene) -> Self {
        Self { kind, scene, first: None, second: None, on_the_way_back: false }
    }
}

/// Everything a row is tried on, one row after the other.
pub(crate) struct Table {
    site: Site,
    number: u32,
}

/// What a run did.
pub(crate) struct Run {
    pub(crate) operation: Operation,
    /// The calls of the last server that worked on it.
    pub(crate) calls: Vec<Call>,
}

impl Table {
    pub(crate) async fn new() -> Self {
        let mut site = Site::new().await;
        site.work.step_limit = IS_SLOW_AFTER;
        site.settings.ready_patience = Duration::ZERO;
        site.settings.build_limit = Duration::ZERO;
        site.settings.pull_limit = Duration::ZERO;
        Self { site, number: 0 }
    }

    /// Tries one row.
    pub(crate) async fn run(&mut self, case: Case) -> Run {
        self.number += 1;
        let subject = self.prepare(case).await;
        let operation = self.ask(case.kind, subject).await;
        self.site.runtime.forget_journal();
        if case.scene == Scene::AppFails {
            self.site.runtime.readiness(Readiness::Exits { code: 1, oom: false });
        }
        for (at, trouble) in [case.first, case.second].into_iter().flatten() {
            self.site.runtime.forget_journal();
            self.site.runtime.nth(at, trouble.fault());
            self.site.work.step_limit = if trouble.hangs() { HANGS_AFTER } else { IS_SLOW_AFTER };
            let life = self.site.live();
            self.site.work.step_limit = IS_SLOW_AFTER;
            if !trouble.kills() {
                self.ended(&life, operation, case).await;
                life.kill().await;
                break;
            }
            // Killed at that call; or the operation is over before it comes to that.
            self.reached_or_over(at, operation).await;
            life.kill().await;
            // The app would come up now; the next server must go on undoing all the same.
            if case.on_the_way_back {
                self.site.runtime.readiness(Readiness::Ready);
            }
        }
        self.site.runtime.forget_faults();
        self.site.runtime.forget_journal();
        let life = self.site.live();
        let operation = self.ended(&life, operation, case).await;
        let calls = self.site.runtime.journal();
        self.site.runtime.readiness(Readiness::Ready);
        self.check(&operation, case).await;
        self.tidy_up(&life, case).await;
        life.kill().await;
        Run { operation, calls }
    }

    /// A tenant that runs, for the operations that need one, broken as the operation expects it.
    async fn prepare(&self, case: Case) -> EnvId {
        match case.kind.name {
            "spawn" | "rehearsal" => EnvId(0),
            "sweep" => {
                self.site.runtime.ensure_volume("left-behind", &labels(NOBODY.0)).await.unwrap();
                NOBODY
            }
            name_of_kind => {
                let life = self.site.live();
                let spawned = self.ask(&kind::SPAWN, EnvId(0)).await;
                let spawned = self.ended(&life, spawned, case).await;
                assert_eq!(spawned.state, OperationState::Succeeded, "{case:?}: {:?}", spawned.failure);
                life.kill().await;
                let name = name(spawned.env_id().unwrap());
                match (name_of_kind, case.scene) {
                    ("repair", Scene::Altered) => self.site.runtime.tamper(&name, "HostConfig.Privileged"),
                    ("repair", _) => self.site.runtime.lose(&name),
                    ("rekey", _) => self.keep_a_secret(spawned.env_id().unwrap()).await,
                    ("remove-volume", _) => {
                        let env_id = spawned.env_id().unwrap();
                        let unused = format!("{name}-old");
                        self.site.runtime.ensure_volume(&unused, &labels(env_id.0)).await.unwrap();
                    }
                    ("start", _) => {
                        let owner = Owner { instance: INSTANCE, tenant: spawned.env_id().unwrap() };
                        self.site.runtime.stop(&name, owner, Duration::ZERO).await.unwrap();
                    }
                    _ => {}
                }
                spawned.env_id().unwrap()
            }
        }
    }

    async fn ask(&self, kind: &'static Kind, env_id: EnvId) -> OperationId {
        let front = self.site.front(std::sync::Arc::clone(&self.site.store));
        let scope = Scope::platform();
        if kind.name == "spawn" {
            let spec = spec(&format!("app-{}", self.number));
            let accepted = front.provisioner.spawn(&scope, &self.site.caller, HOME, spec, None).await.unwrap();
            return accepted.operation.id;
        }
        if kind.name == "deploy" {
            let asked = self.change(env_id).await;
            let (caller, reason) = (&self.site.caller, String::new());
            let accepted = front.provisioner.deploy(&scope, caller, env_id, asked, reason, None).await.unwrap();
            return accepted.operation.id;
        }
        if kind.name == "scale" {
            let limits = NewLimits { cpu_millis: Some(250), ..NewLimits::default() };
            let (caller, reason) = (&self.site.caller, String::new());
            let scaling = front.provisioner.scale(&scope, caller, env_id, &limits, reason).await.unwrap();
            let Configured::Deploying(deployed) = scaling else { panic!("{scaling:?}") };
            return deployed.operation.id;
        }
        if kind.name == "rekey" {
            return front.provisioner.rotate_keys(&self.site.caller).await.unwrap().id;
        }
        if kind.name == "remove-volume" {
            let caller = &self.site.caller;
            return front.provisioner.remove_volume(&scope, caller, env_id, "old").await.unwrap().id;
        }
        if kind.name == "rehearsal" {
            let (subject, asked) =
                (Subject::of("rehearsal", self.number), Asked { rounds: 2, signal: false, rest_millis: 0 });
            let asked = serde_json::to_value(asked).unwrap();
            let begun = front.operations.begin(HOME, &subject, kind, asked, "table", None).await;
            return begun.unwrap().id;
        }
        let mut new = front.operations.new_operation(kind, serde_json::json!({}), "table");
        if kind.name == "sweep" {
            let leftovers = vec![Leftover { kind: LeftoverKind::Volume, name: "left-behind".to_owned() }];
            new.input = serde_json::to_value(SweepInput { leftovers, ordered: true }).unwrap();
            return self.site.store.begin_sweep(HOME, env_id, &new).await.unwrap().unwrap().id;
        }
        let to = (kind.name == "destroy").then_some(TenantStatus::Destroying);
        let to = if kind.name == "start" { Some(TenantStatus::Running) } else { to };
        if kind.name == "restart" {
            new.input = serde_json::to_value(UpkeepInput { restart: true, ..UpkeepInput::default() }).unwrap();
        }
        let entry = Entry { to, ..Entry::found(&[], "tenant.tried") };
        self.site.store.begin(&scope, env_id, &new, entry).await.unwrap().unwrap().id
    }

    /// Something that is sealed.
    async fn keep_a_secret(&self, env_id: EnvId) {
        let front = self.site.front(std::sync::Arc::clone(&self.site.store));
        let secrets = [(EnvName::parse("TOKEN").unwrap(), Some(Secret::new("value")))].into();
        let change = NewVariables { secrets, ..NewVariables::default() };
        let (scope, caller) = (Scope::platform(), &self.site.caller);
        let kept = front.provisioner.configure(&scope, caller, env_id, &change, false, String::new()).await.unwrap();
        assert!(matches!(kept, Configured::Kept), "{kept:?}");
    }

    /// What a deployment changes: the tenant gets an application of its own, which is another image.
    async fn change(&self, env_id: EnvId) -> Wanted {
        let tenant = self.site.store.tenant(&Scope::platform(), env_id).await.unwrap().unwrap();
        let spec = TenantSpec { source: self.site.application().await, ..tenant.spec };
        Wanted { spec, base: Base { revision: RevisionNumber(1), staged: 0 }, secrets: Vec::new(), fresh_source: true }
    }

    /// Waits until a server came to its call number `at`, or the operation is over without.
    async fn reached_or_over(&self, at: usize, operation: OperationId) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.site.runtime.journal().len() < at {
            let found = self.site.store.operation(&Scope::platform(), operation).await.unwrap().unwrap();
            if found.state.is_final() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "call {at} was never made: {found:?}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn ended(&self, _by: &Life, operation: OperationId, case: Case) -> Operation {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.site.store.operation(&Scope::platform(), operation).await.unwrap().unwrap();
            if found.state.is_final() {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{case:?} does not end: {found:?}\n{:?}\n{:?}",
                self.site.store.events(&Scope::platform(), operation, 0, 100).await,
                self.site.runtime.journal()
            );
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What holds after every operation, whatever went wrong: it is over without anybody's help; what the store knows is in
    /// the engine once, and nothing else is.
    async fn check(&self, operation: &Operation, case: Case) {
        let told = || format!("{case:?}: {operation:?}");
        assert!(operation.state.is_final() && operation.state != OperationState::Stuck, "{}", told());
        let query = TenantQuery { org: None, after: None, limit: 10 };
        let tenants = self.site.store.tenants(&Scope::platform(), query).await.unwrap();
        let owned = self.site.runtime.owned(INSTANCE).await.unwrap();
        let images = self.site.runtime.owned_images(INSTANCE).await.unwrap();
        let expected: Vec<String> = tenants.iter().map(|(tenant, _)| name(tenant.env_id)).collect();
        let has = |items: &[convergence_runtime::OwnedItem]| items.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
        let refused = operation.state == OperationState::Failed;
        match case.kind.name {
            "sweep" if refused => {}
            "rekey" => {
                let keys = self.site.store.sealing_keys().await.unwrap();
                let front = self.site.front(std::sync::Arc::clone(&self.site.store));
                let ring = front.provisioner.ring().await.unwrap();
                let newest = ring.into_iter().find(|key| key.is_newest).map(|key| key.id);
                let sealed = keys.iter().filter(|key| key.values > 0).map(|key| (Some(key.id.clone()), key.values));
                assert_eq!(sealed.collect::<Vec<_>>(), [(newest, 1)], "{}: {keys:?}", told());
            }
            "rehearsal" => self.check_loop(operation, case).await,
            // A repair that was refused leaves the tenant as it was: without a container.
            "repair" if refused => assert_eq!(has(&owned.boundaries), expected, "{}", told()),
            _ => {
                assert_eq!(has(&owned.workloads), expected, "{}", told());
                assert_eq!(has(&owned.boundaries), expected, "{}", told());
                // The image before can be gone back to.
                let kept = usize::from(case.kind.name == "deploy" && !refused);
                assert_eq!(images.len(), expected.len() + kept, "{}", told());
                let volumes = usize::from(case.kind.name == "remove-volume" && refused);
                assert_eq!(owned.volumes.len(), volumes, "{}", told());
            }
        }
        for (tenant, binding) in &tenants {
            if let Some(workload) = self.site.runtime.workload(&name(tenant.env_id)) {
                let current = self.site.store.current_revision(&Scope::platform(), tenant.id).await.unwrap().unwrap();
                let made = current.container.unwrap_or(current.number).to_string();
                assert_eq!(workload.labels.get(label::REVISION), Some(&made), "{}", told());
                assert_eq!(workload.limits, current.limits, "{}", told());
                assert_eq!(workload.published.map(|published| published.port), Some(binding.port), "{}", told());
            }
        }
        let wanted = match (case.kind.name, case.scene, case.first) {
            // What is refused for good goes back; what nothing can stand in for is tried again.
            ("spawn" | "deploy", Scene::AppFails, _) => vec![OperationState::Failed],
            (_, _, Some((_, Trouble::Fails))) => vec![OperationState::Failed, OperationState::Succeeded],
            _ => vec![OperationState::Succeeded],
        };
        assert!(wanted.contains(&operation.state), "{}", told());
        let runs = match (case.kind.name, operation.state) {
            // A start that was refused is repaired: the tenant should run from the moment it was accepted.
            ("spawn" | "repair", OperationState::Succeeded)
            | ("deploy" | "restart" | "start" | "scale" | "rekey", _) => Some(TenantStatus::Running),
            ("halt", OperationState::Succeeded) => Some(TenantStatus::Failed),
            ("stop", OperationState::Succeeded) => Some(TenantStatus::Stopped),
            ("stop", _) => Some(TenantStatus::Running),
            ("remove-volume", _) => Some(TenantStatus::Running),
            ("repair" | "halt", _) => return,
            _ => None,
        };
        assert_eq!(tenants.first().map(|(tenant, _)| tenant.status), runs, "{}", told());
    }

    /// What holds after every loop: nothing it made is left, and what is to be done once was done once a round, and once
    /// more for each time that nobody knows whether it was.
    async fn check_loop(&self, operation: &Operation, case: Case) {
        let told = || format!("{case:?}: {operation:?}");
        assert!(self.site.runtime.owned(INSTANCE).await.unwrap().volumes.is_empty(), "{}", told());
        if operation.state == OperationState::Succeeded {
            let far: Far = serde_json::from_value(operation.result.clone().unwrap()).unwrap();
            let deaths = [case.first, case.second].into_iter().flatten();
            let unknown =
                deaths.filter(|(_, trouble)| !matches!(trouble, Trouble::Fails | Trouble::Away | Trouble::ReplyLost));
            assert!(far.repeated as usize <= unknown.count(), "{far:?}: {}", told());
        }
    }

    /// Leaves nothing for the next row.
    async fn tidy_up(&mut self, life: &Life, case: Case) {
        let query = TenantQuery { org: None, after: None, limit: 10 };
        for (tenant, _) in self.site.store.tenants(&Scope::platform(), query).await.unwrap() {
            self.number += 1;
            let destroyed = self.ask(&kind::DESTROY, tenant.env_id).await;
            let destroyed = self.ended(life, destroyed, case).await;
            assert_eq!(destroyed.state, OperationState::Succeeded, "{case:?}");
        }
        let owned = self.site.runtime.owned(INSTANCE).await.unwrap();
        for volume in &owned.volumes {
            _ = self.site.runtime.remove_volume(&volume.name, volume.owner().unwrap()).await.unwrap();
        }
        assert!(self.site.runtime.left(INSTANCE).is_empty(), "{case:?}: {owned:?}");
    }
}

pub(crate) fn name(env_id: EnvId) -> String {
    format!("t-{env_id}")
}
