//! A log that cannot be written, and signals that are not the end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::without_engine;
use crate::harness::server::binary;
use crate::harness::{Server, eventually};

/// What `/ready` says of the log.
async fn log(server: &Server) -> String {
    let ready = server.http.get("/ready").await.json();
    let checks = ready["checks"].as_array().unwrap();
    let check: &Value = checks.iter().find(|check| check["name"] == "log").unwrap();
    assert_eq!(check["ok"], true, "it keeps nobody from spawning");
    check["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_whose_log_is_full_closed_or_gone_answers_and_counts_what_is_lost() {
    let mut server = without_engine().await;
    assert_eq!(log(&server).await, "every line was written");
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    for (stderr, redirection) in
        [(Stdio::null(), "2>/dev/full"), (Stdio::null(), "2>&-"), (gone.into(), ""), (Stdio::null(), ">&- 2>&-")]
    {
        assert!(server.stop(), "{redirection}");
        server.launch_with(stderr, redirection).await;
        for _ in 0..20 {
            assert_eq!(server.http.get("/api/v1/tenant").await.status, 200, "{redirection}");
        }
        assert_eq!(server.http.get("/api/v1/tenant/7/status").await.status, 404, "{redirection}");
        // The system gives a process that has no standard error one that takes everything.
        if !redirection.contains("2>&-") {
            let told = log(&server).await;
            let lost: u64 = told.split(' ').next().unwrap().parse().unwrap();
            assert!(lost > 20, "{redirection}: {told}");
        }
    }
    assert!(server.stop(), "it drains as always");
}

#[tokio::test]
async fn a_reader_of_the_log_that_does_not_read_holds_nobody_up_and_hears_how_much_it_missed() {
    let mut server = without_engine().await;
    assert!(server.stop());
    let (mut reader, writer) = std::io::pipe().unwrap();
    server.launch_with(writer.into(), "").await;
    eventually("lines are lost", Duration::from_secs(60), || async {
        for _ in 0..100 {
            server.http.get("/api/v1/tenant").await.expect(200);
        }
        let told = log(&server).await;
        if told.contains("could not be written") { Ok(()) } else { Err(told) }
    })
    .await;
    let text = Arc::new(Mutex::new(String::new()));
    let reading = std::thread::spawn({
        let text = Arc::clone(&text);
        move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                text.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        }
    });
    // It writes again as soon as there is room and something to write.
    eventually("it says what was lost", Duration::from_secs(60), || async {
        server.http.get("/api/v1/tenant").await.expect(200);
        let told = text.lock().unwrap().contains("lines of the log could not be written");
        if told { Ok(()) } else { Err("nothing yet".to_owned()) }
    })
    .await;
    assert!(server.stop());
    reading.join().unwrap();
    let text = text.lock().unwrap();
    let told = text.lines().find(|line| line.contains("lines of the log could not be written")).unwrap();
    assert!(told.contains(" WARN ") && told.contains(" lost="), "{told}");
    assert!(text.contains("draining"), "what came after is there");
}

#[tokio::test]
async fn a_hangup_is_logged_and_ends_nothing() {
    let mut server = without_engine().await;
    for times in 1..=2 {
        server.signal(Signal::HUP);
        eventually("it is logged", Duration::from_secs(10), || async {
            let log = server.log();
            if log.matches("SIGHUP is ignored").count() == times { Ok(()) } else { Err(log) }
        })
        .await;
        server.http.get("/api/v1/tenant").await.expect(200);
    }
    assert!(server.stop(), "SIGTERM drains it as always");
    assert!(server.log().contains("draining"));
}

#[tokio::test]
async fn a_command_whose_result_cannot_be_written_fails_and_one_whose_reader_had_enough_does_not() {
    let server = without_engine().await;
    let list = |redirection: &str| {
        Command::new("sh")
            .args(["-c", &format!("\"$0\" --url \"$1\" list --json {redirection}")])
            .arg(binary())
            .arg(format!("http://127.0.0.1:{}", server.block.api_port()))
            .output()
            .unwrap()
    };
    let full = list(">/dev/full");
    let said = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to standard output"), "{said}");
    assert_eq!(list(">/dev/full 2>&1").status.code(), Some(1), "and does not crash where it cannot say so");
    assert_eq!(list("| true").status.code(), Some(0));
    assert_eq!(list("2>/dev/full").status.code(), Some(0));
}
