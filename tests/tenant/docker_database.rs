//! A database that cannot be written in the middle of a spawn, because somebody else keeps it locked or because its disk is
//! full: clients are told so, `/ready` says so, and once it passes the spawn goes on by itself.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use convergence_test_database::{FileLock, empty_log};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Options, Server, eventually};

/// How long a statement waits for the writer of an SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A server on an SQLite file, with a short lease so that a test need not wait for a long one.
async fn server_on(file: &Path) -> Server {
    Server::with(Options {
        top: format!("database = {file:?}\n"),
        tables: "\n[operations]\nlease-seconds = 3\n".to_owned(),
        plugins: vec!["templates/go.wasm"],
        ..Options::default()
    })
    .await
}

/// Nothing is accepted, and the caller is told what is wrong and when to ask again.
async fn refuses(server: &Server, codes: &[&str]) {
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "other", "language": "go" })).await;
    let problem = answer.expect(503);
    assert!(codes.iter().any(|code| problem["code"] == *code), "{problem}");
    assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
}

/// `/ready` names the database, and nothing else.
async fn is_not_ready(server: &Server) {
    let ready = server.http.get("/ready").await.expect(503);
    let wrong: Vec<_> = ready["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(wrong.iter().map(|check| &check["name"]).collect::<Vec<_>>(), ["database"], "{ready}");
}

/// What was begun before succeeds, and what is asked now does.
async fn goes_on(server: &Server, tenant: &Value, url: &str) {
    let operation = server.operation(url, &["succeeded", "failed", "stuck", "cancelled"]).await;
    assert_eq!(operation["state"], "succeeded", "{operation}");
    eventually("the server is ready", Duration::from_secs(30), || async {
        let ready = server.http.get("/ready").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    assert_eq!(server.ask(tenant, "/health").await.status, 200);
    let other = server.spawn_plain("other", "go").await;
    server.destroy(&other).await;
    server.destroy(tenant).await;
}

#[tokio::test]
async fn a_file_that_somebody_else_keeps_locked_is_told_and_waited_for() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("state.db");
    let server = server_on(&file).await;
    let (tenant, url) = server.accepted("app", "go").await;
    server.operation(&url, &["running"]).await;
    let lock = FileLock::take(file.to_str().unwrap()).await;
    let locked = Instant::now();
    assert_eq!(server.http.get(&url).await.expect(200)["state"], "running", "the spawn is in the middle");
    tokio::join!(refuses(&server, &["store-busy", "store-unavailable"]), is_not_ready(&server));
    assert_eq!(server.http.get("/api/v1/tenant").await.status, 200, "what is there can still be read");
    assert!(locked.elapsed() > BUSY_TIMEOUT, "the lock was waited for: {:?}", locked.elapsed());
    lock.release().await;
    goes_on(&server, &tenant, &url).await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_waited_for() {
    let disk = Disk::mount(64);
    let file = disk.path().join("state.db");
    let server = server_on(&file).await;
    let (tenant, url) = server.accepted("app", "go").await;
    server.operation(&url, &["running"]).await;
    empty_log(file.to_str().unwrap()).await;
    disk.fill();
    assert_eq!(server.http.get(&url).await.expect(200)["state"], "running", "the spawn is in the middle");
    refuses(&server, &["store-unavailable"]).await;
    is_not_ready(&server).await;
    assert_eq!(server.http.get("/api/v1/tenant").await.status, 200, "what is there can still be read");
    disk.free();
    goes_on(&server, &tenant, &url).await;
}

/// A small disk of a test's own, in memory.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount(megabytes: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(folder.path());
        let output = mount.output().expect("`mount` can be run");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "a full disk is tried on a small file system in memory, which only root may mount: {why}; run the tests as \
             root, or inside `unshare --user --map-root-user --mount`"
        );
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let chunk = vec![0; size];
            let full = loop {
                if let Err(error) = filler.write_all(&chunk) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.folder.path()).status().ok();
    }
}
