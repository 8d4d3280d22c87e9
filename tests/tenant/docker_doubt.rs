//! A server that cannot tell whether a database, a key and an id belong together touches nothing: not the files, and not the
//! tenants that run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use convergence_store::{Ownership, Store};
use convergence_test_database::{Fresh, is_postgres};

use crate::harness::server::binary;
use crate::harness::{Options, Server, eventually};

/// A server that did start would remove at once what it does not know.
const HASTY: &str = "[reconcile]\ninterval-seconds = 1\ngrace-seconds = 0\nsweep-max = 1000\nsweep-running = true";
/// How long a server may take to refuse; one that starts is ended after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every file below a folder with its bytes and its mode.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        if path.is_dir() {
            found.extend(files(&path));
            found.insert(path, (mode, Vec::new()));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, (mode, bytes));
        }
    }
    found
}

/// The engine's ids of everything with an installation's label, and whether each container runs.
fn things(installation: &str) -> Vec<String> {
    let filter = format!("label=convergence.instance={installation}");
    let commands: [&[&str]; 4] = [
        &["ps", "--all", "--no-trunc", "--format", "container {{.ID}} {{.State}}"],
        &["network", "ls", "--no-trunc", "--format", "network {{.ID}}"],
        &["volume", "ls", "--format", "volume {{.Name}}"],
        &["image", "ls", "--no-trunc", "--format", "image {{.ID}} {{.Repository}}:{{.Tag}}"],
    ];
    let mut found = Vec::new();
    for command in commands {
        let output = Command::new("docker").args(command).args(["--filter", &filter]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        found.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
    }
    found.sort();
    found
}

/// Starts a server that should not; answers what it said.
async fn refused(server: &Server, database: Option<&str>) -> String {
    let mut command = Command::new(binary());
    command.args(["serve", "--config"]).arg(server.config_file()).env_remove("DATABASE_URL").env_remove("RUST_LOG");
    command.envs(database.map(|location| ("DATABASE_URL", location)));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::time::timeout(PATIENCE, async {
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let in_time = ended.await.is_ok();
    child.kill().ok();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(in_time, "it started: {said}");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    said
}

/// A database of an installation whose files are elsewhere.
async fn of_another() -> Fresh {
    let database = Fresh::new().await;
    let store = Store::open(database.location()).await.unwrap();
    store.adopt_installation("0123456789abcdef0123456789abcdef", "another key").await.unwrap();
    store.close().await;
    database
}

#[tokio::test]
async fn a_server_that_finds_an_empty_or_foreign_database_or_misses_its_key_or_its_id_starts_not_and_touches_nothing() {
    let mut server = Server::with(Options::light().and(HASTY)).await;
    let tenants = [server.spawn_plain("one", "static").await, server.spawn_plain("two", "static").await];
    let installation = server.installation().unwrap();
    // Killed: what was committed last is in the write-ahead log of an SQLite file.
    server.kill();
    let data = server.data();
    let (before, running) = (files(&data), things(&installation));
    assert!(running.len() >= 5, "two containers, two networks and an image: {running:?}");
    let untouched = |after: &str| {
        assert_eq!(things(&installation), running, "{after}");
        let now = files(&data);
        let differ = before.iter().filter(|(path, file)| now.get(*path) != Some(*file)).map(|(path, _)| path);
        let made = now.keys().filter(|path| !before.contains_key(*path));
        assert_eq!(differ.chain(made).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "{after}");
    };
    let put_away = |names: &[&str], back: bool| {
        for name in names {
            let (here, away) = (data.join(name), server.config_file().with_file_name(name));
            let (from, to) = if back { (away, here) } else { (here, away) };
            if from.exists() {
                fs::rename(from, to).unwrap();
            }
        }
    };

    // DATABASE_URL was set for another program.
    let empty = Fresh::new().await;
    let said = refused(&server, Some(empty.location())).await;
    assert!(said.contains(&installation) && said.contains("empty") && said.contains("DATABASE_URL"), "{said}");
    assert_eq!(Ownership::read(empty.location()).await.unwrap(), Ownership::Nobody);
    assert!(is_postgres() || !Path::new(empty.location()).exists(), "no file is made");
    untouched("an empty database");

    let another = of_another().await;
    let said = refused(&server, Some(another.location())).await;
    assert!(said.contains(&installation) && said.contains("0123456789abcdef0123456789abcdef"), "{said}");
    untouched("another installation's database");

    let missing: [(&[&str], &str); 4] = [
        (&["master.key"], "master.key of installation"),
        (&["installation"], "/installation is missing"),
        (&["master.key", "installation"], "`master.key` and `installation` are missing"),
        (&["convergence.db", "convergence.db-wal", "convergence.db-shm"], "is empty or not there"),
    ];
    for (names, word) in missing {
        if is_postgres() && names.len() == 3 {
            continue;
        }
        put_away(names, false);
        let said = refused(&server, None).await;
        assert!(said.contains(word), "{word}: {said}");
        assert!(names.iter().all(|name| !data.join(name).exists()), "{names:?} is made anew");
        put_away(names, true);
        untouched(word);
    }

    let key = fs::read(data.join("master.key")).unwrap();
    fs::write(data.join("master.key"), [7; 32]).unwrap();
    let said = refused(&server, None).await;
    assert!(said.contains("master.key is not the key"), "{said}");
    fs::write(data.join("master.key"), key).unwrap();
    untouched("another key");

    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let said = refused(&server, None).await;
    assert!(said.contains("chmod 700"), "{said}");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o755, "its mode is not changed");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    untouched("an open folder");

    // With everything back it goes on as if nothing had been.
    server.launch().await;
    for tenant in &tenants {
        assert_eq!(server.ask(tenant, "/health").await.status, 200);
    }
    // The first look at everything is over, and what runs is what ran.
    eventually("everything was looked at", PATIENCE, || async {
        let operations = server.http.get("/api/v1/operations").await.expect(200);
        let kinds: Vec<_> =
            operations["operations"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
        if kinds == ["spawn", "spawn"] { Ok(()) } else { Err(format!("{kinds:?}")) }
    })
    .await;
    assert_eq!(things(&installation), running);
    for tenant in &tenants {
        server.destroy(tenant).await;
    }
}
