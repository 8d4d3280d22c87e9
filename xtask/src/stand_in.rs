//! Stand-ins for base images, on machines without a registry: Debian bookworm and the distribution's own packages.
//!
//! They are for trying and testing, never for production: older versions than the images they stand in for, larger,
//! and named `convergence-base/…`, labelled `convergence.stand-in=true`, so that nobody mistakes one for the real thing.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{apt, command, step};

/// The repository prefix of every stand-in.
const PREFIX: &str = "convergence-base/";

/// The label that says what an image is.
const LABEL: &str = "convergence.stand-in=true";

/// The label that says which recipe an image was built from.
const RECIPE_LABEL: &str = "convergence.stand-in.recipe";

/// The image all others start from; also the stand-in for Debian's own.
const BASE: &str = "debian:bookworm-slim";

/// Where this machine and every stand-in keep the certificates they trust.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The variables by which OpenSSL, Node.js, pip and Python's requests find those certificates.
const BUNDLE_VARIABLES: &[&str] = &["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE"];

/// Proxy variables that a build may use without declaring them.
const PROXY_VARIABLES: &[&str] = &["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// What a stand-in holds on top of a minimal Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// Nothing.
    Debian,
    /// Node.js and npm.
    Node,
    /// Python with `venv` and pip.
    Python,
    /// The Go toolchain.
    Go,
}

impl Recipe {
    /// The Dockerfile lines after `FROM`.
    fn steps(self) -> &'static str {
        match self {
            Self::Debian => "",
            Self::Node => {
                "RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm \
                 && rm -rf /var/lib/apt/lists/* && node --version && npm --version\n"
            }
            // Debian keeps pip from installing beside its own packages; the image this stands in for does not.
            Self::Python => {
                "RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv python3-pip \
                 && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \
                 && ln -s python3 /usr/bin/python && python --version && pip --version\n"
            }
            // The backport is several versions newer than the release's own, which serves where a mirror lacks it.
            Self::Go => {
                "ENV GOTOOLCHAIN=local GOPATH=/go\n\
                 RUN sed 's/ bookworm / bookworm-backports /' /etc/apt/sources.list > /etc/apt/sources.list.d/backports.list \
                 && { apt-get update || { rm /etc/apt/sources.list.d/backports.list && apt-get update; }; } \
                 && { apt-get install -y --no-install-recommends -t bookworm-backports golang-go \
                 || apt-get install -y --no-install-recommends golang-go; } \
                 && rm -rf /var/lib/apt/lists/* && go version\n"
            }
        }
    }

    /// Changes whenever an image built earlier no longer is what this recipe would build.
    fn digest(self) -> String {
        let mut hasher = DefaultHasher::new();
        (self.steps(), BASE_SETTINGS, BUNDLE_VARIABLES, fs::read(BUNDLE).ok()).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Files of the base that keep it small and its package installs quick.
const BASE_SETTINGS: &[(&str, &str)] = &[
    (
        "etc/dpkg/dpkg.cfg.d/stand-in",
        "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n",
    ),
    (
        "etc/apt/apt.conf.d/90stand-in",
        "Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nDir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nDPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb\"; };\n",
    ),
];

/// Folders of a fresh Debian that no build needs.
const SUPERFLUOUS: &[&str] =
    &["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt/lists"];

/// The name of the stand-in for `image`.
pub(crate) fn name(image: &str) -> String {
    format!("{PREFIX}{image}")
}

/// Whether a stand-in for `image` is there and is what its recipe would build today.
pub(crate) fn is_current(image: &str, recipe: Recipe) -> Result<bool> {
    let mut question = Command::new("docker");
    question
        .args(["image", "ls", "--quiet", "--filter"])
        .arg(format!("label={RECIPE_LABEL}={}", recipe.digest()))
        .arg(name(image));
    Ok(!command::capture(&mut question)?.trim().is_empty())
}

/// Removes every stand-in.
pub(crate) fn remove_all() -> Result<()> {
    let mut list = Command::new("docker");
    list.args(["image", "ls", "--filter"]).arg(format!("label={LABEL}")).args(["--format", "{{.Repository}}:{{.Tag}}"]);
    let names = command::capture(&mut list)?;
    // Children first: the base cannot go while an image is built on it.
    let mut names: Vec<&str> = names.lines().filter(|name| name.starts_with(PREFIX)).collect();
    names.sort_by_key(|image| **image == *name(BASE));
    for image in names {
        println!("    removing {image}");
        command::capture(Command::new("docker").args(["image", "rm", "--force", image]))?;
    }
    Ok(())
}

/// Builds the stand-ins for `wanted`, the base first, the others side by side.
pub(crate) fn build(workspace: &Workspace, wanted: &[(&str, Recipe)]) -> Result<()> {
    println!("    building stand-ins from Debian packages (about a minute and a half, once)");
    if !is_current(BASE, Recipe::Debian)? {
        build_base(workspace)?;
    }
    let logs = folder(workspace);
    thread::scope(|scope| {
        let derived = wanted.iter().filter(|(_, recipe)| *recipe != Recipe::Debian);
        let workers: Vec<_> =
            derived.map(|(image, recipe)| (image, scope.spawn(|| build_one(image, *recipe, &logs)))).collect();
        let outcomes: Vec<Result<()>> = workers
            .into_iter()
            .map(|(image, worker)| worker.join().unwrap_or_else(|_| bail!("the builder of {image} panicked")))
            .collect();
        outcomes.into_iter().collect()
    })
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target().join("stand-in")
}

/// Debian's smallest, by `debootstrap`, imported as one layer.
fn build_base(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    if !command::is_root() {
        bail!(
            "without a registry, base images are built with debootstrap, which needs root: start the chore as root, or bring the images here \
             (docker save / docker load) under their own names"
        );
    }
    apt::ensure("debootstrap", &["debootstrap", "debian-archive-keyring"], "what builds a minimal Debian")?;
    let folder = folder(workspace);
    let root = folder.join("rootfs");
    remove_folder(&root)?;
    command::create_folder(&folder)?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates", "bookworm"]).arg(&root);
    if let Some(mirror) = mirror() {
        debootstrap.arg(mirror);
    }
    println!("    $ {}", command::shown(&debootstrap));
    command::logged(&mut debootstrap, &folder.join("debootstrap.log"))?;
    for superfluous in SUPERFLUOUS {
        remove_folder(&root.join(superfluous))?;
    }
    for (path, text) in BASE_SETTINGS {
        command::write(&root.join(path), text)?;
    }
    // `apt-get` wants these two folders to exist.
    command::create_folder(&root.join("var/cache/apt/archives/partial"))?;
    command::create_folder(&root.join("var/lib/apt/lists/partial"))?;
    if Path::new(BUNDLE).is_file() {
        fs::copy(BUNDLE, root.join(BUNDLE.trim_start_matches('/')))
            .context("cannot copy this machine's certificates")?;
    }
    import(&root, &name(BASE))?;
    remove_folder(&root)?;
    println!("    {} is built, {}", name(BASE), step::seconds(started.elapsed()));
    Ok(())
}

/// Streams a folder into the engine as an image of one layer.
fn import(root: &Path, image: &str) -> Result<()> {
    let mut packer = Command::new("tar")
        .args(["--create", "--numeric-owner", "--one-file-system", "--directory"])
        .arg(root)
        .arg(".")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `tar`")?;
    let stream = packer.stdout.take().context("`tar` has no output")?;
    let mut import = Command::new("docker");
    import.arg("import");
    for change in changes() {
        import.arg("--change").arg(change);
    }
    import.arg("-").arg(image);
    let imported = import.stdin(stream).stdout(Stdio::null()).status().context("cannot start `docker import`")?;
    let packed = packer.wait().context("cannot wait for `tar`")?;
    if !imported.success() || !packed.success() {
        bail!("cannot make the image {image}: `tar` ended with {packed}, `docker import` with {imported}");
    }
    Ok(())
}

/// What the base image says about itself. Images built on it inherit this.
fn changes() -> Vec<String> {
    let mut changes = vec![
        format!("LABEL {LABEL} {RECIPE_LABEL}={}", Recipe::Debian.digest()),
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "CMD [\"bash\"]".to_owned(),
    ];
    if Path::new(BUNDLE).is_file() {
        changes.extend(BUNDLE_VARIABLES.iter().map(|variable| format!("ENV {variable}={BUNDLE}")));
    }
    changes
}

/// One image on top of the base, from a Dockerfile on standard input. It builds on the host's network, so that a
/// proxy on the host's loopback and the host's name servers serve it too.
fn build_one(image: &str, recipe: Recipe, logs: &Path) -> Result<()> {
    let started = Instant::now();
    let mut dockerfile = format!("FROM {}\n", name(BASE));
    dockerfile.push_str(recipe.steps());
    writeln!(dockerfile, "LABEL {RECIPE_LABEL}={}", recipe.digest())?;
    let source = logs.join(format!("{}.Dockerfile", file_name(image)));
    command::write(&source, &dockerfile)?;
    let log = logs.join(format!("{}.log", file_name(image)));
    let (stdout, stderr) = command::log_files(&log)?;
    let mut build = Command::new("docker");
    build.args([
        "build",
        "--network",
        "host",
        "--force-rm",
        "--tag",
        &name(image),
        "--build-arg",
        "DEBIAN_FRONTEND=noninteractive",
    ]);
    for variable in PROXY_VARIABLES.iter().filter(|variable| env::var_os(variable).is_some()) {
        build.args(["--build-arg", variable]);
    }
    build.arg("-").stdin(fs::File::open(&source)?).stdout(stdout).stderr(stderr);
    let status = build.status().context("cannot start `docker build`")?;
    if !status.success() {
        bail!(
            "cannot build {}: `docker build` ended with {status}; its last lines, of {}:\n{}",
            name(image),
            log.display(),
            command::tail(&log)
        );
    }
    println!("    {} is built, {}", name(image), step::seconds(started.elapsed()));
    Ok(())
}

fn file_name(image: &str) -> String {
    image.replace([':', '/'], "-")
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The Debian mirror this machine installs from, if it installs from one; else `debootstrap` takes its own default.
fn mirror() -> Option<String> {
    let mut files: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.sort();
    files.push(PathBuf::from("/etc/apt/sources.list"));
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| mirror_in(&text))
}

/// The first Debian archive that a sources file names, in either of its two formats.
fn mirror_in(sources: &str) -> Option<String> {
    let one_line = sources.lines().filter_map(|line| {
        let line = line.strip_prefix("deb ")?;
        let after_options = line.trim_start();
        let entry = after_options
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or(after_options, |(_, entry)| entry);
        let mut words = entry.split_whitespace();
        let address = words.next()?;
        words.any(|word| word == "main").then_some(address)
    });
    let stanzas = sources.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let has_main = field("Components")?.split_whitespace().any(|word| word == "main");
        has_main.then(|| field("URIs")?.split_whitespace().next()).flatten()
    });
    let is_archive = |address: &&str| address.starts_with("http") && address.trim_end_matches('/').ends_with("/debian");
    one_line.chain(stanzas).find(is_archive).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_this_machine_is_found_in_both_formats() {
        let stanzas = "Types: deb\n# a note\nURIs: https://vendor.example/debian\nSuites: bookworm\nComponents: stable\n\n\
                       Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(mirror_in(stanzas).as_deref(), Some("http://mirror.example/debian"));
        let lines = "# deb http://no.example/debian bookworm main\ndeb https://vendor.example/apt stable main\n\
                     deb [signed-by=/a b] http://mirror.example/debian/ bookworm main contrib\n";
        assert_eq!(mirror_in(lines).as_deref(), Some("http://mirror.example/debian/"));
    }

    #[test]
    fn another_distribution_has_no_debian_mirror() {
        assert_eq!(mirror_in("deb http://archive.example/ubuntu noble main\n"), None);
        assert_eq!(mirror_in(""), None);
    }

    #[test]
    fn recipes_differ() {
        assert_ne!(Recipe::Node.digest(), Recipe::Go.digest());
    }
}
