//! What is let in, what is not, and the cache of native code.

use std::fs;
use std::path::{Path, PathBuf};

use convergence_sandbox::{CompileError, Kind, LoadError, Pooling, Sandbox, SandboxConfig};

use super::{component, limits, sandbox_with};

fn refused(text: &str) -> LoadError {
    let bytes = wat::parse_str(text).unwrap();
    sandbox_with(limits(), Pooling::Never).load(&bytes).expect_err("it should be refused")
}

#[test]
fn a_component_says_what_it_is() {
    let sandbox = sandbox_with(limits(), Pooling::Auto);
    let node = sandbox.load(&component("templates/node")).unwrap();
    assert_eq!(node.kind(), Kind::Template);
    assert_eq!(node.description().id, "node");
    assert!(node.digest().starts_with("sha256:") && node.digest().len() == 7 + 64);
    assert!(node.description().config_schema.is_object());
    assert!(!node.description().examples.is_empty());
    assert!(node.as_template().is_some() && node.as_policy().is_none());
}

#[test]
fn what_is_not_a_plugin_is_refused_in_words() {
    let sandbox = sandbox_with(limits(), Pooling::Never);
    let message = |bytes: &[u8]| sandbox.load(bytes).unwrap_err().to_string();
    assert!(message(b"hello").contains("not WebAssembly"));
    assert!(message(&wat::parse_str("(module)").unwrap()).contains("not a component"));
    assert!(message(&wat::parse_str("(component)").unwrap()).contains("exports nothing"));
    let whole = component("fixtures/hostile");
    for part in [whole.len() / 2, whole.len() - 1, 9] {
        assert!(matches!(sandbox.load(&whole[..part]), Err(LoadError::Malformed(_))), "cut at {part}");
    }
}

#[test]
fn imports_that_are_not_granted_are_named() {
    let error = refused(
        r#"(component
            (import "evil:host/shell@1.0.0" (instance (export "run" (func (param "command" string)))))
            (instance $empty)
            (export "convergence:plugin/metadata@0.1.0" (instance $empty))
            (export "convergence:template/generator@0.1.0" (instance $empty)))"#,
    );
    assert!(matches!(&error, LoadError::ImportNotGranted { imports, .. } if imports == &["evil:host/shell@1.0.0"]));
}

#[test]
fn the_right_names_with_the_wrong_types_are_refused() {
    let error = refused(
        r#"(component
            (instance $empty)
            (export "convergence:plugin/metadata@0.1.0" (instance $empty))
            (export "convergence:template/generator@0.1.0" (instance $empty)))"#,
    );
    assert!(matches!(error, LoadError::WrongTypes { kind: Kind::Template, .. }), "{error}");
}

#[test]
fn invalid_code_is_refused_by_the_compiler() {
    let error = refused(
        r#"(component
            (core module (func (result i32)))
            (instance $empty)
            (export "convergence:plugin/metadata@0.1.0" (instance $empty))
            (export "convergence:policy/evaluator@0.1.0" (instance $empty)))"#,
    );
    assert!(matches!(error, LoadError::Compile(CompileError::Refused(_))), "{error}");
}

fn cached(folder: &Path, key: u8) -> Sandbox {
    let config = SandboxConfig {
        cache_dir: Some(folder.to_owned()),
        cache_key: [key; 32],
        limits: limits(),
        pooling: Pooling::Never,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).unwrap()
}

fn cache_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn native_code_is_kept_and_only_our_own_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = component("fixtures/hostile");
    let load = |key| assert_eq!(cached(folder.path(), key).load(&bytes).unwrap().description().id, "hostile");
    load(1);
    let file = cache_file(folder.path());
    let first = fs::read(&file).unwrap();
    let untouched = fs::metadata(&file).unwrap().modified().unwrap();
    load(1);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), untouched, "the second load reads");

    // Damaged, cut, emptied: compiled anew and written over.
    let mut damaged = first.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for bad in [&damaged[..], &first[..first.len() / 3], b""] {
        fs::write(&file, bad).unwrap();
        load(1);
        assert_eq!(fs::read(&file).unwrap().len(), first.len());
    }

    // Written by someone with another key.
    load(2);
    let theirs = fs::read(&file).unwrap();
    assert_ne!(theirs[16..48], first[16..48]);
    load(1);
    assert_eq!(fs::read(&file).unwrap()[16..48], first[16..48], "it was compiled anew with our key");
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_used_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = SandboxConfig { cache_dir: Some(file.join("aot")), ..SandboxConfig::default() };
    let error = Sandbox::new(config).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}
