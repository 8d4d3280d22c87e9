//! What tests stand on: a server of their own with ports, networks and names of its own, and clients of it.

pub(crate) mod block;
pub(crate) mod http;
pub(crate) mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use http::Http;
pub(crate) use server::{Options, Server};

/// The repository.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is where it was built")
}

/// The components that `cargo xtask guests` built.
pub(crate) fn components() -> PathBuf {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS").map_or_else(|| workspace().join("target/components"), PathBuf::from);
    assert!(folder.is_dir(), "there are no components in {}: run `cargo xtask guests`", folder.display());
    folder
}

/// Waits until a condition holds; panics with what was last seen when it never does.
pub(crate) async fn eventually<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> T
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
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
