//! The baseline: wasmtime as its own documentation would use it, with the sandbox's settings and limits, and nothing
//! of ours around it.

use std::path::Path;
use std::time::{Duration, Instant};

use convergence_model::policy::Review;
use convergence_sandbox::{CallLimits, SandboxConfig};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreLimits, StoreLimitsBuilder,
    WasmFeatures,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

#[allow(missing_docs, unreachable_pub, missing_debug_implementations, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/policy"],
        world: "convergence:policy/validation-policy",
    });
}

use bindings::convergence::policy::policy_types as wit;
use bindings::{ValidationPolicy, ValidationPolicyPre};

pub(crate) use wit::Review as Request;

const TICK: Duration = Duration::from_millis(10);
/// Bytes before the native code in a file of the product's cache: a name and an authentication code.
const CACHE_HEADER: usize = 48;

struct Host {
    limits: StoreLimits,
    lines: Vec<String>,
    /// For a component that imports WASI: with nothing in it, as the sandbox's, and real clocks and random numbers.
    wasi: Option<Wasi>,
}

struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoHttp,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { context, table, .. } = self.wasi.as_mut().expect("only what imports WASI calls it");
        WasiCtxView { ctx: context, table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Wasi { http, hooks, table, .. } = self.wasi.as_mut().expect("only what imports WASI calls it");
        WasiHttpCtxView { hooks, table, ctx: http }
    }
}

/// JavaScript imports `wasi:http`, and does not call it.
struct NoHttp;

type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoHttp {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl bindings::convergence::host::log::Host for Host {
    fn write(&mut self, _: bindings::convergence::host::log::Level, message: String) {
        self.lines.push(message);
    }
}
impl bindings::convergence::plugin::plugin_types::Host for Host {}
impl wit::Host for Host {}

/// The engine, its clock and its linker.
pub(crate) struct Bare {
    engine: Engine,
    linker: Linker<Host>,
    limits: CallLimits,
}

/// A component ready to be called.
pub(crate) struct BarePolicy {
    engine: Engine,
    limits: CallLimits,
    pre: ValidationPolicyPre<Host>,
    imports_wasi: bool,
}

/// What a call consists of.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) store: Duration,
    pub(crate) instantiate: Duration,
    pub(crate) call: Duration,
    pub(crate) drop: Duration,
}

impl Bare {
    pub(crate) fn new() -> Self {
        // The same numbers as `engine.rs` of the sandbox. Native code of the sandbox is taken by this engine, which the
        // engine itself would refuse if their settings differed.
        let SandboxConfig { limits, max_concurrent_calls, .. } = SandboxConfig::default();
        let calls = u32::try_from(max_concurrent_calls).unwrap() + 1;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            .total_core_instances(calls * 48)
            .total_memories(calls * 4)
            .total_tables(calls * 16)
            .total_stacks(calls)
            .max_memory_size(limits.memory_bytes)
            .table_elements(20_000)
            .table_keep_resident(64 << 10)
            .max_unused_warm_slots(16);
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            .max_wasm_stack(512 << 10)
            .async_stack_size(1 << 20)
            .cranelift_nan_canonicalization(true)
            .wasm_memory64(false)
            .wasm_relaxed_simd(false)
            .wasm_features(WasmFeatures::THREADS | WasmFeatures::GC | WasmFeatures::EXCEPTIONS, false)
            .generate_address_map(false)
            .native_unwind_info(false)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let weak = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
        let mut linker = Linker::new(&engine);
        ValidationPolicy::add_to_linker::<Host, HasSelf<_>>(&mut linker, |host| host).unwrap();
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        wasmtime_wasi_http::p2::add_only_http_to_linker_sync(&mut linker).unwrap();
        Self { engine, linker, limits }
    }

    /// Native code of a component.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Vec<u8> {
        self.engine.precompile_component(bytes).unwrap()
    }

    /// Makes native code callable, and asks it what it is.
    #[allow(unsafe_code)]
    pub(crate) fn load(&self, code: &[u8]) -> BarePolicy {
        // SAFETY: the code was made a moment ago by this program, or by its child, from components of this repository.
        let component = unsafe { Component::deserialize(&self.engine, code) }.unwrap();
        let imports_wasi = component.component_type().imports(&self.engine).any(|(name, _)| name.starts_with("wasi:"));
        let pre = ValidationPolicyPre::new(self.linker.instantiate_pre(&component).unwrap()).unwrap();
        let policy = BarePolicy { engine: self.engine.clone(), limits: self.limits, pre, imports_wasi };
        let mut store = policy.store();
        let guest = policy.pre.instantiate(&mut store).unwrap();
        guest.convergence_plugin_metadata().call_describe(&mut store).unwrap();
        policy
    }

    /// As [`Self::load`], from a file of the product's cache.
    pub(crate) fn load_file(&self, file: &Path) -> BarePolicy {
        self.load(&std::fs::read(file).unwrap()[CACHE_HEADER..])
    }
}

impl BarePolicy {
    pub(crate) fn evaluate(&self, review: &Request) {
        let mut store = self.store();
        let guest = self.pre.instantiate(&mut store).unwrap();
        check(guest.convergence_policy_evaluator().call_evaluate(&mut store, review));
    }

    /// The same, with a look at the clock between its parts.
    pub(crate) fn evaluate_in_parts(&self, review: &Request) -> Parts {
        let begun = Instant::now();
        let mut store = self.store();
        let opened = Instant::now();
        let guest = self.pre.instantiate(&mut store).unwrap();
        let instantiated = Instant::now();
        check(guest.convergence_policy_evaluator().call_evaluate(&mut store, review));
        let answered = Instant::now();
        drop(store);
        Parts {
            store: opened - begun,
            instantiate: instantiated - opened,
            call: answered - instantiated,
            drop: answered.elapsed(),
        }
    }

    fn store(&self) -> Store<Host> {
        let limits = StoreLimitsBuilder::new().memory_size(self.limits.memory_bytes).trap_on_grow_failure(true).build();
        let wasi = self.imports_wasi.then(|| Wasi {
            context: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: NoHttp,
            table: ResourceTable::new(),
        });
        let mut store = Store::new(&self.engine, Host { limits, lines: Vec::new(), wasi });
        store.limiter(|host| &mut host.limits);
        store.set_fuel(self.limits.fuel).unwrap();
        store.set_hostcall_fuel(self.limits.output_bytes);
        store.set_max_component_handles(1000);
        let ticks = self.limits.deadline.as_millis() / TICK.as_millis();
        store.set_epoch_deadline(u64::try_from(ticks).unwrap());
        store
    }
}

fn check<E: std::fmt::Debug>(answer: wasmtime::Result<Result<wit::Verdict, E>>) {
    assert!(answer.unwrap().unwrap().violations.is_empty(), "nothing is wrong with the request");
}

/// The request as the guest takes it; made once, so that the baseline pays nothing for it.
pub(crate) fn request(from: &Review) -> Request {
    let (organization, limits) = (&from.organization, from.limits);
    Request {
        action: from.action.clone(),
        organization: wit::Organization {
            id: organization.id.clone(),
            name: organization.name.clone(),
            plan: organization.plan.clone(),
            usage: wit::Usage {
                tenants: organization.usage.tenants,
                cpu_millis: organization.usage.cpu_millis,
                memory_mb: organization.usage.memory_mb,
                disk_mb: organization.usage.disk_mb,
            },
        },
        actor_role: from.actor_role.clone(),
        tenant_name: from.tenant_name.clone(),
        language: from.language.clone(),
        framework: from.framework.clone(),
        base_image: from.base_image.clone(),
        source: from.source.clone(),
        limits: wit::Limits {
            cpu_millis: limits.cpu_millis,
            memory_mb: limits.memory_mb,
            disk_mb: limits.disk_mb,
            replicas: limits.replicas,
            pids: limits.pids,
        },
        env_names: from.env_names.clone(),
        labels: from
            .labels
            .iter()
            .map(|label| wit::Attribute { key: label.key.clone(), value: label.value.clone() })
            .collect(),
        plan: None,
        config: from.config.clone(),
        extra: Vec::new(),
    }
}
