//! Builds on a real engine: their failures, their limits, and what they leave in this process.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use convergence_runtime::docker::{BuildBounds, Docker, DockerConfig};
use convergence_runtime::{Builder, ImageRemoval, Pull, RuntimeError};

use crate::fixture::{config, docker, on_docker, socket};

#[tokio::test]
async fn docker_build_failure_names_the_instruction_and_the_last_lines() {
    on_docker("fails", async |docker, fixture| {
        let failing = "RUN [\"sh\",\"-c\",\"for n in $(seq 30); do echo line $n; done; exit 3\"]\n";
        let build = fixture.build_of("fails", failing);
        let error = docker.build(&build, &mut |_| {}).await.unwrap_err();
        let RuntimeError::BuildFailed { instruction, exit_code, log, .. } = &error else { panic!("{error:?}") };
        assert!(instruction.contains("RUN"), "{instruction}");
        assert_eq!(*exit_code, Some(3), "{error}");
        assert_eq!(log.len(), 30, "{log:?}");
        assert_eq!(log.last().unwrap(), "line 30");

        let nonsense = fixture.build_of("nonsense", "FRMO x\n");
        let error = docker.build(&nonsense, &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::BuildFailed { message, .. } if message.contains("FRMO")), "{error:?}");

        let missing = fixture.build_of("missing", "COPY .convergence/plan/absent .\n");
        let error = docker.build(&missing, &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::BuildFailed { message, .. } if message.contains("absent")), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn docker_builds_leak_no_sockets() {
    on_docker("leak", async |docker, fixture| {
        let build = fixture.image();
        let first = docker.build(&build, &mut |_| {}).await.unwrap();
        let before = sockets();
        for _ in 0..30 {
            assert_eq!(docker.build(&build, &mut |_| {}).await.unwrap(), first);
        }
        let after = sockets();
        assert!(after <= before, "{before} sockets became {after}");
    })
    .await;
}

fn sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    files
        .filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
        .count()
}

#[tokio::test]
async fn docker_build_is_cancelled_when_it_takes_or_prints_too_much() {
    on_docker("limits", async |_, fixture| {
        let build_limit = Duration::from_secs(3);
        let hasty = Docker::connect(DockerConfig { build_limit, ..config() });
        // Neither ever ends by itself, which would make it a cache hit; a number tells their processes apart.
        let seconds = format!("9{}", std::process::id());
        let build = fixture.build_of("slow", &format!("RUN [\"sleep\",\"{seconds}\"]\n"));
        let error = hasty.build(&build, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Timeout { after, .. } if after == build_limit), "{error:?}");
        while runs("sleep", &seconds) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        let build_output_limit = 10_000;
        let quiet = Docker::connect(DockerConfig { build_output_limit, ..config() });
        let build = fixture.build_of("loud", &format!("RUN [\"yes\",\"{seconds}\"]\n"));
        let error = quiet.build(&build, &mut |_| {}).await.unwrap_err();
        assert!(
            matches!(&error, RuntimeError::BuildFailed { message, .. } if message.contains("10000 bytes")),
            "{error:?}"
        );
        while runs("yes", &seconds) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Whether a process of this machine runs `program argument`.
fn runs(program: &str, argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok()).any(|line| {
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(program.as_bytes()) && words.next() == Some(argument.as_bytes())
    })
}

#[tokio::test]
async fn docker_base_image_that_is_nowhere_is_not_pulled() {
    let reference = "registry.invalid/convergence/nothing:1";
    let mut lines = Vec::new();
    let error = docker().await.base_image(reference, &Pull::default(), &mut |line| lines.push(line.text)).await;
    let error = error.unwrap_err();
    let RuntimeError::PullFailed { reference: named, .. } = &error else { panic!("{error:?}") };
    assert_eq!(named, reference);
    assert_eq!(lines.first().map(String::as_str), Some("pulling registry.invalid/convergence/nothing:1"));
}

#[tokio::test]
async fn docker_builds_beyond_those_at_once_wait_for_their_turn() {
    on_docker("turns", async |_, fixture| {
        let docker = Docker::connect(DockerConfig { builds_at_once: 1, ..config() });
        let seconds = format!("8{}", std::process::id());
        let slow = fixture.build_of("slow", &format!("RUN [\"sleep\",\"{seconds}\"]\n"));
        let quick = fixture.build_of("quick", "RUN [\"true\"]\n");
        let mut lines = Vec::new();
        {
            let mut ignore = |_| {};
            let mut slow = std::pin::pin!(docker.build(&slow, &mut ignore));
            while !runs("sleep", &seconds) {
                assert!(tokio::time::timeout(Duration::from_millis(50), &mut slow).await.is_err(), "it ended early");
            }
            let mut line = |line: convergence_model::build::BuildLine| lines.push(line.text);
            let waits = tokio::time::timeout(Duration::from_secs(2), docker.build(&quick, &mut line));
            let ended = tokio::select! { _ = &mut slow => panic!("it ended early"), waits = waits => waits };
            assert!(ended.is_err(), "the second build did not wait");
        }
        assert_eq!(lines, ["waiting: 1 builds are under way"]);
        docker.build(&quick, &mut |_| {}).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn docker_exclusive_builds_may_use_no_more_memory_than_they_are_given() {
    /// What other builds of this machine had, as far as anybody can tell: no bounds.
    struct Restored;
    impl Drop for Restored {
        fn drop(&mut self) {
            BuildBounds::default().set().ok();
        }
    }
    on_docker("memory", async |_, fixture| {
        let _restored = Restored;
        let bounds = BuildBounds { memory_mb: Some(64), cpu_millis: Some(2000), pids: Some(1000) };
        let docker = Docker::connect(DockerConfig { build_bounds: bounds, ..config() });
        let takes = |mib: u32| format!("RUN [\"python3\",\"-c\",\"print(len(bytearray({mib} << 20)))\"]\n");
        docker.build(&fixture.build_of("little", &takes(16)), &mut |_| {}).await.unwrap();
        let error = docker.build(&fixture.build_of("much", &takes(300)), &mut |_| {}).await.unwrap_err();
        assert!(matches!(&error, RuntimeError::BuildFailed { exit_code: Some(137), .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn docker_keeps_a_cache_of_builds_that_is_young_and_small_enough() {
    let year = Duration::from_secs(365 * 24 * 3600);
    assert_eq!(docker().await.prune_cache(1 << 50, year).await.unwrap(), 0);
}

#[tokio::test]
async fn docker_exclusive_cache_of_builds_that_is_too_large_is_freed() {
    on_docker("cache", async |docker, fixture| {
        let before = cached();
        let file = format!("/random-{}", std::process::id());
        let takes = format!("RUN [\"sh\",\"-c\",\"head -c 1048576 /dev/urandom > {file}\"]\n");
        let build = fixture.build_of("takes", &takes);
        docker.build(&build, &mut |_| {}).await.unwrap();
        // What an image holds is not the cache's to free.
        assert_eq!(docker.remove_image(&build.tag, &fixture.instance).await.unwrap(), ImageRemoval::Removed);
        let grown = cached();
        assert!(grown >= before + (1 << 20), "{before} bytes became {grown}");
        let year = Duration::from_secs(365 * 24 * 3600);
        let freed = docker.prune_cache(before, year).await.unwrap();
        let after = cached();
        assert!(freed > 0 && after < grown, "{grown} bytes became {after}; {freed} are said to be freed");
    })
    .await;
}

/// Bytes of the cache of builds that no image holds. Bollard has no type for how an older engine says it.
fn cached() -> u64 {
    let socket = socket();
    let mut stream = UnixStream::connect(socket.trim_start_matches("unix://")).unwrap();
    stream.write_all(b"GET /system/df HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let said: serde_json::Value = serde_json::from_str(body).unwrap();
    let entries = said["BuildCache"].as_array().unwrap().iter();
    entries.filter(|entry| entry["Shared"] == false).map(|entry| entry["Size"].as_u64().unwrap()).sum()
}
