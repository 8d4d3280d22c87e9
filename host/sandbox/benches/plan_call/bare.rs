//! The baseline: wasmtime as its own documentation would use it, with the sandbox's settings and limits, and nothing
//! of ours around it.

use std::time::Duration;

use convergence_model::plan::PlanRequest;
use convergence_sandbox::CallLimits;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreLimits, StoreLimitsBuilder,
    WasmFeatures,
};

#[allow(missing_docs, unreachable_pub, missing_debug_implementations, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/host", "../../wit/plugin", "../../wit/template"],
        world: "convergence:template/language-template",
    });
}

use bindings::convergence::template::template_types as wit;
use bindings::{LanguageTemplate, LanguageTemplatePre};

const TICK: Duration = Duration::from_millis(10);

struct Host {
    limits: StoreLimits,
    lines: Vec<String>,
}

impl bindings::convergence::host::log::Host for Host {
    fn write(&mut self, _: bindings::convergence::host::log::Level, message: String) {
        self.lines.push(message);
    }
}
impl bindings::convergence::plugin::plugin_types::Host for Host {}
impl wit::Host for Host {}

pub(crate) struct Bare {
    engine: Engine,
    pre: LanguageTemplatePre<Host>,
    limits: CallLimits,
}

impl Bare {
    pub(crate) fn new(bytes: &[u8], limits: CallLimits, concurrent: usize) -> Self {
        // The same numbers as `engine.rs`.
        let calls = u32::try_from(concurrent).unwrap() + 1;
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
        let component = Component::from_binary(&engine, bytes).unwrap();
        let mut linker = Linker::new(&engine);
        LanguageTemplate::add_to_linker::<Host, HasSelf<_>>(&mut linker, |host| host).unwrap();
        let pre = LanguageTemplatePre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, pre, limits }
    }

    pub(crate) fn plan(&self, request: &wit::Request) -> wit::BuildPlan {
        let limits = StoreLimitsBuilder::new().memory_size(self.limits.memory_bytes).trap_on_grow_failure(true).build();
        let mut store = Store::new(&self.engine, Host { limits, lines: Vec::new() });
        store.limiter(|host| &mut host.limits);
        store.set_fuel(self.limits.fuel).unwrap();
        store.set_hostcall_fuel(self.limits.output_bytes);
        store.set_max_component_handles(1000);
        let ticks = self.limits.deadline.as_millis() / TICK.as_millis();
        store.set_epoch_deadline(u64::try_from(ticks).unwrap());
        let guest = self.pre.instantiate(&mut store).unwrap();
        guest.convergence_template_generator().call_plan(&mut store, request).unwrap().expect("a plan")
    }
}

/// The request as the guest takes it; made once, so that the baseline pays nothing for it.
pub(crate) fn request(from: &PlanRequest) -> wit::Request {
    wit::Request {
        tenant_name: from.tenant_name.clone(),
        framework: from.framework.clone(),
        source: None,
        base_image: from.base_image.clone(),
        architecture: from.architecture.clone(),
        memory_mb: from.memory_mb,
        env_names: from.env_names.clone(),
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: from.config.clone(),
        extra: Vec::new(),
    }
}
