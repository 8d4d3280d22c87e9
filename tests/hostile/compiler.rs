//! The compiler's child process: the same code as without it, and every way to die contained.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convergence_sandbox::{ChildCompiler, CompileError, Compiler, Layer, LoadError, Pooling, Sandbox, SandboxConfig};

use super::forge;
use super::leaks::held;
use super::zoo::before::nested_types;
use crate::harness::components;

/// The server's own command.
pub(crate) fn compiler() -> ChildCompiler {
    ChildCompiler::new(env!("CARGO_BIN_EXE_convergence").into(), vec!["compile-component".into()])
}

fn sandbox(compiler: ChildCompiler) -> Sandbox {
    let config =
        SandboxConfig { compiler: Compiler::Child(compiler), pooling: Pooling::Never, ..SandboxConfig::default() };
    Sandbox::new(config).unwrap()
}

/// What becomes of a component, and nothing is left running.
fn refused(compiler: ChildCompiler, bytes: &[u8]) -> CompileError {
    let sandbox = sandbox(compiler);
    let before = held();
    let error = sandbox.load(bytes).expect_err("it should not be loaded");
    // A thread is listed until a moment after it was joined.
    let patience = Instant::now() + Duration::from_secs(5);
    while held() != before && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!(held(), before, "something is left over");
    assert_eq!(error.layer(), Layer::Compile);
    match error {
        LoadError::Compile(error) => error,
        other => panic!("{other}"),
    }
}

/// A program that is no compiler.
fn shell_script(script: &str) -> ChildCompiler {
    ChildCompiler::new("/bin/sh".into(), vec!["-c".into(), script.into()])
}

fn node() -> Vec<u8> {
    fs::read(components().join("templates/node.wasm")).unwrap()
}

/// A component that is valid, and takes seconds to compile.
fn bomb() -> Vec<u8> {
    forge::policy_holding(&forge::module(40, 0, &forge::busy_body(20_000)))
}

#[test]
fn the_child_makes_the_code_that_the_server_would_make() {
    for pooling in [Pooling::Always, Pooling::Never] {
        let code = |compiler| {
            let folder = tempfile::tempdir().unwrap();
            let config = SandboxConfig {
                cache_dir: Some(folder.path().to_owned()),
                compiler,
                pooling,
                max_concurrent_calls: 2,
                ..SandboxConfig::default()
            };
            let component = Sandbox::new(config).unwrap().load(&node()).unwrap();
            assert_eq!(component.description().id, "node");
            fs::read(only_file(folder.path())).unwrap()
        };
        assert!(code(Compiler::InProcess) == code(Compiler::Child(compiler())), "they differ: {pooling:?}");
    }
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn what_is_not_valid_is_refused_with_the_reason() {
    let error = refused(compiler(), &forge::policy_holding(&forge::module(1, 0, &[0x41, 0, 0x0b])));
    let CompileError::Refused(reason) = &error else { panic!("{error:?}") };
    assert!(reason.contains("type mismatch"), "{reason}");
}

#[test]
fn a_component_that_takes_too_long_is_given_up() {
    let short = ChildCompiler { time: Duration::from_secs(1), ..compiler() };
    let started = Instant::now();
    assert_eq!(refused(short, &bomb()), CompileError::OutOfTime(Duration::from_secs(1)));
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[test]
fn a_compiler_that_does_nothing_is_given_up() {
    let stuck = ChildCompiler { time: Duration::from_millis(50), ..shell_script("exec sleep 600") };
    assert_eq!(refused(stuck, &node()), CompileError::OutOfTime(Duration::from_millis(50)));
}

#[test]
fn a_component_that_takes_too_much_memory_is_given_up() {
    let limit = 512 << 20;
    // Some instructions for each of very many blocks, each of which may come from everywhere.
    let bytes = forge::policy_holding(&forge::module(1, 1000, &forge::busy_body(90_000)));
    let tight = ChildCompiler { memory_bytes: limit, ..compiler() };
    assert_eq!(refused(tight, &bytes), CompileError::OutOfMemory(limit));
}

#[test]
fn more_code_than_is_kept_is_not_taken() {
    let small = ChildCompiler { code_bytes: 1000, ..compiler() };
    assert_eq!(refused(small, &node()), CompileError::TooMuchCode(1000));
}

#[test]
fn a_compiler_that_dies_is_told_from_one_that_refuses() {
    let crashed = |script: &str| match refused(shell_script(script), &node()) {
        CompileError::Crashed(cause) => cause,
        other => panic!("{script}: {other:?}"),
    };
    assert!(crashed("kill -SEGV $$").contains("signal 11"));
    assert!(crashed("echo 'thread main panicked' >&2; cat >/dev/null; kill -ABRT $$").contains("thread main panicked"));
    assert!(crashed("kill -KILL $$").contains("short of memory"));
    assert!(crashed("exit 3").contains("status 3"));
    // Everything but an answer.
    assert!(crashed("echo hello; sleep 600").contains("something else"));
    assert!(crashed("head -c 100000 /dev/zero").contains("something else"));
    let line = format!("printf 'code {} 10\\n12345'", "00".repeat(32));
    assert_eq!(
        refused(shell_script(&line), &node()),
        CompileError::Unavailable(
            "the compiler process is another version of this server; restart the server".to_owned()
        )
    );
    let missing = ChildCompiler::new("/nonexistent/compiler".into(), Vec::new());
    assert!(matches!(refused(missing, &node()), CompileError::Unavailable(_)));
}

#[test]
fn a_bomb_of_nested_types_takes_the_child_alone_with_it() {
    let error = refused(compiler(), &nested_types(80_000));
    assert!(matches!(&error, CompileError::Crashed(_) | CompileError::Refused(_)), "{error:?}");
}

#[test]
fn what_the_child_is_left_with() {
    // Its descriptors, environment and folder, seen by a program in its place. A descriptor that anything in this
    // process leaves open for its children is closed by the compiler itself: `confine` in the sandbox.
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let script = format!("pwd >{0}; env >>{0}", seen.display());
    let _ = refused(shell_script(&script), &node());
    let seen = fs::read_to_string(seen).unwrap();
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("/"));
    // What the shell itself sets.
    assert!(lines.all(|line| ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|name| line.starts_with(name))), "{seen}");
}

#[test]
fn components_wait_for_each_other() {
    // Were two children to run at once, each would find the other's mark.
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("running");
    let script = format!("mkdir {0} || exit 9; cat >/dev/null; sleep 0.05; rmdir {0}; exit 4", mark.display());
    let sandbox = sandbox(ChildCompiler { at_once: 1, ..shell_script(&script) });
    let bytes = node();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let error = sandbox.load(&bytes).unwrap_err().to_string();
                assert!(error.contains("status 4"), "{error}");
            });
        }
    });
}

#[test]
fn nothing_in_the_cache_keeps_a_plugin_from_loading() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let config = SandboxConfig {
            cache_dir: Some(folder.path().to_owned()),
            compiler: Compiler::Child(compiler()),
            pooling: Pooling::Never,
            ..SandboxConfig::default()
        };
        assert_eq!(Sandbox::new(config).unwrap().load(&node()).unwrap().description().id, "node");
    };
    load();
    let file = only_file(folder.path());
    let good = fs::read(&file).unwrap();
    for bad in [&b""[..], b"garbage", &good[..good.len() / 2], &[&good[..100], &[0xff; 64], &good[164..]].concat()] {
        fs::write(&file, bad).unwrap();
        load();
        assert!(fs::read(&file).unwrap() == good, "it is not repaired");
    }
    fs::remove_file(&file).unwrap();
    // Where nothing can be written.
    fs::create_dir_all(file.join("in the way")).unwrap();
    load();
}
