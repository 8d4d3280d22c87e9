//! What the guard refuses, each with the path of the field and a slug.

use convergence_model::build::BaseImage;
use convergence_model::plan::{Base, BuildPlan, Cache, Copy, Origin, Probe, SecretMount, Step, Volume, Writable};
use convergence_render::{ImagePolicy, Rules, guard};

use crate::plans::{self, attribute, copy, file, run, stage};

fn refused(plan: BuildPlan) -> Vec<(String, String)> {
    let policy = ImagePolicy::default();
    let violations = guard(plan, &plans::rules(&policy)).expect_err("the guard accepted it");
    for violation in &violations {
        let printable = violation.message.chars().all(|c| !c.is_control());
        assert!(printable && violation.message.len() < 600, "{violation:?}");
    }
    violations.into_iter().map(|violation| (violation.path, violation.code)).collect()
}

/// One change to a sound plan, and the one violation it makes.
fn one(path: &str, code: &str, change: impl FnOnce(&mut BuildPlan)) {
    let mut plan = plans::node();
    change(&mut plan);
    assert_eq!(refused(plan), [(path.to_owned(), code.to_owned())]);
}

#[test]
fn sound_plans_are_accepted_and_come_out_as_they_went_in() {
    for plan in [plans::node(), plans::python(), plans::go(), plans::nasty()] {
        assert_eq!(plans::guarded(plan.clone()).plan(), &plan);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mut plan = plans::node();
    plan.stages[0].name = "Build".into();
    plan.stages[1].steps.push(run(&["", "a\0b"], &[]));
    plan.service.port = 80;
    plan.service.health.probe = Probe::Http("health".into());
    plan.files.push(file("../x", ""));
    let paths: Vec<String> = refused(plan).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "plan.files[3].path",
            "plan.stages[0].name",
            "plan.stages[1].steps[2].copy.origin.stage",
            "plan.stages[1].steps[3].run.argv",
            "plan.stages[1].steps[3].run.argv[1]",
            "plan.service.port",
            "plan.service.health.probe.http",
        ]
    );
}

#[test]
fn a_million_faults_make_a_hundred_messages() {
    let mut plan = plans::node();
    plan.stages = (0..20_000).map(|_| stage("X", Base::Stage("nowhere".into()), vec![run(&[""], &[]); 50])).collect();
    assert_eq!(refused(plan).len(), 100);
}

#[test]
fn paths_of_files() {
    for (bad, code) in [
        ("", "required"),
        ("/etc/passwd", "absolute-path"),
        ("../x", "bad-component"),
        ("a/../b", "bad-component"),
        ("a//b", "bad-component"),
        ("./a", "bad-component"),
        ("a/", "bad-component"),
        ("a\\b", "bad-character"),
        ("a\0", "bad-character"),
        ("a\nADD http://127.0.0.1/ /", "bad-character"),
        ("a b", "bad-character"),
        ("$HOME", "bad-character"),
        ("é", "bad-character"),
        ("*", "bad-character"),
    ] {
        one("plan.files[3].path", code, |plan| plan.files.push(file(bad, "")));
    }
    one("plan.files[3].path", "too-long", |plan| plan.files.push(file(&"a".repeat(256), "")));
    one("plan.files[3].path", "too-deep", |plan| plan.files.push(file(&["a"; 17].join("/"), "")));
    one("plan.files[3].path", "duplicate", |plan| plan.files.push(file("PACKAGE.json", "")));
    one("plan.files[3].path", "file-and-folder", |plan| plan.files.push(file("server.js/x", "")));
    one("plan.files[4].path", "file-and-folder", |plan| {
        plan.files.extend([file("dir/x", ""), file("Dir", "")]);
    });
}

#[test]
fn sizes_of_files() {
    one("plan.files", "too-many", |plan| plan.files.extend((0..254).map(|n| file(&format!("f/{n}"), ""))));
    one("plan.files[3].contents", "too-large", |plan| plan.files.push(file("big", &"x".repeat((1 << 20) + 1))));
    one("plan.files", "too-large", |plan| {
        plan.files.extend((0..8).map(|n| file(&format!("f/{n}"), &"x".repeat(1 << 20))));
    });
}

#[test]
fn stages() {
    one("plan.stages", "required", |plan| plan.stages.clear());
    one("plan.stages[2].base.stage", "unknown-stage", |plan| {
        plan.stages.push(stage("late", Base::Stage("late".into()), vec![]));
    });
    one("plan.stages[1].name", "duplicate", |plan| plan.stages[1].name = "build".into());
    for name in ["scratch", "convergence-folders"] {
        one("plan.stages[1].name", "reserved", |plan| plan.stages[1].name = name.into());
    }
    for name in ["", "0", "Run", "a b", "a\nADD x /", "run:latest", &"a".repeat(64)] {
        one("plan.stages[1].name", "bad-name", |plan| plan.stages[1].name = name.into());
    }
    one("plan.stages[1].base.image", "image-not-allowed", |plan| {
        plan.stages[1].base = Base::Image("evil.example/x".into());
    });
    one("plan.stages[1].base.image", "bad-image", |plan| {
        plan.stages[1].base = Base::Image("node:22\nADD http://127.0.0.1/ /".into());
    });
    one("plan.stages[1].steps", "too-many", |plan| plan.stages[1].steps = vec![Step::Workdir("/a".into()); 33]);
}

#[test]
fn a_base_image_of_the_request_is_refused_as_such() {
    let policy = ImagePolicy::default();
    let mut plan = plans::node();
    plan.stages[1].base = Base::Image("evil.example/x:1".into());
    let rules = Rules { base_image: Some("evil.example/x:1"), ..plans::rules(&policy) };
    let violations = guard(plan, &rules).unwrap_err();
    assert_eq!(violations[0].path, "baseImage");
    assert!(violations[0].message.contains("allow-images"), "{}", violations[0].message);
}

#[test]
fn steps() {
    let step = |path: &str, code: &str, step: Step| {
        one(&format!("plan.stages[1].steps[3].{path}"), code, |plan| plan.stages[1].steps.push(step));
    };
    step("workdir", "relative-path", Step::Workdir("app".into()));
    step("workdir", "bad-character", Step::Workdir("/app\nADD http://127.0.0.1/ /".into()));
    step("workdir", "bad-component", Step::Workdir("/app/../etc".into()));
    step("workdir", "system-path", Step::Workdir("/proc/self".into()));
    step("prepend-path", "bad-character", Step::PrependPath("/x:/y".into()));
    step("env.key", "reserved", Step::Env(attribute("PATH", "/evil")));
    step("env.key", "reserved", Step::Env(attribute("CONVERGENCE_API_KEY", "x")));
    step("env.key", "reserved", Step::Env(attribute("TENANT_X", "x")));
    step("env.key", "bad-name", Step::Env(attribute("A=B C", "x")));
    step("env.value", "bad-character", Step::Env(attribute("A", "x\nRUN evil")));
    step("env.value", "bad-character", Step::Env(attribute("A", "x\r")));
    step("env.value", "too-long", Step::Env(attribute("A", &"x".repeat(4097))));
    step("copy.paths", "required", copy(Origin::Plan, &[], "/app"));
    step("copy.paths[0]", "no-such-file", copy(Origin::Plan, &["missing"], "/app"));
    step("copy.paths[0]", "no-such-file", copy(Origin::Plan, &["server"], "/app"));
    step("copy.paths[0]", "bad-component", copy(Origin::Plan, &["../source/x"], "/app"));
    step("copy.paths[0]", "bad-component", copy(Origin::Source, &["../../x"], "/app"));
    step("copy.paths[0]", "bad-character", copy(Origin::Source, &["a\nb"], "/app"));
    step("copy.paths[0]", "bad-character", copy(Origin::Source, &["a\\b"], "/app"));
    step("copy.paths[0]", "absolute-path", copy(Origin::Source, &["/etc/passwd"], "/app"));
    step("copy.paths[0]", "relative-path", copy(Origin::Stage("build".into()), &["app"], "/app"));
    step("copy.origin.stage", "unknown-stage", copy(Origin::Stage("run".into()), &["/app"], "/app"));
    step("copy.destination", "relative-path", copy(Origin::Plan, &["."], "app"));
    step("copy.destination", "system-path", copy(Origin::Plan, &["."], "/sys/x"));
    step("run.argv", "required", run(&[], &[]));
    step("run.argv", "too-many", run(&["x"; 65], &[]));
    step("run.argv[1]", "too-long", run(&["x", &"x".repeat(4097)], &[]));
    step("run.argv[0]", "bad-character", run(&["a\0"], &[]));
    step("run.argv[0]", "bad-character", run(&["a\u{1b}[2J"], &[]));
    step("run.caches[0].id", "bad-name", run(&["x"], &[("a,target=/", "/root/.npm")]));
    step("run.caches[0].path", "bad-character", run(&["x"], &[("a", "/a,readonly")]));
    step("run.caches[0].path", "system-path", run(&["x"], &[("a", "/etc/ssl")]));
    step("run.caches[0].path", "system-path", run(&["x"], &[("a", "/")]));
    step("run.caches[1].path", "overlap", run(&["x"], &[("a", "/a/b"), ("b", "/a")]));
}

#[test]
fn a_plan_without_source_cannot_copy_from_it() {
    let policy = ImagePolicy::default();
    let mut plan = plans::node();
    plan.stages[1].steps.push(copy(Origin::Source, &["."], "/app"));
    let rules = Rules { source: false, ..plans::rules(&policy) };
    assert_eq!(guard(plan, &rules).unwrap_err()[0].code, "no-source");
}

#[test]
fn what_is_not_supported_yet_says_so() {
    one("plan.service.release-command", "unsupported", |plan| {
        plan.service.release_command = Some(plans::strings(&["npm", "run", "migrate"]));
    });
    one("plan.stages[0].steps[2].run.secrets", "unsupported", |plan| {
        if let Step::Run(run) = &mut plan.stages[0].steps[2] {
            run.secrets.push(SecretMount { name: "npm".into(), path: "/root/.npmrc".into() });
        }
    });
}

#[test]
fn services() {
    one("plan.service.command", "required", |plan| plan.service.command.clear());
    one("plan.service.port", "out-of-range", |plan| plan.service.port = 0);
    one("plan.service.env[0].key", "reserved", |plan| plan.service.env[0].key = "TENANT_ID".into());
    one("plan.service.env[1].key", "duplicate", |plan| plan.service.env.push(plan.service.env[0].clone()));
    one("plan.service.env", "too-many", |plan| {
        plan.service.env = (0..65).map(|n| attribute(&format!("V{n}"), "")).collect();
    });
    one("plan.service.stop-signal", "unknown-signal", |plan| plan.service.stop_signal = Some("SIGKILL\nADD".into()));
    one("plan.service.stop-grace-seconds", "out-of-range", |plan| plan.service.stop_grace_seconds = 301);
    one("plan.service.health.interval-seconds", "out-of-range", |plan| plan.service.health.interval_seconds = 0);
    one("plan.service.health.timeout-seconds", "out-of-range", |plan| plan.service.health.timeout_seconds = 61);
    one("plan.service.health.retries", "out-of-range", |plan| plan.service.health.retries = 0);
    one("plan.service.health.start-period-seconds", "out-of-range", |plan| {
        plan.service.health.start_period_seconds = 601;
    });
    one("limits.memoryMb", "too-small", |plan| plan.service.min_memory_mb = 513);
    for (probe, code) in [
        ("", "bad-probe"),
        ("health", "bad-probe"),
        ("//evil.example/", "bad-probe"),
        ("/a b", "bad-character"),
        ("/a\r\nHost: x", "bad-character"),
        ("/a/../b", "bad-component"),
        ("/%2E%2e/b", "bad-component"),
    ] {
        one("plan.service.health.probe.http", code, |plan| plan.service.health.probe = Probe::Http(probe.into()));
    }
}

#[test]
fn mounts() {
    for bad in ["/", "/proc/x", "/sys", "/dev/shm", "/etc", "/etc/x", "/usr", "/var", "/lib/x", "/run/convergence"] {
        one("plan.service.volumes[0].path", "system-path", |plan| plan.service.volumes[0].path = bad.into());
        one("plan.service.writable[0].path", "system-path", |plan| plan.service.writable[0].path = bad.into());
    }
    one("plan.service.volumes[0].path", "bad-component", |plan| plan.service.volumes[0].path = "/data/".into());
    one("plan.service.volumes[0].path", "bad-character", |plan| plan.service.volumes[0].path = "/a:/b".into());
    one("plan.service.volumes[0].path", "overlap", |plan| plan.service.volumes[0].path = "/tmp/x".into());
    one("plan.service.volumes[0].path", "overlap", |plan| {
        plan.service.writable.clear();
        plan.service.volumes[0].path = "/tmp".into();
    });
    one("plan.service.volumes[1].path", "overlap", |plan| {
        plan.service.volumes.push(Volume { name: "b".into(), path: "/data/inner".into() });
    });
    one("plan.service.volumes[1].name", "duplicate", |plan| {
        plan.service.volumes.push(Volume { name: "data".into(), path: "/other".into() });
    });
    one("plan.service.volumes[0].name", "bad-name", |plan| plan.service.volumes[0].name = "../x".into());
    one("plan.service.writable[1].size-mb", "out-of-range", |plan| {
        plan.service.writable.push(Writable { path: "/cache".into(), size_mb: 0, executable: false });
    });
    one("plan.service.writable[1].path", "bad-character", |plan| {
        plan.service.writable.push(Writable { path: "/a:exec,suid".into(), size_mb: 1, executable: false });
    });
}

#[test]
fn caches_of_one_name_stay_within_bounds() {
    one("plan.stages[0].steps[2].run.caches", "too-many", |plan| {
        if let Step::Run(run) = &mut plan.stages[0].steps[2] {
            run.caches = (0..17).map(|n| Cache { id: "a".into(), path: format!("/c{n}"), exclusive: false }).collect();
        }
    });
    one("plan.stages[1].steps[2].copy.paths", "too-many", |plan| {
        let copy = Copy { origin: Origin::Plan, paths: vec![".".into(); 65], destination: "/app".into() };
        plan.stages[1].steps[2] = Step::Copy(copy);
    });
}

#[test]
fn bases_that_would_do_more_than_the_plan_says() {
    let mut image = BaseImage {
        reference: "node:22".into(),
        pinned: "node:22".into(),
        id: "sha256:0".into(),
        on_build: false,
        volumes: vec![],
    };
    assert!(convergence_render::guard::base_image(&image).is_ok());
    image.on_build = true;
    image.volumes = vec!["/data".into()];
    let codes: Vec<String> =
        convergence_render::guard::base_image(&image).unwrap_err().into_iter().map(|v| v.code).collect();
    assert_eq!(codes, ["on-build", "volume"]);
}
