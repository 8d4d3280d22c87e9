//! What an administrator does with the plugins of a running server, by HTTP and at the command line.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::plugin_swap::ruby;
use super::without_engine;
use crate::harness::http::Answer;
use crate::harness::{Http, Server, components, eventually};

async fn upload(http: &Http, bytes: Vec<u8>) -> Answer {
    let request = http.request(Method::POST, "/api/v1/plugins").header("content-type", "application/wasm");
    http.send(request.body(bytes)).await
}

async fn put(http: &Http, path: &str, body: &Value) -> Answer {
    http.send(http.request(Method::PUT, path).json(body)).await
}

async fn plans(server: &Server, language: &str) -> u16 {
    server.http.post("/api/v1/tenant/plan", &json!({ "name": "x", "language": language })).await.status
}

#[tokio::test]
async fn a_plugin_lives_through_everything_an_administrator_decides() {
    let mut server = without_engine().await;
    let installed = upload(&server.http, ruby("0.1.0")).await.expect(201);
    assert_eq!((&installed["active"], &installed["plugin"]["id"]), (&json!(true), &json!("ruby")), "{installed}");
    assert_eq!(plans(&server, "ruby").await, 200);
    upload(&server.http, ruby("0.1.0")).await.expect(200);

    // A higher version is used at once, a lower one waits, and going down is a decision.
    assert_eq!(upload(&server.http, ruby("0.3.0")).await.expect(201)["active"], true);
    assert_eq!(upload(&server.http, ruby("0.2.0")).await.expect(201)["active"], false);
    let back = server.http.post("/api/v1/plugins/ruby/rollback", &json!({})).await.expect(200);
    assert_eq!(back["version"], "0.1.0", "{back}");
    let named = server.http.post("/api/v1/plugins/ruby/rollback", &json!({ "version": "0.2.0" })).await.expect(200);
    assert_eq!(named["version"], "0.2.0", "{named}");
    let absent = server.http.post("/api/v1/plugins/ruby/rollback", &json!({ "version": "9.0.0" })).await.expect(409);
    assert!(absent["detail"].as_str().unwrap().contains("0.1.0, 0.2.0, 0.3.0"), "{absent}");

    // What was uploaded and decided is still so after a restart.
    server.http.post("/api/v1/plugins/ruby/disable", &json!({})).await.expect(200);
    assert!(server.stop());
    server.launch().await;
    assert_eq!(plans(&server, "ruby").await, 422, "it is disabled");
    let enabled = server.http.post("/api/v1/plugins/ruby/enable", &json!({})).await.expect(200);
    assert_eq!((&enabled["version"], &enabled["state"]), (&json!("0.2.0"), &json!("active")));
    assert_eq!(plans(&server, "ruby").await, 200);
    let stats = server.http.get("/api/v1/plugins/ruby/stats").await.expect(200);
    assert_eq!((&stats["calls"], &stats["traps"], &stats["breaker"]), (&json!(1), &json!(0), &json!("closed")));
    assert!(stats["fuel"].as_u64() > Some(1000) && stats["memoryMost"].as_u64() > Some(0), "{stats}");

    assert_eq!(server.http.delete("/api/v1/plugins/ruby").await.status, 204);
    server.http.get("/api/v1/plugins/ruby").await.expect(404);
    assert_eq!(plans(&server, "ruby").await, 422);
}

#[tokio::test]
async fn configurations_and_bindings_are_checked_and_take_effect_at_once() {
    let server = without_engine().await;
    let large = json!({ "name": "x", "language": "node", "limits": { "cpu": 3 } });
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.status, 200);
    let path = "/api/v1/plugins/limits/configuration";
    let wrong = put(&server.http, path, &json!({ "cpu": { "maximum": "two" } })).await;
    assert_eq!(wrong.violations(422), ["configuration"]);
    assert!(wrong.text.contains("/cpu/maximum"), "{}", wrong.text);
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.status, 200, "nothing was changed");
    put(&server.http, path, &json!({ "cpu": { "maximum": 2 } })).await.expect(200);
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.violations(422), ["limits.cpu"]);

    // It applies to nobody, then to the one organization there is.
    let bindings = "/api/v1/plugins/limits/bindings";
    put(&server.http, bindings, &json!({ "organizations": [] })).await.expect(200);
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.status, 200);
    put(&server.http, bindings, &json!({ "organizations": [1] })).await.expect(200);
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.status, 422);
    let nobody = put(&server.http, bindings, &json!({ "organizations": [1, 77] })).await;
    assert_eq!(nobody.violations(422), ["organizations[1]"]);
    put(&server.http, "/api/v1/plugins/node/bindings", &json!({ "organizations": [1] })).await.expect(409);

    let reset = server.http.delete(path).await.expect(200);
    assert_eq!(reset["configuration"], Value::Null);
    assert_eq!(server.http.post("/api/v1/tenant/plan", &large).await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_reason_and_what_serves_goes_on() {
    let server = without_engine().await;
    upload(&server.http, ruby("0.2.0")).await.expect(201);
    let node = std::fs::read(components().join("templates/node.wasm")).unwrap();
    let other_contents = [ruby("0.2.0").as_slice(), &[0, 2, 1, b'x']].concat();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", Vec::new(), 422, "not WebAssembly"),
        ("a script", b"#!/bin/sh\n".to_vec(), 422, "not WebAssembly"),
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), 422, "core WebAssembly module"),
        ("half a component", node[..node.len() / 2].to_vec(), 422, "damaged"),
        ("a version of the contract that is not spoken", later_contract(node), 422, "0.9.0"),
        ("too many bytes", vec![0; (64 << 20) + 1], 413, "larger than"),
    ];
    for (what, bytes, status, says) in cases {
        let answer = upload(&server.http, bytes).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{what}: {}", answer.text);
    }
    // One version has one digest, whichever way the other contents come.
    std::fs::write(server.plugins().join("other.wasm"), &other_contents).unwrap();
    eventually("the file is rejected", Duration::from_secs(20), || async {
        let listed = server.http.get("/api/v1/plugins").await.json();
        let files = listed["files"].as_array().cloned().unwrap_or_default();
        let found = files.into_iter().find(|file| file["file"].as_str().unwrap().ends_with("other.wasm"));
        match found {
            Some(file) if file["reason"].as_str().is_some_and(|reason| reason.contains("other contents")) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let refused = upload(&server.http, other_contents).await.expect(409).to_string();
    assert_eq!(refused.matches("sha256:").count() % 2, 0, "both digests are named: {refused}");
    assert!(refused.contains("offered is sha256:"), "{refused}");
    assert_eq!(plans(&server, "ruby").await, 200);
    assert_eq!(plans(&server, "node").await, 200);

    let form =
        server.http.request(Method::POST, "/api/v1/plugins").header("content-type", "multipart/form-data; boundary=x");
    let without = server
        .http
        .send(form.body("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhi\r\n--x--\r\n"))
        .await;
    assert!(without.expect(400)["detail"].as_str().unwrap().contains("component"));
    let text = server.http.request(Method::POST, "/api/v1/plugins").header("content-type", "text/plain").body("hi");
    server.http.send(text).await.expect(415);
}

#[tokio::test]
async fn the_command_line_does_what_the_api_does() {
    let server = without_engine().await;
    let file = server.plugins().with_file_name("ruby-upload.wasm");
    std::fs::write(&file, ruby("0.2.0")).unwrap();
    let run = |arguments: &[&str]| {
        let output = server.cli(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, text) = run(&["plugin", "install", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("template ruby 0.2.0 is installed and in use"), "{text}");
    std::fs::write(&file, ruby("0.1.0")).unwrap();
    let (_, text) = run(&["plugin", "install", file.to_str().unwrap()]);
    assert!(text.contains("0.2.0 stays in use"), "{text}");
    assert!(run(&["plugin", "rollback", "ruby", "--to", "0.1.0"]).1.contains("0.1.0"));
    let (_, list) = run(&["plugin", "list"]);
    assert!(
        list.lines().any(|line| line.starts_with("ruby ") && line.contains("0.1.0") && line.contains("active")),
        "{list}"
    );
    let question = server.plugins().with_file_name("question.json");
    std::fs::write(&question, r#"{"tenantName":"app","architecture":"amd64","memoryMb":256}"#).unwrap();
    let (code, text) = run(&["plugin", "try", "ruby", question.to_str().unwrap()]);
    assert!(code == Some(0) && text.contains("\"stages\"") && text.contains("fuel"), "{text}");
    std::fs::write(&question, "{").unwrap();
    assert_eq!(run(&["plugin", "try", "ruby", question.to_str().unwrap()]).0, Some(2));
    assert!(run(&["plugin", "disable", "ruby"]).1.contains("disabled"));
    assert!(run(&["plugin", "stats", "ruby"]).1.contains("calls"));
    let (code, text) = run(&["plugin", "configure", "limits", "{\"cpu\":7}"]);
    assert_ne!(code, Some(0));
    assert!(text.contains("/cpu"), "{text}");
    assert_eq!(run(&["plugin", "remove", "ruby", "--yes"]).0, Some(0));
    let (code, text) = run(&["plugin", "show", "ruby"]);
    assert_ne!(code, Some(0));
    assert!(text.contains("no plugin `ruby` is installed"), "{text}");
}

/// A template as a later version of the contract may have it.
fn later_contract(mut bytes: Vec<u8>) -> Vec<u8> {
    substitute(&mut bytes, b"convergence:template/generator@0.1.0", b"convergence:template/generator@0.9.0");
    bytes
}

fn substitute(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{} occurs", String::from_utf8_lossy(old));
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
}
