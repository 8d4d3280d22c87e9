//! WebAssembly components: every plugin crate under `plugins/` and `tests/fixtures/`, compiled for the bare target and
//! wrapped as a component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

use crate::workspace::{Package, Target, Workspace};
use crate::{authoring, command};

/// The target of all Rust guests: no operating system, so a component imports nothing but what its world says.
const TARGET: &str = "wasm32-unknown-unknown";

/// The profile of the workspace's `Cargo.toml` that keeps components small.
const PROFILE: &str = "component";

/// Which plugins to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of the product.
    Product,
    /// Those that the tests are cruel with, too.
    All,
}

/// A plugin crate of this workspace.
#[derive(Debug)]
struct Guest<'a> {
    package: &'a str,
    /// The core module's file name, without `.wasm`.
    library: String,
    /// Where the component goes below the components folder: `templates/node.wasm`, `fixtures/hostile.wasm`.
    place: PathBuf,
}

/// The chore: builds all components and prints how large they are.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    build(workspace, Which::All)?;
    authoring::ensure_tools(workspace)?;
    authoring::build_binary(workspace)?;
    let examples = authoring::build(workspace, &authoring::binary(workspace))?;
    let own = guests(workspace, Which::All).into_iter().map(|guest| workspace.components().join(guest.place));
    for file in own.chain(examples) {
        let size = fs::metadata(&file).with_context(|| format!("cannot look at {}", file.display()))?.len();
        println!("    {:>7.1} KiB  {}", size as f64 / 1024.0, file.display());
    }
    Ok(())
}

/// Builds components: `plugins/templates/node` becomes `target/components/templates/node.wasm`, and
/// `tests/fixtures/hostile` becomes `target/components/fixtures/hostile.wasm`.
pub(crate) fn build(workspace: &Workspace, which: Which) -> Result<()> {
    let guests = guests(workspace, which);
    if guests.is_empty() {
        bail!("no crate under plugins/ builds a component: one needs `crate-type = [\"cdylib\"]` in its [lib]");
    }
    ensure_target(workspace)?;
    let mut compile = workspace.cargo();
    compile.args(["build", "--lib", "--profile", PROFILE, "--target", TARGET]);
    for guest in &guests {
        compile.args(["--package", guest.package]);
    }
    command::run(&mut compile)?;
    let modules = workspace.target().join(TARGET).join(PROFILE);
    for guest in &guests {
        let module = modules.join(&guest.library).with_extension("wasm");
        encode(&module, &workspace.components().join(&guest.place))
            .with_context(|| format!("cannot make a component of the package {}", guest.package))?;
    }
    println!("    {} components are in {}", guests.len(), workspace.components().display());
    Ok(())
}

/// Wraps a core module, which carries its world in a custom section, as a component. An unchanged component keeps its
/// file, so that a server that watches the folder sees no change.
fn encode(module: &Path, component: &Path) -> Result<()> {
    let core = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let encoder = ComponentEncoder::default();
    let bytes = encoder.validate(true).module(&core).and_then(|mut encoder| encoder.encode())?;
    if fs::read(component).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = component.parent() {
        command::create_folder(folder)?;
    }
    // Written beside and renamed: a reader of the folder never sees half a component.
    let fresh = component.with_extension("wasm.new");
    fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, component).with_context(|| format!("cannot write {}", component.display()))
}

/// The plugin crates: members in the right folders whose library is a `cdylib`.
fn guests(workspace: &Workspace, which: Which) -> Vec<Guest<'_>> {
    let folders: &[&str] = match which {
        Which::Product => &["plugins"],
        Which::All => &["plugins", "tests"],
    };
    let folders: Vec<PathBuf> = folders.iter().map(|folder| workspace.root().join(folder)).collect();
    let guest = |package| folders.iter().find_map(|folder| guest(package, folder));
    workspace.packages().iter().filter_map(guest).collect()
}

fn guest<'a>(package: &'a Package, folder: &Path) -> Option<Guest<'a>> {
    let place = package.folder.strip_prefix(folder).ok()?;
    let library = package.targets.iter().find(|target| is_cdylib(target))?;
    Some(Guest { package: &package.name, library: library.name.replace('-', "_"), place: place.with_extension("wasm") })
}

fn is_cdylib(target: &Target) -> bool {
    target.kinds.iter().any(|kind| kind == "cdylib")
}

/// Adds the WebAssembly target to the toolchain in use, if it is not there.
fn ensure_target(workspace: &Workspace) -> Result<()> {
    let mut question = Command::new("rustc");
    question.current_dir(workspace.root()).args(["--print", "target-libdir", "--target", TARGET]);
    let folder = command::capture(&mut question).context("cannot ask rustc where its targets are")?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    if command::find("rustup").is_none() {
        bail!(
            "this Rust cannot compile for {TARGET}, and there is no rustup to add it: install Rust from rustup.rs, or the distribution's \
             package for that target (Debian: libstd-rust-dev-wasm32)"
        );
    }
    println!("    adding the target {TARGET} to this Rust");
    command::run(Command::new("rustup").current_dir(workspace.root()).args(["target", "add", TARGET]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, kinds: &[&str]) -> Package {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Package {
            name: "convergence-template-node".to_owned(),
            folder: PathBuf::from(folder),
            targets: vec![Target { name: "convergence-template-node".to_owned(), kinds }],
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_component_keeps_its_place_under_plugins() {
        let package = package("/repository/plugins/templates/node", &["cdylib", "rlib"]);
        let guest = guest(&package, Path::new("/repository/plugins")).expect("it is a guest");
        assert_eq!(guest.place, Path::new("templates/node.wasm"));
        assert_eq!(guest.library, "convergence_template_node");
    }

    #[test]
    fn other_crates_are_no_guests() {
        let plugins = Path::new("/repository/plugins");
        assert!(guest(&package("/repository/host/model", &["cdylib"]), plugins).is_none());
        assert!(guest(&package("/repository/plugins/templates/node", &["lib"]), plugins).is_none());
    }
}
