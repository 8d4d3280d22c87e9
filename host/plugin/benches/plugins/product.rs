//! The product as the server sets it up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use convergence_model::ids::Clock;
use convergence_plugin::{Catalogue, Settings, Shelf};
use convergence_sandbox::{ChildCompiler, Compiler, Pooling, Sandbox, SandboxConfig};
use serde_json::Value;

/// Defaults all over; compiles in a child process, which is this program again.
pub(crate) fn sandbox(cache: &Path) -> Sandbox {
    let compiler = ChildCompiler::new("/proc/self/exe".into(), vec![crate::COMPILE.into()]);
    let config = SandboxConfig {
        cache_dir: Some(cache.to_owned()),
        cache_key: [7; 32],
        compiler: Compiler::Child(compiler),
        // The bare thing has one, so there is no comparison without.
        pooling: Pooling::Always,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).unwrap()
}

/// The catalogue over a folder.
pub(crate) async fn catalogue(
    shelf: Shelf,
    sandbox: Sandbox,
    folder: &Path,
    configuration: BTreeMap<String, Value>,
) -> Catalogue {
    let settings = Settings { configuration, ..Settings::of(folder.to_owned(), "bench") };
    Catalogue::open(shelf, sandbox, Arc::new(SystemClock), settings).await.unwrap()
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}
