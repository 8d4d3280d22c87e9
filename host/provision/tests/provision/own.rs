//! Applications that bring their image or the Dockerfile of it, and what is said of how an application answers.

use convergence_access::development::HOME;
use convergence_model::operation::OperationState;
use convergence_model::plan::Probe;
use convergence_model::{EnvName, Scope, ServiceSpec, Source, TenantSpec};
use convergence_render::ImagePolicy;
use convergence_render::images::Pattern;
use convergence_runtime::fake::Fault;
use convergence_store::{Conflict, StoreError};

use crate::bench::{Bench, Site};
use crate::deployments::Stage;
use crate::refused;

/// What the runtime says that every image is run with.
const DECLARED: [&str; 2] = ["/entry", "serve"];

impl Stage {
    /// Why a revision of this source is refused, with the fields.
    async fn refusal(&self, source: Source, change: impl FnOnce(&mut TenantSpec)) -> String {
        let tenant = self.tenant().await;
        let mut spec = TenantSpec { source, language: String::new(), ..tenant.spec };
        change(&mut spec);
        let refused = self.try_change(spec).await.unwrap_err();
        format!("{refused:?} {refused}")
    }
}

#[tokio::test]
async fn an_image_is_run_as_it_says_and_can_be_rolled_back_to() {
    let stage = Stage::new().await;
    let deployed = stage.accept(Source::Image("nginx:1".to_owned())).await;
    let outcome = stage.outcome(&deployed).await;
    assert_eq!(outcome.state, OperationState::Succeeded, "{:?}", outcome.failure);
    let (workload, revision) = (stage.workload(), stage.revision(2).await);
    assert_eq!((workload.command.as_slice(), workload.container_port), (DECLARED.map(str::to_owned).as_slice(), 8081));
    assert_eq!(workload.health.probe, Probe::Tcp);
    let build = stage.bench.runtime.built(&workload.image).unwrap();
    assert!(build.dockerfile.contains("FROM nginx:1 AS") && !build.dockerfile.contains("CMD"), "{}", build.dockerfile);
    assert_eq!((revision.spec.language.as_str(), revision.spec.source.kind()), ("image", "image"));

    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!(stage.rollback(2).await.unwrap().state, OperationState::Succeeded);
    let again = stage.workload();
    assert_eq!((again.image, again.command, again.container_port), (workload.image, workload.command, 8081));
}

/// What an image is called may lead to another one by now; only who deploys it anew gets that.
#[tokio::test]
async fn other_variables_of_an_image_are_given_to_the_very_same_image() {
    let stage = Stage::new().await;
    let deployed = stage.accept(Source::Image("nginx:1".to_owned())).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let (before, scope) = (stage.workload(), Scope::platform());
    let asks = |stage: &Stage| {
        let calls = stage.bench.runtime.journal();
        calls.iter().filter(|call| ["newest_image", "build"].contains(&call.method)).count()
    };
    for (fresh_source, asked) in [(false, 0), (true, 1)] {
        stage.bench.runtime.forget_journal();
        let mut wanted = stage.bench.provisioner.wanted(&scope, stage.env_id).await.unwrap().unwrap();
        wanted.fresh_source = fresh_source;
        wanted.spec.env.insert(EnvName::parse("COLOUR").unwrap(), format!("{fresh_source}"));
        let (caller, reason) = (&stage.bench.site.caller, String::new());
        let deployed =
            stage.bench.provisioner.deploy(&scope, caller, stage.env_id, wanted, reason, None).await.unwrap();
        assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
        assert_eq!(asks(&stage), asked, "{:?}", stage.bench.runtime.journal());
        assert_eq!(stage.workload().image, before.image);
    }
}

#[tokio::test]
async fn an_image_that_is_not_allowed_or_is_told_how_to_be_built_is_refused() {
    let stage = Stage::new().await;
    let image = |text: &str| Source::Image(text.to_owned());
    let refused = stage.refusal(image("acme/app:1"), |_| ()).await;
    assert!(refused.contains("source.image"), "{refused}");
    let refused = stage.refusal(image("nginx:1"), |spec| spec.language = "go".to_owned()).await;
    assert!(refused.contains("\"language\"") && refused.contains("leave this out"), "{refused}");
    assert_eq!(stage.runs(), "1");
}

#[tokio::test]
async fn an_application_is_built_from_its_own_dockerfile_where_the_operator_allows_it() {
    let stage = Stage::new().await;
    let files = [
        ("go.mod", "module app\n\ngo 1.24\n"),
        ("Dockerfile", "ARG TAG=1\nFROM busybox:$TAG AS tools\nFROM debian:12\nCOPY --from=tools /bin /tools\nCMD x\n"),
        (".dockerignore", "*.md\n"),
        (
            "convergence.toml",
            "framework = \"gin\"\n[service]\nport = 9000\nhealth = \"/up\"\n[build.args]\nTAG = \"2\"\n",
        ),
    ];
    let deployed = stage.accept(stage.bench.site.source(&files).await).await;
    let outcome = stage.outcome(&deployed).await;
    assert_eq!(outcome.state, OperationState::Succeeded, "{:?}", outcome.failure);
    let (workload, revision) = (stage.workload(), stage.revision(2).await);
    assert!(revision.plan.notes[0].contains("its own `Dockerfile`"), "{:?}", revision.plan.notes);
    // A framework is for templates: none is used here, so none is told of.
    assert_eq!(revision.spec.framework, None);
    assert!(!revision.plan.notes.iter().any(|note| note.contains("Framework")), "{:?}", revision.plan.notes);
    assert_eq!((workload.command.as_slice(), workload.container_port), (DECLARED.map(str::to_owned).as_slice(), 9000));
    assert_eq!(workload.health.probe, Probe::Http("/up".to_owned()));
    let build = stage.bench.runtime.built(&workload.image).unwrap();
    assert_eq!(build.args.get("TAG").map(String::as_str), Some("2"));
    let expected = "ARG TAG=1\nFROM busybox:2 AS tools\nFROM debian:12\nCOPY --from=tools /bin /tools\nCMD x\n";
    assert!(build.dockerfile.ends_with(expected), "{}", build.dockerfile);
    // The context was made for this build: the source at its root, and nothing of the platform's.
    assert!(build.context.is_empty() && !build.source.unwrap().path.exists());
    // What it starts from was looked up, and is what policies were told.
    let bases: Vec<_> = revision.built.unwrap().bases.into_iter().map(|base| base.reference).collect();
    assert_eq!(bases, ["busybox:2", "debian:12"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_dockerfile_is_told_by_its_line() {
    let stage = Stage::new().await;
    let refusal = async |files: &[(&str, &str)]| {
        let source = stage.bench.site.source(files).await;
        stage.refusal(source, |_| ()).await
    };
    let refused = refusal(&[("Dockerfile", "FROM debian:12\nCOPY --from=acme/tools:1 / /\nVOLUME /x\n")]).await;
    assert!(refused.contains("Dockerfile:3"), "{refused}");
    let refused = refusal(&[("Dockerfile", "FROM debian:12\nCOPY --from=acme/tools:1 / /\n")]).await;
    assert!(refused.contains("Dockerfile:2") && refused.contains("acme/tools"), "{refused}");
    let refused = refusal(&[("Dockerfile", "FROM debian:12\nCMD x\n"), (".dockerignore", "*.md\n[\n")]).await;
    assert!(refused.contains(".dockerignore"), "{refused}");
    let refused = refusal(&[("convergence.toml", "[build]\ndockerfile = \"deploy/Dockerfile\"\n")]).await;
    assert!(refused.contains("deploy/Dockerfile"), "{refused}");
    let refused = refusal(&[("convergence.toml", "[build.args]\nBUILDKIT_SYNTAX = \"evil/frontend\"\n")]).await;
    assert!(refused.contains("BUILDKIT_"), "{refused}");
    assert_eq!(stage.runs(), "1");
}

#[tokio::test]
async fn where_the_operator_does_not_allow_it_a_template_builds_the_application() {
    let mut site = Site::new().await;
    site.settings.own_dockerfile = false;
    let stage = Stage::on(site).await;
    let source = stage.bench.site.source(&[
        ("go.mod", "module app\n\ngo 1.24\n"),
        ("main.go", "package main\n"),
        ("Dockerfile", "FROM x\n"),
    ]);
    let source = source.await;
    let refused = stage.refusal(source.clone(), |spec| spec.language = "dockerfile".to_owned()).await;
    assert!(refused.contains("own-dockerfile = true"), "{refused}");
    let deployed = stage.accept(source).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let notes = stage.revision(2).await.plan.notes;
    assert!(notes.iter().any(|note| note.contains("`Dockerfile` is not used")), "{notes:?}");
}

#[tokio::test]
async fn a_revision_that_was_built_from_its_own_dockerfile_serves_on_when_that_is_not_allowed_any_more() {
    let stage = Stage::new().await;
    let deployed = stage.accept(stage.bench.site.source(&[("Dockerfile", "FROM debian:12\nCMD x\n")]).await).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let (env_id, mut site) = (stage.env_id, stage.bench.into_site());
    site.settings.own_dockerfile = false;
    let stage = Stage { bench: Bench::of(site), env_id };
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.rollback(2).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.runs(), "4");
}

#[tokio::test]
async fn a_request_says_how_an_application_answers_and_its_template_does_not() {
    let stage = Stage::new().await;
    let spec = stage.tenant().await.spec;
    let service = ServiceSpec { port: Some(5000), health_path: Some("/ready".to_owned()) };
    let deployed = stage.change(TenantSpec { service, ..spec.clone() }).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let workload = stage.workload();
    assert_eq!((workload.container_port, workload.health.probe), (5000, Probe::Http("/ready".to_owned())));
    assert_eq!(workload.health.in_container, None, "the template's own check asks another port");
    for (port, path, field) in [(Some(80), None, "port"), (Some(0), None, "port"), (None, Some("/../x"), "healthPath")]
    {
        let service = ServiceSpec { port, health_path: path.map(str::to_owned) };
        let refused = stage.try_change(TenantSpec { service, ..spec.clone() }).await.unwrap_err();
        assert!(format!("{refused:?}").contains(&format!("{field:?}")), "{refused:?}");
    }
}

/// From now on only images of nginx may run.
fn only_nginx(stage: Stage) -> Stage {
    let (env_id, mut site) = (stage.env_id, stage.bench.into_site());
    site.settings.images = ImagePolicy { allow: vec![Pattern::parse("nginx")], ..ImagePolicy::default() };
    site.runtime.forget_journal();
    Stage { bench: Bench::of(site), env_id }
}

/// How many calls a deployment of an image makes until it is proved in its place.
async fn calls_until_probe() -> usize {
    let stage = only_nginx(Stage::new().await);
    let deployed = stage.accept(Source::Image("nginx:1".to_owned())).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let calls = stage.bench.runtime.journal();
    calls.iter().rposition(|call| call.method == "wait_ready").unwrap() + 1
}

#[tokio::test]
async fn a_revision_that_may_not_run_any_more_is_put_back_when_it_may_again() {
    let last = calls_until_probe().await;
    let stage = only_nginx(Stage::new().await);
    stage.bench.runtime.nth(last, Fault::Before(refused()));
    let deployed = stage.accept(Source::Image("nginx:1".to_owned())).await;
    let outcome = stage.outcome(&deployed).await;
    assert_eq!((outcome.state, outcome.failure.unwrap().step.as_str()), (OperationState::Stuck, "probe"));
    let events = stage.bench.store.events(&Scope::platform(), deployed.operation.id, 0, 1000).await.unwrap();
    assert!(events.iter().any(|event| event.detail.contains("cannot be put back")), "{events:?}");

    let (env_id, mut site) = (stage.env_id, stage.bench.into_site());
    site.settings.images = ImagePolicy::default();
    let stage = Stage { bench: Bench::of(site), env_id };
    stage.bench.operations.retry(&Scope::platform(), "tester", deployed.operation.id).await.unwrap();
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Failed);
    assert_eq!(stage.runs(), "1");
}

#[tokio::test]
async fn a_source_beyond_what_an_organization_may_keep_is_not_left_on_the_disk() {
    let mut site = Site::new().await;
    site.settings.sources_max = 10;
    let stage = Stage::on(site).await;
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(20);
    tar.append_data(&mut header, "file", [b'x'; 20].as_slice()).unwrap();
    let archive = bytes::Bytes::from(tar.into_inner().unwrap());
    let body = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(archive) });
    let received = stage.bench.site.sources.receive(body, None).await.unwrap();
    let refused = stage.bench.provisioner.keep_source(HOME, &received).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::SourcesFull { .. }))), "{refused:?}");
    assert!(stage.bench.site.sources.get(&received.digest).await.unwrap().is_none());
}
