//! The first start, and what it leaves where it is cut off or not wanted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::without_engine;
use crate::harness::eventually;
use crate::harness::http::Http;
use crate::harness::server::binary;

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_finished_by_the_next_one_with_the_same_key_and_id() {
    let mut server = without_engine().await;
    let data = server.data();
    assert!(!data.join("first-start").exists(), "it is over");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let made = ["master.key", "installation"].map(|name| fs::read(data.join(name)).unwrap());
    assert!(server.stop());
    if convergence_test_database::is_postgres() {
        return;
    }
    // As it is before the database is made.
    fs::write(data.join("first-start"), "").unwrap();
    fs::set_permissions(data.join("first-start"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(data.join("convergence.db")).unwrap();
    server.launch().await;
    assert_eq!(["master.key", "installation"].map(|name| fs::read(data.join(name)).unwrap()), made);
    assert!(!data.join("first-start").exists());
}

#[tokio::test]
async fn a_server_that_compiles_plugins_answers_that_it_lives_and_what_it_is_doing() {
    let mut server = without_engine().await;
    assert!(server.stop());
    // Its compiled form would be kept; one that was never seen has to be compiled.
    let large = crate::harness::components().join("examples/javascript/required-labels.wasm");
    server.drop_in(&large);
    server.spawn_process();
    let (http, doing) = (Http::new(server.block.api_port()), "compiling 1 plugins: required-labels.wasm");
    let get = async |path: &str| http.try_send(http.request(reqwest::Method::GET, path)).await;
    let ready = eventually("it says what it is doing", Duration::from_secs(60), || async {
        let ready = get("/ready").await?;
        if ready.text.contains(doing) { Ok(ready) } else { Err(ready.text) }
    });
    let ready = ready.await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &"starting".into()));
    assert_eq!(get("/live").await.unwrap().status, 200);
    let early = get("/api/v1/tenant").await.unwrap();
    assert_eq!((early.status, &early.json()["code"]), (503, &"starting".into()), "{}", early.text);
    server.started().await;
    assert_eq!(get("/api/v1/tenant").await.unwrap().status, 200);
}

/// Doctor asks the server that runs; told a configuration it looks at the installation itself, and changes no byte of it.
#[tokio::test]
async fn doctor_asks_the_running_server_and_changes_nothing_of_an_installation() {
    let mut server = without_engine().await;
    let report = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let asked = report(server.cli(&["doctor"]));
    assert!(asked.contains("answers and is not ready") && asked.contains("WRONG server: engine:"), "{asked}");
    let config = server.config_file();
    let doctor = ["doctor", "--config", config.to_str().unwrap()];
    let beside = report(server.cli(&doctor));
    let reads =
        if convergence_test_database::is_postgres() { "ok    database: postgres" } else { "ok    database: sqlite" };
    assert!(beside.contains(reads) && beside.contains("WRONG engine"), "{beside}");

    assert!(server.stop());
    let files = || -> std::collections::BTreeMap<_, _> {
        let entries = fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path());
        // The index that connections share is not data: SQLite makes it anew from the log.
        let is_data = |path: &std::path::PathBuf| path.is_file() && !path.to_string_lossy().ends_with("-shm");
        entries.filter(is_data).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = files();
    let alone = report(server.cli(&doctor));
    assert!(alone.contains(reads), "{alone}");
    let after = files();
    let changed: Vec<_> =
        after.keys().chain(before.keys()).filter(|path| after.get(*path) != before.get(*path)).collect();
    assert!(changed.is_empty(), "changed, made or removed: {changed:?}");
    let nobody = report(server.cli(&["doctor"]));
    assert!(nobody.contains("warn  server: nothing answers") && nobody.contains("the defaults"), "{nobody}");
}

/// Doctor looks at what a server would look at, and makes nothing of it.
#[test]
fn doctor_makes_no_folder_and_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("convergence.toml"));
    let text = format!("data-dir = {data:?}\n[docker]\nsocket = \"/nonexistent/docker.sock\"\n");
    fs::write(&config, text).unwrap();
    let doctor = || {
        let mut command = Command::new(binary());
        let output = command.args(["doctor", "--config"]).arg(&config).env_remove("DATABASE_URL").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let report = doctor();
    assert!(report.contains("ok    data folder") && report.contains("the first start makes"), "{report}");
    assert!(!data.exists());

    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let report = doctor();
    assert!(report.contains("WRONG installation") && report.contains("chmod 700"), "{report}");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(data.join("installation"), [1; 16]).unwrap();
    fs::set_permissions(data.join("installation"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = doctor();
    assert!(report.contains("master.key of installation 01010101"), "{report}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing is made");
}
