//! The Compose file is not a picture of the container: brought up by hand, it serves the same app.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{NASTY, nasty_env};
use crate::harness::{Server, eventually};

#[tokio::test]
async fn the_compose_file_serves_the_same_app() {
    let mut server = Server::start().await;
    let tenant = server.spawn(json!({ "name": "composed", "language": "node", "env": nasty_env() })).await;
    let before = server.ask(&tenant, "/").await;
    let file = server.http.get(&format!("/api/v1/tenant/{}/compose", tenant["envId"])).await;
    assert_eq!(file.status, 200, "{}", file.text);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("docker-compose.yml"), &file.text).unwrap();
    let project = server.block.name_prefix();
    let compose = |arguments: &[&str], key: Option<&str>| {
        let mut command = Command::new("docker-compose");
        command.args(["--project-name", &project]).args(arguments).current_dir(folder.path());
        command.env_remove("CONVERGENCE_API_KEY").envs(key.map(|key| ("CONVERGENCE_API_KEY", key)));
        command.output().expect("docker-compose can be run: `apt-get install docker-compose`")
    };
    let key = tenant["apiKey"].as_str();
    let config = compose(&["config", "--quiet"], key);
    assert!(config.status.success(), "{}\n{}", String::from_utf8_lossy(&config.stderr), file.text);
    let without = compose(&["config", "--quiet"], None);
    assert!(!without.status.success(), "it must not come up with an empty key");

    // The tenant's own container makes room; names and addresses are the same. A server that runs would bring it back.
    let container = server.container(&tenant);
    assert!(server.stop());
    for arguments in [["rm", "--force", container.as_str()], ["network", "rm", container.as_str()]] {
        let output = Command::new("docker").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let up = compose(&["up", "--detach"], key);
    assert!(up.status.success(), "{}\n{}", String::from_utf8_lossy(&up.stderr), file.text);
    let port = u16::try_from(tenant["port"].as_u64().unwrap()).unwrap();
    let http = crate::harness::Http::new(port);
    let after = eventually("the app answers", Duration::from_secs(30), || async {
        http.try_send(http.request(reqwest::Method::GET, "/")).await
    })
    .await;
    assert_eq!((after.status, after.text), (before.status, before.text));

    // Compose expands `$` in what it reads; nothing that a person wrote may change by that.
    let inspect = Command::new("docker").args(["inspect", &container]).output().unwrap();
    let inspected: serde_json::Value = serde_json::from_slice(&inspect.stdout).expect("docker prints JSON");
    let env: Vec<&str> = inspected[0]["Config"]["Env"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    for (index, value) in NASTY.iter().enumerate() {
        let expected = format!("NASTY_{index}={value}");
        assert!(env.contains(&expected.as_str()), "{expected:?} is not in {env:?}");
    }
    assert!(!file.text.contains(key.unwrap()), "the key is in the Compose file");
    let down = compose(&["down", "--volumes"], key);
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));

    // What is gone already does not keep a tenant from being destroyed.
    server.launch().await;
    server.destroy(&tenant).await;
}
