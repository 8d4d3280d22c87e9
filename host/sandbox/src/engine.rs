//! The engine: which WebAssembly is spoken, where instances come from, and the clock that ends runaway calls.

use std::hash::{Hash, Hasher};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use crate::config::{Pooling, SandboxConfig};
use crate::error::SandboxError;
use crate::limiter::MAX_PARTS;

/// How often running guests look at the clock.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The stack of a guest, in bytes; deeper recursion is a trap.
const GUEST_STACK: usize = 512 << 10;
/// The stack a guest and the host functions it calls run on, in bytes.
const FIBER_STACK: usize = 1 << 20;
/// Linear memories and tables a call has on average; the pool is sized for that.
const MEMORIES_A_CALL: u32 = 4;
const TABLES_A_CALL: u32 = 16;
/// Elements of a pooled table.
const TABLE_ELEMENTS: usize = 20_000;
/// Bytes of a table that are cleared by hand between two calls and stay in memory, at most 1 MiB for each call the pool has
/// room for. Giving them back to the kernel costs every call more: it tells the other cores.
const RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// Freed slots that keep their mapping to a component, which makes its next call faster.
const WARM_SLOTS: u32 = 16;
/// Address space of a memory that does not come from the pool; it moves when it grows past that.
const UNPOOLED_RESERVATION: u64 = 16 << 20;

/// An engine and whether its instances come from a pool.
pub(crate) struct Built {
    pub(crate) engine: Engine,
    pub(crate) pooled: bool,
}

/// Builds the engine, with a pool where that is wanted and possible.
pub(crate) fn build(config: &SandboxConfig) -> Result<Built, SandboxError> {
    let pooled = || Engine::new(base().allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config))));
    let on_demand = || Engine::new(&unpooled());
    let built = match config.pooling {
        Pooling::Always => pooled().map(|engine| Built { engine, pooled: true }),
        Pooling::Never => on_demand().map(|engine| Built { engine, pooled: false }),
        // The pool reserves its whole address space when it is made: trying is the probe.
        Pooling::Auto => match pooled() {
            Ok(engine) => Ok(Built { engine, pooled: true }),
            Err(error) => {
                tracing::info!(%error, "no address space for a pool of plugin instances: they are mapped at each call");
                on_demand().map(|engine| Built { engine, pooled: false })
            }
        },
    };
    built.map_err(|error| SandboxError::Engine(format!("{error:#}")))
}

/// Settings for instances that do not come from a pool.
fn unpooled() -> Config {
    let mut config = base();
    // Where the address space was too small for a pool, it is for 4 GiB a memory too.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).memory_reservation(UNPOOLED_RESERVATION);
    config
}

/// An engine that compiles for engines of [`build`] and makes no instances: it takes no address space for any.
pub(crate) fn for_compiling(pooled: bool) -> wasmtime::Result<Engine> {
    if pooled {
        Engine::new(base().allocation_strategy(InstanceAllocationStrategy::OnDemand))
    } else {
        Engine::new(&unpooled())
    }
}

/// What does not depend on where instances come from. Everything here changes the compatibility hash.
fn base() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK)
        // The same bits on every machine, so that a plan does not depend on where it was made.
        .cranelift_nan_canonicalization(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_features(WasmFeatures::THREADS | WasmFeatures::GC | WasmFeatures::EXCEPTIONS, false)
        // Offsets into a stripped binary tell nobody anything; function names stay.
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

fn pool(config: &SandboxConfig) -> PoolingAllocationConfig {
    // One more than both lanes let in, for the calls made while a component is loaded.
    let calls = config.max_concurrent_calls.max(1).saturating_add(config.max_long_calls.max(1)).saturating_add(1);
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    let parts = u32::try_from(MAX_PARTS).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(parts))
        .total_memories(calls.saturating_mul(MEMORIES_A_CALL))
        .total_tables(calls.saturating_mul(TABLES_A_CALL))
        .total_stacks(calls)
        .max_memory_size(config.limits.memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        .table_keep_resident(RESIDENT_TABLE_BYTES)
        .max_unused_warm_slots(WARM_SLOTS);
    pool
}

/// Names everything native code depends on: the engine's version and settings, and the machine's processor.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.0.finalize().into()
}

/// Moves the engine's epoch on while it exists.
#[derive(Debug)]
pub(crate) struct Ticker {
    /// Dropping it wakes the thread, which then ends.
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Ticker {
    /// Starts the thread. It holds the engine weakly, so it never keeps one alive.
    pub(crate) fn start(engine: &Engine) -> Result<Self, SandboxError> {
        let engine = engine.weak();
        let (stop, stopped) = mpsc::sync_channel::<()>(1);
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            })
            .map_err(SandboxError::Ticker)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends at once; a panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_compiled_without_a_pool_runs_in_one() {
        for (pooling, pooled) in [(Pooling::Always, true), (Pooling::Never, false)] {
            let config = SandboxConfig { pooling, max_concurrent_calls: 1, ..SandboxConfig::default() };
            let runs = compatibility(&build(&config).unwrap().engine);
            assert_eq!(compatibility(&for_compiling(pooled).unwrap()), runs);
            assert_ne!(compatibility(&for_compiling(!pooled).unwrap()), runs);
        }
    }
}
