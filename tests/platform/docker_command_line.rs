//! The command line from spawn to destroy.

use crate::harness::Server;

#[tokio::test]
async fn a_tenants_life_from_the_command_line() {
    let server = Server::start().await;
    let run = |arguments: &[&str]| {
        let output = server.cli(arguments);
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{arguments:?}: {out}\n{error}");
        (out, error)
    };
    let (out, progress) =
        run(&["spawn", "from-cli", "--language", "go", "--env", "GREETING=$HOME", "--memory-mb", "256"]);
    assert!(out.contains("sk_tenant_") && out.contains("http://127.0.0.1:"), "{out}");
    for step in ["image", "network", "container", "start", "probe"] {
        assert!(progress.contains(&format!("{step}: done")), "{step}: {progress}");
    }
    let (list, _) = run(&["list"]);
    assert!(list.contains("from-cli") && list.contains("running"), "{list}");
    let (json, _) = run(&["list", "--json"]);
    let id = serde_json::from_str::<serde_json::Value>(&json).unwrap()["tenants"][0]["envId"].to_string();
    assert!(run(&["status", &id]).0.contains("running"));
    assert!(run(&["logs", &id]).0.contains("Listening on port"));
    let doctor = server.cli(&["doctor", "--config", server.config_file().to_str().unwrap()]);
    let report = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.success() && report.contains("BuildKit"), "{report}");
    run(&["destroy", &id, "--yes"]);
    assert_eq!(server.cli(&["status", &id]).status.code(), Some(5));
}
