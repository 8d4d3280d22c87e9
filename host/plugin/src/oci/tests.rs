//! Registries that mean us no good. That honest ones are understood is tried on a real one, in `tests/platform`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::manifest::{Contents, SIGNATURE};
use super::*;
use crate::trust;

const COMPONENT: &[u8] = b"\0asm not really";

/// A server that answers as it is told, and remembers what it was asked.
struct Host {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Host {
    /// Answers each request, whose head it is given in lower case, with what `answer` makes of it.
    async fn start(answer: impl Fn(u16, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let remembered = Arc::clone(&seen);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                remembered.lock().unwrap().push(head.clone());
                let reply = answer(port, &head);
                if reply.is_empty() {
                    // Stands still until the asker goes.
                    stream.read_to_end(&mut Vec::new()).await.ok();
                }
                stream.write_all(&reply).await.ok();
            }
        });
        Self { port, seen, _serving: serving }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn reference(&self) -> Reference {
        format!("oci://{}/team/ruby:1.2.0", self.name()).parse().unwrap()
    }
}

fn reply(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for (name, value) in headers {
        reply.push_str(&format!("{name}: {value}\r\n"));
    }
    reply.push_str("\r\n");
    [reply.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    reply("200 OK", &[], body)
}

fn sent_on(to: &str) -> Vec<u8> {
    reply("307 Temporary Redirect", &[("location", to)], b"")
}

fn manifest(component: &[u8]) -> Vec<u8> {
    let contents = Contents {
        component,
        file_name: "ruby.wasm".to_owned(),
        imports: &[],
        exports: &[],
        annotations: [(SIGNATURE.to_owned(), "the signature".to_owned())].into(),
        created: Timestamp::UNIX_EPOCH,
    };
    contents.build().unwrap().0
}

fn honest(head: &str) -> Vec<u8> {
    if head.contains("/manifests/") { ok(&manifest(COMPONENT)) } else { ok(COMPONENT) }
}

fn settings(listed: &[(&Host, Registry)]) -> RegistrySettings {
    let registries: BTreeMap<_, _> = listed.iter().map(|(host, registry)| (host.name(), registry.clone())).collect();
    RegistrySettings { registries, ..RegistrySettings::default() }
}

fn plain() -> Registry {
    Registry { plain_http: Some(true), ..Registry::default() }
}

fn refusal(outcome: Result<Pulled, RegistryError>) -> Refusal {
    match outcome.unwrap_err() {
        RegistryError::Refused { refusal, .. } => refusal,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_component_comes_with_its_signature() {
    let host = Host::start(|_, head| honest(head)).await;
    let pulled = pull(&host.reference(), &settings(&[])).await.unwrap();
    assert_eq!(pulled.bytes, COMPONENT);
    assert_eq!(pulled.digest, trust::digest(COMPONENT));
    assert_eq!(pulled.manifest_digest, trust::digest(&manifest(COMPONENT)));
    assert_eq!(pulled.signature.as_deref(), Some("the signature"));
}

#[tokio::test]
async fn changed_bytes_are_noticed() {
    let changed =
        Host::start(
            |_, head| {
                if head.contains("/manifests/") { ok(&manifest(COMPONENT)) } else { ok(b"\0asm not reallY") }
            },
        )
        .await;
    let error = pull(&changed.reference(), &settings(&[])).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { what: "component", .. }), "{error}");

    let host = Host::start(|_, head| honest(head)).await;
    let pinned = |digest: String| format!("{}@{digest}", host.reference()).parse::<Reference>().unwrap();
    assert!(pull(&pinned(trust::digest(&manifest(COMPONENT))), &settings(&[])).await.is_ok());
    let error = pull(&pinned(trust::digest(b"another")), &settings(&[])).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { what: "manifest", .. }), "{error}");
}

#[tokio::test]
async fn no_more_is_read_than_is_taken() {
    let endless = Host::start(|_, _| reply("200 OK", &[], &vec![b' '; 1 << 20])).await;
    let error = pull(&endless.reference(), &settings(&[])).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");

    let longer =
        Host::start(|_, head| if head.contains("/manifests/") { ok(&manifest(b"short")) } else { ok(COMPONENT) }).await;
    let error = pull(&longer.reference(), &settings(&[])).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");

    let large = Host::start(|_, head| honest(head)).await;
    let settings = RegistrySettings { max_component_bytes: 4, ..settings(&[]) };
    let error = pull(&large.reference(), &settings).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { what: "component", limit: 4 }), "{error}");
    assert_eq!(large.seen().len(), 1, "what is too large is not asked for");
}

#[tokio::test]
async fn a_registry_that_stands_still_is_left() {
    let silent = Host::start(|_, _| Vec::new()).await;
    let settings = RegistrySettings { patience: Duration::from_millis(200), ..settings(&[]) };
    let error = pull(&silent.reference(), &settings).await.unwrap_err();
    assert!(matches!(error, RegistryError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn no_internal_address_is_dialled_for_an_untrusted_registry() {
    let inside = Host::start(|_, _| ok(COMPONENT)).await;
    let (plain, tls) = (format!("http://{}/", inside.name()), format!("https://{}/", inside.name()));
    for (to, expected) in [
        (plain.as_str(), Refusal::WithoutTls),
        (tls.as_str(), Refusal::PrivateAddress("127.0.0.1".parse().unwrap())),
        ("http://169.254.169.254/latest/meta-data/", Refusal::WithoutTls),
        ("https://169.254.169.254/latest/meta-data/", Refusal::PrivateAddress("169.254.169.254".parse().unwrap())),
        ("https://[::ffff:10.0.0.1]/", Refusal::PrivateAddress("::ffff:10.0.0.1".parse().unwrap())),
        ("file:///etc/passwd", Refusal::NotWeb),
    ] {
        let target = to.to_owned();
        let registry =
            Host::start(
                move |_, head| {
                    if head.contains("/manifests/") { ok(&manifest(COMPONENT)) } else { sent_on(&target) }
                },
            )
            .await;
        assert_eq!(refusal(pull(&registry.reference(), &settings(&[])).await), expected, "sent on to {to}");

        let realm = format!("Bearer realm=\"{to}\"");
        let registry = Host::start(move |_, _| reply("401 Unauthorized", &[("www-authenticate", &realm)], b"")).await;
        assert_eq!(refusal(pull(&registry.reference(), &settings(&[])).await), expected, "tokens at {to}");
    }
    assert!(inside.seen().is_empty(), "{:?}", inside.seen());

    for reference in ["oci://10.255.255.1/team/ruby:1", "oci://[fd00::1]/team/ruby:1", "oci://0.0.0.0:1/team/ruby:1"] {
        let outcome = pull(&reference.parse().unwrap(), &settings(&[])).await;
        assert!(matches!(refusal(outcome), Refusal::PrivateAddress(_)), "{reference}");
    }
}

#[tokio::test]
async fn being_sent_in_circles_ends() {
    let circle = Host::start(|_, _| sent_on("/v2/team/ruby/manifests/1.2.0")).await;
    assert_eq!(refusal(pull(&circle.reference(), &settings(&[])).await), Refusal::TooManyRedirects);
    assert!(circle.seen().len() < 10);
}

/// A listed registry may keep its blobs elsewhere inside; who we are is told to itself alone.
#[tokio::test]
async fn credentials_stay_with_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let storage = Host::start(|_, _| ok(COMPONENT)).await;
    let blobs = format!("http://{}/blob", storage.name());
    let registry = Host::start(move |port, head| {
        if head.starts_with("GET /token?") {
            return ok(br#"{"token":"for-the-registry"}"#);
        }
        if !head.to_lowercase().contains("authorization: bearer for-the-registry") {
            let realm = format!("Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"x y\"");
            return reply("401 Unauthorized", &[("www-authenticate", &realm)], b"");
        }
        if head.contains("/manifests/") { ok(&manifest(COMPONENT)) } else { sent_on(&blobs) }
    })
    .await;
    let known = Registry { username: Some("operator".to_owned()), password_file: Some(password.clone()), ..plain() };
    let settings_of = |known: &Registry| settings(&[(&registry, known.clone()), (&storage, plain())]);
    assert_eq!(pull(&registry.reference(), &settings_of(&known)).await.unwrap().bytes, COMPONENT);

    let seen = registry.seen();
    let token = seen.iter().find(|head| head.starts_with("GET /token?")).expect("a token was asked for");
    assert!(token.contains("scope=repository%3Ateam%2Fruby%3Apull&service=x+y"), "{token}");
    let basic = data_encoding::BASE64.encode(b"operator:correct horse");
    assert!(token.contains(&format!("Basic {basic}")), "{token}");
    assert!(!seen[0].to_lowercase().contains("authorization"), "before it was asked for: {}", seen[0]);
    let elsewhere = storage.seen();
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|head| !head.to_lowercase().contains("authorization")));

    // A token service elsewhere, without TLS: it is asked, and not told the password.
    let service = Host::start(|_, _| reply("403 Forbidden", &[], b"")).await;
    let realm = format!("Bearer realm=\"http://{}/token\"", service.name());
    let greedy = Host::start(move |_, _| reply("401 Unauthorized", &[("www-authenticate", &realm)], b"")).await;
    let listed = settings(&[(&greedy, known), (&service, plain())]);
    let error = pull(&greedy.reference(), &listed).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { known: true, .. }), "{error}");
    assert_eq!(service.seen().len(), 1);
    assert!(!service.seen()[0].to_lowercase().contains("authorization"), "{:?}", service.seen());
}

#[tokio::test]
async fn refusals_of_the_registry_say_what_to_do() {
    let closed = Host::start(|_, _| reply("401 Unauthorized", &[("www-authenticate", "Basic realm=\"x\"")], b"")).await;
    let error = pull(&closed.reference(), &settings(&[])).await.unwrap_err().to_string();
    assert!(error.contains("username") && error.contains("team/ruby"), "{error}");

    let empty = Host::start(|_, _| reply("404 Not Found", &[], b"")).await;
    let error = pull(&empty.reference(), &settings(&[])).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");

    let broken = Host::start(|_, _| {
        reply("500 Internal Server Error", &[], br#"{"errors":[{"code":"UNKNOWN","message":"disk\u001b full"}]}"#)
    })
    .await;
    let error = pull(&broken.reference(), &settings(&[])).await.unwrap_err().to_string();
    assert_eq!(error, "127.0.0.1 answered 500: UNKNOWN disk full");

    let host = Host::start(|_, head| honest(head)).await;
    let half = Registry { username: Some("operator".to_owned()), ..plain() };
    let error = pull(&host.reference(), &settings(&[(&host, half)])).await.unwrap_err();
    assert!(matches!(error, RegistryError::Settings { .. }), "{error}");
    assert!(host.seen().is_empty());
}
