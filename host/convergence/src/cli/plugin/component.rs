//! Components as files, and asking one what it is, as the server would.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use convergence_plugin::trust;
use convergence_sandbox::{Compiler, Component, Interfaces, Pooling, Sandbox, SandboxConfig};

use crate::cli::compile_component;

/// The bytes of a file, read once, so that what is judged is what is used.
pub(super) struct Candidate {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Candidate {
    /// Reads a file, of a component's size at most.
    ///
    /// # Errors
    /// It cannot be read; says which file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        if !file.metadata().with_context(cannot)?.is_file() {
            bail!("{} is not a file", path.display());
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed, so that the sandbox sees that it is too large.
        let limit = u64::try_from(SandboxConfig::default().max_component_bytes).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// `sha256:…` of the bytes.
    pub(super) fn digest(&self) -> String {
        trust::digest(&self.bytes)
    }

    /// Has it pass everything the server asks of a component before its configuration. Takes seconds for a large one.
    ///
    /// # Errors
    /// It is no plugin; says which file.
    pub(super) async fn load(self) -> Result<Component> {
        Ok(self.load_with_interfaces().await?.0)
    }

    /// As [`Self::load`], with the interfaces it imports and exports, and its bytes.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) async fn load_with_interfaces(self) -> Result<(Component, Interfaces, Vec<u8>)> {
        let loaded = tokio::task::spawn_blocking(move || {
            // One call, so no pool; and it may be untrusted, so it is compiled as the server does it.
            let config = SandboxConfig {
                compiler: Compiler::Child(compile_component::compiler()),
                pooling: Pooling::Never,
                ..SandboxConfig::default()
            };
            let sandbox = Sandbox::new(config).context("no sandbox can be made")?;
            let path = self.path.display();
            let component =
                sandbox.load(&self.bytes).with_context(|| format!("{path} is not a plugin this version can run"))?;
            let interfaces = sandbox.interfaces(&self.bytes).unwrap_or_default();
            Ok((component, interfaces, self.bytes))
        });
        loaded.await.context("asking the component failed inside this program")?
    }
}

/// Writes a file whole or not at all, in place of what is there.
///
/// # Errors
/// Its folder cannot be written.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".new-{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        fs::remove_file(&fresh).ok();
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
