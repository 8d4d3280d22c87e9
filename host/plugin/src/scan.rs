//! From files in a folder to components, or why not.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convergence_sandbox::{Component, Kind, Sandbox};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Files that are looked at; a folder with more is not a plugins folder.
const MAX_FILES: usize = 1000;

/// A file and what became of it.
pub(crate) struct Scanned {
    pub(crate) file: PathBuf,
    /// What it is by its exports, also when it was not accepted. None where it could not be read that far.
    pub(crate) kind: Option<Kind>,
    pub(crate) loaded: Result<Component, String>,
}

/// Loads every component of a folder and of the folders in it, in the order of their paths. What is wrong with the
/// folder itself comes second.
pub(crate) async fn folder(sandbox: &Sandbox, folder: &Path) -> (Vec<Scanned>, Vec<String>) {
    let root = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || list(&root))
        .await
        .unwrap_or_else(|error| (Vec::new(), vec![format!("the plugins folder could not be listed: {error}")]));
    let (files, problems) = listed;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let turns = Arc::new(Semaphore::new(cores));
    let mut loading = JoinSet::new();
    for file in files {
        let (sandbox, turns) = (sandbox.clone(), Arc::clone(&turns));
        loading.spawn(async move {
            // Only fails on a closed semaphore, which this one never is.
            let _turn = turns.acquire().await;
            let inside = |error| format!("loading it failed inside the server: {error}");
            let (reader, path) = (sandbox.clone(), file.clone());
            // Apart from what follows, which may panic: the kind must be known even then.
            let read = tokio::task::spawn_blocking(move || claim(&reader, &path)).await;
            match read.unwrap_or_else(|error| Err(inside(error))) {
                Err(reason) => Scanned { file, kind: None, loaded: Err(reason) },
                Ok((bytes, kind)) => {
                    let load = move || sandbox.load(&bytes).map_err(|error| error.to_string());
                    let loaded = tokio::task::spawn_blocking(load).await.unwrap_or_else(|error| Err(inside(error)));
                    Scanned { file, kind, loaded }
                }
            }
        });
    }
    let mut scanned = Vec::new();
    while let Some(joined) = loading.join_next().await {
        match joined {
            Ok(one) => scanned.push(one),
            Err(error) => tracing::error!(%error, "a plugin could not be loaded"),
        }
    }
    scanned.sort_by(|a, b| a.file.cmp(&b.file));
    (scanned, problems)
}

/// The bytes of a file, and what it is by its exports.
fn claim(sandbox: &Sandbox, path: &Path) -> Result<(Vec<u8>, Option<Kind>), String> {
    let bytes = read(path, sandbox.max_component_bytes()).map_err(|error| format!("it cannot be read: {error}"))?;
    let kind = sandbox.claimed_kind(&bytes);
    Ok((bytes, kind))
}

/// Reads one byte more than is allowed at most: enough for the sandbox to see that it is too large.
fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn list(root: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let (here, folders) = match entries(root) {
        Ok(found) => found,
        Err(error) => {
            let folder = root.display();
            return (
                files,
                vec![format!("the plugins folder {folder} cannot be read: {error}; make it, or configure another")],
            );
        }
    };
    files.extend(here);
    for folder in folders {
        match entries(&folder) {
            Ok((inside, _)) => files.extend(inside),
            Err(error) => problems.push(format!("{} cannot be read: {error}", folder.display())),
        }
    }
    files.sort();
    if files.len() > MAX_FILES {
        problems.push(format!(
            "{} holds {} components; the first {MAX_FILES} are looked at",
            root.display(),
            files.len()
        ));
        files.truncate(MAX_FILES);
    }
    (files, problems)
}

/// Components and folders in a folder. Hidden files are left alone: they are what is still being written.
fn entries(folder: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        // Follows links. What cannot be looked at is listed, so that its reading says why.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => folders.push(path),
            Ok(metadata) if !metadata.is_file() => {}
            _ if path.extension().is_some_and(|extension| extension == "wasm") => files.push(path),
            _ => {}
        }
    }
    Ok((files, folders))
}
