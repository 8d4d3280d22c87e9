//! A real registry as a child process: Debian's `docker-registry`, on a loopback port and in a folder of its own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{eventually, told, workspace};

/// Who may use a closed registry.
pub(crate) const USERNAME: &str = "operator";
/// Their password.
pub(crate) const PASSWORD: &str = "correct horse";
/// The same as the registry keeps it (bcrypt).
const VERIFIER: &str = "operator:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

/// What differs from registry to registry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RegistryOptions {
    /// Whether it asks who one is.
    pub(crate) closed: bool,
    /// Whether it speaks TLS, with the certificate of `tests/fixtures/registry`.
    pub(crate) tls: bool,
}

/// A running registry; dropped, it is ended.
#[derive(Debug)]
pub(crate) struct RegistryServer {
    port: u16,
    child: Child,
    folder: TempDir,
}

impl RegistryServer {
    /// Starts a registry.
    pub(crate) async fn start(options: RegistryOptions) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let path = |name: &str| folder.path().join(name);
        let mut text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {:?}\nhttp:\n  addr: 127.0.0.1:0\n",
            path("blobs")
        );
        if options.tls {
            let (certificate, key) = (fixture("registry.pem"), fixture("registry.key"));
            writeln!(text, "  tls:\n    certificate: {certificate:?}\n    key: {key:?}").expect("strings grow");
        }
        if options.closed {
            fs::write(path("htpasswd"), VERIFIER).expect("the test's folder is writable");
            writeln!(text, "auth:\n  htpasswd:\n    realm: test\n    path: {:?}", path("htpasswd"))
                .expect("strings grow");
        }
        fs::write(path("config.yml"), text).expect("the test's folder is writable");
        fs::write(path("password"), PASSWORD).expect("the test's folder is writable");
        let log = File::create(path("log")).expect("the test's folder is writable");
        let child = Command::new(program())
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the registry's binary can be run");
        let mut registry = Self { port: 0, child, folder };
        let log = registry.folder.path().join("log");
        registry.port = eventually("the registry says its port", Duration::from_secs(30), || async {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let after = text.split_once("listening on 127.0.0.1:").map(|(_, after)| after);
            let digits = after.and_then(|after| after.split(|c: char| !c.is_ascii_digit()).next());
            // The line is whole once something follows the number.
            let whole = after.is_some_and(|after| after.contains('"'));
            digits.filter(|_| whole).and_then(|digits| digits.parse().ok()).ok_or(text)
        })
        .await;
        registry
    }

    /// `127.0.0.1:port`.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The file with the password of a closed one.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// The authority to believe where it speaks TLS.
    pub(crate) fn authority() -> PathBuf {
        fixture("authority.pem")
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn fixture(name: &str) -> PathBuf {
    workspace().join("tests/fixtures/registry").join(name)
}

/// Where `cargo xtask test` put the registry.
fn program() -> PathBuf {
    let unpacked = workspace().join("target/convergence/docker-registry/usr/bin/docker-registry");
    let program = told("CONVERGENCE_DOCKER_REGISTRY").unwrap_or(unpacked);
    let hint = "run `cargo xtask test registry`, which fetches it, or name it in CONVERGENCE_DOCKER_REGISTRY";
    assert!(program.is_file(), "there is no docker-registry at {}: {hint}", program.display());
    program
}
