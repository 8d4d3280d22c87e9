//! Following everything that happens on a server.

use crate::harness::{Options, Server, Terminal};

#[tokio::test]
async fn events_of_all_operations_are_followed_from_the_command_line() {
    let server = Server::with(Options::light()).await;
    // What was before is not told.
    let before = server.spawn_plain("before", "static").await;
    let url = format!("http://127.0.0.1:{}", server.block.api_port());
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal::start(100, folder.path(), &["--url", &url, "events"], &[]);
    terminal.shows("following").await;
    let (one, two) = tokio::join!(server.spawn_plain("app", "static"), server.spawn_plain("app2", "static"));
    server.destroy(&one).await;
    let screen = terminal.shows(&format!("destroy tenant/{}  succeeded", one["envId"])).await;
    for tenant in [&one, &two] {
        let of = |what: &str| format!("spawn tenant/{}  {what}", tenant["envId"]);
        let at: Vec<_> = ["image started", "image done", "probe done", "succeeded"]
            .map(|what| screen.find(&of(what)).unwrap_or_else(|| panic!("{}: {screen}", of(what))))
            .into();
        assert!(at.is_sorted(), "in order: {screen}");
        assert_eq!(screen.matches(&of("succeeded")).count(), 1, "once: {screen}");
    }
    assert!(!screen.contains(&format!("spawn tenant/{} ", before["envId"])), "{screen}");
    // Two tenants whose names begin alike are two.
    let status = server.cli(&["status", "app2", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["name"], &status["envId"]), (&"app2".into(), &two["envId"]));
    assert_eq!(server.cli(&["status", "app"]).status.code(), Some(5));
    server.destroy(&two).await;
    server.destroy(&before).await;
}
