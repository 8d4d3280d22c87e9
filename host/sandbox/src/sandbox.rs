//! The sandbox: one engine, its cache, and the way a component becomes callable.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::cache::{Cache, Found};
use crate::call::{Callee, Calls};
use crate::compiler::Compiling;
use crate::component::{Component, Face, Kind, Loaded};
use crate::config::{SandboxConfig, Wasi};
use crate::engine::{self, Ticker};
use crate::error::{CompileError, LoadError, SandboxError};
use crate::structure::{self, Interfaces};
use crate::v0_1::{self, Compiled};

/// Where guests run. Cheap to clone; a [`Component`] outlives it.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    pooled: bool,
    cache: Option<Cache>,
    compiling: Compiling,
    calls: Arc<Calls>,
    max_component_bytes: usize,
    wasi: Wasi,
}

impl Sandbox {
    /// Builds the engine, opens the cache and starts the clock. Blocks for some milliseconds.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let engine::Built { engine, pooled } = engine::build(&config)?;
        let cache = match config.cache_dir {
            Some(folder) => Some(Cache::open(folder, config.cache_key, engine::compatibility(&engine))?),
            None => None,
        };
        let ticker = Ticker::start(&engine)?;
        let calls = Calls::new(
            engine.clone(),
            config.limits,
            config.max_concurrent_calls,
            config.max_long_calls,
            config.max_waiting_calls,
            ticker,
        );
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                pooled,
                cache,
                compiling: Compiling::new(config.compiler, pooled),
                calls: Arc::new(calls),
                max_component_bytes: config.max_component_bytes,
                wasi: config.wasi,
            }),
        })
    }

    /// Whether instances come from a pool.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }

    /// Bytes of the largest component that is looked at.
    #[must_use]
    pub fn max_component_bytes(&self) -> usize {
        self.inner.max_component_bytes
    }

    /// What a file is by its exports, whether or not [`Self::load`] would take it: a plugin that is refused, or that
    /// fails to describe itself, is still one of its kind. None where the file cannot be read that far. Runs and
    /// compiles nothing.
    #[must_use]
    pub fn claimed_kind(&self, bytes: &[u8]) -> Option<Kind> {
        structure::claimed_kind(bytes, self.inner.max_component_bytes)
    }

    /// The interfaces a component imports and exports, by their names. None where the file cannot be read that far. Runs
    /// and compiles nothing.
    #[must_use]
    pub fn interfaces(&self, bytes: &[u8]) -> Option<Interfaces> {
        structure::interfaces(bytes, self.inner.max_component_bytes)
    }

    /// Takes a component in: looks at it, compiles it or finds its native code, and asks it what it is. Blocks, for a
    /// large component and without a cache for seconds: call it from a thread that may.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        let structure::Found { kind, imports, uses_wasi } =
            structure::inspect(bytes, self.inner.max_component_bytes, self.inner.wasi)?;
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let component = self.compile(bytes, &digest)?;
        let digest = format!("sha256:{}", HEXLOWER.encode(&digest));
        let compiled = Compiled { component: &component, digest: &digest, uses_wasi };
        let calls = Arc::clone(&self.inner.calls);
        let wrong_types = |error: wasmtime::Error| LoadError::WrongTypes {
            kind,
            version: v0_1::VERSION,
            reason: format!("{error:#}"),
        };
        let (description, face) = match kind {
            Kind::Template => {
                let pre = v0_1::template::link(&compiled).map_err(wrong_types)?;
                let description = v0_1::template::describe(&calls, &compiled, &pre)?.check(kind)?;
                let callee = Callee { name: &description.id, digest: &digest, uses_wasi };
                let face = v0_1::template::face(&calls, &callee, pre)?;
                (description, Face::TemplateV0_1(face))
            }
            Kind::Policy => {
                let pre = v0_1::policy::link(&compiled).map_err(wrong_types)?;
                let description = v0_1::policy::describe(&calls, &compiled, &pre)?.check(kind)?;
                (description, Face::PolicyV0_1(v0_1::policy::Face { pre }))
            }
            Kind::Billing => {
                let pre = v0_1::billing::link(&compiled).map_err(wrong_types)?;
                let description = v0_1::billing::describe(&calls, &compiled, &pre)?.check(kind)?;
                (description, Face::BillingV0_1(v0_1::billing::Face { pre }))
            }
        };
        Ok(Component::new(Loaded { digest, imports, uses_wasi, description, face, calls, pace: Arc::default() }))
    }

    /// As [`Self::load`], with everything that can be seen to be wrong at once: for the component's author. At least one
    /// error.
    pub fn load_for_author(&self, bytes: &[u8]) -> Result<Component, Vec<LoadError>> {
        let problems = structure::problems(bytes, self.inner.max_component_bytes, self.inner.wasi);
        if problems.is_empty() { self.load(bytes).map_err(|error| vec![error]) } else { Err(problems) }
    }

    /// Native code, from the cache where it holds some we wrote.
    fn compile(&self, bytes: &[u8], digest: &[u8; 32]) -> Result<wasmtime::component::Component, CompileError> {
        if let Some(component) = self.cached(digest) {
            return Ok(component);
        }
        let name = HEXLOWER.encode(digest);
        let turn = self.inner.compiling.turn();
        // Who had the turn before may have compiled the same.
        if turn.waited
            && let Some(component) = self.cached(digest)
        {
            return Ok(component);
        }
        let started = Instant::now();
        let code = turn.compile(&self.inner.engine, bytes)?;
        let component = deserialize(&self.inner.engine, &code)
            // It came whole and for this engine, so what is wrong is what the component needs: a memory or a table
            // that is larger from the start than a call may have.
            .map_err(|error| CompileError::Refused(format!("{error:#}")))?;
        tracing::info!(component = name, bytes = bytes.len(), took = ?started.elapsed(), "compiled a plugin");
        if let Some(cache) = &self.inner.cache
            && let Err(error) = cache.write(digest, &code)
        {
            tracing::warn!(component = name, folder = %cache.folder().display(), %error, "native code cannot be kept; the next start compiles again");
        }
        Ok(component)
    }

    /// Native code of an earlier run. Whatever is wrong with it, the component is compiled anew.
    fn cached(&self, digest: &[u8; 32]) -> Option<wasmtime::component::Component> {
        let cache = self.inner.cache.as_ref()?;
        let reason = match cache.read(digest) {
            Found::Nothing => return None,
            Found::Code(code) => match deserialize(&self.inner.engine, &code) {
                Ok(component) => return Some(component),
                Err(error) => format!("{error:#}"),
            },
            Found::Unusable(reason) => reason,
        };
        let (component, folder) = (HEXLOWER.encode(digest), cache.folder().display());
        tracing::warn!(component, %folder, reason, "cached native code is of no use; compiling anew");
        None
    }
}

/// Loads native code that [`Cache::read`] has authenticated, or that our own compiler has just made.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<wasmtime::component::Component> {
    // SAFETY: the bytes are what `Engine::precompile_component` made, since they carry our own authentication code over
    // them, or come from the compiler that this process ran or started a moment ago, for an engine like this one; and
    // they are in our memory, so nobody can change them now.
    unsafe { wasmtime::component::Component::deserialize(engine, code) }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("pooled", &self.inner.pooled).finish_non_exhaustive()
    }
}
