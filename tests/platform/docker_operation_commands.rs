//! Operations on the command line, and a spawn whose answer is lost on the way.

use serde_json::Value;

use crate::harness::{Fault, Options, Proxy, Server};

struct Cli<'a> {
    server: &'a Server,
}

impl Cli<'_> {
    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.server.cli(arguments);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}\n{error}");
        out
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(&[&["--json"], arguments].concat())).expect("one document")
    }
}

#[tokio::test]
async fn operations_are_listed_shown_followed_taken_back_and_tried_again_from_the_command_line() {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options::behind(&proxy).and("[operations]\npatience-seconds = 2")).await;
    let cli = Cli { server: &server };
    cli.good(&["spawn", "steady", "--language", "static"]);

    // Cancelled while it is built.
    proxy.fault("POST", "/build", Fault::Hang, 1);
    let accepted = cli.json(&["spawn", "regretted", "--language", "static", "--detach"]);
    let id = accepted["operation"]["id"].as_str().expect("an operation").to_owned();
    let listed = cli.good(&["operation", "list", "--tenant", "Regretted"]);
    assert!(listed.contains(&id) && listed.contains("spawn"), "{listed}");
    let out = cli.good(&["operation", "cancel", &id]);
    assert!(out.contains("cancelled"), "{out}");
    assert_eq!(cli.json(&["operation", "show", &id])["state"], "cancelled");
    let (code, _, error) = cli.run(&["operation", "cancel", &id]);
    assert_eq!(code, 4, "{error}");
    let (code, _, error) = cli.run(&["operation", "watch", &id]);
    assert_eq!(code, 1, "a cancelled spawn is no success");
    assert!(error.contains("image: undone") && error.contains("cancelled"), "{error}");

    // Stuck, and tried again.
    proxy.fault("DELETE", "/containers/", Fault::LoseRequest, usize::MAX / 2);
    let (code, _, error) = cli.run(&["destroy", "steady", "--yes"]);
    assert_eq!(code, 1, "{error}");
    let stuck = cli.json(&["operation", "list", "--state", "stuck"]);
    let id = stuck["operations"][0]["id"].as_str().expect("it is listed").to_owned();
    let shown = cli.good(&["operation", "show", &id]);
    assert!(shown.contains("destroy of tenant/1: stuck") && shown.contains("next:"), "{shown}");
    proxy.heal();
    let out = cli.good(&["operation", "retry", &id]);
    assert!(out.contains("succeeded"), "{out}");
    assert_eq!(cli.run(&["status", "1"]).0, 5);

    assert_eq!(cli.run(&["operation", "show", "nonsense"]).0, 5);
    assert_eq!(cli.run(&["operation", "list", "--state", "lost"]).0, 4);
    assert_eq!(cli.run(&["repair", "1"]).0, 5, "it is gone");
}

#[tokio::test]
async fn a_tenant_is_repaired_from_the_command_line() {
    let server = Server::with(Options::light().and("[reconcile]\ninterval-seconds = 3600")).await;
    let cli = Cli { server: &server };
    let tenant = cli.json(&["spawn", "sturdy", "--language", "static"])["tenant"].clone();
    let out = cli.good(&["repair", "1"]);
    assert!(out.contains("matches its current revision"), "{out}");
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    let kinds = cli.json(&["operation", "list"]);
    assert_eq!(kinds["operations"][0]["kind"], "repair");
    cli.good(&["destroy", "1", "--yes"]);
}

#[tokio::test]
async fn a_spawn_whose_answer_is_lost_is_asked_for_again_and_made_once() {
    let server = Server::with(Options::light()).await;
    let proxy = Proxy::of_server(server.block.api_port());
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let cli = Cli { server: &server };
    for (name, arguments) in [("lost", &[][..]), ("detached", &["--detach"][..])] {
        let before = proxy.count("POST", "/api/v1/tenant/spawn");
        // Twice: what is sent again may be lost as well.
        proxy.fault("POST", "/api/v1/tenant/spawn", Fault::LoseReply, 1);
        proxy.fault("POST", "/api/v1/tenant/spawn", Fault::LoseRequest, 1);
        let spawn = [&["--json", "--url", &url, "spawn", name, "--language", "static"][..], arguments].concat();
        let document: Value = serde_json::from_str(&cli.good(&spawn)).expect("one document");
        assert_eq!((proxy.unmet(), proxy.count("POST", "/api/v1/tenant/spawn")), (0, before + 3));
        assert!(document["tenant"]["apiKey"].as_str().is_some_and(|key| key.starts_with("sk_tenant_")), "{document}");
    }
    let operations = cli.json(&["operation", "list"]);
    assert_eq!(operations["operations"].as_array().map(Vec::len), Some(2), "each was done once");
    // A server that never was there is told of at once, and nothing was asked of it.
    assert_eq!(cli.run(&["--url", "http://127.0.0.1:1", "spawn", "x", "--language", "static"]).0, 3);
    for operation in operations["operations"].as_array().expect("a list") {
        let url = format!("/api/v1/operations/{}", operation["id"].as_str().expect("an id"));
        server.operation(&url, &["succeeded"]).await;
        cli.good(&["destroy", &operation["envId"].to_string(), "--yes"]);
    }
}
