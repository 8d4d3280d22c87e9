//! WASI 0.2 that gives a guest nothing: what the ordinary toolchains of most languages import, as harmless and as
//! reproducible as no WASI at all.
//!
//! Environment, arguments and preopened folders are empty, standard input is closed, output goes to the call's log. Both
//! clocks are fixed by the host for each call ([`Given::at`], [`clock`]), and random numbers follow from the plugin's bytes
//! and its input. Whatever would reach the network answers that it is not permitted, and is counted. So two calls with the same
//! [`Given`] see the same, on another day and on another machine.
//!
//! The interfaces are those of `wasmtime-wasi` and `wasmtime-wasi-http`; only what would reach outside is replaced here.

mod clock;
mod imports;
mod network;
mod output;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::clock::{Clock, FixedWallClock};
pub(crate) use self::imports::{Unsupported, check};
use self::network::NoHttp;
pub(crate) use self::output::PrintedTooMuch;
use self::output::{Output, Stderr, Stdout};
use crate::call::CallState;
use crate::config::CallLimits;
use crate::guest_log::GuestLog;

/// Streams, pollables, requests and the like that a call may hold at a time.
const MAX_RESOURCES: usize = 1000;
/// Random bytes handed out at once.
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// What a wall clock shows while a component is loaded: what it says about itself must not depend on the day.
pub(crate) const LOAD_TIME: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// All that a guest can observe of its surroundings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    /// What the wall clock shows for the whole call.
    pub(crate) at: Timestamp,
    /// What random numbers are made from.
    seed: [u8; 32],
}

impl Given {
    /// What a call sees: `input` writes what the function is given.
    pub(crate) fn new(digest: &[u8], function: &str, at: Timestamp, input: impl FnOnce(&mut Sha256)) -> Self {
        let mut sha = Sha256::new();
        sha.update(digest);
        sha.update(function);
        sha.update([0]);
        input(&mut sha);
        Self { at, seed: sha.finalize().into() }
    }

    /// A generator of its own for each purpose.
    fn random(&self, purpose: u64) -> ChaCha20Rng {
        let mut random = ChaCha20Rng::from_seed(self.seed);
        random.set_stream(purpose);
        random
    }
}

/// The WASI state of one call.
pub(crate) struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    no_http: NoHttp,
    table: ResourceTable,
    clock: Clock,
    output: Output,
    network_attempts: u32,
}

impl Wasi {
    pub(crate) fn new(given: &Given, limits: &CallLimits) -> Self {
        let output = Output::new(limits);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut seeds = given.random(2);
        let context = WasiCtx::builder()
            .stdout(Stdout(output.clone()))
            .stderr(Stderr(output.clone()))
            .wall_clock(FixedWallClock::new(given.at))
            .secure_random(given.random(0))
            .insecure_random(given.random(1))
            .insecure_random_seed(u128::from(seeds.next_u64()) << 64 | u128::from(seeds.next_u64()))
            .max_random_size(MAX_RANDOM_BYTES)
            .build();
        Self {
            context,
            http: WasiHttpCtx::new(),
            no_http: NoHttp,
            table,
            clock: Clock::default(),
            output,
            network_attempts: 0,
        }
    }

    /// Moves what was printed since the last time to the call's log.
    pub(crate) fn print(&self, log: &mut GuestLog) {
        self.output.move_to(log);
    }

    /// The end of what the guest wrote to standard error: after a fault, most languages explain it there.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.output.end_of_stderr()
    }

    /// How often the guest tried to reach the network.
    pub(crate) fn network_attempts(&self) -> u32 {
        self.network_attempts
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView { hooks: &mut wasi.no_http, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}

/// Links everything a component may import of WASI.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    clocks::monotonic_clock::add_to_linker::<CallState, HasSelf<_>>(linker, |state| state)?;
    network::deny(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}
