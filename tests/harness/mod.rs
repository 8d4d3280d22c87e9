//! What tests stand on: a server of their own with ports, networks and names of its own, and clients of it.

pub(crate) mod block;
pub(crate) mod canned;
pub(crate) mod engine;
pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod server;
pub(crate) mod terminal;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use canned::{Canned, Reply};
pub(crate) use engine::{Engine, base_image};
pub(crate) use http::Http;
pub(crate) use proxy::{Fault, Proxy};
pub(crate) use server::{Options, Server};
pub(crate) use terminal::Terminal;

/// The repository.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is where it was built")
}

/// A path that `cargo xtask test` tells tests by a variable.
pub(crate) fn told(variable: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "nobody else can tell a test binary where things are")]
    std::env::var_os(variable).map(PathBuf::from)
}

/// How often a test does what it does: a number that a long run tells it by a variable.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    told(variable).map_or(default, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

/// The components that `cargo xtask guests` built.
pub(crate) fn components() -> PathBuf {
    let folder = told("CONVERGENCE_COMPONENTS").unwrap_or_else(|| workspace().join("target/components"));
    assert!(folder.is_dir(), "there are no components in {}: run `cargo xtask guests`", folder.display());
    folder
}

/// Waits until a condition holds; panics with what was last seen when it never does.
pub(crate) async fn eventually<T, F>(what: &str, limit: Duration, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    eventually_within(Duration::from_millis(200), what, limit, look).await
}

/// Like [`eventually`], and sees it at most so long after it is so.
pub(crate) async fn eventually_within<T, F>(
    longest_pause: Duration,
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(10);
    loop {
        match look().await {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => panic!("{what}: not within {limit:?}; last seen: {last}"),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(longest_pause);
    }
}
