//! Signing components, and judging those of others: the command line, at an author's desk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::components;
use crate::harness::server::binary;

/// A folder with a component, and keys.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new().unwrap() };
        fs::copy(components().join("templates/node.wasm"), desk.path("node.wasm")).expect("`cargo xtask guests` ran");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `convergence plugin …` in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.current_dir(self.folder.path()).arg("plugin").args(arguments).env_remove("DATABASE_URL");
        command.output().unwrap()
    }

    /// Standard output, of a command that succeeds.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn document(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.good(&arguments)).unwrap()
    }

    /// The complaint, of a command that was tried and failed.
    #[track_caller]
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        error
    }

    /// A new key's public line.
    fn key(&self, name: &str) -> String {
        self.document(&["key", "generate", "--out", name])["public"].as_str().unwrap().to_owned()
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_key_is_its_owners_alone_and_never_written_over() {
    let desk = Desk::new();
    let text = desk.good(&["key", "generate", "--out", "release.key"]);
    let mode = fs::metadata(desk.path("release.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = text.lines().find(|line| line.starts_with("keys = ")).expect("the line of the configuration");
    assert!(line.starts_with("keys = { \"release\" = \"ed25519:"), "{text}");
    let secret = fs::read_to_string(desk.path("release.key")).unwrap();
    let kept = secret.trim().trim_start_matches("ed25519-secret:");
    assert!(!text.contains(kept), "the private key is not shown");
    assert!(desk.good(&["key", "public", "--key", "release.key"]).contains(line));

    assert!(desk.bad(&["key", "generate", "--out", "release.key"]).contains("there already"));
    assert_eq!(fs::read_to_string(desk.path("release.key")).unwrap(), secret);

    fs::set_permissions(desk.path("release.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = desk.bad(&["sign", "node.wasm", "--key", "release.key"]);
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn what_was_signed_is_verified_and_nothing_else() {
    let desk = Desk::new();
    let (release, other) = (desk.key("release.key"), desk.key("other.key"));
    let unsigned = desk.bad(&["verify", "node.wasm", "--key", &release]);
    assert!(unsigned.contains("not signed"), "{unsigned}");

    let signed = desk.document(&["sign", "node.wasm", "--key", "release.key", "--expires", "2126-11-22"]);
    assert_eq!(signed["signed"][0]["id"], "node");
    assert_eq!(signed["signed"][0]["kind"], "template");
    assert_eq!(signed["signed"][0]["expires"], "2126-11-22T00:00:00Z");
    let verified = desk.document(&["verify", "node.wasm", "--key", &other, "--key", &release]);
    assert_eq!(verified["id"], "node");
    assert_eq!(verified["version"], signed["signed"][0]["version"]);
    assert_eq!(verified["signer"]["expires"], "2126-11-22T00:00:00Z");

    let error = desk.bad(&["verify", "node.wasm", "--key", &other]);
    assert!(error.contains("not trusted here"), "{error}");

    let length = usize::try_from(fs::metadata(desk.path("node.wasm")).unwrap().len()).unwrap();
    for at in [0, length / 2, length - 1] {
        flip(&desk.path("node.wasm"), at);
        let error = desk.bad(&["verify", "node.wasm", "--key", &release]);
        assert!(error.contains("changed or replaced"), "byte {at}: {error}");
        flip(&desk.path("node.wasm"), at);
    }
    let text = fs::read_to_string(desk.path("node.wasm.sig")).unwrap();
    fs::write(desk.path("node.wasm.sig"), text.replace("2126", "2226")).unwrap();
    let error = desk.bad(&["verify", "node.wasm", "--key", &release]);
    assert!(error.contains("altered"), "{error}");

    // Another component under the signature of this one.
    fs::write(desk.path("node.wasm.sig"), text).unwrap();
    fs::copy(components().join("templates/go.wasm"), desk.path("node.wasm")).unwrap();
    assert!(desk.bad(&["verify", "node.wasm", "--key", &release]).contains("changed or replaced"));
}

#[test]
fn a_configuration_says_whom_to_trust_and_what_was_revoked() {
    let desk = Desk::new();
    let public = desk.key("release.key");
    desk.good(&["sign", "node.wasm", "--key", "release.key", "--days", "30"]);
    let digest = desk.document(&["verify", "node.wasm", "--key", &public])["digest"].as_str().unwrap().to_owned();
    let revocations = desk.path("revoked.toml");
    fs::write(&revocations, "").unwrap();
    let config = format!("[trust]\nkeys = {{ release = \"{public}\" }}\nrevocations = {revocations:?}\n");
    fs::write(desk.path("convergence.toml"), config).unwrap();
    let verify = ["verify", "node.wasm", "--config", "convergence.toml"];
    assert!(desk.good(&verify).contains("signed by `release`"));

    fs::write(&revocations, format!("[digests]\n\"{digest}\" = \"it plans as root\"\n")).unwrap();
    assert!(desk.bad(&verify).contains("it plans as root"));
    fs::write(&revocations, format!("[keys]\n\"{public}\" = \"the laptop was stolen\"\n")).unwrap();
    assert!(desk.bad(&verify).contains("the laptop was stolen"));
    fs::write(&revocations, "[keys]\nrelease = \"x\"\n").unwrap();
    assert!(desk.bad(&verify).contains("fingerprint"));
    fs::remove_file(&revocations).unwrap();
    assert!(desk.bad(&verify).contains("empty file"));
}

#[test]
fn what_cannot_be_signed_is_said() {
    let desk = Desk::new();
    let public = desk.key("release.key");
    fs::write(desk.path("text.wasm"), "no component").unwrap();
    let error = desk.bad(&["sign", "text.wasm", "--key", "release.key"]);
    assert!(error.contains("text.wasm is not a plugin"), "{error}");
    assert!(!desk.path("text.wasm.sig").exists());
    assert!(desk.bad(&["sign", "absent.wasm", "--key", "release.key"]).contains("cannot read absent.wasm"));
    assert!(desk.bad(&["sign", "node.wasm", "--key", "release.key", "--expires", "2020-01-01"]).contains("past"));
    fs::write(desk.path("public.key"), public).unwrap();
    fs::set_permissions(desk.path("public.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(desk.bad(&["sign", "node.wasm", "--key", "public.key"]).contains("public key"));
    let usage = desk.run(&["sign", "node.wasm", "--key", "release.key", "--expires", "soon"]);
    assert_eq!(usage.status.code(), Some(2));
    let usage = desk.run(&["verify", "node.wasm"]);
    assert_eq!(usage.status.code(), Some(2), "neither a key nor a configuration");
}
