//! Plans to try things with.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use convergence_model::build::BaseImage;
use convergence_model::plan::{
    Attribute, Base, BuildPlan, Cache, Contents, Copy, File, Health, Origin, Probe, Run, Service, Stage, Step, Volume,
    Writable,
};
use convergence_model::tenant::{Binding, Tenant, TenantStatus};
use convergence_model::workload::{Subnet, Workload};
use convergence_model::{
    EnvId, EnvName, Limits, OperationId, OrgId, RevisionNumber, Secret, TenantId, TenantName, TenantSpec,
};
use convergence_render::{Bases, GuardedPlan, ImagePolicy, Platform, Projection, Rules, guard, project};

pub(crate) fn rules(images: &ImagePolicy) -> Rules<'_> {
    Rules { images, base_image: None, source: true, brings_image: false, memory_mb: 512 }
}

pub(crate) fn guarded(plan: BuildPlan) -> GuardedPlan {
    guard(plan, &rules(&ImagePolicy::default())).expect("the plan is sound")
}

pub(crate) fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

pub(crate) fn attribute(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: value.into() }
}

pub(crate) fn file(path: &str, contents: &str) -> File {
    File { path: path.into(), contents: Contents(contents.into()), executable: false }
}

pub(crate) fn copy(origin: Origin, paths: &[&str], destination: &str) -> Step {
    Step::Copy(Copy { origin, paths: strings(paths), destination: destination.into() })
}

pub(crate) fn run(argv: &[&str], caches: &[(&str, &str)]) -> Step {
    let cache = |(id, path): &(&str, &str)| Cache { id: (*id).into(), path: (*path).into(), exclusive: true };
    Step::Run(Run { argv: strings(argv), caches: caches.iter().map(cache).collect(), secrets: vec![] })
}

pub(crate) fn stage(name: &str, base: Base, steps: Vec<Step>) -> Stage {
    Stage { name: name.into(), base, steps }
}

fn image(name: &str) -> Base {
    Base::Image(name.into())
}

fn service(command: &[&str], port: u16, check: Option<&[&str]>) -> Service {
    Service {
        command: strings(command),
        release_command: None,
        port,
        health: Health {
            probe: Probe::Http("/health".into()),
            in_container: check.map(strings),
            interval_seconds: 30,
            timeout_seconds: 3,
            retries: 3,
            start_period_seconds: 10,
        },
        env: vec![],
        writable: vec![Writable { path: "/tmp".into(), size_mb: 64, executable: false }],
        volumes: vec![],
        stop_signal: None,
        stop_grace_seconds: 10,
        min_memory_mb: 64,
        extra: vec![],
    }
}

fn plan(files: Vec<File>, stages: Vec<Stage>, service: Service) -> BuildPlan {
    BuildPlan { files, stages, service, notes: strings(&["the starter"]), extra: vec![] }
}

pub(crate) fn node() -> BuildPlan {
    let base = || image("node:22-bookworm-slim");
    let mut service = service(
        &["node", "server.js"],
        3000,
        Some(&["node", "-e", "fetch('http://127.0.0.1:'+process.env.PORT+'/health').then(r=>process.exit(r.ok?0:1))"]),
    );
    service.env.push(attribute("NODE_OPTIONS", "--max-old-space-size=384"));
    service.volumes.push(Volume { name: "data".into(), path: "/data".into() });
    plan(
        vec![file("package.json", "{}\n"), file("package-lock.json", "{}\n"), file("server.js", "// serves\n")],
        vec![
            stage(
                "build",
                base(),
                vec![
                    Step::Workdir("/app".into()),
                    copy(Origin::Plan, &["package.json", "package-lock.json"], "/app"),
                    run(&["npm", "ci", "--omit=dev", "--no-audit"], &[("npm", "/root/.npm")]),
                    copy(Origin::Plan, &["."], "/app"),
                ],
            ),
            stage(
                "run",
                base(),
                vec![
                    Step::Workdir("/app".into()),
                    Step::Env(attribute("NODE_ENV", "production")),
                    copy(Origin::Stage("build".into()), &["/app"], "/app"),
                ],
            ),
        ],
        service,
    )
}

pub(crate) fn python() -> BuildPlan {
    let base = || image("python:3.12-slim-bookworm");
    plan(
        vec![file("requirements.txt", "fastapi\n"), file("app/main.py", "# serves\n")],
        vec![
            stage(
                "build",
                base(),
                vec![
                    Step::Workdir("/app".into()),
                    run(&["python3", "-m", "venv", "/venv"], &[]),
                    Step::PrependPath("/venv/bin".into()),
                    copy(Origin::Plan, &["requirements.txt"], "/app/requirements.txt"),
                    run(&["pip", "install", "-r", "requirements.txt"], &[("pip", "/root/.cache/pip")]),
                ],
            ),
            stage(
                "run",
                base(),
                vec![
                    Step::Workdir("/app".into()),
                    Step::Env(attribute("PYTHONUNBUFFERED", "1")),
                    Step::PrependPath("/venv/bin".into()),
                    copy(Origin::Stage("build".into()), &["/venv"], "/venv"),
                    copy(Origin::Plan, &["app"], "/app/app/"),
                ],
            ),
        ],
        service(&["uvicorn", "app.main:app", "--host", "0.0.0.0"], 8000, Some(&["python3", "-c", "import app"])),
    )
}

pub(crate) fn go() -> BuildPlan {
    let mut service = service(&["/app"], 8080, None);
    service.writable.clear();
    service.volumes.push(Volume { name: "state".into(), path: "/var/lib/state".into() });
    plan(
        vec![file("go.mod", "module app\n"), file("main.go", "package main\n")],
        vec![
            stage(
                "build",
                image("golang:1.23-bookworm"),
                vec![
                    Step::Workdir("/src".into()),
                    Step::Env(attribute("CGO_ENABLED", "0")),
                    copy(Origin::Plan, &["."], "/src/"),
                    run(
                        &["go", "build", "-o", "/app", "."],
                        &[("go-build", "/root/.cache/go-build"), ("go-mod", "/go/pkg/mod")],
                    ),
                ],
            ),
            stage("run", Base::Scratch, vec![copy(Origin::Stage("build".into()), &["/app"], "/app")]),
        ],
        service,
    )
}

/// Everything a plan may hold that another parser could read more into.
pub(crate) fn nasty() -> BuildPlan {
    const WORST: &str = "x $HOME ${PATH} $$ \\ \" ' ` # * [a] {b} <<EOF ~ %s \\n é \u{2028} \u{1F600} end\\";
    let mut service = service(
        &["/bin/echo", WORST, "line one\nADD http://127.0.0.1/ /\n\ttabbed", ""],
        3000,
        Some(&["/bin/true", WORST]),
    );
    service.env = vec![
        attribute("YES", "yes"),
        attribute("N", "~"),
        attribute("FLOAT", "1e3"),
        attribute("OCTAL", "0o7"),
        attribute("SEXAGESIMAL", "1:20"),
        attribute("WORST", WORST),
        attribute("LINES", "one\n  two\n\tthree: - #\n"),
        attribute("EMPTY", ""),
        attribute("SPACES", "  both ends  "),
    ];
    service.stop_signal = Some("SIGINT".into());
    service.health.start_period_seconds = 0;
    service.volumes = vec![
        Volume { name: "no".into(), path: "/opt/yes/no".into() },
        Volume { name: "null".into(), path: "/srv/@data+1".into() },
    ];
    plan(
        vec![file(".dockerignore", "*\n"), file("Dockerfile", "FROM evil\n"), file("a/@b+c.txt", "x")],
        vec![
            stage("node", image("node:22"), vec![run(&["/bin/echo", WORST, "a\nb\tc"], &[])]),
            stage(
                "run",
                Base::Stage("node".into()),
                vec![
                    Step::Env(attribute("WORST", WORST)),
                    Step::Env(attribute("EMPTY", "")),
                    Step::Workdir("/work+@-_.d".into()),
                    copy(
                        Origin::Source,
                        &["[slug].tsx", "a$HOME", "${X}", "*", "?", "a b", "it's", "say \"hi\"", "#", "-x"],
                        "/s",
                    ),
                    copy(Origin::Plan, &["a"], "/p"),
                ],
            ),
        ],
        service,
    )
}

pub(crate) fn bases() -> Bases {
    let base = |reference: &str| BaseImage {
        reference: reference.into(),
        pinned: format!("{reference}@sha256:{}", "1234567890abcdef".repeat(4)),
        id: format!("sha256:{}", "fedcba0987654321".repeat(4)),
        on_build: false,
        volumes: vec![],
    };
    ["node:22-bookworm-slim", "python:3.12-slim-bookworm", "golang:1.23-bookworm"]
        .map(|name| (name.to_owned(), base(name)))
        .into()
}

pub(crate) fn workload(guarded: &GuardedPlan, env: &[(&str, &str)]) -> Workload {
    let env: BTreeMap<EnvName, String> =
        env.iter().map(|(name, value)| (EnvName::parse(name).unwrap(), (*value).to_owned())).collect();
    let tenant = Tenant {
        id: TenantId(uuid::Uuid::nil()),
        env_id: EnvId(7),
        org: OrgId(1),
        spec: TenantSpec {
            name: TenantName::parse("my app").unwrap(),
            language: "node".into(),
            source: convergence_model::Source::Starter,
            framework: None,
            description: None,
            base_image: None,
            limits: Limits::DEFAULT,
            env,
            secrets: BTreeMap::new(),
            service: convergence_model::ServiceSpec::default(),
        },
        status: TenantStatus::Provisioning,
        protected: false,
        staged: 0,
        secrets_set: 0,
        current_revision: None,
        failure: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let binding =
        Binding { port: 3001, subnet: Subnet::nth(Ipv4Addr::new(10, 213, 0, 0), 16, 3).unwrap(), key_version: 1 };
    let platform = Platform {
        api_url: "http://host.docker.internal:3000".into(),
        publish_address: Ipv4Addr::LOCALHOST.into(),
        host_aliases: vec!["host.docker.internal".into()],
    };
    let projection = Projection {
        instance: "test",
        name_prefix: "convergence-tenant",
        tenant: &tenant,
        spec: &tenant.spec,
        binding: &binding,
        revision: RevisionNumber(1),
        operation: OperationId(uuid::Uuid::nil()),
        image: "convergence-tenant/org-1:0123",
        declared: None,
        published: true,
        limits: tenant.spec.limits,
        platform: &platform,
        api_key: Secret::new("sk_tenant_do_not_show"),
        secrets: BTreeMap::new(),
    };
    project(&projection, guarded)
}
