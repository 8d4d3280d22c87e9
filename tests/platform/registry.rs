//! Components from a registry and to one: a real one, by the conventions that others publish by.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use convergence_plugin::oci::{Pulled, Reference, Registry, RegistryError, RegistrySettings, pull};
use convergence_plugin::trust;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::components;
use crate::harness::registry::{PASSWORD, RegistryOptions, RegistryServer, USERNAME};
use crate::harness::server::binary;

fn component() -> PathBuf {
    components().join("templates/node.wasm")
}

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("plugin").args(arguments).env_remove("DATABASE_URL").output().unwrap()
}

#[track_caller]
fn document(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

async fn fetch(reference: &str, listed: &[(String, Registry)]) -> Result<Pulled, RegistryError> {
    let registries: BTreeMap<_, _> = listed.iter().cloned().collect();
    let settings = RegistrySettings { registries, ..RegistrySettings::default() };
    pull(&reference.parse::<Reference>().unwrap(), &settings).await
}

/// Uploads a blob by hand, and says what a manifest says of it.
async fn upload(client: &reqwest::Client, repository: &str, media_type: &str, bytes: Vec<u8>) -> Value {
    let (digest, size) = (trust::digest(&bytes), bytes.len());
    let begun = client.post(format!("{repository}/blobs/uploads/")).send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let location = begun.headers()["location"].to_str().unwrap().to_owned();
    let request = client.put(location).query(&[("digest", &digest)]).body(bytes);
    let put = request.header(CONTENT_TYPE, "application/octet-stream").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// Publishes a manifest by hand.
async fn publish(client: &reqwest::Client, repository: &str, tag: &str, manifest: &Value) {
    let request = client.put(format!("{repository}/manifests/{tag}")).body(manifest.to_string());
    let put = request.header(CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED, "{}", put.text().await.unwrap());
}

#[tokio::test]
async fn what_was_pushed_is_pulled_with_its_signature() {
    let registry = RegistryServer::start(RegistryOptions::default()).await;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, key) = (path("node.wasm"), path("release.key"));
    fs::copy(component(), &file).unwrap();
    let reference = format!("oci://{}/team/node:1.0.0", registry.name());

    let unsigned = document(&["push", &file, &reference]);
    assert_eq!(unsigned["signed"], false);
    assert_eq!(fetch(&reference, &[]).await.unwrap().signature, None);

    document(&["key", "generate", "--out", &key]);
    document(&["sign", &file, "--key", &key]);
    let pushed = document(&["push", &file, &reference]);
    assert_eq!(pushed["signed"], true);
    let pulled = fetch(&reference, &[]).await.unwrap();
    assert_eq!(pulled.bytes, fs::read(component()).unwrap());
    assert_eq!(pulled.digest, pushed["digest"]);
    assert_eq!(pulled.manifest_digest, pushed["manifest"]);
    assert_eq!(pulled.signature.unwrap(), fs::read_to_string(format!("{file}.sig")).unwrap());

    // The tag moved; what was pinned stays.
    let pinned = format!("{reference}@{}", unsigned["manifest"].as_str().unwrap());
    assert_eq!(fetch(&pinned, &[]).await.unwrap().signature, None);

    let error = fetch(&format!("oci://{}/team/node:9.9.9", registry.name()), &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let error = fetch(&format!("oci://{}/team/ruby:1.0.0", registry.name()), &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");

    fs::write(&file, b"other bytes").unwrap();
    assert!(complaint(&["push", &file, &reference]).contains("sign it again"));
    let no_tag = format!("oci://{}/team/node@{}", registry.name(), pulled.manifest_digest);
    assert!(complaint(&["push", &file, &no_tag]).contains("write a tag"));
}

/// The manifest and the configuration that `wkg` 0.16 writes, member for member.
#[tokio::test]
async fn what_wkg_publishes_is_pulled() {
    let registry = RegistryServer::start(RegistryOptions::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let repository = format!("http://{}/v2/example/node", registry.name());
    let bytes = fs::read(component()).unwrap();
    let mut layer = upload(&client, &repository, "application/wasm", bytes.clone()).await;
    layer["annotations"] = json!({ "org.opencontainers.image.title": "node.wasm" });
    let config = json!({
        "created": "2026-11-22T09:00:00.123456789Z",
        "author": null,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer["digest"]],
        "component": { "exports": ["convergence:plugin/metadata@0.1.0"], "imports": [], "target": null },
    });
    let config_type = "application/vnd.wasm.config.v0+json";
    let config = upload(&client, &repository, config_type, config.to_string().into_bytes()).await;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
        "annotations": { "org.opencontainers.image.version": "1.0.0", "org.opencontainers.image.licenses": "MIT" },
    });
    publish(&client, &repository, "1.0.0", &manifest).await;
    let reference = format!("oci://{}/example/node:1.0.0", registry.name());
    let pulled = fetch(&reference, &[]).await.unwrap();
    assert_eq!((pulled.bytes, pulled.signature), (bytes, None));

    // An image of a container, under the same roof.
    let mut image = manifest.clone();
    image["config"] = upload(&client, &repository, "application/vnd.oci.image.config.v1+json", b"{}".to_vec()).await;
    publish(&client, &repository, "image", &image).await;
    let error = fetch(&format!("oci://{}/example/node:image", registry.name()), &[]).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotAComponent { .. }), "{error}");
    assert!(error.to_string().contains("vnd.oci.image.config"), "{error}");
}

#[tokio::test]
async fn a_closed_registry_is_told_who_we_are() {
    let registry = RegistryServer::start(RegistryOptions { closed: true, ..RegistryOptions::default() }).await;
    let reference = format!("oci://{}/team/node:1.0.0", registry.name());
    let file = component().to_str().unwrap().to_owned();
    let refused = complaint(&["push", &file, &reference]);
    assert!(refused.contains("username") && refused.contains("password-file"), "{refused}");

    let folder = TempDir::new().unwrap();
    let config = folder.path().join("convergence.toml");
    let text = format!(
        "[registries.{:?}]\nusername = {USERNAME:?}\npassword-file = {:?}\n",
        registry.name(),
        registry.password_file()
    );
    fs::write(&config, text).unwrap();
    document(&["push", &file, &reference, "--config", config.to_str().unwrap()]);

    let known = |password_file: PathBuf| {
        let known =
            Registry { username: Some(USERNAME.to_owned()), password_file: Some(password_file), ..Registry::default() };
        [(registry.name(), known)]
    };
    assert!(fetch(&reference, &known(registry.password_file())).await.is_ok());
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "not the password").unwrap();
    for listed in [&known(wrong)[..], &[]] {
        let error = fetch(&reference, listed).await.unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
}

#[tokio::test]
async fn tls_is_believed_by_its_authority_alone() {
    let registry = RegistryServer::start(RegistryOptions { tls: true, ..RegistryOptions::default() }).await;
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("convergence.toml");
    let authority = RegistryServer::authority();
    let text = format!("[registries.{:?}]\nplain-http = false\nca-bundle = {authority:?}\n", registry.name());
    fs::write(&config, text).unwrap();
    let reference = format!("oci://{}/team/node:1.0.0", registry.name());
    let file = component();
    document(&["push", file.to_str().unwrap(), &reference, "--config", config.to_str().unwrap()]);

    let tls = Registry { plain_http: Some(false), ..Registry::default() };
    let believed = Registry { ca_bundle: Some(authority), ..tls.clone() };
    let pulled = fetch(&reference, &[(registry.name(), believed)]).await.unwrap();
    assert_eq!(pulled.bytes, fs::read(&file).unwrap());
    let error = fetch(&reference, &[(registry.name(), tls)]).await.unwrap_err().to_string();
    assert!(error.contains("ca-bundle"), "{error}");
    // Without TLS a registry that speaks it is no registry.
    assert!(fetch(&reference, &[]).await.is_err());
}
