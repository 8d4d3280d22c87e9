//! The command line at its edges: no terminal, a narrow one, Ctrl-C, servers that are away, silent, older or newer.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::transcripts::{outcome, spawn, step};
use super::without_engine;
use crate::harness::server::binary;
use crate::harness::{Canned, Reply, Terminal, eventually};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    told(&Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap())
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs the binary (`$0`) in a shell.
fn shell(line: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -o pipefail; {line}")]).arg(binary()).envs(variables.iter().copied());
    told(&command.output().unwrap())
}

/// A build that has begun and prints nothing more.
fn endless() -> Vec<(&'static str, Reply)> {
    let line = "[build 2/3] RUN [\"npm\",\"ci\"] and more than fits the line of a narrow terminal";
    spawn(Reply::events(&[step("image", "started", "00", ""), step("image", "line", "01", line)]).without_end())
}

#[tokio::test]
async fn the_running_step_shows_its_last_line_and_ctrl_c_says_what_goes_on() {
    let (server, folder) = (Canned::with(endless()), tempfile::tempdir().unwrap());
    for columns in [80, 40] {
        let arguments = ["--url", &server.url(), "spawn", "my-app", "-l", "node"];
        let terminal = Terminal::start(columns, folder.path(), &arguments, &[]);
        let screen = terminal.shows("[build 2/3]").await;
        let rows: Vec<&str> = screen.lines().collect();
        assert!(rows[rows.len() - 2].contains("image"), "{screen}");
        assert!(rows[rows.len() - 1].starts_with("  [build 2/3]"), "one row, however narrow: {screen}");
        terminal.interrupt();
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(130), "{screen}");
        // Rows are broken where the terminal ends.
        let screen = screen.replace('\n', "");
        assert!(screen.contains("the spawn continues on the server"), "{screen}");
        assert!(screen.contains("convergence operation watch 019afb60-0000-7000-8000-000000000001"), "{screen}");
        assert!(screen.contains("convergence operation cancel 019afb60-0000-7000-8000-000000000001"), "{screen}");
        assert_eq!(screen.matches("sk_tenant_").count(), 1, "the key is not lost: {screen}");
        assert!(!screen.contains("[build 2/3]"), "what was drawn is cleared: {screen}");
    }
    let watch = ["--url", &server.url(), "operation", "watch", "019afb60-0000-7000-8000-000000000001"];
    let terminal = Terminal::start(80, folder.path(), &watch, &[]);
    terminal.shows("[build 2/3]").await;
    terminal.interrupt();
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("the operation continues on the server"), "{screen}");
}

#[tokio::test]
async fn ctrl_c_before_the_answer_says_that_the_spawn_may_have_been_accepted() {
    let silent = Reply::bytes("application/json", "").without_end();
    let (server, folder) = (Canned::with(vec![("POST /api/v1/tenant/spawn", silent)]), tempfile::tempdir().unwrap());
    let arguments = ["--url", &server.url(), "spawn", "my-app", "-l", "node"];
    let terminal = Terminal::start(80, folder.path(), &arguments, &[]);
    eventually("the server is asked", Duration::from_secs(60), || async {
        if server.asked().is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;
    terminal.interrupt();
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    assert!(screen.contains("may have been accepted") && screen.contains("convergence operation list"), "{screen}");
}

/// Loses the server while a spawn is watched: exit code, standard output and standard error.
async fn bereaved(arguments: &[&str]) -> (Option<i32>, String, String) {
    let server = Canned::with(endless());
    let mut command = Command::new(binary());
    command.args(["--url", &server.url(), "spawn", "my-app", "-l", "node"]).args(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the spawn is watched", Duration::from_secs(60), || async {
        let asked = server.asked();
        if asked.len() >= 2 { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await;
    drop(server);
    told(&child.wait_with_output().unwrap())
}

#[tokio::test]
async fn a_server_that_dies_while_a_spawn_is_watched_leaves_its_key_and_how_to_watch_on() {
    let (code, out, error) = bereaved(&[]).await;
    assert_eq!(code, Some(6), "{out}\n{error}");
    assert!(out.contains("sk_tenant_4mzq7k2x9w5c3v8b1n6d0f"), "{out}");
    assert!(error.contains("has not answered for") && error.contains("convergence operation watch"), "{error}");
}

#[tokio::test]
async fn programs_get_what_was_accepted_from_a_server_that_dies() {
    let (code, out, error) = bereaved(&["--json"]).await;
    assert_eq!(code, Some(6), "{out}\n{error}");
    let document: Value = serde_json::from_str(&out).expect("one document");
    assert_eq!(document["tenant"]["apiKey"], "sk_tenant_4mzq7k2x9w5c3v8b1n6d0f");
}

#[test]
fn without_a_terminal_progress_is_one_line_a_step() {
    let events = Reply::events(&[
        step("image", "started", "00", ""),
        step("image", "line", "01", "downloading"),
        step("image", "done", "12.3", ""),
        outcome("succeeded", &Value::Null),
    ]);
    let server = Canned::with(spawn(events));
    let (code, out, error) = run(&["--url", &server.url(), "spawn", "my-app", "-l", "node"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(error, "tenant 2 `my-app` is accepted\nimage: done after 12.3s\n");
    assert!(!out.contains('\u{1b}') && !error.contains('\u{1b}'));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let (server, folder) = (Canned::with(Vec::new()), tempfile::tempdir().unwrap());
    let arguments = ["--url", &server.url(), "list"];
    let red = b"\x1b[31m";
    let bytes = |variables: &[(&str, &str)]| {
        let terminal = Terminal::start(80, folder.path(), &arguments, variables);
        let written = terminal.bytes_at_its_end();
        assert!(String::from_utf8_lossy(&written).contains("error:"), "{}", String::from_utf8_lossy(&written));
        written.windows(red.len()).any(|window| window == red)
    };
    assert!(bytes(&[]), "colours by default");
    assert!(!bytes(&[("NO_COLOR", "1")]), "NO_COLOR");
    assert!(!bytes(&[("TERM", "dumb")]), "TERM=dumb");
}

#[tokio::test]
async fn what_is_lost_is_asked_about_first() {
    let plugin = json!({ "id": "ruby", "kind": "template", "version": "1.0.0" });
    let folder = tempfile::tempdir().unwrap();
    for (command, question) in [
        (&["destroy", "my-app"][..], "Destroy tenant 2 `my-app`"),
        (&["plugin", "remove", "ruby"], "Uninstall the template `ruby`"),
    ] {
        let mut replies = spawn(Reply::events(&[]));
        replies.push(("GET /api/v1/plugins/ruby", Reply::json(200, &plugin)));
        let server = Canned::with(replies);
        let url = server.url();
        let arguments = [&["--url", url.as_str()][..], command].concat();
        let (code, _, error) = run(&arguments);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("--yes"), "{error}");
        for answer in ["n\n", "\n", "\u{4}"] {
            let mut terminal = Terminal::start(80, folder.path(), &arguments, &[]);
            terminal.shows(question).await;
            terminal.type_in(answer);
            let (code, screen) = terminal.end();
            assert_eq!(code, Some(1), "{screen}");
            assert!(screen.contains("nothing was changed"), "{screen}");
        }
        assert!(server.asked().iter().all(|asked| asked.starts_with("GET ")), "{:?}", server.asked());
        let mut terminal = Terminal::start(80, folder.path(), &arguments, &[]);
        terminal.shows(question).await;
        terminal.type_in("y\n");
        terminal.end();
        assert!(server.asked().iter().any(|asked| asked.starts_with("DELETE ")), "{:?}", server.asked());
        let server = Canned::with(Vec::new());
        let url = server.url();
        run(&[&["--url", url.as_str()][..], command, &["--yes"]].concat());
        assert!(server.asked()[0].starts_with("DELETE "), "{:?}", server.asked());
    }
}

#[test]
fn logs_reach_a_file_as_they_were_printed_and_a_line_needs_no_end() {
    let long = format!("{}\u{1b}[2J\u{7}", "x".repeat(1 << 20));
    let lines = json!({ "logs": [long.clone(), "last\r"] });
    let stream = [long.as_bytes(), b"\nlast\xff no end"].concat();
    let server = Canned::with(vec![
        ("GET /api/v1/tenant/a/logs", Reply::json(200, &lines)),
        ("GET /api/v1/tenant/b/logs", Reply::bytes("text/plain", stream)),
    ]);
    let (code, out, _) = run(&["--url", &server.url(), "logs", "a"]);
    assert_eq!((code, out), (Some(0), format!("{long}\nlast\r\n")));
    let (code, out, _) = run(&["--url", &server.url(), "logs", "b", "-f"]);
    assert_eq!(code, Some(0));
    // A line of more than 1 MiB may come in pieces.
    assert_eq!(out.replace('\n', ""), format!("{long}last\u{fffd} no end"));
    assert!(out.ends_with("\nlast\u{fffd} no end\n"));
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal::start(80, folder.path(), &["--url", &server.url(), "logs", "a", "--raw"], &[]);
    let raw = terminal.bytes_at_its_end();
    assert!(raw.windows(4).any(|window| window == b"\x1b[2J"), "--raw is obeyed");
}

#[tokio::test]
async fn a_reader_that_had_enough_ends_a_stream() {
    let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    let server = Canned::with(vec![("GET /api/v1/tenant/a/logs", Reply::bytes("text/plain", lines).without_end())]);
    let (code, out, error) = shell(&format!("$0 --url {} logs a -f | head -1", server.url()), &[]);
    assert_eq!((out.as_str(), error.as_str()), ("line 0\n", ""), "{code:?}");
}

#[test]
fn help_completions_and_manuals_go_where_they_are_sent_or_say_that_they_could_not() {
    for command in ["completions bash", "completions zsh", "--help", "spawn --help", "man", "--version"] {
        let (_, out, error) = shell(&format!("$0 {command} | head -1"), &[]);
        assert!(!out.is_empty() && error.is_empty(), "{command}: {error}");
        let (code, _, error) = shell(&format!("$0 {command} > /dev/full"), &[]);
        assert_eq!(code, Some(1), "{command}: {error}");
        assert!(error.contains("cannot write to standard output"), "{command}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, out, error) = run(&["man", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}{error}");
    for page in ["convergence.1", "convergence-spawn.1", "convergence-plugin-install.1", "convergence-events.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    assert!(!folder.path().join("convergence-compile-component.1").exists(), "it is not a command to type");
}

#[tokio::test]
async fn wrong_command_lines_exit_with_2_and_say_what_to_write() {
    for (arguments, word) in [
        (&["--url", "ftp://x", "list"][..], "http://"),
        (&["--url", "https://x", "list"], "TLS"),
        (&["--url", "http://", "list"], "http://127.0.0.1:3000"),
        (&["plan", "x", "-l", "node", "--cpu", "nan"], "0.5"),
        (&["spawn", "x", "-l", "node", "--cpu", "inf"], "0.5"),
        (&["spawn", "x", "-l", "node", "-e", "A=1", "-e", "B=2", "-e", "A=3"], "\"A\" twice"),
        (&["spwan", "x"], "spawn"),
        (&["list", "--jsno"], "--json"),
        (&["operation", "show", "../tenant/1"], "letters"),
        (&["operation", "list", "--limit", "0"], "1..=1000"),
        (&["serve", "--listen", "example.com:3000"], "localhost:3000"),
    ] {
        let (code, _, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    let (code, _, error) = run(&["plugin", "install", "ghcr.io/acme/ruby:1.2.0"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("oci://ghcr.io/acme/ruby:1.2.0"), "{error}");
}

#[tokio::test]
async fn names_that_are_nearly_right_are_suggested_and_other_versions_are_named() {
    let tenants = json!({ "tenants": [{ "name": "app" }, { "name": "app2" }, { "name": "My Shop" }] });
    let absent = Reply::json(404, &json!({ "status": 404, "code": "not-found", "detail": "there is no such tenant" }));
    let server = Canned::with(vec![
        ("GET /api/v1/tenant", Reply::json(200, &tenants)),
        ("GET /api/v1/tenant/ap/status", absent.clone()),
        ("GET /api/v1/tenant/my%20shp/status", absent.clone()),
        ("GET /api/v1/tenant/zebra/status", absent),
    ]);
    let status = |name: &str| run(&["--url", &server.url(), "status", name]);
    let (code, _, error) = status("ap");
    assert_eq!(code, Some(5), "{error}");
    assert!(error.contains("did you mean `app`?"), "{error}");
    assert!(status("my shp").2.contains("did you mean `My Shop`?"));
    assert!(!status("zebra").2.contains("did you mean"));

    // The real server below a path it does not have is an older one as far as anybody can tell.
    let real = without_engine().await;
    let url = format!("localhost:{}/elsewhere", real.block.api_port());
    let (_, _, error) = run(&["--url", &url, "events"]);
    assert!(error.contains("may be older than this client"), "{error}");
    let url = format!("localhost:{}", real.block.api_port());
    assert_eq!(run(&["--url", &url, "list"]).0, Some(0), "localhost:PORT is understood");
}

#[test]
fn a_newer_server_is_shown_as_far_as_it_is_understood() {
    let tenants =
        json!({ "tenants": [{ "envId": 1, "name": "a", "status": "hibernating", "moon": "full" }, {}], "sky": 1 });
    let operations = json!({ "operations": [{ "id": "0", "kind": "teleport", "subject": "moon/1", "state": "half-done" }],
        "nextCursor": "o0" });
    let mut events = spawn(Reply::events(&[
        ("weather", json!({ "rain": true })),
        step("image", "pondering", "00", "a word of a newer server"),
        step("image", "done", "01", ""),
        outcome("succeeded", &Value::Null),
    ]));
    events.push(("GET /api/v1/tenant", Reply::json(200, &tenants)));
    events.push(("GET /api/v1/operations", Reply::json(200, &operations)));
    let server = Canned::with(events);
    let url = server.url();
    let run = |arguments: &[&str]| run(&[&["--url", url.as_str()][..], arguments].concat());
    let (code, out, error) = run(&["list"]);
    assert!(code == Some(0) && out.contains("hibernating"), "{out}{error}");
    let (code, out, _) = run(&["operation", "list"]);
    assert!(code == Some(0) && out.contains("half-done") && out.contains("--limit"), "there is more: {out}");
    let (code, _, error) = run(&["spawn", "my-app", "-l", "node"]);
    assert!(code == Some(0) && error.contains("pondering a word of a newer server"), "{error}");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_as_good_as_absent() {
    let folder = tempfile::tempdir().unwrap();
    let empty = [("DATABASE_URL", ""), ("DOCKER_HOST", ""), ("CONVERGENCE_CONFIG", ""), ("RUST_LOG", "")];
    let doctor =
        |variables: &[(&str, &str)]| shell(&format!("cd {} && $0 doctor --json", folder.path().display()), variables);
    let (_, out, error) = doctor(&empty);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    let found = |check: &str| {
        let findings = document["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["check"] == check).unwrap()["detail"].as_str().unwrap()
    };
    assert!(found("database").starts_with("data/convergence.db"), "{document}");
    let (code, out, error) = doctor(&[("DOCKER_HOST", "ssh://root@engine")]);
    assert_eq!(code, Some(1), "{error}");
    assert!(out.contains("ssh://root@engine") && out.contains("DOCKER_HOST"), "{out}");
    // A server is looked for where it is by default, whatever answers there.
    let (code, _, error) = shell("$0 list", &[("CONVERGENCE_URL", "")]);
    assert!(code != Some(2), "{error}");
}
