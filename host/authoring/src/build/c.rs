//! C: bindings from a library, a clang that knows WebAssembly, and a linker. No libc.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use convergence_sandbox::Kind;
use wit_bindgen_core::wit_parser::{Resolve, WorldId, WorldKey};

use super::{BuildError, contract, encode, own_or_embedded, read, tool, write};
use crate::project::Project;

/// Bytes of the stack, which lies below everything else: growing too far traps instead of writing over data.
const STACK_BYTES: u32 = 256 * 1024;

/// What of a project its component carries.
const EMBEDDED: [&str; 3] = ["config.schema.json", "cases", "starter"];

const INSTALL: &str = "apt-get install clang lld        # Debian, Ubuntu; any clang with the target wasm32 and wasm-ld will do\n  pip install ziglang              # anywhere with Python: Zig brings a clang";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    let toolchain = Toolchain::find()?;
    let made = project.build_folder().join("c");
    // What was generated for an older contract must not be compiled.
    if made.exists() {
        fs::remove_dir_all(&made).map_err(|source| BuildError::Files { verb: "write", path: made.clone(), source })?;
    }
    let mut sources = generate(project, &made)?;
    sources.push(embed(project, &made)?);
    let runtime = own_or_embedded(project, "runtime", "scaffold/c/shared/runtime/")?;
    sources.extend(c_files(&runtime)?);
    sources.extend(c_files(&project.folder().join("src"))?);
    let mut objects = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        if source.extension().is_some_and(|extension| extension == "o") {
            objects.push(source.clone());
            continue;
        }
        // Numbered: two folders may have a file of one name.
        let object = made.join(format!("{number}.o"));
        toolchain.compile(project.folder(), [&runtime, &made], source, &object)?;
        objects.push(object);
    }
    let module = made.join("module.wasm");
    toolchain.link(project.folder(), &objects, &module)?;
    encode(&read(&module)?)
}

/// Writes the bindings into `made` and returns what of them is compiled or linked.
fn generate(project: &Project, made: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let wrong = |error: anyhow::Error| BuildError::Project(format!("the contract in wit/ cannot be read: {error:#}"));
    let (mut resolve, world) = world(project.kind(), &contract(project)?).map_err(wrong)?;
    let mut files = wit_bindgen_core::Files::default();
    let options = wit_bindgen_c::Opts {
        rename: short_names(&resolve, world),
        rename_world: Some("plugin".to_owned()),
        ..wit_bindgen_c::Opts::default()
    };
    options.build().generate(&mut resolve, world, &mut files).map_err(wrong)?;
    let mut sources = Vec::new();
    for (name, contents) in files.iter() {
        let path = made.join(name);
        write(&path, contents)?;
        if !name.ends_with(".h") {
            sources.push(path);
        }
    }
    Ok(sources)
}

/// What interfaces are called in C: `policy` rather than `convergence_policy_policy_types`.
fn short_names(resolve: &Resolve, world: WorldId) -> Vec<(String, String)> {
    let Some(world) = resolve.worlds.get(world) else { return Vec::new() };
    let keys = world.imports.keys().chain(world.exports.keys());
    let short = |key: &WorldKey| {
        let WorldKey::Interface(interface) = key else { return None };
        let name = resolve.interfaces.get(*interface)?.name.as_ref()?;
        let short = name.strip_suffix("-types").unwrap_or(name).replace('-', "_");
        Some((resolve.name_world_key(key), short))
    };
    keys.filter_map(short).collect()
}

/// Writes the project's own files as C, for `file()` of the runtime.
fn embed(project: &Project, made: &Path) -> Result<PathBuf, BuildError> {
    let mut files = Vec::new();
    for place in EMBEDDED {
        collect(project.folder(), &project.folder().join(place), &mut files)?;
    }
    files.sort();
    let mut text = String::from("#include <stddef.h>\n");
    let mut table = String::new();
    for (number, (name, path)) in files.iter().enumerate() {
        let bytes: Vec<String> = read(path)?.iter().map(u8::to_string).collect();
        // No array of C is empty.
        text.push_str(&format!("static const unsigned char file{number}[] = {{{},0}};\n", bytes.join(",")));
        table.push_str(&format!("  {{{name:?}, file{number}, sizeof file{number} - 1}},\n"));
    }
    text.push_str("const struct { const char *path; const unsigned char *bytes; size_t len; } project_files[] = {\n");
    text.push_str(&table);
    text.push_str(&format!("  {{\"\", NULL, 0}},\n}};\nconst size_t project_files_len = {};\n", files.len()));
    let source = made.join("files.c");
    write(&source, text.as_bytes())?;
    Ok(source)
}

/// Every file at or below `place`, with its name from `root`; none where there is nothing.
fn collect(root: &Path, place: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), BuildError> {
    let unreadable = |source| BuildError::Files { verb: "read", path: place.to_owned(), source };
    if place.is_file() {
        let name =
            place.strip_prefix(root).unwrap_or(place).to_str().ok_or_else(|| {
                BuildError::Project(format!("the name of {} is not text; rename it", place.display()))
            })?;
        files.push((name.to_owned(), place.to_owned()));
    } else if place.is_dir() {
        for entry in fs::read_dir(place).map_err(unreadable)? {
            collect(root, &entry.map_err(unreadable)?.path(), files)?;
        }
    }
    Ok(())
}

/// The world of a kind, from the packages in `wit`.
fn world(kind: Kind, wit: &Path) -> anyhow::Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    resolve.push_path(wit.join("host"))?;
    resolve.push_path(wit.join("plugin"))?;
    let (package, _) = resolve.push_path(wit.join(kind.as_str()))?;
    let name = match kind {
        Kind::Template => "language-template",
        Kind::Policy => "validation-policy",
        Kind::Billing => "billing-policy",
    };
    let world = resolve.select_world(&[package], Some(name))?;
    Ok((resolve, world))
}

/// The C files of a folder, in the order of their names.
fn c_files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let unreadable = |source| BuildError::Files { verb: "read", path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A compiler and a linker, each a program and its first arguments.
struct Toolchain {
    compiler: Vec<OsString>,
    linker: Vec<OsString>,
}

impl Toolchain {
    /// The first that is here of: clang with wasm-ld; Zig; the Zig that pip installs.
    fn find() -> Result<Self, BuildError> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        if let Some(targets) = tool::probe(Command::new("clang").arg("--print-targets"))
            && targets.contains("wasm32")
        {
            let linker = tool::probe(Command::new("clang").arg("--print-prog-name=wasm-ld")).unwrap_or_default();
            let linker = linker.trim();
            if tool::probe(Command::new(linker).arg("--version")).is_some() {
                let compiler = words(&["clang", "--target=wasm32-unknown-unknown"]);
                return Ok(Self { compiler, linker: words(&[linker]) });
            }
        }
        for zig in [&["zig"][..], &["python3", "-m", "ziglang"], &["python", "-m", "ziglang"]] {
            let Some((program, arguments)) = zig.split_first() else { continue };
            if tool::probe(Command::new(program).args(arguments).arg("version")).is_some() {
                let with = |more: &[&str]| words(&[zig, more].concat());
                return Ok(Self {
                    compiler: with(&["cc", "-target", "wasm32-freestanding", "-fno-sanitize=all"]),
                    linker: with(&["wasm-ld"]),
                });
            }
        }
        let what = "a C compiler for WebAssembly".to_owned();
        Err(BuildError::MissingTool { what, install: INSTALL.to_owned() })
    }

    /// Compiles one file. Headers are looked for in both folders; warnings are for those outside the second, whose files
    /// are generated and not the author's to fix.
    fn compile(&self, folder: &Path, headers: [&Path; 2], source: &Path, object: &Path) -> Result<(), BuildError> {
        let [runtime, made] = headers;
        let own = !source.starts_with(made);
        let mut command = command(&self.compiler, folder);
        command.args(["-std=c11", "-Os", "-ffreestanding", "-fno-strict-aliasing", "-fvisibility=hidden"]);
        command.args(if own { ["-Wall", "-Wextra"].as_slice() } else { ["-w"].as_slice() });
        command.arg("-I").arg(runtime).arg("-I").arg(made);
        command.arg("-c").arg(source).arg("-o").arg(object);
        tool::run(&mut command, INSTALL)
    }

    fn link(&self, folder: &Path, objects: &[PathBuf], module: &Path) -> Result<(), BuildError> {
        let mut command = command(&self.linker, folder);
        command.args(["--no-entry", "--gc-sections", "--strip-all", "--stack-first", "-z"]);
        command.arg(format!("stack-size={STACK_BYTES}")).args(objects).arg("-o").arg(module);
        tool::run(&mut command, INSTALL)
    }
}

fn command(words: &[OsString], folder: &Path) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().cloned().unwrap_or_default());
    command.args(words).current_dir(folder);
    command
}
