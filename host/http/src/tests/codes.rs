//! Every code there is, answered by the real routes wherever a request can make them answer it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use convergence_model::code::Area;
use convergence_model::{Code, Failure, OperationId, Retry, TenantName, Violation};
use convergence_plugin::{ChangeError, Kind, PluginFailure};
use convergence_provision::{PlanError, RotateError, VolumeError};
use convergence_runtime::RuntimeError;
use convergence_runtime::fake::{Fault, Readiness};
use convergence_sandbox::CallError;
use convergence_source::{GitError, SourceError};
use convergence_store::{Conflict, StoreError};
use serde_json::{Value, json};

use super::site::{Answer, Site, request};
use crate::problem::{Form, Problem};

/// How a code comes about.
enum Reached {
    /// The routes answered it.
    Answer(Answer),
    /// No request brings it about at will; this is what the routes make of the error.
    Made(Problem),
    /// No error of this room has it. Why not, and which test has it then.
    Elsewhere(&'static str),
}

impl From<Answer> for Reached {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Brings a code about. A new code needs a line in the function of its area; until then the area's test fails.
async fn reach(code: Code) -> Reached {
    match code.meaning().area {
        Area::Request => of_request(code).await,
        Area::Tenant => of_tenant(code).await,
        Area::Step => of_step(code).await,
        Area::Plugin => of_plugin(code).await,
        Area::Server => of_server(code).await,
    }
}

async fn of_request(code: Code) -> Reached {
    let site = Site::bare().await;
    let component = |content_type: &str| request("POST", "/api/v1/plugins").header("content-type", content_type);
    let archive = |content_type: &str| request("POST", "/api/v1/sources").header("content-type", content_type);
    let spawn = || request("POST", "/api/v1/tenant/spawn").header("content-type", "application/json");
    let request = match code {
        Code::MalformedJson => spawn().body(Body::from("{")),
        Code::MalformedRequest => request("GET", "/health").header("host", "elsewhere.example").body(Body::empty()),
        Code::UriTooLong | Code::HeadersTooLarge => {
            return Reached::Elsewhere(
                "the connection answers it before there is a request: tests/platform/connection.rs",
            );
        }
        Code::EncodedBody => spawn().header("content-encoding", "gzip").body(Body::from("{}")),
        Code::MalformedForm => component("multipart/form-data; boundary=x").body(Body::from("nonsense")),
        Code::MalformedSignature => {
            let signature = axum::http::HeaderValue::from_bytes(b"\xff").unwrap();
            component("application/wasm").header("x-plugin-signature", signature).body(Body::empty())
        }
        Code::BadIdempotencyKey => spawn().header("idempotency-key", "two words").body(Body::from("{}")),
        Code::Truncated => {
            let broken = futures_util::stream::iter([Err::<&str, _>(std::io::Error::other("hung up"))]);
            spawn().body(Body::from_stream(broken))
        }
        Code::NotLocal => spawn().header("origin", "https://elsewhere.example").body(Body::from("{}")),
        Code::NotFound => return site.ask("GET", "/api/v1/tenant/7/status").await.into(),
        Code::NotATenant => return site.ask("GET", "/api/v1/tenant/036/status").await.into(),
        Code::NoSuchPath => return site.ask("GET", "/nothing").await.into(),
        Code::WrongMethod => return site.ask("DELETE", "/health").await.into(),
        Code::TooLarge => spawn().body(Body::from(" ".repeat(crate::input::BODY_MAX + 1))),
        Code::NotJson => request("POST", "/api/v1/tenant/spawn").body(Body::from("{}")),
        Code::NotAnArchive => archive("text/plain").body(Body::empty()),
        Code::ArchiveRefused => archive("application/gzip").body(Body::from("nonsense")),
        Code::ChecksumMismatch => {
            let wrong = format!("sha-256=:{}=:", "A".repeat(43));
            archive("application/gzip").header("content-digest", wrong).body(Body::from("nonsense"))
        }
        Code::UploadTooSlow => {
            return Reached::Made(SourceError::TooSlow("told to be slow".to_owned()).into());
        }
        Code::NotAComponent => component("text/plain").body(Body::empty()),
        Code::Invalid => spawn().body(Body::from("{}")),
        Code::TenantGone => {
            let site = Site::new().await;
            let with_key = || {
                let body = json!({ "name": "one", "language": "go" }).to_string();
                spawn().header("idempotency-key", "one").body(Body::from(body)).unwrap()
            };
            let made = site.send(with_key()).await;
            let env_id = &made.document["tenant"]["envId"];
            assert_eq!(site.ask("DELETE", &format!("/api/v1/tenant/{env_id}")).await.status, 200);
            return site.send(with_key()).await.into();
        }
        Code::IdempotencyKeyReused => {
            let site = Site::new().await;
            let with_key = |name: &str| {
                let body = json!({ "name": name, "language": "go" }).to_string();
                spawn().header("idempotency-key", "one").body(Body::from(body)).unwrap()
            };
            assert_eq!(site.send(with_key("one")).await.status, 201);
            return site.send(with_key("another")).await.into();
        }
        other => panic!("{other}: say here how it comes about, or why it cannot"),
    };
    site.send(request.unwrap()).await.into()
}

async fn of_tenant(code: Code) -> Reached {
    let reserved = "it has a row before the work that answers it is there";
    let site = match code {
        Code::KindUnknown | Code::CheckpointNewer | Code::LimitsExceedMachine | Code::Unsupported => {
            return Reached::Elsewhere(reserved);
        }
        Code::QuotaReached => Site::with(|settings, _| settings.tenants_max = Some(0)).await,
        Code::QueueFull => Site::with(|_, work| work.backlog_max = 0).await,
        Code::PortsExhausted => Site::with(|settings, _| settings.ports = 3001..=3001).await,
        Code::SubnetsExhausted => Site::with(|settings, _| settings.subnets.count = 1).await,
        _ => Site::new().await,
    };
    match code {
        Code::QuotaReached | Code::QueueFull => site.spawn("app").await.into(),
        Code::PortsExhausted | Code::SubnetsExhausted => {
            assert_eq!(site.spawn("one").await.status, 201);
            site.spawn("another").await.into()
        }
        Code::NameTaken => {
            assert_eq!(site.spawn("app").await.status, 201);
            site.spawn("app").await.into()
        }
        Code::NameAmbiguous => {
            let names = Conflict::NameAmbiguous { name: TenantName::parse("APP").unwrap(), tenants: vec![] };
            Reached::Made(StoreError::from(names).into())
        }
        Code::TenantBusy => {
            site.runtime.next("build", Fault::HangBefore);
            let (env_id, _) = site.begin("app").await;
            site.ask("DELETE", &format!("/api/v1/tenant/{env_id}")).await.into()
        }
        Code::RevisionUnusable => {
            let env_id = site.spawn("app").await.document["tenant"]["envId"].clone();
            let path = format!("/api/v1/tenant/{env_id}/deployments/1/rollback");
            site.json("POST", &path, &json!({})).await.into()
        }
        Code::NewerRevision => {
            let newer = Conflict::NewerRevision { number: convergence_model::RevisionNumber(2) };
            Reached::Made(StoreError::from(newer).into())
        }
        Code::RingFixed => Reached::Made(RotateError::Fixed("it is in the environment".to_owned()).into()),
        Code::KeyNeeded => {
            let keys = site.ask("GET", "/api/v1/keys").await.document;
            let id = keys["keys"][0]["id"].as_str().unwrap_or_default().to_owned();
            site.ask("DELETE", &format!("/api/v1/keys/{id}")).await.into()
        }
        Code::VolumeInUse => Reached::Made(VolumeError::InUse { name: "data".to_owned() }.into()),
        Code::ChangedMeanwhile => Reached::Made(StoreError::from(Conflict::ChangedMeanwhile).into()),
        Code::Deploying => {
            site.runtime.next("build", Fault::HangBefore);
            let (env_id, _) = site.begin("app").await;
            let path = format!("/api/v1/tenant/{env_id}/env?deploy=false");
            site.json("PATCH", &path, &json!({"env": {"A": "1"}})).await.into()
        }
        Code::NotInThisState => {
            let env_id = site.spawn("app").await.document["tenant"]["envId"].clone();
            site.ask("POST", &format!("/api/v1/tenant/{env_id}/start")).await.into()
        }
        Code::ConfirmMismatch => {
            let env_id = site.spawn("app").await.document["tenant"]["envId"].clone();
            site.ask("DELETE", &format!("/api/v1/tenant/{env_id}?confirm=other")).await.into()
        }
        Code::Protected => {
            let env_id = site.spawn("app").await.document["tenant"]["envId"].clone();
            let path = format!("/api/v1/tenant/{env_id}");
            assert_eq!(site.json("PATCH", &path, &json!({ "protected": true })).await.status, 200);
            site.ask("DELETE", &path).await.into()
        }
        Code::GitFailed => Reached::Made(GitError::Failed("told to fail".to_owned()).into()),
        Code::GitUnusable => Reached::Made(GitError::Unusable("told to be absent".to_owned()).into()),
        Code::SourcesFull => Reached::Made(SourceError::Full("told to be full".to_owned()).into()),
        Code::UploadsBusy => {
            Reached::Made(SourceError::Busy { at_once: 4, retry: std::time::Duration::from_secs(5) }.into())
        }
        Code::OperationOver | Code::NotRetryable => {
            assert_eq!(site.spawn("app").await.status, 201);
            let operations = site.ask("GET", "/api/v1/operations").await.document;
            let id = operations["operations"][0]["id"].as_str().unwrap();
            let verb = if code == Code::OperationOver { "cancel" } else { "retry" };
            site.ask("POST", &format!("/api/v1/operations/{id}/{verb}")).await.into()
        }
        Code::NotCancellable => {
            let env_id = site.spawn("app").await.document["tenant"]["envId"].clone();
            site.runtime.next("stop", Fault::HangBefore);
            let begun = site.ask("DELETE", &format!("/api/v1/tenant/{env_id}?wait=0")).await.document;
            site.ask("POST", &format!("{}/cancel", begun["operation"]["url"].as_str().unwrap())).await.into()
        }
        other => panic!("{other}: say here how it comes about, or why it cannot"),
    }
}

async fn of_step(code: Code) -> Reached {
    let elsewhere =
        "the unit tests of host/provision/src/failure.rs and host/work/src/error.rs make every error of a step";
    let refused = |error: RuntimeError| Fault::Before(error);
    let site = Site::new().await;
    match code {
        Code::Cancelled => {
            site.runtime.next("build", Fault::HangBefore);
            let body = json!({ "name": "app", "language": "go" }).to_string();
            let spawn = |path: &str| {
                let builder = request("POST", path).header("content-type", "application/json");
                builder.header("idempotency-key", "one").body(Body::from(body.clone())).unwrap()
            };
            let begun = site.send(spawn("/api/v1/tenant/spawn?wait=0")).await.document;
            site.ask("POST", &format!("{}/cancel", begun["operation"]["url"].as_str().unwrap())).await;
            return site.send(spawn("/api/v1/tenant/spawn")).await.into();
        }
        Code::BuildFailed => site.runtime.next(
            "build",
            refused(RuntimeError::BuildFailed {
                instruction: "RUN".to_owned(),
                exit_code: Some(1),
                message: "told to fail".to_owned(),
                log: vec!["the last line".to_owned()],
            }),
        ),
        Code::BaseImageUnavailable => site.runtime.next(
            "base_image",
            refused(RuntimeError::PullFailed { reference: "golang:1".to_owned(), message: "told to fail".to_owned() }),
        ),
        Code::AppExited => site.runtime.readiness(Readiness::Exits { code: 1, oom: false }),
        Code::AppNotReady => site.runtime.readiness(Readiness::Never),
        Code::NameTakenInEngine => site.runtime.next(
            "create",
            refused(RuntimeError::Conflict { what: "container t-1".to_owned(), message: "not ours".to_owned() }),
        ),
        Code::PortsTaken => (3001..=3030).for_each(|port| site.runtime.take_port(port)),
        Code::SubnetTaken => (0..64).for_each(|_| {
            let subnet = "10.9.0.0/28".to_owned();
            site.runtime.next("ensure_boundary", refused(RuntimeError::SubnetTaken { subnet }));
        }),
        Code::BaseImageRefused
        | Code::ContainerDeviates
        | Code::SecretUnreadable
        | Code::RingUnusable
        | Code::SourceGone
        | Code::StoreFailed
        | Code::StoreConflict
        | Code::GaveUp => {
            return Reached::Elsewhere(elsewhere);
        }
        Code::StepPanicked | Code::DeadlinePassed => {
            return Reached::Elsewhere("it has a row before the work that answers it is there");
        }
        Code::UnknownCode => {
            return Reached::Elsewhere("only another version stores such a code; a test below reads one");
        }
        other => panic!("{other}: say here how it comes about, or why it cannot"),
    }
    site.spawn("app").await.into()
}

async fn of_plugin(code: Code) -> Reached {
    let call =
        |error| PluginFailure::Call { id: "go".to_owned(), version: "1.0.0".to_owned(), kind: Kind::Template, error };
    match code {
        Code::NoSuchVersion => {
            let body = json!({ "version": "999.0.0" });
            Site::new().await.json("POST", "/api/v1/plugins/go/rollback", &body).await.into()
        }
        Code::PluginRefused => {
            let body = json!({ "organizations": [1] });
            Site::new().await.json("PUT", "/api/v1/plugins/go/bindings", &body).await.into()
        }
        Code::PluginRejected => {
            let upload = request("POST", "/api/v1/plugins").header("content-type", "application/wasm");
            Site::bare().await.send(upload.body(Body::from("no component")).unwrap()).await.into()
        }
        Code::RegistryFailed => {
            let body = json!({ "reference": "oci://127.0.0.1:1/team/ruby:1.0.0" });
            Site::bare().await.json("POST", "/api/v1/plugins", &body).await.into()
        }
        Code::NoTemplates => Site::bare().await.spawn("app").await.into(),
        Code::PlanRefused => {
            let violations = vec![Violation::deny("plan.stages", "required", "there is no stage")];
            Reached::Made(PlanError::BadPlan { plugin: "go".to_owned(), violations }.into())
        }
        Code::PluginFailed => Reached::Made(call(CallError::OutOfFuel(1)).into()),
        Code::Overloaded => Reached::Made(call(CallError::Overloaded(1024)).into()),
        Code::PolicyRejected => {
            let (policy, reason) = ("limits".to_owned(), "its file is broken".to_owned());
            Reached::Made(PluginFailure::PolicyRejected { policy, reason }.into())
        }
        Code::PluginSuspended => {
            let (id, version, pause) = ("go".to_owned(), "1.0.0".to_owned(), Duration::from_secs(8));
            Reached::Made(PluginFailure::Suspended { id, version, kind: Kind::Template, pause }.into())
        }
        Code::Contended => Reached::Made(ChangeError::Contended.into()),
        other => panic!("{other}: say here how it comes about, or why it cannot"),
    }
}

async fn of_server(code: Code) -> Reached {
    match code {
        Code::Internal => {
            // The listener always says who connected; a request that does not is a defect.
            let mut request = request("GET", "/api/v1/tenant").body(Body::empty()).unwrap();
            request.extensions_mut().remove::<ConnectInfo<crate::connection::Peer>>();
            Site::bare().await.send(request).await.into()
        }
        Code::EngineError => {
            let site = Site::new().await;
            let error = RuntimeError::Engine { status: 400, message: "told to fail".to_owned() };
            site.runtime.next("build", Fault::Before(error));
            site.spawn("app").await.into()
        }
        Code::EngineUnreachable => {
            let site = Site::new().await;
            let nothing = || "nothing".to_owned();
            let error = RuntimeError::Unreachable { socket: nothing(), cause: nothing(), hint: nothing() };
            site.runtime.down(Some(error));
            site.spawn("app").await.into()
        }
        Code::EngineTimeout => {
            let site = Site::new().await;
            let error = RuntimeError::Timeout { what: "to answer".to_owned(), after: Duration::from_secs(1) };
            site.runtime.down(Some(error));
            site.spawn("app").await.into()
        }
        Code::StoreBusy => Reached::Made(StoreError::Busy("locked".into()).into()),
        Code::StoreUnavailable => {
            let site = Site::bare().await;
            site.store.close().await;
            site.ask("GET", "/api/v1/tenant").await.into()
        }
        Code::InstallationMismatch => {
            Reached::Elsewhere("a server that finds this at its start does not start; `serve` prints it")
        }
        Code::Starting => Reached::Elsewhere("only `Front` answers it; the product's tests see it"),
        Code::Stopping => {
            let site = Site::new().await;
            site.stop.cancel();
            let stops = async {
                loop {
                    let answer = site.spawn("app").await;
                    if answer.document["code"] == Code::Stopping.slug() {
                        return answer;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), stops).await.unwrap().into()
        }
        other => panic!("{other}: say here how it comes about, or why it cannot"),
    }
}

fn failure(code: &str) -> Failure {
    let stored = json!({
        "step": "image", "code": code, "message": "it failed", "likelyCause": "a test", "next": "nothing", "log": ["a line"]
    });
    serde_json::from_value(stored).unwrap()
}

/// Writes a problem as the middleware around the routes does.
async fn written(problem: Problem) -> Answer {
    let response = problem.render("request-1", Form::Problem);
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, document: serde_json::from_slice(&bytes).unwrap() }
}

fn operation() -> OperationId {
    OperationId(uuid::Uuid::from_u128(1))
}

fn check(code: Code, answer: &Answer) {
    let (document, meaning) = (&answer.document, code.meaning());
    let told = format!("{code}: {document}");
    assert_eq!(answer.status.as_u16(), meaning.status, "{told}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{told}");
    assert_eq!(document["code"], meaning.slug, "{told}");
    assert_eq!(document["type"], format!("urn:convergence:problem:{}", meaning.slug), "{told}");
    assert_eq!(document["status"], meaning.status, "{told}");
    assert_eq!(document["retry"], meaning.retry.as_str(), "{told}");
    assert_eq!(document["error"], document["detail"], "{told}");
    assert!(document["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{told}");
    let advised = document["next"].is_string() || document["violations"][0]["message"].is_string();
    assert!(advised, "it says nowhere what to do: {told}");
    let passes = meaning.status == 503 && meaning.retry == Retry::Later;
    assert_eq!(answer.headers.contains_key("retry-after"), passes, "{told}");
}

async fn area(area: Area) {
    let codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| code.meaning().area == area).collect();
    assert!(!codes.is_empty());
    for code in codes {
        match reach(code).await {
            Reached::Answer(answer) => check(code, &answer),
            Reached::Made(problem) => check(code, &written(problem).await),
            Reached::Elsewhere(why) => assert!(!why.is_empty(), "{code}"),
        }
        // Whatever brings it about, an operation that failed with it is answered so.
        check(code, &written(Problem::failed(operation(), &failure(code.slug()))).await);
    }
}

#[tokio::test]
async fn every_code_about_the_form_of_a_request_is_answered_as_the_table_says() {
    area(Area::Request).await;
}

#[tokio::test]
async fn every_code_about_tenants_and_operations_is_answered_as_the_table_says() {
    area(Area::Tenant).await;
}

#[tokio::test]
async fn every_code_of_a_step_is_answered_as_the_table_says() {
    area(Area::Step).await;
}

#[tokio::test]
async fn every_code_about_plugins_is_answered_as_the_table_says() {
    area(Area::Plugin).await;
}

#[tokio::test]
async fn every_code_about_the_server_is_answered_as_the_table_says() {
    area(Area::Server).await;
}

#[tokio::test]
async fn a_code_of_a_newer_version_is_shown_with_its_slug_and_stays_within_the_closed_list() {
    let answer = written(Problem::failed(operation(), &failure("moon-phase-wrong"))).await;
    check(Code::UnknownCode, &answer);
    assert_eq!(answer.document["recordedCode"], "moon-phase-wrong");
    assert_eq!(answer.document["detail"], "step image: it failed");
    let known = written(Problem::failed(operation(), &failure("build-failed"))).await;
    assert_eq!(known.document["recordedCode"], Value::Null);
}
