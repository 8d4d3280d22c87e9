//! What runtimes differ in: what is claimed happens, and what is not claimed is refused by name.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use convergence_model::Limits;
use convergence_model::workload::{EnvValue, Subnet, Workload, label};
use convergence_runtime::fake::{CAPABILITIES, FakeRuntime, Unkept};
use convergence_runtime::{
    Builder, Capabilities, Capability, Desired, Enforcer, LogSource, Observed, Placement, Reach, Removal, Runtime,
    RuntimeError,
};
use futures_util::FutureExt;

use crate::fixture::{Fixture, on};

const WAIT: Duration = Duration::from_secs(60);

/// The check of one capability: shows that it is there where it is claimed, and that it is refused where it is not and can
/// be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    LiveLimits,
    HostPorts,
    Exec,
    Replicas,
    LeasedAddresses,
    StartFirst,
    DiskQuota,
    Boundary,
}

/// Each capability, its check, and whether it is claimed. A new field of [`Capabilities`] does not compile until it is here.
fn table(capabilities: Capabilities) -> [(Check, bool); 8] {
    let Capabilities { live_limits, host_ports, start_first, exec, replicas, leased_addresses, boundary, disk_quota } =
        capabilities;
    [
        (Check::LiveLimits, live_limits),
        (Check::HostPorts, host_ports),
        (Check::Exec, exec),
        (Check::Replicas, replicas),
        (Check::LeasedAddresses, leased_addresses),
        (Check::StartFirst, start_first),
        (Check::DiskQuota, disk_quota),
        (Check::Boundary, boundary != Enforcer::Nobody),
    ]
}

impl Check {
    /// Runs on a workload that runs, and leaves it as it was.
    async fn run<R: Runtime + Builder>(self, runtime: &R, fixture: &mut Fixture, workload: &Workload) {
        match self {
            Self::LiveLimits => live_limits(runtime, fixture, workload).await,
            Self::HostPorts => host_ports(runtime, fixture, workload).await,
            Self::Exec => exec(runtime, workload).await,
            Self::Replicas => replicas(runtime, workload).await,
            Self::LeasedAddresses => leased_addresses(runtime, workload).await,
            Self::StartFirst => start_first(runtime, workload).await,
            Self::DiskQuota => disk_quota(runtime, workload).await,
            Self::Boundary => enforced_boundary(runtime, fixture, workload).await,
        }
    }
}

/// Runs every check on a workload that runs, and leaves it as it was.
pub(crate) async fn shown<R: Runtime + Builder>(runtime: &R, fixture: &mut Fixture, workload: &Workload) {
    for (check, _) in table(runtime.capabilities()) {
        check.run(runtime, fixture, workload).await;
    }
}

fn unsupported<T>(capability: Capability) -> Result<T, RuntimeError> {
    Err(RuntimeError::Unsupported { capability })
}

async fn observe(runtime: &dyn Runtime, workload: &Workload) -> Observed {
    runtime.observe(&workload.name).await.unwrap().unwrap()
}

async fn live_limits(runtime: &dyn Runtime, fixture: &Fixture, workload: &Workload) {
    let mut other = workload.clone();
    other.limits = Limits { cpu_millis: 750, memory_mb: 96, pids: 48, ..workload.limits };
    if !runtime.capabilities().live_limits {
        assert_eq!(runtime.resize(&other).await, unsupported(Capability::LiveLimits));
        return;
    }
    let before = observe(runtime, workload).await;
    runtime.resize(&other).await.unwrap();
    assert_eq!(observe(runtime, workload).await, before, "it is the same one, and was not restarted");
    assert_eq!(runtime.verify(&other).await.unwrap(), []);
    assert_ne!(runtime.verify(workload).await.unwrap(), []);
    assert_eq!(runtime.ensure(&other, Desired::ONE).await, Ok(Placement::Adopted));
    runtime.resize(workload).await.unwrap();
    assert_eq!(runtime.verify(workload).await.unwrap(), []);

    let mut foreign = other.clone();
    foreign.labels = fixture.labels("8");
    assert!(matches!(runtime.resize(&foreign).await, Err(RuntimeError::Conflict { .. })));
    other.name.push_str("-absent");
    assert!(matches!(runtime.resize(&other).await, Err(RuntimeError::NotFound { .. })));
    assert_eq!(runtime.verify(workload).await.unwrap(), []);
}

async fn host_ports(runtime: &dyn Runtime, fixture: &Fixture, workload: &Workload) {
    let published = |seen: &Observed| {
        let on_host = seen.endpoints.iter().filter(|endpoint| endpoint.reach == Reach::Published);
        on_host.map(|endpoint| endpoint.address.port()).collect::<Vec<_>>()
    };
    let seen = observe(runtime, workload).await;
    let mut rival = Workload { name: format!("{}-rival", workload.name), volumes: Vec::new(), ..workload.clone() };
    let Some(port) = workload.published.map(|published| published.port) else {
        assert!(!runtime.capabilities().host_ports, "the suite publishes a port where that is claimed");
        assert!(published(&seen).is_empty(), "{seen:?}");
        rival.published = fixture.workload(&workload.boundary).published;
        assert_eq!(runtime.ensure(&rival, Desired::ONE).await, unsupported(Capability::HostPorts));
        return;
    };
    assert_eq!(published(&seen), [port]);
    for _ in 0..2 {
        assert_eq!(runtime.ensure(&rival, Desired::ONE).await, Ok(Placement::PortTaken { port }));
    }
    assert_eq!(published(&observe(runtime, workload).await), [port], "who had it keeps it");
    // Without one there is nothing to be taken, and it is dialled at its own address.
    rival.published = None;
    let placed = runtime.ensure(&rival, Desired::ONE).await.unwrap();
    assert!(matches!(placed, Placement::Created | Placement::Replaced), "{placed:?}");
    let seen = observe(runtime, &rival).await;
    assert_eq!((published(&seen), seen.endpoints.len()), (vec![], 1), "{seen:?}");
    assert_eq!(runtime.remove(&rival.name, fixture.owner()).await.unwrap(), Removal::Removed);
}

async fn exec(runtime: &dyn Runtime, workload: &Workload) {
    let command = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut keep = |source: LogSource, bytes: &[u8]| match source {
        LogSource::Stdout => out.extend_from_slice(bytes),
        LogSource::Stderr => err.extend_from_slice(bytes),
    };
    let code = runtime.exec(&workload.name, &command, WAIT, &mut keep).await;
    if !runtime.capabilities().exec {
        assert_eq!(code, unsupported(Capability::Exec));
        return;
    }
    assert_eq!(code, Ok(3));
    assert_eq!((out.as_slice(), err.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
    let instance = observe(runtime, workload).await.instances.remove(0).id;
    assert_eq!(runtime.exec(&instance, &["true".to_owned()], WAIT, &mut |_, _| {}).await, Ok(0));
    let absent = runtime.exec("no-such-workload", &["true".to_owned()], WAIT, &mut |_, _| {}).await;
    assert!(matches!(absent, Err(RuntimeError::NotFound { .. })), "{absent:?}");
}

async fn replicas(runtime: &dyn Runtime, workload: &Workload) {
    let three = Desired::Running { replicas: NonZeroU32::new(3).unwrap() };
    let before = observe(runtime, workload).await;
    if !runtime.capabilities().replicas {
        assert_eq!(runtime.ensure(workload, three).await, unsupported(Capability::Replicas));
        assert_eq!(observe(runtime, workload).await, before);
        return;
    }
    assert_eq!(runtime.ensure(workload, three).await, Ok(Placement::Adopted));
    runtime.wait_ready(workload, WAIT).await.unwrap();
    let seen = observe(runtime, workload).await;
    let own: Vec<_> = seen.endpoints.iter().filter(|endpoint| endpoint.reach == Reach::Instance).collect();
    let distinct =
        own.iter().map(|endpoint| (&endpoint.instance, endpoint.address)).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((seen.running().count(), distinct.len()), (3, 3), "{seen:?}");
    assert_eq!(runtime.ensure(workload, Desired::ONE).await, Ok(Placement::Adopted));
    runtime.wait_ready(workload, WAIT).await.unwrap();
    assert_eq!(observe(runtime, workload).await.running().count(), 1);
}

async fn leased_addresses(runtime: &dyn Runtime, workload: &Workload) {
    if !runtime.capabilities().leased_addresses {
        return;
    }
    for instance in observe(runtime, workload).await.instances {
        let Some(std::net::IpAddr::V4(address)) = instance.address else { panic!("{instance:?}") };
        assert_eq!(Some(Subnet::containing(address)), workload.boundary.addresses);
    }
}

/// At no moment of a replacement is there nothing that runs.
async fn start_first(runtime: &dyn Runtime, workload: &Workload) {
    if !runtime.capabilities().start_first {
        return;
    }
    let mut changed = workload.clone();
    changed.env.insert("CHANGED".to_owned(), EnvValue::Literal("1".to_owned()));
    for wanted in [&changed, workload] {
        let mut replacing = std::pin::pin!(runtime.ensure(wanted, Desired::ONE).fuse());
        loop {
            tokio::select! {
                placed = &mut replacing => break assert_eq!(placed, Ok(Placement::Replaced)),
                seen = runtime.observe(&workload.name) => {
                    let seen = seen.unwrap();
                    assert!(seen.as_ref().is_some_and(|seen| seen.running().next().is_some()), "{seen:?}");
                }
            }
            tokio::task::yield_now().await;
        }
        runtime.wait_ready(wanted, WAIT).await.unwrap();
    }
}

async fn disk_quota(runtime: &dyn Runtime, workload: &Workload) {
    if !runtime.capabilities().disk_quota {
        return;
    }
    let megabytes = workload.limits.disk_mb + 16;
    let path = &workload.volumes[0].path;
    let write =
        format!("dd if=/dev/zero of={path}/much bs=1M count={megabytes}; code=$?; rm -f {path}/much; exit $code");
    let code = runtime.exec(&workload.name, &["sh", "-c", &write].map(str::to_owned), WAIT, &mut |_, _| {}).await;
    assert_ne!(code.unwrap(), 0, "it wrote more than its limit");
}

/// An app cannot reach one in another boundary, at no address of it.
async fn enforced_boundary<R: Runtime + Builder>(runtime: &R, fixture: &mut Fixture, workload: &Workload) {
    if runtime.capabilities().boundary == Enforcer::Nobody {
        return;
    }
    let boundary = fixture.boundary_of(runtime, "8").await;
    let mut other = fixture.workload(&boundary);
    other.name = format!("{}-8", fixture.instance);
    other.labels.insert(label::TENANT.to_owned(), "8".to_owned());
    other.published = None;
    other.volumes.clear();
    assert_eq!(runtime.ensure(&other, Desired::ONE).await, Ok(Placement::Created));
    runtime.wait_ready(&other, WAIT).await.unwrap();
    let own = observe(runtime, workload).await.endpoints;
    let own = own.iter().find(|endpoint| endpoint.reach == Reach::Instance).unwrap().address;
    let beyond = observe(runtime, &other).await.endpoints.remove(0).address;
    for (address, reached) in [(own, true), (beyond, false)] {
        let dial =
            format!("import socket; socket.create_connection(({:?}, {}), 2)", address.ip().to_string(), address.port());
        let command = ["python3", "-c", &dial].map(str::to_owned);
        let code = runtime.exec(&workload.name, &command, WAIT, &mut |_, _| {}).await.unwrap();
        assert_eq!(code == 0, reached, "{address} from {own}");
    }
    let owner = convergence_runtime::Owner { tenant: convergence_model::EnvId(8), ..fixture.owner() };
    assert_eq!(runtime.remove(&other.name, owner).await.unwrap(), Removal::Removed);
    assert_eq!(runtime.remove_boundary(&boundary.name, owner).await.unwrap(), Removal::Removed);
}

/// What the fake claims in a row of the test below, where it cannot do it.
fn false_claim(check: Check) -> (Capabilities, Option<Unkept>) {
    // What is tried with a command needs the claim that commands can be run.
    let exec = Capabilities { exec: true, ..CAPABILITIES };
    match check {
        Check::LiveLimits => (CAPABILITIES, Some(Unkept::LiveLimits)),
        Check::HostPorts => (CAPABILITIES, Some(Unkept::HostPorts)),
        Check::Replicas => (CAPABILITIES, Some(Unkept::Replicas)),
        Check::LeasedAddresses => (CAPABILITIES, Some(Unkept::LeasedAddresses)),
        Check::Exec => (exec, None),
        Check::StartFirst => (Capabilities { start_first: true, ..CAPABILITIES }, None),
        Check::DiskQuota => (Capabilities { disk_quota: true, ..exec }, None),
        Check::Boundary => (Capabilities { boundary: Enforcer::Engine, ..exec }, None),
    }
}

/// Whether the check passes on a fake that claims this and does not keep that.
async fn passes(check: Check, claimed: Capabilities, unkept: Option<Unkept>) -> bool {
    let fake = FakeRuntime::claiming(claimed);
    // So that the check of start-first sees the states in between.
    fake.latency(Duration::from_millis(1));
    let mut passed = false;
    on(&fake, "claims", async |fake, fixture| {
        fake.does_not_keep(unkept);
        let workload = fixture.prepare(fake).await;
        let _ = fake.ensure(&workload, Desired::ONE).await.unwrap();
        let outcome = AssertUnwindSafe(check.run(fake, fixture, &workload)).catch_unwind().await;
        passed = outcome.is_ok();
    })
    .await;
    passed
}

/// Every capability in turn: the check fails where it is claimed and does not happen, and passes on what the fake can do.
#[tokio::test]
async fn every_capability_that_is_claimed_and_not_shown_fails_the_suite() {
    for (check, _) in table(CAPABILITIES) {
        let (claimed, unkept) = false_claim(check);
        let claims_it = table(claimed).into_iter().any(|(other, claims)| other == check && claims);
        assert!(claims_it, "this row claims nothing: {check:?}");
        assert!(!passes(check, claimed, unkept).await, "claimed, not there, and passed: {check:?}");
        assert!(passes(check, CAPABILITIES, None).await, "{check:?}");
    }
}

/// What is not claimed is refused, and nothing is done.
#[tokio::test]
async fn what_is_not_claimed_is_refused_by_name() {
    let claimed = Capabilities { live_limits: false, host_ports: false, replicas: false, exec: false, ..CAPABILITIES };
    on(&FakeRuntime::claiming(claimed), "refuses", async |fake, fixture| {
        let workload = fixture.prepare(fake).await;
        assert_eq!(workload.published, None);
        let _ = fake.ensure(&workload, Desired::ONE).await.unwrap();
        shown(fake, fixture, &workload).await;
        let error = fake.resize(&workload).await.unwrap_err();
        assert_eq!(error.to_string(), "this runtime does not support changing the limits of what runs");
    })
    .await;
}
