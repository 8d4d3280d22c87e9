//! Variables and secrets on the real engine, by the command line; and where a secret's value is found: in the container that
//! is given it, and nowhere else.

use std::fs;
use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use super::docker_reconcile::{SOON, docker, exists};
use crate::harness::{Options, Server, eventually};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the app of a container is given.
fn given(container: &str, variable: &str) -> Option<String> {
    let all = docker(&["container", "inspect", "--format", "{{json .Config.Env}}", container]);
    let all: Vec<String> = serde_json::from_str(&all).unwrap();
    all.iter().find_map(|text| text.strip_prefix(&format!("{variable}=")).map(str::to_owned))
}

#[tokio::test]
async fn variables_are_set_listed_imported_exported_and_taken_away_by_the_command_line() {
    let server = Server::with(Options::light()).await;
    let tenant = server.spawn_plain("shop", "static").await;
    let container = server.container(&tenant);
    let done = |arguments: &[&str]| {
        let output = server.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    let told = done(&["env", "set", "shop", "GREETING=good morning", "COST=$5", "--reason", "friendlier"]);
    assert!(told.contains("runs revision 2 with the change"), "{told}");
    assert_eq!(
        (given(&container, "GREETING"), given(&container, "COST")),
        (Some("good morning".into()), Some("$5".into()))
    );
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    let exported = done(&["env", "export", "shop"]);
    assert_eq!(exported, "COST='$5'\nGREETING='good morning'\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, format!("{exported}# more\nexport LINES=\"one\\ntwo\"\n")).unwrap();
    let path = file.to_str().unwrap();
    assert!(done(&["env", "import", "shop", path, "--later"]).contains("convergence env apply shop"));
    assert_eq!(given(&container, "LINES"), None);
    assert!(done(&["env", "list", "shop"]).contains("not running yet"));
    assert!(done(&["env", "apply", "shop"]).contains("runs revision 3"));
    assert_eq!(given(&container, "LINES"), Some("one\ntwo".into()));
    assert!(done(&["env", "unset", "shop", "LINES", "COST"]).contains("revision 4"));
    assert!(done(&["env", "set", "shop", "GREETING=good morning"]).contains("nothing is different"));
    assert_eq!((given(&container, "LINES"), given(&container, "GREETING")), (None, Some("good morning".into())));

    for (arguments, why) in [
        (["env", "unset", "shop", "ABSENT"].as_slice(), "has no variable ABSENT"),
        (&["env", "set", "shop", "PORT=1"], "PORT is set by the platform"),
        (&["env", "set", "shop", "A=1", "A=2"], "A is given more than once"),
        (&["env", "import", "shop", "/nowhere"], "cannot read /nowhere"),
        (&["secret", "set", "shop", "GREETING=x"], "GREETING is a plain variable"),
        (&["secret", "set", "shop", "EMPTY="], "it is empty"),
        (&["env", "list", "nobody"], "there is no such tenant"),
    ] {
        let output = server.cli(arguments);
        assert!(!output.status.success() && said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
    server.destroy(&tenant).await;
}

/// Values that are looked for afterwards.
const PLANTED: [&str; 4] = ["planted-horse", "planted-battery", "planted-staple", "planted-wrong"];

/// Every file below a folder that has one of the planted values, but the ring of keys, which has none.
fn found_in(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found_in(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            found.extend(planted(&bytes).map(|value| format!("{value} in {}", path.display())));
        }
    }
}

fn planted(bytes: &[u8]) -> impl Iterator<Item = &'static str> {
    PLANTED.into_iter().filter(move |value| bytes.windows(value.len()).any(|part| part == value.as_bytes()))
}

#[tokio::test]
async fn a_secret_is_in_its_container_and_nowhere_else() {
    let mut server = Server::with(Options { log: "trace", ..Options::light() }).await;
    let tenant = server.spawn_plain("vault", "static").await;
    let container = server.container(&tenant);
    let path = format!("/api/v1/tenant/{}", tenant["envId"]);
    let mut answers = String::new();
    let cli = |server: &Server, arguments: &[&str]| {
        let output = server.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    answers.push_str(&cli(&server, &["secret", "set", "vault", "TOKEN=planted-horse", "OTHER=planted-battery"]));
    assert_eq!(given(&container, "TOKEN").as_deref(), Some("planted-horse"));
    answers.push_str(&cli(&server, &["secret", "set", "vault", "TOKEN=planted-staple"]));
    assert_eq!(given(&container, "TOKEN").as_deref(), Some("planted-staple"));
    for arguments in
        [&["secret", "list", "vault"][..], &["env", "list", "vault"], &["keys", "list"], &["diff", "vault", "--json"]]
    {
        answers.push_str(&cli(&server, arguments));
    }
    answers.push_str(&cli(&server, &["keys", "rotate"]));
    let keys = server.http.get("/api/v1/keys").await.expect(200);
    let states: Vec<&Value> = keys["keys"].as_array().unwrap().iter().map(|key| &key["state"]).collect();
    assert_eq!(states, [&json!("unused"), &json!("sealing")], "{keys}");
    answers.push_str(&cli(&server, &["keys", "retire", keys["keys"][0]["id"].as_str().unwrap()]));

    // What is wrong is named without what was sent.
    let long = format!("planted-wrong{}", "x".repeat(20_000));
    for (name, value) in
        [("TOKEN", "planted-wrong\0"), ("TOKEN", long.as_str()), ("PORT", "planted-wrong"), ("a-b", "planted-wrong")]
    {
        let request = server.http.request(Method::PUT, &format!("{path}/secrets/{name}"));
        let answer = server.http.send(request.json(&json!({ "value": value }))).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        answers.push_str(&answer.text);
        let request = server.http.request(Method::PATCH, &format!("{path}/secrets"));
        let answer = server.http.send(request.json(&json!({ "secrets": { name: value } }))).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        answers.push_str(&answer.text);
    }

    // Another process opens it, and a container that is made anew has it.
    server.kill();
    server.launch().await;
    docker(&["rm", "--force", &container]);
    eventually("it is repaired", SOON, || async {
        let there = exists("container", &container) && server.ask_if_there(&tenant, "/health").await == Some(200);
        if there { Ok(()) } else { Err("not there".to_owned()) }
    })
    .await;
    assert_eq!(given(&container, "TOKEN").as_deref(), Some("planted-staple"));
    let operations = server.http.get("/api/v1/operations").await.expect(200);
    for operation in operations["operations"].as_array().unwrap() {
        let events = server.events(&format!("/api/v1/operations/{}", operation["id"].as_str().unwrap())).await;
        answers.push_str(&json!(events).to_string());
    }
    for below in [
        "",
        "/env",
        "/secrets",
        "/deployments",
        "/deployments/2",
        "/deployments/3/diff",
        "/compose",
        "/dockerfile",
        "/status",
        "/logs",
    ] {
        answers.push_str(&server.http.get(&format!("{path}{below}")).await.text);
    }
    answers.push_str(&operations.to_string());
    assert!(answers.contains("TOKEN") && answers.contains("OTHER"), "the answers are about the secrets: {answers}");
    assert_eq!(planted(answers.as_bytes()).collect::<Vec<_>>(), Vec::<&str>::new(), "in an answer");
    assert!(server.log().contains("TRACE"), "the log has everything");
    assert_eq!(planted(server.log().as_bytes()).collect::<Vec<_>>(), Vec::<&str>::new(), "in the log");

    let folder = tempfile::tempdir().unwrap();
    let image = docker(&["container", "inspect", "--format", "{{.Config.Image}}", &container]);
    docker(&["save", "--output", folder.path().join("image.tar").to_str().unwrap(), &image]);
    fs::write(folder.path().join("history"), docker(&["history", "--no-trunc", &image])).unwrap();
    fs::write(folder.path().join("control"), format!("a {} b", PLANTED[0])).unwrap();
    let mut found = Vec::new();
    found_in(folder.path(), &mut found);
    assert!(found.len() == 1 && found[0].contains("control"), "the search finds what is there, and no more: {found:?}");
    found.clear();
    // The database with its write-ahead log, the cache, the sources.
    found_in(&server.data(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    let dump = server.dump();
    assert!(dump.is_none_or(|dump| planted(&dump).next().is_none()), "in a dump of the database");

    answers.push_str(&cli(&server, &["secret", "unset", "vault", "OTHER"]));
    assert_eq!(given(&container, "OTHER"), None);
    server.destroy(&tenant).await;
}
